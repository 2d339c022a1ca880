//! Expressions over the rows of one table, to be evaluated batch by batch: CHECK, computed columns.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions};
use arrow::datatypes::{DataType, Schema};
use datafusion::common::tree_node::TreeNode;
use datafusion::common::{DFSchema, ScalarValue};
use datafusion::error::Result as DataFusionResult;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::simplify::SimplifyContext;
use datafusion::logical_expr::{EmptyRelation, Expr, LogicalPlan, LogicalPlanBuilder};
use datafusion::optimizer::simplify_expressions::ExprSimplifier;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::sql::planner::{PlannerContext, SqlToRel};

use super::scope::{Reading, Scope};
use crate::error::{Error, ErrorKind, Result};
use crate::fault;
use crate::parse;
use crate::spec::TableSchema;

/// An expression, ready to be evaluated.
#[derive(Clone)]
pub struct RowExpression {
    expr: Arc<dyn PhysicalExpr>,
    data_type: DataType,
    volatile: bool,
}

impl RowExpression {
    /// Plans a text over a table's columns. `what` says what it is, for messages.
    ///
    /// # Errors
    /// UndefinedColumn and whatever planning gives; NotSupported for a subquery, Grouping for an
    /// aggregate or a window.
    pub fn plan(
        reading: &Reading,
        state: &SessionState,
        schema: &TableSchema,
        text: &str,
        what: &str,
    ) -> Result<RowExpression> {
        let columns = DFSchema::try_from_qualified_schema(schema.name.as_str(), &schema.arrow())
            .map_err(fault::of_datafusion)?;
        // It has no parameters, whatever the statement around it has.
        let scope = Scope::new(Reading { parameters: None, ..reading.clone() }, state);
        let planner = SqlToRel::new_with_options(&scope, scope.parser_options());
        let tree = parse::expression(text)?;
        let expr = planner
            .sql_to_expr(tree, &columns, &mut PlannerContext::new())
            .map_err(fault::of_datafusion)?;
        of_one_row(&expr, what)?;
        RowExpression::of_planned(state, columns, expr)
    }

    /// Makes an expression over such columns ready.
    ///
    /// # Errors
    /// Whatever analysing it gives.
    pub fn of_planned(
        state: &SessionState,
        columns: DFSchema,
        expr: Expr,
    ) -> Result<RowExpression> {
        let volatile = expr.is_volatile();
        let rows = LogicalPlan::EmptyRelation(EmptyRelation {
            produce_one_row: false,
            schema: Arc::new(columns.clone()),
        });
        let plan = LogicalPlanBuilder::from(rows)
            .project([expr.alias("value")])
            .and_then(LogicalPlanBuilder::build)
            .map_err(fault::of_datafusion)?;
        let analyzed = state
            .analyzer()
            .execute_and_check(plan, state.config_options(), |_, _| {})
            .map_err(fault::of_datafusion)?;
        let LogicalPlan::Projection(projection) = analyzed else {
            return Err(Error::new(ErrorKind::Internal, "a value is not one expression"));
        };
        let data_type = projection.schema.field(0).data_type().clone();
        let expr = projection.expr[0].clone().unalias();
        // Some functions are forms of others, which they become here: coalesce.
        let context = SimplifyContext::builder().with_schema(Arc::new(columns.clone())).build();
        let simplified = ExprSimplifier::new(context).simplify(expr);
        let expr = simplified.map_err(fault::of_datafusion)?;
        let expr = state.create_physical_expr(expr, &columns).map_err(fault::of_datafusion)?;
        Ok(RowExpression { expr, data_type, volatile })
    }

    /// The Arrow type of its values.
    pub fn data_type(&self) -> &DataType {
        &self.data_type
    }

    /// Whether it can answer otherwise for the same row.
    pub fn is_volatile(&self) -> bool {
        self.volatile
    }

    /// Its values for rows of the table's columns, in their order.
    ///
    /// # Errors
    /// Whatever evaluating gives.
    pub fn values(&self, rows: &RecordBatch) -> Result<ArrayRef> {
        let value = self.expr.evaluate(rows).map_err(fault::of_datafusion)?;
        value.into_array(rows.num_rows()).map_err(fault::of_datafusion)
    }
}

/// The value of an expression that names no column.
///
/// # Errors
/// UndefinedColumn for one that does; whatever evaluating gives.
pub fn constant(state: &SessionState, expr: Expr) -> DataFusionResult<ScalarValue> {
    if let Expr::Literal(value, _) = expr {
        return Ok(value);
    }
    let columns = Arc::new(DFSchema::empty());
    let row = EmptyRelation { produce_one_row: true, schema: Arc::clone(&columns) };
    let plan =
        LogicalPlanBuilder::from(LogicalPlan::EmptyRelation(row)).project([expr])?.build()?;
    let analyzed = state.analyzer().execute_and_check(plan, state.config_options(), |_, _| {})?;
    let expr = analyzed.expressions().swap_remove(0).unalias();
    let context = SimplifyContext::builder().with_schema(Arc::clone(&columns)).build();
    let expr = ExprSimplifier::new(context).simplify(expr)?;
    let options = RecordBatchOptions::new().with_row_count(Some(1));
    let row = RecordBatch::try_new_with_options(Arc::new(Schema::empty()), vec![], &options)?;
    let value = state.create_physical_expr(expr, &columns)?.evaluate(&row)?;
    ScalarValue::try_from_array(&value.into_array(1)?, 0)
}

/// # Errors
/// NotSupported for a subquery, Grouping for an aggregate or a window: one row does not tell their value.
pub fn of_one_row(expr: &Expr, what: &str) -> Result<()> {
    let has = |test: fn(&Expr) -> bool| expr.exists(|e| Ok(test(e))).unwrap_or(false);
    if has(|e| {
        matches!(e, Expr::ScalarSubquery(_) | Expr::Exists(_) | Expr::InSubquery(_))
            || matches!(e, Expr::SetComparison(_))
    }) {
        let message = format!("cannot use subquery in {what}");
        return Err(Error::new(ErrorKind::NotSupported, message));
    }
    if has(|e| matches!(e, Expr::AggregateFunction(_))) {
        let message = format!("aggregate functions are not allowed in {what}");
        return Err(Error::new(ErrorKind::Grouping, message));
    }
    if has(|e| matches!(e, Expr::WindowFunction(_))) {
        let message = format!("window functions are not allowed in {what}");
        return Err(Error::new(ErrorKind::Grouping, message));
    }
    Ok(())
}
