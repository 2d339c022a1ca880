//! Physical operators.

pub mod asof_join;
