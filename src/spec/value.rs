//! One value of an ordered type, for statistics, bounds and keys.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BinaryViewArray, BooleanArray, Decimal128Array, FixedSizeBinaryArray,
    Float64Array, Int64Array,
};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type,
    Int64Type, Time64MicrosecondType, TimeUnit, TimestampMicrosecondType,
};
use arrow::error::ArrowError;

use super::codec::{Reader, Writer};
use super::key::{Form, form};
use super::types::Type;
use crate::error::{Error, ErrorKind, Result};

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
    /// The value of one row; None where it is NULL or the array's type has no order.
    pub fn from_array(array: &dyn Array, row: usize) -> Option<Value> {
        if array.is_null(row) {
            return None;
        }
        Some(match array.data_type() {
            DataType::Boolean => Value::Bool(array.as_boolean().value(row)),
            DataType::Int8 => Value::Int(array.as_primitive::<Int8Type>().value(row).into()),
            DataType::Int16 => Value::Int(array.as_primitive::<Int16Type>().value(row).into()),
            DataType::Int32 => Value::Int(array.as_primitive::<Int32Type>().value(row).into()),
            DataType::Int64 => Value::Int(array.as_primitive::<Int64Type>().value(row)),
            DataType::Date32 => Value::Int(array.as_primitive::<Date32Type>().value(row).into()),
            DataType::Time64(TimeUnit::Microsecond) => {
                Value::Int(array.as_primitive::<Time64MicrosecondType>().value(row))
            }
            DataType::Timestamp(TimeUnit::Microsecond, _) => {
                Value::Int(array.as_primitive::<TimestampMicrosecondType>().value(row))
            }
            DataType::Float32 => {
                Value::Float(array.as_primitive::<Float32Type>().value(row).into())
            }
            DataType::Float64 => Value::Float(array.as_primitive::<Float64Type>().value(row)),
            DataType::Decimal128(_, _) => {
                Value::Decimal(array.as_primitive::<Decimal128Type>().value(row))
            }
            DataType::Utf8 => Value::Bytes(array.as_string::<i32>().value(row).into()),
            DataType::LargeUtf8 => Value::Bytes(array.as_string::<i64>().value(row).into()),
            DataType::Utf8View => Value::Bytes(array.as_string_view().value(row).into()),
            DataType::Binary => Value::Bytes(array.as_binary::<i32>().value(row).into()),
            DataType::LargeBinary => Value::Bytes(array.as_binary::<i64>().value(row).into()),
            DataType::BinaryView => Value::Bytes(array.as_binary_view().value(row).into()),
            DataType::FixedSizeBinary(_) => {
                Value::Bytes(array.as_fixed_size_binary().value(row).into())
            }
            _ => return None,
        })
    }

    /// An array of `data_type.arrow()`. A value of another form, or one that the type cannot hold,
    /// is [`ErrorKind::Internal`].
    pub fn array(values: &[Option<Value>], data_type: &Type) -> Result<ArrayRef> {
        let wrong = || {
            let what = format!("a stored value is not of its column's type {data_type}");
            Error::new(ErrorKind::Internal, what)
        };
        let storage = data_type.arrow();
        let plain: ArrayRef = match form(data_type).ok_or_else(wrong)? {
            Form::Bool => Arc::new(
                pick(values, wrong, |v| match v {
                    Value::Bool(v) => Some(*v),
                    _ => None,
                })?
                .into_iter()
                .collect::<BooleanArray>(),
            ),
            Form::Int | Form::Date | Form::Time | Form::Timestamp | Form::Timestamptz => Arc::new(
                pick(values, wrong, |v| match v {
                    Value::Int(v) => Some(*v),
                    _ => None,
                })?
                .into_iter()
                .collect::<Int64Array>(),
            ),
            Form::Float => Arc::new(
                pick(values, wrong, |v| match v {
                    Value::Float(v) => Some(*v),
                    _ => None,
                })?
                .into_iter()
                .collect::<Float64Array>(),
            ),
            Form::Decimal(_) => {
                let values = pick(values, wrong, |v| match v {
                    Value::Decimal(v) => Some(*v),
                    _ => None,
                })?;
                // The unscaled value is the value: a cast would rescale it.
                let array = values.into_iter().collect::<Decimal128Array>();
                return Ok(Arc::new(array.with_data_type(storage)));
            }
            Form::Text | Form::Bytea | Form::Uuid => {
                let values = pick(values, wrong, |v| match v {
                    Value::Bytes(v) => Some(v.as_slice()),
                    _ => None,
                })?;
                if let DataType::FixedSizeBinary(size) = storage {
                    let array = FixedSizeBinaryArray::try_from_sparse_iter_with_size(
                        values.into_iter(),
                        size,
                    );
                    return Ok(Arc::new(array.map_err(|e| wrong().caused_by(e))?));
                }
                Arc::new(values.into_iter().collect::<BinaryViewArray>())
            }
        };
        convert(plain, &storage).map_err(|e| wrong().caused_by(e))
    }
}

/// Casts, with an error instead of NULL where a value does not fit.
fn convert(array: ArrayRef, storage: &DataType) -> Result<ArrayRef, ArrowError> {
    let options = CastOptions { safe: false, ..Default::default() };
    match storage {
        DataType::Date32 => {
            let days = cast_with_options(&array, &DataType::Int32, &options)?;
            cast_with_options(&days, storage, &options)
        }
        _ => cast_with_options(&array, storage, &options),
    }
}

fn pick<'a, T>(
    values: &'a [Option<Value>],
    wrong: impl Fn() -> Error,
    form: impl Fn(&'a Value) -> Option<T>,
) -> Result<Vec<Option<T>>> {
    let one = |v: &'a Option<Value>| match v {
        None => Ok(None),
        Some(v) => form(v).map(Some).ok_or_else(&wrong),
    };
    values.iter().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_come_back_from_arrays() {
        let cases = [
            (Type::Bool, Value::Bool(true)),
            (Type::Int2, Value::Int(-3)),
            (Type::Int8, Value::Int(i64::MIN)),
            (Type::Date, Value::Int(-400_000)),
            (Type::Time, Value::Int(86_399_999_999)),
            (Type::Timestamptz, Value::Int(i64::MAX)),
            (Type::Float4, Value::Float(0.5)),
            (Type::Numeric(12, 3), Value::Decimal(-12_345)),
            (Type::Text, Value::Bytes("grüße".into())),
            (Type::Bytea, Value::Bytes(vec![0xff, 0])),
            (Type::Uuid, Value::Bytes(vec![7; 16])),
        ];
        for (data_type, value) in cases {
            let array = Value::array(&[Some(value.clone()), None], &data_type).unwrap();
            assert_eq!(*array.data_type(), data_type.arrow());
            assert_eq!(Value::from_array(&array, 0), Some(value));
            assert_eq!(Value::from_array(&array, 1), None);
        }
        assert!(Value::array(&[Some(Value::Int(40_000))], &Type::Int2).is_err());
        assert!(Value::array(&[Some(Value::Bool(true))], &Type::Int2).is_err());
        assert!(Value::array(&[Some(Value::Bytes(vec![0xff]))], &Type::Text).is_err());
    }
}
