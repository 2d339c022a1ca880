//! `interval * number`, `number * interval`, `interval / number`, and which of two intervals is longer.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, IntervalMonthDayNanoBuilder};
use arrow::datatypes::{
    DataType, Float64Type, IntervalMonthDayNano, IntervalMonthDayNanoType, IntervalUnit,
};
use datafusion::common::exec_err;
use datafusion::error::{DataFusionError, Result as DataFusionResult};
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDFImpl, Signature, TypeSignature, Volatility,
};

use crate::error::{Error, ErrorKind, Result};

const DAYS_A_MONTH: f64 = 30.0;
const SECONDS_A_DAY: f64 = 86_400.0;

/// What is done with the interval and the number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scaling {
    Multiply,
    Divide,
}

/// An interval, scaled by a double.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct ScaleInterval {
    scaling: Scaling,
    signature: Signature,
}

impl ScaleInterval {
    pub fn new(scaling: Scaling) -> Self {
        let types = vec![DataType::Interval(IntervalUnit::MonthDayNano), DataType::Float64];
        let signature = Signature::new(TypeSignature::Exact(types), Volatility::Immutable);
        ScaleInterval { scaling, signature }
    }
}

/// Of an interval as PostgreSQL does it: what is left of a month goes to days, 30 to the month, and
/// what is left of a day to the time, both rounded to a millionth first.
fn scale(
    span: IntervalMonthDayNano,
    number: f64,
    scaling: Scaling,
) -> Result<IntervalMonthDayNano> {
    if scaling == Scaling::Divide && number == 0.0 {
        return Err(Error::new(ErrorKind::DivisionByZero, "division by zero"));
    }
    let scaled = |part: f64| match scaling {
        Scaling::Multiply => part * number,
        Scaling::Divide => part / number,
    };
    let millionths = |value: f64| (value * 1e6).round_ties_even() / 1e6;
    let exact_months = scaled(f64::from(span.months));
    let exact_days = scaled(f64::from(span.days));
    let month_days = millionths((exact_months - exact_months.trunc()) * DAYS_A_MONTH);
    let left_of_days = exact_days - exact_days.trunc() + (month_days - month_days.trunc());
    let seconds = millionths(left_of_days * SECONDS_A_DAY);
    let carried_days = (seconds / SECONDS_A_DAY).trunc();
    let seconds = seconds - carried_days * SECONDS_A_DAY;
    let micros = scaled(span.nanoseconds as f64 / 1e3) + seconds * 1e6;
    Ok(IntervalMonthDayNano {
        months: int4(exact_months.trunc())?,
        days: int4(exact_days.trunc() + month_days.trunc() + carried_days)?,
        nanoseconds: nanoseconds(micros.round_ties_even())?,
    })
}

const DAY_NANOS: i128 = 86_400_000_000_000;

/// How long an interval is, with months of 30 days and days of 24 hours, in nanoseconds.
pub(super) fn order_key(span: IntervalMonthDayNano) -> i128 {
    let days = i128::from(span.months) * 30 + i128::from(span.days);
    days * DAY_NANOS + i128::from(span.nanoseconds)
}

/// An interval as long, all of it time: Arrow, which compares months first, then compares it as
/// PostgreSQL does. Beyond 292 years all are the same.
pub(super) fn as_time(span: IntervalMonthDayNano) -> IntervalMonthDayNano {
    let nanos = order_key(span).clamp(i64::MIN.into(), i64::MAX.into());
    IntervalMonthDayNano::new(0, 0, nanos as i64)
}

/// What PostgreSQL makes of the difference of two timestamps: days, and time of the same sign.
pub(super) fn of_microseconds(micros: i64) -> IntervalMonthDayNano {
    const DAY_US: i64 = 86_400_000_000;
    IntervalMonthDayNano::new(0, (micros / DAY_US) as i32, micros % DAY_US * 1000)
}

/// The place between two intervals.
///
/// # Errors
/// DatetimeOutOfRange.
pub(super) fn between(
    low: IntervalMonthDayNano,
    high: IntervalMonthDayNano,
    part: f64,
) -> Result<IntervalMonthDayNano> {
    let add = |a: IntervalMonthDayNano, b: IntervalMonthDayNano| {
        Some(IntervalMonthDayNano::new(
            a.months.checked_add(b.months)?,
            a.days.checked_add(b.days)?,
            a.nanoseconds.checked_add(b.nanoseconds)?,
        ))
    };
    let minus = IntervalMonthDayNano::new(
        low.months.saturating_neg(),
        low.days.saturating_neg(),
        low.nanoseconds.saturating_neg(),
    );
    let difference = add(high, minus).ok_or_else(out_of_range)?;
    add(low, scale(difference, part, Scaling::Multiply)?).ok_or_else(out_of_range)
}

/// `interval_as_time(x)`: see [`as_time`].
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct IntervalAsTime {
    signature: Signature,
}

impl IntervalAsTime {
    pub fn new() -> Self {
        let types = vec![DataType::Interval(IntervalUnit::MonthDayNano)];
        let signature = Signature::new(TypeSignature::Exact(types), Volatility::Immutable);
        IntervalAsTime { signature }
    }
}

