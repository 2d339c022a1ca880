//! Keys as bytes: the order of the bytes is the order of the keys. This is written to disk.
//!
//! A key is its columns one after another, each a marker and the value:
//!
//! | type | bytes after the marker |
//! |---|---|
//! | NULL | none; marker 0x00, so that NULL comes first (a value's marker is 0x01) |
//! | boolean | 0x00 false, 0x01 true |
//! | integers, date, time, timestamps | the 64-bit value, sign bit flipped, big-endian |
//! | real, double precision | as a double: -0.0 made 0.0, every NaN one; negative: all bits flipped, else the sign bit; big-endian |
//! | numeric(p, s) | the unscaled 128-bit value, sign bit flipped, big-endian |
//! | text, varchar, char, bytea, uuid | the bytes, 0x00 written as 0x00 0xff, then 0x00 0x00 |
//!
//! A wider integer, a double for a real, a longer varchar do not change a key's bytes; another
//! scale of a numeric does ([`form`] tells).

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Decimal128Type, Float64Type, Int64Type};

use super::types::Type;
use crate::error::{Error, ErrorKind, Result};

const NULL: u8 = 0;
const VALUE: u8 = 1;

/// How the values of a type are written in a key. Keys of equal forms can be compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// boolean
    Bool,
    /// smallint, integer and bigint
    Int,
    /// date, in days
    Date,
    /// time, in µs
    Time,
    /// timestamp, in µs
    Timestamp,
    /// timestamptz, in µs
    Timestamptz,
    /// real and double precision
    Float,
    /// numeric of this scale
    Decimal(i8),
    /// text, varchar and char
    Text,
    /// bytea
    Bytea,
    /// uuid
    Uuid,
}

impl Form {
    /// Whether values are 64-bit integers ([`super::Value::Int`]).
    pub fn is_int(self) -> bool {
        use Form::{Date, Int, Time, Timestamp, Timestamptz};
        matches!(self, Int | Date | Time | Timestamp | Timestamptz)
    }
}

/// The form of a type; None where its values have no order.
pub fn form(data_type: &Type) -> Option<Form> {
    Some(match data_type {
        Type::Bool => Form::Bool,
        Type::Int2 | Type::Int4 | Type::Int8 => Form::Int,
        Type::Date => Form::Date,
        Type::Time => Form::Time,
        Type::Timestamp => Form::Timestamp,
        Type::Timestamptz => Form::Timestamptz,
        Type::Float4 | Type::Float8 => Form::Float,
        Type::Numeric(_, scale) => Form::Decimal(*scale),
        Type::Text | Type::Varchar(_) | Type::Char(_) => Form::Text,
        Type::Bytea => Form::Bytea,
        Type::Uuid => Form::Uuid,
        Type::Interval | Type::Json | Type::Jsonb | Type::Array(_) => return None,
    })
}

/// Writes keys of columns of these types.
#[derive(Clone, Debug)]
pub struct KeyEncoder {
    types: Vec<Type>,
}

/// The encoded keys of several rows, in one buffer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Keys {
    bytes: Vec<u8>,
    offsets: Vec<usize>,
}

impl Keys {
    /// How many keys there are.
    pub fn len(&self) -> usize {
        self.offsets.len().saturating_sub(1)
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The key of one row.
    pub fn get(&self, row: usize) -> &[u8] {
        &self.bytes[self.offsets[row]..self.offsets[row + 1]]
    }

    /// Adds a key that was encoded before.
    pub fn push(&mut self, key: &[u8]) {
        if self.offsets.is_empty() {
            self.offsets.push(0);
        }
        self.bytes.extend_from_slice(key);
        self.offsets.push(self.bytes.len());
    }

    /// All keys, in the order of rows.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        self.offsets.windows(2).map(|w| &self.bytes[w[0]..w[1]])
    }
}

