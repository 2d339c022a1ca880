//! AsofDB: a feature database in one binary.

pub mod error;
pub mod exec;
pub mod parse;
pub mod plan;
pub mod spec;
