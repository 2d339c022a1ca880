pub mod functions;
pub mod pg_catalog;
