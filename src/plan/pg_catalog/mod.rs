//! What PostgreSQL's clients ask the system tables: `pg_catalog` and `information_schema`.
//!
//! [`Catalog`] numbers the objects of one snapshot and answers look-ups; [`schema_providers`] shows
//! it as tables, each built when it is first asked for. Relations that nothing here fills are there
//! and empty. [`rewrite`] turns PostgreSQL's idioms into what DataFusion plans; it runs on every
//! statement, before planning. [`output_names`] gives results the names PostgreSQL gives them.
//!
//! Invariants: an object's oid depends on its id alone, so it is the same on every branch, in every
//! snapshot and after a restart. Nothing here reads the store, a clock or a setting: all of it comes
//! in as [`CatalogInputs`]. Start reading at [`catalog`].

pub mod array_text;
pub mod catalog;
pub mod cell;
pub mod constraint;
pub mod definitions;
pub mod inputs;
pub mod name;
pub mod output_names;
mod provider;
pub mod relation;
pub mod rewrite;
mod rows;
#[cfg(test)]
pub(in crate::plan) mod tests;
pub mod types;

pub use catalog::{Catalog, relation_id, relation_oid};
pub use inputs::{
    Activity, CatalogInputs, CursorFacts, PreparedFacts, SequenceFacts, Setting, TableFacts,
    ViewFacts,
};
pub use name::name_parts;
pub use provider::schema_providers;
pub use relation::PG_TYPE_KEY;
