//! INSERT OVERWRITE and INSERT … REPLACE WHERE: rows go and others come, in one commit.

use std::sync::Arc;

use arrow::array::{Array, AsArray, RecordBatch};
use datafusion::logical_expr::LogicalPlanBuilder;
use datafusion::sql::sqlparser::ast::Expr as SqlExpr;
use futures::StreamExt;

use super::change::{Action, Change, Changed};
use super::insert::Inserting;
use super::rows::Gone;
use super::update::joined;
use super::values::Evaluated;
use crate::command::{Writing, run};
use crate::error::{Error, ErrorKind, Result};
use crate::exec::scan::HIDDEN;
use crate::fault;
use crate::parse::Replace;
use crate::plan::Given;
use crate::plan::rows::RowExpression;
use crate::store::{HoldsForAny, Replaced, Table, failing_row};

/// Runs an INSERT that replaces rows. What it reads is the table as it was before.
///
/// # Errors
/// As [`super::run`]; CheckViolation for a row that the condition does not cover.
pub(super) async fn overwrite(
    writing: &mut Writing<'_>,
    inserting: Inserting,
    replace: &Replace,
) -> Result<Changed> {
    let Inserting { mut target, source, conflict, returning } = inserting;
    if conflict.is_some() {
        let message = "ON CONFLICT in an INSERT that replaces rows";
        return Err(Error::new(ErrorKind::NotSupported, message));
    }
    let rows = LogicalPlanBuilder::from(source)
        .alias(target.reference())
        .and_then(LogicalPlanBuilder::build)
        .map_err(fault::of_datafusion)?;
    let rows = Given { name: "asofdb new".to_owned(), plan: rows };
    let fits = match replace {
        Replace::All => {
            writing.transaction.delete_all(&target.table)?;
            writing.transaction.replaces(&target.table, Replaced::All);
            Vec::new()
        }
        Replace::Where(condition) => {
            delete_where(writing, &target, condition).await?;
            let replaced = replaced_where(writing, &target.table, condition);
            writing.transaction.replaces(&target.table, replaced);
            vec![is_true(condition)]
        }
    };
    let evaluated = Evaluated::new(&writing.scene(), None, &rows, fits, None)?;
    let snapshot = writing.transaction.snapshot();
    target.table = snapshot.table_by_id(target.table.id())?.unwrap_or(target.table);
    let width = target.schema().columns.len();
    let mut change = Change::new(writing, &target.table, returning.as_ref())?;
    let mut stream = run::start_in_order(&writing.reading, writing.state, evaluated.plan).await?;
    while let Some(batch) = stream.next().await {
        let batch = batch.map_err(fault::of_datafusion)?;
        if let Some(fits) = batch.columns().get(width) {
            let fits = fits.as_boolean();
            if let Some(row) = (0..fits.len()).find(|row| fits.is_null(*row) || !fits.value(*row)) {
                let columns: Vec<usize> = (0..width).collect();
                let rows = batch.project(&columns).map_err(fault::of_arrow)?;
                return Err(outside(&target.schema().name, &rows, row));
            }
        }
        let rows = change.insert(batch.columns()[..width].to_vec())?;
        change.report(Action::Insert, &rows, &[])?;
    }
    change.finish(writing, returning).await
}

async fn delete_where(
    writing: &mut Writing<'_>,
    target: &super::target::Target,
    condition: &SqlExpr,
) -> Result<()> {
    let rows = joined(&writing.scene(), target, None, &[], Some(condition))?;
    let mut stream = run::start(&writing.reading, writing.state, rows.plan).await?;
    let width = target.schema().columns.len();
    let mut gone = Gone::default();
    while let Some(batch) = stream.next().await {
        let batch = batch.map_err(fault::of_datafusion)?;
        gone.take(&batch.columns()[width..width + HIDDEN.len()]);
    }
    writing.transaction.delete(&Arc::clone(&target.table), &gone.refs())
}

/// What the condition says of rows that other transactions bring. A condition that cannot be asked of
/// rows alone (a subquery, a parameter, a random value) may mean any row.
fn replaced_where(writing: &Writing<'_>, table: &Table, condition: &SqlExpr) -> Replaced {
    let schema = Arc::clone(table.schema());
    let (reading, state) = (&writing.reading, writing.state);
    let text = is_true(condition).to_string();
    match RowExpression::plan(reading, state, &schema, &text, "REPLACE WHERE") {
        Ok(condition) if !condition.is_volatile() => {
            let holds: HoldsForAny = Arc::new(move |rows: &RecordBatch| {
                // What cannot be evaluated may be meant.
                let answers = condition.values(rows).ok();
                let answers = answers.as_ref().and_then(|values| values.as_boolean_opt());
                Ok(answers.is_none_or(|answers| answers.true_count() > 0))
            });
            Replaced::Where { schema, holds }
        }
        Ok(_) | Err(_) => Replaced::All,
    }
}

/// `(condition) IS TRUE`
fn is_true(condition: &SqlExpr) -> SqlExpr {
    SqlExpr::IsTrue(Box::new(SqlExpr::Nested(Box::new(condition.clone()))))
}

fn outside(table: &str, rows: &RecordBatch, row: usize) -> Error {
    let message = format!("new row for relation \"{table}\" is outside of REPLACE WHERE");
    Error::new(ErrorKind::CheckViolation, message)
        .detail(failing_row(rows, row))
        .hint("filter the rows by the same condition")
}
