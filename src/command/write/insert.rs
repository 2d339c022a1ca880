//! INSERT.

use std::sync::Arc;

use datafusion::common::Column as PlanColumn;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder};
use datafusion::sql::sqlparser::ast::{self, ObjectName, OnInsert, TableObject};
use futures::StreamExt;

use super::assign::cast_to_column;
use super::change::{Action, Change, Changed};
use super::conflict::OnConflict;
use super::overwrite;
use super::returning::Returning;
use super::target::Target;
use super::values::{check_columns, default_of, fill_defaults};
use super::{Described, Scene};
use crate::command::{Writing, generated, run};
use crate::error::{Error, ErrorKind, Result};
use crate::fault;
use crate::parse::{Insert, Overriding};
use crate::plan::long_values::as_tables;
use crate::plan::query::plan_query_over;
use crate::plan::time_travel::name_parts;
use crate::spec::TableSchema;
use crate::store::Table;

/// An INSERT, planned.
pub(super) struct Inserting {
    pub target: Target,
    /// Its rows: the table's columns, under their names.
    pub source: LogicalPlan,
    pub conflict: Option<OnConflict>,
    pub returning: Option<Returning>,
}

/// INSERT.
///
/// # Errors
/// As [`super::run`].
pub async fn insert(writing: &mut Writing<'_>, insert: &Insert) -> Result<Changed> {
    let inserting = writing.scene().apart(insert, plan).await?;
    match &insert.replace {
        Some(replace) => overwrite::overwrite(writing, inserting, replace).await,
        None => run_insert(writing, inserting).await,
    }
}

/// What a client needs to know of an INSERT.
///
/// # Errors
/// As [`insert`].
pub(super) fn describe(scene: &Scene<'_>, insert: &Insert) -> Result<Described> {
    let inserting = plan(scene, insert)?;
    let returning = inserting.returning.map(|r| r.with_given(&scene.given).describe(scene));
    Ok(Described { plan: inserting.source, returning: returning.transpose()? })
}

fn plan(scene: &Scene<'_>, insert: &Insert) -> Result<Inserting> {
    let tree = &insert.insert;
    let alias = tree.table_alias.as_ref().map(|alias| &alias.alias);
    let target = Target::named(scene, insert_name(tree)?, insert.version.as_ref(), alias)?;
    let source = source(scene, &target, insert)?;
    let with = tree.source.as_ref().and_then(|source| source.with.as_ref());
    let conflict = match &tree.on {
        None => None,
        Some(OnInsert::OnConflict(clause)) => Some(OnConflict::new(scene, &target, with, clause)?),
        Some(_) => {
            let message = "ON DUPLICATE KEY UPDATE is not PostgreSQL's";
            return Err(Error::new(ErrorKind::Syntax, message).hint("write ON CONFLICT"));
        }
    };
    let returning = tree.returning.as_ref().map(|items| Returning::new(items, with, &target));
    Ok(Inserting { target, source, conflict, returning })
}

fn source(scene: &Scene<'_>, target: &Target, insert: &Insert) -> Result<LogicalPlan> {
    let tree = &insert.insert;
    let schema = target.schema();
    let mut names = insert_columns(schema, tree)?;
    let Some(source) = &tree.source else {
        // DEFAULT VALUES
        let one = LogicalPlanBuilder::empty(true).build().map_err(fault::of_datafusion)?;
        return rows_of(scene, schema, one, &[]);
    };
    generated::refuse_given(schema, &names, &source.body, insert.overriding)?;
    if insert.overriding == Overriding::User {
        generated::without_given(schema, &mut names);
    }
    let mut source = source.clone();
    fill_defaults(schema, &names, &mut source.body)?;
    let planned = plan_query_over(&scene.reading, scene.state, &source, &scene.given)?;
    let found = planned.plan.schema().fields().len();
    if found > names.len() {
        let message = "INSERT has more expressions than target columns";
        return Err(Error::new(ErrorKind::Syntax, message));
    }
    if found < names.len() && !tree.columns.is_empty() {
        let message = "INSERT has more target columns than expressions";
        return Err(Error::new(ErrorKind::Syntax, message));
    }
    rows_of(scene, schema, as_tables(planned.plan)?, &names[..found])
}

/// The name of the table that an INSERT is about.
///
/// # Errors
/// NotSupported for a table function.
pub fn insert_name(insert: &ast::Insert) -> Result<&ObjectName> {
    match &insert.table {
        TableObject::TableName(name) => Ok(name),
        _ => Err(Error::new(ErrorKind::NotSupported, "INSERT into something other than a table")),
    }
}

/// The columns that an INSERT fills, in its order.
///
/// # Errors
/// UndefinedColumn, DuplicateColumn.
pub fn insert_columns(schema: &TableSchema, insert: &ast::Insert) -> Result<Vec<String>> {
    if insert.columns.is_empty() {
        return Ok(schema.columns.iter().map(|c| c.name.clone()).collect());
    }
    let named = |name: &ObjectName| Ok(name_parts(name)?.pop().unwrap_or_default());
    let names: Vec<String> = insert.columns.iter().map(named).collect::<Result<_>>()?;
    check_columns(schema, &names)?;
    Ok(names)
}

/// The rows of a plan, whose columns are `names`, as rows of a table; other columns get their
/// defaults.
fn rows_of(
    scene: &Scene<'_>,
    schema: &TableSchema,
    source: LogicalPlan,
    names: &[String],
) -> Result<LogicalPlan> {
    let mut exprs = Vec::with_capacity(schema.columns.len());
    for column in &schema.columns {
        let value = match names.iter().position(|name| *name == column.name) {
            Some(at) => Expr::Column(PlanColumn::from(source.schema().qualified_field(at))),
            None => default_of(&scene.reading, scene.state, column)?,
        };
        exprs.push(cast_to_column(value, column, source.schema())?.alias(column.name.clone()));
    }
    let plan = LogicalPlanBuilder::from(source).project(exprs).and_then(LogicalPlanBuilder::build);
    plan.map_err(fault::of_datafusion)
}

/// Adds the rows of a plan, whose columns are `names`; the others get their defaults.
///
/// # Errors
/// As [`insert`].
pub async fn insert_plan(
    writing: &mut Writing<'_>,
    table: &Arc<Table>,
    source: LogicalPlan,
    names: &[String],
) -> Result<u64> {
    let source = rows_of(&writing.scene(), table.schema(), source, names)?;
    let target = Target::here(Arc::clone(table), table.schema().name.clone());
    let inserting = Inserting { target, source, conflict: None, returning: None };
    Ok(run_insert(writing, inserting).await?.rows)
}

async fn run_insert(writing: &mut Writing<'_>, inserting: Inserting) -> Result<Changed> {
    let Inserting { target, source, conflict, returning } = inserting;
    if let Some(conflict) = conflict {
        return conflict.run(writing, &target, source, returning).await;
    }
    let mut change = Change::new(writing, &target.table, returning.as_ref())?;
    let (reading, state) = (&writing.reading, writing.state);
    let mut stream = run::start_in_order(reading, state, source).await?;
    while let Some(batch) = stream.next().await {
        let batch = batch.map_err(fault::of_datafusion)?;
        let rows = change.insert(batch.columns().to_vec())?;
        change.report(Action::Insert, &rows, &[])?;
    }
    change.finish(writing, returning).await
}
