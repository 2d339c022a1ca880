//! CREATE TABLE, CREATE VIEW, CREATE SCHEMA.

use std::collections::HashSet;
use std::sync::Arc;

use super::alter::check_generated;
use super::write::insert_plan;
use super::{Writing, constraint, depend, like, sequence};
use crate::error::{Error, ErrorKind, Result};
use crate::parse::{ColumnSpec, CreateTable, CreateView, OnCommit, TableClauses};
use crate::plan::names;
use crate::plan::query::plan_view;
use crate::plan::time_travel::name_parts;
use crate::plan::{Planned, Reading, plan_apart};
use crate::spec::{
    Column, ColumnId, Generated, RETENTION, SchemaId, TableId, TableSchema, Type, View,
    retention_us,
};
use crate::store::{ON_COMMIT, Relation, Store, TEMPORARY_NAMESPACE};

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
    let (namespace, name) = match create.temporary {
        true => temporary_place(&create.name)?,
        false => place(&writing.reading, &create.name)?,
    };
    if writing.reading.snapshot.relation(&namespace, &name)?.is_some() && create.if_not_exists {
        return Ok(Created::Existed);
    }
    let modelled;
    let create = match &create.like {
        Some(model) if model.rows => {
            let place = (namespace.as_str(), name.as_str());
            return like::clone(writing, create, model, place).map(|()| Created::Made);
        }
        Some(model) => {
            let schema = Arc::clone(like::model(writing, model)?.0.schema());
            modelled = like::as_created(create, model, &schema);
            &modelled
        }
        None => create,
    };
    let planned = match &create.query {
        Some((query, _)) => Some(plan_apart(&writing.reading, writing.state, query, &[]).await?),
        None => None,
    };
    let columns = match &planned {
        Some(planned) => query_columns(&planned.columns(), &create.query_columns)?,
        None => create.columns.clone(),
    };
    let schema = table_schema(writing, &namespace, &name, &columns, create)?;
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

/// Temporary tables have a schema of their own.
fn temporary_place(name: &datafusion::sql::sqlparser::ast::ObjectName) -> Result<(String, String)> {
    let mut parts = name_parts(name)?;
    let own = parts.pop().unwrap_or_default();
    match parts.as_slice() {
        [] => Ok((TEMPORARY_NAMESPACE.to_owned(), own)),
        [namespace] if namespace == TEMPORARY_NAMESPACE => Ok((namespace.clone(), own)),
        _ => Err(Error::new(
            ErrorKind::InvalidDefinition,
            "cannot create temporary relation in non-temporary schema",
        )),
    }
}

fn refuse_unsupported(create: &CreateTable) -> Result<()> {
    let on_commit = create.clauses.on_commit;
    if on_commit.is_some() && !create.temporary {
        let message = "ON COMMIT can only be used on temporary tables";
        return Err(Error::new(ErrorKind::InvalidDefinition, message));
    }
    if create.temporary && create.columns.iter().any(|column| column.identity.is_some()) {
        let message = "serial and identity columns of temporary tables";
        return Err(Error::new(ErrorKind::NotSupported, message)
            .hint("DEFAULT nextval('s') with a sequence of the database"));
    }
    Ok(())
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
        stored: None,
        position: 0,
    };
    Ok(found.iter().enumerate().map(column).collect())
}

/// The shape that a statement says. Makes the sequences that its columns own.
fn table_schema(
    writing: &mut Writing<'_>,
    namespace: &str,
    name: &str,
    specs: &[ColumnSpec],
    create: &CreateTable,
) -> Result<TableSchema> {
    let store = writing.reading.snapshot.store().clone();
    let mut schema = TableSchema {
        id: SchemaId(store.next_id()),
        table: TableId(store.next_id()),
        namespace: namespace.to_owned(),
        name: name.to_owned(),
        columns: columns_of(&store, specs)?,
        primary_key: None,
        unique: Vec::new(),
        checks: Vec::new(),
        cluster_by: Vec::new(),
        event_time: None,
        known_time: None,
        ties: Vec::new(),
        options: create.clauses.options.clone(),
        comment: None,
    };
    for (name, value) in &schema.options {
        check_option(name, Some(value))?;
    }
    match create.clauses.on_commit {
        Some(OnCommit::Drop) => schema.options.push((ON_COMMIT.into(), "drop".into())),
        Some(OnCommit::Delete) => schema.options.push((ON_COMMIT.into(), "delete".into())),
        Some(OnCommit::Preserve) | None => {}
    }
    for (at, spec) in specs.iter().enumerate() {
        if let Some(identity) = &spec.identity {
            let mut column = schema.columns[at].clone();
            sequence::own(writing, &schema, &mut column, identity)?;
            schema.columns[at] = column;
        }
    }
    if let Some(key) = &create.primary_key {
        constraint::add_primary_key(&mut schema, key)?;
    }
    add_clauses(&mut schema, &create.clauses)?;
    for key in &create.unique {
        constraint::add_unique(&mut schema, key)?;
    }
    for check in &create.checks {
        constraint::add_check(&writing.reading, writing.state, &mut schema, check)?;
    }
    for column in &schema.columns {
        if let Some(Generated::Stored(text)) = &column.generated {
            check_generated(&writing.reading, writing.state, &schema, text)?;
        }
    }
    Ok(schema)
}

