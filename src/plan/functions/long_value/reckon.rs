//! How long results will be, row by row, from the arguments alone.

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::compute::cast;
use arrow::compute::kernels::length::length as lengths;
use arrow::datatypes::{DataType, Int64Type, IntervalMonthDayNanoType, TimeUnit};
use datafusion::common::ScalarValue;
use datafusion::error::Result as DataFusionResult;
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs};

/// A row whose result is surely no longer is not looked at more closely.
const BRIEF_BYTES: u64 = 16 << 10;
/// What one item of an array takes as text, beside its own bytes.
const ITEM_BYTES: u64 = 24;

/// One number for every row, or each row's.
pub(in crate::plan::functions) enum Numbers {
    One(u64),
    Each(Vec<u64>),
}

impl Numbers {
    pub(super) fn at(&self, row: usize) -> u64 {
        match self {
            Numbers::One(number) => *number,
            Numbers::Each(numbers) => numbers.get(row).copied().unwrap_or(0),
        }
    }
}

/// Row by row, or once where all arguments are constants.
fn each(args: &ScalarFunctionArgs, bytes: impl Fn(usize) -> u64) -> Numbers {
    match args.args.iter().all(|value| matches!(value, ColumnarValue::Scalar(_))) {
        true => Numbers::One(bytes(0)),
        false => Numbers::Each((0..args.number_rows).map(bytes).collect()),
    }
}

/// The second argument says how often the first is repeated.
pub(super) fn times(args: &ScalarFunctionArgs) -> DataFusionResult<Numbers> {
    let [first, count, ..] = args.args.as_slice() else { return Ok(Numbers::One(0)) };
    let (unit, count) = (sizes(first)?, counts(count)?);
    Ok(each(args, |row| unit.at(row).saturating_mul(count.at(row))))
}

/// The second argument is the length.
pub(super) fn length(args: &ScalarFunctionArgs) -> DataFusionResult<Numbers> {
    args.args.get(1).map_or(Ok(Numbers::One(0)), counts)
}

/// The second argument is how many items there will be.
pub(super) fn resized(args: &ScalarFunctionArgs) -> DataFusionResult<Numbers> {
    let count = length(args)?;
    let item = args.args.get(2).map_or(Ok(Numbers::One(ITEM_BYTES)), sizes)?;
    Ok(each(args, |row| count.at(row).saturating_mul(item.at(row).max(ITEM_BYTES))))
}

/// All arguments, one after the other.
pub(super) fn sum(args: &ScalarFunctionArgs) -> DataFusionResult<Numbers> {
    let all: Vec<Numbers> = args.args.iter().map(sizes).collect::<DataFusionResult<_>>()?;
    Ok(each(args, |row| all.iter().fold(0, |sum, one| sum.saturating_add(one.at(row)))))
}

/// The first argument between the others.
pub(super) fn joined(args: &ScalarFunctionArgs) -> DataFusionResult<Numbers> {
    let all: Vec<Numbers> = args.args.iter().map(sizes).collect::<DataFusionResult<_>>()?;
    let gaps = all.len().saturating_sub(2) as u64;
    Ok(each(args, |row| {
        let between = all.first().map_or(0, |gap| gap.at(row).saturating_mul(gaps));
        all.iter().skip(1).fold(between, |sum, one| sum.saturating_add(one.at(row)))
    }))
}

/// Two bytes for each.
pub(super) fn doubled(args: &ScalarFunctionArgs) -> DataFusionResult<Numbers> {
    let first = args.args.first().map_or(Ok(Numbers::One(0)), sizes)?;
    Ok(each(args, |row| first.at(row).saturating_mul(2)))
}

