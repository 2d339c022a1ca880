//! CALL system.…: procedures by the names, arguments and answers people know from Iceberg.
//!
//! A procedure on one table writes an ordinary commit on the session's branch, or on the branch that
//! the table's name says; without a table it is about the whole branch. A family has a file, and an
//! arm in [`call`]; start reading there.

mod ancestors;
mod arguments;
mod cherry_pick;
mod fast_forward;
mod on_table;
mod roll_back;

pub use self::fast_forward::forward_table;

use std::sync::Arc;

use arrow::array::RecordBatch;
use datafusion::execution::session_state::SessionState;

use super::maintain;
use crate::error::{Error, ErrorKind, Result};
use crate::parse::Call;
use crate::plan::Reading;
use crate::store::CommitOptions;

/// What a procedure works on.
pub struct Calling<'a> {
    /// What the session sees.
    pub reading: &'a Reading,
    /// To evaluate arguments with.
    pub state: &'a Arc<SessionState>,
    /// What its commits say about themselves.
    pub options: &'a CommitOptions,
    /// What was said.
    pub call: &'a Call,
}

/// Every procedure, as a person may call it.
const PROCEDURES: [&str; 7] = [
    fast_forward::USAGE,
    roll_back::TO_SNAPSHOT,
    roll_back::TO_TIMESTAMP,
    roll_back::SET_CURRENT,
    cherry_pick::USAGE,
    cherry_pick::PUBLISH_CHANGES,
    ancestors::USAGE,
];

/// Runs a procedure and answers its rows.
///
/// # Errors
/// UndefinedFunction for one that is not there; InvalidValue for arguments that do not fit; whatever
/// the procedure gives.
pub async fn call(calling: &Calling<'_>) -> Result<RecordBatch> {
    let Calling { reading, state, call, .. } = calling;
    if let Some(batch) = maintain::call(reading, state, call).await? {
        return Ok(batch);
    }
    match call.procedure.last().map_or("", String::as_str) {
        "fast_forward" => fast_forward::call(calling).await,
        "rollback_to_snapshot" => roll_back::to_snapshot(calling).await,
        "rollback_to_timestamp" => roll_back::to_timestamp(calling).await,
        "set_current_snapshot" => roll_back::set_current(calling).await,
        "cherrypick_snapshot" => cherry_pick::call(calling).await,
        "publish_changes" => cherry_pick::publish_changes(calling).await,
        "ancestors_of" => ancestors::call(calling),
        other => Err(Error::new(
            ErrorKind::UndefinedFunction,
            format!("procedure {} does not exist", call.procedure.join(".")),
        )
        .hint(match other {
            "create_changelog_view" => {
                "SELECT … FROM table_changes('t', from, to) has the changes, \
                                        and may stand in CREATE TEMP VIEW"
                    .to_owned()
            }
            _ => usages(),
        })),
    }
}

/// How a procedure is called; None where it is not there.
pub fn usage_of(call: &Call) -> Option<&'static str> {
    let name = call.procedure.last()?;
    let is_it = |usage: &&str| usage.split_once('(').is_some_and(|(known, _)| known == name);
    PROCEDURES.into_iter().chain(maintain::USAGES).find(is_it)
}

fn usages() -> String {
    let known = PROCEDURES.iter().chain(&maintain::USAGES).map(|usage| format!("system.{usage}"));
    format!("procedures: {}", known.collect::<Vec<_>>().join(", "))
}
