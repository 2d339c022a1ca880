//! Tables about a table: its snapshots, and the refs that show it. Columns are named as in Iceberg.

use std::collections::HashSet;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, Int64Array, MapBuilder, RecordBatch, StringBuilder, StringViewArray,
    TimestampMicrosecondArray,
};
use datafusion::catalog::{MemTable, TableProvider};

use crate::error::Result;
use crate::fault;
use crate::spec::{Commit, CommitId, CommitKind, RefKind, TableChange};
use crate::store::{Snapshot, Table};

/// Which table about a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The commits that changed the table, on any living ref.
    Snapshots,
    /// Which commits the branch showed, and since when.
    History,
    /// Branches and tags.
    Refs,
}

impl Kind {
    /// The kind that this name asks for.
    pub fn of_name(name: &str) -> Option<Kind> {
        match name {
            "snapshots" => Some(Kind::Snapshots),
            "history" => Some(Kind::History),
            "refs" => Some(Kind::Refs),
            _ => None,
        }
    }
}

/// The rows of a table about a table, as one snapshot has them.
pub fn provider(kind: Kind, table: &Table, at: &Snapshot) -> Result<Arc<dyn TableProvider>> {
    let batch = match kind {
        Kind::Snapshots => snapshots(table, at)?,
        Kind::History => history(table, at)?,
        Kind::Refs => refs(at)?,
    };
    let batch = batch.map_err(fault::of_arrow)?;
    let table = MemTable::try_new(batch.schema(), vec![vec![batch]]);
    Ok(Arc::new(table.map_err(fault::of_datafusion)?))
}

type Built = Result<RecordBatch, arrow::error::ArrowError>;

fn times(values: impl Iterator<Item = i64>) -> ArrayRef {
    Arc::new(TimestampMicrosecondArray::from_iter_values(values).with_timezone("UTC"))
}

fn numbers(values: impl Iterator<Item = Option<u64>>) -> ArrayRef {
    Arc::new(values.map(|v| v.map(|v| v as i64)).collect::<Int64Array>())
}

fn texts<'a>(values: impl Iterator<Item = &'a str>) -> ArrayRef {
    Arc::new(StringViewArray::from_iter_values(values))
}

/// The commits behind every living ref that changed a table, each once, oldest first, with the ref
/// it was first met on.
fn changes(table: &Table, at: &Snapshot) -> Result<Vec<(Commit, TableChange, String)>> {
    let store = at.store();
    let mut seen: HashSet<CommitId> = HashSet::new();
    let mut found = Vec::new();
    let mut walk = |from: &Snapshot, name: &str| {
        store.history(from, |commit| {
            if !seen.insert(commit.id) {
                return Ok(false);
            }
            let change = commit.changes.iter().find(|change| change.table == table.id());
            if let Some(change) = change.filter(|_| commit.kind != CommitKind::Maintain) {
                found.push((commit.clone(), *change, name.to_owned()));
            }
            Ok(true)
        })
    };
    let own = at.reference().map_or_else(String::new, |(name, _)| name.to_owned());
    walk(at, &own)?;
    for target in store.refs()? {
        walk(&store.at_ref(&target.name)?, &target.name)?;
    }
    found.sort_by_key(|(commit, _, _)| commit.id);
    Ok(found)
}

fn operation(kind: CommitKind) -> &'static str {
    match kind {
        CommitKind::Append => "append",
        CommitKind::Overwrite | CommitKind::Merge => "overwrite",
        CommitKind::Delete => "delete",
        CommitKind::Schema => "ddl",
        CommitKind::Maintain => "replace",
    }
}

fn snapshots(table: &Table, at: &Snapshot) -> Result<Built> {
    let found = changes(table, at)?;
    let mut summary = MapBuilder::new(None, StringBuilder::new(), StringBuilder::new());
    let mut total = 0u64;
    for (commit, change, _) in &found {
        total = total.saturating_add(change.added_rows).saturating_sub(change.deleted_rows);
        let mut entry = |name: &str, value: &str| {
            summary.keys().append_value(name);
            summary.values().append_value(value);
        };
        entry("added-records", &change.added_rows.to_string());
        entry("deleted-records", &change.deleted_rows.to_string());
        entry("total-records", &total.to_string());
        for (name, value) in &commit.properties {
            entry(name, value);
            if !name.starts_with("spark.snapshot-property.") {
                entry(&format!("spark.snapshot-property.{name}"), value);
            }
        }
        if let Err(error) = summary.append(true) {
            return Ok(Err(error));
        }
    }
    let manifest = arrow::array::new_null_array(&arrow::datatypes::DataType::Utf8View, found.len());
    Ok(RecordBatch::try_from_iter_with_nullable([
        ("committed_at", times(found.iter().map(|(c, _, _)| c.time_us)), false),
        ("snapshot_id", numbers(found.iter().map(|(c, _, _)| Some(c.id.0))), false),
        ("parent_id", numbers(found.iter().map(|(c, _, _)| c.parent.map(|p| p.0))), true),
        ("operation", texts(found.iter().map(|(c, _, _)| operation(c.kind))), false),
        ("manifest_list", manifest, true),
        ("summary", Arc::new(summary.finish()) as ArrayRef, false),
        ("branch", texts(found.iter().map(|(_, _, name)| name.as_str())), false),
    ]))
}

fn history(table: &Table, at: &Snapshot) -> Result<Built> {
    let store = at.store();
    let changed: HashSet<CommitId> =
        changes(table, at)?.into_iter().map(|(commit, _, _)| commit.id).collect();
    let target = match at.reference() {
        Some((name, _)) => store.find_ref(name)?,
        None => None,
    };
    let mut moves = match &target {
        Some(target) => store.reflog(target)?,
        None => Vec::new(),
    };
    moves.retain(|moved| changed.contains(&moved.commit) && moved.commit <= at.commit());
    let mut parents = Vec::with_capacity(moves.len());
    let mut current = Vec::with_capacity(moves.len());
    for moved in &moves {
        parents.push(store.commit_record(moved.commit)?.parent.map(|p| p.0));
        current.push(store.is_ancestor(moved.commit, at.commit())?);
    }
    Ok(RecordBatch::try_from_iter_with_nullable([
        ("made_current_at", times(moves.iter().map(|m| m.time_us)), false),
        ("snapshot_id", numbers(moves.iter().map(|m| Some(m.commit.0))), false),
        ("parent_id", numbers(parents.into_iter()), true),
        ("is_current_ancestor", Arc::new(BooleanArray::from(current)) as ArrayRef, false),
    ]))
}

fn refs(at: &Snapshot) -> Result<Built> {
    let refs = at.store().refs()?;
    let kind = |kind| if kind == RefKind::Branch { "BRANCH" } else { "TAG" };
    let unset = || numbers(refs.iter().map(|_| None));
    Ok(RecordBatch::try_from_iter_with_nullable([
        ("name", texts(refs.iter().map(|r| r.name.as_str())), false),
        ("type", texts(refs.iter().map(|r| kind(r.kind))), false),
        ("snapshot_id", numbers(refs.iter().map(|r| Some(r.commit.0))), false),
        ("max_reference_age_in_ms", unset(), true),
        ("min_snapshots_to_keep", unset(), true),
        ("max_snapshot_age_in_ms", unset(), true),
    ]))
}
