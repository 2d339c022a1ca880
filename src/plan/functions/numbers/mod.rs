//! Numbers where DataFusion's answer would be another one than PostgreSQL's.
//!
//! Integers and floats that overflow are an error, not what is left of them, also a double that becomes a real. A fraction cast to an integer is
//! rounded, not cut, and so is the quotient of numerics. Arithmetic of two numbers as they are written, `1.1 + 2.2`, is exact. An interval
//! BETWEEN two is compared by its length.
//!
//! [`Numbers`] rewrites expressions after type coercion; what ASOF JOIN tells by their
//! form, its tolerance above all, it has told before.

mod arithmetic;
mod constants;
mod floats;
mod integers;
mod long_chain;
mod narrowed;
mod quotient;
mod rounding;
mod written;

use std::sync::Arc;

use datafusion::arrow::datatypes::DataType;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::Transformed;
use datafusion::common::{DFSchema, ScalarValue};
use datafusion::error::Result as DataFusionResult;
use datafusion::logical_expr::{
    Between, BinaryExpr, Cast, Expr, ExprSchemable, LogicalPlan, Operator, ScalarUDF, TryCast,
};
use datafusion::optimizer::AnalyzerRule;

use self::floats::Floats;
use self::integers::Integers;
use self::narrowed::Narrowed;
use self::rounding::Rounded;
use super::chain::type_of;
use super::interval::IntervalAsTime;
use crate::plan::expressions::rewrite_expressions;

pub use constants::exact;
pub use long_chain::chained;
pub use written::{beside_numeric, holding, unscaled};

/// The rewrite.
#[derive(Debug)]
pub struct Numbers {
    as_time: Arc<ScalarUDF>,
}

impl Numbers {
    pub fn new() -> Numbers {
        Numbers { as_time: Arc::new(ScalarUDF::new_from_impl(IntervalAsTime::new())) }
    }

    /// One expression, not its children.
    fn rewrite_one(&self, expr: Expr, schema: &DFSchema) -> DataFusionResult<Transformed<Expr>> {
        Ok(match expr {
            Expr::BinaryExpr(binary) => checked(binary, schema),
            Expr::Negative(inner) => negated(inner, schema)?,
            Expr::Cast(Cast { expr, field })
                if *field.data_type() == DataType::Float32
                    && matches!(expr.get_type(schema), Ok(DataType::Float64)) =>
            {
                Transformed::yes(ScalarUDF::new_from_impl(Narrowed::new()).call(vec![*expr]))
            }
            Expr::Cast(Cast { expr, field }) => match rounded(&expr, field.data_type(), schema) {
                Some(rounded) => {
                    Transformed::yes(Expr::Cast(Cast { expr: Box::new(rounded), field }))
                }
                None => Transformed::no(Expr::Cast(Cast { expr, field })),
            },
            Expr::TryCast(TryCast { expr, field }) => {
                match rounded(&expr, field.data_type(), schema) {
                    Some(rounded) => {
                        Transformed::yes(Expr::TryCast(TryCast { expr: Box::new(rounded), field }))
                    }
                    None => Transformed::no(Expr::TryCast(TryCast { expr, field })),
                }
            }
            Expr::Between(between) => self.between(between, schema),
            other => Transformed::no(other),
        })
    }

    fn between(&self, between: Between, schema: &DFSchema) -> Transformed<Expr> {
        let is_span = |expr: &Expr| matches!(expr.get_type(schema), Ok(DataType::Interval(_)));
        if !is_span(&between.low) || !is_span(&between.high) {
            return Transformed::no(Expr::Between(between));
        }
        let as_time = |expr: Box<Expr>| match is_span(&expr) {
            true => Box::new(self.as_time.call(vec![*expr])),
            false => expr,
        };
        Transformed::yes(Expr::Between(Between {
            expr: as_time(between.expr),
            low: as_time(between.low),
            high: as_time(between.high),
            ..between
        }))
    }

    fn rewrite_plan(&self, plan: LogicalPlan) -> DataFusionResult<Transformed<LogicalPlan>> {
        rewrite_expressions(plan, |expr, schema| self.rewrite_one(expr, schema))
    }
}

