//! Floats that are looked up by their bits are looked up by their value.
//!
//! DataFusion compares -0.0 and 0.0 as equal, but finds by bits in three places: a hash join sends
//! the values of its smaller side to the scan of the other as a list, IN keeps its list in a set, and
//! a window's partitions end where the bits differ. There each float key becomes one with one zero
//! and one NaN.
//!
//! Runs last: rules before it make joins of subqueries and lists of ORs.

use datafusion::common::tree_node::Transformed;
use datafusion::common::{DFSchema, JoinConstraint, Result, ScalarValue};
use datafusion::logical_expr::expr::{InList, WindowFunction};
use datafusion::logical_expr::{Case, Expr, ExprSchemable, Join, LogicalPlan};
use datafusion::optimizer::optimizer::ApplyOrder;
use datafusion::optimizer::{OptimizerConfig, OptimizerRule};

use super::expressions::rewrite_expressions;
use super::functions::{is_total_order, total_order};

/// The rule.
#[derive(Debug)]
pub struct FloatKeys;

impl OptimizerRule for FloatKeys {
    fn name(&self) -> &str {
        "float_keys"
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        Some(ApplyOrder::BottomUp)
    }

    fn rewrite(
        &self,
        plan: LogicalPlan,
        _: &dyn OptimizerConfig,
    ) -> Result<Transformed<LogicalPlan>> {
        match plan {
            LogicalPlan::Join(join) => Ok(join_keys(join)),
            LogicalPlan::Extension(_) => Ok(Transformed::no(plan)),
            other => rewrite_expressions(other, |expr, schema| Ok(lookups(expr, schema))),
        }
    }
}

fn join_keys(mut join: Join) -> Transformed<LogicalPlan> {
    let mut changed = false;
    for (left, right) in &mut join.on {
        changed |= normalise(left, join.left.schema());
        changed |= normalise(right, join.right.schema());
    }
    if !changed {
        return Transformed::no(LogicalPlan::Join(join));
    }
    // Names are resolved by now, and the keys of USING must be columns.
    join.join_constraint = JoinConstraint::On;
    Transformed::yes(LogicalPlan::Join(join))
}

/// Whether the expression was a float that could have two zeros, and is none now.
fn normalise(expr: &mut Expr, schema: &DFSchema) -> bool {
    let is_float = expr.get_type(schema).is_ok_and(|of| of.is_floating());
    if !is_float || is_total_order(expr) {
        return false;
    }
    let normal = total_order(expr.clone());
    let changed = normal != *expr;
    *expr = normal;
    changed
}

/// Whether looking for the literal by its bits could miss a value that equals it.
fn has_a_twin(expr: &Expr) -> bool {
    match expr {
        Expr::Literal(ScalarValue::Float64(Some(value)), _) => value.is_nan() || *value == 0.0,
        Expr::Literal(ScalarValue::Float32(Some(value)), _) => value.is_nan() || *value == 0.0,
        Expr::Literal(..) => false,
        _ => true,
    }
}

/// One expression, not its children.
fn lookups(mut expr: Expr, schema: &DFSchema) -> Transformed<Expr> {
    let mut changed = false;
    match &mut expr {
        Expr::InList(InList { expr, list, .. }) if list.iter().any(has_a_twin) => {
            changed |= normalise(expr, schema);
            for item in list {
                changed |= normalise(item, schema);
            }
        }
        Expr::Case(Case { expr: Some(expr), when_then_expr, .. })
            if when_then_expr.iter().any(|(when, _)| has_a_twin(when)) =>
        {
            changed |= normalise(expr, schema);
            for (when, _) in when_then_expr {
                changed |= normalise(when, schema);
            }
        }
        Expr::WindowFunction(window) => {
            let WindowFunction { params, .. } = window.as_mut();
            for key in &mut params.partition_by {
                changed |= normalise(key, schema);
            }
        }
        _ => {}
    }
    if changed { Transformed::yes(expr) } else { Transformed::no(expr) }
}