impl ScalarUDFImpl for IntervalAsTime {
    fn name(&self) -> &str {
        "interval_as_time"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> DataFusionResult<DataType> {
        Ok(DataType::Interval(IntervalUnit::MonthDayNano))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> DataFusionResult<ColumnarValue> {
        let columns = ColumnarValue::values_to_arrays(&args.args)?;
        let [spans] = columns.as_slice() else {
            return exec_err!("interval_as_time takes one argument");
        };
        let spans = spans.as_primitive::<IntervalMonthDayNanoType>();
        let times = spans.unary::<_, IntervalMonthDayNanoType>(as_time);
        Ok(ColumnarValue::Array(Arc::new(times)))
    }
}

fn out_of_range() -> Error {
    Error::new(ErrorKind::DatetimeOutOfRange, "interval out of range")
}

fn int4(value: f64) -> Result<i32> {
    match value >= f64::from(i32::MIN) && value <= f64::from(i32::MAX) {
        true => Ok(value as i32),
        false => Err(out_of_range()),
    }
}

fn nanoseconds(micros: f64) -> Result<i64> {
    // 2^63 is a double; i64::MAX is not.
    match micros >= -(2f64.powi(63)) && micros < 2f64.powi(63) {
        true => (micros as i64).checked_mul(1000).ok_or_else(out_of_range),
        false => Err(out_of_range()),
    }
}

impl ScalarUDFImpl for ScaleInterval {
    fn name(&self) -> &str {
        match self.scaling {
            Scaling::Multiply => "interval_multiply",
            Scaling::Divide => "interval_divide",
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> DataFusionResult<DataType> {
        Ok(DataType::Interval(IntervalUnit::MonthDayNano))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> DataFusionResult<ColumnarValue> {
        let columns = ColumnarValue::values_to_arrays(&args.args)?;
        let [spans, numbers] = columns.as_slice() else {
            return exec_err!("{} takes two arguments", self.name());
        };
        let spans = spans.as_primitive::<IntervalMonthDayNanoType>();
        let numbers = numbers.as_primitive::<Float64Type>();
        let mut scaled = IntervalMonthDayNanoBuilder::with_capacity(spans.len());
        for (span, number) in spans.iter().zip(numbers) {
            match (span, number) {
                (Some(span), Some(number)) => {
                    let of = scale(span, number, self.scaling);
                    scaled.append_value(of.map_err(|e| DataFusionError::External(Box::new(e)))?);
                }
                _ => scaled.append_null(),
            }
        }
        let scaled: ArrayRef = Arc::new(scaled.finish());
        Ok(ColumnarValue::Array(scaled))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(months: i32, days: i32, micros: i64) -> IntervalMonthDayNano {
        IntervalMonthDayNano { months, days, nanoseconds: micros * 1000 }
    }

    #[test]
    fn fractions_cascade() {
        let times = |of, by| scale(of, by, Scaling::Multiply).unwrap();
        assert_eq!(times(span(1, 0, 0), 1.5), span(1, 15, 0));
        assert_eq!(times(span(0, 1, 0), 1.5), span(0, 1, 43_200_000_000));
        assert_eq!(times(span(0, 0, 60_000_000), 7.0), span(0, 0, 420_000_000));
        assert_eq!(times(span(1, 1, 0), -0.5), span(0, -15, -43_200_000_000));
        let parts = |of, by| scale(of, by, Scaling::Divide).unwrap();
        assert_eq!(parts(span(1, 0, 0), 3.0), span(0, 10, 0));
        assert_eq!(parts(span(0, 0, 10), 4.0), span(0, 0, 2));
    }

    #[test]
    fn a_month_is_thirty_days_and_a_day_is_24_hours() {
        const HOUR: i64 = 3_600_000_000;
        let ascending =
            [span(0, 1, 0), span(0, 0, 25 * HOUR), span(0, 29, 0), span(1, 0, 0), span(0, 31, 0)];
        assert!(ascending.is_sorted_by_key(|span| order_key(*span)));
        assert!(ascending.map(as_time).is_sorted());
        assert_eq!(as_time(span(0, 30, 0)), as_time(span(1, 0, 0)));
        assert_eq!(of_microseconds(-25 * HOUR), span(0, -1, -HOUR));
        let half = between(span(0, 1, 0), span(0, 2, 0), 0.95).unwrap();
        assert_eq!(half, span(0, 1, 22 * HOUR + 48 * 60_000_000));
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let kind = |of, by, how| scale(of, by, how).unwrap_err().kind();
        let day = span(0, 1, 0);
        assert_eq!(kind(day, 0.0, Scaling::Divide), ErrorKind::DivisionByZero);
        assert_eq!(kind(day, 1e10, Scaling::Multiply), ErrorKind::DatetimeOutOfRange);
        assert_eq!(kind(day, f64::NAN, Scaling::Multiply), ErrorKind::DatetimeOutOfRange);
        assert_eq!(kind(span(0, 0, 1), 1e18, Scaling::Multiply), ErrorKind::DatetimeOutOfRange);
    }
}
