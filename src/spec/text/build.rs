//! Text to Arrow.

use arrow::array::ArrayRef;

use super::{TextOptions, array, bytes, datetime, float, integer, interval, json, jsonb, numeric};
use crate::error::{Error, ErrorKind, Result};
use crate::spec::Type;
use crate::spec::column::{ColumnBuilder, check};

/// Grows one column of `Type::arrow()` from text values.
pub struct TextBuilder {
    column: ColumnBuilder,
    options: TextOptions,
}

impl TextBuilder {
    /// An empty column of the type.
    pub fn new(data_type: &Type, options: &TextOptions) -> TextBuilder {
        TextBuilder { column: ColumnBuilder::new(data_type), options: options.clone() }
    }

    /// Appends a value. After an error the builder is of no further use.
    ///
    /// # Errors
    /// As PostgreSQL's input functions: InvalidText, OutOfRange, InvalidDatetime, DatetimeOutOfRange,
    /// StringTooLong, InvalidEncoding; NotSupported for numeric NaN and infinity.
    pub fn append(&mut self, text: &[u8]) -> Result<()> {
        append(&mut self.column, text, &self.options)
    }

    /// Appends NULL.
    pub fn append_null(&mut self) {
        self.column.append_null();
    }

    /// Rows so far.
    pub fn len(&self) -> usize {
        self.column.len()
    }

    /// Whether there is no row yet.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The column so far; the builder is empty afterwards.
    pub fn finish(&mut self) -> ArrayRef {
        self.column.finish()
    }
}

pub(super) fn append(column: &mut ColumnBuilder, text: &[u8], options: &TextOptions) -> Result<()> {
    match column {
        ColumnBuilder::Bool(b) => b.append_value(bytes::parse_bool(text)?),
        ColumnBuilder::Int2(b) => b.append_value(integer::parse(text, "smallint")?),
        ColumnBuilder::Int4(b) => b.append_value(integer::parse(text, "integer")?),
        ColumnBuilder::Int8(b) => b.append_value(integer::parse(text, "bigint")?),
        ColumnBuilder::Float4(b) => b.append_value(float::parse_float4(text)?),
        ColumnBuilder::Float8(b) => b.append_value(float::parse_float8(text)?),
        ColumnBuilder::Numeric(b, p, s) => b.append_value(numeric::parse(text, *p, *s)?),
        ColumnBuilder::Text(b) => b.append_value(check::utf8(text)?),
        ColumnBuilder::Varchar(b, n) => b.append_value(check::varchar(check::utf8(text)?, *n)?),
        ColumnBuilder::Char(b, n) => b.append_value(check::char(check::utf8(text)?, *n)?),
        ColumnBuilder::Json(b) => {
            let text = check::utf8(text)?;
            json::validate(text)?;
            b.append_value(text);
        }
        ColumnBuilder::Jsonb(b) => b.append_value(jsonb::normalise(check::utf8(text)?)?),
        ColumnBuilder::Bytea(b) => b.append_value(bytes::parse_bytea(text)?),
        ColumnBuilder::Date(b) => b.append_value(datetime::parse_date(text, options)?),
        ColumnBuilder::Time(b) => b.append_value(datetime::parse_time(text, options)?),
        ColumnBuilder::Timestamp(b) => b.append_value(datetime::parse_timestamp(text, options)?),
        ColumnBuilder::Timestamptz(b) => {
            b.append_value(datetime::parse_timestamptz(text, options)?);
        }
        ColumnBuilder::Interval(b) => b.append_value(interval::parse_interval(text)?),
        ColumnBuilder::Uuid(b) => b.append_value(bytes::parse_uuid(text)?).map_err(|e| {
            Error::new(ErrorKind::Internal, "a uuid is not 16 bytes long").caused_by(e)
        })?,
        ColumnBuilder::Array(items) => array::append(items, text, options)?,
    }
    Ok(())
}
