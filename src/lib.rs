//! AsofDB: a feature database in one binary.

pub mod error;
pub mod parse;
pub mod spec;
