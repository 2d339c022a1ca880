//! Bounds of the columns of a whole file, for the log.

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{DataType, Float32Type, Float64Type, SchemaRef};
use arrow::record_batch::RecordBatch;
use parquet::arrow::arrow_reader::statistics::StatisticsConverter;

use super::super::blocks::parquet_error;
use super::super::columns::field_id;
use super::super::order::comparator;
use super::super::read::layout::{FileColumn, Layout};
use super::encoding::BOUND_BYTES;
use crate::error::{Error, ErrorKind, Result};
use crate::spec::{Column, ColumnStatistics, TableSchema, Value};

/// What Parquet's own statistics do not tell: whether a float column has a NaN (they leave it out),
/// whether a text column has values longer than its bounds may be.
pub(super) struct Facts {
    columns: Vec<Fact>,
}

struct Fact {
    field_id: String,
    nan: bool,
    long: bool,
}

impl Facts {
    pub fn new(schema: &SchemaRef) -> Facts {
        let id = |field: &arrow::datatypes::FieldRef| {
            field.metadata().get(parquet::arrow::PARQUET_FIELD_ID_META_KEY).cloned()
        };
        let fact =
            |field| Fact { field_id: id(field).unwrap_or_default(), nan: false, long: false };
        Facts { columns: schema.fields().iter().map(fact).collect() }
    }

    pub fn add(&mut self, batch: &RecordBatch) {
        for (fact, array) in self.columns.iter_mut().zip(batch.columns()) {
            fact.nan |= has_nan(array);
            fact.long |= longest(array) > BOUND_BYTES;
        }
    }

    /// The field ids of the columns with long values, separated by commas.
    pub fn long_columns(&self) -> String {
        let long = self.columns.iter().filter(|f| f.long);
        long.map(|f| f.field_id.as_str()).collect::<Vec<_>>().join(",")
    }

    /// The statistics of every column that has an order.
    pub fn statistics(
        &self,
        schema: &TableSchema,
        layout: &Layout,
    ) -> Result<Vec<ColumnStatistics>> {
        let ordered = schema.columns.iter().zip(&self.columns);
        let ordered = ordered.filter(|(column, _)| column.data_type.is_ordered());
        ordered.map(|(column, fact)| of_column(column, fact, layout)).collect()
    }
}

fn of_column(column: &Column, fact: &Fact, layout: &Layout) -> Result<ColumnStatistics> {
    let missing =
        || Error::new(ErrorKind::Internal, format!("column \"{}\" was not written", column.name));
    let file = layout.column(field_id(column.id)?).ok_or_else(missing)?;
    let chunks = Chunks::read(file, layout)?;
    let (mut min, mut min_exact) = chunks.extreme(&chunks.min, &chunks.min_exact, false)?;
    let (mut max, mut max_exact) = chunks.extreme(&chunks.max, &chunks.max_exact, true)?;
    if fact.nan {
        // All values but NaN may be absent; then NaN is the least as well.
        min_exact |= min.is_none();
        min = min.or(Some(Value::Float(f64::NAN)));
        (max, max_exact) = (Some(Value::Float(f64::NAN)), true);
    }
    if chunks.nulls < layout.rows && (min.is_none() || max.is_none()) {
        let what = format!("column \"{}\" was written without bounds", column.name);
        return Err(Error::new(ErrorKind::Internal, what));
    }
    let exact = min.is_none() || (min_exact && max_exact);
    Ok(ColumnStatistics { column: column.id, nulls: chunks.nulls, min, max, exact })
}

/// Parquet's statistics of one column, one row group a row.
struct Chunks {
    min: ArrayRef,
    max: ArrayRef,
    min_exact: Vec<bool>,
    max_exact: Vec<bool>,
    nulls: u64,
}

impl Chunks {
    fn read(file: &FileColumn, layout: &Layout) -> Result<Chunks> {
        let groups = || layout.metadata.row_groups().iter();
        let schema = layout.metadata.file_metadata().schema_descr();
        let error = |e| parquet_error(&layout.name, e);
        let converter = StatisticsConverter::from_column_index(file.leaf, &file.field, schema)
            .map_err(error)?;
        let flags = |array: &arrow::array::BooleanArray| {
            array.iter().map(|flag| flag.unwrap_or(false)).collect()
        };
        let nulls = converter.row_group_null_counts(groups()).map_err(error)?;
        Ok(Chunks {
            min: converter.row_group_mins(groups()).map_err(error)?,
            max: converter.row_group_maxes(groups()).map_err(error)?,
            min_exact: flags(&converter.row_group_is_min_value_exact(groups()).map_err(error)?),
            max_exact: flags(&converter.row_group_is_max_value_exact(groups()).map_err(error)?),
            nulls: nulls.iter().flatten().sum(),
        })
    }

    /// The least or the greatest of the bounds, and whether it occurs.
    fn extreme(
        &self,
        bounds: &ArrayRef,
        exact: &[bool],
        greatest: bool,
    ) -> Result<(Option<Value>, bool)> {
        let compare = comparator(bounds, bounds)?;
        let known = (0..bounds.len()).filter(|row| !bounds.is_null(*row));
        let row = match greatest {
            true => known.max_by(|a, b| compare(*a, *b)),
            false => known.min_by(|a, b| compare(*a, *b)),
        };
        Ok((row.and_then(|r| Value::from_array(bounds, r)), row.is_some_and(|r| exact[r])))
    }
}

fn has_nan(array: &ArrayRef) -> bool {
    match array.data_type() {
        DataType::Float32 => array.as_primitive::<Float32Type>().iter().flatten().any(f32::is_nan),
        DataType::Float64 => array.as_primitive::<Float64Type>().iter().flatten().any(f64::is_nan),
        _ => false,
    }
}

fn longest(array: &ArrayRef) -> usize {
    let longest = match array.data_type() {
        DataType::Utf8View => array.as_string_view().lengths().max(),
        DataType::BinaryView => array.as_binary_view().lengths().max(),
        _ => None,
    };
    longest.unwrap_or(0) as usize
}
