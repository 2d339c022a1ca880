//! What a cast from a fraction to an integer does first.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, ListArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Decimal128Type, Float64Type};
use datafusion::common::{ScalarValue, exec_err, plan_err};
use datafusion::error::Result as DataFusionResult;
use datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility,
};

/// The nearest whole number, or that of each item, in the argument's type. Of two as near a float takes the even one, a
/// numeric the one farther from zero.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct Rounded {
    /// Floats as numerics.
    away: bool,
    signature: Signature,
}

impl Rounded {
    pub(super) fn new(away: bool) -> Rounded {
        Rounded { away, signature: Signature::any(1, Volatility::Immutable) }
    }

    fn round(&self, values: &ArrayRef) -> DataFusionResult<ArrayRef> {
        if let DataType::List(item) = values.data_type() {
            let lists = values.as_list::<i32>();
            let items = self.round(lists.values())?;
            let (offsets, nulls) = (lists.offsets().clone(), lists.nulls().cloned());
            return Ok(Arc::new(ListArray::try_new(Arc::clone(item), offsets, items, nulls)?));
        }
        if let DataType::Decimal128(precision, scale) = *values.data_type() {
            let unit = 10_i128.pow(scale.unsigned_abs().into());
            let values = values.as_primitive::<Decimal128Type>();
            let rounded = values.unary::<_, Decimal128Type>(|value| half_away(value, unit));
            return Ok(Arc::new(rounded.with_precision_and_scale(precision, scale)?));
        }
        let round = if self.away { f64::round } else { f64::round_ties_even };
        let floats = cast(values, &DataType::Float64)?;
        let rounded = floats.as_primitive::<Float64Type>().unary::<_, Float64Type>(round);
        Ok(cast(&rounded, values.data_type())?)
    }
}

fn half_away(value: i128, unit: i128) -> i128 {
    let whole = value / unit;
    let rest = value % unit;
    let step = if rest.abs() * 2 >= unit { rest.signum() } else { 0 };
    // What does not fit any more does not fit an integer either.
    (whole + step).saturating_mul(unit)
}

impl ScalarUDFImpl for Rounded {
    fn name(&self) -> &str {
        "nearest_integer"
    }

    /// The cast around it is what was written.
    fn display_name(&self, args: &[Expr]) -> DataFusionResult<String> {
        match args {
            [value] => Ok(value.to_string()),
            _ => plan_err!("{} takes one argument", self.name()),
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, types: &[DataType]) -> DataFusionResult<DataType> {
        match types {
            [of] => Ok(of.clone()),
            _ => plan_err!("{} takes one argument", self.name()),
        }
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> DataFusionResult<ColumnarValue> {
        match args.args.as_slice() {
            [ColumnarValue::Scalar(value)] => {
                let rounded = self.round(&value.to_array()?)?;
                ScalarValue::try_from_array(&rounded, 0).map(ColumnarValue::Scalar)
            }
            [ColumnarValue::Array(values)] => self.round(values).map(ColumnarValue::Array),
            _ => exec_err!("{} takes one argument", self.name()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_go_away_from_zero() {
        let rounded = [149, 150, 250, -149, -150, -250].map(|value| half_away(value, 100));
        assert_eq!(rounded, [100, 200, 300, -100, -200, -300]);
    }
}
