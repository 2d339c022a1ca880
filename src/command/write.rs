//! INSERT, UPDATE, DELETE and TRUNCATE: rows planned as queries, changes given to the transaction.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, UInt64Array};
use arrow::datatypes::UInt64Type;
use datafusion::common::{Column as PlanColumn, ScalarValue};
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, cast};
use datafusion::sql::sqlparser::ast::{
    self, AssignmentTarget, Expr as SqlExpr, FromTable, Ident, ObjectName, SelectItem, SetExpr,
    TableFactor, TableObject, TableWithJoins,
};
use futures::StreamExt;

use super::{Writing, run};
use crate::error::{Error, ErrorKind, Result};
use crate::exec::scan::HIDDEN;
use crate::fault;
use crate::parse::{self, Delete, Insert, Target, Update, fold};
use crate::plan::query::plan_constant;
use crate::plan::time_travel::{constant, name_parts};
use crate::plan::{names, plan_query, plan_rows_of};
use crate::spec::{Column, RowId, SegmentId, TableSchema, Type};
use crate::store::{Load, RowRefs, Table};

/// INSERT; answers how many rows came.
///
/// # Errors
/// UndefinedTable, UndefinedColumn, DatatypeMismatch, NotNullViolation, UniqueViolation …
pub async fn insert(writing: &mut Writing<'_>, insert: &Insert) -> Result<u64> {
    let insert = &insert.insert;
    if insert.on.is_some() || insert.returning.is_some() || insert.overwrite {
        let message = "INSERT with ON CONFLICT, RETURNING or OVERWRITE";
        return Err(Error::new(ErrorKind::NotSupported, message));
    }
    let table = target(writing, insert_name(insert)?)?;
    let names = insert_columns(&table, insert)?;
    let Some(source) = &insert.source else {
        // DEFAULT VALUES
        let one = LogicalPlanBuilder::empty(true).build().map_err(fault::of_datafusion)?;
        return insert_plan(writing, &table, one, &[]).await;
    };
    let mut source = source.clone();
    fill_defaults(&table, &names, &mut source.body)?;
    let planned = plan_query(&writing.reading, writing.state, &source)?;
    let found = planned.plan.schema().fields().len();
    if found > names.len() {
        let message = "INSERT has more expressions than target columns";
        return Err(Error::new(ErrorKind::Syntax, message));
    }
    if found < names.len() && !insert.columns.is_empty() {
        let message = "INSERT has more target columns than expressions";
        return Err(Error::new(ErrorKind::Syntax, message));
    }
    insert_plan(writing, &table, planned.plan, &names[..found]).await
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
pub fn insert_columns(table: &Table, insert: &ast::Insert) -> Result<Vec<String>> {
    let schema = table.schema();
    if insert.columns.is_empty() {
        return Ok(schema.columns.iter().map(|c| c.name.clone()).collect());
    }
    let named = |name: &ObjectName| Ok(name_parts(name)?.pop().unwrap_or_default());
    let names: Vec<String> = insert.columns.iter().map(named).collect::<Result<_>>()?;
    check_columns(schema, &names)?;
    Ok(names)
}

/// # Errors
/// UndefinedColumn, DuplicateColumn.
pub fn check_columns(schema: &TableSchema, names: &[String]) -> Result<()> {
    for (i, name) in names.iter().enumerate() {
        if schema.column_named(name).is_none() {
            return Err(Error::new(
                ErrorKind::UndefinedColumn,
                format!("column \"{name}\" of relation \"{}\" does not exist", schema.name),
            ));
        }
        if names[..i].contains(name) {
            let message = format!("column \"{name}\" specified more than once");
            return Err(Error::new(ErrorKind::DuplicateColumn, message));
        }
    }
    Ok(())
}

/// Adds the rows of a plan, whose columns are `names`; the others get their defaults.
///
/// # Errors
/// As [`insert`].
pub async fn insert_plan(
    writing: &mut Writing<'_>,
    table: &Table,
    source: LogicalPlan,
    names: &[String],
) -> Result<u64> {
    let mut exprs = Vec::with_capacity(table.schema().columns.len());
    for column in &table.schema().columns {
        let value = match names.iter().position(|name| *name == column.name) {
            Some(at) => Expr::Column(PlanColumn::from(source.schema().qualified_field(at))),
            None => default_of(writing, column)?,
        };
        exprs.push(cast(value, column.data_type.arrow()).alias(column.name.clone()));
    }
    let plan = LogicalPlanBuilder::from(source).project(exprs).and_then(LogicalPlanBuilder::build);
    let plan = plan.map_err(fault::of_datafusion)?;
    let mut stream = run::start(&writing.reading, writing.state, plan).await?;
    let (mut load, schema) = (Load::new(table), Arc::clone(table.schema()));
    let work = async move {
        while let Some(batch) = stream.next().await {
            let batch = batch.map_err(fault::of_datafusion)?;
            check_lengths(&schema, &batch)?;
            load.push(&batch)?;
        }
        load.finish()
    };
    let loaded = run::apart(&writing.reading.cancel, work).await?;
    let rows = loaded.rows;
    writing.transaction.insert(table, loaded)?;
    Ok(rows)
}

/// The value of a column that a row does not name: its DEFAULT, else NULL.
///
/// # Errors
/// Whatever planning the DEFAULT gives.
pub fn default_of(writing: &Writing<'_>, column: &Column) -> Result<Expr> {
    match &column.default {
        None => Ok(Expr::Literal(ScalarValue::Null, None)),
        Some(text) => plan_constant(&writing.reading, writing.state, &parse::expression(text)?),
    }
}

/// The DEFAULT of a column as an array of so many rows, evaluated once.
///
/// # Errors
/// Whatever evaluating the DEFAULT gives.
pub fn default_array(writing: &Writing<'_>, column: &Column, rows: usize) -> Result<ArrayRef> {
    let storage = column.data_type.arrow();
    let expr = cast(default_of(writing, column)?, storage.clone());
    let value = constant(&writing.reading, writing.state, expr)?;
    let value = value.unwrap_or(ScalarValue::Null).cast_to(&storage);
    value.and_then(|v| v.to_array_of_size(rows)).map_err(fault::of_datafusion)
}

/// DEFAULT among VALUES becomes the column's default; a text literal is of the column's type, as
/// PostgreSQL has it, whatever stands in the rows beside it.
fn fill_defaults(table: &Table, names: &[String], body: &mut SetExpr) -> Result<()> {
    let column = |at: usize| {
        let name = names.get(at)?;
        table.schema().column_named(name).map(|(_, column)| column)
    };
    match body {
        SetExpr::Values(values) => {
            for row in &mut values.rows {
                for (at, value) in row.content.iter_mut().enumerate() {
                    if is_default(value) {
                        let default = column(at).and_then(|column| column.default.clone());
                        *value = parse::expression(default.as_deref().unwrap_or("NULL"))?;
                    }
                    give_type(value, column(at))?;
                }
            }
        }
        SetExpr::Select(select) => {
            for (at, item) in select.projection.iter_mut().enumerate() {
                let (SelectItem::UnnamedExpr(value)
                | SelectItem::ExprWithAlias { expr: value, .. }) = item
                else {
                    // What `*` stands for is not known here, nor which column comes after it.
                    break;
                };
                give_type(value, column(at))?;
            }
        }
        _ => {}
    }
    Ok(())
}

fn is_default(value: &SqlExpr) -> bool {
    matches!(value, SqlExpr::Identifier(ident)
        if ident.quote_style.is_none() && ident.value.eq_ignore_ascii_case("default"))
}

/// A literal becomes a cast of its text to the column's type, so that `0.1` is a numeric's own 0.1 and
/// 32768 is no smallint.
fn give_type(value: &mut SqlExpr, column: Option<&Column>) -> Result<()> {
    let Some(column) = column else { return Ok(()) };
    if matches!(column.data_type, Type::Text | Type::Varchar(_) | Type::Char(_)) {
        return Ok(());
    }
    let Some(literal) = literal(value, &column.data_type) else { return Ok(()) };
    let mut typed = parse::expression(&format!("CAST(NULL AS {})", column.data_type))?;
    if let SqlExpr::Cast { expr, .. } = &mut typed {
        **expr = SqlExpr::value(literal);
        *value = typed;
    }
    Ok(())
}

/// The text of a literal that a type reads as it stands.
fn literal(value: &SqlExpr, data_type: &Type) -> Option<ast::Value> {
    use ast::Value::{EscapedStringLiteral, Null, Number, SingleQuotedString};
    let (sign, value) = match value {
        SqlExpr::UnaryOp { op: ast::UnaryOperator::Minus, expr } => ("-", expr.as_ref()),
        value => ("", value),
    };
    let SqlExpr::Value(value) = value else { return None };
    let is_whole = |digits: &str| digits.bytes().all(|byte| byte.is_ascii_digit());
    match (&value.value, data_type) {
        (SingleQuotedString(_) | EscapedStringLiteral(_) | Null, _) if sign.is_empty() => {
            Some(value.value.clone())
        }
        (Number(digits, _), Type::Numeric(_, _)) => {
            Some(SingleQuotedString(format!("{sign}{digits}")))
        }
        (Number(digits, _), Type::Int2 | Type::Int4 | Type::Int8) if is_whole(digits) => {
            Some(SingleQuotedString(format!("{sign}{digits}")))
        }
        _ => None,
    }
}

/// UPDATE; answers how many rows changed.
///
/// # Errors
/// As [`insert`].
pub async fn update(writing: &mut Writing<'_>, update: &Update) -> Result<u64> {
    let tree = &update.update;
    if tree.from.is_some() || tree.returning.is_some() || update.with.is_some() {
        let message = "UPDATE with FROM, RETURNING or WITH";
        return Err(Error::new(ErrorKind::NotSupported, message));
    }
    let table = target(writing, factor_name(&tree.table.relation)?)?;
    let schema = Arc::clone(table.schema());
    let mut assigned: Vec<(String, SqlExpr)> = Vec::new();
    for assignment in &tree.assignments {
        let AssignmentTarget::ColumnName(name) = &assignment.target else {
            let message = "UPDATE … SET (a, b) = …";
            return Err(
                Error::new(ErrorKind::NotSupported, message).hint("assign the columns one by one")
            );
        };
        assigned.push((name_parts(name)?.pop().unwrap_or_default(), assignment.value.clone()));
    }
    let names: Vec<String> = assigned.iter().map(|(name, _)| name.clone()).collect();
    check_columns(&schema, &names)?;
    let alias = visible_name(&tree.table.relation)?;
    let mut items = Vec::new();
    for column in &schema.columns {
        let expr = match assigned.iter().find(|(name, _)| *name == column.name) {
            Some((_, value)) => assigned_value(column, value)?,
            None => column_of(&alias, &column.name),
        };
        items.push(SelectItem::ExprWithAlias { expr, alias: quoted(&column.name) });
    }
    items.extend(hidden_items(&alias));
    let reading = writing.reading.at(writing.transaction.snapshot());
    let planned =
        plan_rows_of(&reading, writing.state, &tree.table, &[], tree.selection.as_ref(), items)?;
    let plan = cast_visible(planned.plan, &schema)?;
    let found = run::collect(&writing.reading, writing.state, plan).await?;
    let width = schema.columns.len();
    let mut refs = RowRefs::default();
    for batch in &found {
        collect_refs(batch, width, &mut refs);
    }
    writing.transaction.delete(&table, &refs)?;
    let snapshot = writing.transaction.snapshot();
    let table = snapshot.table_by_id(table.id())?.expect("it was written a moment ago");
    let mut load = Load::new(&table);
    let visible: Vec<usize> = (0..width).collect();
    for batch in &found {
        let rows = batch.project(&visible).map_err(fault::of_arrow)?;
        check_lengths(&schema, &rows)?;
        load.push_versions(&rows, batch.column(width + 1).as_primitive::<UInt64Type>().clone())?;
    }
    let loaded = load.finish()?;
    let rows = loaded.rows;
    writing.transaction.insert(&table, loaded)?;
    Ok(rows)
}

/// DELETE; answers how many rows went.
///
/// # Errors
/// UndefinedTable and whatever the condition gives.
pub async fn delete(writing: &mut Writing<'_>, delete: &Delete) -> Result<u64> {
    let tree = &delete.delete;
    let (FromTable::WithFromKeyword(from) | FromTable::WithoutKeyword(from)) = &tree.from;
    let [table] = from.as_slice() else {
        return Err(Error::new(ErrorKind::Syntax, "DELETE is from one table"));
    };
    if tree.using.is_some() || tree.returning.is_some() || delete.with.is_some() {
        let message = "DELETE with USING, RETURNING or WITH";
        return Err(Error::new(ErrorKind::NotSupported, message));
    }
    delete_rows(writing, table, tree.selection.as_ref()).await
}

/// TRUNCATE.
///
/// # Errors
/// UndefinedTable.
pub async fn truncate(writing: &mut Writing<'_>, tables: &[Target]) -> Result<()> {
    for one in tables {
        let factor = whole(&one.name)?;
        delete_rows(writing, &factor, None).await?;
    }
    Ok(())
}

/// A table as a FROM clause has it.
fn whole(table: &ObjectName) -> Result<TableWithJoins> {
    let mut query = parse::query("SELECT 1 FROM t")?;
    let SetExpr::Select(select) = query.body.as_mut() else {
        unreachable!("the text above is a SELECT")
    };
    let mut from = select.from.remove(0);
    if let TableFactor::Table { name, .. } = &mut from.relation {
        *name = table.clone();
    }
    Ok(from)
}

async fn delete_rows(
    writing: &mut Writing<'_>,
    from: &TableWithJoins,
    selection: Option<&SqlExpr>,
) -> Result<u64> {
    let table = target(writing, factor_name(&from.relation)?)?;
    let alias = visible_name(&from.relation)?;
    let items = hidden_items(&alias);
    let reading = writing.reading.at(writing.transaction.snapshot());
    let planned = plan_rows_of(&reading, writing.state, from, &[], selection, items)?;
    let mut stream = run::start(&writing.reading, writing.state, planned.plan).await?;
    let mut refs = RowRefs::default();
    while let Some(batch) = stream.next().await {
        collect_refs(&batch.map_err(fault::of_datafusion)?, 0, &mut refs);
    }
    if refs.is_empty() {
        return Ok(0);
    }
    writing.transaction.delete(&table, &refs)?;
    Ok(refs.len())
}

/// The table of this name, in the transaction's snapshot.
///
/// # Errors
/// UndefinedTable; WrongState for a view.
pub fn target(writing: &Writing<'_>, name: &ObjectName) -> Result<Arc<Table>> {
    let parts = name_parts(name)?;
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    let reading = writing.reading.at(writing.transaction.snapshot());
    names::table(&reading, &parts).map(|(table, _)| table)
}

fn factor_name(factor: &TableFactor) -> Result<&ObjectName> {
    match factor {
        TableFactor::Table { name, .. } => Ok(name),
        _ => Err(Error::new(ErrorKind::Syntax, "only a table can be written")),
    }
}

/// What the statement calls its target: the alias, else the last part of the name.
fn visible_name(factor: &TableFactor) -> Result<Ident> {
    let TableFactor::Table { name, alias, .. } = factor else {
        return Err(Error::new(ErrorKind::Syntax, "only a table can be written"));
    };
    let own = name_parts(name)?.pop().unwrap_or_default();
    Ok(quoted(&alias.as_ref().map_or(own, |alias| fold(&alias.name))))
}

fn quoted(name: &str) -> Ident {
    Ident::with_quote('"', name)
}

fn column_of(table: &Ident, column: &str) -> SqlExpr {
    SqlExpr::CompoundIdentifier(vec![table.clone(), quoted(column)])
}

fn hidden_items(table: &Ident) -> Vec<SelectItem> {
    HIDDEN.iter().map(|name| SelectItem::UnnamedExpr(column_of(table, name))).collect()
}

fn assigned_value(column: &Column, value: &SqlExpr) -> Result<SqlExpr> {
    let mut value = match is_default(value) {
        true => parse::expression(column.default.as_deref().unwrap_or("NULL"))?,
        false => value.clone(),
    };
    give_type(&mut value, Some(column))?;
    Ok(value)
}

/// The first columns of a plan in the types of the table.
fn cast_visible(plan: LogicalPlan, schema: &TableSchema) -> Result<LogicalPlan> {
    let fields = plan.schema().fields().len();
    let expr = |at: usize| {
        let column = Expr::Column(PlanColumn::from(plan.schema().qualified_field(at)));
        match schema.columns.get(at) {
            Some(own) => cast(column, own.data_type.arrow()).alias(own.name.clone()),
            None => column,
        }
    };
    let exprs: Vec<Expr> = (0..fields).map(expr).collect();
    let built = LogicalPlanBuilder::from(plan).project(exprs).and_then(LogicalPlanBuilder::build);
    built.map_err(fault::of_datafusion)
}

/// The places of rows from their hidden columns, which begin at `first`.
fn collect_refs(batch: &RecordBatch, first: usize, refs: &mut RowRefs) {
    let column = |i: usize| -> &UInt64Array { batch.column(first + i).as_primitive() };
    let (ids, segments, positions) = (column(1), column(2), column(3));
    for row in 0..batch.num_rows() {
        if segments.is_null(row) {
            refs.rows.push(RowId(ids.value(row)));
        } else {
            let bitmap = refs.positions.entry(SegmentId(segments.value(row))).or_default();
            bitmap.insert(positions.value(row) as u32);
        }
    }
}

/// # Errors
/// StringTooLong.
pub fn check_lengths(schema: &TableSchema, batch: &RecordBatch) -> Result<()> {
    for (column, array) in schema.columns.iter().zip(batch.columns()) {
        let (Type::Varchar(Some(limit)) | Type::Char(limit)) = column.data_type else { continue };
        for text in array.as_string_view().iter().flatten() {
            // As in PostgreSQL, blanks beyond the limit do no harm.
            let long = text.len() > limit as usize
                && text.trim_end_matches(' ').chars().count() > limit as usize;
            if long {
                let message = format!("value too long for type {}", column.data_type);
                return Err(Error::new(ErrorKind::StringTooLong, message)
                    .detail(format!("column \"{}\"", column.name)));
            }
        }
    }
    Ok(())
}
