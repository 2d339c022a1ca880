//! What a sub-select takes from the rows around it, and whether a join can say the same.

use std::collections::HashSet;

use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, DFSchema, Result, ScalarValue};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::utils::{merge_schema, split_conjunction};
use datafusion::logical_expr::{BinaryExpr, Expr, LogicalPlan, Operator, Subquery};

/// The plan in an expression, if it is a sub-select.
pub(super) fn subquery_of(expr: &Expr) -> Option<&Subquery> {
    match expr {
        Expr::ScalarSubquery(subquery) => Some(subquery),
        Expr::Exists(exists) => Some(&exists.subquery),
        Expr::InSubquery(list) => Some(&list.subquery),
        Expr::SetComparison(comparison) => Some(&comparison.subquery),
        _ => None,
    }
}

/// The columns of `schema` that a plan, its sub-selects included, takes from outside.
///
/// # Errors
/// None of its own.
pub(super) fn outer_columns(plan: &LogicalPlan, schema: &DFSchema) -> Result<Vec<Column>> {
    let mut found = Vec::new();
    visit_outer(plan, &HashSet::new(), &mut |column| {
        if schema.has_column(column) && !found.contains(column) {
            found.push(column.clone());
        }
    })?;
    Ok(found)
}

/// Calls `visit` for each column taken from outside of the plan. A sub-select in it names its own
/// surroundings first: those columns are `hidden`.
fn visit_outer(
    plan: &LogicalPlan,
    hidden: &HashSet<Column>,
    visit: &mut dyn FnMut(&Column),
) -> Result<()> {
    plan.apply(|node| {
        let mut inner = None;
        node.apply_expressions(|expr| {
            expr.apply(|expr| {
                if let Expr::OuterReferenceColumn(_, column) = expr
                    && !hidden.contains(column)
                {
                    visit(column);
                }
                if let Some(subquery) = subquery_of(expr) {
                    let inner = inner.get_or_insert_with(|| with_inputs(hidden, node));
                    visit_outer(&subquery.subquery, inner, visit)?;
                }
                Ok(TreeNodeRecursion::Continue)
            })
        })?;
        if let LogicalPlan::Subquery(lateral) = node {
            visit_outer(&lateral.subquery, hidden, visit)?;
            return Ok(TreeNodeRecursion::Jump);
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(())
}

fn with_inputs(hidden: &HashSet<Column>, node: &LogicalPlan) -> HashSet<Column> {
    let mut hidden = hidden.clone();
    hidden.extend(merge_schema(&node.inputs()).columns());
    hidden
}

/// The plan with values in the place of columns taken from outside.
///
/// # Errors
/// Those of building a node anew.
pub(super) fn with_values(
    plan: &LogicalPlan,
    values: &[(Column, ScalarValue)],
) -> Result<LogicalPlan> {
    let replaced = plan.clone().transform_down(|node| {
        if let LogicalPlan::Subquery(lateral) = &node {
            let inner = with_values(&lateral.subquery, values)?;
            let still = lateral.outer_ref_columns.iter().filter(|expr| !is_given(expr, values));
            let mut lateral = lateral.with_plan(inner.into());
            lateral.outer_ref_columns = still.cloned().collect();
            let tree = TreeNodeRecursion::Jump;
            return Ok(Transformed::new(LogicalPlan::Subquery(lateral), true, tree));
        }
        let own = merge_schema(&node.inputs());
        let values_inside = || -> Vec<_> {
            values.iter().filter(|(column, _)| !own.has_column(column)).cloned().collect()
        };
        let names = NamePreserver::new(&node);
        node.map_expressions(|expr| {
            let name = names.save(&expr);
            let given = expr.transform_down(|expr| match expr {
                Expr::OuterReferenceColumn(field, column) => {
                    match values.iter().find(|(known, _)| *known == column) {
                        Some((_, value)) => {
                            Ok(Transformed::yes(Expr::Literal(value.clone(), None)))
                        }
                        None => Ok(Transformed::no(Expr::OuterReferenceColumn(field, column))),
                    }
                }
                expr => match subquery_of(&expr).is_some() {
                    true => inside(expr, &values_inside()).map(Transformed::yes),
                    false => Ok(Transformed::no(expr)),
                },
            })?;
            Ok(given.update_data(|expr| name.restore(expr)))
        })
    })?;
    Ok(replaced.data)
}

fn is_given(expr: &Expr, values: &[(Column, ScalarValue)]) -> bool {
    matches!(expr, Expr::OuterReferenceColumn(_, column) if values.iter().any(|(c, _)| c == column))
}

/// A sub-select with values in its plan.
fn inside(expr: Expr, values: &[(Column, ScalarValue)]) -> Result<Expr> {
    let change = |subquery: Subquery| -> Result<Subquery> {
        let plan = with_values(&subquery.subquery, values)?;
        let mut changed = subquery.with_plan(plan.into());
        changed.outer_ref_columns.retain(|expr| !is_given(expr, values));
        Ok(changed)
    };
    Ok(match expr {
        Expr::ScalarSubquery(subquery) => Expr::ScalarSubquery(change(subquery)?),
        Expr::Exists(mut exists) => {
            exists.subquery = change(exists.subquery)?;
            Expr::Exists(exists)
        }
        Expr::InSubquery(mut list) => {
            list.subquery = change(list.subquery)?;
            Expr::InSubquery(list)
        }
        Expr::SetComparison(mut comparison) => {
            comparison.subquery = change(comparison.subquery)?;
            Expr::SetComparison(comparison)
        }
        other => other,
    })
}

/// Where a sub-select stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// A value, or a relation with an aggregate: rows meet by equality only.
    Value,
    /// EXISTS or IN as a condition of its own.
    Condition,
    /// LATERAL.
    Relation,
}

/// Whether DataFusion turns the sub-select into a join of the same meaning.
pub(super) fn joins(plan: &LogicalPlan, place: Place) -> bool {
    let mut plan = plan;
    let mut aggregated = false;
    loop {
        if !takes_outer(plan) {
            return true;
        }
        plan = match plan {
            LogicalPlan::Projection(projection) if !own_outer(plan) => &projection.input,
            LogicalPlan::SubqueryAlias(alias) => &alias.input,
            LogicalPlan::Aggregate(aggregate)
                if place != Place::Condition && !aggregated && !own_outer(plan) =>
            {
                aggregated = true;
                &aggregate.input
            }
            // No row of EXISTS is looked at.
            LogicalPlan::Sort(sort)
                if place == Place::Condition && sort.fetch.is_none() && !own_outer(plan) =>
            {
                &sort.input
            }
            LogicalPlan::Filter(filter) => {
                let by_equality = place == Place::Value || aggregated;
                let mut conditions = split_conjunction(&filter.predicate).into_iter();
                if !conditions.all(|condition| is_join_condition(condition, by_equality)) {
                    return false;
                }
                &filter.input
            }
            _ => return false,
        }
    }
}

fn is_join_condition(condition: &Expr, by_equality: bool) -> bool {
    let nested = condition
        .exists(|expr| Ok(subquery_of(expr).is_some_and(|inner| takes_outer(&inner.subquery))));
    if nested.unwrap_or(true) {
        return false;
    }
    if !condition.contains_outer() || !by_equality {
        return true;
    }
    let Expr::BinaryExpr(BinaryExpr { left, op: Operator::Eq, right }) = condition else {
        return false;
    };
    let is_outer = |expr: &Expr| matches!(expr, Expr::OuterReferenceColumn(..));
    is_outer(left) && !right.contains_outer() || is_outer(right) && !left.contains_outer()
}

/// Whether expressions of the node itself take something from outside.
fn own_outer(plan: &LogicalPlan) -> bool {
    let mut own = false;
    let visited = plan.apply_expressions(|expr| {
        own |= expr.exists(|expr| {
            Ok(matches!(expr, Expr::OuterReferenceColumn(..))
                || subquery_of(expr).is_some_and(|inner| takes_outer(&inner.subquery)))
        })?;
        Ok(TreeNodeRecursion::Continue)
    });
    visited.is_err() || own
}

/// Whether a plan takes anything from outside of it.
pub(super) fn takes_outer(plan: &LogicalPlan) -> bool {
    let mut takes = false;
    visit_outer(plan, &HashSet::new(), &mut |_| takes = true).is_err() || takes
}
