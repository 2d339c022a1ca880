//! Arrow to text.

use arrow::array::Array;
use arrow::buffer::NullBuffer;

use super::{TextOptions, array, bytes, calendar, float, integer, interval_format, numeric, zone};
use crate::error::Result;
use crate::spec::Type;
use crate::spec::column::Column;

/// The text of one value; None for NULL.
///
/// # Errors
/// DatatypeMismatch where the storage cannot hold the type.
pub fn value_text(data_type: &Type, values: &dyn Array, row: usize) -> Result<Option<String>> {
    let formatter = TextFormatter::new(data_type, values, &TextOptions::default())?;
    if formatter.is_null(row) {
        return Ok(None);
    }
    let mut text = Vec::new();
    formatter.write(row, &mut text);
    Ok(Some(String::from_utf8_lossy(&text).into_owned()))
}

/// Writes the values of one column.
pub struct TextFormatter<'a> {
    column: Column<'a>,
    nulls: Option<NullBuffer>,
    options: TextOptions,
}

impl<'a> TextFormatter<'a> {
    /// A formatter of this array's values as values of the type; any storage the type can have.
    ///
    /// # Errors
    /// DatatypeMismatch where the storage cannot hold the type.
    pub fn new(
        data_type: &Type,
        array: &'a dyn Array,
        options: &TextOptions,
    ) -> Result<TextFormatter<'a>> {
        Ok(TextFormatter {
            column: Column::of(data_type, array)?,
            nulls: array.logical_nulls(),
            options: options.clone(),
        })
    }

    /// Whether a row is NULL, also where a dictionary's value is.
    pub fn is_null(&self, row: usize) -> bool {
        self.nulls.as_ref().is_some_and(|nulls| nulls.is_null(row))
    }

    /// Appends the text of a row that is not NULL.
    pub fn write(&self, row: usize, out: &mut Vec<u8>) {
        write(&self.column, row, &self.options, out);
    }
}

pub(super) fn write(column: &Column<'_>, row: usize, options: &TextOptions, out: &mut Vec<u8>) {
    match column {
        Column::Null => {}
        Column::Bool(values) => out.push(if values.value(row) { b't' } else { b'f' }),
        Column::Int2(ints) | Column::Int4(ints) | Column::Int8(ints) => {
            integer::write_i64(ints.get(row), out);
        }
        Column::Float4(floats) => {
            float::write_f32(floats.get(row) as f32, options.extra_float_digits, out);
        }
        Column::Float8(floats) => {
            float::write_f64(floats.get(row), options.extra_float_digits, out);
        }
        Column::Numeric(decimals) => numeric::write(decimals, row, out),
        Column::Text(strings) | Column::Jsonb(strings) => {
            out.extend_from_slice(strings.get(row).as_bytes());
        }
        Column::Char(strings, width) => {
            let text = strings.get(row);
            out.extend_from_slice(text.as_bytes());
            let missing = width.saturating_sub(text.chars().count());
            out.resize(out.len() + missing, b' ');
        }
        Column::Bytea(blobs) => bytes::write_bytea(blobs.get(row), out),
        Column::Uuid(blobs) => bytes::write_uuid(blobs.get(row), out),
        Column::Date(days) => calendar::write_date(days.get(row), out),
        Column::Time(micros) => calendar::write_time(micros.get(row), out),
        Column::Timestamp(micros) => calendar::write_timestamp(micros.get(row), |_| None, out),
        Column::Timestamptz(micros) => {
            let offset = |utc_s| Some(zone::offset_at(options.time_zone, utc_s));
            calendar::write_timestamp(micros.get(row), offset, out);
        }
        Column::Interval(intervals) => {
            let (months, days, micros) = intervals.get(row);
            interval_format::write(months, days, micros, out);
        }
        Column::Array(items) => array::write(items, row, options, out),
        Column::Keyed(places, values) => write(values, places[row], options, out),
    }
}
