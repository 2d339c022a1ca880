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

use arrow::array::{
    Array, ArrayRef, AsArray, BinaryArray, FixedSizeBinaryArray, LargeBinaryArray, LargeStringArray,
    StringArray,
};
use arrow::compute::cast;
use arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, Float32Type, Float64Type, Int16Type, Int32Type,
    Int64Type, Time64MicrosecondType, TimeUnit, TimestampMicrosecondType, UInt64Type,
};

use super::types::Type;
use crate::error::{Error, ErrorKind, Result};

const NULL: u8 = 0;
const VALUE: u8 = 1;

/// How the values of a type are written in a key. Keys of equal forms can be compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// boolean
    Bool,
    /// Integers, dates and times.
    Int,
    /// real and double precision
    Float,
    /// numeric of this scale
    Decimal(i8),
    /// text, bytea and uuid
    Bytes,
}

/// The form of a type; None where its values have no order.
pub fn form(data_type: &Type) -> Option<Form> {
    Some(match data_type {
        Type::Bool => Form::Bool,
        Type::Int2 | Type::Int4 | Type::Int8 => Form::Int,
        Type::Date | Type::Time | Type::Timestamp | Type::Timestamptz => Form::Int,
        Type::Float4 | Type::Float8 => Form::Float,
        Type::Numeric(_, scale) => Form::Decimal(*scale),
        Type::Text | Type::Varchar(_) | Type::Char(_) | Type::Bytea | Type::Uuid => Form::Bytes,
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

    /// Encodes rows, given as one array a column, of equal lengths, in the Arrow type of the
    /// column's type (or one that casts to it).
    pub fn encode(&self, columns: &[ArrayRef]) -> Result<Keys> {
        assert_eq!(columns.len(), self.types.len(), "a key has one array a column");
        let columns: Vec<Column<'_>> = Vec::new();
        let _ = columns;
        todo!()
    }
}
enum Column<'a> { X(&'a u8) }
