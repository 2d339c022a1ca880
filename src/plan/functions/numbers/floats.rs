//! Floating-point arithmetic that tells where it leaves the range, as PostgreSQL's does: DataFusion's
//! goes on with an infinity, or with zero.

use arrow::array::{ArrayRef, AsArray, Datum};
use arrow::compute::cast;
use arrow::compute::kernels::numeric::{add_wrapping, div, mul_wrapping, sub_wrapping};
use arrow::datatypes::{DataType, Float64Type};
use arrow::error::ArrowError;
use datafusion::error::DataFusionError;
use datafusion::logical_expr::{ColumnarValue, Operator};

use super::arithmetic::Arithmetic;
use crate::error::{Error, ErrorKind, Result};
use crate::fault;

/// Floats that neither overflow nor vanish unseen.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct Floats;

impl Arithmetic for Floats {
    fn name(op: Operator) -> &'static str {
        match op {
            Operator::Plus => "float_add",
            Operator::Minus => "float_subtract",
            Operator::Multiply => "float_multiply",
            _ => "float_divide",
        }
    }

    fn compute(op: Operator, left: &dyn Datum, right: &dyn Datum) -> Result<ArrayRef, ArrowError> {
        match op {
            Operator::Plus => add_wrapping(left, right),
            Operator::Minus => sub_wrapping(left, right),
            Operator::Multiply => mul_wrapping(left, right),
            _ => div(left, right),
        }
    }

    fn refused(error: ArrowError, _: &DataType) -> DataFusionError {
        error.into()
    }

    /// Rows are looked at one by one only where a result could be wrong.
    fn check(
        op: Operator,
        result: &ArrayRef,
        left: &ColumnarValue,
        right: &ColumnarValue,
    ) -> Result<()> {
        let scales = matches!(op, Operator::Multiply | Operator::Divide);
        let wide = doubles(result)?;
        let values = wide.as_primitive::<Float64Type>();
        let is_odd = |value: f64| !value.is_finite() || scales && value == 0.0;
        if !values.values().iter().copied().any(is_odd) {
            return Ok(());
        }
        let (left, right) = (operand(left)?, operand(right)?);
        let at = |side: &ArrayRef, row: usize| {
            let side = side.as_primitive::<Float64Type>();
            side.value(if side.len() == 1 { 0 } else { row })
        };
        for (row, value) in values.iter().enumerate() {
            match value {
                Some(value) if is_odd(value) => judge(op, value, at(&left, row), at(&right, row))?,
                _ => {}
            }
        }
        Ok(())
    }
}

fn judge(op: Operator, value: f64, left: f64, right: f64) -> Result<()> {
    let out_of_range =
        |what: &str| Err(Error::new(ErrorKind::OutOfRange, format!("value out of range: {what}")));
    if op == Operator::Divide && right == 0.0 && !left.is_nan() {
        return Err(Error::new(ErrorKind::DivisionByZero, "division by zero"));
    }
    if value.is_infinite() && left.is_finite() && right.is_finite() {
        return out_of_range("overflow");
    }
    let vanished = value == 0.0 && left != 0.0;
    match op {
        Operator::Multiply if vanished && right != 0.0 => out_of_range("underflow"),
        Operator::Divide if vanished && right.is_finite() => out_of_range("underflow"),
        _ => Ok(()),
    }
}

fn doubles(values: &ArrayRef) -> Result<ArrayRef> {
    cast(values, &DataType::Float64).map_err(fault::of_arrow)
}

/// All rows, or one for all of them.
fn operand(value: &ColumnarValue) -> Result<ArrayRef> {
    let values = match value {
        ColumnarValue::Array(values) => values.clone(),
        ColumnarValue::Scalar(value) => value.to_array().map_err(fault::of_datafusion)?,
    };
    doubles(&values)
}
