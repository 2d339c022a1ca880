//! What a compaction reads: every row version of some segments and of all that lies outside them.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, RecordBatch, UInt64Array};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, UInt64Type};

use super::ends::{Ends, LIVES};
use super::{CompactOptions, CompactReport};
use crate::error::Result;
use crate::segment::{Merge, Projection, ScanRequest, SortedRows, UNTIL_NAME, sort_batches};
use crate::spec::{CommitId, LineRange, RowId, TableSchema};
use crate::store::table::{Table, TableSegment, hidden_columns, internal, stored_schema};

/// The rows to be rewritten.
pub(super) struct Inputs {
    pub segments: Vec<TableSegment>,
    /// Ranges, each taken whole.
    pub ranges: Vec<LineRange>,
    /// The folded files that the ranges reach into.
    folded: Vec<TableSegment>,
}

impl Inputs {
    pub fn of(table: &Table, options: &CompactOptions) -> Result<Inputs> {
        if let Some(only) = &options.only {
            let segments = table.segments().iter().filter(|s| only.contains(&s.meta.id));
            let segments = segments.cloned().collect();
            return Ok(Inputs { segments, ranges: Vec::new(), folded: Vec::new() });
        }
        Ok(Inputs {
            segments: table.segments().to_vec(),
            ranges: table.ranges().to_vec(),
            folded: table.folded()?.files,
        })
    }

    pub fn is_empty(&self) -> bool {
        self.segments.is_empty() && self.ranges.is_empty()
    }

    /// Whether the files are what a compaction would leave.
    pub fn is_in_order(&self, table: &Table, options: &CompactOptions) -> bool {
        let schema = table.schema();
        let is_todays = |s: &TableSegment| {
            s.meta.order == schema.order() && s.meta.schema == schema.id && s.deleted.is_none()
        };
        if !self.ranges.is_empty() || !self.segments.iter().all(is_todays) {
            return false;
        }
        let mut files: Vec<&TableSegment> = self.segments.iter().collect();
        files.sort_by(|a, b| a.compare_starts(b));
        let small = files.iter().filter(|s| s.meta.file.bytes < options.target_bytes / 2).count();
        small <= 1 && files.windows(2).all(|pair| pair[0].is_before(pair[1]))
    }

    /// The files that the branch will not name any more.
    pub fn report(&self) -> CompactReport {
        let files = || self.segments.iter().chain(&self.folded);
        CompactReport {
            rewritten_files: files().count() as u64,
            rewritten_bytes: files().map(|s| s.meta.file.bytes).sum(),
            ..CompactReport::default()
        }
    }

    /// About how many bytes of a file a row takes.
    pub fn row_bytes(&self) -> u64 {
        let files = || self.segments.iter().chain(&self.folded);
        let rows: u64 = files().map(|s| s.meta.rows).sum();
        files().map(|s| s.meta.file.bytes).sum::<u64>().checked_div(rows).unwrap_or(0).max(16)
    }

    /// When this branch learnt of the rows, each answer once.
    pub fn sinces(&self) -> BTreeSet<Option<CommitId>> {
        let segments = self.segments.iter().map(|s| s.entry.since);
        segments.chain(self.ranges.iter().map(|r| r.since)).collect()
    }

    /// The rows of one `since` in the segment order: visible columns, `_commit`, `_row_id`, `_until`.
    pub fn merged(
        &self,
        table: &Table,
        ends: &Arc<Ends>,
        since: Option<CommitId>,
    ) -> Result<Merge> {
        let schema = table.schema();
        let mut streams: Vec<SortedRows> = Vec::new();
        for segment in self.segments.iter().filter(|s| s.entry.since == since) {
            streams.push(rows_of(table, segment, ends)?);
        }
        let mut loose = Vec::new();
        for range in self.ranges.iter().filter(|r| r.since == since) {
            let lay = table.store().lay(table, range)?;
            loose.extend(lay.rows);
            for (part, stretch) in &lay.folded {
                streams.push(rows_of(table, &table.whole_part(part, stretch)?, ends)?);
            }
        }
        let loose: Result<Vec<RecordBatch>> =
            loose.iter().map(|batch| with_row_ends(table, batch, ends)).collect();
        streams.push(Box::new(sort_batches(schema, loose?)?.into_iter().map(Ok)));
        Merge::new(schema, streams, schema.columns.len() + 3)
    }
}

