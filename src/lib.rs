//! AsofDB: a feature database in one binary.

pub mod error;
pub mod plan;
pub mod spec;
