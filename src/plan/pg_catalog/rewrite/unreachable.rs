//! Arms of CASE that no row can reach: `CASE WHEN t.typtype = 'd' THEN (WITH RECURSIVE …)`, asked of
//! a `pg_type` without domains. Drivers that learn types ask so, and a recursive query that names the
//! row around it is not planned.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{BinaryOperator, Expr, Query, Value, Visit, Visitor};

use super::build;
use crate::plan::pg_catalog::types::types;

/// Drops the arms; `is_pg_type` says whether an alias stands for `pg_type`.
pub fn drop_arms(expr: &mut Expr, is_pg_type: impl Fn(&str) -> bool) {
    let Expr::Case { operand: None, conditions, else_result, .. } = expr else { return };
    conditions.retain(|arm| {
        !(never(&arm.condition, &is_pg_type) && arm.result.visit(&mut Recursion).is_break())
    });
    if conditions.is_empty() {
        let otherwise = else_result.take();
        *expr = otherwise.map_or_else(|| build::value(Value::Null), |otherwise| *otherwise);
    }
}

/// Whether a condition asks for a kind of type that there is none of.
fn never(condition: &Expr, is_pg_type: impl Fn(&str) -> bool) -> bool {
    let Expr::BinaryOp { left, op: BinaryOperator::Eq, right } = condition else { return false };
    let (Expr::CompoundIdentifier(parts), Expr::Value(kind)) = (left.as_ref(), right.as_ref())
    else {
        return false;
    };
    let ([.., alias, column], Value::SingleQuotedString(kind)) = (parts.as_slice(), &kind.value)
    else {
        return false;
    };
    column.value.eq_ignore_ascii_case("typtype")
        && is_pg_type(&alias.value.to_lowercase())
        && types().iter().all(|of| of.fields[4] != kind)
}

struct Recursion;

impl Visitor for Recursion {
    type Break = ();

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        match query.with.as_ref().is_some_and(|with| with.recursive) {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        }
    }
}
