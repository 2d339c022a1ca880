//! expire_snapshots(snapshot_ids => …): history goes from its beginning, so ids can go that leave no older
//! one behind.

use crate::error::{Error, ErrorKind, Result};
use crate::spec::{Commit, CommitId, CommitKind, TableId};
use crate::store::Snapshot;

/// When the oldest commit was made that stays if these go: µs since 1970-01-01 UTC. None where all of
/// them have gone already. Of a table only commits that changed it count.
///
/// # Errors
/// UndefinedObject for what is no commit behind `at`; NotSupported for the newest, and for one that has
/// an older one before it that stays.
pub(super) fn time_of_first_kept(
    at: &Snapshot,
    table: Option<TableId>,
    ids: &[i64],
) -> Result<Option<i64>> {
    let mut shown: Vec<Commit> = Vec::new();
    at.store().history(at, |commit| {
        let is_meant =
            table.is_none_or(|table| commit.changes.iter().any(|change| change.table == table));
        if commit.kind != CommitKind::Maintain && is_meant {
            shown.push(commit.clone());
        }
        Ok(true)
    })?;
    shown.reverse();
    let goes = |commit: &Commit| ids.iter().any(|id| CommitId(*id as u64) == commit.id);
    for id in ids {
        check_there(at, &shown, *id)?;
    }
    let kept = shown.iter().position(|commit| !goes(commit));
    let last = shown.iter().rposition(goes);
    match (kept, last) {
        (_, None) => Ok(None),
        (None, Some(newest)) => {
            Err(not_alone(&shown[newest], "it is the newest one, which is read")
                .hint("leave it out"))
        }
        (Some(kept), Some(last)) if last > kept => {
            let why = format!("commit {} before it would stay", shown[kept].id);
            Err(not_alone(&shown[last], &why).hint(
                "history goes from its beginning: name the older ones as well, or say older_than",
            ))
        }
        (Some(kept), Some(_)) => Ok(Some(shown[kept].time_us)),
    }
}

fn not_alone(commit: &Commit, why: &str) -> Error {
    let message = format!("commit {} cannot expire: {why}", commit.id);
    Error::new(ErrorKind::NotSupported, message)
}

/// A commit that has expired already may be named again.
fn check_there(at: &Snapshot, shown: &[Commit], id: i64) -> Result<()> {
    let is_shown = shown.iter().any(|commit| commit.id.0 as i64 == id);
    let is_gone = shown.first().is_some_and(|first| id > 0 && (id as u64) < first.id.0);
    if is_shown || is_gone {
        return Ok(());
    }
    let message = format!("commit {id} is none of those behind commit {}", at.commit());
    Err(Error::new(ErrorKind::UndefinedObject, message)
        .hint("SHOW LOG, and t.snapshots for one table, list them"))
}
