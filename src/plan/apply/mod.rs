//! Sub-selects and LATERAL that name columns of the rows around them.
//!
//! DataFusion turns the plain ones into joins, which is the fast way: where all the outer row is needed
//! for is a condition in WHERE. The others — `ORDER BY … LIMIT 1`, an aggregate over a range of times,
//! NOT IN, set-returning functions of an outer column — it refuses, or drops the LIMIT. Those are run
//! here as they are written: once for each distinct set of outer values.
//!
//! Those that name nothing from outside, but are asked for a value, are joins of another kind (`membership.rs`).
//!
//! [`AnalyzeApply`] decides which is which (`correlation.rs`) and puts a node of its own below the one
//! that has the sub-select (`convert.rs`). The operator plans the sub-select anew with the values in the
//! place of the columns, so that keys and times prune what it reads.

mod arms;
mod convert;
mod correlation;
mod membership;
mod node;
mod physical;

pub use convert::AnalyzeApply;
pub use physical::ApplyPlanner;
