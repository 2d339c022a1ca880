//! Rows into the segment order.

use arrow::record_batch::RecordBatch;

use crate::error::Result;
use crate::spec::TableSchema;

/// Sorts rows into the segment order: the clustering key, TIES (NULL first), then `_commit` and
/// `_row_id` where the batches have them behind the schema's columns; rows that are equal in all of
/// these stay in their order. Text by bytes, -0.0 as 0.0, NaN last.
pub fn sort_batches(_schema: &TableSchema, _batches: Vec<RecordBatch>) -> Result<Vec<RecordBatch>> {
    todo!()
}
