//! Inline rows in memory: one run a line and table, decoded once and extended as commits come.

use std::sync::Arc;

use arrow::array::{RecordBatch, UInt64Array};
use arrow::compute::concat_batches;

use super::Store;
use super::table::{Table, hidden_columns, internal, reshape, stored_schema};
use crate::error::Result;
use crate::log::{Records, inline};
use crate::segment::InlineRows;
use crate::spec::{CommitId, LineId, LineRange, SchemaId, TableId, TableSchema};

/// Neighbouring batches of a run are joined up to this many rows.
const BATCH_ROWS: usize = 8192;

/// Which rows a run holds: those of one table on one line, in one shape.
pub(super) type RunKey = (TableId, LineId, SchemaId);

/// The rows of a line's commits `from ..= to`, ascending by commit.
#[derive(Clone)]
pub(super) struct Run {
    from: CommitId,
    to: CommitId,
    batches: Vec<RecordBatch>,
}

impl Run {
    pub(super) fn bytes(&self) -> usize {
        self.batches.iter().map(RecordBatch::get_array_memory_size).sum()
    }

    /// The rows of a stretch, cut by binary search: a run ascends by commit.
    fn stretch(&self, from: CommitId, to: CommitId) -> Vec<RecordBatch> {
        let cut = |batch: &RecordBatch| {
            let commits = hidden_columns(batch).0.values();
            let start = commits.partition_point(|c| *c < from.0);
            let end = commits.partition_point(|c| *c <= to.0);
            (start < end).then(|| batch.slice(start, end - start))
        };
        self.batches.iter().filter_map(cut).collect()
    }

    fn push(&mut self, batch: RecordBatch) -> Result<()> {
        match self.batches.last_mut() {
            Some(last) if last.num_rows() + batch.num_rows() <= BATCH_ROWS => {
                *last = concat_batches(&last.schema(), [&*last, &batch]).map_err(internal)?;
            }
            _ => self.batches.push(batch),
        }
        Ok(())
    }
}

/// The rows that one commit wrote inline, deleted ones included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InlineBatch {
    /// The line it hangs on.
    pub line: LineId,
    /// The commit.
    pub commit: CommitId,
    /// Rows.
    pub rows: u64,
    /// About how many bytes the rows take in memory.
    pub bytes: u64,
}

impl Table {
    /// The batches of this version that lie in the log, by line and commit.
    pub fn inline_batches(&self) -> Result<Vec<InlineBatch>> {
        let mut found: Vec<InlineBatch> = Vec::new();
        for range in self.ranges() {
            for batch in self.store.lay(self, range)?.rows {
                let size = |column: &arrow::array::ArrayRef| {
                    column.to_data().get_slice_memory_size().unwrap_or(0) as u64
                };
                let bytes: u64 = batch.columns().iter().map(size).sum();
                let share = bytes / batch.num_rows().max(1) as u64;
                for commit in hidden_columns(&batch).0.values() {
                    let same = |b: &&mut InlineBatch| (b.line, b.commit.0) == (range.line, *commit);
                    match found.last_mut().filter(same) {
                        Some(last) => {
                            last.rows += 1;
                            last.bytes += share;
                        }
                        None => found.push(InlineBatch {
                            line: range.line,
                            commit: CommitId(*commit),
                            rows: 1,
                            bytes: share,
                        }),
                    }
                }
            }
        }
        Ok(found)
    }
}

impl Store {
    /// The rows of a range that lies in the log whole, deleted ones included, as stored batches.
    pub(super) fn inline_run(
        &self,
        records: &impl Records,
        table: TableId,
        schema: &Arc<TableSchema>,
        range: &LineRange,
    ) -> Result<Vec<RecordBatch>> {
        let at = (table, range.line, schema.id);
        let joins = |run: &Arc<Run>| run.from <= range.from && range.from.0 <= run.to.0 + 1;
        let known = self.shared.inline_runs.get(&at).filter(joins);
        if let Some(run) = &known
            && run.to >= range.to
        {
            return Ok(run.stretch(range.from, range.to));
        }
        let mut run = known.map_or_else(
            || Run { from: range.from, to: CommitId(range.from.0 - 1), batches: Vec::new() },
            |run| run.as_ref().clone(),
        );
        let missing = LineRange { from: CommitId(run.to.0 + 1), ..*range };
        for group in join(self.read_inline(records, table, schema, &missing)?)? {
            run.push(group)?;
        }
        run.to = range.to;
        let rows = run.stretch(range.from, range.to);
        self.shared.inline_runs.insert(at, Arc::new(run));
        Ok(rows)
    }

    /// The rows of a range as the log has them: a batch a commit.
    pub(super) fn read_inline(
        &self,
        records: &impl Records,
        table: TableId,
        schema: &Arc<TableSchema>,
        range: &LineRange,
    ) -> Result<Vec<RecordBatch>> {
        let stored = |(commit, bytes): (CommitId, Vec<u8>)| {
            self.stored_batch(schema, &self.decode_inline(&bytes)?, commit)
        };
        inline::read(records, table, range)?.into_iter().map(stored).collect()
    }

    /// The rows of these ranges of a table, if memory has them all.
    pub(super) fn known_rows(
        &self,
        table: TableId,
        schema: &TableSchema,
        ranges: &[LineRange],
    ) -> Option<Vec<RecordBatch>> {
        let mut rows = Vec::new();
        for range in ranges {
            let run = self.shared.inline_runs.get(&(table, range.line, schema.id))?;
            if run.from > range.from || run.to < range.to {
                return None;
            }
            rows.extend(run.stretch(range.from, range.to));
        }
        Some(rows)
    }

    pub(super) fn decode_inline(&self, bytes: &[u8]) -> Result<InlineRows> {
        InlineRows::decode(bytes, |id| Ok(self.table_schema(id)?.arrow()))
    }

    /// Rows with their names: the visible columns in the table's shape, `_commit`, `_row_id`.
    pub(super) fn stored_batch(
        &self,
        schema: &Arc<TableSchema>,
        rows: &InlineRows,
        commit: CommitId,
    ) -> Result<RecordBatch> {
        let mut columns = if rows.schema == schema.id {
            rows.batch.columns().to_vec()
        } else {
            reshape(&rows.batch, &*self.table_schema(rows.schema)?, schema)?
        };
        columns.push(Arc::new(UInt64Array::from_value(commit.0, rows.row_ids.len())));
        columns.push(Arc::new(UInt64Array::from_iter_values(rows.row_ids.iter().map(|id| id.0))));
        RecordBatch::try_new(stored_schema(schema), columns).map_err(internal)
    }
}

/// One-row batches are joined many at a time, not one by one.
fn join(batches: Vec<RecordBatch>) -> Result<Vec<RecordBatch>> {
    let mut groups: Vec<Vec<RecordBatch>> = Vec::new();
    let mut rows = 0;
    for batch in batches {
        rows += batch.num_rows();
        match groups.last_mut() {
            Some(group) if rows <= BATCH_ROWS => group.push(batch),
            _ => {
                rows = batch.num_rows();
                groups.push(vec![batch]);
            }
        }
    }
    let join = |group: Vec<RecordBatch>| concat_batches(&group[0].schema(), &group);
    groups.into_iter().map(join).collect::<Result<_, _>>().map_err(internal)
}
