//! Point look-ups: the living rows of a few keys, by key map, filter and page index, no plan.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, UInt64Array};
use arrow::compute::{concat_batches, take_record_batch};
use arrow::datatypes::SchemaRef;

use super::keys::KeyBatch;
use super::table::{Table, UNCOMMITTED, hidden_columns, internal};
use crate::error::{Error, ErrorKind, Result};
use crate::segment::Projection;
use crate::spec::{ColumnId, CommitId, LineRange, RowId};

impl Table {
    /// The living rows that have one of these primary keys, with these columns (positions in the
    /// table's order). At most one row a key; rows come in no promised order.
    pub fn find(&self, keys: &KeyBatch, columns: &[usize]) -> Result<RecordBatch> {
        let schema = Arc::new(self.schema.arrow().project(columns).map_err(internal)?);
        let mut found = Vec::new();
        let Some(key) = self.schema.primary_key.as_ref().filter(|key| key.enforced) else {
            let message = format!("table \"{}\" has no enforced primary key", self.schema.name);
            return Err(Error::new(ErrorKind::Internal, message));
        };
        let inline = self.inline_keys()?.of(0);
        let mut missing = 0;
        for encoded in keys.encoded.iter() {
            let named = inline.and_then(|keys| keys.get(encoded));
            match named.filter(|(commit, row)| !self.deletes.hides(*row, *commit)) {
                Some((commit, row)) => {
                    found.extend(self.inline_row(commit, row, columns, &schema)?);
                }
                None => missing += 1,
            }
        }
        // Newest first: that is where the rows asked for most often lie.
        for segment in self.segments.iter().rev() {
            if missing == 0 {
                break;
            }
            let mut positions: Vec<u64> = self
                .positions_of(&self.schema, segment, &key.columns, keys)?
                .into_iter()
                .map(|(_, p)| p)
                .collect();
            if positions.is_empty() {
                continue;
            }
            positions.sort_unstable();
            missing -= positions.len().min(missing);
            let ids: Vec<ColumnId> = columns.iter().map(|i| self.schema.columns[*i].id).collect();
            let projection = Projection::new(Arc::clone(&self.schema), ids);
            let rows = self.store.open_segment(&segment.meta)?.take(&projection, &positions)?;
            let columns: Vec<ArrayRef> = rows.columns().to_vec();
            found.push(RecordBatch::try_new(Arc::clone(&schema), columns).map_err(internal)?);
        }
        match found.len() {
            1 => Ok(found.remove(0)),
            _ => concat_batches(&schema, &found).map_err(internal),
        }
    }

    fn inline_row(
        &self,
        commit: CommitId,
        row: RowId,
        columns: &[usize],
        schema: &SchemaRef,
    ) -> Result<Option<RecordBatch>> {
        for batch in self.inline_batches_of(commit)? {
            let ids = hidden_columns(&batch).1.values();
            if let Some(at) = ids.iter().position(|id| *id == row.0) {
                let picked = batch.project(columns).map_err(internal)?;
                let at = UInt64Array::from(vec![at as u64]);
                let picked = take_record_batch(&picked, &at).map_err(internal)?;
                let columns: Vec<ArrayRef> = picked.columns().to_vec();
                return RecordBatch::try_new(Arc::clone(schema), columns)
                    .map(Some)
                    .map_err(internal);
            }
        }
        Ok(None)
    }

    pub(super) fn inline_batches_of(&self, commit: CommitId) -> Result<Vec<RecordBatch>> {
        if commit == UNCOMMITTED {
            let stored = |rows| self.store.stored_batch(&self.schema, rows, UNCOMMITTED);
            return self.pending.iter().map(stored).collect();
        }
        let mut batches = Vec::new();
        for range in self.record.iter().flat_map(|record| &record.ranges) {
            if (range.from..=range.to).contains(&commit) {
                // Asking for the full range first keeps the cached run whole.
                self.store.inline_run(self.lines_of, &self.schema, range)?;
                let one = LineRange { from: commit, to: commit, ..*range };
                batches.extend(self.store.inline_run(self.lines_of, &self.schema, &one)?);
            }
        }
        Ok(batches)
    }
}
