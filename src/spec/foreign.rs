//! Values that another program wrote. An Arrow array promises less than a type does: it may hold a time of
//! -5 µs, a day before the first one, a text with a NUL.

use arrow::array::{Array, AsArray};
use arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, Time64MicrosecondType, TimestampMicrosecondType,
};

use super::Type;
use super::column::check;
use crate::error::{Error, ErrorKind, Result};

/// The type that the values of a storage are taken as; what else was said beside them is not trusted. None
/// for storage that no type has.
pub fn type_of(storage: &DataType) -> Option<Type> {
    match storage {
        DataType::FixedSizeBinary(16) => Some(Type::Uuid),
        DataType::List(item) | DataType::LargeList(item) | DataType::FixedSizeList(item, _) => {
            Some(Type::Array(Box::new(type_of(item.data_type())?)))
        }
        DataType::Dictionary(_, value) => type_of(value),
        storage => Type::of_storage(storage),
    }
}

/// Refuses an array of `Type::arrow()` that holds what is no value of the type.
///
/// # Errors
/// InvalidEncoding, DatetimeOutOfRange, OutOfRange.
pub fn check(of: &Type, values: &dyn Array) -> Result<()> {
    match of {
        Type::Text | Type::Varchar(_) | Type::Char(_) => {
            let mut texts = values.as_string_view().iter().flatten();
            texts.try_for_each(|text| check::utf8(text.as_bytes()).map(drop))
        }
        Type::Time => {
            let times = values.as_primitive::<Time64MicrosecondType>();
            match times.iter().flatten().all(|time| (0..=check::DAY_US).contains(&time)) {
                true => Ok(()),
                false => Err(Error::new(ErrorKind::DatetimeOutOfRange, "time out of range")),
            }
        }
        Type::Date => {
            let mut days = values.as_primitive::<Date32Type>().iter().flatten();
            days.try_for_each(|day| check::date(Some(day)).map(drop))
        }
        Type::Timestamp | Type::Timestamptz => {
            let mut times = values.as_primitive::<TimestampMicrosecondType>().iter().flatten();
            times.try_for_each(|time| check::timestamp(Some(time)).map(drop))
        }
        Type::Numeric(precision, scale) => {
            let mut numbers = values.as_primitive::<Decimal128Type>().iter().flatten();
            numbers
                .try_for_each(|number| check::precision(Some(number), *precision, *scale).map(drop))
        }
        Type::Array(item) => check(item, values.as_list::<i32>().values()),
        Type::Bool
        | Type::Int2
        | Type::Int4
        | Type::Int8
        | Type::Float4
        | Type::Float8
        | Type::Bytea
        | Type::Interval
        | Type::Uuid
        | Type::Json
        | Type::Jsonb => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{Date32Array, Decimal128Array, StringViewArray, Time64MicrosecondArray};

    use super::*;

    fn kind(of: &Type, values: &dyn Array) -> Option<ErrorKind> {
        check(of, values).err().map(|error| error.kind())
    }

    #[test]
    fn what_no_value_may_be_is_refused() {
        let day = check::DAY_US;
        let times = |time: i64| Time64MicrosecondArray::from(vec![None, Some(0), Some(time)]);
        assert_eq!(kind(&Type::Time, &times(day)), None);
        for time in [-5, day + 1] {
            assert_eq!(kind(&Type::Time, &times(time)), Some(ErrorKind::DatetimeOutOfRange));
        }
        let texts = StringViewArray::from(vec!["a", "a\0b"]);
        assert_eq!(kind(&Type::Text, &texts), Some(ErrorKind::InvalidEncoding));
        let days = Date32Array::from(vec![i32::MAX, check::DATE_MIN - 1]);
        assert_eq!(kind(&Type::Date, &days), Some(ErrorKind::DatetimeOutOfRange));
        let number = Decimal128Array::from(vec![100_000]).with_precision_and_scale(5, 2).unwrap();
        assert_eq!(kind(&Type::Numeric(5, 2), &number), Some(ErrorKind::OutOfRange));
    }
}
