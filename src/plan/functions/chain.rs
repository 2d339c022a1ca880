//! The types of chains of operators.
//!
//! A chain is asked for its type at each of its links. DataFusion then reckons, and names, every link
//! below; here a chain has the type of its first operand, and two numbers alike have their own.

use arrow::datatypes::DataType;
use datafusion::common::DFSchema;
use datafusion::error::Result as DataFusionResult;
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::type_coercion::binary::BinaryTypeCoercer;
use datafusion::logical_expr::{BinaryExpr, Expr, ExprSchemable, Operator};

use super::long_value::TEXT_CONCAT;
use super::numbers::is_checked;

/// Whether a call is a chain: its type is that of its first argument.
pub fn is_chain(call: &ScalarFunction) -> bool {
    !call.args.is_empty() && (call.func.name() == TEXT_CONCAT || is_checked(&call.func))
}

/// As `get_type`.
///
/// # Errors
/// As `get_type`.
pub fn type_of(expr: &Expr, schema: &DFSchema) -> DataFusionResult<DataType> {
    use Operator::{Minus, Multiply, Plus};
    match expr {
        Expr::ScalarFunction(call) if is_chain(call) => type_of(&call.args[0], schema),
        Expr::BinaryExpr(BinaryExpr { left, op: op @ (Plus | Minus | Multiply), right }) => {
            let (left, right) = (type_of(left, schema)?, type_of(right, schema)?);
            if left == right && keeps_its_type(&left) {
                return Ok(left);
            }
            BinaryTypeCoercer::new(&left, op, &right).get_result_type()
        }
        expr => expr.get_type(schema),
    }
}

/// Whether two numbers of this type make one of it.
fn keeps_its_type(of: &DataType) -> bool {
    of.is_signed_integer() || matches!(of, DataType::Float32 | DataType::Float64)
}
