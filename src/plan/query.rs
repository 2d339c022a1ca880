//! A query's tree to a logical plan.

use std::sync::Arc;

use datafusion::common::DFSchema;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder};
use datafusion::sql::planner::{PlannerContext, SqlToRel};
use datafusion::sql::sqlparser::ast::{
    Expr as SqlExpr, Query, SelectItem, SetExpr, Statement, TableWithJoins, With,
};

use super::extent::{check_plan, check_query};
use super::given::Given;
use super::like_named::tell_apart;
use super::multiplicity::counted;
use super::pg_catalog::output_names::{name_inner, name_outputs, shown};
use super::pg_catalog::rewrite::rewrite_query;
use super::scope::{Reading, Scope};
use super::thread::apart;
use super::type_resolution::with_types_resolved;
use super::{call_clauses, clauses, with_versions};
use crate::error::{Error, ErrorKind, Result};
use crate::fault;
use crate::parse;
use crate::spec::{Type, View};

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
    plan_query_over(reading, state, query, &[])
}

/// As [`plan_query_over`], on a thread that can be given up.
///
/// # Errors
/// As [`plan_query`]; Cancelled and its like.
pub async fn plan_apart(
    reading: &Reading,
    state: &Arc<SessionState>,
    query: &Query,
    given: &[Given],
) -> Result<Planned> {
    let (state, query, given) = (Arc::clone(state), query.clone(), given.to_vec());
    let within = reading.clone();
    let plan = async move { plan_query_over(&within, &state, &query, &given) };
    apart(&reading.cancel, plan).await
}

/// Plans a query in which some names stand for plans.
///
/// # Errors
/// As [`plan_query`].
pub fn plan_query_over(
    reading: &Reading,
    state: &SessionState,
    query: &Query,
    given: &[Given],
) -> Result<Planned> {
    let mut query = query.clone();
    name_outputs(&mut query);
    plan_named(reading, state, query, given)
}

/// Plans a query whose results have their names already.
fn plan_named(
    reading: &Reading,
    state: &SessionState,
    mut query: Query,
    given: &[Given],
) -> Result<Planned> {
    check_query(&query)?;
    with_versions::check(&query)?;
    call_clauses::check(&query, state)?;
    clauses::honour(&mut query)?;
    rewrite_query(&mut query)?;
    tell_apart(&mut query, state);
    let scope = Scope::new(reading.clone(), state).with_given(given);
    let planner = SqlToRel::new_with_options(&scope, scope.parser_options());
    let mut context = context_of(reading);
    let plan = planner
        .sql_statement_to_plan_with_context(Statement::Query(Box::new(query)), &mut context)
        .and_then(with_types_resolved)
        .and_then(counted)
        .map_err(fault::of_datafusion)?;
    check_plan(&plan)?;
    Ok(Planned { plan })
}

/// What the planner knows of the parameters.
fn context_of(reading: &Reading) -> PlannerContext {
    let fields = reading.parameters.as_ref().map(|parameters| parameters.fields.clone());
    PlannerContext::new().with_prepare_param_data_types(fields.unwrap_or_default())
}

/// Plans the text of a view; its names mean what they meant when it was made.
///
/// # Errors
/// As [`plan_query`].
pub fn plan_view(reading: &Reading, state: &SessionState, view: &Arc<View>) -> Result<LogicalPlan> {
    // A view has no parameters, whatever the statement around it has.
    let reading = Reading { parameters: None, view: Some(Arc::clone(view)), ..reading.clone() };
    // Where an error is in the view's text tells nothing about the statement's.
    let planned = parse::query(&view.query).and_then(|mut query| {
        name_inner(&mut query);
        plan_named(&reading, state, *query, &[])
    });
    let plan = planned.map_err(Error::nowhere)?.plan;
    if view.columns.is_empty() {
        return Ok(plan);
    }
    let columns: Vec<Expr> = plan
        .schema()
        .iter()
        .enumerate()
        .map(|(at, field)| {
            let column = Expr::Column(field.into());
            match view.columns.get(at) {
                Some(name) => column.alias(name.clone()),
                None => column,
            }
        })
        .collect();
    let named = LogicalPlanBuilder::from(plan).project(columns);
    named.and_then(LogicalPlanBuilder::build).map_err(fault::of_datafusion)
}

/// A SELECT that a statement which writes is made of.
#[derive(Clone, Debug, Default)]
pub struct Selecting<'a> {
    /// WITH before the statement.
    pub with: Option<&'a With>,
    /// Names that stand for plans.
    pub given: Vec<Given>,
    /// FROM.
    pub from: Vec<TableWithJoins>,
    /// WHERE.
    pub selection: Option<&'a SqlExpr>,
    /// What is selected; a list of columns and expressions.
    pub items: Vec<SelectItem>,
    /// Whether a client sees the results.
    pub named: bool,
}

/// Plans a SELECT that a statement which writes is made of. Where its results are not named, columns
/// keep their qualifiers.
///
/// # Errors
/// As [`plan_query`].
pub fn plan_selecting(
    reading: &Reading,
    state: &SessionState,
    selecting: Selecting<'_>,
) -> Result<Planned> {
    let mut query = *parse::query("SELECT 1")?;
    let SetExpr::Select(select) = query.body.as_mut() else {
        unreachable!("the text above is a SELECT")
    };
    select.projection = selecting.items;
    select.from = selecting.from;
    select.selection = selecting.selection.cloned();
    query.with = selecting.with.cloned();
    if selecting.named {
        name_outputs(&mut query);
    }
    plan_named(reading, state, query, &selecting.given)
}

/// Plans an expression that reads no row: a DEFAULT, an argument of CALL.
///
/// # Errors
/// As [`plan_query`].
pub fn plan_constant(reading: &Reading, state: &SessionState, expr: &SqlExpr) -> Result<Expr> {
    plan_expression(reading, state, &DFSchema::empty(), expr)
}

/// An expression over these columns.
///
/// # Errors
/// UndefinedColumn and whatever else planning gives.
pub fn plan_expression(
    reading: &Reading,
    state: &SessionState,
    columns: &DFSchema,
    expr: &SqlExpr,
) -> Result<Expr> {
    let scope = Scope::new(reading.clone(), state);
    let planner = SqlToRel::new_with_options(&scope, scope.parser_options());
    let mut context = context_of(reading);
    planner.sql_to_expr(expr.clone(), columns, &mut context).map_err(fault::of_datafusion)
}

/// What is said where a prepared statement would show other columns than it was described with.
pub const CHANGED_RESULT: &str = "cached plan must not change result type";

/// Whether two plans show the same columns.
pub fn same_columns(a: &[(String, Type)], b: &[(String, Type)]) -> Result<()> {
    if a == b {
        return Ok(());
    }
    Err(Error::new(ErrorKind::NotSupported, CHANGED_RESULT).hint("prepare it again"))
}
