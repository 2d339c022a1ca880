//! One value of an ordered type, for statistics, bounds and keys.

use super::codec::{Reader, Writer};
use crate::error::Result;

/// A value in the form it is stored in: integers, dates and times are `Int`.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// boolean
    Bool(bool),
    /// Integers; days for date, µs for time and timestamps.
    Int(i64),
    /// real and double precision
    Float(f64),
    /// numeric, unscaled
    Decimal(i128),
    /// The bytes of text, bytea and uuid.
    Bytes(Vec<u8>),
}

impl Value {
    pub(super) fn write(&self, w: &mut Writer) {
        match self {
            Value::Bool(v) => {
                w.u8(0);
                w.bool(*v);
            }
            Value::Int(v) => {
                w.u8(1);
                w.i64(*v);
            }
            Value::Float(v) => {
                w.u8(2);
                w.bytes(&v.to_bits().to_le_bytes());
            }
            Value::Decimal(v) => {
                w.u8(3);
                w.bytes(&v.to_le_bytes());
            }
            Value::Bytes(v) => {
                w.u8(4);
                w.bytes(v);
            }
        }
    }

    pub(super) fn read(r: &mut Reader<'_>) -> Result<Value> {
        Ok(match r.u8()? {
            0 => Value::Bool(r.bool()?),
            1 => Value::Int(r.i64()?),
            2 => Value::Float(f64::from_bits(u64::from_le_bytes(fixed(r)?))),
            3 => Value::Decimal(i128::from_le_bytes(fixed(r)?)),
            4 => Value::Bytes(r.bytes()?.to_vec()),
            _ => return Err(r.corrupt("holds a value of an unknown form")),
        })
    }
}

fn fixed<const N: usize>(r: &mut Reader<'_>) -> Result<[u8; N]> {
    r.bytes()?.try_into().map_err(|_| r.corrupt("holds a value of a wrong length"))
}

impl Value {
    /// The value of one row; None where it is NULL or its type has no order.
    pub fn from_array(_array: &dyn arrow::array::Array, _row: usize) -> Option<Value> {
        todo!()
    }

    /// An array of `data_type.arrow()`. A value of another form is [`crate::error::ErrorKind::Internal`].
    pub fn array(
        _values: &[Option<Value>],
        _data_type: &super::types::Type,
    ) -> Result<arrow::array::ArrayRef> {
        todo!()
    }
}
