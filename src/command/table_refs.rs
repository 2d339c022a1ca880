//! Branches and tags of one table alone: made, dropped, renamed.

use datafusion::execution::session_state::SessionState;
use datafusion::sql::sqlparser::ast::ObjectName;

use super::refs::{retention, version_for};
use super::view_refs::refuse_read;
use crate::error::{Error, ErrorKind, Result};
use crate::parse::CreateRef;
use crate::plan::time_travel::name_parts;
use crate::plan::{Reading, names};
use crate::spec::{RefKind, TableId, table_ref};
use crate::store::NewRef;

/// The table that a statement about its branches names.
///
/// # Errors
/// UndefinedTable; WrongState for what is no table.
pub fn table_of(reading: &Reading, name: &ObjectName) -> Result<TableId> {
    let parts = name_parts(name)?;
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    match names::resolve(reading, &parts, None)? {
        names::Named::Table(table, _) if parts.last() == Some(&table.schema().name.as_str()) => {
            Ok(table.id())
        }
        _ => Err(Error::new(ErrorKind::WrongState, format!("\"{name}\" is not a table"))
            .hint("branches and tags are of tables: ALTER TABLE t CREATE BRANCH b")),
    }
}

/// ALTER TABLE t CREATE BRANCH, CREATE TAG; false where it was there and IF NOT EXISTS was said.
///
/// # Errors
/// UndefinedTable, DuplicateObject, InvalidName; UndefinedObject for where it starts, and where the
/// table is not there at that version.
pub async fn create(
    reading: &Reading,
    state: &SessionState,
    table: &ObjectName,
    create: &CreateRef,
) -> Result<bool> {
    let id = table_of(reading, table)?;
    let store = reading.snapshot.store();
    let name = table_ref(id, &create.name);
    let exists = store.refs_of(id)?.iter().any(|r| r.name == name);
    if exists && create.if_not_exists && !create.or_replace {
        return Ok(false);
    }
    let at = match &create.from {
        Some(spec) => version_for(reading, state, Some(id), spec)?,
        None => reading.snapshot.clone(),
    };
    if at.table_by_id(id)?.is_none() {
        let message = format!("table \"{table}\" does not exist at commit {}", at.commit());
        return Err(Error::new(ErrorKind::UndefinedObject, message)
            .hint("SELECT snapshot_id FROM t.snapshots lists the commits it has"));
    }
    let kind = if create.tag { RefKind::Tag } else { RefKind::Branch };
    let (at, retention) = (at.commit(), retention(create));
    store.make_ref(NewRef { name, kind, at, retention, replace: create.or_replace }).await?;
    Ok(true)
}

/// ALTER TABLE t DROP BRANCH, DROP TAG; false where it was not there and IF EXISTS was said.
///
/// # Errors
/// UndefinedTable, UndefinedObject; WrongState for a protected one.
pub async fn drop(
    reading: &Reading,
    table: &ObjectName,
    tag: bool,
    label: &str,
    if_exists: bool,
) -> Result<bool> {
    let id = table_of(reading, table)?;
    let store = reading.snapshot.store();
    let name = table_ref(id, label);
    if if_exists && !store.refs_of(id)?.iter().any(|r| r.name == name) {
        return Ok(false);
    }
    let kind = if tag { RefKind::Tag } else { RefKind::Branch };
    refuse_read(store, &name, kind, "drop")?;
    store.drop_ref(&name, kind).await.map(|()| true)
}

/// ALTER BRANCH b IN TABLE t RENAME TO c.
///
/// # Errors
/// UndefinedTable, UndefinedObject, DuplicateObject, InvalidName.
pub async fn rename(reading: &Reading, table: &ObjectName, label: &str, to: &str) -> Result<()> {
    let id = table_of(reading, table)?;
    let store = reading.snapshot.store();
    refuse_read(store, &table_ref(id, label), RefKind::Branch, "rename")?;
    store.rename_ref(&table_ref(id, label), &table_ref(id, to)).await
}