impl KeyEncoder {
    /// An encoder of columns of these types; a type without an order is
    /// [`ErrorKind::InvalidDefinition`].
    pub fn new(types: &[Type]) -> Result<KeyEncoder> {
        match types.iter().find(|t| form(t).is_none()) {
            None => Ok(KeyEncoder { types: types.to_vec() }),
            Some(t) => Err(Error::new(
                ErrorKind::InvalidDefinition,
                format!("values of type {t} have no order that a key could use"),
            )),
        }
    }

    /// Encodes rows, given as one array a column, all of one length, in the Arrow type of the
    /// column's type or one that casts to it.
    pub fn encode(&self, columns: &[ArrayRef]) -> Result<Keys> {
        assert_eq!(columns.len(), self.types.len(), "a key has one array a column");
        let rows = columns.first().map_or(0, |c| c.len());
        let typed: Vec<Column> = self
            .types
            .iter()
            .zip(columns)
            .map(|(t, c)| Column::new(t, c))
            .collect::<Result<_>>()?;
        // Column by column into one buffer: lengths first, then each column behind the last one's
        // end in every row.
        let mut offsets = vec![0; rows + 1];
        for column in &typed {
            column.add_lengths(&mut offsets[1..]);
        }
        let mut total = 0;
        for offset in &mut offsets {
            total += *offset;
            *offset = total;
        }
        let mut bytes = vec![0; total];
        let mut ends = offsets[..rows].to_vec();
        for column in &typed {
            column.write(&mut bytes, &mut ends);
        }
        Ok(Keys { bytes, offsets })
    }
}

/// One column in the Arrow type that its form is written from.
enum Column {
    Bool(ArrayRef),
    Int(ArrayRef),
    Float(ArrayRef),
    Decimal(ArrayRef),
    Bytes(ArrayRef),
}

impl Column {
    fn new(data_type: &Type, array: &ArrayRef) -> Result<Column> {
        let form = form(data_type).expect("the encoder refuses types without an order");
        let array = match form {
            Form::Bool => cast(array, &DataType::Boolean),
            Form::Float => cast(array, &DataType::Float64),
            Form::Decimal(scale) => cast(array, &DataType::Decimal128(38, scale)),
            Form::Text | Form::Bytea => cast(array, &DataType::BinaryView),
            Form::Uuid => cast(array, &DataType::Binary),
            Form::Int | Form::Date | Form::Time | Form::Timestamp | Form::Timestamptz => {
                int64(array)
            }
        };
        let array = array.map_err(|e| {
            let what = format!("values are not of a key's type {data_type}");
            Error::new(ErrorKind::Internal, what).caused_by(e)
        })?;
        Ok(match form {
            Form::Bool => Column::Bool(array),
            Form::Float => Column::Float(array),
            Form::Decimal(_) => Column::Decimal(array),
            Form::Text | Form::Bytea | Form::Uuid => Column::Bytes(array),
            Form::Int | Form::Date | Form::Time | Form::Timestamp | Form::Timestamptz => {
                Column::Int(array)
            }
        })
    }

    fn add_lengths(&self, lengths: &mut [usize]) {
        match self {
            Column::Bool(a) => add_fixed(a, 1, lengths),
            Column::Int(a) | Column::Float(a) => add_fixed(a, 8, lengths),
            Column::Decimal(a) => add_fixed(a, 16, lengths),
            Column::Bytes(array) => each_bytes(array, |row, value| {
                let zeros = |v: &[u8]| v.iter().filter(|b| **b == 0).count();
                lengths[row] += value.map_or(1, |v| 3 + v.len() + zeros(v));
            }),
        }
    }

