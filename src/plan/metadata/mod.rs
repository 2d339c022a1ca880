//! Tables about a table, and about the database. Columns are named as in Iceberg, ours follow.
//!
//! What another format keeps and we do not (manifests) is refused by name rather than shown empty.
//! Each is built from the log when it is read, as of the snapshot it is read at; a snapshot that was
//! not reached through a branch shows only its own past.

mod build;
mod database;
mod files;
mod history;
mod shape;

use std::sync::Arc;

use datafusion::catalog::{MemTable, TableProvider};

pub use history::operation;

use super::changes::all_changes;
use crate::error::Result;
use crate::fault;
use crate::spec::Sequence;
use crate::spec::text::TextOptions;
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
    /// Segments, inline batches and deletion vectors.
    Files,
    /// Segments and inline batches.
    DataFiles,
    /// Deletion vectors.
    DeleteFiles,
    /// Files, with the commit that each came with.
    Entries,
    /// One row: the whole table.
    Partitions,
    /// The shapes the table had.
    Schemas,
    /// What was said of the table when it was made.
    Properties,
    /// The states of the table's metadata.
    MetadataLogEntries,
    /// Every row change.
    Changes,
    /// Inline batches.
    Inline,
}

const NAMES: [(&str, Kind); 13] = [
    ("snapshots", Kind::Snapshots),
    ("history", Kind::History),
    ("refs", Kind::Refs),
    ("files", Kind::Files),
    ("data_files", Kind::DataFiles),
    ("delete_files", Kind::DeleteFiles),
    ("entries", Kind::Entries),
    ("partitions", Kind::Partitions),
    ("schemas", Kind::Schemas),
    ("properties", Kind::Properties),
    ("metadata_log_entries", Kind::MetadataLogEntries),
    ("changes", Kind::Changes),
    ("inline", Kind::Inline),
];

/// What other formats keep and we do not.
const FOREIGN: [&str; 8] = [
    "manifests",
    "all_manifests",
    "all_files",
    "all_data_files",
    "all_delete_files",
    "all_entries",
    "position_deletes",
    "audit",
];

/// What to read instead of what other formats keep.
pub const HINT: &str = "there are t.snapshots, history, refs, files, data_files, delete_files, entries, \
                        partitions, schemas, properties, metadata_log_entries, changes and inline, each \
                        at any version: t.files VERSION AS OF n";

/// Whether another format has a metadata table of this name that says nothing here.
pub fn is_foreign(name: &str) -> bool {
    FOREIGN.contains(&name)
}

impl Kind {
    /// The kind that this name asks for.
    pub fn of_name(name: &str) -> Option<Kind> {
        NAMES.iter().find(|(known, _)| *known == name).map(|(_, kind)| *kind)
    }
}

/// The rows of a table about a table, as one snapshot has them.
///
/// # Errors
/// Those of reading the log.
pub fn provider(
    kind: Kind,
    table: &Arc<Table>,
    at: &Snapshot,
    text: &TextOptions,
) -> Result<Arc<dyn TableProvider>> {
    let batch = match kind {
        Kind::Snapshots => history::snapshots(table, at)?,
        Kind::History => history::history(table, at)?,
        Kind::Refs => history::refs(table, at)?,
        Kind::MetadataLogEntries => history::metadata_log_entries(table, at)?,
        Kind::Files => files::files(table, files::Which::All, text)?,
        Kind::DataFiles => files::files(table, files::Which::Data, text)?,
        Kind::DeleteFiles => files::files(table, files::Which::Deletes, text)?,
        Kind::Entries => files::entries(table)?,
        Kind::Partitions => files::partitions(table, at)?,
        Kind::Inline => files::inline(table)?,
        Kind::Schemas => shape::schemas(table, at)?,
        Kind::Properties => shape::properties(table)?,
        Kind::Changes => return all_changes(table, at),
    };
    in_memory(batch)
}

/// A table about the database, of schema `asofdb`; None where there is none of this name.
///
/// # Errors
/// Those of reading the log.
pub fn of_database(name: &str, at: &Snapshot) -> Result<Option<Arc<dyn TableProvider>>> {
    let batch = match name {
        "commits" => database::commits(at)?,
        "refs" => database::refs(at)?,
        "reflog" => database::reflog(at)?,
        _ => return Ok(None),
    };
    in_memory(batch).map(Some)
}

/// The one row of a sequence: what it gave last, or gives first.
///
/// # Errors
/// Those of reading the log.
pub fn of_sequence(sequence: &Sequence, at: &Snapshot) -> Result<Arc<dyn TableProvider>> {
    let (last, called) = at.store().last_value(&at.counting(sequence))?;
    in_memory(build::batch([
        ("last_value", build::longs([last]), false),
        // Nothing is logged ahead.
        ("log_cnt", build::longs([0]), false),
        ("is_called", build::truths([called].into_iter()), false),
    ]))
}

fn in_memory(batch: build::Built) -> Result<Arc<dyn TableProvider>> {
    let batch = batch.map_err(fault::of_arrow)?;
    let table = MemTable::try_new(batch.schema(), vec![vec![batch]]);
    Ok(Arc::new(table.map_err(fault::of_datafusion)?))
}
