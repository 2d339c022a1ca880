//! Joins of which nothing is asked: a LEFT one whose right columns nobody reads goes, as each left row
//! comes out of it once whatever it finds; an INNER one becomes SEMI, which breaks no ties and fetches
//! nothing.

use std::collections::HashSet;

use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, Result};
use datafusion::logical_expr::{Expr, LogicalPlan, UserDefinedLogicalNodeCore};
use datafusion::optimizer::optimizer::ApplyOrder;
use datafusion::optimizer::{OptimizerConfig, OptimizerRule};

use super::condition::{Scope, Side};
use super::node::AsofJoinNode;
use super::optimize::{as_plan, asof_join};
use crate::exec::asof_join::Kind;

/// Takes ASOF joins away, or half of them, below projections and aggregates that do not ask for what
/// they find.
#[derive(Debug)]
pub struct DropUnusedAsofJoin;

impl OptimizerRule for DropUnusedAsofJoin {
    fn name(&self) -> &str {
        "drop_unused_asof_join"
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        Some(ApplyOrder::TopDown)
    }

    fn rewrite(
        &self,
        plan: LogicalPlan,
        _config: &dyn OptimizerConfig,
    ) -> Result<Transformed<LogicalPlan>> {
        if !matches!(plan, LogicalPlan::Projection(_) | LogicalPlan::Aggregate(_)) {
            return Ok(Transformed::no(plan));
        }
        let below = over(&plan, &HashSet::new())?;
        Ok(below.map_or_else(|| Transformed::no(plan), Transformed::yes))
    }
}

/// The operator with one input, over what is left of it where of its columns just those are asked for;
/// None where nothing changes.
fn over(plan: &LogicalPlan, used: &HashSet<Column>) -> Result<Option<LogicalPlan>> {
    let (exprs, inputs) = (plan.expressions(), plan.inputs());
    let (false, [input]) = (exprs.iter().any(has_subquery), inputs.as_slice()) else {
        return Ok(None);
    };
    let own = exprs.iter().flat_map(Expr::column_refs).cloned();
    let used = used.iter().cloned().chain(own).collect();
    match without_unused(input, &used)? {
        Some(input) => plan.with_new_exprs(exprs, vec![input]).map(Some),
        None => Ok(None),
    }
}

/// Subqueries read columns that the expression does not show.
fn has_subquery(expr: &Expr) -> bool {
    let found = expr.exists(|expr| {
        Ok(matches!(
            expr,
            Expr::Exists(_)
                | Expr::InSubquery(_)
                | Expr::SetComparison(_)
                | Expr::ScalarSubquery(_)
                | Expr::OuterReferenceColumn(..)
        ))
    });
    found.unwrap_or(true)
}

fn without_unused(plan: &LogicalPlan, used: &HashSet<Column>) -> Result<Option<LogicalPlan>> {
    match plan {
        LogicalPlan::Filter(_) | LogicalPlan::Sort(_) | LogicalPlan::Limit(_) => over(plan, used),
        _ => match asof_join(plan) {
            Some(node) => without_unused_side(node, used),
            None => Ok(None),
        },
    }
}

fn without_unused_side(node: &AsofJoinNode, used: &HashSet<Column>) -> Result<Option<LogicalPlan>> {
    let scope = Scope { left: node.left.schema(), right: node.right.schema() };
    let is_of_left = |column: &Column| scope.side(&Expr::Column(column.clone())) == Side::Left;
    let is_unused = used.iter().all(is_of_left);
    if is_unused && node.kind == Kind::Left {
        let left = without_unused(&node.left, used)?;
        return Ok(Some(left.unwrap_or_else(|| node.left.as_ref().clone())));
    }
    let semi = match node.kind {
        Kind::Inner if is_unused => Some(node.as_semi()?),
        _ => None,
    };
    let exprs = node.expressions();
    let own = exprs.iter().flat_map(Expr::column_refs);
    let of_left = used.iter().chain(own).filter(|column| is_of_left(column)).cloned().collect();
    Ok(match (without_unused(&node.left, &of_left)?, semi) {
        (None, None) => None,
        (None, Some(semi)) => Some(as_plan(semi)),
        (Some(left), semi) => Some(as_plan(semi.as_ref().unwrap_or(node).with_left(left)?)),
    })
}
