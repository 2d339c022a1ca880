//! The columns of results that are no query's: a client may ask for them before the statement runs.

use crate::parse::{MergeBranch, Show, Statement, Vacuum};
use crate::spec::Type;

type Columns = &'static [(&'static str, Type)];

const NAMES: Columns = &[("name", Type::Text)];
const TABLES: Columns = &[("schema", Type::Text), ("name", Type::Text), ("kind", Type::Text)];
const DESCRIBE: Columns = &[
    ("column_name", Type::Text),
    ("data_type", Type::Text),
    ("is_nullable", Type::Text),
    ("column_default", Type::Text),
];
const MERGE: Columns = &[
    ("relation", Type::Text),
    ("change", Type::Text),
    ("added_rows", Type::Int8),
    ("deleted_rows", Type::Int8),
    ("key", Type::Text),
    ("base", Type::Text),
    ("ours", Type::Text),
    ("theirs", Type::Text),
    ("detail", Type::Text),
];
const ORPHANS: Columns = &[("orphan_file_location", Type::Text)];

/// What each procedure answers; the names are Iceberg's.
const PROCEDURES: [(&str, Columns); 11] = [
    (
        "fast_forward",
        &[
            ("branch_updated", Type::Text),
            ("previous_ref", Type::Int8),
            ("updated_ref", Type::Int8),
        ],
    ),
    ("rollback_to_snapshot", ROLLED_BACK),
    ("rollback_to_timestamp", ROLLED_BACK),
    ("set_current_snapshot", ROLLED_BACK),
    ("cherrypick_snapshot", PICKED),
    ("publish_changes", PICKED),
    ("ancestors_of", &[("snapshot_id", Type::Int8), ("timestamp", Type::Int8)]),
    (
        "rewrite_data_files",
        &[
            ("rewritten_data_files_count", Type::Int8),
            ("added_data_files_count", Type::Int8),
            ("rewritten_bytes_count", Type::Int8),
            ("failed_data_files_count", Type::Int8),
            ("removed_delete_files_count", Type::Int8),
        ],
    ),
    (
        "expire_snapshots",
        &[
            ("deleted_data_files_count", Type::Int8),
            ("deleted_position_delete_files_count", Type::Int8),
            ("deleted_equality_delete_files_count", Type::Int8),
            ("deleted_manifest_files_count", Type::Int8),
            ("deleted_manifest_lists_count", Type::Int8),
            ("deleted_statistics_files_count", Type::Int8),
        ],
    ),
    ("remove_orphan_files", ORPHANS),
    (
        "rewrite_manifests",
        &[("rewritten_manifests_count", Type::Int8), ("added_manifests_count", Type::Int8)],
    ),
];
const ROLLED_BACK: Columns =
    &[("previous_snapshot_id", Type::Int8), ("current_snapshot_id", Type::Int8)];
const PICKED: Columns = &[("source_snapshot_id", Type::Int8), ("current_snapshot_id", Type::Int8)];

/// The columns that a statement of this file answers; None for all others.
pub(super) fn result_columns(statement: &Statement) -> Option<Columns> {
    match statement {
        Statement::Show(Show::Tables) => Some(TABLES),
        Statement::Show(Show::Schemas | Show::Databases) => Some(NAMES),
        Statement::Describe(_) => Some(DESCRIBE),
        Statement::MergeBranch(MergeBranch { dry_run: true, .. }) => Some(MERGE),
        Statement::Vacuum(Vacuum { options, .. }) => {
            options.iter().any(|(option, _)| option == "dry_run").then_some(ORPHANS)
        }
        Statement::Call(call) => {
            let name = call.procedure.last()?;
            PROCEDURES.iter().find(|(known, _)| known == name).map(|(_, columns)| *columns)
        }
        _ => None,
    }
}
