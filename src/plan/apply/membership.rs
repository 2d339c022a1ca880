//! IN, `= ANY` and EXISTS over a sub-select that takes nothing from outside, where their value is wanted: in a
//! result, an arm, an order, below OR and NOT. DataFusion has them as conditions of WHERE only, where
//! it takes NULL for false. Here the sub-select is a join: its rows mark those they are equal to, and its
//! counts tell whether what is not marked is false or NULL.

use std::sync::Arc;

use datafusion::common::{Column, JoinType, Result, ScalarValue, TableReference};
use datafusion::functions_aggregate::expr_fn::count;
use datafusion::logical_expr::expr::{Exists, InSubquery, SetComparison, SetQuantifier};
use datafusion::logical_expr::{
    Expr, ExprSchemable, LogicalPlan, LogicalPlanBuilder, Operator, Subquery, lit, not, when,
};

/// The column of a join that says whether a row was met.
const MARK: &str = "mark";

/// Whether the expression, whose sub-select takes nothing from outside, is more than a condition of WHERE; `tops`
/// are those.
pub(super) fn is_membership(expr: &Expr, node: &LogicalPlan, tops: &[Expr]) -> bool {
    let is_condition = || matches!(node, LogicalPlan::Filter(_));
    match expr {
        Expr::InSubquery(_) => !tops.contains(expr),
        Expr::SetComparison(comparison) if is_in(comparison).is_some() => !tops.contains(expr),
        Expr::SetComparison(_) | Expr::Exists(_) => !is_condition(),
        _ => false,
    }
}

/// Whether [`membership`] says it: of the others each row is compared by itself.
pub(super) fn is_joined(expr: &Expr) -> bool {
    match expr {
        Expr::InSubquery(_) | Expr::Exists(_) => true,
        Expr::SetComparison(comparison) => is_in(comparison).is_some(),
        _ => false,
    }
}

/// `= ANY` is IN, `<> ALL` is NOT IN: whether it is negated.
fn is_in(comparison: &SetComparison) -> Option<bool> {
    match (comparison.op, &comparison.quantifier) {
        (Operator::Eq, SetQuantifier::Any) => Some(false),
        (Operator::NotEq, SetQuantifier::All) => Some(true),
        _ => None,
    }
}

/// The value over columns that are joined to the input under the qualifiers; NULL may stand for it in rows for
/// which `guard` is not true.
pub(super) fn membership(
    expr: Expr,
    guard: Option<&Expr>,
    input: LogicalPlan,
    mut qualifier: impl FnMut() -> TableReference,
) -> Result<(Expr, LogicalPlan)> {
    let (value, subquery, negated) = match expr {
        Expr::InSubquery(InSubquery { expr, subquery, negated }) => (*expr, subquery, negated),
        Expr::SetComparison(comparison) => {
            let negated = is_in(&comparison).unwrap_or_default();
            (*comparison.expr, comparison.subquery, negated)
        }
        Expr::Exists(Exists { subquery, negated }) => {
            return exists(subquery, negated, input, qualifier());
        }
        other => return Ok((other, input)),
    };
    let value = match guard {
        Some(guard) => when(guard.clone(), value).end()?,
        None => value,
    };
    let plan = Arc::unwrap_or_clone(subquery.subquery);
    let member = Expr::Column(plan.schema().columns().swap_remove(0));
    // What is never NULL is met or not; nothing has to be counted for it.
    let is_known = !value.nullable(input.schema())? && !member.nullable(plan.schema())?;
    let marks = qualifier();
    let members = LogicalPlanBuilder::from(plan.clone())
        .project([member.clone().alias("member")])?
        .alias(marks.clone())?
        .build()?;
    let column = |of: &TableReference, name| Expr::Column(Column::new(Some(of.clone()), name));
    let equal = value.clone().eq(column(&marks, "member"));
    let marked = LogicalPlanBuilder::from(input).join_on(members, JoinType::LeftMark, [equal])?;
    let mark = column(&marks, MARK);
    if is_known {
        return Ok((if negated { not(mark) } else { mark }, marked.build()?));
    }
    let facts = qualifier();
    let counts = LogicalPlanBuilder::from(plan)
        .aggregate(Vec::<Expr>::new(), [count(lit(1)).alias("rows"), count(member).alias("known")])?
        .alias(facts.clone())?;
    let joined = marked.cross_join(counts.build()?)?.build()?;
    let (rows, known) = (column(&facts, "rows"), column(&facts, "known"));
    let unknown = rows.clone().gt(lit(0_i64)).and(value.is_null().or(rows.not_eq(known)));
    let found = when(mark, lit(true))
        .when(unknown, lit(ScalarValue::Boolean(None)))
        .otherwise(lit(false))?;
    Ok((if negated { not(found) } else { found }, joined))
}

fn exists(
    subquery: Subquery,
    negated: bool,
    input: LogicalPlan,
    qualifier: TableReference,
) -> Result<(Expr, LogicalPlan)> {
    let rows = LogicalPlanBuilder::from(Arc::unwrap_or_clone(subquery.subquery))
        .limit(0, Some(1))?
        .aggregate(Vec::<Expr>::new(), [count(lit(1)).alias("rows")])?
        .alias(qualifier.clone())?
        .build()?;
    let joined = LogicalPlanBuilder::from(input).cross_join(rows)?.build()?;
    let some = Expr::Column(Column::new(Some(qualifier), "rows")).gt(lit(0_i64));
    Ok((if negated { not(some) } else { some }, joined))
}
