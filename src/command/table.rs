//! CREATE and DROP of tables, views and schemas.

use std::collections::HashSet;

use super::write::insert_plan;
use super::{Writing, past};
use crate::error::{Error, ErrorKind, Result};
use crate::parse::{ColumnSpec, CreateTable, CreateView, KeySpec};
use crate::plan::names;
use crate::plan::time_travel::name_parts;
use crate::plan::{Reading, plan_query};
use crate::spec::{Column, ColumnId, PrimaryKey, SchemaId, TableId, TableSchema, Type, View};
use crate::store::{Relation, Store};

/// What CREATE made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Created {
    /// The object.
    Made,
    /// Nothing: it was there, and IF NOT EXISTS was said.
    Existed,
    /// A table and this many rows.
    Rows(u64),
}

/// CREATE TABLE, also AS a query.
///
/// # Errors
/// DuplicateTable, InvalidDefinition, UndefinedColumn; NotSupported for constraints that are not
/// enforced yet.
pub async fn create_table(writing: &mut Writing<'_>, create: &CreateTable) -> Result<Created> {
    refuse_unsupported(create)?;
    if let Some(model) = create.like.as_ref().filter(|like| like.rows) {
        return past::clone(writing, create, model);
    }
    let (namespace, name) = place(&writing.reading, &create.name)?;
    if writing.reading.snapshot.relation(&namespace, &name)?.is_some() && create.if_not_exists {
        return Ok(Created::Existed);
    }
    let planned = match &create.query {
        Some((query, _)) => Some(plan_query(&writing.reading, writing.state, query)?),
        None => None,
    };
    let columns = match &planned {
        Some(planned) => query_columns(&planned.columns(), &create.query_columns)?,
        None => create.columns.clone(),
    };
    let store = writing.reading.snapshot.store().clone();
    let schema = table_schema(&store, &namespace, &name, &columns, create)?;
    let id = schema.table;
    writing.transaction.create_table(schema)?;
    let Some(planned) = planned else { return Ok(Created::Made) };
    if create.no_data {
        return Ok(Created::Rows(0));
    }
    let snapshot = writing.transaction.snapshot();
    let table = snapshot.table_by_id(id)?.expect("it was just made");
    let names: Vec<String> = columns.into_iter().map(|c| c.name).collect();
    insert_plan(writing, &table, planned.plan, &names).await.map(Created::Rows)
}

fn refuse_unsupported(create: &CreateTable) -> Result<()> {
    let what = if create.temporary {
        "temporary tables"
    } else if !create.unique.is_empty() {
        "UNIQUE beside the primary key"
    } else if !create.checks.is_empty() {
        "CHECK"
    } else if create.like.as_ref().is_some_and(|like| !like.rows) {
        "LIKE"
    } else if create.columns.iter().any(|c| c.identity.is_some()) {
        "serial and identity columns"
    } else {
        return Ok(());
    };
    Err(Error::new(ErrorKind::NotSupported, format!("{what} in CREATE TABLE")))
}

fn query_columns(found: &[(String, Type)], names: &[String]) -> Result<Vec<ColumnSpec>> {
    if names.len() > found.len() {
        return Err(Error::new(ErrorKind::Syntax, "too many column names were specified"));
    }
    let column = |(i, (name, data_type)): (usize, &(String, Type))| ColumnSpec {
        name: names.get(i).unwrap_or(name).clone(),
        data_type: data_type.clone(),
        not_null: false,
        default: None,
        identity: None,
        position: 0,
    };
    Ok(found.iter().enumerate().map(column).collect())
}

fn table_schema(
    store: &Store,
    namespace: &str,
    name: &str,
    specs: &[ColumnSpec],
    create: &CreateTable,
) -> Result<TableSchema> {
    let mut columns = columns_of(store, specs)?;
    let clauses = &create.clauses;
    let ids = |names: &[String], clause: &str| ordered(&columns, names, clause);
    let one = |name: &Option<String>, clause: &str| match name {
        Some(name) => ids(std::slice::from_ref(name), clause).map(|ids| ids.first().copied()),
        None => Ok(None),
    };
    let key = |key: &KeySpec| {
        Ok::<_, Error>(PrimaryKey {
            columns: ids(&key.columns, "PRIMARY KEY")?,
            enforced: key.enforced,
        })
    };
    let primary_key = create.primary_key.as_ref().map(key).transpose()?;
    let cluster_by = match (&clauses.cluster_by, &primary_key) {
        (Some(names), _) => ids(names, "CLUSTER BY")?,
        (None, Some(key)) => key.columns.clone(),
        (None, None) => Vec::new(),
    };
    let event_time = one(&clauses.event_time, "EVENT TIME")?;
    let known_time = one(&clauses.known_time, "KNOWN TIME")?;
    for (column, clause) in [(event_time, "EVENT TIME"), (known_time, "KNOWN TIME")] {
        check_time(&columns, column, clause)?;
    }
    let ties = ids(clauses.ties.as_deref().unwrap_or_default(), "TIES")?;
    let required: Vec<ColumnId> =
        primary_key.iter().flat_map(|k| k.columns.clone()).chain(cluster_by.clone()).collect();
    for column in &mut columns {
        column.not_null |= required.contains(&column.id);
    }
    Ok(TableSchema {
        id: SchemaId(store.next_id()),
        table: TableId(store.next_id()),
        namespace: namespace.to_owned(),
        name: name.to_owned(),
        columns,
        primary_key,
        cluster_by,
        event_time,
        known_time,
        ties,
        options: clauses.options.clone(),
    })
}

