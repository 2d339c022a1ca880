//! Page rows and encodings, decided from the first rows of a file.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{DataType, SchemaRef};
use arrow::record_batch::RecordBatch;
use parquet::arrow::ArrowSchemaConverter;
use parquet::basic::{Compression, Encoding, Type as PhysicalType, ZstdLevel};
use parquet::file::metadata::SortingColumn;
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterVersion};

use crate::error::{Error, ErrorKind, Result};
use crate::spec::Value;

/// The widest column's page fits this, where pages of 512 rows can.
const PAGE_BYTES: usize = 1 << 20;
const PAGE_ROWS_MIN: usize = 512;
/// Out of reach: pages are cut by rows only, dictionaries are never given up half-way.
const NO_LIMIT: usize = 1 << 40;
/// Values of each column that are looked at before its encoding is chosen.
const SAMPLE_ROWS: usize = 4096;
/// Bounds in the file are cut to so many bytes; columns with longer values are marked.
pub(super) const BOUND_BYTES: usize = 64;

/// Bytes of the values of an array, as a page holds them before compression.
pub(super) fn value_bytes(array: &dyn Array) -> usize {
    match array.data_type() {
        DataType::Utf8View => array.as_string_view().lengths().map(|l| l as usize + 4).sum(),
        DataType::BinaryView => array.as_binary_view().lengths().map(|l| l as usize + 4).sum(),
        DataType::List(_) => {
            let list = array.as_list::<i32>();
            let offsets = list.offsets();
            let (start, end) = (offsets[0] as usize, offsets[offsets.len() - 1] as usize);
            value_bytes(&list.values().slice(start, end - start)) + list.len()
        }
        DataType::FixedSizeBinary(size) => array.len() * *size as usize,
        DataType::Boolean => array.len().div_ceil(8),
        other => array.len() * other.primitive_width().unwrap_or(16),
    }
}

/// Rows a page: `most`, halved until every page of the sample fits.
pub(super) fn page_rows(sample: &[RecordBatch], most: usize) -> usize {
    let mut rows = most.max(PAGE_ROWS_MIN);
    while rows / 2 >= PAGE_ROWS_MIN && !sample.iter().all(|batch| fits(batch, rows)) {
        rows /= 2;
    }
    rows
}

fn fits(batch: &RecordBatch, page_rows: usize) -> bool {
    let page_fits = |column: &ArrayRef, start: usize| {
        let rows = page_rows.min(column.len() - start);
        value_bytes(&column.slice(start, rows)) <= PAGE_BYTES
    };
    let column_fits =
        |column: &ArrayRef| (0..column.len()).step_by(page_rows).all(|s| page_fits(column, s));
    batch.columns().iter().all(column_fits)
}

/// What the properties of Parquet's writer are made of.
pub(super) struct Properties<'a> {
    pub level: i32,
    pub page_rows: usize,
    pub group_rows: usize,
    /// Positions of the columns that rows are sorted by.
    pub sorted: &'a [usize],
}

impl Properties<'_> {
    pub fn build(&self, schema: &SchemaRef, sample: &[RecordBatch]) -> Result<WriterProperties> {
        let refused =
            |e| Error::new(ErrorKind::InvalidValue, "cannot write Parquet so").caused_by(e);
        let level = ZstdLevel::try_new(self.level).map_err(refused)?;
        let leaves = ArrowSchemaConverter::new().convert(schema).map_err(refused)?;
        let mut builder = WriterProperties::builder()
            .set_writer_version(WriterVersion::PARQUET_2_0)
            .set_created_by(format!("asofdb version {}", env!("CARGO_PKG_VERSION")))
            .set_compression(Compression::ZSTD(level))
            .set_statistics_enabled(EnabledStatistics::Page)
            .set_column_index_truncate_length(Some(BOUND_BYTES))
            .set_statistics_truncate_length(Some(BOUND_BYTES))
            .set_write_batch_size(self.page_rows)
            .set_data_page_row_count_limit(self.page_rows)
            .set_data_page_size_limit(NO_LIMIT)
            .set_dictionary_page_size_limit(NO_LIMIT)
            .set_max_row_group_row_count(Some(self.group_rows))
            .set_max_row_group_bytes(None);
        let mut sorting = Vec::new();
        for (leaf, column) in leaves.columns().iter().enumerate() {
            let root = leaves.get_column_root_idx(leaf);
            let dictionary = repeats(&sampled(sample, root));
            let plain = match column.physical_type() {
                PhysicalType::INT32 | PhysicalType::INT64 => Encoding::DELTA_BINARY_PACKED,
                PhysicalType::BOOLEAN => Encoding::RLE,
                _ => Encoding::PLAIN,
            };
            builder = builder
                .set_column_dictionary_enabled(column.path().clone(), dictionary)
                .set_column_encoding(column.path().clone(), plain);
            if self.sorted.contains(&root) {
                sorting.push((root, leaf as i32));
            }
        }
        let of = |root: &usize| sorting.iter().find(|(r, _)| r == root).map(|(_, leaf)| *leaf);
        let columns = self.sorted.iter().filter_map(of);
        let sorting: Vec<SortingColumn> = columns
            .map(|column_idx| SortingColumn { column_idx, descending: false, nulls_first: true })
            .collect();
        Ok(builder.set_sorting_columns((!sorting.is_empty()).then_some(sorting)).build())
    }
}

/// Values of one column, taken evenly from the rows at hand; the items where it is a list.
fn sampled(batches: &[RecordBatch], column: usize) -> Vec<Value> {
    let items = |batch: &RecordBatch| -> ArrayRef {
        let array = batch.column(column);
        match array.data_type() {
            DataType::List(_) => array.as_list::<i32>().values().clone(),
            _ => Arc::clone(array),
        }
    };
    let arrays: Vec<ArrayRef> = batches.iter().map(items).collect();
    let rows: usize = arrays.iter().map(|a| a.len()).sum();
    let step = rows.div_ceil(SAMPLE_ROWS).max(1);
    let of = |a: &ArrayRef| -> Vec<Value> {
        (0..a.len()).step_by(step).filter_map(|row| Value::from_array(a, row)).collect()
    };
    arrays.iter().flat_map(of).collect()
}

/// Whether a dictionary pays: for texts where values come several times, for numbers where they are
/// so few that their codes are much shorter than they.
fn repeats(sample: &[Value]) -> bool {
    let distinct: HashSet<u64> = sample.iter().map(value_hash).collect();
    match sample.first() {
        None | Some(Value::Bool(_)) => false,
        Some(Value::Bytes(_)) => distinct.len() * 4 <= sample.len(),
        Some(_) => distinct.len() <= 256 && distinct.len() * 16 <= sample.len(),
    }
}

fn value_hash(value: &Value) -> u64 {
    let mut hasher = DefaultHasher::new();
    match value {
        Value::Bool(v) => v.hash(&mut hasher),
        Value::Int(v) => v.hash(&mut hasher),
        Value::Float(v) => v.to_bits().hash(&mut hasher),
        Value::Decimal(v) => v.hash(&mut hasher),
        Value::Bytes(v) => v.hash(&mut hasher),
    }
    hasher.finish()
}
