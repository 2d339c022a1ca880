//! Statements and snapshots to DataFusion plans.

pub mod asof;