/// Every row of a file that counts, dead ones too, in the table's order.
fn rows_of(table: &Table, file: &TableSegment, ends: &Arc<Ends>) -> Result<SortedRows> {
    let schema = table.schema();
    let columns = schema.columns.iter().map(|c| c.id).collect();
    let mut projection = Projection::new(Arc::clone(schema), columns);
    projection.constant_commit = file.entry.commit;
    (projection.commit, projection.row_id, projection.position) = (true, true, true);
    let mut request = ScanRequest::new(projection);
    request.visibility = file.visibility.clone();
    let scan = table.store().open_segment(&file.meta)?.scan(request)?;
    let (table, ends, owned) = (table.clone(), Arc::clone(ends), file.clone());
    let rows = scan.map(move |batch| match owned.visibility {
        Some(_) => with_row_ends(&table, &batch?, &ends),
        None => with_position_ends(&table, &owned, &batch?, &ends),
    });
    if file.meta.order == schema.order() && file.meta.schema == schema.id {
        return Ok(Box::new(rows));
    }
    let all: Vec<RecordBatch> = rows.collect::<Result<_>>()?;
    Ok(Box::new(sort_batches(schema, all)?.into_iter().map(Ok)))
}

/// Rows of a segment: the batch ends in `_commit`, `_row_id` and `_position`.
fn with_position_ends(
    table: &Table,
    segment: &TableSegment,
    batch: &RecordBatch,
    ends: &Ends,
) -> Result<RecordBatch> {
    let positions = batch.column(batch.num_columns() - 1).as_primitive::<UInt64Type>();
    let end = |position: u64| match &segment.deleted {
        Some(deleted) if deleted.contains(position as u32) => {
            ends.of_position(segment.meta.id, position as u32)
        }
        _ => LIVES,
    };
    let until = UInt64Array::from_iter_values(positions.values().iter().map(|p| end(*p)));
    with_until(table.schema(), batch, until)
}

/// Rows outside segments: the batch has `_commit` and `_row_id` behind the visible columns.
fn with_row_ends(table: &Table, batch: &RecordBatch, ends: &Ends) -> Result<RecordBatch> {
    let width = table.schema().columns.len();
    let named = batch.project(&[width, width + 1]).map_err(internal)?;
    let (commits, rows) = hidden_columns(&named);
    let end = |(commit, row): (&u64, &u64)| {
        let (commit, row) = (CommitId(*commit), RowId(*row));
        if table.hides(row, commit) { ends.of_row(row, commit) } else { LIVES }
    };
    let pairs = commits.values().iter().zip(rows.values());
    with_until(table.schema(), batch, UInt64Array::from_iter_values(pairs.map(end)))
}

fn with_until(
    schema: &Arc<TableSchema>,
    batch: &RecordBatch,
    until: UInt64Array,
) -> Result<RecordBatch> {
    let mut columns: Vec<ArrayRef> = batch.columns()[..schema.columns.len() + 2].to_vec();
    columns.push(Arc::new(until));
    RecordBatch::try_new(ended_schema(schema), columns).map_err(internal)
}

fn ended_schema(schema: &TableSchema) -> SchemaRef {
    let mut fields: Vec<Arc<Field>> = stored_schema(schema).fields().iter().cloned().collect();
    fields.push(Arc::new(Field::new(UNTIL_NAME, DataType::UInt64, false)));
    Arc::new(Schema::new(fields))
}
