//! Tests through the front door: one binary, a module for each promise.

mod asof;
mod asof_large;
mod asof_plans;
mod bad_input;
mod changes;
mod command_line;
mod copy_lines;
mod crash;
mod differences;
mod documents;
mod foreign_files;
mod guest;
mod isolation;
mod known;
mod merging;
mod process;
mod property;
mod sql;
mod time;
mod upkeep;
mod versions;
mod whole;
mod wire;
mod writers;

#[global_allocator]
static ALLOCATOR: asofdb::memory::CountingAllocator = asofdb::memory::CountingAllocator;
