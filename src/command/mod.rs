//! Statements that are not queries, a file a family: tables, rows, COPY, refs, history, upkeep.
//!
//! Each works on what it is given: a [`Reading`] of one snapshot, a transaction to write to, a state
//! to plan and run with. Nothing here knows sessions, transactions blocks or the protocol.
//!
//! Start reading at [`mod@write`].

pub mod call;
pub mod copy;
pub mod drop;
pub mod history;
pub mod maintain;
pub mod refs;
pub mod run;
pub mod table;
pub mod write;

use std::sync::Arc;

use datafusion::execution::session_state::SessionState;

use crate::plan::Reading;
use crate::store::Transaction;

/// What a statement that writes works on.
pub struct Writing<'a> {
    /// The transaction's snapshot, its own changes included.
    pub reading: Reading,
    /// To plan and run with.
    pub state: &'a Arc<SessionState>,
    /// Where changes go.
    pub transaction: &'a mut Transaction,
}
