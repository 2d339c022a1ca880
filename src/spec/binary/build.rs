//! Bytes to Arrow.

use arrow::array::ArrayRef;
use arrow::datatypes::IntervalMonthDayNano;

use super::format::{EPOCH_DAYS, EPOCH_US, nested};
use super::{numeric, oid};
use crate::error::{Error, ErrorKind, Result};
use crate::spec::Type;
use crate::spec::column::{ColumnBuilder, ItemsBuilder, check};
use crate::spec::text::{json, jsonb};

/// Grows one column of `Type::arrow()` from binary values.
pub struct BinaryBuilder(ColumnBuilder);

impl BinaryBuilder {
    /// An empty column of the type.
    pub fn new(data_type: &Type) -> BinaryBuilder {
        BinaryBuilder(ColumnBuilder::new(data_type))
    }

    /// Appends a value. After an error the builder is of no further use.
    ///
    /// # Errors
    /// InvalidBinary where the bytes are not a value of the type; else as for the text form.
    pub fn append(&mut self, value: &[u8]) -> Result<()> {
        append(&mut self.0, value)
    }

    /// Appends NULL.
    pub fn append_null(&mut self) {
        self.0.append_null();
    }

    /// Rows so far.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is no row yet.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The column so far; the builder is empty afterwards.
    pub fn finish(&mut self) -> ArrayRef {
        self.0.finish()
    }
}

/// The refusal of bytes that are not a value of the type.
pub(super) fn wrong(type_name: &str, bytes: &[u8]) -> Error {
    let message = format!("incorrect binary data format for type {type_name}");
    Error::new(ErrorKind::InvalidBinary, message).detail(format!("{} bytes", bytes.len()))
}

fn fixed<const N: usize>(bytes: &[u8], type_name: &str) -> Result<[u8; N]> {
    bytes.try_into().map_err(|_| wrong(type_name, bytes))
}

fn append(column: &mut ColumnBuilder, bytes: &[u8]) -> Result<()> {
    match column {
        ColumnBuilder::Bool(b) => b.append_value(fixed::<1>(bytes, "boolean")?[0] != 0),
        ColumnBuilder::Int2(b) => b.append_value(i16::from_be_bytes(fixed(bytes, "smallint")?)),
        ColumnBuilder::Int4(b) => b.append_value(i32::from_be_bytes(fixed(bytes, "integer")?)),
        ColumnBuilder::Int8(b) => b.append_value(i64::from_be_bytes(fixed(bytes, "bigint")?)),
        ColumnBuilder::Float4(b) => b.append_value(f32::from_be_bytes(fixed(bytes, "real")?)),
        ColumnBuilder::Float8(b) => {
            b.append_value(f64::from_be_bytes(fixed(bytes, "double precision")?));
        }
        ColumnBuilder::Numeric(b, p, s) => b.append_value(numeric::read(bytes, *p, *s)?),
        ColumnBuilder::Text(b) => b.append_value(check::utf8(bytes)?),
        ColumnBuilder::Varchar(b, n) => b.append_value(check::varchar(check::utf8(bytes)?, *n)?),
        ColumnBuilder::Char(b, n) => b.append_value(check::char(check::utf8(bytes)?, *n)?),
        ColumnBuilder::Json(b) => {
            let text = check::utf8(bytes)?;
            json::validate(text)?;
            b.append_value(text);
        }
        ColumnBuilder::Jsonb(b) => match bytes.split_first() {
            Some((1, text)) => b.append_value(jsonb::normalise(check::utf8(text)?)?),
            Some(_) | None => return Err(wrong("jsonb", bytes)),
        },
        ColumnBuilder::Bytea(b) => b.append_value(bytes),
        ColumnBuilder::Date(b) => b.append_value(date(i32::from_be_bytes(fixed(bytes, "date")?))?),
        ColumnBuilder::Time(b) => {
            let micros = i64::from_be_bytes(fixed(bytes, "time")?);
            if !(0..=check::DAY_US).contains(&micros) {
                return Err(Error::new(ErrorKind::DatetimeOutOfRange, "time out of range"));
            }
            b.append_value(micros);
        }
        ColumnBuilder::Timestamp(b) | ColumnBuilder::Timestamptz(b) => {
            b.append_value(timestamp(i64::from_be_bytes(fixed(bytes, "timestamp")?))?);
        }
        ColumnBuilder::Interval(b) => b.append_value(interval(bytes)?),
        ColumnBuilder::Uuid(b) => {
            b.append_value(fixed::<16>(bytes, "uuid")?).map_err(|_| wrong("uuid", bytes))?;
        }
        ColumnBuilder::Array(array) => append_array(array, bytes)?,
    }
    Ok(())
}

