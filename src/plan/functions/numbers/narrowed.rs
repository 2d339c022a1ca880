//! What a cast from double precision to real does: it refuses what a real cannot tell from infinity or zero.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float32Type, Float64Type};
use datafusion::common::{ScalarValue, exec_err};
use datafusion::error::{DataFusionError, Result as DataFusionResult};
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility,
};

use crate::error::{Error, ErrorKind};

/// The nearest real of a double.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct Narrowed {
    signature: Signature,
}

impl Narrowed {
    pub(super) fn new() -> Narrowed {
        Narrowed { signature: Signature::any(1, Volatility::Immutable) }
    }
}

fn narrow(values: &ArrayRef) -> DataFusionResult<ArrayRef> {
    let doubles = cast(values, &DataType::Float64)?;
    let reals = doubles.as_primitive::<Float64Type>().try_unary::<_, Float32Type, _>(nearest)?;
    Ok(Arc::new(reals))
}

fn nearest(double: f64) -> Result<f32, DataFusionError> {
    let real = double as f32;
    let lost = match () {
        () if real.is_infinite() && double.is_finite() => "overflow",
        () if real == 0.0 && double != 0.0 => "underflow",
        () => return Ok(real),
    };
    let message = format!("value out of range: {lost}");
    Err(DataFusionError::External(Box::new(Error::new(ErrorKind::OutOfRange, message))))
}

impl ScalarUDFImpl for Narrowed {
    fn name(&self) -> &str {
        "nearest_real"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> DataFusionResult<DataType> {
        Ok(DataType::Float32)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> DataFusionResult<ColumnarValue> {
        match args.args.as_slice() {
            [ColumnarValue::Scalar(value)] => {
                let narrowed = narrow(&value.to_array()?)?;
                ScalarValue::try_from_array(&narrowed, 0).map(ColumnarValue::Scalar)
            }
            [ColumnarValue::Array(values)] => narrow(values).map(ColumnarValue::Array),
            _ => exec_err!("{} takes one argument", self.name()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_real_cannot_tell_is_refused() {
        for kept in [1.5, -0.0, f64::INFINITY, f64::NAN, 3.4e38, 1e-45] {
            assert!(nearest(kept).is_ok(), "{kept}");
        }
        assert!(nearest(1e300).is_err() && nearest(-1e39).is_err() && nearest(1e-300).is_err());
    }
}
