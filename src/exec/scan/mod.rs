//! Reading a table at one version: segments and inline rows, pruned, filtered and in order.
//!
//! [`TableScan`] is what plans name; [`SegmentScanExec`] reads. Filters are applied row by row, so
//! they are reported exact; deletes are always applied inside. Rows come in runs that are each in the
//! clustering order, and say so, so a merge above needs no sort.
//!
//! Start reading at [`runs`], which cuts a table into the partitions of a scan.

mod exec;
mod filter;
mod provider;
pub mod runs;

pub(super) use exec::ScanPlan;
pub use exec::SegmentScanExec;
pub use filter::PredicateFilter;
pub(super) use provider::external;
pub use provider::{HIDDEN, TableScan};
