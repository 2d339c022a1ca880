//! Chains of sums and products that are long already while they are planned.
//!
//! An operator is asked for its type at each place of a plan, and reckons it from all that is in it: of
//! thousands of links that would take minutes. A chain of numbers alike becomes one call, see
//! [`super::arithmetic`], as soon as it is longer than people write by hand.

use datafusion::common::DFSchema;
use datafusion::logical_expr::planner::PlannerResult;
use datafusion::logical_expr::{BinaryExpr, Expr, Operator};
use datafusion::sql::sqlparser::ast::BinaryOperator;

use super::{checked, is_checked};
use crate::plan::functions::chain::type_of;

/// Links from which on a chain is one call. Below, plans keep the operators as they are written.
const LONG: usize = 32;

/// `left op right` as one call; the operands again where it is no long chain of numbers alike.
pub fn chained(
    op: &BinaryOperator,
    left: Expr,
    right: Expr,
    schema: &DFSchema,
) -> PlannerResult<(Expr, Expr)> {
    let op = match op {
        BinaryOperator::Plus => Operator::Plus,
        BinaryOperator::Minus => Operator::Minus,
        BinaryOperator::Multiply => Operator::Multiply,
        _ => return PlannerResult::Original((left, right)),
    };
    if !is_long(&left) || !alike(&left, &right, schema) {
        return PlannerResult::Original((left, right));
    }
    let left = Box::new(flat(left, schema));
    let right = Box::new(right);
    PlannerResult::Planned(checked(BinaryExpr { left, op, right }, schema).data)
}

fn is_long(expr: &Expr) -> bool {
    let (mut expr, mut links) = (expr, 0);
    loop {
        match expr {
            Expr::ScalarFunction(call) if is_checked(&call.func) => return true,
            Expr::BinaryExpr(BinaryExpr { left, op, .. }) if is_link(*op) => expr = left,
            _ => return false,
        }
        links += 1;
        if links >= LONG {
            return true;
        }
    }
}

fn is_link(op: Operator) -> bool {
    matches!(op, Operator::Plus | Operator::Minus | Operator::Multiply)
}

/// Whether two operands are numbers of one type, which their sum has as well.
fn alike(left: &Expr, right: &Expr, schema: &DFSchema) -> bool {
    match (type_of(left, schema), type_of(right, schema)) {
        (Ok(left), Ok(right)) => left == right && (left.is_signed_integer() || left.is_floating()),
        _ => false,
    }
}

/// The links below, from the innermost on, as far as they are of numbers alike.
fn flat(expr: Expr, schema: &DFSchema) -> Expr {
    match expr {
        Expr::BinaryExpr(BinaryExpr { left, op, right })
            if is_link(op) && alike(&left, &right, schema) =>
        {
            let left = Box::new(flat(*left, schema));
            checked(BinaryExpr { left, op, right }, schema).data
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use datafusion::logical_expr::lit;

    use super::*;

    #[test]
    fn a_chain_becomes_one_call_when_it_is_long() {
        let schema = DFSchema::empty();
        let mut sum = lit(1i64);
        for links in 1..200 {
            sum = match chained(&BinaryOperator::Plus, sum, lit(1i64), &schema) {
                PlannerResult::Planned(call) => call,
                PlannerResult::Original((left, right)) => left + right,
            };
            let is_call =
                matches!(&sum, Expr::ScalarFunction(call) if call.args.len() == links + 1);
            assert_eq!(is_call, links > LONG, "{links}");
        }
    }

    #[test]
    fn other_operands_stay() {
        let schema = DFSchema::empty();
        let long = (0..100).fold(lit(1i64), |sum, _| sum + lit(1i64));
        let stays = |op, right| {
            matches!(chained(&op, long.clone(), right, &schema), PlannerResult::Original(_))
        };
        assert!(stays(BinaryOperator::Divide, lit(1i64)));
        assert!(stays(BinaryOperator::Plus, lit(1.5)));
    }
}
