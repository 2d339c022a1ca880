//! SHOW BRANCHES, SHOW TAGS, SHOW LOG, DESCRIBE HISTORY: what there is and what happened.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringViewArray, TimestampMicrosecondArray};

use crate::error::Result;
use crate::fault;
use crate::spec::{Commit, CommitKind, Ref, RefKind, TableId};
use crate::store::{Snapshot, Store};

/// Rows that SHOW LOG gives where no LIMIT was said.
const LOG_ROWS: u64 = 100;

/// Branches or tags: name, commit, when the commit was made.
pub fn refs(store: &Store, kind: RefKind) -> Result<RecordBatch> {
    let mut refs = store.refs()?;
    refs.retain(|r| r.kind == kind);
    let mut made = Vec::with_capacity(refs.len());
    for r in &refs {
        made.push(store.commit_record(r.commit)?.time_us);
    }
    batch([
        ("name", texts(refs.iter().map(|r| r.name.clone()))),
        ("commit", numbers(refs.iter().map(|r| Some(r.commit.0)))),
        ("committed_at", times(made)),
        ("created_at", times(refs.iter().map(|r| r.created_us).collect())),
    ])
}

/// The branches or tags through which a table can be read: its own, and those of the database.
pub fn refs_of_table(store: &Store, table: TableId, kind: RefKind) -> Result<RecordBatch> {
    let mut refs = store.all_refs()?;
    refs.retain(|r| r.kind == kind && r.table().is_none_or(|own| own == table));
    let mut made = Vec::with_capacity(refs.len());
    for r in &refs {
        made.push(store.commit_record(r.commit)?.time_us);
    }
    let scope = |r: &Ref| if r.table().is_some() { "table" } else { "database" };
    batch([
        ("name", texts(refs.iter().map(|r| r.label().to_owned()))),
        ("commit", numbers(refs.iter().map(|r| Some(r.commit.0)))),
        ("committed_at", times(made)),
        ("created_at", times(refs.iter().map(|r| r.created_us).collect())),
        ("scope", texts(refs.iter().map(|r| scope(r).to_owned()))),
    ])
}

/// The commits behind a snapshot, newest first; of one table those that changed it, with what they did
/// to it.
pub fn log(from: &Snapshot, of: Option<TableId>, limit: Option<u64>) -> Result<RecordBatch> {
    let limit = limit.unwrap_or(LOG_ROWS);
    let mut commits: Vec<Commit> = Vec::new();
    from.store().history(from, |commit| {
        let mut commit = commit.clone();
        commit.changes.retain(|change| of.is_none_or(|of| of == change.table));
        let is_meant = of.is_none() || !commit.changes.is_empty();
        if commit.kind != CommitKind::Maintain && is_meant {
            commits.push(commit);
        }
        Ok((commits.len() as u64) < limit)
    })?;
    commits.truncate(limit as usize);
    let sum = |f: fn(&crate::spec::TableChange) -> u64| {
        numbers(commits.iter().map(move |c| Some(c.changes.iter().map(f).sum::<u64>())))
    };
    batch([
        ("commit", numbers(commits.iter().map(|c| Some(c.id.0)))),
        ("parent", numbers(commits.iter().map(|c| c.parent.map(|p| p.0)))),
        ("committed_at", times(commits.iter().map(|c| c.time_us).collect())),
        ("operation", texts(commits.iter().map(|c| operation(c.kind).to_owned()))),
        ("tables", numbers(commits.iter().map(|c| Some(c.changes.len() as u64)))),
        ("added_rows", sum(|change| change.added_rows)),
        ("deleted_rows", sum(|change| change.deleted_rows)),
        ("properties", texts(commits.iter().map(properties))),
    ])
}

/// The commits behind a snapshot that changed one table, newest first, as Delta shows them.
pub fn table(from: &Snapshot, table: TableId, limit: Option<u64>) -> Result<RecordBatch> {
    let limit = limit.unwrap_or(u64::MAX);
    let mut found = Vec::new();
    from.store().history(from, |commit| {
        let change = commit.changes.iter().find(|change| change.table == table);
        if let Some(change) = change.filter(|_| commit.kind != CommitKind::Maintain) {
            found.push((commit.clone(), *change));
        }
        Ok((found.len() as u64) < limit)
    })?;
    batch([
        ("version", numbers(found.iter().map(|(c, _)| Some(c.id.0)))),
        ("timestamp", times(found.iter().map(|(c, _)| c.time_us).collect())),
        ("userName", texts(found.iter().map(|(c, _)| user(c)))),
        ("operation", texts(found.iter().map(|(c, _)| operation(c.kind).to_owned()))),
        ("added_rows", numbers(found.iter().map(|(_, change)| Some(change.added_rows)))),
        ("deleted_rows", numbers(found.iter().map(|(_, change)| Some(change.deleted_rows)))),
        ("userMetadata", texts(found.iter().map(|(c, _)| properties(c)))),
    ])
}

fn operation(kind: CommitKind) -> &'static str {
    match kind {
        CommitKind::Append => "append",
        CommitKind::Overwrite => "overwrite",
        CommitKind::Delete => "delete",
        CommitKind::Schema => "ddl",
        CommitKind::Merge => "merge",
        CommitKind::Maintain => "maintain",
    }
}

fn user(commit: &Commit) -> String {
    let user = commit.properties.iter().find(|(name, _)| name == "user");
    user.map_or_else(String::new, |(_, user)| user.clone())
}

fn properties(commit: &Commit) -> String {
    let pairs: Vec<String> =
        commit.properties.iter().map(|(name, value)| format!("{name}={value}")).collect();
    pairs.join(", ")
}

fn texts(values: impl Iterator<Item = String>) -> ArrayRef {
    Arc::new(StringViewArray::from_iter_values(values))
}

fn numbers(values: impl Iterator<Item = Option<u64>>) -> ArrayRef {
    Arc::new(values.map(|v| v.map(|v| v as i64)).collect::<Int64Array>())
}

fn times(values: Vec<i64>) -> ArrayRef {
    Arc::new(TimestampMicrosecondArray::from(values).with_timezone("UTC"))
}

fn batch<const N: usize>(columns: [(&str, ArrayRef); N]) -> Result<RecordBatch> {
    RecordBatch::try_from_iter(columns).map_err(fault::of_arrow)
}
