//! A query's tree to a logical plan.

use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::{Expr, LogicalPlan};
use datafusion::sql::planner::SqlToRel;
use datafusion::sql::sqlparser::ast::{
    Expr as SqlExpr, Query, SelectItem, SetExpr, Statement, TableWithJoins, With,
};

use super::given::Given;
use super::pg_catalog::output_names::{name_outputs, shown};
use super::pg_catalog::rewrite::rewrite_query;
use super::scope::{Reading, Scope};
use crate::error::{Error, ErrorKind, Result};
use crate::fault;
use crate::parse;
use crate::spec::Type;

/// Steps of the largest plan.
const PLAN_NODES_MAX: usize = 10_000;

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
    plan_named(reading, state, query, &[])
}

/// Plans a query whose results have their names already.
fn plan_named(
    reading: &Reading,
    state: &SessionState,
    mut query: Query,
    given: &[Given],
) -> Result<Planned> {
    rewrite_query(&mut query)?;
    let scope = Scope::new(reading.clone(), state).with_given(given);
    let planner = SqlToRel::new_with_options(&scope, scope.parser_options());
    let plan = planner
        .sql_statement_to_plan(Statement::Query(Box::new(query)))
        .map_err(fault::of_datafusion)?;
    check_size(&plan)?;
    Ok(Planned { plan })
}

/// A view or WITH that is named twice stands twice in the plan: thirty of them, each of the one
/// before, make a billion nodes, which optimising would visit one by one.
///
/// # Errors
/// TooComplex.
fn check_size(plan: &LogicalPlan) -> Result<()> {
    let mut nodes = 0;
    let count = |_: &LogicalPlan| {
        nodes += 1;
        Ok(match nodes > PLAN_NODES_MAX {
            true => TreeNodeRecursion::Stop,
            false => TreeNodeRecursion::Continue,
        })
    };
    plan.apply_with_subqueries(count).map_err(fault::of_datafusion)?;
    if nodes <= PLAN_NODES_MAX {
        return Ok(());
    }
    let message = format!("the statement has more than {PLAN_NODES_MAX} steps");
    Err(Error::new(ErrorKind::TooComplex, message)
        .hint("views and WITH queries count as often as they are named: keep one in a table"))
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

/// A SELECT that a statement which writes is made of.
#[derive(Clone, Debug, Default)]
pub struct Selecting<'a> {
    /// WITH before the statement.
    pub with: Option<&'a With>,
    /// Names that stand for plans.
    pub given: &'a [Given],
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
    plan_named(reading, state, query, selecting.given)
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
