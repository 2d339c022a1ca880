//! ancestors_of: the commits behind one, newest first.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch};

use super::Calling;
use super::arguments::Arguments;
use crate::error::Result;
use crate::fault;
use crate::plan::names;
use crate::spec::CommitKind;
use crate::store::Version;

pub(super) const USAGE: &str = "ancestors_of(table, snapshot_id)";

pub(super) fn call(calling: &Calling<'_>) -> Result<RecordBatch> {
    let arguments = Arguments::of(calling, USAGE)?;
    let store = calling.reading.snapshot.store();
    let mut from = calling.reading.snapshot.clone();
    let table = match arguments.text("table") {
        Some(name) => {
            let parts: Vec<&str> = name.split('.').collect();
            let (table, at) = names::table(calling.reading, &parts)?;
            from = at.unwrap_or(from);
            Some(table.id())
        }
        None => None,
    };
    if let Some(number) = arguments.commit("snapshot_id")? {
        from = store.resolve(&from, &Version::Commit(number))?;
    }
    let (mut ids, mut times) = (Vec::new(), Vec::new());
    store.history(&from, |commit| {
        let changed = |id| commit.changes.iter().any(|change| change.table == id);
        if commit.kind != CommitKind::Maintain && table.is_none_or(changed) {
            ids.push(commit.id.0 as i64);
            // Iceberg's column is in ms.
            times.push(commit.time_us / 1000);
        }
        Ok(true)
    })?;
    RecordBatch::try_from_iter([
        ("snapshot_id", Arc::new(Int64Array::from(ids)) as ArrayRef),
        ("timestamp", Arc::new(Int64Array::from(times)) as ArrayRef),
    ])
    .map_err(fault::of_arrow)
}
