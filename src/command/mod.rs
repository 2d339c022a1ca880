//! Statements that are not queries, a file a family: tables, rows, COPY, refs, merges, history, upkeep.
//!
//! Each works on what it is given: a [`Reading`] of one snapshot, a transaction to write to, a state
//! to plan and run with. Nothing here knows sessions, transactions blocks or the protocol.
//!
//! Start reading at [`mod@write`].

pub mod alter;
pub mod call;
mod constraint;
pub mod copy;
mod depend;
pub mod drop;
mod foreign;
mod generated;
pub mod history;
mod like;
pub mod maintain;
pub mod merge;
mod named;
pub mod object;
pub mod past;
pub mod publish;
pub mod refs;
mod rules;
pub mod run;
pub mod schema;
pub mod sequence;
pub mod table;
pub mod table_refs;
pub mod verify;
pub mod view_refs;
pub mod write;

use std::sync::Arc;

use datafusion::execution::session_state::SessionState;

use crate::plan::{Given, Reading};
use crate::spec::TableId;
use crate::store::Transaction;

/// What a statement that writes works on.
pub struct Writing<'a> {
    /// The transaction's snapshot, its own changes included.
    pub reading: Reading,
    /// To plan and run with.
    pub state: &'a Arc<SessionState>,
    /// Where changes go.
    pub transaction: &'a mut Transaction,
    /// What parts of the same statement did before.
    pub before: Before,
}

/// What the parts of a WITH did that ran before.
#[derive(Default)]
pub struct Before {
    /// What they returned.
    pub given: Vec<Given>,
    /// The tables they changed.
    pub changed: Vec<TableId>,
}
