//! Statements and snapshots to DataFusion plans.
//!
//! [`Reading`] says what a statement sees: one snapshot, a search path, a time zone. [`Scope`] gives
//! DataFusion's planner names in it: every name is resolved here, and no version clause passes this
//! room without being resolved or refused. [`query`] plans; [`state`] makes the session states that
//! optimise and run what was planned. Whoever plans a client's statement does it in [`thread::apart`].
//!
//! The room runs nothing and writes nothing. Start reading at [`names`].

pub mod addressed;
mod apply;
pub mod asof;
mod attentive;
mod call_clauses;
pub mod changes;
pub mod clauses;
pub mod expressions;
mod extent;
mod float_keys;
pub mod functions;
pub mod given;
mod known;
mod like_named;
pub mod long_values;
pub mod metadata;
mod multiplicity;
pub mod names;
pub mod parameters;
pub mod pg_catalog;
pub mod query;
pub mod rows;
pub mod sample;
pub mod scope;
pub mod state;
pub mod thread;
pub mod time_travel;
mod type_resolution;
mod using;
pub mod version_parameters;
mod windows;
mod with_versions;

pub use addressed::{Addressed, SaidBy, addressed, addressed_table, described_table};
pub use given::Given;
pub use parameters::Parameters;
pub use query::{Planned, Selecting, plan_apart, plan_query, plan_selecting};
pub use scope::{Reading, Scope, SystemTables};
pub use state::session_state;