/// The columns as said, with ids of their own.
fn columns_of(store: &Store, specs: &[ColumnSpec]) -> Result<Vec<Column>> {
    let mut seen = HashSet::new();
    let mut columns = Vec::with_capacity(specs.len());
    for spec in specs {
        if !seen.insert(spec.name.as_str()) {
            let message = format!("column \"{}\" specified more than once", spec.name);
            return Err(Error::new(ErrorKind::DuplicateColumn, message));
        }
        if spec.name.starts_with('_') && crate::exec::scan::HIDDEN.contains(&spec.name.as_str()) {
            let message = format!("column name \"{}\" is taken by a hidden column", spec.name);
            return Err(Error::new(ErrorKind::InvalidName, message).hint("choose another name"));
        }
        if let Some(default) = &spec.default {
            crate::parse::expression(default)?;
        }
        columns.push(Column {
            id: ColumnId(store.next_id()),
            name: spec.name.clone(),
            data_type: spec.data_type.clone(),
            not_null: spec.not_null,
            default: spec.default.clone(),
        });
    }
    Ok(columns)
}

/// The columns of a clause, which need an order and may be named once.
fn ordered(columns: &[Column], names: &[String], clause: &str) -> Result<Vec<ColumnId>> {
    let mut found: Vec<ColumnId> = Vec::with_capacity(names.len());
    for name in names {
        let Some(column) = columns.iter().find(|c| c.name == *name) else {
            let message = format!("column \"{name}\" named in {clause} does not exist");
            return Err(Error::new(ErrorKind::UndefinedColumn, message));
        };
        if !column.data_type.is_ordered() {
            let message = format!("column \"{name}\" of type {} has no order", column.data_type);
            return Err(Error::new(ErrorKind::InvalidDefinition, message)
                .hint(format!("{clause} needs numbers, text, dates or times")));
        }
        if found.contains(&column.id) {
            let message = format!("column \"{name}\" appears twice in {clause}");
            return Err(Error::new(ErrorKind::InvalidDefinition, message));
        }
        found.push(column.id);
    }
    Ok(found)
}

fn check_time(columns: &[Column], id: Option<ColumnId>, clause: &str) -> Result<()> {
    let column = id.and_then(|id| columns.iter().find(|c| c.id == id));
    match column.map(|c| &c.data_type) {
        None | Some(Type::Date | Type::Timestamp | Type::Timestamptz) => Ok(()),
        Some(Type::Int2 | Type::Int4 | Type::Int8) => Ok(()),
        Some(other) => Err(Error::new(
            ErrorKind::InvalidDefinition,
            format!("{clause} needs a date, a timestamp or an integer, not {other}"),
        )),
    }
}

/// CREATE VIEW.
///
/// # Errors
/// DuplicateTable; whatever planning its query gives.
pub fn create_view(writing: &mut Writing<'_>, create: &CreateView) -> Result<Created> {
    if create.materialized || create.temporary || !create.columns.is_empty() {
        let message = "CREATE VIEW with MATERIALIZED, TEMPORARY or column names";
        return Err(Error::new(ErrorKind::NotSupported, message));
    }
    let (namespace, name) = place(&writing.reading, &create.name)?;
    if let Some(existing) = writing.reading.snapshot.relation(&namespace, &name)? {
        match existing {
            _ if create.if_not_exists => return Ok(Created::Existed),
            Relation::View(_) if create.or_replace => writing.transaction.drop_relation(&existing),
            Relation::View(_) | Relation::Table(_) => {}
        }
    }
    plan_query(&writing.reading, writing.state, &create.query)?;
    let id = TableId(writing.reading.snapshot.store().next_id());
    let view = View { id, namespace, name, query: create.text.clone() };
    writing.transaction.create_view(view)?;
    Ok(Created::Made)
}

/// CREATE SCHEMA.
///
/// # Errors
/// DuplicateSchema.
pub fn create_schema(
    writing: &mut Writing<'_>,
    parts: &[String],
    if_not_exists: bool,
) -> Result<Created> {
    let name = match parts {
        [catalog, name] if catalog == "main" => name.clone(),
        _ => parts.join("."),
    };
    let exists = writing.reading.snapshot.namespaces()?.contains(&name);
    if exists && if_not_exists {
        return Ok(Created::Existed);
    }
    writing.transaction.create_namespace(&name)?;
    Ok(Created::Made)
}

pub(super) fn place(
    reading: &Reading,
    name: &datafusion::sql::sqlparser::ast::ObjectName,
) -> Result<(String, String)> {
    let parts = name_parts(name)?;
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    names::place(reading, &parts)
}
