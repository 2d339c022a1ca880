//! t.snapshots, t.history, t.refs, t.metadata_log_entries: what happened to a table.

use std::collections::HashSet;
use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::datatypes::DataType;

use super::build::{Built, batch, maps, numbers, retention, texts, times, truths};
use crate::error::Result;
use crate::spec::{Commit, CommitId, CommitKind, Ref, RefKind, TableChange, ref_label};
use crate::store::{Snapshot, Table};

/// A commit that changed the table, how, and the ref it was first met on.
type Change = (Commit, TableChange, String);

/// The commits that changed a table, each once, oldest first: behind a branch those of every living
/// ref, else only the snapshot's own past.
fn changes(table: &Table, at: &Snapshot) -> Result<Vec<Change>> {
    let store = at.store();
    let mut seen: HashSet<CommitId> = HashSet::new();
    let mut found = Vec::new();
    let mut walk = |from: &Snapshot, name: &str| {
        store.history(from, |commit| {
            let is_kept = commit.id == from.commit() || store.shows_table(commit.id, table.id())?;
            if !seen.insert(commit.id) || !is_kept {
                return Ok(false);
            }
            let change = commit.changes.iter().find(|change| change.table == table.id());
            if let Some(change) = change.filter(|_| commit.kind != CommitKind::Maintain) {
                found.push((commit.clone(), *change, ref_label(name).to_owned()));
            }
            Ok(true)
        })
    };
    let own = at.reference().map_or("", |(name, _)| name);
    walk(at, own)?;
    if matches!(at.reference(), Some((_, RefKind::Branch))) {
        for target in refs_showing(table, at)? {
            walk(&store.at_ref(&target.name)?, &target.name)?;
        }
    }
    found.sort_by_key(|(commit, _, _)| commit.id);
    Ok(found)
}

/// The refs through which a table can be read: those of the database, and its own.
fn refs_showing(table: &Table, at: &Snapshot) -> Result<Vec<Ref>> {
    let mut refs = at.store().all_refs()?;
    refs.retain(|r| r.table().is_none_or(|own| own == table.id()));
    Ok(refs)
}

/// What a commit did, in Iceberg's words.
pub fn operation(kind: CommitKind) -> &'static str {
    match kind {
        CommitKind::Append => "append",
        CommitKind::Overwrite | CommitKind::Merge => "overwrite",
        CommitKind::Delete => "delete",
        CommitKind::Schema => "ddl",
        CommitKind::Maintain => "replace",
    }
}

pub(super) fn snapshots(table: &Table, at: &Snapshot) -> Result<Built> {
    let found = changes(table, at)?;
    let mut summaries = Vec::with_capacity(found.len());
    for change in &found {
        summaries.push(summary(change, at)?);
    }
    let summary = match maps(summaries.into_iter()) {
        Ok(summary) => summary,
        Err(error) => return Ok(Err(error)),
    };
    let manifest = arrow::array::new_null_array(&DataType::Utf8View, found.len());
    let property = |name: &'static str| {
        super::build::maybe_texts(found.iter().map(move |(c, _, _)| said(c, name)))
    };
    Ok(batch([
        ("committed_at", times(found.iter().map(|(c, _, _)| c.time_us)), false),
        ("snapshot_id", numbers(found.iter().map(|(c, _, _)| Some(c.id.0))), false),
        ("parent_id", numbers(found.iter().map(|(c, _, _)| c.parent.map(|p| p.0))), true),
        ("operation", texts(found.iter().map(|(c, _, _)| operation(c.kind))), false),
        ("manifest_list", manifest, true),
        ("summary", summary, false),
        ("branch", texts(found.iter().map(|(_, _, name)| name.as_str())), false),
        ("author", property("user"), true),
        ("message", property("message"), true),
        ("run_id", property("run_id"), true),
    ]))
}

/// What a commit says of itself under a name; `run-id` is `run_id` too.
fn said(commit: &Commit, name: &str) -> Option<String> {
    let same = |known: &str| known == name || known.replace('-', "_") == name;
    commit.properties.iter().find(|(known, _)| same(known)).map(|(_, value)| value.clone())
}

