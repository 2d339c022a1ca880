//! A numeric over a numeric: the last digit is rounded, halves away from zero. DataFusion cuts it.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Decimal128Array};
use arrow::datatypes::{DataType, Decimal128Type, i256};
use datafusion::common::{ScalarValue, exec_err, plan_err};
use datafusion::error::Result as DataFusionResult;
use datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

use super::arithmetic::external;
use crate::error::{Error, ErrorKind, Result};

/// `left / right`, both of [`DataType::Decimal128`], as `returns`, which is one too.
pub(super) fn quotient(left: Expr, right: Expr, returns: DataType) -> Expr {
    let signature = Signature::any(2, Volatility::Immutable);
    ScalarUDF::new_from_impl(Quotient { returns, signature }).call(vec![left, right])
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Quotient {
    returns: DataType,
    signature: Signature,
}

impl Quotient {
    fn divide(&self, left: &ArrayRef, right: &ArrayRef) -> Result<ArrayRef> {
        let scale = |of: &DataType| match of {
            DataType::Decimal128(_, scale) => i32::from(*scale),
            _ => 0,
        };
        let shift = scale(&self.returns) - scale(left.data_type()) + scale(right.data_type());
        let (left, right) =
            (left.as_primitive::<Decimal128Type>(), right.as_primitive::<Decimal128Type>());
        let quotients = left.iter().zip(right.iter()).map(|pair| match pair {
            (Some(left), Some(right)) => divided(left, right, shift).map(Some),
            _ => Ok(None),
        });
        let quotients = quotients.collect::<Result<Decimal128Array>>()?;
        Ok(Arc::new(quotients.with_data_type(self.returns.clone())))
    }
}

/// `left * 10^shift / right`.
fn divided(left: i128, right: i128, shift: i32) -> Result<i128> {
    if right == 0 {
        return Err(Error::new(ErrorKind::DivisionByZero, "division by zero"));
    }
    let power = |digits: i32| 10_i128.checked_pow(digits.unsigned_abs());
    let short = match shift {
        0.. => power(shift).and_then(|unit| Some((left.checked_mul(unit)?, right))),
        _ => power(shift).and_then(|unit| Some((left, right.checked_mul(unit)?))),
    };
    if let Some((left, right)) = short {
        let (whole, rest) = (left.checked_div(right), left.checked_rem(right));
        if let (Some(whole), Some(rest)) = (whole, rest) {
            // Twice the rest may not fit.
            let away = rest.unsigned_abs() >= right.unsigned_abs() - rest.unsigned_abs();
            let sign = if (left < 0) == (right < 0) { 1 } else { -1 };
            return Ok(whole + if away { sign } else { 0 });
        }
    }
    long(left, right, shift).ok_or_else(|| {
        Error::new(ErrorKind::OutOfRange, "numeric field overflow")
            .detail("a quotient has at most 38 digits")
    })
}

fn long(left: i128, right: i128, shift: i32) -> Option<i128> {
    let unit = i256::from_i128(10).checked_pow(shift.unsigned_abs())?;
    let (left, right) = (i256::from_i128(left), i256::from_i128(right));
    let (left, right) = match shift {
        0.. => (left.checked_mul(unit)?, right),
        _ => (left, right.checked_mul(unit)?),
    };
    let (whole, rest) = (left.checked_div(right)?, left.checked_rem(right)?);
    let (rest, of) = (rest.checked_abs()?, right.checked_abs()?);
    let sign = if left.is_negative() == right.is_negative() { i256::ONE } else { i256::MINUS_ONE };
    let step = if rest >= of.checked_sub(rest)? { sign } else { i256::ZERO };
    whole.checked_add(step)?.to_i128()
}

impl ScalarUDFImpl for Quotient {
    fn name(&self) -> &str {
        "numeric_divide"
    }

    fn display_name(&self, args: &[Expr]) -> DataFusionResult<String> {
        match args {
            [left, right] => Ok(format!("{left} / {right}")),
            _ => plan_err!("{} takes two numbers", self.name()),
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> DataFusionResult<DataType> {
        Ok(self.returns.clone())
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> DataFusionResult<ColumnarValue> {
        let [left, right] = args.args.as_slice() else {
            return exec_err!("{} takes two numbers", self.name());
        };
        let constant =
            matches!((left, right), (ColumnarValue::Scalar(_), ColumnarValue::Scalar(_)));
        let rows = if constant { 1 } else { args.number_rows };
        let (left, right) = (left.to_array(rows)?, right.to_array(rows)?);
        let divided = self.divide(&left, &right).map_err(external)?;
        Ok(match constant {
            true => ColumnarValue::Scalar(ScalarValue::try_from_array(&divided, 0)?),
            false => ColumnarValue::Array(divided),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_digit_is_rounded_away_from_zero() {
        for (left, right, shift, quotient) in [
            (2_000, 3, 4, 6_666_667),
            (-2_000, 3, 4, -6_666_667),
            (1, 2, 0, 1),
            (1, -2, 0, -1),
            (149, 1, -2, 1),
            (150, 1, -2, 2),
            (i128::MAX, i128::MAX, 6, 1_000_000),
            (i128::MAX, -i128::MAX, 6, -1_000_000),
        ] {
            assert_eq!(divided(left, right, shift).ok(), Some(quotient), "{left} / {right}");
            assert!(shift != 6 || long(left, right, shift) == Some(quotient));
        }
        assert_eq!(long(2_000, -3, 4), Some(-6_666_667));
        assert_eq!(divided(1, 0, 0).unwrap_err().kind(), ErrorKind::DivisionByZero);
        assert_eq!(divided(i128::MAX, 1, 6).unwrap_err().kind(), ErrorKind::OutOfRange);
    }
}
