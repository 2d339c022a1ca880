//! Inline batches: rows of a small write, as one Arrow IPC record batch without its schema.
//!
//! ```text
//! record = version, schema id, row ids (first, or one each), IPC message, IPC body
//! ```
//! The schema is named, not repeated: a one-row write would otherwise be mostly schema.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, RecordBatch};
use arrow::buffer::Buffer;
use arrow::datatypes::{DataType, SchemaRef};
use arrow::ipc::reader::read_record_batch;
use arrow::ipc::writer::{DictionaryTracker, IpcDataGenerator, IpcWriteContext, IpcWriteOptions};
use arrow::ipc::{MetadataVersion, root_as_message};

use crate::error::{Error, ErrorKind, Result};
use crate::spec::codec::{Reader, Writer};
use crate::spec::{RowId, SchemaId};

const WHAT: &str = "inline batch";

/// The rows one commit wrote inline into one table.
#[derive(Clone, Debug)]
pub struct InlineRows {
    /// The shape the columns have.
    pub schema: SchemaId,
    /// The `_row_id` of each row.
    pub row_ids: Vec<RowId>,
    /// The visible columns, in the order of that shape.
    pub batch: RecordBatch,
}

impl InlineRows {
    /// The bytes the log keeps.
    pub fn encode(&self) -> Result<Vec<u8>> {
        let options = IpcWriteOptions::try_new(8, false, MetadataVersion::V5).map_err(encoding)?;
        let columns: Vec<ArrayRef> = self.batch.columns().iter().map(compact).collect();
        let batch = RecordBatch::try_new_with_options(
            self.batch.schema(),
            columns,
            &arrow::array::RecordBatchOptions::new().with_row_count(Some(self.row_ids.len())),
        )
        .map_err(encoding)?;
        let (_, encoded) = IpcDataGenerator::default()
            .encode(
                &batch,
                &mut DictionaryTracker::new(false),
                &options,
                &mut IpcWriteContext::default(),
            )
            .map_err(encoding)?;
        let mut w = Writer::new(1);
        w.u64(self.schema.0);
        match sequence(&self.row_ids) {
            Some(first) => {
                w.bool(true);
                w.u64(first.0);
                w.u64(self.row_ids.len() as u64);
            }
            None => {
                w.bool(false);
                w.list(&self.row_ids, |w, id| w.u64(id.0));
            }
        }
        w.bytes(&encoded.ipc_message);
        w.bytes(&encoded.arrow_data);
        Ok(w.finish())
    }

    /// Reads the rows back. `shape` finds the Arrow schema of a shape.
    pub fn decode(
        bytes: &[u8],
        shape: impl FnOnce(SchemaId) -> Result<SchemaRef>,
    ) -> Result<InlineRows> {
        let mut r = Reader::open_version(bytes, WHAT, 1)?;
        let schema = SchemaId(r.u64()?);
        let row_ids = if r.bool()? {
            let first = r.u64()?;
            let count = r.u64()?;
            let end = first.checked_add(count).ok_or_else(|| r.corrupt("has row ids too large"))?;
            (first..end).map(RowId).collect()
        } else {
            r.list(|r| Ok(RowId(r.u64()?)))?
        };
        let message = r.bytes()?;
        let body = Buffer::from(r.bytes()?);
        let message = root_as_message(message).map_err(|e| damaged(e.to_string()))?;
        let header =
            message.header_as_record_batch().ok_or_else(|| damaged("not a record batch".into()))?;
        let version = message.version();
        let batch =
            read_record_batch(&body, header, shape(schema)?, &HashMap::new(), None, &version)
                .map_err(|e| damaged(e.to_string()))?;
        if batch.num_rows() != row_ids.len() {
            return Err(damaged("rows and row ids differ in number".into()));
        }
        Ok(InlineRows { schema, row_ids, batch })
    }
}

/// View arrays keep whole buffers alive that a few rows of them point into.
fn compact(array: &ArrayRef) -> ArrayRef {
    match array.data_type() {
        DataType::Utf8View => Arc::new(array.as_string_view().gc()),
        DataType::BinaryView => Arc::new(array.as_binary_view().gc()),
        _ => Arc::clone(array),
    }
}

fn sequence(ids: &[RowId]) -> Option<RowId> {
    let first = *ids.first()?;
    let counts_up = ids.iter().enumerate().all(|(i, id)| id.0 == first.0 + i as u64);
    counts_up.then_some(first)
}

fn encoding(cause: arrow::error::ArrowError) -> Error {
    Error::new(ErrorKind::Internal, "rows could not be encoded").caused_by(cause)
}

fn damaged(why: String) -> Error {
    Error::new(ErrorKind::Corrupt, format!("an inline batch is damaged: {why}"))
        .hint("run asofdb check, and restore the folder from a backup")
}

#[cfg(test)]
mod tests {
    use arrow::array::{Int64Array, StringViewArray};
    use arrow::datatypes::{Field, Schema};

    use super::*;

    #[test]
    fn rows_come_back_and_slices_stay_small() {
        let schema = Arc::new(Schema::new(vec![
            Field::new("k", DataType::Int64, false),
            Field::new("v", DataType::Utf8View, true),
        ]));
        let texts: Vec<String> =
            (0..1000).map(|i| format!("a text longer than a view {i}")).collect();
        let columns: Vec<ArrayRef> = vec![
            Arc::new(Int64Array::from_iter_values(0..1000)),
            Arc::new(StringViewArray::from_iter_values(&texts)),
        ];
        let whole = RecordBatch::try_new(Arc::clone(&schema), columns).unwrap();
        for ids in [vec![RowId(7), RowId(8)], vec![RowId(9), RowId(3)]] {
            let rows = InlineRows { schema: SchemaId(4), row_ids: ids, batch: whole.slice(500, 2) };
            let bytes = rows.encode().unwrap();
            assert!(bytes.len() < 600, "{} bytes for two rows", bytes.len());
            let back = InlineRows::decode(&bytes, |_| Ok(Arc::clone(&schema))).unwrap();
            assert_eq!((back.schema, &back.row_ids), (rows.schema, &rows.row_ids));
            assert_eq!(back.batch, rows.batch);
        }
    }
}