/// Counts, then what the writer said, under its own name and under Spark's.
fn summary((commit, change, _): &Change, at: &Snapshot) -> Result<Vec<(String, String)>> {
    let store = at.store();
    let state = |id| store.table_version(id);
    let before = match commit.parent {
        Some(parent) if store.shows_table(parent, change.table)? => change.old,
        _ => None,
    };
    let (new, old) = (change.new.map(state).transpose()?, before.map(state).transpose()?);
    let segments = |table: &Option<Arc<Table>>| -> HashSet<u64> {
        table.iter().flat_map(|t| t.segments().iter().map(|s| s.meta.id.0)).collect()
    };
    let (before, after) = (segments(&old), segments(&new));
    let bytes: u64 = new
        .iter()
        .flat_map(|t| t.segments())
        .filter(|s| !before.contains(&s.meta.id.0))
        .map(|s| s.meta.file.bytes)
        .sum();
    let total = new.as_ref().map_or(0, |table| table.row_count());
    let counts = [
        ("added-records", change.added_rows),
        ("deleted-records", change.deleted_rows),
        ("total-records", total),
        ("added-data-files", after.difference(&before).count() as u64),
        ("deleted-data-files", before.difference(&after).count() as u64),
        ("total-data-files", after.len() as u64),
        ("added-files-size", bytes),
    ];
    let mut entries: Vec<(String, String)> =
        counts.iter().map(|(name, value)| ((*name).to_owned(), value.to_string())).collect();
    for (name, value) in &commit.properties {
        entries.push((name.clone(), value.clone()));
        if !name.starts_with("spark.snapshot-property.") {
            entries.push((format!("spark.snapshot-property.{name}"), value.clone()));
        }
    }
    Ok(entries)
}

pub(super) fn history(table: &Table, at: &Snapshot) -> Result<Built> {
    let store = at.store();
    let mut moves: Vec<(i64, CommitId)> = Vec::new();
    for step in store.table_history(at, table.id())?.steps {
        moves.push((step.time_us, step.commit));
    }
    let mut parents = Vec::with_capacity(moves.len());
    let mut current = Vec::with_capacity(moves.len());
    for (_, commit) in &moves {
        parents.push(store.commit_record(*commit)?.parent.map(|p| p.0));
        current.push(store.is_ancestor(*commit, at.commit())?);
    }
    Ok(batch([
        ("made_current_at", times(moves.iter().map(|(time_us, _)| *time_us)), false),
        ("snapshot_id", numbers(moves.iter().map(|(_, commit)| Some(commit.0))), false),
        ("parent_id", numbers(parents.into_iter()), true),
        ("is_current_ancestor", truths(current.into_iter()), false),
    ]))
}

pub(super) fn refs(table: &Table, at: &Snapshot) -> Result<Built> {
    let refs = refs_showing(table, at)?;
    let kind = |kind| if kind == RefKind::Branch { "BRANCH" } else { "TAG" };
    let scope = |r: &Ref| if r.table().is_some() { "table" } else { "database" };
    let [age, commits, commits_age] = retention(refs.iter().map(|r| &r.retention));
    Ok(batch([
        ("name", texts(refs.iter().map(|r| r.label())), false),
        ("type", texts(refs.iter().map(|r| kind(r.kind))), false),
        ("snapshot_id", numbers(refs.iter().map(|r| Some(r.commit.0))), false),
        age,
        commits,
        commits_age,
        ("scope", texts(refs.iter().map(scope)), false),
        ("protected", truths(refs.iter().map(|r| r.protected)), false),
    ]))
}

/// A row a state of the table; the log is the one file there is.
pub(super) fn metadata_log_entries(table: &Table, at: &Snapshot) -> Result<Built> {
    let found = changes(table, at)?;
    let mut schemas = Vec::with_capacity(found.len());
    for (_, change, _) in &found {
        let state = change.new.map(|id| at.store().table_version(id)).transpose()?;
        schemas.push(state.map(|table| table.schema().id.0));
    }
    let file: ArrayRef = texts(found.iter().map(|_| "catalog.redb"));
    Ok(batch([
        ("timestamp", times(found.iter().map(|(c, _, _)| c.time_us)), false),
        ("file", file, false),
        ("latest_snapshot_id", numbers(found.iter().map(|(c, _, _)| Some(c.id.0))), false),
        ("latest_schema_id", numbers(schemas.into_iter()), true),
        ("latest_sequence_number", numbers(found.iter().map(|(c, _, _)| Some(c.id.0))), false),
    ]))
}
