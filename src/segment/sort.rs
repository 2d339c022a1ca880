//! Rows into the segment order.

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::compute::interleave_record_batch;
use arrow::datatypes::{DataType, Int64Type, UInt64Type};
use arrow::record_batch::RecordBatch;

use crate::error::{Error, ErrorKind, Result};
use crate::spec::key::{Form, KeyEncoder, Keys, form, int_bits, int64};
use crate::spec::{TableSchema, Type};

/// Rows a sorted batch has.
const BATCH_ROWS: usize = 8192;

/// Sorts rows into the segment order: the clustering key, TIES (NULL first), then `_commit` and
/// `_row_id` where the batches have them behind the schema's columns; rows that are equal in all of
/// these stay in their order. Text by bytes, -0.0 as 0.0, NaN last. Rows that are in order already
/// come back in the batches they came in.
pub fn sort_batches(schema: &TableSchema, batches: Vec<RecordBatch>) -> Result<Vec<RecordBatch>> {
    let batches: Vec<RecordBatch> = batches.into_iter().filter(|b| b.num_rows() > 0).collect();
    let Some(first) = batches.first() else { return Ok(batches) };
    let rows: usize = batches.iter().map(RecordBatch::num_rows).sum();
    if u32::try_from(rows).is_err() {
        return Err(Error::new(ErrorKind::LimitExceeded, format!("{rows} rows in one segment")));
    }
    let columns = sort_columns(schema, first.num_columns());
    let sorted = match (columns.len(), all_ints(&columns, &batches)) {
        (0, _) => None,
        (1, true) => order_of(fixed_keys::<1>(&columns, &batches)?),
        (2, true) => order_of(fixed_keys::<2>(&columns, &batches)?),
        (3, true) => order_of(fixed_keys::<3>(&columns, &batches)?),
        (4, true) => order_of(fixed_keys::<4>(&columns, &batches)?),
        _ => {
            let keys = byte_keys(&columns, &batches)?;
            order_of(keys.iter().flat_map(Keys::iter).map(with_prefix).collect())
        }
    };
    match sorted {
        None => Ok(batches),
        Some(order) => gather(&batches, &order),
    }
}

/// The columns to sort by, by position, and their types.
pub(super) fn sort_columns(schema: &TableSchema, width: usize) -> Vec<(usize, Type)> {
    let order = schema.order();
    let visible = order.iter().filter_map(|id| schema.position(*id));
    let mut columns: Vec<_> = visible.map(|p| (p, schema.columns[p].data_type.clone())).collect();
    // Hidden columns: 64-bit counters, which never reach the sign bit.
    columns.extend((schema.columns.len()..width).map(|p| (p, Type::Int8)));
    columns
}

/// Whether every key column is a number of 64 bits at most without NULL: then keys are arrays of
/// integers instead of bytes.
fn all_ints(columns: &[(usize, Type)], batches: &[RecordBatch]) -> bool {
    columns.iter().all(|(position, data_type)| {
        form(data_type).is_some_and(Form::is_int)
            && batches.iter().all(|b| b.column(*position).null_count() == 0)
    })
}

fn fixed_keys<const N: usize>(
    columns: &[(usize, Type)],
    batches: &[RecordBatch],
) -> Result<Vec<[u64; N]>> {
    let mut keys = vec![[0; N]; batches.iter().map(RecordBatch::num_rows).sum()];
    let mut start = 0;
    for batch in batches {
        let rows = &mut keys[start..start + batch.num_rows()];
        for (k, (position, _)) in columns.iter().enumerate() {
            let array = batch.column(*position);
            if *array.data_type() == DataType::UInt64 {
                let values = array.as_primitive::<UInt64Type>().values();
                rows.iter_mut().zip(values).for_each(|(key, v)| key[k] = *v);
            } else {
                let array = int64(array).map_err(unsortable)?;
                let values = array.as_primitive::<Int64Type>().values();
                rows.iter_mut().zip(values).for_each(|(key, v)| key[k] = int_bits(*v));
            }
        }
        start += batch.num_rows();
    }
    Ok(keys)
}

fn byte_keys(columns: &[(usize, Type)], batches: &[RecordBatch]) -> Result<Vec<Keys>> {
    let types: Vec<Type> = columns.iter().map(|(_, t)| t.clone()).collect();
    let encoder = KeyEncoder::new(&types)?;
    let of = |batch: &RecordBatch| {
        let arrays: Vec<ArrayRef> = columns.iter().map(|(p, _)| batch.column(*p).clone()).collect();
        encoder.encode(&arrays)
    };
    batches.iter().map(of).collect()
}

/// Most comparisons end in the first bytes, which stay beside the key's address.
fn with_prefix(key: &[u8]) -> (u64, &[u8]) {
    let mut prefix = [0; 8];
    let bytes = key.len().min(8);
    prefix[..bytes].copy_from_slice(&key[..bytes]);
    (u64::from_be_bytes(prefix), key)
}

/// Row numbers in the order of their keys; None where they are in order already.
fn order_of<K: Ord>(keys: Vec<K>) -> Option<Vec<u32>> {
    if keys.is_sorted() {
        return None;
    }
    // The row number makes every key unique, so that an unstable sort is stable.
    let mut rows: Vec<(K, u32)> = keys.into_iter().zip(0..).collect();
    rows.sort_unstable();
    Some(rows.into_iter().map(|(_, row)| row).collect())
}

fn gather(batches: &[RecordBatch], order: &[u32]) -> Result<Vec<RecordBatch>> {
    let mut starts = Vec::with_capacity(batches.len());
    let mut rows = 0;
    for batch in batches {
        starts.push(rows);
        rows += batch.num_rows();
    }
    let sources: Vec<&RecordBatch> = batches.iter().collect();
    let locate = |row: &u32| {
        let row = *row as usize;
        let batch = starts.partition_point(|start| *start <= row) - 1;
        (batch, row - starts[batch])
    };
    let pick = |rows: &[u32]| {
        let indices: Vec<(usize, usize)> = rows.iter().map(locate).collect();
        interleave_record_batch(&sources, &indices).map_err(unsortable)
    };
    order.chunks(BATCH_ROWS).map(pick).collect()
}

fn unsortable(error: arrow::error::ArrowError) -> Error {
    Error::new(ErrorKind::Internal, "rows cannot be sorted").caused_by(error)
}
