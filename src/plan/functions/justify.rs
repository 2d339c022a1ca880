//! `justify_days`, `justify_hours`, `justify_interval`: whole days of time and whole months of days,
//! 24 hours to the day and 30 days to the month, all parts of one sign as far as they can be.

use std::sync::Arc;

use arrow::array::AsArray;
use arrow::datatypes::{DataType, IntervalMonthDayNano, IntervalMonthDayNanoType, IntervalUnit};
use datafusion::common::exec_err;
use datafusion::error::{DataFusionError, Result as DataFusionResult};
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, TypeSignature,
    Volatility,
};

use crate::error::{Error, ErrorKind, Result};

const DAY_NANOS: i64 = 86_400_000_000_000;
const MONTH_DAYS: i64 = 30;

/// The functions of this file.
pub fn functions() -> Vec<ScalarUDF> {
    let function = |name, parts| ScalarUDF::from(Justify::new(name, parts));
    vec![
        function("justify_days", Parts::Days),
        function("justify_hours", Parts::Hours),
        function("justify_interval", Parts::Both),
    ]
}

/// What is carried.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Parts {
    /// Days to months.
    Days,
    /// Time to days.
    Hours,
    Both,
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Justify {
    name: &'static str,
    parts: Parts,
    signature: Signature,
}

impl Justify {
    fn new(name: &'static str, parts: Parts) -> Justify {
        let types = vec![DataType::Interval(IntervalUnit::MonthDayNano)];
        let signature = Signature::new(TypeSignature::Exact(types), Volatility::Immutable);
        Justify { name, parts, signature }
    }
}

fn justify(span: IntervalMonthDayNano, parts: Parts) -> Result<IntervalMonthDayNano> {
    let (mut months, mut days) = (i64::from(span.months), i64::from(span.days));
    let mut nanos = span.nanoseconds;
    if parts != Parts::Days {
        carry(&mut nanos, &mut days, DAY_NANOS);
    }
    if parts != Parts::Hours {
        carry(&mut days, &mut months, MONTH_DAYS);
        let below = if parts == Parts::Both && days == 0 { nanos } else { days };
        one_sign(&mut days, &mut months, MONTH_DAYS, below);
    }
    if parts != Parts::Days {
        let below = nanos;
        one_sign(&mut nanos, &mut days, DAY_NANOS, below);
    }
    let int4 = |value: i64| {
        let wrong = || Error::new(ErrorKind::DatetimeOutOfRange, "interval out of range");
        i32::try_from(value).map_err(|_| wrong())
    };
    Ok(IntervalMonthDayNano::new(int4(months)?, int4(days)?, nanos))
}

fn carry(small: &mut i64, large: &mut i64, size: i64) {
    *large += *small / size;
    *small %= size;
}

/// Takes one from the large part where the smaller ones, of which `below` is the first that is not
/// zero, have the other sign.
fn one_sign(small: &mut i64, large: &mut i64, size: i64, below: i64) {
    if *large > 0 && below < 0 {
        *small += size;
        *large -= 1;
    } else if *large < 0 && below > 0 {
        *small -= size;
        *large += 1;
    }
}

impl ScalarUDFImpl for Justify {
    fn name(&self) -> &str {
        self.name
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
            return exec_err!("{} takes one argument", self.name);
        };
        let spans = spans.as_primitive::<IntervalMonthDayNanoType>();
        let justified = spans.try_unary::<_, IntervalMonthDayNanoType, _>(|span| {
            justify(span, self.parts).map_err(|error| DataFusionError::External(Box::new(error)))
        })?;
        Ok(ColumnarValue::Array(Arc::new(justified)))
    }
}
