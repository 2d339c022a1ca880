//! The queries that psql and drivers send, run against the catalogue of a small database.

mod drivers;
mod fixture;
mod psql;
