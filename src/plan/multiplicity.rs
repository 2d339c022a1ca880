//! INTERSECT ALL and EXCEPT ALL count: a row that is l times on the left and r times on the right is
//! min(l, r) times in the one and l − r times in the other.
//!
//! DataFusion answers both with a join that only asks whether a row is on the right. Here equal rows are
//! numbered on either side, and the number is compared too: the join then finds for the n-th of them
//! whether there is an n-th on the right.

use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNodeRecursion};
use datafusion::common::{Column, NullEquality, Result};
use datafusion::functions_window::row_number::row_number;
use datafusion::logical_expr::type_coercion::binary::comparison_coercion;
use datafusion::logical_expr::{
    Expr, ExprFunctionExt, ExprSchemable, Join, JoinType, LogicalPlan, LogicalPlanBuilder, cast,
};

/// The plan with equal rows numbered where a set operation counts them.
///
/// # Errors
/// None that planning the operation did not give.
pub(super) fn counted(plan: LogicalPlan) -> Result<LogicalPlan> {
    let mut counts = false;
    plan.apply_with_subqueries(|node| {
        counts |= matches!(node, LogicalPlan::Join(join) if is_counted(join));
        Ok(if counts { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    })?;
    if !counts {
        return Ok(plan);
    }
    let numbered = plan.transform_up_with_subqueries(|node| match node {
        LogicalPlan::Join(join) if is_counted(&join) => number(join).map(Transformed::yes),
        other => Ok(Transformed::no(other)),
    });
    Ok(numbered?.data)
}

/// Only set operations hold NULLs to be equal this early. Without ALL their left side is distinct, and no
/// row is there twice.
fn is_counted(join: &Join) -> bool {
    join.null_equality == NullEquality::NullEqualsNull
        && matches!(join.join_type, JoinType::LeftSemi | JoinType::LeftAnti)
        && !matches!(join.left.as_ref(), LogicalPlan::Distinct(_))
}

fn number(join: Join) -> Result<LogicalPlan> {
    let (mut left_keys, mut right_keys) = (Vec::new(), Vec::new());
    for (left, right) in &join.on {
        let types = (left.get_type(join.left.schema())?, right.get_type(join.right.schema())?);
        // Rows are equal as they are compared, not as each side has them.
        let common =
            (types.0 != types.1).then(|| comparison_coercion(&types.0, &types.1)).flatten();
        let compared = |expr: &Expr| match &common {
            Some(common) => cast(expr.clone(), common.clone()),
            None => expr.clone(),
        };
        left_keys.push(compared(left));
        right_keys.push(compared(right));
    }
    let shown = join.left.schema().columns();
    let (left, left_number) = numbered(&join.left, left_keys, "asofdb equal row")?;
    let (right, right_number) = numbered(&join.right, right_keys, "asofdb equal row of the right")?;
    let mut on = join.on;
    on.push((left_number, right_number));
    let joined = Join::try_new(
        Arc::new(left),
        Arc::new(right),
        on,
        join.filter,
        join.join_type,
        join.join_constraint,
        join.null_equality,
        join.null_aware,
    )?;
    let shown = shown.into_iter().map(Expr::Column);
    LogicalPlanBuilder::from(LogicalPlan::Join(joined)).project(shown)?.build()
}

/// Rows with a column that numbers those that are equal.
fn numbered(rows: &LogicalPlan, keys: Vec<Expr>, name: &str) -> Result<(LogicalPlan, Expr)> {
    let number = row_number().partition_by(keys).build()?;
    let mut columns: Vec<Expr> = rows.schema().columns().into_iter().map(Expr::Column).collect();
    let plan = LogicalPlanBuilder::from(rows.clone()).window([number])?.build()?;
    let last = plan.schema().qualified_field(columns.len());
    columns.push(Expr::Column(Column::from(last)).alias(name));
    let plan = LogicalPlanBuilder::from(plan).project(columns)?.build()?;
    Ok((plan, Expr::Column(Column::new_unqualified(name))))
}
