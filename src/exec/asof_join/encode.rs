//! Keys and times as values that compare fast and alike on both sides.
//!
//! A lane holds one side's values of a batch. Integers, dates, times and floats become `i64`,
//! instants of unlike units and decimals `i128`, everything else (text, several keys) rows of bytes.
//! A descending lane stores the complement, so that the merge only knows "before".

use std::cmp::Ordering;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::buffer::{NullBuffer, ScalarBuffer};
use arrow::compute::{SortOptions, cast};
use arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, Float32Type, Float64Type, Int64Type, TimeUnit, UInt64Type,
};
use arrow::row::{RowConverter, Rows, SortField};
use datafusion::common::Result;

/// How the values of both sides are encoded, decided once per stream.
pub(super) enum Encoder {
    /// No column at all: every row is equal.
    Nothing,
    I64 {
        descending: bool,
    },
    /// Exact numbers of one scale; instants in nanoseconds.
    I128 {
        descending: bool,
    },
    Rows(RowConverter),
}

/// One side's values of one batch.
pub(super) enum Lane {
    Nothing,
    I64(ScalarBuffer<i64>, Option<NullBuffer>),
    I128(Vec<i128>, Option<NullBuffer>),
    Rows(Rows),
}

impl Encoder {
    /// The encoder for keys: NULL is a value here, so only a caller that skips NULL keys may ask
    /// for the integer lane.
    pub(super) fn for_keys(types: &[DataType], null_equal: bool) -> Result<Self> {
        match types {
            [] => Ok(Encoder::Nothing),
            [one] if fits_i64(one) && !null_equal => Ok(Encoder::I64 { descending: false }),
            many => Encoder::rows(many.iter(), false),
        }
    }

    /// The encoder for the match columns of both sides.
    pub(super) fn for_times(types: &[(DataType, DataType)], descending: bool) -> Result<Self> {
        match types {
            [(left, right)] if left == right && fits_i64(left) => Ok(Encoder::I64 { descending }),
            [(left, right)] if instant(left) && instant(right) => Ok(Encoder::I128 { descending }),
            [(left, right)] if left == right && matches!(left, DataType::Decimal128(..)) => {
                Ok(Encoder::I128 { descending })
            }
            many => Encoder::rows(many.iter().map(|(left, _)| left), descending),
        }
    }

    fn rows<'a>(types: impl Iterator<Item = &'a DataType>, descending: bool) -> Result<Self> {
        let options = SortOptions { descending, nulls_first: false };
        let fields = types.map(|t| SortField::new_with_options(t.clone(), options)).collect();
        Ok(Encoder::Rows(RowConverter::new(fields)?))
    }

    pub(super) fn encode(&self, columns: &[ArrayRef]) -> Result<Lane> {
        Ok(match self {
            Encoder::Nothing => Lane::Nothing,
            Encoder::I64 { descending } => {
                let mut values = i64_values(&columns[0])?;
                if *descending {
                    values = values.iter().map(|v| !v).collect();
                }
                Lane::I64(values, columns[0].logical_nulls())
            }
            Encoder::I128 { descending } => {
                let mut values = i128_values(&columns[0])?;
                if *descending {
                    values.iter_mut().for_each(|v| *v = !*v);
                }
                Lane::I128(values, columns[0].logical_nulls())
            }
            Encoder::Rows(converter) => Lane::Rows(converter.convert_columns(columns)?),
        })
    }
}

impl Lane {
    /// How row `i` of this lane stands to row `j` of a lane of the other side. NULL of the other
    /// side comes after everything; row `i` is not NULL.
    pub(super) fn compare(&self, i: usize, other: &Lane, j: usize) -> Ordering {
        match (self, other) {
            (Lane::I64(a, _), Lane::I64(b, nulls)) => match nulls {
                Some(nulls) if nulls.is_null(j) => Ordering::Less,
                _ => a[i].cmp(&b[j]),
            },
            (Lane::I128(a, _), Lane::I128(b, nulls)) => match nulls {
                Some(nulls) if nulls.is_null(j) => Ordering::Less,
                _ => a[i].cmp(&b[j]),
            },
            (Lane::Rows(a), Lane::Rows(b)) => a.row(i).cmp(&b.row(j)),
            (Lane::Nothing, Lane::Nothing) => Ordering::Equal,
            _ => unreachable!("both sides are encoded by one encoder"),
        }
    }

