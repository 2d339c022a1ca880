//! Arithmetic of two numbers as they are written: `1.1 + 2.2` is 3.3, though both are doubles.

use datafusion::common::ScalarValue;
use datafusion::logical_expr::Expr;
use datafusion::sql::sqlparser::ast::BinaryOperator;

/// Longer numbers are left to floating point.
const DIGITS_MAX: usize = 24;

/// The double nearest to the exact result; None for what is not a written number, for division, and
/// for two integers.
pub fn exact(left: &Expr, op: &BinaryOperator, right: &Expr) -> Option<Expr> {
    let (Expr::Literal(left, _), Expr::Literal(right, _)) = (left, right) else { return None };
    let is_float = |value: &ScalarValue| matches!(value, ScalarValue::Float64(_));
    if !is_float(left) && !is_float(right) {
        return None;
    }
    let (left, right) = (Decimal::of(left)?, Decimal::of(right)?);
    let result = match op {
        BinaryOperator::Plus => left.plus(right.digits, right.scale)?,
        BinaryOperator::Minus => left.plus(right.digits.checked_neg()?, right.scale)?,
        BinaryOperator::Multiply => Decimal {
            digits: left.digits.checked_mul(right.digits)?,
            scale: left.scale + right.scale,
        },
        _ => return None,
    };
    let number: f64 = format!("{}e-{}", result.digits, result.scale).parse().ok()?;
    Some(Expr::Literal(ScalarValue::Float64(Some(number)), None))
}

/// digits / 10^scale.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Decimal {
    digits: i128,
    scale: u32,
}

impl Decimal {
    /// The shortest decimal that reads as the number, which is the one that was written.
    fn of(value: &ScalarValue) -> Option<Decimal> {
        let text = match value {
            ScalarValue::Float64(Some(number)) if number.is_finite() => number.to_string(),
            ScalarValue::Int64(Some(number)) => number.to_string(),
            _ => return None,
        };
        if text.len() > DIGITS_MAX {
            return None;
        }
        let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
        let digits = format!("{whole}{fraction}").parse().ok()?;
        Some(Decimal { digits, scale: fraction.len() as u32 })
    }

    fn plus(self, digits: i128, scale: u32) -> Option<Decimal> {
        let common = self.scale.max(scale);
        let widen = |digits: i128, scale| digits.checked_mul(10_i128.checked_pow(common - scale)?);
        let digits = widen(self.digits, self.scale)?.checked_add(widen(digits, scale)?)?;
        Some(Decimal { digits, scale: common })
    }
}

#[cfg(test)]
mod tests {
    use datafusion::logical_expr::lit;

    use super::*;

    #[test]
    fn written_numbers_are_computed_exactly() {
        let of = |left: Expr, op, right: Expr| exact(&left, &op, &right);
        use BinaryOperator::{Divide, Minus, Multiply, Plus};
        assert_eq!(of(lit(1.1), Plus, lit(2.2)), Some(lit(3.3)));
        assert_eq!(of(lit(1.1), Minus, lit(1_i64)), Some(lit(0.1)));
        assert_eq!(of(lit(100_i64), Multiply, lit(-1.1)), Some(lit(-110.0)));
        assert_eq!(of(lit(1.1), Divide, lit(3.0)), None);
        assert_eq!(of(lit(1_i64), Plus, lit(2_i64)), None);
        assert_eq!(of(lit(1e300), Plus, lit(0.1)), None);
    }
}
