//! fast_forward: a table, or a whole branch, moves up to where another branch has it.

use arrow::array::RecordBatch;

use super::Calling;
use super::arguments::Arguments;
use super::on_table::{answer, change, table, with_property};
use crate::command::refs;
use crate::error::{Error, ErrorKind, Result};
use crate::spec::{CommitId, TableId};
use crate::store::{FORWARD_PROPERTY, Snapshot, TableAhead, Transaction};

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
        Some(name) => on_table(calling, &name, &branch, &to).await?,
    };
    answer(Some(("branch_updated", &branch)), &[("previous_ref", before), ("updated_ref", after)])
}

async fn on_table(
    calling: &Calling<'_>,
    name: &str,
    branch: &str,
    to: &str,
) -> Result<(CommitId, CommitId)> {
    let store = calling.reading.snapshot.store();
    let source = store.at_ref(to)?;
    // A table that only one of the branches has is found there.
    let reading = calling.reading.at(source.clone());
    let there = Calling { reading: &reading, ..*calling };
    let id = match table(calling, name) {
        Ok((table, _)) => table.id(),
        Err(error) => match table(&there, name) {
            Ok((table, _)) => table.id(),
            Err(_) => return Err(error),
        },
    };
    let options = with_property(calling.options, FORWARD_PROPERTY, source.commit().to_string());
    change(store, branch, &options, |head| move_up(head, &source, id, name, (branch, to))).await
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
            (Some(own), Some(other)) => _ = transaction.restore_table(&own, &other)?,
            (None, Some(other)) => transaction.undrop_table(&other)?,
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