    /// How far row `j` of the other side lies before row `i`; `None` where the two are at different
    /// distances from everything: one of them is infinite.
    pub(super) fn distance(
        &self,
        i: usize,
        other: &Lane,
        j: usize,
        infinite: bool,
    ) -> Option<i128> {
        let (a, b, low, high) = match (self, other) {
            (Lane::I64(a, _), Lane::I64(b, _)) => {
                (a[i].into(), b[j].into(), i64::MIN.into(), i64::MAX.into())
            }
            (Lane::I128(a, _), Lane::I128(b, _)) => (a[i], b[j], i128::MIN, i128::MAX),
            _ => unreachable!("a distance is asked of numbers and instants only"),
        };
        let endless = |v: i128| infinite && (v == low || v == high);
        match (a == b, endless(a) || endless(b)) {
            (true, _) => Some(0),
            (false, true) => None,
            (false, false) => Some(a.saturating_sub(b)),
        }
    }

    /// Bytes held.
    pub(super) fn size(&self) -> usize {
        match self {
            Lane::Nothing => 0,
            Lane::I64(values, _) => values.len() * size_of::<i64>(),
            Lane::I128(values, _) => values.len() * size_of::<i128>(),
            Lane::Rows(rows) => rows.size(),
        }
    }
}

/// Nanoseconds in one step of a time lane of these two types, or `None` where the lane counts
/// something else. Dates of both sides count in days.
pub fn unit_nanos(left: &DataType, right: &DataType) -> Option<i128> {
    if !(instant(left) && instant(right)) {
        return None;
    }
    Some(if left == right { scale(left) } else { 1 })
}

fn fits_i64(data_type: &DataType) -> bool {
    use DataType::*;
    matches!(
        data_type,
        Int8 | Int16 | Int32 | Int64 | UInt8 | UInt16 | UInt32 | UInt64 | Float32 | Float64
    ) || matches!(data_type, Date32 | Date64 | Time32(_) | Time64(_) | Timestamp(..) | Duration(_))
}

pub(in crate::exec) fn instant(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Date32 | DataType::Timestamp(..))
}

fn scale(data_type: &DataType) -> i128 {
    match data_type {
        DataType::Date32 => 86_400_000_000_000,
        DataType::Timestamp(TimeUnit::Second, _) => 1_000_000_000,
        DataType::Timestamp(TimeUnit::Millisecond, _) => 1_000_000,
        DataType::Timestamp(TimeUnit::Microsecond, _) => 1_000,
        _ => 1,
    }
}

/// Whole numbers, floats and instants as integers of the same order.
pub(in crate::exec) fn i64_values(column: &ArrayRef) -> Result<ScalarBuffer<i64>> {
    Ok(match column.data_type() {
        DataType::UInt64 => {
            let flip = |v: &u64| (*v ^ (1 << 63)) as i64;
            column.as_primitive::<UInt64Type>().values().iter().map(flip).collect()
        }
        DataType::Float64 => {
            column.as_primitive::<Float64Type>().values().iter().map(|v| total(*v)).collect()
        }
        DataType::Float32 => {
            let values = column.as_primitive::<Float32Type>().values();
            values.iter().map(|v| total(f64::from(*v))).collect()
        }
        _ => {
            cast(&widened(column)?, &DataType::Int64)?.as_primitive::<Int64Type>().values().clone()
        }
    })
}

/// Times of 32 bits cast to their integer of 32 bits only; those of 64 bits are kept as they are.
fn widened(column: &ArrayRef) -> Result<ArrayRef> {
    Ok(match column.data_type() {
        DataType::Date32 | DataType::Time32(_) => cast(column, &DataType::Int32)?,
        _ => ArrayRef::clone(column),
    })
}

/// The bits of a float in an order that integers have: NaN, which callers made one, is the greatest.
fn total(value: f64) -> i64 {
    let bits = value.to_bits() as i64;
    bits ^ (((bits >> 63) as u64) >> 1) as i64
}

fn i128_values(column: &ArrayRef) -> Result<Vec<i128>> {
    let data_type = column.data_type();
    let nanos = |v: i128, low: i128, high: i128| match v {
        v if v == low => i128::MIN,
        v if v == high => i128::MAX,
        v => v * scale(data_type),
    };
    Ok(match data_type {
        DataType::Decimal128(..) => column.as_primitive::<Decimal128Type>().values().to_vec(),
        DataType::Date32 => {
            let days = column.as_primitive::<Date32Type>().values();
            days.iter().map(|v| nanos((*v).into(), i32::MIN.into(), i32::MAX.into())).collect()
        }
        _ => {
            let instants = cast(column, &DataType::Int64)?;
            let values = instants.as_primitive::<Int64Type>().values();
            values.iter().map(|v| nanos((*v).into(), i64::MIN.into(), i64::MAX.into())).collect()
        }
    })
}
