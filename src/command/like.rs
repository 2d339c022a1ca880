//! CREATE TABLE … (LIKE t) and CREATE TABLE … CLONE t: a table after the model of another.

use std::sync::Arc;

use super::{Writing, sequence};
use crate::error::{Error, ErrorKind, Result};
use crate::parse::{Check, ColumnSpec, CreateTable, Identity, KeySpec, Like, TableClauses};
use crate::plan::addressed_table;
use crate::spec::{Column, ColumnId, Generated, RETENTION, SchemaId, TableId, TableSchema};
use crate::store::{Snapshot, Table};

/// The model and where it is, at its version where one is said.
///
/// # Errors
/// UndefinedTable and what resolving the version gives.
pub fn model(writing: &Writing<'_>, like: &Like) -> Result<(Arc<Table>, Snapshot)> {
    let (name, version) = (&like.table.name, like.table.version.as_ref());
    addressed_table(&writing.reading, writing.state, name, version)
}

/// CLONE: a table of its own that shares the rows of the model until one of them changes.
///
/// # Errors
/// DuplicateTable, UndefinedSchema; NotSupported for a temporary one.
pub fn clone(
    writing: &mut Writing<'_>,
    create: &CreateTable,
    like: &Like,
    (namespace, name): (&str, &str),
) -> Result<()> {
    if create.temporary {
        return Err(Error::new(ErrorKind::NotSupported, "a temporary clone")
            .hint("CREATE TEMPORARY TABLE … AS SELECT copies the rows"));
    }
    let (model, was) = model(writing, like)?;
    let store = model.store();
    let mut schema = TableSchema {
        id: SchemaId(store.next_id()),
        table: TableId(store.next_id()),
        namespace: namespace.to_owned(),
        name: name.to_owned(),
        ..model.schema().as_ref().clone()
    };
    rename_constraints(&mut schema, &model.schema().name);
    // The name is judged before anything is made for it.
    if writing.reading.snapshot.relation(namespace, name)?.is_none() {
        sequence::own_copies(writing, &mut schema, &was)?;
    }
    writing.transaction.clone_table(&model, schema)
}

/// What was named after the model is named after the clone.
fn rename_constraints(schema: &mut TableSchema, model: &str) {
    let (primary, unique) = (schema.primary_key.iter_mut(), schema.unique.iter_mut());
    let keys = primary.map(|key| &mut key.name).chain(unique.map(|key| &mut key.name));
    for name in keys.chain(schema.checks.iter_mut().map(|check| &mut check.name)) {
        if let Some(rest) = name.strip_prefix(model).filter(|rest| rest.starts_with('_')) {
            *name = format!("{}{rest}", schema.name);
        }
    }
}

/// What CREATE TABLE would say to make the model: columns, types and NOT NULL, and what INCLUDING
/// names.
pub fn as_created(create: &CreateTable, like: &Like, model: &TableSchema) -> CreateTable {
    let with = |what: &str| like.including.iter().any(|named| named == what || named == "all");
    let name = |id: &ColumnId| model.column(*id).map(|column| column.name.clone());
    let names = |ids: &[ColumnId]| ids.iter().filter_map(name).collect::<Vec<String>>();
    let mut made = CreateTable { like: None, ..create.clone() };
    made.columns = model.columns.iter().map(|column| spec_of(column, &with)).collect();
    if with("indexes") {
        made.primary_key = model.primary_key.as_ref().map(|key| KeySpec {
            name: None,
            columns: names(&key.columns),
            enforced: key.enforced,
            nulls_not_distinct: false,
        });
        made.unique = model
            .unique
            .iter()
            .map(|key| KeySpec {
                name: None,
                columns: names(&key.columns),
                enforced: key.enforced,
                nulls_not_distinct: !key.nulls_distinct,
            })
            .collect();
    }
    if with("constraints") {
        let check = |check: &crate::spec::Check| Check {
            name: Some(check.name.clone()),
            text: check.text.clone(),
            enforced: check.enforced,
            valid: check.valid,
        };
        made.checks = model.checks.iter().map(check).collect();
    }
    if with("storage") {
        made.clauses = TableClauses {
            cluster_by: Some(names(&model.cluster_by)),
            event_time: model.event_time.as_ref().and_then(name),
            known_time: model.known_time.as_ref().and_then(name),
            ties: Some(names(&model.ties)),
            options: model.options.iter().filter(|(name, _)| name == RETENTION).cloned().collect(),
            ..create.clauses.clone()
        };
    }
    made
}

fn spec_of(column: &Column, with: &impl Fn(&str) -> bool) -> ColumnSpec {
    let plain = column.generated.is_none();
    let identity = match &column.generated {
        Some(Generated::Identity { always, .. }) if with("identity") => {
            Some(Identity { always: Some(*always), ..Identity::default() })
        }
        _ => None,
    };
    let stored = match &column.generated {
        Some(Generated::Stored(text)) if with("generated") => Some(text.clone()),
        _ => None,
    };
    // As in PostgreSQL, a serial column's default goes on to ask the model's sequence.
    let serial = matches!(column.generated, Some(Generated::Serial { .. }));
    ColumnSpec {
        name: column.name.clone(),
        data_type: column.data_type.clone(),
        not_null: column.not_null,
        default: column.default.clone().filter(|_| (plain || serial) && with("defaults")),
        identity,
        stored,
        position: 0,
    }
}
