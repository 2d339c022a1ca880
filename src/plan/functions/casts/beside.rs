//! Literals that take the type of what they are compared with.

use arrow::datatypes::{DataType, Field, IntervalUnit};
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::Transformed;
use datafusion::common::{DFSchema, ScalarValue};
use datafusion::error::Result as DataFusionResult;
use datafusion::logical_expr::expr::{BinaryExpr, InList};
use datafusion::logical_expr::expr_rewriter::FunctionRewrite;
use datafusion::logical_expr::{Between, Case, Cast, Expr, ExprSchemable, Operator, cast};

use super::function::{is_text, type_of};
use crate::plan::functions::chain;
use crate::plan::functions::numbers::beside_numeric;

/// In comparisons, BETWEEN and IN.
#[derive(Debug)]
pub struct ComparedLiterals;

impl FunctionRewrite for ComparedLiterals {
    fn name(&self) -> &str {
        "compared_literals"
    }

    fn rewrite(
        &self,
        mut expr: Expr,
        schema: &DFSchema,
        _: &ConfigOptions,
    ) -> DataFusionResult<Transformed<Expr>> {
        let taken = each_compared(&mut expr, |one, other| take_type_of(one, other, schema));
        let changed = compared_as_doubles(&mut expr, schema) || taken;
        Ok(if changed { Transformed::yes(expr) } else { Transformed::no(expr) })
    }
}

/// Calls `change` with each operand that an expression compares, and what it is compared with; whether it
/// changed one.
pub fn each_compared(expr: &mut Expr, mut change: impl FnMut(&mut Expr, &Expr) -> bool) -> bool {
    let mut changed = false;
    match expr {
        Expr::BinaryExpr(BinaryExpr { left, op, right }) if is_comparison(*op) => {
            changed |= change(right, left);
            changed |= change(left, right);
        }
        Expr::Between(Between { expr, low, high, .. }) => {
            changed |= change(low, expr);
            changed |= change(high, expr);
            changed |= change(expr, low);
        }
        Expr::InList(InList { expr, list, .. }) => {
            for item in list {
                changed |= change(item, expr);
            }
        }
        _ => {}
    }
    changed
}

/// What is compared with doubles is compared as one.
fn compared_as_doubles(expr: &mut Expr, schema: &DFSchema) -> bool {
    match expr {
        Expr::BinaryExpr(BinaryExpr { left, op, right }) if is_comparison(*op) => {
            as_doubles(&mut [left, right], schema)
        }
        Expr::Between(Between { expr, low, high, .. }) => {
            as_doubles(&mut [expr, low, high], schema)
        }
        Expr::InList(InList { expr, list, .. }) => {
            let mut operands: Vec<&mut Expr> = list.iter_mut().collect();
            operands.push(expr);
            as_doubles(&mut operands, schema)
        }
        Expr::Case(Case { expr: Some(expr), when_then_expr, .. }) => {
            let mut operands: Vec<&mut Expr> =
                when_then_expr.iter_mut().map(|(when, _)| &mut **when).collect();
            operands.push(expr);
            as_doubles(&mut operands, schema)
        }
        _ => false,
    }
}

/// Beside a float a numeric becomes a double: its digits could not hold all that a float may be, and no
/// numeric is NaN. Whether there was one of each.
pub fn as_doubles(operands: &mut [&mut Expr], schema: &DFSchema) -> bool {
    let types = operands.iter().map(|operand| chain::type_of(operand, schema));
    let Ok(types) = types.collect::<DataFusionResult<Vec<DataType>>>() else { return false };
    let mut floats = operands.iter().zip(&types).filter(|(_, of)| of.is_floating());
    if !types.iter().any(DataType::is_decimal)
        || !floats.any(|(float, _)| !is_as_written(float, schema))
    {
        return false;
    }
    for (operand, of) in operands.iter_mut().zip(&types) {
        if *of != DataType::Float64 && of.is_numeric() {
            **operand = cast(std::mem::take(*operand), DataType::Float64);
        }
    }
    true
}

/// Whether a float is nothing but numbers as they are written, and what is reckoned of them: in PostgreSQL these
/// are numerics.
pub fn is_as_written(expr: &Expr, schema: &DFSchema) -> bool {
    use Operator::{Divide, Minus, Modulo, Multiply, Plus};
    let is_part = |part: &Expr| {
        is_as_written(part, schema)
            || chain::type_of(part, schema).is_ok_and(|of| of.is_integer() || of.is_decimal())
    };
    match expr {
        Expr::Literal(ScalarValue::Float64(Some(number)), _) => number.is_finite(),
        Expr::Negative(inner) => is_as_written(inner, schema),
        Expr::Alias(alias) => is_as_written(&alias.expr, schema),
        Expr::BinaryExpr(BinaryExpr {
            left,
            op: Plus | Minus | Multiply | Divide | Modulo,
            right,
        }) => is_part(left) && is_part(right),
        Expr::ScalarFunction(call) if chain::is_chain(call) => call.args.iter().all(is_part),
        _ => false,
    }
}

fn is_comparison(op: Operator) -> bool {
    use Operator::{Eq, Gt, GtEq, IsDistinctFrom, IsNotDistinctFrom, Lt, LtEq, NotEq};
    matches!(op, Eq | NotEq | Lt | LtEq | Gt | GtEq | IsDistinctFrom | IsNotDistinctFrom)
}

/// Casts a literal of text to the type of the other, unless that is text or not known; whether it
/// was one. Beside a numeric, numbers too keep the digits that they are written with.
pub fn take_type_of(literal: &mut Expr, other: &Expr, schema: &DFSchema) -> bool {
    let is_literal = |expr: &Expr| match expr {
        Expr::Literal(value, _) => is_text(&value.data_type()),
        _ => false,
    };
    let is_number = matches!(literal, Expr::Literal(ScalarValue::Float64(_), _));
    if !(is_literal(literal) || is_number) || is_literal(other) {
        return false;
    }
    let Ok((_, of)) = other.to_field(schema) else { return false };
    if let Expr::Literal(value, _) = &*literal
        && let Some(number) = number_beside(value, of.data_type())
    {
        *literal = Expr::Literal(number, None);
        return true;
    }
    let data_type = match of.data_type() {
        // What lies between two times is an interval, and is written as one.
        DataType::Duration(_) => DataType::Interval(IntervalUnit::MonthDayNano),
        other => other.clone(),
    };
    let of = Field::new("", data_type, true).with_metadata(of.metadata().clone());
    // The items of a list are compared with ANY as well.
    let takes = !is_number
        && !matches!(of.data_type(), DataType::List(_))
        && type_of(&of).is_some_and(|of| !is_text(&of.arrow()));
    if takes {
        let literal_taken = Box::new(std::mem::take(literal));
        *literal = Expr::Cast(Cast::new_from_field(literal_taken, of.into()));
    }
    takes
}

/// A text or a number as it is written, beside a numeric.
fn number_beside(literal: &ScalarValue, of: &DataType) -> Option<ScalarValue> {
    match literal {
        ScalarValue::Float64(Some(number)) if number.is_finite() => {
            beside_numeric(&number.to_string(), of)
        }
        text => beside_numeric(text.try_as_str()??, of),
    }
}
