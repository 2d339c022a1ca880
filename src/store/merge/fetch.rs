//! The values of row versions, wherever they lie.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch, RecordBatchOptions, UInt64Array};
use arrow::compute::{interleave, take_record_batch};
use arrow::datatypes::{Field, Schema};

use super::diff::{Place, Version, diff, ranges_of};
use crate::error::Result;
use crate::segment::{Projection, ScanRequest};
use crate::spec::{ColumnId, CommitId, LineId, SegmentId, TableSchema};
use crate::store::Folded;
use crate::store::table::{Table, hidden_columns, internal};

/// Some columns of these versions of a table's rows, in their order, in the types of `schema`.
pub(super) fn rows_at(
    table: &Table,
    schema: &Arc<TableSchema>,
    columns: &[ColumnId],
    versions: &[Version],
) -> Result<RecordBatch> {
    let mut found = Found { batches: Vec::new(), at: vec![(0, 0); versions.len()] };
    let mut segments: BTreeMap<SegmentId, Vec<(u32, usize)>> = BTreeMap::new();
    let mut lines: BTreeMap<LineId, HashMap<(u64, u64), usize>> = BTreeMap::new();
    for (i, version) in versions.iter().enumerate() {
        match version.place {
            Place::At(segment, at) => segments.entry(segment).or_default().push((at, i)),
            Place::Line(line) => {
                lines.entry(line).or_default().insert((version.commit.0, version.row.0), i);
            }
        }
    }
    for (segment, mut wanted) in segments {
        wanted.sort_unstable();
        found.in_segment(table, schema, columns, segment, &wanted)?;
    }
    for (line, wanted) in lines {
        found.on_line(table, schema, columns, line, &wanted)?;
    }
    found.gather(schema, columns)
}

/// How many row versions are read at once.
const BATCH: usize = 8192;

/// The rows that `new` shows and `old`, as of `since`, does not, in the columns and types of `schema`;
/// `visit` says whether to go on. Rows that only moved to another file are not among them.
pub(in crate::store) fn rows_since(
    old: &Table,
    new: &Table,
    since: CommitId,
    schema: &Arc<TableSchema>,
    mut visit: impl FnMut(&RecordBatch) -> Result<bool>,
) -> Result<()> {
    let diff = diff(old, new, since)?;
    let columns: Vec<ColumnId> = schema.columns.iter().map(|column| column.id).collect();
    for versions in diff.came.chunks(BATCH) {
        if !visit(&rows_at(new, schema, &columns, versions)?)? {
            return Ok(());
        }
    }
    for segment in &diff.fresh {
        let projection = Projection::new(Arc::clone(schema), columns.clone());
        let request =
            ScanRequest { deleted: segment.deleted.clone(), ..ScanRequest::new(projection) };
        for batch in new.store().open_segment(&segment.meta)?.scan(request)? {
            if !visit(&batch?)? {
                return Ok(());
            }
        }
    }
    Ok(())
}

impl Table {
    /// A row that has NULL in a column, as a batch of the visible columns. Looks at the rows: a plan would
    /// believe the shape.
    pub fn row_with_null(&self, column: ColumnId) -> Result<Option<RecordBatch>> {
        let Some(at) = self.schema().position(column) else { return Ok(None) };
        let columns: Vec<ColumnId> = self.schema().columns.iter().map(|column| column.id).collect();
        let visible: Vec<usize> = (0..columns.len()).collect();
        let with_null = |batch: &RecordBatch| -> Result<Option<RecordBatch>> {
            let values = batch.column(at);
            let Some(row) = (0..values.len()).find(|row| values.is_null(*row)) else {
                return Ok(None);
            };
            batch.slice(row, 1).project(&visible).map(Some).map_err(internal)
        };
        for batch in self.loose_rows(&Folded::default())? {
            if let Some(row) = with_null(&batch)? {
                return Ok(Some(row));
            }
        }
        for segment in self.segments() {
            if segment.meta.statistics_of(column).is_some_and(|known| known.nulls == 0) {
                continue;
            }
            let projection = Projection::new(Arc::clone(self.schema()), columns.clone());
            let request =
                ScanRequest { deleted: segment.deleted.clone(), ..ScanRequest::new(projection) };
            for batch in self.store().open_segment(&segment.meta)?.scan(request)? {
                if let Some(row) = with_null(&batch?)? {
                    return Ok(Some(row));
                }
            }
        }
        Ok(None)
    }
}

/// Batches with the wanted rows, and for each row wanted where it is.
struct Found {
    batches: Vec<RecordBatch>,
    at: Vec<(usize, usize)>,
}

impl Found {
    fn in_segment(
        &mut self,
        table: &Table,
        schema: &Arc<TableSchema>,
        columns: &[ColumnId],
        segment: SegmentId,
        wanted: &[(u32, usize)],
    ) -> Result<()> {
        let segment = table.segment(segment).expect("a version lies in a segment of its table");
        let positions: Vec<u64> = wanted.iter().map(|(at, _)| u64::from(*at)).collect();
        let projection = Projection::new(Arc::clone(schema), columns.to_vec());
        let rows = table.store().open_segment(&segment.meta)?.take(&projection, &positions)?;
        for (row, (_, i)) in wanted.iter().enumerate() {
            self.at[*i] = (self.batches.len(), row);
        }
        self.batches.push(rows);
        Ok(())
    }

    fn on_line(
        &mut self,
        table: &Table,
        schema: &Arc<TableSchema>,
        columns: &[ColumnId],
        line: LineId,
        wanted: &HashMap<(u64, u64), usize>,
    ) -> Result<()> {
        let positions: Vec<usize> = columns
            .iter()
            .map(|id| schema.position(*id).expect("the columns are the schema's"))
            .collect();
        for range in ranges_of(table).iter().filter(|range| range.line == line) {
            for batch in table.rows_of_range(schema, range)? {
                let (commits, rows) = hidden_columns(&batch);
                let names = commits.values().iter().zip(rows.values()).enumerate();
                let mut kept = Vec::new();
                for (row, (commit, id)) in names {
                    if let Some(i) = wanted.get(&(*commit, *id)) {
                        self.at[*i] = (self.batches.len(), kept.len());
                        kept.push(row as u64);
                    }
                }
                if !kept.is_empty() {
                    let shown = batch.project(&positions).map_err(internal)?;
                    let kept = UInt64Array::from(kept);
                    self.batches.push(take_record_batch(&shown, &kept).map_err(internal)?);
                }
            }
        }
        Ok(())
    }

    fn gather(self, schema: &Arc<TableSchema>, columns: &[ColumnId]) -> Result<RecordBatch> {
        let fields: Vec<Field> = columns
            .iter()
            .filter_map(|id| schema.column(*id))
            .map(|column| column.data_type.field(&column.name, true))
            .collect();
        let shown = Arc::new(Schema::new(fields));
        if self.at.is_empty() {
            return Ok(RecordBatch::new_empty(shown));
        }
        let column = |i: usize| -> Result<ArrayRef> {
            let parts: Vec<&dyn Array> =
                self.batches.iter().map(|batch| batch.column(i).as_ref()).collect();
            interleave(&parts, &self.at).map_err(internal)
        };
        let arrays = (0..columns.len()).map(column).collect::<Result<Vec<_>>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(self.at.len()));
        RecordBatch::try_new_with_options(shown, arrays, &options).map_err(internal)
    }
}
