//! cherrypick_snapshot, publish_changes: what one commit changed, on another branch.

use arrow::array::RecordBatch;

use super::Calling;
use super::arguments::Arguments;
use super::on_table::{answer, branch_of, moved_again, table, with_property};
use crate::command::merge::{ROUNDS, hold_to_rules};
use crate::error::{Error, ErrorKind, Result};
use crate::spec::{CommitId, TableId, ref_label};
use crate::store::{CommitOptions, Joining, Snapshot, Version, check_unprotected};

pub(super) const USAGE: &str = "cherrypick_snapshot(table, snapshot_id)";
pub(super) const PUBLISH_CHANGES: &str = "publish_changes(table, wap_id)";

/// What Iceberg's writers call the property that names a change to be published.
const WAP_ID: &str = "wap.id";
const PUBLISHED_WAP_ID: &str = "published-wap-id";
const SOURCE: &str = "source-snapshot-id";

pub(super) async fn call(calling: &Calling<'_>) -> Result<RecordBatch> {
    let arguments = Arguments::of(calling, USAGE)?;
    let number = arguments.needed_commit("snapshot_id")?;
    pick(calling, arguments.text("table"), number, calling.options).await
}

pub(super) async fn publish_changes(calling: &Calling<'_>) -> Result<RecordBatch> {
    let arguments = Arguments::of(calling, PUBLISH_CHANGES)?;
    let wap_id = arguments.needed_text("wap_id")?;
    let store = calling.reading.snapshot.store();
    let name = arguments.text("table");
    let found = name.as_deref().map(|name| table(calling.reading, name)).transpose()?;
    let of = found.map(|(table, _)| table.id());
    if let Some(commit) = store.find_property(PUBLISHED_WAP_ID, &wap_id, of)? {
        let message = format!("\"{wap_id}\" was published by commit {commit}");
        return Err(Error::new(ErrorKind::WrongState, message));
    }
    let Some(commit) = store.find_property(WAP_ID, &wap_id, of)? else {
        let message = format!("no commit has the property {WAP_ID} = '{wap_id}'");
        return Err(Error::new(ErrorKind::UndefinedObject, message)
            .hint(format!("SET asofdb.commit.{WAP_ID} = '{wap_id}' before it is written")));
    };
    let options = with_property(calling.options, PUBLISHED_WAP_ID, wap_id);
    pick(calling, name, commit.0, &options).await
}

async fn pick(
    calling: &Calling<'_>,
    name: Option<String>,
    number: u64,
    options: &CommitOptions,
) -> Result<RecordBatch> {
    let store = calling.reading.snapshot.store();
    let picked = store.resolve(&calling.reading.snapshot, &Version::Commit(number))?;
    let (only, branch) = match &name {
        Some(name) => {
            let (table, branch) = table(calling.reading, name)?;
            check_changed(&picked, table.id(), name)?;
            (Some(table.id()), branch)
        }
        // What was made on a branch of one table changed that one.
        None => {
            let only = store.commit_record(picked.commit())?.only;
            (only, branch_of(&calling.reading.snapshot)?)
        }
    };
    let options = with_property(options, SOURCE, number.to_string());
    if let Some(target) = store.ref_of_full_name(&branch)? {
        check_unprotected(&target, "written")?;
    }
    for _ in 0..ROUNDS {
        let head = store.head(&branch)?;
        if let Joining::UpToDate = store.joining(&head, picked.commit(), only)? {
            let branch = ref_label(&branch);
            let message = format!("branch \"{branch}\" has commit {number} in its past already");
            return Err(Error::new(ErrorKind::WrongState, message)
                .hint("pick commits of other branches; RESTORE TABLE goes back to one's own"));
        }
        let merged = store.cherry_pick(&picked, &head, only)?;
        let by_hand = || "nothing was changed; make the change by hand".to_owned();
        merged.check_decided(&format!("commit {number}"), by_hand)?;
        hold_to_rules(calling.reading, calling.state, &merged).await?;
        if let Some(after) = store.commit_joined(merged.transaction, &options, false).await? {
            let picked = ("source_snapshot_id", CommitId(number));
            return answer(None, &[picked, ("current_snapshot_id", after)]);
        }
    }
    Err(moved_again(&branch))
}

fn check_changed(picked: &Snapshot, table: TableId, name: &str) -> Result<()> {
    let record = picked.store().commit_record(picked.commit())?;
    if record.changes.iter().any(|change| change.table == table) {
        return Ok(());
    }
    let message = format!("commit {} did not change table \"{name}\"", picked.commit());
    Err(Error::new(ErrorKind::WrongState, message)
        .hint(format!("SELECT snapshot_id FROM {name}.snapshots lists those that did")))
}
