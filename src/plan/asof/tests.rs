//! ASOF JOIN as people write it, over in-memory tables, on several partitions and batch sizes.

mod conditions;
mod fixture;
mod kinds;
mod plans;
mod ties;
mod written;