    /// Writes each row's value at `ends[row]`, and moves that behind it.
    fn write(&self, out: &mut [u8], ends: &mut [usize]) {
        match self {
            Column::Bool(array) => {
                let values = array.as_boolean();
                write_fixed(array, out, ends, |row| [u8::from(values.value(row))]);
            }
            Column::Int(array) => {
                let values = array.as_primitive::<Int64Type>().values();
                write_fixed(array, out, ends, |row| int_bits(values[row]).to_be_bytes());
            }
            Column::Float(array) => {
                let values = array.as_primitive::<Float64Type>().values();
                write_fixed(array, out, ends, |row| float_bits(values[row]).to_be_bytes());
            }
            Column::Decimal(array) => {
                let values = array.as_primitive::<Decimal128Type>().values();
                let bits = |row: usize| (values[row] as u128) ^ (1 << 127);
                write_fixed(array, out, ends, |row| bits(row).to_be_bytes());
            }
            Column::Bytes(array) => each_bytes(array, |row, value| {
                ends[row] = write_bytes(out, ends[row], value);
            }),
        }
    }
}

/// A 64-bit integer as an unsigned one of the same order.
pub fn int_bits(value: i64) -> u64 {
    (value as u64) ^ (1 << 63)
}

/// A double as an unsigned integer of the same order: -0.0 is 0.0, NaN is the greatest.
pub fn float_bits(value: f64) -> u64 {
    let value = if value.is_nan() { f64::NAN.abs() } else { value + 0.0 };
    let bits = value.to_bits();
    if bits >> 63 == 1 { !bits } else { bits ^ (1 << 63) }
}

/// Integers, dates and times as 64-bit integers.
pub fn int64(array: &ArrayRef) -> Result<ArrayRef, arrow::error::ArrowError> {
    match array.data_type() {
        DataType::Int64 => Ok(array.clone()),
        DataType::Date32 | DataType::Time32(_) => {
            cast(&cast(array, &DataType::Int32)?, &DataType::Int64)
        }
        _ => cast(array, &DataType::Int64),
    }
}

fn add_fixed(array: &ArrayRef, bytes: usize, lengths: &mut [usize]) {
    for (row, length) in lengths.iter_mut().enumerate() {
        *length += if array.is_null(row) { 1 } else { 1 + bytes };
    }
}

fn write_fixed<const N: usize>(
    array: &ArrayRef,
    out: &mut [u8],
    ends: &mut [usize],
    value: impl Fn(usize) -> [u8; N],
) {
    for (row, end) in ends.iter_mut().enumerate() {
        if array.is_null(row) {
            out[*end] = NULL;
            *end += 1;
        } else {
            out[*end] = VALUE;
            out[*end + 1..*end + 1 + N].copy_from_slice(&value(row));
            *end += 1 + N;
        }
    }
}

fn write_bytes(out: &mut [u8], mut at: usize, value: Option<&[u8]>) -> usize {
    let Some(value) = value else {
        out[at] = NULL;
        return at + 1;
    };
    out[at] = VALUE;
    at += 1;
    for &byte in value {
        out[at] = byte;
        at += 1;
        if byte == 0 {
            out[at] = 0xff;
            at += 1;
        }
    }
    // The buffer is zeroed: the two bytes of the end are there.
    at + 2
}

