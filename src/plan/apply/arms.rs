//! Sub-selects in the arms of CASE and COALESCE. A join computes its value for every row, also where
//! the arm is not taken; one that may fail has to wait for its arm, so it is run by an apply that first
//! asks whether the row takes it.

use datafusion::common::Result;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::logical_expr::expr::{
    AggregateFunction, Case, InSubquery, ScalarFunction, SetComparison,
};
use datafusion::logical_expr::{BinaryExpr, Expr, LogicalPlan, Operator, and};

use super::convert::Applies;
use super::correlation::subquery_of;

/// Aggregates that answer for any rows.
const SAFE_AGGREGATES: [&str; 7] = ["count", "sum", "avg", "min", "max", "bool_and", "bool_or"];

impl Applies<'_> {
    /// The expression with sub-selects replaced; `guard` is true for the rows that take its value.
    pub(super) fn replace(
        &mut self,
        expr: Expr,
        guard: Option<&Expr>,
    ) -> Result<Transformed<Expr>> {
        expr.transform_down(|expr| {
            if self.is_apply(&expr) || guard.is_some() && must_wait(&expr) {
                let value = self.apply(expr, guard)?;
                return Ok(Transformed::new(value, true, TreeNodeRecursion::Jump));
            }
            if !has_arms_that_wait(&expr) {
                return Ok(Transformed::no(expr));
            }
            let replaced = match expr {
                Expr::Case(case) => self.case(case, guard)?,
                Expr::ScalarFunction(call) => self.coalesce(call, guard)?,
                other => return Ok(Transformed::no(other)),
            };
            Ok(Transformed::new(replaced, true, TreeNodeRecursion::Jump))
        })
    }

    fn case(&mut self, case: Case, guard: Option<&Expr>) -> Result<Expr> {
        let base = match case.expr {
            Some(base) => Some(self.replace(*base, guard)?.data),
            None => None,
        };
        let mut reached = guard.cloned();
        let mut arms = Vec::with_capacity(case.when_then_expr.len());
        for (when, then) in case.when_then_expr {
            let when = self.replace(*when, reached.as_ref())?.data;
            let holds = match &base {
                Some(base) => base.clone().eq(when.clone()),
                None => when.clone(),
            };
            let taken = both(reached.as_ref(), Expr::IsTrue(Box::new(holds.clone())));
            let then = self.replace(*then, Some(&taken))?.data;
            reached = Some(both(reached.as_ref(), Expr::IsNotTrue(Box::new(holds))));
            arms.push((Box::new(when), Box::new(then)));
        }
        let otherwise = match case.else_expr {
            Some(otherwise) => Some(Box::new(self.replace(*otherwise, reached.as_ref())?.data)),
            None => None,
        };
        Ok(Expr::Case(Case::new(base.map(Box::new), arms, otherwise)))
    }

    fn coalesce(&mut self, call: ScalarFunction, guard: Option<&Expr>) -> Result<Expr> {
        let mut reached = guard.cloned();
        let mut args = Vec::with_capacity(call.args.len());
        for arg in call.args {
            let arg = self.replace(arg, reached.as_ref())?.data;
            reached = Some(both(reached.as_ref(), arg.clone().is_null()));
            args.push(arg);
        }
        Ok(Expr::ScalarFunction(ScalarFunction::new_udf(call.func, args)))
    }
}

fn both(guard: Option<&Expr>, condition: Expr) -> Expr {
    match guard {
        Some(guard) => and(guard.clone(), condition),
        None => condition,
    }
}

/// Whether the expression is a CASE or COALESCE with a sub-select in an arm that may not be taken.
/// One that is not the same when it is asked again is left alone.
pub(super) fn has_arms_that_wait(expr: &Expr) -> bool {
    let arms: Vec<&Expr> = match expr {
        Expr::Case(case) => {
            let pairs = case.when_then_expr.iter();
            let conditions = pairs.clone().skip(1).map(|(when, _)| when.as_ref());
            let results = pairs.map(|(_, then)| then.as_ref());
            conditions.chain(results).chain(case.else_expr.as_deref()).collect()
        }
        Expr::ScalarFunction(call) if call.func.name() == "coalesce" => {
            call.args.iter().skip(1).collect()
        }
        _ => return false,
    };
    let waits = |arm: &&Expr| arm.exists(|expr| Ok(must_wait(expr))).unwrap_or(false);
    arms.iter().any(waits) && !expr.is_volatile()
}

/// Whether a sub-select may fail for a row that does not ask for it.
fn must_wait(expr: &Expr) -> bool {
    match expr {
        Expr::ScalarSubquery(subquery) => may_fail(&subquery.subquery),
        Expr::InSubquery(InSubquery { expr, .. })
        | Expr::SetComparison(SetComparison { expr, .. }) => {
            expr.exists(|expr| Ok(!is_safe(expr))).unwrap_or(true)
        }
        _ => false,
    }
}

fn may_fail(plan: &LogicalPlan) -> bool {
    if plan.max_rows().is_none_or(|rows| rows > 1) {
        return true;
    }
    let mut fails = false;
    let walked = plan.apply(|node| {
        node.apply_expressions(|expr| {
            fails |= expr.exists(|expr| Ok(!is_safe(expr)))?;
            Ok(TreeNodeRecursion::Continue)
        })?;
        Ok(if fails { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    });
    walked.is_err() || fails
}

/// Whether evaluating the expression, its parts aside, answers for any values.
fn is_safe(expr: &Expr) -> bool {
    match expr {
        Expr::BinaryExpr(BinaryExpr { op, .. }) => {
            matches!(
                op,
                Operator::And
                    | Operator::Or
                    | Operator::Eq
                    | Operator::NotEq
                    | Operator::Lt
                    | Operator::LtEq
                    | Operator::Gt
                    | Operator::GtEq
                    | Operator::IsDistinctFrom
                    | Operator::IsNotDistinctFrom
            )
        }
        Expr::AggregateFunction(AggregateFunction { func, .. }) => {
            SAFE_AGGREGATES.contains(&func.name())
        }
        Expr::Column(_)
        | Expr::OuterReferenceColumn(..)
        | Expr::Literal(..)
        | Expr::Placeholder(_)
        | Expr::Alias(_)
        | Expr::Not(_)
        | Expr::IsNull(_)
        | Expr::IsNotNull(_)
        | Expr::IsTrue(_)
        | Expr::IsNotTrue(_)
        | Expr::IsFalse(_)
        | Expr::IsNotFalse(_)
        | Expr::Between(_)
        | Expr::InList(_)
        | Expr::Case(_) => true,
        _ => subquery_of(expr).is_some_and(|inner| !may_fail(&inner.subquery)),
    }
}
