//! A time moved by an interval, for bounds: infinity stays where it is, and what would lie beyond the ends
//! of time is their last moment before infinity.

use std::sync::{Arc, LazyLock};

use arrow::array::timezone::Tz;
use arrow::array::{ArrayRef, AsArray, PrimitiveArray};
use arrow::datatypes::{
    DataType, IntervalMonthDayNano, TimeUnit, TimestampMicrosecondType as Microseconds,
};
use datafusion::common::{DFSchema, Result, ScalarValue, exec_err};
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{
    BinaryExpr, ColumnarValue, Expr, ExprSchemable, Operator, ScalarFunctionArgs, ScalarUDF,
    ScalarUDFImpl, Signature, Volatility,
};

static MOVED: LazyLock<Arc<ScalarUDF>> = LazyLock::new(|| {
    let signature = Signature::any(2, Volatility::Immutable);
    Arc::new(ScalarUDF::new_from_impl(Moved { signature }))
});

/// `time + interval` or `time - interval` without its overflow; anything else as it is.
pub(super) fn moved(expr: Expr, schemas: &[&DFSchema]) -> Expr {
    let Expr::BinaryExpr(BinaryExpr { left, op, right }) = &expr else { return expr };
    let Expr::Literal(ScalarValue::IntervalMonthDayNano(Some(span)), _) = right.as_ref() else {
        return expr;
    };
    let is_time = schemas.iter().any(|schema| {
        let of = left.get_type(*schema);
        of.is_ok_and(|of| matches!(of, DataType::Timestamp(TimeUnit::Microsecond, _)))
    });
    let by = match op {
        Operator::Plus => Some(*span),
        Operator::Minus => negated(*span),
        _ => None,
    };
    let Some(by) = by.filter(|_| is_time) else { return expr };
    let by = Expr::Literal(ScalarValue::IntervalMonthDayNano(Some(by)), None);
    let args = vec![Expr::clone(left), by];
    Expr::ScalarFunction(ScalarFunction::new_udf(Arc::clone(&MOVED), args))
}

fn negated(span: IntervalMonthDayNano) -> Option<IntervalMonthDayNano> {
    Some(IntervalMonthDayNano {
        months: span.months.checked_neg()?,
        days: span.days.checked_neg()?,
        nanoseconds: span.nanoseconds.checked_neg()?,
    })
}

fn at(time: i64, by: IntervalMonthDayNano, zone: Tz) -> i64 {
    if time == i64::MIN || time == i64::MAX {
        return time;
    }
    let ends =
        if (by.months, by.days, by.nanoseconds) < (0, 0, 0) { i64::MIN + 1 } else { i64::MAX - 1 };
    Microseconds::add_month_day_nano(time, by, zone).unwrap_or(ends)
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Moved {
    signature: Signature,
}

impl ScalarUDFImpl for Moved {
    fn name(&self) -> &str {
        "asofdb_moved"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        Ok(arguments[0].clone())
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [time, ColumnarValue::Scalar(ScalarValue::IntervalMonthDayNano(Some(by)))] =
            arguments.args.as_slice()
        else {
            return exec_err!("a time is moved by a constant");
        };
        let times = time.to_array(arguments.number_rows)?;
        let DataType::Timestamp(TimeUnit::Microsecond, zone) = times.data_type().clone() else {
            return exec_err!("a time in microseconds is moved");
        };
        let tz: Tz = zone.as_deref().unwrap_or("+00:00").parse()?;
        let times = times.as_primitive::<Microseconds>();
        let moved: PrimitiveArray<Microseconds> = times.unary(|time| at(time, *by, tz));
        let moved: ArrayRef = Arc::new(moved.with_timezone_opt(zone));
        Ok(ColumnarValue::Array(moved))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ends_of_time_hold() {
        let zone: Tz = "+00:00".parse().unwrap();
        let months = |months| IntervalMonthDayNano { months, days: 0, nanoseconds: 0 };
        assert_eq!(at(i64::MAX, months(-1), zone), i64::MAX);
        assert_eq!(at(i64::MIN, months(1), zone), i64::MIN);
        assert_eq!(at(i64::MIN + 5, months(-1), zone), i64::MIN + 1);
        assert_eq!(at(i64::MAX - 5, months(1), zone), i64::MAX - 1);
        // 31 January and a month: the last day of February 1970.
        assert_eq!(at(30 * 86_400_000_000, months(1), zone), 58 * 86_400_000_000);
    }
}
