//! A query's tree to a logical plan.

use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::{Expr, LogicalPlan};
use datafusion::sql::planner::SqlToRel;
use datafusion::sql::sqlparser::ast::{
    Expr as SqlExpr, Ident, ObjectName, ObjectNamePart, Query, SelectItem, SetExpr, Statement,
    TableFactor, TableWithJoins,
};

use super::extent::{check_plan, check_query};
use super::names::ROWS_CATALOG;
use super::pg_catalog::output_names::{name_outputs, shown};
use super::pg_catalog::rewrite::rewrite_query;
use super::scope::{Reading, Scope};
use crate::error::{Error, ErrorKind, Result};
use crate::fault;
use crate::parse;
use crate::spec::Type;

/// A plan, and what its results are called.
#[derive(Clone, Debug)]
pub struct Planned {
    /// The plan, not optimised.
    pub plan: LogicalPlan,
}

impl Planned {
    /// Names and types of the results, as a client sees them.
    pub fn columns(&self) -> Vec<(String, Type)> {
        let fields = self.plan.schema().fields().iter();
        let text = |field| Type::of_field(field).unwrap_or(Type::Text);
        fields.map(|field| (shown(field.name()).to_owned(), text(field.as_ref()))).collect()
    }
}

/// Plans a query.
///
/// # Errors
/// Whatever names, types and functions give.
pub fn plan_query(reading: &Reading, state: &SessionState, query: &Query) -> Result<Planned> {
    let mut query = query.clone();
    name_outputs(&mut query);
    plan_named(reading, state, query)
}

/// Plans a query whose results have their names already.
fn plan_named(reading: &Reading, state: &SessionState, mut query: Query) -> Result<Planned> {
    check_query(&query)?;
    rewrite_query(&mut query)?;
    let scope = Scope::new(reading.clone(), state);
    let planner = SqlToRel::new_with_options(&scope, scope.parser_options());
    let plan = planner
        .sql_statement_to_plan(Statement::Query(Box::new(query)))
        .map_err(fault::of_datafusion)?;
    check_plan(&plan)?;
    Ok(Planned { plan })
}

/// Plans the text of a view.
///
/// # Errors
/// As [`plan_query`].
pub fn plan_view(reading: &Reading, state: &SessionState, text: &str) -> Result<LogicalPlan> {
    // A view has no parameters, whatever the statement around it has.
    let reading = Reading { parameters: None, ..reading.clone() };
    Ok(plan_query(&reading, state, &*parse::query(text)?)?.plan)
}

/// Plans `SELECT items FROM target [, others] WHERE selection`, where the target shows its hidden
/// columns too: the rows that UPDATE and DELETE are about.
///
/// # Errors
/// As [`plan_query`].
pub fn plan_rows_of(
    reading: &Reading,
    state: &SessionState,
    target: &TableWithJoins,
    others: &[TableWithJoins],
    selection: Option<&SqlExpr>,
    items: Vec<SelectItem>,
) -> Result<Planned> {
    let mut target = target.clone();
    if let TableFactor::Table { name, version, alias, .. } = &mut target.relation {
        // The version was resolved to `reading` by whoever writes.
        *version = None;
        if alias.is_none()
            && let Some(own) = name.0.last().and_then(ObjectNamePart::as_ident)
        {
            *alias = Some(datafusion::sql::sqlparser::ast::TableAlias {
                explicit: true,
                name: own.clone(),
                columns: Vec::new(),
                at: None,
            });
        }
        let mut parts = vec![ObjectNamePart::Identifier(Ident::with_quote('"', ROWS_CATALOG))];
        parts.append(&mut name.0);
        *name = ObjectName(parts);
    }
    let mut query = *parse::query("SELECT 1 FROM t WHERE true")?;
    let SetExpr::Select(select) = query.body.as_mut() else {
        unreachable!("the text above is a SELECT")
    };
    select.projection = items;
    select.from = vec![target];
    select.from.extend(others.iter().cloned());
    select.selection = selection.cloned();
    plan_named(reading, state, query)
}

/// Plans an expression that reads no row: a DEFAULT, an argument of CALL.
///
/// # Errors
/// As [`plan_query`].
pub fn plan_constant(reading: &Reading, state: &SessionState, expr: &SqlExpr) -> Result<Expr> {
    let scope = Scope::new(reading.clone(), state);
    let planner = SqlToRel::new_with_options(&scope, scope.parser_options());
    let schema = datafusion::common::DFSchema::empty();
    let mut context = datafusion::sql::planner::PlannerContext::new();
    planner.sql_to_expr(expr.clone(), &schema, &mut context).map_err(fault::of_datafusion)
}

/// Whether two plans show the same columns.
pub fn same_columns(a: &[(String, Type)], b: &[(String, Type)]) -> Result<()> {
    if a == b {
        return Ok(());
    }
    let message = "cached plan must not change result type";
    Err(Error::new(ErrorKind::NotSupported, message).hint("prepare it again"))
}
