//! RESTORE TABLE, UNDROP TABLE: tables as they were.

use std::sync::Arc;

use datafusion::sql::sqlparser::ast::ObjectName;

use super::Writing;
use super::refs::version_for;
use super::table::place;
use crate::error::{Error, ErrorKind, Result};
use crate::parse::RestoreTable;
use crate::plan::names;
use crate::plan::time_travel::name_parts;
use crate::store::{Snapshot, Table};

/// RESTORE TABLE t TO a version: its rows and its shape are those it had; false where they are.
///
/// # Errors
/// UndefinedTable, also where it was not there then; UndefinedObject, InvalidValue.
pub fn restore(writing: &mut Writing<'_>, restore: &RestoreTable) -> Result<bool> {
    let parts = name_parts(&restore.table.name)?;
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    let (named, _) = names::table(&writing.reading.at(writing.transaction.snapshot()), &parts)?;
    let table = table_then(&named, &writing.transaction.snapshot())?;
    // A branch named here is what it has committed: what this transaction wrote goes.
    let own = Some(named.id());
    let at = version_for(&writing.reading, writing.state, own, &restore.to)?.as_committed();
    let then = table_then(&table, &at)?;
    writing.transaction.restore_table(&table, &then, &at)
}

/// A table as it was at a snapshot.
///
/// # Errors
/// UndefinedTable where it was not there.
pub fn table_then(table: &Table, at: &Snapshot) -> Result<Arc<Table>> {
    at.table_by_id(table.id())?.ok_or_else(|| {
        let name = &table.schema().name;
        let message = format!("table \"{name}\" did not exist at commit {}", at.commit());
        Error::new(ErrorKind::UndefinedTable, message)
            .hint(format!("SELECT snapshot_id FROM {name}.snapshots lists the commits that did"))
    })
}

/// UNDROP TABLE t: the last table of this name that this branch dropped is there again.
///
/// # Errors
/// UndefinedTable where none was dropped; DuplicateTable where the name was given away, or the table
/// is back under another.
pub fn undrop(writing: &mut Writing<'_>, name: &ObjectName) -> Result<()> {
    let (namespace, name) = place(&writing.reading, name)?;
    let snapshot = &writing.reading.snapshot;
    let dropped = match writing.transaction.dropped_table(&namespace, &name)? {
        Some(dropped) => Some(dropped),
        None => snapshot.store().last_dropped(snapshot, &namespace, &name)?,
    };
    let (dropped, was) = dropped.ok_or_else(|| {
        let message = format!("no table \"{name}\" was dropped on this branch");
        Error::new(ErrorKind::UndefinedTable, message)
            .hint("a table of another branch: CREATE TABLE … CLONE t@branch")
    })?;
    if let Some(there) = writing.transaction.snapshot().table_by_id(dropped.id())?
        && there.schema().name != name
    {
        let message = format!("table \"{name}\" is back already, as \"{}\"", there.schema().name);
        return Err(Error::new(ErrorKind::DuplicateTable, message)
            .hint("RESTORE TABLE makes it what it was; CREATE TABLE … CLONE makes a second one"));
    }
    writing.transaction.undrop_table(&dropped, &was).map_err(|error| match error.kind() {
        ErrorKind::DuplicateTable => {
            error.hint("rename or drop the table that has the name now, then UNDROP again")
        }
        _ => error,
    })
}
