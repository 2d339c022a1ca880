//! Columns in a file and columns as tables show them: field ids, hidden columns, types that Parquet
//! does not have.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, ListArray, make_array};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{DataType, Field, IntervalUnit, Schema, SchemaRef};
use arrow::error::ArrowError;
use parquet::arrow::PARQUET_FIELD_ID_META_KEY;

use crate::error::{Error, ErrorKind, Result};
use crate::spec::{ColumnId, RowIds, TableSchema};

/// The commit that wrote the row version.
pub const COMMIT_NAME: &str = "_commit";
/// The row's identity, kept through updates.
pub const ROW_ID_NAME: &str = "_row_id";
/// The row's position in its segment, counted from 0.
pub const POSITION_NAME: &str = "_position";

/// The commit that hid the row version: only in files of dead rows.
pub const UNTIL_NAME: &str = "_until";

/// The Parquet field id of `_commit`: Iceberg reserves it for the number of the change that last
/// touched the row, which is what a commit is.
pub const COMMIT_FIELD_ID: i32 = 2_147_483_539;
/// The Parquet field id of `_row_id`, as Iceberg reserves it.
pub const ROW_ID_FIELD_ID: i32 = 2_147_483_540;
/// The Parquet field id of `_until`, among those that Iceberg reserves and leaves free.
pub const UNTIL_FIELD_ID: i32 = 2_147_483_520;
/// Ids from here on are Iceberg's and ours; a table's columns stay below.
const RESERVED_FIELD_IDS: u64 = 2_147_483_447;

/// The Arrow schema of a file: the table's columns, then the hidden ones it stores.
pub(super) fn file_schema(
    schema: &TableSchema,
    row_ids: RowIds,
    commit_stored: bool,
    until_stored: bool,
) -> Result<SchemaRef> {
    let mut fields = Vec::with_capacity(schema.columns.len() + 3);
    for column in &schema.columns {
        let field = column.data_type.field(&column.name, !column.not_null);
        let stored = file_type(field.data_type());
        fields.push(with_id(field.with_data_type(stored), field_id(column.id)?));
    }
    if commit_stored {
        fields.push(with_id(Field::new(COMMIT_NAME, DataType::UInt64, false), COMMIT_FIELD_ID));
    }
    if row_ids == RowIds::Stored {
        fields.push(with_id(Field::new(ROW_ID_NAME, DataType::UInt64, false), ROW_ID_FIELD_ID));
    }
    if until_stored {
        fields.push(with_id(Field::new(UNTIL_NAME, DataType::UInt64, false), UNTIL_FIELD_ID));
    }
    Ok(Arc::new(Schema::new(fields)))
}

/// A column's id as a Parquet field id.
pub(super) fn field_id(column: ColumnId) -> Result<i32> {
    match i32::try_from(column.0) {
        Ok(id) if column.0 < RESERVED_FIELD_IDS => Ok(id),
        _ => Err(Error::new(
            ErrorKind::LimitExceeded,
            format!("column id {column} is too large for a segment"),
        )),
    }
}

fn with_id(field: Field, id: i32) -> Field {
    let mut metadata: HashMap<String, String> = field.metadata().clone();
    metadata.insert(PARQUET_FIELD_ID_META_KEY.to_owned(), id.to_string());
    field.with_metadata(metadata)
}

const INTERVAL: DataType = DataType::Interval(IntervalUnit::MonthDayNano);
/// An interval in a file: months and days as 32-bit, nanoseconds as 64-bit integers, little-endian.
const STORED_INTERVAL: DataType = DataType::FixedSizeBinary(16);

/// The type that a file has for an Arrow type.
fn file_type(data_type: &DataType) -> DataType {
    match data_type {
        &INTERVAL => STORED_INTERVAL,
        DataType::List(item) => {
            let stored = file_type(item.data_type());
            DataType::List(Arc::new(item.as_ref().clone().with_data_type(stored)))
        }
        other => other.clone(),
    }
}

/// An array as another type: what a table shows as what a file stores, and back; a narrower number
/// as a wider one. A value that does not fit is an error.
pub(super) fn convert(array: &ArrayRef, to: &DataType) -> Result<ArrayRef> {
    convert_arrow(array, to).map_err(|e| {
        let from = array.data_type();
        let what = format!("values of type {from} cannot be shown as {to}");
        Error::new(ErrorKind::DatatypeMismatch, what).caused_by(e)
    })
}

fn convert_arrow(array: &ArrayRef, to: &DataType) -> Result<ArrayRef, ArrowError> {
    match (array.data_type(), to) {
        (from, to) if from == to => Ok(array.clone()),
        (&INTERVAL, &STORED_INTERVAL) | (&STORED_INTERVAL, &INTERVAL) => reinterpret(array, to),
        (DataType::List(_), DataType::List(item)) => {
            let list = array.as_list::<i32>();
            let values = convert_arrow(list.values(), item.data_type())?;
            let (offsets, nulls) = (list.offsets().clone(), list.nulls().cloned());
            Ok(Arc::new(ListArray::try_new(item.clone(), offsets, values, nulls)?))
        }
        _ => cast_with_options(array, to, &CastOptions { safe: false, ..Default::default() }),
    }
}

#[cfg(not(target_endian = "little"))]
compile_error!("intervals are stored in the byte order of their memory, which is little-endian");

/// The same 16 bytes a value under another type.
fn reinterpret(array: &ArrayRef, to: &DataType) -> Result<ArrayRef, ArrowError> {
    let data = array.to_data().into_builder().data_type(to.clone()).align_buffers(true);
    Ok(make_array(data.build()?))
}

/// Whether casting keeps the order, so that bounds may be cast like values.
pub(super) fn keeps_order(from: &DataType, to: &DataType) -> bool {
    use DataType::{Date32, Decimal128, Float32, Float64, Int16, Int32, Int64, Timestamp};
    match (from, to) {
        (from, to) if from == to => true,
        (Int16, Int32 | Int64) | (Int32, Int64) | (Float32, Float64) => true,
        (Int16 | Int32 | Int64, Decimal128(_, scale)) => *scale >= 0,
        (Decimal128(_, from), Decimal128(_, to)) => to >= from,
        (Date32, Timestamp(_, None)) => true,
        _ => false,
    }
}
