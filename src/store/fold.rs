//! Folding: the inline batches of a stretch of one line move from the log into a file.
//!
//! All rows of the stretch go, dead ones too, each with its `_row_id` and its `_commit`, so every ref
//! and every past version finds in the file what it had in the log. One log transaction names the
//! file and drops the batches. A stretch ends where the table's shape changes: a file keeps the columns
//! that its rows were written with. Neighbouring small files are folded again the same way.

use std::sync::Arc;

use arrow::array::RecordBatch;

use super::Store;
use super::commit::{Request, Upkeep};
use super::table::stored_schema;
use crate::error::Result;
use crate::log::folds::{self, Stretch};
use crate::log::inline;
use crate::segment::{
    Projection, ScanRequest, SegmentOptions, SegmentSpec, SegmentWriter, sort_batches,
};
use crate::spec::{
    CommitId, LineId, LineRange, RowIds, SchemaId, SegmentId, SegmentMeta, TableId, TableSchema,
};

/// Neighbouring files are put together until one has this many rows.
const FILE_ROWS: u64 = 1 << 20;

/// Inline batches of one step: bytes in the log.
const STEP_BYTES: usize = 64 << 20;

/// What one step did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FoldReport {
    /// The table whose rows moved.
    pub table: TableId,
    /// Rows that the new file has.
    pub rows: u64,
    /// Its bytes.
    pub bytes: u64,
    /// Smaller files that it replaces; 0 where the rows came from the log.
    pub replaced_files: u64,
    /// Their bytes.
    pub replaced_bytes: u64,
}

/// A new file for a stretch, and what it stands for.
pub(super) struct Fold {
    pub table: TableId,
    pub line: LineId,
    pub stretch: Stretch,
    pub meta: SegmentMeta,
    /// Files that it replaces; none where it replaces inline batches.
    pub replaced: Vec<Stretch>,
}

impl Store {
    /// Folds one stretch: of this table, or of the one with the most in the log. None where no line has
    /// at least `least_bytes` in the log and no two small files lie beside each other.
    ///
    /// # Errors
    /// Io, DiskFull, Corrupt.
    pub async fn fold_one(
        &self,
        table: Option<TableId>,
        least_bytes: u64,
    ) -> Result<Option<FoldReport>> {
        let _alone = self.shared.folding.lock().await;
        let store = self.clone();
        let next = blocking(move || store.next_fold(table, least_bytes)).await?;
        let Some(fold) = next else { return Ok(None) };
        let sizes = self.sizes_of(&fold.replaced)?;
        let report = FoldReport {
            table: fold.table,
            rows: fold.meta.rows,
            bytes: fold.meta.file.bytes,
            replaced_files: fold.replaced.len() as u64,
            replaced_bytes: sizes,
        };
        self.shared.vfs.point("fold.commit")?;
        self.submit(Request::Upkeep(Upkeep::Fold(Box::new(fold)))).await?;
        self.shared.vfs.point("fold.done")?;
        Ok(Some(report))
    }

    fn sizes_of(&self, stretches: &[Stretch]) -> Result<u64> {
        let view = self.shared.log.read()?;
        let metas = stretches.iter().map(|s| self.segment_meta(&view, s.segment));
        metas.map(|meta| Ok(meta?.file.bytes)).sum()
    }

    fn next_fold(&self, table: Option<TableId>, least_bytes: u64) -> Result<Option<Fold>> {
        let wanted = |found: &TableId| table.is_none_or(|table| table == *found);
        let sizes = inline::sizes(&self.shared.log.read()?)?;
        let largest = sizes
            .into_iter()
            .filter(|(table, _, bytes)| wanted(table) && *bytes >= least_bytes)
            .max_by_key(|(_, _, bytes)| *bytes);
        if let Some((table, line, _)) = largest {
            return self.fold_batches(table, line).map(Some);
        }
        let mut lines = folds::all(&self.shared.log.read()?)?;
        lines.retain(|(table, _, _)| wanted(table));
        for pair in lines.chunk_by(|a, b| (a.0, a.1) == (b.0, b.1)) {
            let stretches: Vec<Stretch> = pair.iter().map(|(_, _, stretch)| *stretch).collect();
            if let Some(fold) = self.fold_files(pair[0].0, pair[0].1, &stretches)? {
                return Ok(Some(fold));
            }
        }
        Ok(None)
    }

