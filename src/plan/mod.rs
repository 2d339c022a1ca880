//! Statements and snapshots to DataFusion plans.

pub mod asof;
pub mod functions;
pub mod pg_catalog;
