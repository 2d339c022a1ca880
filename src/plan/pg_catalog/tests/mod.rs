//! The queries that psql and drivers send, run against the catalogue of a small database.

mod drivers;
pub(in crate::plan) mod fixture;
mod psql;
