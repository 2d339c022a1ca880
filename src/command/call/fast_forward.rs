//! fast_forward: a table, or a whole branch, moves up to where another branch has it.

use arrow::array::RecordBatch;

use super::Calling;
use super::arguments::Arguments;
use super::on_table::{answer, change, table, with_property};
use crate::command::refs;
use crate::error::{Error, ErrorKind, Result};
use crate::plan::Reading;
use crate::spec::{CommitId, TableId};
use crate::store::{CommitOptions, FORWARD_PROPERTY, Snapshot, TableAhead, Transaction};

pub(super) const USAGE: &str = "fast_forward(table, branch, to)";

pub(super) async fn call(calling: &Calling<'_>) -> Result<RecordBatch> {
    let arguments = Arguments::of(calling, USAGE)?;
    let (branch, to) = (arguments.needed_text("branch")?, arguments.needed_text("to")?);
    let store = calling.reading.snapshot.store();
    let (before, after) = match arguments.text("table") {
        None => {
            let before = store.head(&branch)?.commit();
            refs::fast_forward(calling.reading, &branch, &to).await?;
            (before, store.head(&branch)?.commit())
        }
        Some(name) => {
            forward_table(calling.reading, calling.options, &name, (&branch, &to)).await?
        }
    };
    answer(Some(("branch_updated", &branch)), &[("previous_ref", before), ("updated_ref", after)])
}

/// A table's version on a branch becomes another's: the table's own refs of these names, else the
/// database's. Where it was, and where it is.
///
/// # Errors
/// UndefinedTable, UndefinedObject; WrongState where it would not be forward, with the arguments the
/// right way round where they are reversed.
pub async fn forward_table(
    reading: &Reading,
    options: &CommitOptions,
    name: &str,
    (branch, to): (&str, &str),
) -> Result<(CommitId, CommitId)> {
    let store = reading.snapshot.store();
    // Which branch the session is on does not matter to a table that is told which.
    let here = Reading { table_branch: None, ..reading.clone() };
    let id = match table(&here, name) {
        Ok((table, _)) => table.id(),
        // A table that only one of the branches has is found there.
        Err(error) => match store.find_ref(to)? {
            Some(found) => {
                table(&here.at(store.at_ref(&found.name)?), name).map_err(|_| error)?.0.id()
            }
            None => return Err(error),
        },
    };
    let source = store.at_ref(&store.ref_for(id, to)?.name)?;
    let target = store.ref_for(id, branch)?.name;
    let options = with_property(options, FORWARD_PROPERTY, source.commit().to_string());
    change(store, &target, &options, |head| move_up(head, &source, id, name, (branch, to))).await
}

fn move_up(
    head: &Snapshot,
    source: &Snapshot,
    id: TableId,
    name: &str,
    (branch, to): (&str, &str),
) -> Result<Transaction> {
    let mut transaction = head.store().begin(head)?;
    match head.store().table_ahead(id, head, source)? {
        TableAhead::Same => {}
        TableAhead::Other => match (head.table_by_id(id)?, source.table_by_id(id)?) {
            (Some(own), Some(other)) => _ = transaction.restore_table(&own, &other, source)?,
            (None, Some(other)) => transaction.undrop_table(&other, source)?,
            (_, None) => {}
        },
        TableAhead::Own => {
            let message = format!("table \"{name}\" of \"{to}\" lies behind that of \"{branch}\"");
            return Err(Error::new(ErrorKind::WrongState, message)
                .hint(format!("to move \"{to}\" up to \"{branch}\", swap the two arguments")));
        }
        TableAhead::Apart => {
            let message =
                format!("table \"{name}\" was changed on \"{branch}\" and on \"{to}\" both");
            return Err(Error::new(ErrorKind::WrongState, message)
                .hint("a fast-forward only adds; MERGE BRANCH joins two histories"));
        }
    }
    Ok(transaction)
}
