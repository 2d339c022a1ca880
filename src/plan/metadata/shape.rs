//! t.schemas and t.properties: what a table looked like, and what was said of it.

use std::collections::HashSet;

use super::build::{Built, batch, numbers, texts, times, truths};
use crate::error::Result;
use crate::spec::{ColumnId, CommitId, TableSchema};
use crate::store::{Snapshot, Table};

/// The shapes a table had, a row a column, with the commit that each shape came with.
pub(super) fn schemas(table: &Table, at: &Snapshot) -> Result<Built> {
    let store = at.store();
    let mut seen = HashSet::new();
    let mut rows = Vec::new();
    for (commit, step) in store.table_commits(at, table.id(), CommitId(0))? {
        let Some(state) = step.new.map(|id| store.table_version(id)).transpose()? else { continue };
        if !seen.insert(state.schema().id) {
            continue;
        }
        let schema = state.schema();
        rows.extend(schema.columns.iter().cloned().enumerate().map(|(position, column)| {
            (commit.id.0, commit.time_us, schema.id.0, position as u64 + 1, column)
        }));
    }
    let types: Vec<String> = rows.iter().map(|r| r.4.data_type.to_string()).collect();
    Ok(batch([
        ("schema_id", numbers(rows.iter().map(|r| Some(r.2))), false),
        ("snapshot_id", numbers(rows.iter().map(|r| Some(r.0))), false),
        ("committed_at", times(rows.iter().map(|r| r.1)), false),
        ("position", numbers(rows.iter().map(|r| Some(r.3))), false),
        ("column_id", numbers(rows.iter().map(|r| Some(r.4.id.0))), false),
        ("column_name", texts(rows.iter().map(|r| r.4.name.as_str())), false),
        ("data_type", texts(types.iter().map(String::as_str)), false),
        ("not_null", truths(rows.iter().map(|r| r.4.not_null)), false),
    ]))
}

/// The clauses of CREATE TABLE, under their names, and WITH (…) as written.
pub(super) fn properties(table: &Table) -> Result<Built> {
    let schema = table.schema();
    let mut pairs: Vec<(String, String)> = Vec::new();
    let mut clause = |name: &str, columns: &[ColumnId]| {
        if !columns.is_empty() {
            pairs.push((name.to_owned(), names(schema, columns)));
        }
    };
    if let Some(key) = &schema.primary_key {
        clause("primary-key", &key.columns);
    }
    clause("cluster-by", &schema.cluster_by);
    clause("event-time", schema.event_time.as_slice());
    clause("known-time", schema.known_time.as_slice());
    clause("ties", &schema.ties);
    pairs.extend(schema.options.iter().cloned());
    Ok(batch([
        ("key", texts(pairs.iter().map(|(key, _)| key.as_str())), false),
        ("value", texts(pairs.iter().map(|(_, value)| value.as_str())), false),
    ]))
}

fn names(schema: &TableSchema, columns: &[ColumnId]) -> String {
    let name = |id: &ColumnId| schema.column(*id).map(|column| column.name.clone());
    columns.iter().filter_map(name).collect::<Vec<_>>().join(", ")
}
