//! Node → operator.

use std::fmt;
use std::sync::Arc;

use arrow::array::{RecordBatch, RecordBatchOptions};
use arrow::datatypes::{DataType, Schema};
use async_trait::async_trait;
use datafusion::catalog::Session;
use datafusion::common::{DFSchema, Result, ScalarValue};
use datafusion::execution::context::QueryPlanner;
use datafusion::logical_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion::logical_expr::{Expr, ExprSchemable, LogicalPlan, UserDefinedLogicalNode};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_planner::{DefaultPhysicalPlanner, ExtensionPlanner, PhysicalPlanner};

use super::node::{AsofJoinNode, ToleranceExpr};
use crate::exec::asof_join::{
    AsofCondition, AsofJoinExec, AsofKey, Residual, Tolerance, unit_nanos,
};

/// A query planner that knows extension nodes.
pub struct ExtensionQueryPlanner {
    planners: Vec<Arc<dyn ExtensionPlanner + Send + Sync>>,
}

impl ExtensionQueryPlanner {
    /// DataFusion's planner with these for the nodes it does not know.
    pub fn new(planners: Vec<Arc<dyn ExtensionPlanner + Send + Sync>>) -> Self {
        ExtensionQueryPlanner { planners }
    }
}

impl fmt::Debug for ExtensionQueryPlanner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ExtensionQueryPlanner({} planners)", self.planners.len())
    }
}

#[async_trait]
impl QueryPlanner for ExtensionQueryPlanner {
    async fn create_physical_plan(
        &self,
        plan: &LogicalPlan,
        session: &dyn Session,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let planner = DefaultPhysicalPlanner::with_extension_planners(self.planners.clone());
        planner.create_physical_plan(plan, session).await
    }
}

/// Plans [`AsofJoinNode`]s.
#[derive(Debug)]
pub struct AsofExtensionPlanner;

#[async_trait]
impl ExtensionPlanner for AsofExtensionPlanner {
    async fn plan_extension(
        &self,
        planner: &dyn PhysicalPlanner,
        node: &dyn UserDefinedLogicalNode,
        _logical_inputs: &[&LogicalPlan],
        physical_inputs: &[Arc<dyn ExecutionPlan>],
        session: &dyn Session,
        context: &PhysicalPlanningContext,
    ) -> Result<Option<Arc<dyn ExecutionPlan>>> {
        let Some(node) = node.as_any().downcast_ref::<AsofJoinNode>() else { return Ok(None) };
        let exprs = Exprs { planner, session, context };
        let condition = exprs.condition(node)?;
        let left_width = node.left.schema().fields().len();
        let shown = node.shown().into_iter().map(|column| left_width + column);
        let projection = (0..left_width).chain(shown).collect();
        let [left, right] = [0, 1].map(|input| Arc::clone(&physical_inputs[input]));
        Ok(Some(Arc::new(AsofJoinExec::try_new(left, right, Arc::new(condition), projection)?)))
    }
}

/// Turns the expressions of one node into physical ones.
struct Exprs<'a> {
    planner: &'a dyn PhysicalPlanner,
    session: &'a dyn Session,
    context: &'a PhysicalPlanningContext,
}

type Physical = Arc<dyn PhysicalExpr>;