fn each_bytes(array: &ArrayRef, mut f: impl FnMut(usize, Option<&[u8]>)) {
    let valid = |row: usize| !array.is_null(row);
    match array.data_type() {
        DataType::Binary => {
            let values = array.as_binary::<i32>();
            (0..array.len()).for_each(|row| f(row, valid(row).then(|| values.value(row))));
        }
        _ => {
            let values = array.as_binary_view();
            (0..array.len()).for_each(|row| f(row, valid(row).then(|| values.value(row))));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cmp::Ordering;

    use proptest::prelude::*;

    use super::*;
    use crate::spec::Value;

    fn types() -> Vec<Type> {
        vec![
            Type::Bool,
            Type::Int2,
            Type::Int8,
            Type::Date,
            Type::Timestamptz,
            Type::Float4,
            Type::Float8,
            Type::Numeric(20, 4),
            Type::Text,
            Type::Bytea,
        ]
    }

    fn value_of(t: &Type, seed: u64, text: &[u8]) -> Option<Value> {
        let floats = [0.0, -0.0, 1.5, -1.5, f64::NAN, -f64::NAN, f64::INFINITY, f64::MIN];
        if seed.is_multiple_of(7) {
            return None;
        }
        Some(match form(t).unwrap() {
            Form::Bool => Value::Bool(seed.is_multiple_of(2)),
            Form::Int if *t == Type::Int2 => Value::Int((seed as i16).into()),
            Form::Date => Value::Int((seed as i32).into()),
            form if form.is_int() => Value::Int(seed as i64),
            Form::Float if *t == Type::Float8 && seed.is_multiple_of(3) => {
                Value::Float(f64::from_bits(seed))
            }
            Form::Float => Value::Float(f64::from(floats[seed as usize % 8] as f32)),
            Form::Decimal(_) => Value::Decimal(i128::from(seed as i64)),
            Form::Text => Value::Bytes(String::from_utf8_lossy(text).into_owned().into_bytes()),
            _ => Value::Bytes(text.to_vec()),
        })
    }

    fn compare(a: &Option<Value>, b: &Option<Value>) -> Ordering {
        match (a, b) {
            (Some(Value::Bool(a)), Some(Value::Bool(b))) => a.cmp(b),
            (Some(Value::Int(a)), Some(Value::Int(b))) => a.cmp(b),
            (Some(Value::Decimal(a)), Some(Value::Decimal(b))) => a.cmp(b),
            (Some(Value::Bytes(a)), Some(Value::Bytes(b))) => a.cmp(b),
            (Some(Value::Float(a)), Some(Value::Float(b))) => match a.partial_cmp(b) {
                Some(order) => order,
                None => a.is_nan().cmp(&b.is_nan()),
            },
            _ => a.is_some().cmp(&b.is_some()),
        }
    }

    proptest! {
        #[test]
        fn the_order_of_bytes_is_the_order_of_values(
            seeds in prop::collection::vec((any::<u64>(), 0u64..9, prop::collection::vec(0u8..4, 0..4)), 2..6),
            picks in prop::collection::vec(0usize..10, 1..4),
        ) {
            let types: Vec<Type> = picks.iter().map(|i| types()[*i].clone()).collect();
            let rows: Vec<Vec<Option<Value>>> = seeds
                .iter()
                .map(|(wide, small, text)| {
                    let seed = if wide % 2 == 0 { *wide } else { *small };
                    types.iter().map(|t| value_of(t, seed, text)).collect()
                })
                .collect();
            let columns: Vec<ArrayRef> = (0..types.len())
                .map(|c| {
                    let column: Vec<_> = rows.iter().map(|r| r[c].clone()).collect();
                    Value::array(&column, &types[c]).unwrap()
                })
                .collect();
            let keys = KeyEncoder::new(&types).unwrap().encode(&columns).unwrap();
            prop_assert_eq!(keys.len(), rows.len());
            for a in 0..rows.len() {
                for b in 0..rows.len() {
                    let by_value = rows[a]
                        .iter()
                        .zip(&rows[b])
                        .map(|(a, b)| compare(a, b))
                        .find(|o| o.is_ne())
                        .unwrap_or(Ordering::Equal);
                    prop_assert_eq!(keys.get(a).cmp(keys.get(b)), by_value);
                }
            }
        }
    }

    #[test]
    fn the_bytes_on_disk_do_not_change() {
        let types = [Type::Int4, Type::Text, Type::Float8];
        let columns = [
            Value::array(&[Some(Value::Int(-1)), None], &types[0]).unwrap(),
            Value::array(&[Some(Value::Bytes(b"a\0".to_vec())), None], &types[1]).unwrap(),
            Value::array(&[Some(Value::Float(1.0)), None], &types[2]).unwrap(),
        ];
        let keys = KeyEncoder::new(&types).unwrap().encode(&columns).unwrap();
        let first = [
            &[1, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff][..],
            &[1, b'a', 0, 0xff, 0, 0],
            &[1, 0xbf, 0xf0, 0, 0, 0, 0, 0, 0],
        ];
        assert_eq!(keys.get(0), first.concat());
        assert_eq!(keys.get(1), [0, 0, 0]);
    }
}
