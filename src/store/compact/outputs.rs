//! What a compaction writes: files of living rows, and files of dead ones.

use std::sync::Arc;

use arrow::array::{AsArray, BooleanArray, RecordBatch};
use arrow::compute::filter_record_batch;
use arrow::datatypes::UInt64Type;

use super::ends::{FORGOTTEN, LIVES};
use crate::error::Result;
use crate::segment::{Merge, SegmentOptions, SegmentSpec, SegmentWriter};
use crate::spec::{
    CommitId, RetiredEntry, RowIds, SegmentEntry, SegmentId, SegmentMeta, TableSchema,
};
use crate::store::table::internal;
use crate::store::{Store, collect};

/// Positions are 32-bit; half of that leaves room.
const ROWS_MAX: u64 = 1 << 31;

/// The new files of one compaction.
pub(super) struct Outputs<'a> {
    store: &'a Store,
    schema: Arc<TableSchema>,
    file_rows: u64,
    file_bytes: u64,
    pub added: Vec<(Arc<SegmentMeta>, SegmentEntry)>,
    pub history: Vec<(Arc<SegmentMeta>, RetiredEntry)>,
}

/// A file that is being written.
struct Growing {
    writer: SegmentWriter,
    /// The newest commit and the last end of its rows.
    commit: u64,
    until: u64,
}

impl<'a> Outputs<'a> {
    /// Files of about so many bytes, of rows of about so many.
    pub fn new(
        store: &'a Store,
        schema: &Arc<TableSchema>,
        target_bytes: u64,
        row_bytes: u64,
    ) -> Outputs<'a> {
        Outputs {
            store,
            schema: Arc::clone(schema),
            file_rows: (target_bytes / row_bytes).clamp(1, ROWS_MAX),
            file_bytes: target_bytes,
            added: Vec::new(),
            history: Vec::new(),
        }
    }

    /// Writes rows in the segment order, which end in `_commit`, `_row_id` and `_until`.
    pub fn write(&mut self, rows: Merge, since: Option<CommitId>, floor: CommitId) -> Result<()> {
        let (mut living, mut dead) = (None, None);
        for batch in rows {
            let batch = batch?;
            let ends = batch.column(batch.num_columns() - 1).as_primitive::<UInt64Type>();
            let lives = |until: &u64| Some(*until == LIVES);
            let asked = |until: &u64| Some(*until != FORGOTTEN && *until > floor.0);
            let some: BooleanArray = ends.values().iter().map(lives).collect();
            let kept: BooleanArray = ends.values().iter().map(asked).collect();
            let visible: Vec<usize> = (0..batch.num_columns() - 1).collect();
            let alive = batch.project(&visible).map_err(internal)?;
            self.add(&mut living, &filter(&alive, &some)?, false, since)?;
            self.add(&mut dead, &filter(&batch, &kept)?, true, since)?;
        }
        self.close(living, since)?;
        self.close_history(dead, since)
    }

    fn add(
        &mut self,
        file: &mut Option<Growing>,
        batch: &RecordBatch,
        is_history: bool,
        since: Option<CommitId>,
    ) -> Result<()> {
        if batch.num_rows() == 0 {
            return Ok(());
        }
        let mut growing = match file.take() {
            Some(growing) => growing,
            None => self.begin(is_history)?,
        };
        let greatest = |at: usize| {
            let column = batch.column(at).as_primitive::<UInt64Type>();
            column.values().iter().copied().max().unwrap_or(0)
        };
        let width = self.schema.columns.len();
        growing.commit = growing.commit.max(greatest(width));
        if is_history {
            growing.until = growing.until.max(greatest(width + 2));
        }
        growing.writer.write(batch)?;
        let full = growing.writer.rows() >= self.file_rows;
        *file = Some(growing);
        match (full, is_history) {
            (false, _) => Ok(()),
            (true, false) => self.close(file.take(), since),
            (true, true) => self.close_history(file.take(), since),
        }
    }

    fn begin(&self, is_history: bool) -> Result<Growing> {
        self.store.shared.vfs.point("compact.write")?;
        let spec = SegmentSpec {
            id: SegmentId(self.store.next_id()),
            epoch: self.store.shared.epoch,
            schema: Arc::clone(&self.schema),
            row_ids: RowIds::Stored,
            commit_stored: true,
            options: SegmentOptions {
                expected_bytes: self.file_bytes.min(64 << 20),
                until_stored: is_history,
                ..Default::default()
            },
        };
        let writer = SegmentWriter::create(&self.store.shared.vfs, spec)?;
        Ok(Growing { writer, commit: 0, until: 0 })
    }

    fn close(&mut self, file: Option<Growing>, since: Option<CommitId>) -> Result<()> {
        let Some(file) = file else { return Ok(()) };
        let commit = CommitId(file.commit);
        let meta = file.writer.finish()?;
        let entry = SegmentEntry { segment: meta.id, commit, since };
        self.added.push((self.store.published(meta), entry));
        Ok(())
    }

    fn close_history(&mut self, file: Option<Growing>, since: Option<CommitId>) -> Result<()> {
        let Some(file) = file else { return Ok(()) };
        let (commit, until) = (CommitId(file.commit), CommitId(file.until));
        let meta = file.writer.finish()?;
        let entry = SegmentEntry { segment: meta.id, commit, since };
        self.history.push((self.store.published(meta), RetiredEntry { entry, until }));
        Ok(())
    }

    /// Removes the files: nothing will name them.
    pub fn discard(self) {
        let added = self.added.iter().map(|(meta, _)| meta);
        let all = added.chain(self.history.iter().map(|(meta, _)| meta));
        let metas: Vec<SegmentMeta> = all.map(|meta| meta.as_ref().clone()).collect();
        // What cannot be removed now is an orphan of this epoch, removed at the next opening.
        let _ = collect::discard(&self.store.shared.vfs, &metas);
    }
}

fn filter(batch: &RecordBatch, mask: &BooleanArray) -> Result<RecordBatch> {
    match mask.true_count() == batch.num_rows() {
        true => Ok(batch.clone()),
        false => filter_record_batch(batch, mask).map_err(internal),
    }
}