impl Exprs<'_> {
    fn expr(&self, expr: &Expr, schema: &DFSchema) -> Result<Physical> {
        self.planner.create_physical_expr(expr, schema, self.session, self.context)
    }

    fn condition(&self, node: &AsofJoinNode) -> Result<AsofCondition> {
        let (left, right) = (node.left.schema(), node.right.schema());
        let on = node.on.iter().map(|on| {
            let (left, right) = (self.expr(&on.left, left)?, self.expr(&on.right, right)?);
            Ok(AsofKey { left, right, null_equal: on.null_equal })
        });
        let pairs = node.match_condition.pairs.iter();
        let pairs = pairs.map(|(l, r)| Ok((self.expr(l, left)?, self.expr(r, right)?)));
        let residual = match &node.residual {
            Some(residual) => {
                let schema = left.join(right)?;
                let expr = self.expr(residual, &schema)?;
                Some(Residual::try_new(expr, schema.as_arrow(), left.fields().len())?)
            }
            None => None,
        };
        Ok(AsofCondition {
            kind: node.kind,
            on: on.collect::<Result<_>>()?,
            match_on: pairs.collect::<Result<_>>()?,
            comparison: node.match_condition.comparison,
            tolerance: match &node.tolerance {
                Some(tolerance) => Some(self.tolerance(tolerance, node)?),
                None => None,
            },
            left_condition: match &node.left_condition {
                Some(condition) => Some(self.expr(condition, left)?),
                None => None,
            },
            residual,
            ties: node.ties.iter().map(|tie| self.expr(tie, right)).collect::<Result<_>>()?,
        })
    }

    /// A distance where the constant is one of the time's lane, else the bound as an expression: so
    /// months, which are no fixed distance, are calendar arithmetic.
    fn tolerance(&self, tolerance: &ToleranceExpr, node: &AsofJoinNode) -> Result<Tolerance> {
        let (left, right) = &node.match_condition.pairs[0];
        let types = (left.get_type(node.left.schema())?, right.get_type(node.right.schema())?);
        if let Some(distance) = &tolerance.distance {
            let value = self.constant(distance)?;
            if let Some((amount, unit)) = fixed(&value, &types) {
                // Never beyond: down to whole steps, and one less where the bound is excluded.
                let steps = match tolerance.inclusive {
                    true => amount.div_euclid(unit),
                    false => (amount - 1).div_euclid(unit),
                };
                let text = format!("{}{value}", if tolerance.inclusive { "" } else { "<" });
                return Ok(Tolerance::Distance { steps, text });
            }
        }
        let expr = self.expr(&tolerance.bound, node.left.schema())?;
        Ok(Tolerance::Bound { expr, inclusive: tolerance.inclusive })
    }

    fn constant(&self, expr: &Expr) -> Result<ScalarValue> {
        let expr = self.expr(expr, &DFSchema::empty())?;
        let options = RecordBatchOptions::new().with_row_count(Some(1));
        let row = RecordBatch::try_new_with_options(Arc::new(Schema::empty()), vec![], &options)?;
        ScalarValue::try_from_array(&expr.evaluate(&row)?.into_array(1)?, 0)
    }
}

/// The constant, and one step of the time's lane, in one unit.
fn fixed(value: &ScalarValue, (left, right): &(DataType, DataType)) -> Option<(i128, i128)> {
    let nanos = unit_nanos(left, right);
    match (value, nanos) {
        (ScalarValue::IntervalMonthDayNano(Some(span)), Some(unit)) if span.months == 0 => {
            let day = 86_400_000_000_000;
            Some((i128::from(span.days) * day + i128::from(span.nanoseconds), unit))
        }
        (ScalarValue::IntervalDayTime(Some(span)), Some(unit)) => {
            let (day, milli) = (86_400_000_000_000, 1_000_000);
            Some((i128::from(span.days) * day + i128::from(span.milliseconds) * milli, unit))
        }
        (ScalarValue::DurationSecond(Some(v)), Some(unit)) => {
            Some((i128::from(*v) * 1_000_000_000, unit))
        }
        (ScalarValue::DurationMillisecond(Some(v)), Some(unit)) => {
            Some((i128::from(*v) * 1_000_000, unit))
        }
        (ScalarValue::DurationMicrosecond(Some(v)), Some(unit)) => {
            Some((i128::from(*v) * 1_000, unit))
        }
        (ScalarValue::DurationNanosecond(Some(v)), Some(unit)) => Some((i128::from(*v), unit)),
        (number, None) if left == right && left.is_integer() => whole(number).map(|v| (v, 1)),
        (number, Some(_)) if left == right && *left == DataType::Date32 => {
            whole(number).map(|v| (v, 1))
        }
        _ => None,
    }
}

fn whole(value: &ScalarValue) -> Option<i128> {
    match value.cast_to(&DataType::Int64).ok()? {
        ScalarValue::Int64(Some(v)) if value.data_type().is_integer() => Some(v.into()),
        _ => None,
    }
}