/// What time and order mean: CLUSTER BY, without it the primary key; its columns become NOT NULL.
fn add_clauses(schema: &mut TableSchema, clauses: &TableClauses) -> Result<()> {
    let columns = &schema.columns;
    let ids = |names: &[String], clause: &str| ordered(columns, names, clause);
    let one = |name: &Option<String>, clause: &str| match name {
        Some(name) => ids(std::slice::from_ref(name), clause).map(|ids| ids.first().copied()),
        None => Ok(None),
    };
    let cluster_by = match (&clauses.cluster_by, &schema.primary_key) {
        (Some(names), _) => ids(names, "CLUSTER BY")?,
        (None, Some(key)) => key.columns.clone(),
        (None, None) => Vec::new(),
    };
    let event_time = one(&clauses.event_time, "EVENT TIME")?;
    let known_time = one(&clauses.known_time, "KNOWN TIME")?;
    for (column, clause) in [(event_time, "EVENT TIME"), (known_time, "KNOWN TIME")] {
        check_time(columns, column, clause)?;
    }
    let ties = ids(clauses.ties.as_deref().unwrap_or_default(), "TIES")?;
    for column in &mut schema.columns {
        column.not_null |= cluster_by.contains(&column.id);
    }
    (schema.cluster_by, schema.ties) = (cluster_by, ties);
    (schema.event_time, schema.known_time) = (event_time, known_time);
    Ok(())
}

/// The columns as said, with ids of their own.
pub(super) fn columns_of(store: &Store, specs: &[ColumnSpec]) -> Result<Vec<Column>> {
    let mut seen = HashSet::new();
    let mut columns = Vec::with_capacity(specs.len());
    for spec in specs {
        if !seen.insert(spec.name.as_str()) {
            let message = format!("column \"{}\" specified more than once", spec.name);
            return Err(Error::new(ErrorKind::DuplicateColumn, message));
        }
        check_column_name(&spec.name)?;
        if let Some(default) = &spec.default {
            crate::parse::expression(default)?;
        }
        if spec.stored.is_some() && (spec.default.is_some() || spec.identity.is_some()) {
            let name = &spec.name;
            let message = format!("both default and generation expression for column \"{name}\"");
            return Err(Error::new(ErrorKind::Syntax, message));
        }
        columns.push(Column {
            not_null: spec.not_null,
            default: spec.default.clone(),
            generated: spec.stored.clone().map(Generated::Stored),
            ..Column::new(ColumnId(store.next_id()), spec.name.as_str(), spec.data_type.clone())
        });
    }
    Ok(columns)
}

/// # Errors
/// InvalidName for the name of a hidden column.
pub(super) fn check_column_name(name: &str) -> Result<()> {
    if !crate::exec::scan::HIDDEN.contains(&name) {
        return Ok(());
    }
    let message = format!("column name \"{name}\" is taken by a hidden column");
    Err(Error::new(ErrorKind::InvalidName, message).hint("choose another name"))
}

