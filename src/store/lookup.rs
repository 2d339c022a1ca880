//! Point look-ups: the living rows of a few keys, by key map, filter and page index, no plan.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, UInt64Array};
use arrow::compute::{concat_batches, take_record_batch};
use arrow::datatypes::SchemaRef;

use super::folded::split;
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
        // The map before the files: a row that is folded in between is in both, not in neither.
        let inline = self.inline_keys()?.of(0);
        let mut missing = Vec::new();
        for (at, encoded) in keys.encoded.iter().enumerate() {
            let named = inline.and_then(|keys| keys.get(encoded));
            let known = named.filter(|(commit, row)| !self.deletes.hides(*row, *commit));
            let row = match known {
                Some((commit, row)) => self.inline_row(commit, row, columns, &schema)?,
                None => None,
            };
            match row {
                Some(row) => found.push(row),
                None => missing.push(at as u64),
            }
        }
        if !missing.is_empty() {
            self.find_in_files(&key.columns, keys.only(&missing)?, columns, &schema, &mut found)?;
        }
        match found.len() {
            1 => Ok(found.remove(0)),
            _ => concat_batches(&schema, &found).map_err(internal),
        }
    }

    fn find_in_files(
        &self,
        key: &[ColumnId],
        keys: KeyBatch,
        columns: &[usize],
        schema: &SchemaRef,
        found: &mut Vec<RecordBatch>,
    ) -> Result<()> {
        let mut missing = keys.len();
        let folded = self.folded()?;
        // Newest first: that is where the rows asked for most often lie.
        for segment in folded.files.iter().rev().chain(self.segments.iter().rev()) {
            if missing == 0 {
                break;
            }
            let mut positions: Vec<u64> = self
                .positions_of(&self.schema, segment, key, &keys)?
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
            found.push(RecordBatch::try_new(Arc::clone(schema), columns).map_err(internal)?);
        }
        Ok(())
    }

    /// A row of the log; None where it lies in a file by now.
    fn inline_row(
        &self,
        commit: CommitId,
        row: RowId,
        columns: &[usize],
        schema: &SchemaRef,
    ) -> Result<Option<RecordBatch>> {
        for batch in self.inline_batches_of(commit)? {
            let (commits, ids) = hidden_columns(&batch);
            let is_it = |at: &usize| ids.value(*at) == row.0 && commits.value(*at) == commit.0;
            if let Some(at) = (0..batch.num_rows()).find(is_it) {
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
        for range in self.ranges() {
            if (range.from..=range.to).contains(&commit) {
                let one = LineRange { from: commit, to: commit, ..*range };
                let (_, gaps) =
                    split(&one, &self.store.shared.folds.of_line(self.lines_of, one.line));
                batches.extend(match self.store.known_rows(self.lines_of, &self.schema, &gaps) {
                    Some(rows) => rows,
                    // Asking for the full range keeps the cached run whole.
                    None => self.store.lay(self, range)?.rows,
                });
            }
        }
        Ok(batches)
    }
}
