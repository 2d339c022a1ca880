//! AsofDB: a feature database in one binary.

// The documentation is for those who work on the house: it is built with its private rooms.
#![allow(rustdoc::private_intra_doc_links)]

pub mod activity;
pub mod clock;
pub mod command;
pub mod config;
pub mod demo;
pub mod error;
pub mod exec;
pub mod fault;
pub mod log;
pub mod memory;
pub mod parse;
pub mod plan;
pub mod segment;
pub mod server;
pub mod session;
pub mod spec;
pub mod store;
pub mod vfs;