/// The columns of a clause, which need an order and may be named once.
pub(super) fn ordered(columns: &[Column], names: &[String], clause: &str) -> Result<Vec<ColumnId>> {
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

/// Options of WITH (…) are those that are acted on. RESET takes away any that there is.
///
/// # Errors
/// InvalidValue for another, and for a value that cannot be acted on.
pub(super) fn check_option(name: &str, value: Option<&str>) -> Result<()> {
    match value {
        None => Ok(()),
        Some(said) if name == RETENTION => retention_us(said).map(drop),
        Some(_) => {
            let message = format!("unrecognized parameter \"{name}\"");
            Err(Error::new(ErrorKind::InvalidValue, message)
                .hint("tables have one: retention, as in WITH (retention = '30 days')"))
        }
    }
}

pub(super) fn check_time(columns: &[Column], id: Option<ColumnId>, clause: &str) -> Result<()> {
    // A label asks by a moment what was known; events may be numbered too.
    let (numbered, wanted) = match clause {
        "KNOWN TIME" => (false, "a date or a timestamp"),
        _ => (true, "a date, a timestamp or an integer"),
    };
    let column = id.and_then(|id| columns.iter().find(|c| c.id == id));
    match column.map(|c| &c.data_type) {
        None | Some(Type::Date | Type::Timestamp | Type::Timestamptz) => Ok(()),
        Some(Type::Int2 | Type::Int4 | Type::Int8) if numbered => Ok(()),
        Some(other) => Err(Error::new(
            ErrorKind::InvalidDefinition,
            format!("{clause} needs {wanted}, not {other}"),
        )),
    }
}

/// CREATE VIEW.
///
/// # Errors
/// DuplicateTable; InvalidDefinition where OR REPLACE would take columns away; whatever planning its
/// query gives.
pub async fn create_view(writing: &mut Writing<'_>, create: &CreateView) -> Result<Created> {
    if create.materialized {
        return Err(Error::new(ErrorKind::NotSupported, "CREATE MATERIALIZED VIEW"));
    }
    let (namespace, name) = match create.temporary {
        true => temporary_place(&create.name)?,
        false => place(&writing.reading, &create.name)?,
    };
    let existing = writing.reading.snapshot.relation(&namespace, &name)?;
    if existing.is_some() && create.if_not_exists {
        return Ok(Created::Existed);
    }
    let planned = plan_apart(&writing.reading, writing.state, &create.query, &[]).await?;
    let columns = query_columns(&planned.columns(), &create.columns)?;
    refuse_twice(&columns)?;
    let uses = depend::uses(&writing.reading, writing.state, &create.query, &planned.plan)?;
    let (query, names) = (create.text.clone(), create.columns.clone());
    let view = View { namespace, name, query, columns: names, uses, ..View::default() };
    match existing {
        Some(Relation::View(before)) if create.or_replace => {
            let old = plan_view(&writing.reading, writing.state, &before);
            let old = old.map(|plan| Planned { plan }.columns()).unwrap_or_default();
            keeps_columns(&old, &columns)?;
            let (id, comment) = (before.id, before.comment.clone());
            if view.uses.iter().any(|used| used.object == id) {
                let message = format!("view \"{}\" would read itself", view.name);
                return Err(Error::new(ErrorKind::InvalidDefinition, message));
            }
            writing.transaction.alter_view(&before, View { id, comment, ..view })?;
        }
        Some(found) if create.or_replace => {
            let message = format!("\"{}\" is not a view", found.name().1);
            return Err(Error::new(ErrorKind::WrongState, message));
        }
        _ => {
            let id = TableId(writing.reading.snapshot.store().next_id());
            writing.transaction.create_view(View { id, ..view })?;
        }
    }
    Ok(Created::Made)
}

/// Whole numbers count as one type: how wide a sum is, is the planner's choice.
fn is_same(a: &Type, b: &Type) -> bool {
    let whole = |t: &Type| matches!(t, Type::Int2 | Type::Int4 | Type::Int8);
    a == b || whole(a) && whole(b)
}

fn refuse_twice(columns: &[ColumnSpec]) -> Result<()> {
    for (at, column) in columns.iter().enumerate() {
        if columns[..at].iter().any(|other| other.name == column.name) {
            let message = format!("column \"{}\" specified more than once", column.name);
            return Err(Error::new(ErrorKind::DuplicateColumn, message));
        }
    }
    Ok(())
}

/// As in PostgreSQL: what reads the view goes on to find its columns.
fn keeps_columns(old: &[(String, Type)], new: &[ColumnSpec]) -> Result<()> {
    if new.len() < old.len() {
        let message = "cannot drop columns from view";
        return Err(Error::new(ErrorKind::InvalidDefinition, message));
    }
    for ((name, data_type), column) in old.iter().zip(new) {
        let message = match () {
            _ if *name != column.name => {
                format!("cannot change name of view column \"{name}\" to \"{}\"", column.name)
            }
            _ if !is_same(data_type, &column.data_type) => format!(
                "cannot change data type of view column \"{name}\" from {data_type} to {}",
                column.data_type
            ),
            _ => continue,
        };
        return Err(Error::new(ErrorKind::InvalidDefinition, message));
    }
    Ok(())
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
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    let name = namespace_of(&parts);
    check_schema_name(&name)?;
    let exists = writing.reading.snapshot.namespaces()?.contains(&name);
    if exists && if_not_exists {
        return Ok(Created::Existed);
    }
    writing.transaction.create_namespace(&name)?;
    Ok(Created::Made)
}

/// # Errors
/// InvalidName for names that system schemas have.
pub(super) fn check_schema_name(name: &str) -> Result<()> {
    if name.starts_with("pg_") || name == "information_schema" {
        let message = format!("unacceptable schema name \"{name}\"");
        return Err(Error::new(ErrorKind::InvalidName, message)
            .detail("The prefix \"pg_\" is reserved for system schemas."));
    }
    Ok(())
}

/// The name of a schema as it is kept: those of the default catalog without it.
pub(super) fn namespace_of(parts: &[&str]) -> String {
    match parts {
        [catalog, name] if *catalog == "main" => (*name).to_owned(),
        _ => parts.join("."),
    }
}

pub(super) fn place(
    reading: &Reading,
    name: &datafusion::sql::sqlparser::ast::ObjectName,
) -> Result<(String, String)> {
    let parts = name_parts(name)?;
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    names::place(reading, &parts)
}