    /// The oldest inline batches of a line, as far as they have one shape.
    fn fold_batches(&self, table: TableId, line: LineId) -> Result<Fold> {
        self.shared.vfs.point("fold.read")?;
        let view = self.shared.log.read()?;
        let before = folds::of_line(&view, table, line)?;
        let from = before.last().map_or(CommitId(0), |last| CommitId(last.to.0 + 1));
        let all = LineRange { line, from, to: CommitId(u64::MAX - 1), since: None };
        let mut shape: Option<SchemaId> = None;
        let (mut stretch, mut bytes) = (Vec::new(), 0);
        for (commit, encoded) in inline::read(&view, table, &all)? {
            let rows = self.decode_inline(&encoded)?;
            if shape.is_some_and(|shape| shape != rows.schema) || bytes >= STEP_BYTES {
                break;
            }
            shape = Some(rows.schema);
            bytes += encoded.len();
            stretch.push((commit, rows));
        }
        drop(view);
        let schema = self.table_schema(shape.expect("a line with bytes has a batch"))?;
        let to = stretch.last().expect("it has the batch that gave the shape").0;
        let stored = stretch.iter().map(|(commit, rows)| self.stored_batch(&schema, rows, *commit));
        let batches: Vec<RecordBatch> = stored.collect::<Result<_>>()?;
        let meta = self.write_folded(&schema, batches, bytes)?;
        let stretch = Stretch { from, to, segment: meta.id };
        Ok(Fold { table, line, stretch, meta, replaced: Vec::new() })
    }

    /// The first files of a line that lie beside each other, have one shape and are small.
    fn fold_files(
        &self,
        table: TableId,
        line: LineId,
        stretches: &[Stretch],
    ) -> Result<Option<Fold>> {
        let view = self.shared.log.read()?;
        let mut group: Vec<(Stretch, Arc<SegmentMeta>)> = Vec::new();
        for stretch in stretches {
            let meta = self.segment_meta(&view, stretch.segment)?;
            let rows: u64 = group.iter().map(|(_, meta)| meta.rows).sum();
            let fits = rows + meta.rows <= FILE_ROWS;
            if group.last().is_none_or(|(_, last)| last.schema == meta.schema && fits) {
                group.push((*stretch, meta));
            } else if group.len() > 1 {
                break;
            } else {
                group = vec![(*stretch, meta)];
            }
        }
        drop(view);
        if group.len() < 2 {
            return Ok(None);
        }
        let schema = self.table_schema(group[0].1.schema)?;
        let mut batches = Vec::new();
        for (_, meta) in &group {
            let columns = schema.columns.iter().map(|c| c.id).collect();
            let mut projection = Projection::new(Arc::clone(&schema), columns);
            (projection.commit, projection.row_id) = (true, true);
            let scan = self.open_segment(meta)?.scan(ScanRequest::new(projection))?;
            for batch in scan {
                let columns = batch?.columns().to_vec();
                let shape = stored_schema(&schema);
                let batch = RecordBatch::try_new(shape, columns).map_err(super::table::internal)?;
                batches.push(batch);
            }
        }
        let bytes = group.iter().map(|(_, meta)| meta.file.bytes as usize * 4).sum();
        let meta = self.write_folded(&schema, batches, bytes)?;
        let (first, last) = (group[0].0, group[group.len() - 1].0);
        let stretch = Stretch { from: first.from, to: last.to, segment: meta.id };
        let replaced = group.into_iter().map(|(stretch, _)| stretch).collect();
        Ok(Some(Fold { table, line, stretch, meta, replaced }))
    }

    fn write_folded(
        &self,
        schema: &Arc<TableSchema>,
        batches: Vec<RecordBatch>,
        bytes: usize,
    ) -> Result<SegmentMeta> {
        self.shared.vfs.point("fold.write")?;
        let spec = SegmentSpec {
            id: SegmentId(self.next_id()),
            epoch: self.shared.epoch,
            schema: Arc::clone(schema),
            row_ids: RowIds::Stored,
            commit_stored: true,
            options: SegmentOptions { expected_bytes: bytes as u64 / 4, ..Default::default() },
        };
        let mut writer = SegmentWriter::create(&self.shared.vfs, spec)?;
        for batch in sort_batches(schema, batches)? {
            writer.write(&batch)?;
        }
        writer.finish()
    }
}

/// Work that reads and writes files, on a thread that may wait.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    use crate::error::{Error, ErrorKind};
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(cause) => Err(Error::new(ErrorKind::Internal, "upkeep ended early").caused_by(cause)),
    }
}
