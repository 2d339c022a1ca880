//! The labels under a chain of joins: what the joins below have in common with the next one.

use std::sync::Arc;

use datafusion::common::Result;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::projection::ProjectionExec;

use super::exec::{AsofSearchExec, Shown};
use super::view::View;
use crate::exec::asof_join::{AsofCondition, AsofKey, Tolerance};

/// A left input, taken apart where it is a search whose labels the condition asks alone.
pub(super) struct Spine {
    pub left: Arc<dyn ExecutionPlan>,
    pub views: Vec<Arc<View>>,
    /// What each column of the input as it was is now.
    pub columns: Vec<Shown>,
    /// Over `left`.
    pub condition: Arc<AsofCondition>,
}

impl Spine {
    pub(super) fn of(
        input: &Arc<dyn ExecutionPlan>,
        condition: &Arc<AsofCondition>,
    ) -> Result<Spine> {
        if let Some((search, columns)) = search_of(input) {
            let (left, views, _) = search.parts();
            if let Some(condition) = over_labels(condition, &columns)? {
                let (left, views) = (Arc::clone(left), views.to_vec());
                return Ok(Spine { left, views, columns, condition: Arc::new(condition) });
            }
        }
        let columns = (0..input.schema().fields().len()).map(Shown::Left).collect();
        let (left, condition) = (Arc::clone(input), Arc::clone(condition));
        Ok(Spine { left, views: Vec::new(), columns, condition })
    }
}

fn search_of(plan: &Arc<dyn ExecutionPlan>) -> Option<(&AsofSearchExec, Vec<Shown>)> {
    if let Some(search) = plan.downcast_ref::<AsofSearchExec>() {
        return Some((search, search.parts().2.to_vec()));
    }
    let projection = plan.downcast_ref::<ProjectionExec>()?;
    let (search, inner) = search_of(projection.input())?;
    let columns = projection
        .expr()
        .iter()
        .map(|shown| shown.expr.downcast_ref::<Column>().map(|column| inner[column.index()]));
    Some((search, columns.collect::<Option<_>>()?))
}

/// The condition over the labels themselves; None where it asks what a join found.
fn over_labels(condition: &AsofCondition, columns: &[Shown]) -> Result<Option<AsofCondition>> {
    let mut is_of_labels = true;
    let mut over = |expr: &Arc<dyn PhysicalExpr>| {
        Arc::clone(expr)
            .transform_up(|node| {
                let Some(column) = node.downcast_ref::<Column>() else {
                    return Ok(Transformed::no(node));
                };
                match columns[column.index()] {
                    Shown::Left(at) => {
                        Ok(Transformed::yes(Arc::new(Column::new(column.name(), at)) as _))
                    }
                    Shown::Right { .. } => {
                        is_of_labels = false;
                        Ok(Transformed::no(node))
                    }
                }
            })
            .data()
    };
    let mut moved = condition.clone();
    for (AsofKey { left, .. }, key) in moved.on.iter_mut().zip(&condition.on) {
        *left = over(&key.left)?;
    }
    for ((left, _), (before, _)) in moved.match_on.iter_mut().zip(&condition.match_on) {
        *left = over(before)?;
    }
    if let Some(Tolerance::Bound { expr, .. }) = &mut moved.tolerance {
        *expr = over(&expr.clone())?;
    }
    if let Some(left) = &mut moved.left_condition {
        *left = over(&left.clone())?;
    }
    Ok((is_of_labels && condition.residual.is_none()).then_some(moved))
}
