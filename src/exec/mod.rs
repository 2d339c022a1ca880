//! Physical operators, and the formats that rows come in and go out in.

pub mod apply;
pub mod asof_join;
pub mod asof_search;
pub mod changes;
pub mod copy;
mod eligible;
mod pass;
pub mod prefix;
pub mod scan;
pub mod slice;
pub mod spool;
pub mod stop;
