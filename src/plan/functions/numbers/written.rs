//! Numbers as they are written beside a numeric: PostgreSQL's untyped literal becomes a numeric without a scale
//! of its own, so it is never rounded to the other's before they are compared.

use arrow::datatypes::{DECIMAL128_MAX_PRECISION, DECIMAL256_MAX_PRECISION, DataType, i256};
use datafusion::common::ScalarValue;

/// The digits behind the point that a numeric keeps where none are named.
const SCALE: i8 = 10;

/// The text as a value to compare with a numeric of the type: of that type where it fits, else of as many
/// digits as it has. None where the type is another, or the text no number of at most 76 digits.
pub fn beside_numeric(text: &str, of: &DataType) -> Option<ScalarValue> {
    let DataType::Decimal128(precision, scale) = *of else { return None };
    let written = Written::of(text)?;
    let fits = written.scale <= scale.into() && written.whole <= (precision as i64 - scale as i64);
    if fits {
        let value = written.unscaled(scale)?.to_i128()?;
        return Some(ScalarValue::Decimal128(Some(value), precision, scale));
    }
    let wider = i8::try_from(written.scale.max(scale.into())).ok()?;
    let whole = written.whole.max(precision as i64 - scale as i64);
    let value = written.unscaled(wider)?;
    let precision = u8::try_from(whole + i64::from(wider)).ok()?;
    if precision <= DECIMAL128_MAX_PRECISION {
        return Some(ScalarValue::Decimal128(Some(value.to_i128()?), precision, wider));
    }
    let fits = precision <= DECIMAL256_MAX_PRECISION;
    fits.then_some(ScalarValue::Decimal256(Some(value), precision, wider))
}

/// The numeric that holds both values of one and the text exactly, as far as 38 digits go; None where the type is no
/// numeric or the text no number.
pub fn holding(text: &str, of: &DataType) -> Option<DataType> {
    let DataType::Decimal128(precision, scale) = *of else { return None };
    let written = Written::of(text)?;
    let wider = written.scale.max(scale.into()).min(DECIMAL128_MAX_PRECISION.into());
    let whole = written.whole.max(precision as i64 - scale as i64);
    let precision = (whole + wider).min(DECIMAL128_MAX_PRECISION.into());
    Some(DataType::Decimal128(u8::try_from(precision).ok()?, i8::try_from(wider).ok()?))
}

/// What a value that is not known yet is taken as beside a numeric: with at least the digits of a numeric
/// without a scale. Other types stay.
pub fn unscaled(of: &DataType) -> DataType {
    match *of {
        DataType::Decimal128(precision, scale) => {
            let whole = precision as i8 - scale;
            let room = (DECIMAL128_MAX_PRECISION as i8).saturating_sub(whole);
            DataType::Decimal128(DECIMAL128_MAX_PRECISION, scale.max(SCALE.min(room)))
        }
        ref other => other.clone(),
    }
}

/// A number in digits: with the exponent worked in, without zeros that say nothing.
struct Written {
    negative: bool,
    digits: String,
    /// Digits behind the point; below zero, the zeros that were left out before it.
    scale: i64,
    /// Digits before the point.
    whole: i64,
}

impl Written {
    fn of(text: &str) -> Option<Written> {
        let text = text.trim();
        let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
        let (number, exponent) = match unsigned.split_once(['e', 'E']) {
            Some((number, exponent)) => (number, exponent.parse::<i32>().ok()?),
            None => (unsigned, 0),
        };
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        let all = format!("{whole}{fraction}");
        if all.is_empty() || !all.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        let digits = all.trim_end_matches('0');
        let scale = fraction.len() as i64 - i64::from(exponent) - (all.len() - digits.len()) as i64;
        let digits = digits.trim_start_matches('0');
        if digits.is_empty() {
            return Some(Written { negative: false, digits: "0".into(), scale: 0, whole: 0 });
        }
        let whole = (digits.len() as i64 - scale).max(0);
        let negative = text.starts_with('-');
        Some(Written { negative, digits: digits.into(), scale, whole })
    }

    /// The number times 10^scale; None where it has more digits behind the point, or more than 76 at all.
    fn unscaled(&self, scale: i8) -> Option<i256> {
        let zeros = usize::try_from(i64::from(scale) - self.scale).ok()?;
        if zeros + self.digits.len() > DECIMAL256_MAX_PRECISION as usize {
            return None;
        }
        let sign = if self.negative { "-" } else { "" };
        i256::from_string(&format!("{sign}{}{}", self.digits, "0".repeat(zeros)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PRICE: DataType = DataType::Decimal128(5, 2);

    fn small(value: i128, precision: u8, scale: i8) -> Option<ScalarValue> {
        Some(ScalarValue::Decimal128(Some(value), precision, scale))
    }

    #[test]
    fn what_fits_has_the_type_beside_it() {
        for text in ["1.5", "1.50", "1.5000", " +1.5 ", "15e-1", "0.00015e4"] {
            assert_eq!(beside_numeric(text, &PRICE), small(150, 5, 2), "{text}");
        }
        assert_eq!(beside_numeric("-999.99", &PRICE), small(-99_999, 5, 2));
        assert_eq!(beside_numeric("0.000", &PRICE), small(0, 5, 2));
        assert_eq!(beside_numeric("1e2", &PRICE), small(10_000, 5, 2));
    }

    #[test]
    fn what_does_not_fit_keeps_its_digits() {
        assert_eq!(beside_numeric("1.499", &PRICE), small(1499, 6, 3));
        assert_eq!(beside_numeric("1000", &PRICE), small(100_000, 6, 2));
        let long = beside_numeric("1.00000000001", &DataType::Decimal128(38, 10));
        let value = i256::from_i128(100_000_000_001);
        assert_eq!(long, Some(ScalarValue::Decimal256(Some(value), 39, 11)));
    }

    #[test]
    fn what_is_no_number_is_left_alone() {
        for text in ["", ".", "NaN", "1.5x", "1e", "0x10", "1e999999999999", "1e80", "1e-80"] {
            assert_eq!(beside_numeric(text, &PRICE), None, "{text}");
        }
        assert_eq!(beside_numeric("1.5", &DataType::Float64), None);
    }

    #[test]
    fn a_type_for_both_and_one_for_the_unknown() {
        assert_eq!(holding("1.499", &PRICE), Some(DataType::Decimal128(6, 3)));
        assert_eq!(holding("12345", &PRICE), Some(DataType::Decimal128(7, 2)));
        assert_eq!(holding("1.5", &PRICE), Some(PRICE));
        assert_eq!(unscaled(&PRICE), DataType::Decimal128(38, 10));
        assert_eq!(unscaled(&DataType::Decimal128(38, 20)), DataType::Decimal128(38, 20));
        assert_eq!(unscaled(&DataType::Decimal128(35, 2)), DataType::Decimal128(38, 5));
    }
}
