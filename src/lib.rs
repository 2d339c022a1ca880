//! AsofDB: a feature database in one binary.

pub mod error;
pub mod segment;
pub mod spec;
pub mod vfs;
