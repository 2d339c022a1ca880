//! Reading: one enum arm per logical type, holding the storage already downcast.

use arrow::array::types::RunEndIndexType;
use arrow::array::*;
use arrow::buffer::{BooleanBuffer, NullBuffer};
use arrow::datatypes::DataType;

use super::storage::{Blobs, Days, Decimals, Floats, Intervals, Ints, Micros, Strings, objects};
use crate::error::{Error, ErrorKind, Result};
use crate::spec::Type;

/// A column's values. A row given to a getter must not be NULL.
pub(in crate::spec) enum Column<'a> {
    /// Every row is NULL.
    Null,
    Bool(&'a BooleanBuffer),
    Int2(Ints<'a>),
    Int4(Ints<'a>),
    Int8(Ints<'a>),
    Float4(Floats<'a>),
    Float8(Floats<'a>),
    Numeric(Decimals<'a>),
    Text(Strings<'a>),
    /// char(n): shown padded to n characters
    Char(Strings<'a>, usize),
    Jsonb(Strings<'a>),
    Bytea(Blobs<'a>),
    Uuid(Blobs<'a>),
    Date(Days<'a>),
    Time(Micros<'a>),
    Timestamp(Micros<'a>),
    Timestamptz(Micros<'a>),
    Interval(Intervals<'a>),
    Array(Items<'a>),
    /// A dictionary or runs: where the value of each row is.
    Keyed(Vec<usize>, Box<Column<'a>>),
}

impl<'a> Column<'a> {
    /// The column of these values. DatatypeMismatch where the storage cannot hold the type.
    pub(in crate::spec) fn of(data_type: &Type, array: &'a dyn Array) -> Result<Column<'a>> {
        match array.data_type() {
            DataType::Null => return Ok(Column::Null),
            DataType::Dictionary(_, _) => {
                let dictionary = array.as_any_dictionary();
                let values = dictionary.values().as_ref();
                if values.is_empty() {
                    return Ok(Column::Null);
                }
                let values = Box::new(Column::of(data_type, values)?);
                return Ok(Column::Keyed(dictionary.normalized_keys(), values));
            }
            DataType::RunEndEncoded(_, _) => return runs(data_type, array),
            _ => {}
        }
        let column = match data_type {
            Type::Bool => array.as_boolean_opt().map(|a| Column::Bool(a.values())),
            Type::Int2 => Ints::of(array, 2).map(Column::Int2),
            Type::Int4 => Ints::of(array, 4).map(Column::Int4),
            Type::Int8 => Ints::of(array, 8).map(Column::Int8),
            Type::Float4 => Floats::of(array, 4).map(Column::Float4),
            Type::Float8 => Floats::of(array, 8).map(Column::Float8),
            Type::Numeric(_, _) => Decimals::of(array).map(Column::Numeric),
            Type::Text | Type::Varchar(_) | Type::Json => Strings::of(array).map(Column::Text),
            Type::Char(n) => Strings::of(array).map(|s| Column::Char(s, *n as usize)),
            Type::Jsonb => Strings::of(array).or_else(|| objects(array)).map(Column::Jsonb),
            Type::Bytea => Blobs::of(array).map(Column::Bytea),
            Type::Uuid => Blobs::of(array).map(Column::Uuid),
            Type::Date => Days::of(array).map(Column::Date),
            Type::Time => Micros::of_time(array).map(Column::Time),
            Type::Timestamp => Micros::of_timestamp(array).map(Column::Timestamp),
            Type::Timestamptz => Micros::of_timestamp(array).map(Column::Timestamptz),
            Type::Interval => Intervals::of(array).map(Column::Interval),
            Type::Array(item) => Items::of(item, array)?.map(Column::Array),
        };
        column.ok_or_else(|| {
            let storage = array.data_type();
            let message = format!("a column of type {data_type} cannot be read from {storage}");
            Error::new(ErrorKind::DatatypeMismatch, message)
        })
    }
}

fn runs<'a>(data_type: &Type, array: &'a dyn Array) -> Result<Column<'a>> {
    fn places<R: RunEndIndexType>(runs: &RunArray<R>) -> Vec<usize> {
        (0..runs.len()).map(|row| runs.get_physical_index(row)).collect()
    }
    downcast_run_array!(
        array => Ok(Column::Keyed(
            places(array),
            Box::new(Column::of(data_type, array.values().as_ref())?),
        )),
        other => Err(Error::new(ErrorKind::Internal, format!("runs of an unknown form: {other}")))
    )
}

/// The rows of an array column: ranges of another column.
pub(in crate::spec) struct Items<'a> {
    offsets: Offsets<'a>,
    nulls: Option<NullBuffer>,
    pub(in crate::spec) item: Type,
    pub(in crate::spec) column: Box<Column<'a>>,
}

enum Offsets<'a> {
    Small(&'a [i32]),
    Large(&'a [i64]),
    Fixed(usize),
}

impl<'a> Items<'a> {
    fn of(item: &Type, array: &'a dyn Array) -> Result<Option<Items<'a>>> {
        let (offsets, values) = match array.data_type() {
            DataType::List(_) => {
                let list = array.as_list::<i32>();
                (Offsets::Small(list.value_offsets()), list.values())
            }
            DataType::LargeList(_) => {
                let list = array.as_list::<i64>();
                (Offsets::Large(list.value_offsets()), list.values())
            }
            DataType::FixedSizeList(_, size) => {
                (Offsets::Fixed(*size as usize), array.as_fixed_size_list().values())
            }
            _ => return Ok(None),
        };
        let column = Box::new(Column::of(item, values.as_ref())?);
        Ok(Some(Items { offsets, nulls: values.logical_nulls(), item: item.clone(), column }))
    }

    /// Where the items of a row are in `column`.
    pub(in crate::spec) fn range(&self, row: usize) -> std::ops::Range<usize> {
        match self.offsets {
            Offsets::Small(o) => o[row] as usize..o[row + 1] as usize,
            Offsets::Large(o) => o[row] as usize..o[row + 1] as usize,
            Offsets::Fixed(size) => row * size..(row + 1) * size,
        }
    }

    pub(in crate::spec) fn is_null(&self, place: usize) -> bool {
        self.nulls.as_ref().is_some_and(|nulls| nulls.is_null(place))
    }
}
