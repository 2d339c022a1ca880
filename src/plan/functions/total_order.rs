//! Floats with the equality of SQL: one zero, and one NaN, the greatest value.

use std::sync::{Arc, LazyLock};

use arrow::array::{ArrayRef, AsArray, PrimitiveArray};
use arrow::datatypes::{DataType, Float32Type, Float64Type};
use datafusion::common::{Result, ScalarValue, exec_err};
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

static TOTAL: LazyLock<Arc<ScalarUDF>> = LazyLock::new(|| {
    let signature = Signature::any(1, Volatility::Immutable);
    Arc::new(ScalarUDF::new_from_impl(TotalOrder { signature }))
});

/// The float with one zero and one NaN, the greatest value.
pub fn total_order(expr: Expr) -> Expr {
    match expr {
        Expr::Literal(value, metadata) => Expr::Literal(normal(value), metadata),
        expr => Expr::ScalarFunction(ScalarFunction::new_udf(Arc::clone(&TOTAL), vec![expr])),
    }
}

/// Whether the expression is a call that [`total_order`] made.
pub fn is_total_order(expr: &Expr) -> bool {
    match expr {
        Expr::ScalarFunction(call) => call.func.inner().downcast_ref::<TotalOrder>().is_some(),
        _ => false,
    }
}

fn normal(value: ScalarValue) -> ScalarValue {
    match value {
        ScalarValue::Float64(Some(value)) => ScalarValue::Float64(Some(normal_64(value))),
        ScalarValue::Float32(Some(value)) => ScalarValue::Float32(Some(normal_32(value))),
        other => other,
    }
}

fn normal_64(value: f64) -> f64 {
    if value.is_nan() { f64::NAN } else { value + 0.0 }
}

fn normal_32(value: f32) -> f32 {
    if value.is_nan() { f32::NAN } else { value + 0.0 }
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct TotalOrder {
    signature: Signature,
}

impl ScalarUDFImpl for TotalOrder {
    fn name(&self) -> &str {
        "asofdb_total_order"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        Ok(arguments[0].clone())
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let values = match &arguments.args[0] {
            ColumnarValue::Scalar(value) => {
                return Ok(ColumnarValue::Scalar(normal(value.clone())));
            }
            ColumnarValue::Array(values) => values,
        };
        let normal: ArrayRef = match values.data_type() {
            DataType::Float64 => {
                let normal: PrimitiveArray<Float64Type> =
                    values.as_primitive::<Float64Type>().unary(normal_64);
                Arc::new(normal)
            }
            DataType::Float32 => {
                let normal: PrimitiveArray<Float32Type> =
                    values.as_primitive::<Float32Type>().unary(normal_32);
                Arc::new(normal)
            }
            other => return exec_err!("total order of {other}"),
        };
        Ok(ColumnarValue::Array(normal))
    }
}
