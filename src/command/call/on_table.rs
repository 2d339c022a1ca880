//! What procedures share: the table or branch they are about, a change of it, their answers.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringViewArray};

use crate::command::merge::ROUNDS;
use crate::error::{Error, ErrorKind, Result};
use crate::fault;
use crate::plan::{Reading, names};
use crate::spec::{CommitId, RefKind, ref_label};
use crate::store::{CommitOptions, Snapshot, Store, Table, Transaction, check_unprotected};

/// A table by its name, and the branch that the name or the session says.
///
/// # Errors
/// UndefinedTable; ReadOnly where that is no branch.
pub(super) fn table(reading: &Reading, name: &str) -> Result<(Arc<Table>, String)> {
    let parts: Vec<&str> = name.split('.').collect();
    let (table, at) = names::table(reading, &parts)?;
    Ok((table, branch_of(at.as_ref().unwrap_or(&reading.snapshot))?))
}

/// The branch a snapshot is the head of.
///
/// # Errors
/// ReadOnly where it is a tag, a commit or a time.
pub(super) fn branch_of(snapshot: &Snapshot) -> Result<String> {
    match snapshot.reference() {
        Some((branch, RefKind::Branch)) => Ok(branch.to_owned()),
        _ => Err(Error::new(ErrorKind::ReadOnly, "the past cannot be changed")
            .hint("SET branch = 'main', or name a branch: t.branch_b")),
    }
}

/// A change of one branch, made anew where the branch moved, and where it was and is.
///
/// # Errors
/// Whatever `change` gives; Conflict where the branch moved again and again.
pub(super) async fn change(
    store: &Store,
    branch: &str,
    options: &CommitOptions,
    mut change: impl FnMut(&Snapshot) -> Result<Transaction>,
) -> Result<(CommitId, CommitId)> {
    if let Some(target) = store.ref_of_full_name(branch)? {
        check_unprotected(&target, "written")?;
    }
    for _ in 0..ROUNDS {
        let head = store.head(branch)?;
        let transaction = change(&head)?;
        if let Some(commit) = store.commit_joined(transaction, options, false).await? {
            return Ok((head.commit(), commit));
        }
    }
    Err(moved_again(branch))
}

/// What is said where a branch moved in every round.
pub(super) fn moved_again(branch: &str) -> Error {
    let message = format!("branch \"{}\" moved {ROUNDS} times meanwhile", ref_label(branch));
    Error::new(ErrorKind::Conflict, message).hint("run the statement again")
}

/// The options, with a property more.
pub(super) fn with_property(options: &CommitOptions, name: &str, value: String) -> CommitOptions {
    let mut options = options.clone();
    options.properties.push((name.to_owned(), value));
    options
}

/// One row: a text first, if there is one, then commits.
pub(super) fn answer(
    text: Option<(&'static str, &str)>,
    commits: &[(&'static str, CommitId)],
) -> Result<RecordBatch> {
    let text = text.map(|(name, value)| {
        (name, Arc::new(StringViewArray::from_iter_values([value])) as ArrayRef)
    });
    let number = |(name, commit): &(&'static str, CommitId)| {
        (*name, Arc::new(Int64Array::from(vec![commit.0 as i64])) as ArrayRef)
    };
    let columns = text.into_iter().chain(commits.iter().map(number));
    RecordBatch::try_from_iter(columns).map_err(fault::of_arrow)
}
