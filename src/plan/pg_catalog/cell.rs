//! One value on its way into a system table or out of a function, and the Arrow arrays it becomes.

use std::sync::Arc;

use arrow::array::{
    ArrayBuilder, ArrayRef, BooleanBuilder, Date32Builder, Decimal128Builder, Float32Builder,
    Float64Builder, Int16Builder, Int32Builder, Int64Builder, IntervalMonthDayNanoBuilder,
    ListBuilder, StringViewBuilder, Time64MicrosecondBuilder, TimestampMicrosecondBuilder,
    UInt32Builder, new_null_array,
};
use arrow::datatypes::{DataType, IntervalMonthDayNano, IntervalUnit, TimeUnit};

use crate::error::{Error, ErrorKind, Result};

/// A value, without the width of its type.
#[derive(Clone, Debug, PartialEq)]
pub enum Cell {
    /// NULL of any type.
    Null,
    /// boolean
    Bool(bool),
    /// Integers, oids, days of a date, µs of a time or a timestamp.
    Int(i64),
    /// real and double precision
    Float(f64),
    /// text, name and "char"
    Text(String),
    /// months, days, nanoseconds
    Interval(i32, i32, i64),
    /// An array of text.
    Texts(Vec<String>),
    /// An array of integers or oids.
    Ints(Vec<i64>),
}

macro_rules! cell_from {
    ($($from:ty => $arm:ident($convert:expr)),+ $(,)?) => {$(
        impl From<$from> for Cell {
            fn from(value: $from) -> Cell {
                Cell::$arm($convert(value))
            }
        }
    )+};
}

cell_from! {
    bool => Bool(|v| v),
    i64 => Int(|v| v),
    i32 => Int(i64::from),
    i16 => Int(i64::from),
    u32 => Int(i64::from),
    f64 => Float(|v| v),
    String => Text(|v| v),
    &String => Text(String::clone),
    &str => Text(str::to_owned),
    char => Text(String::from),
    Vec<String> => Texts(|v| v),
    Vec<i64> => Ints(|v| v),
}

impl<T: Into<Cell>> From<Option<T>> for Cell {
    fn from(value: Option<T>) -> Cell {
        value.map_or(Cell::Null, Into::into)
    }
}

macro_rules! fill {
    ($builder:expr, $cells:expr, $arm:pat => $value:expr) => {{
        let mut builder = $builder;
        for cell in $cells {
            match cell {
                $arm => builder.append_value($value),
                _ => builder.append_null(),
            }
        }
        Arc::new(builder.finish()) as ArrayRef
    }};
}

/// An array of `data_type`. A cell that is not of its kind becomes NULL, so every caller's cells
/// must be of the kind of their column.
///
/// # Errors
/// `Internal` for a type that no system table and no function has.
pub fn array(data_type: &DataType, cells: &[Cell]) -> Result<ArrayRef> {
    Ok(match data_type {
        // No system table that we fill has bytes.
        DataType::Null | DataType::BinaryView => new_null_array(data_type, cells.len()),
        DataType::Boolean => fill!(BooleanBuilder::new(), cells, Cell::Bool(v) => *v),
        DataType::Int16 => fill!(Int16Builder::new(), cells, Cell::Int(v) => *v as i16),
        DataType::Int32 => fill!(Int32Builder::new(), cells, Cell::Int(v) => *v as i32),
        DataType::UInt32 => fill!(UInt32Builder::new(), cells, Cell::Int(v) => *v as u32),
        DataType::Int64 => fill!(Int64Builder::new(), cells, Cell::Int(v) => *v),
        DataType::Float32 => fill!(Float32Builder::new(), cells, Cell::Float(v) => *v as f32),
        DataType::Float64 => fill!(Float64Builder::new(), cells, Cell::Float(v) => *v),
        DataType::Utf8View => fill!(StringViewBuilder::new(), cells, Cell::Text(v) => v),
        DataType::Date32 => fill!(Date32Builder::new(), cells, Cell::Int(v) => *v as i32),
        DataType::Time64(TimeUnit::Microsecond) => {
            fill!(Time64MicrosecondBuilder::new(), cells, Cell::Int(v) => *v)
        }
        DataType::Decimal128(_, _) => {
            let builder = Decimal128Builder::new().with_data_type(data_type.clone());
            fill!(builder, cells, Cell::Int(v) => i128::from(*v))
        }
        DataType::Timestamp(TimeUnit::Microsecond, zone) => {
            let builder = TimestampMicrosecondBuilder::new().with_timezone_opt(zone.clone());
            fill!(builder, cells, Cell::Int(v) => *v)
        }
        DataType::Interval(IntervalUnit::MonthDayNano) => {
            let builder = IntervalMonthDayNanoBuilder::new();
            fill!(builder, cells,
                Cell::Interval(months, days, nanos) => IntervalMonthDayNano::new(*months, *days, *nanos))
        }
        DataType::List(item) => list(item.data_type(), cells)?,
        other => {
            return Err(Error::new(
                ErrorKind::Internal,
                format!("no cells make an array of {other}"),
            ));
        }
    })
}

fn list(item: &DataType, cells: &[Cell]) -> Result<ArrayRef> {
    match item {
        DataType::Utf8View => Ok(fill_list(StringViewBuilder::new(), cells, |builder, cell| {
            if let Cell::Texts(values) = cell {
                values.iter().for_each(|v| builder.append_value(v));
            }
        })),
        DataType::Int16 => Ok(fill_list(Int16Builder::new(), cells, |builder, cell| {
            ints(cell).iter().for_each(|v| builder.append_value(*v as i16));
        })),
        DataType::Int32 => Ok(fill_list(Int32Builder::new(), cells, |builder, cell| {
            ints(cell).iter().for_each(|v| builder.append_value(*v as i32));
        })),
        DataType::Int64 => Ok(fill_list(Int64Builder::new(), cells, |builder, cell| {
            ints(cell).iter().for_each(|v| builder.append_value(*v));
        })),
        DataType::UInt32 => Ok(fill_list(UInt32Builder::new(), cells, |builder, cell| {
            ints(cell).iter().for_each(|v| builder.append_value(*v as u32));
        })),
        DataType::Float32 => Ok(fill_list(Float32Builder::new(), cells, |_, _| ())),
        DataType::Float64 => Ok(fill_list(Float64Builder::new(), cells, |_, _| ())),
        DataType::Boolean => Ok(fill_list(BooleanBuilder::new(), cells, |_, _| ())),
        other => Err(Error::new(ErrorKind::Internal, format!("no cells make a list of {other}"))),
    }
}

fn ints(cell: &Cell) -> &[i64] {
    match cell {
        Cell::Ints(values) => values,
        _ => &[],
    }
}

fn fill_list<B: ArrayBuilder>(
    values: B,
    cells: &[Cell],
    mut append: impl FnMut(&mut B, &Cell),
) -> ArrayRef {
    let mut builder = ListBuilder::new(values);
    for cell in cells {
        append(builder.values(), cell);
        builder.append(matches!(cell, Cell::Texts(_) | Cell::Ints(_)));
    }
    Arc::new(builder.finish())
}