impl AnalyzerRule for Numbers {
    fn name(&self) -> &str {
        "numbers"
    }

    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> DataFusionResult<LogicalPlan> {
        Ok(plan.transform_up_with_subqueries(|plan| self.rewrite_plan(plan))?.data)
    }
}

/// Whether a function is checked arithmetic, which has the type of its first operand.
pub fn is_checked(function: &ScalarUDF) -> bool {
    arithmetic::is::<Integers>(function) || arithmetic::is::<Floats>(function)
}

/// The least integer has no opposite; of a literal the planner says so.
fn negated(inner: Box<Expr>, schema: &DFSchema) -> DataFusionResult<Transformed<Expr>> {
    match inner.get_type(schema) {
        Ok(of) if of.is_signed_integer() && !matches!(*inner, Expr::Literal(..)) => {
            let zero = Box::new(Expr::Literal(ScalarValue::new_zero(&of)?, None));
            Ok(checked(BinaryExpr { left: zero, op: Operator::Minus, right: inner }, schema))
        }
        _ => Ok(Transformed::no(Expr::Negative(inner))),
    }
}

/// Integers added, subtracted, multiplied; floats divided too.
fn checked(binary: BinaryExpr, schema: &DFSchema) -> Transformed<Expr> {
    let BinaryExpr { left, op, right } = binary;
    use Operator::{Divide, Minus, Multiply, Plus};
    let types = match op {
        Plus | Minus | Multiply | Divide => (type_of(&left, schema), type_of(&right, schema)),
        _ => return Transformed::no(Expr::BinaryExpr(BinaryExpr { left, op, right })),
    };
    let (Ok(of), Ok(other)) = types else {
        return Transformed::no(Expr::BinaryExpr(BinaryExpr { left, op, right }));
    };
    match (op, of) {
        (Divide, DataType::Decimal128(..)) if matches!(other, DataType::Decimal128(..)) => {
            return divided(left, right, schema);
        }
        (_, of) if of != other => {}
        (Plus | Minus | Multiply, of) if of.is_signed_integer() => {
            return Transformed::yes(arithmetic::checked::<Integers>(op, *left, *right));
        }
        (Plus | Minus | Multiply | Divide, DataType::Float32 | DataType::Float64) => {
            return Transformed::yes(arithmetic::checked::<Floats>(op, *left, *right));
        }
        _ => {}
    }
    Transformed::no(Expr::BinaryExpr(BinaryExpr { left, op, right }))
}

/// A numeric over a numeric, of the type that DataFusion gives it.
fn divided(left: Box<Expr>, right: Box<Expr>, schema: &DFSchema) -> Transformed<Expr> {
    let binary = Expr::BinaryExpr(BinaryExpr { left, op: Operator::Divide, right });
    match (type_of(&binary, schema), binary) {
        (Ok(of @ DataType::Decimal128(..)), Expr::BinaryExpr(BinaryExpr { left, right, .. })) => {
            Transformed::yes(quotient::quotient(*left, *right, of))
        }
        (_, binary) => Transformed::no(binary),
    }
}

fn item_of(of: &DataType) -> &DataType {
    match of {
        DataType::List(item) => item.data_type(),
        of => of,
    }
}

/// A fraction on its way to an integer, or an array of them.
fn rounded(expr: &Expr, to: &DataType, schema: &DFSchema) -> Option<Expr> {
    let is_rounded = |function: &ScalarUDF| function.inner().downcast_ref::<Rounded>().is_some();
    if matches!(expr, Expr::ScalarFunction(call) if is_rounded(&call.func)) {
        return None;
    }
    if !item_of(to).is_integer() {
        return None;
    }
    let is_fraction = match *item_of(&expr.get_type(schema).ok()?) {
        DataType::Float16 | DataType::Float32 | DataType::Float64 => true,
        DataType::Decimal128(_, scale) => scale > 0,
        _ => false,
    };
    // A number as it is written is a numeric in PostgreSQL, which rounds halves away from zero.
    let away = matches!(expr, Expr::Literal(..));
    let function = || ScalarUDF::new_from_impl(Rounded::new(away));
    is_fraction.then(|| function().call(vec![expr.clone()]))
}
