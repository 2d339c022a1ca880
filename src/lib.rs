//! AsofDB: a feature database in one binary.

pub mod activity;
pub mod clock;
pub mod config;
pub mod demo;
pub mod error;
pub mod fault;
pub mod memory;
pub mod server;
pub mod session;
pub mod spec;