/// The items of an array as text, with the second argument between them.
pub(super) fn listed(args: &ScalarFunctionArgs) -> DataFusionResult<Numbers> {
    let [list, gap, ..] = args.args.as_slice() else { return Ok(Numbers::One(0)) };
    let (bytes, gap) = (sizes(list)?, sizes(gap)?);
    let items = match list {
        ColumnarValue::Scalar(scalar) => of_lengths(&scalar.to_array()?)?,
        ColumnarValue::Array(array) => of_lengths(array)?,
    };
    let alone = matches!(list, ColumnarValue::Scalar(_));
    Ok(each(args, |row| {
        let items = items.at(if alone { 0 } else { row });
        items.saturating_mul(gap.at(row).saturating_add(ITEM_BYTES)).saturating_add(bytes.at(row))
    }))
}

/// `replace(text, from, to)`: counted, where it could be long.
pub(super) fn replaced(args: &ScalarFunctionArgs) -> DataFusionResult<Numbers> {
    let [text, from, to] = args.args.as_slice() else { return Ok(Numbers::One(0)) };
    let (text, from, to) = (Texts::of(text)?, Texts::of(from)?, sizes(to)?);
    Ok(each(args, |row| {
        let (text, from, to) = (text.at(row), from.at(row), to.at(row));
        let own = text.len() as u64;
        let most = own.saturating_add(own.saturating_add(1).saturating_mul(to));
        if most <= BRIEF_BYTES {
            return most;
        }
        let found = text.matches(from).count() as u64;
        own.saturating_add(found.saturating_mul(to))
    }))
}

/// `range(from, to, step)` and its like, over numbers or times.
pub(super) fn series(args: &ScalarFunctionArgs) -> DataFusionResult<Numbers> {
    let of = |at: usize| args.args.get(at).map(positions).transpose();
    let (first, second, step) = (of(0)?, of(1)?, of(2)?);
    let (from, to) = match (&first, &second) {
        (Some(first), Some(second)) => (Some(first), second),
        (Some(only), None) => (None, only),
        (None, _) => return Ok(Numbers::One(0)),
    };
    Ok(each(args, |row| {
        let from = from.map_or(0, |from| at(from, row));
        let step = step.as_ref().map_or(1, |step| at(step, row)).unsigned_abs().max(1);
        let items = at(to, row).abs_diff(from) / step + 1;
        items.saturating_mul(size_of::<i64>() as u64)
    }))
}

fn at(numbers: &[i64], row: usize) -> i64 {
    // A constant is one number for all rows.
    numbers.get(row).or(numbers.first()).copied().unwrap_or(0)
}

/// Integers as they are, times and intervals in microseconds.
fn positions(values: &ColumnarValue) -> DataFusionResult<Vec<i64>> {
    let array = match values {
        ColumnarValue::Scalar(scalar) => scalar.to_array()?,
        ColumnarValue::Array(array) => ArrayRef::clone(array),
    };
    const DAY_US: i64 = 86_400_000_000;
    if let DataType::Interval(_) = array.data_type() {
        let spans =
            cast(&array, &DataType::Interval(arrow::datatypes::IntervalUnit::MonthDayNano))?;
        let micros = |span: arrow::datatypes::IntervalMonthDayNano| {
            let days = i64::from(span.months) * 30 + i64::from(span.days);
            days.saturating_mul(DAY_US).saturating_add(span.nanoseconds / 1000)
        };
        let spans = spans.as_primitive::<IntervalMonthDayNanoType>().iter();
        return Ok(spans.map(|span| span.map_or(1, micros)).collect());
    }
    let array = match array.data_type() {
        DataType::Timestamp(_, zone) => {
            cast(&array, &DataType::Timestamp(TimeUnit::Microsecond, zone.clone()))?
        }
        DataType::Date32 => cast(&array, &DataType::Timestamp(TimeUnit::Microsecond, None))?,
        _ => array,
    };
    let numbers = cast(&array, &DataType::Int64)?;
    Ok(numbers.as_primitive::<Int64Type>().iter().map(Option::unwrap_or_default).collect())
}

/// Bytes of each value: of a text its own, of anything else what one takes on the average.
fn sizes(values: &ColumnarValue) -> DataFusionResult<Numbers> {
    let array = match values {
        ColumnarValue::Scalar(scalar) => {
            let bytes = match scalar.try_as_str() {
                Some(text) => text.map_or(0, str::len),
                None => scalar.size(),
            };
            return Ok(Numbers::One(bytes as u64));
        }
        ColumnarValue::Array(array) => array,
    };
    match array.data_type() {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => of_lengths(array),
        _ => Ok(Numbers::One((array.get_array_memory_size() / array.len().max(1)) as u64)),
    }
}

