//! rollback_to_snapshot, rollback_to_timestamp, set_current_snapshot: a table, or a whole branch, as it
//! was.

use arrow::array::RecordBatch;

use super::Calling;
use super::arguments::Arguments;
use super::on_table::{answer, branch_of, change, table};
use crate::command::past::table_then;
use crate::error::{Error, ErrorKind, Result};
use crate::spec::ref_label;
use crate::store::{Snapshot, Version};

pub(super) const TO_SNAPSHOT: &str = "rollback_to_snapshot(table, snapshot_id)";
pub(super) const TO_TIMESTAMP: &str = "rollback_to_timestamp(table, timestamp)";
pub(super) const SET_CURRENT: &str = "set_current_snapshot(table, snapshot_id, ref)";

pub(super) async fn to_snapshot(calling: &Calling<'_>) -> Result<RecordBatch> {
    let arguments = Arguments::of(calling, TO_SNAPSHOT)?;
    let number = arguments.needed_commit("snapshot_id")?;
    back(calling, arguments.text("table"), &Version::Commit(number), true).await
}

pub(super) async fn to_timestamp(calling: &Calling<'_>) -> Result<RecordBatch> {
    let arguments = Arguments::of(calling, TO_TIMESTAMP)?;
    let time_us = arguments.needed_time("timestamp", calling)?;
    back(calling, arguments.text("table"), &Version::Time(time_us), true).await
}

pub(super) async fn set_current(calling: &Calling<'_>) -> Result<RecordBatch> {
    let arguments = Arguments::of(calling, SET_CURRENT)?;
    let version = match (arguments.commit("snapshot_id")?, arguments.text("ref")) {
        (Some(number), None) => Version::Commit(number),
        (None, Some(name)) => Version::Ref(name),
        _ => return Err(arguments.wrong("say either snapshot_id or ref".to_owned())),
    };
    back(calling, arguments.text("table"), &version, false).await
}

/// `own`: only to where the branch itself has been.
async fn back(
    calling: &Calling<'_>,
    name: Option<String>,
    version: &Version,
    own: bool,
) -> Result<RecordBatch> {
    let store = calling.reading.snapshot.store();
    let (found, branch) = match &name {
        Some(name) => table(calling.reading, name).map(|(table, branch)| (Some(table), branch))?,
        None => (None, branch_of(&calling.reading.snapshot)?),
    };
    let head = store.head(&branch)?;
    let to = match (version, &found) {
        (Version::Ref(label), Some(table)) => {
            let own = store.ref_for(table.id(), label)?.name;
            store.resolve(&head, &Version::Ref(own))?
        }
        _ => store.resolve(&head, version)?,
    };
    if own && !store.was_on(&head, to.commit())? {
        return Err(not_its_own(&branch, &to));
    }
    let (before, after) = match found {
        None => {
            store.reset(&branch, to.commit()).await?;
            (head.commit(), to.commit())
        }
        Some(table) => {
            change(store, &branch, calling.options, |head| {
                let mut transaction = store.begin(head)?;
                let now = table_then(&table, head)?;
                let then = table_then(&table, &to)?;
                transaction.restore_table(&now, &then, &to)?;
                Ok(transaction)
            })
            .await?
        }
    };
    answer(None, &[("previous_snapshot_id", before), ("current_snapshot_id", after)])
}

fn not_its_own(branch: &str, to: &Snapshot) -> Error {
    let (commit, branch) = (to.commit(), ref_label(branch));
    let message = format!("commit {commit} is not in the past of branch \"{branch}\"");
    Error::new(ErrorKind::WrongState, message)
        .hint("system.set_current_snapshot takes any commit; SHOW LOG lists the branch's own")
}
