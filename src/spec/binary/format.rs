//! Arrow to bytes.

use arrow::array::Array;
use arrow::buffer::NullBuffer;

use super::{numeric, oid};
use crate::error::{Error, ErrorKind, Result};
use crate::spec::Type;
use crate::spec::column::{Column, Items};

/// From 1970-01-01, where we count from, to 2000-01-01, where PostgreSQL does.
pub(super) const EPOCH_DAYS: i32 = 10_957;
pub(super) const EPOCH_US: i64 = EPOCH_DAYS as i64 * 86_400_000_000;

/// Writes the values of one column.
pub struct BinaryFormatter<'a> {
    column: Column<'a>,
    nulls: Option<NullBuffer>,
}

impl<'a> BinaryFormatter<'a> {
    /// A formatter of this array's values as values of the type; any storage the type can have.
    ///
    /// # Errors
    /// DatatypeMismatch where the storage cannot hold the type, NotSupported for arrays of arrays.
    pub fn new(data_type: &Type, array: &'a dyn Array) -> Result<BinaryFormatter<'a>> {
        if matches!(data_type, Type::Array(item) if matches!(**item, Type::Array(_))) {
            return Err(nested());
        }
        Ok(BinaryFormatter { column: Column::of(data_type, array)?, nulls: array.logical_nulls() })
    }

    /// Whether a row is NULL, also where a dictionary's value is.
    pub fn is_null(&self, row: usize) -> bool {
        self.nulls.as_ref().is_some_and(|nulls| nulls.is_null(row))
    }

    /// Appends the value of a row that is not NULL, without its length.
    pub fn write(&self, row: usize, out: &mut Vec<u8>) {
        write(&self.column, row, out);
    }
}

pub(super) fn nested() -> Error {
    Error::new(ErrorKind::NotSupported, "arrays of arrays have no binary form here")
        .hint("ask for the text form")
}

fn write(column: &Column<'_>, row: usize, out: &mut Vec<u8>) {
    match column {
        Column::Null => {}
        Column::Bool(values) => out.push(values.value(row).into()),
        Column::Int2(ints) => out.extend((ints.get(row) as i16).to_be_bytes()),
        Column::Int4(ints) => out.extend((ints.get(row) as i32).to_be_bytes()),
        Column::Int8(ints) => out.extend(ints.get(row).to_be_bytes()),
        Column::Float4(floats) => out.extend((floats.get(row) as f32).to_be_bytes()),
        Column::Float8(floats) => out.extend(floats.get(row).to_be_bytes()),
        Column::Numeric(decimals) => numeric::write(decimals, row, out),
        Column::Text(strings) => out.extend_from_slice(strings.get(row).as_bytes()),
        Column::Char(strings, width) => {
            let text = strings.get(row);
            out.extend_from_slice(text.as_bytes());
            let missing = width.saturating_sub(text.chars().count());
            out.resize(out.len() + missing, b' ');
        }
        Column::Jsonb(strings) => {
            out.push(1);
            out.extend_from_slice(strings.get(row).as_bytes());
        }
        Column::Bytea(blobs) | Column::Uuid(blobs) => out.extend_from_slice(blobs.get(row)),
        Column::Date(days) => out.extend(match days.get(row) {
            infinite @ (i32::MIN | i32::MAX) => infinite.to_be_bytes(),
            days => days.saturating_sub(EPOCH_DAYS).to_be_bytes(),
        }),
        Column::Time(micros) => out.extend(micros.get(row).to_be_bytes()),
        Column::Timestamp(micros) | Column::Timestamptz(micros) => {
            out.extend(match micros.get(row) {
                infinite @ (i64::MIN | i64::MAX) => infinite.to_be_bytes(),
                micros => micros.saturating_sub(EPOCH_US).to_be_bytes(),
            });
        }
        Column::Interval(intervals) => {
            let (months, days, micros) = intervals.get(row);
            out.extend(micros.to_be_bytes());
            out.extend(days.to_be_bytes());
            out.extend(months.to_be_bytes());
        }
        Column::Array(items) => write_array(items, row, out),
        Column::Keyed(places, values) => write(values, places[row], out),
    }
}

fn write_array(items: &Items<'_>, row: usize, out: &mut Vec<u8>) {
    let range = items.range(row);
    let dimensions = i32::from(!range.is_empty());
    let has_null = range.clone().any(|place| items.is_null(place));
    out.extend(dimensions.to_be_bytes());
    out.extend(i32::from(has_null).to_be_bytes());
    out.extend(oid(&items.item).to_be_bytes());
    if range.is_empty() {
        return;
    }
    out.extend((range.len() as i32).to_be_bytes());
    out.extend(1i32.to_be_bytes());
    for place in range {
        if items.is_null(place) {
            out.extend((-1i32).to_be_bytes());
            continue;
        }
        let start = out.len();
        out.extend([0; 4]);
        write(&items.column, place, out);
        let length = (out.len() - start - 4) as i32;
        out[start..start + 4].copy_from_slice(&length.to_be_bytes());
    }
}