fn date(days: i32) -> Result<i32> {
    match days {
        i32::MIN | i32::MAX => Ok(days),
        _ => check::date(days.checked_add(EPOCH_DAYS)),
    }
}

fn timestamp(micros: i64) -> Result<i64> {
    match micros {
        i64::MIN | i64::MAX => Ok(micros),
        // The sum must not become the mark of infinity.
        _ => check::timestamp(micros.checked_add(EPOCH_US).filter(|&sum| sum != i64::MAX)),
    }
}

fn interval(bytes: &[u8]) -> Result<IntervalMonthDayNano> {
    let bytes: [u8; 16] = fixed(bytes, "interval")?;
    let (time, rest) = bytes.split_at(8);
    let (days, months) = rest.split_at(4);
    let micros = i64::from_be_bytes(fixed(time, "interval")?);
    Ok(IntervalMonthDayNano {
        months: i32::from_be_bytes(fixed(months, "interval")?),
        days: i32::from_be_bytes(fixed(days, "interval")?),
        nanoseconds: check::interval_nanos(micros)?,
    })
}

fn append_array(array: &mut ItemsBuilder, bytes: &[u8]) -> Result<()> {
    let mut rest = bytes;
    let mut word = || {
        let (head, tail) = rest.split_first_chunk::<4>().ok_or_else(|| wrong("array", bytes))?;
        rest = tail;
        Ok::<_, Error>(i32::from_be_bytes(*head))
    };
    let (dimensions, _flags, item) = (word()?, word()?, word()? as u32);
    check_item(&array.item_type, item)?;
    let count = match dimensions {
        0 => 0,
        1 => {
            let (count, _lower) = (word()?, word()?);
            usize::try_from(count).map_err(|_| wrong("array", bytes))?
        }
        2..=6 => return Err(nested()),
        _ => return Err(wrong("array", bytes)),
    };
    for _ in 0..count {
        let (head, tail) = rest.split_first_chunk::<4>().ok_or_else(|| wrong("array", bytes))?;
        rest = tail;
        array.check_room()?;
        match i32::from_be_bytes(*head) {
            -1 => array.item.append_null(),
            length => {
                let length = usize::try_from(length).map_err(|_| wrong("array", bytes))?;
                let value = rest.get(..length).ok_or_else(|| wrong("array", bytes))?;
                append(&mut array.item, value)?;
                rest = &rest[length..];
            }
        }
    }
    if !rest.is_empty() {
        return Err(wrong("array", bytes));
    }
    array.close(true);
    Ok(())
}

/// Items must be of the array's type; the kinds of text have one form.
fn check_item(item: &Type, given: u32) -> Result<()> {
    let texts = [25, 1042, 1043, 705, 19];
    // The number of an object is four bytes as well.
    let given = if given == 26 { oid(&Type::Int4) } else { given };
    let expected = oid(item);
    if matches!(item, Type::Array(_)) {
        return Err(nested());
    }
    if given == expected || texts.contains(&given) && texts.contains(&expected) {
        return Ok(());
    }
    let message = format!(
        "binary data has array element type {given} instead of expected {expected} ({item})"
    );
    Err(Error::new(ErrorKind::DatatypeMismatch, message))
}