/// Bytes of texts, items of lists.
fn of_lengths(array: &ArrayRef) -> DataFusionResult<Numbers> {
    match array.data_type() {
        DataType::Null => Ok(Numbers::One(0)),
        _ => numbers(lengths(array)?.as_ref()),
    }
}

/// Numbers of items, none below 0.
fn counts(values: &ColumnarValue) -> DataFusionResult<Numbers> {
    match values {
        ColumnarValue::Scalar(scalar) => match scalar.cast_to(&DataType::Int64)? {
            ScalarValue::Int64(Some(count)) => Ok(Numbers::One(count.max(0).unsigned_abs())),
            _ => Ok(Numbers::One(0)),
        },
        ColumnarValue::Array(array) => numbers(array.as_ref()),
    }
}

fn numbers(array: &dyn Array) -> DataFusionResult<Numbers> {
    let numbers = cast(array, &DataType::Int64)?;
    let numbers = numbers.as_primitive::<Int64Type>().iter();
    Ok(Numbers::Each(numbers.map(|n| n.unwrap_or(0).max(0).unsigned_abs()).collect()))
}

/// The texts of an argument; NULL is the empty one.
enum Texts {
    One(String),
    Each(ArrayRef),
}

impl Texts {
    fn of(values: &ColumnarValue) -> DataFusionResult<Texts> {
        Ok(match values {
            ColumnarValue::Scalar(scalar) => {
                Texts::One(scalar.try_as_str().flatten().unwrap_or_default().to_owned())
            }
            ColumnarValue::Array(array) => Texts::Each(cast(array, &DataType::Utf8View)?),
        })
    }

    fn at(&self, row: usize) -> &str {
        match self {
            Texts::One(text) => text,
            Texts::Each(texts) if texts.is_null(row) => "",
            Texts::Each(texts) => texts.as_string_view().value(row),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::StringArray;
    use arrow::datatypes::Field;

    use super::*;

    fn args(args: Vec<ColumnarValue>, rows: usize) -> ScalarFunctionArgs {
        ScalarFunctionArgs {
            arg_fields: args
                .iter()
                .map(|arg| Arc::new(Field::new("", arg.data_type(), true)))
                .collect(),
            args,
            number_rows: rows,
            return_field: Arc::new(Field::new("", DataType::Utf8, true)),
            config_options: Arc::default(),
        }
    }

    fn text(text: &str) -> ColumnarValue {
        ColumnarValue::Scalar(ScalarValue::from(text))
    }

    fn integer(number: i64) -> ColumnarValue {
        ColumnarValue::Scalar(ScalarValue::from(number))
    }

    #[test]
    fn what_is_long_is_counted() {
        let long = "a,".repeat(20_000);
        let replace = args(vec![text(&long), text(","), text("; ")], 1);
        assert_eq!(replaced(&replace).expect("texts").at(0), 80_000);
    }

    #[test]
    fn each_row_has_its_own_length() {
        let column: ArrayRef = Arc::new(StringArray::from(vec![Some("ab"), None, Some("abc")]));
        let column = || ColumnarValue::Array(ArrayRef::clone(&column));
        let of = |numbers: DataFusionResult<Numbers>| {
            let numbers = numbers.expect("fits");
            [numbers.at(0), numbers.at(1), numbers.at(2)]
        };
        assert_eq!(of(sum(&args(vec![column(), text("xyz")], 3))), [5, 3, 6]);
        assert_eq!(of(times(&args(vec![column(), integer(10)], 3))), [20, 0, 30]);
        assert_eq!(of(joined(&args(vec![text("--"), column(), text("x")], 3))), [5, 3, 6]);
        assert_eq!(of(series(&args(vec![integer(1), integer(10), integer(-3)], 3))), [32; 3]);
    }
}
