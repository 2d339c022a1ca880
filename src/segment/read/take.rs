//! Rows by position.

use arrow::array::{Array, ArrayRef};
use arrow::compute::interleave;
use arrow::record_batch::{RecordBatch, RecordBatchOptions};

use super::{Projection, Segment};
use crate::error::{Error, ErrorKind, Result};

impl Segment {
    /// The rows at these positions, in their order, which ascends; only their pages are read. A
    /// position outside the file is [`ErrorKind::Internal`].
    pub fn take(&self, projection: &Projection, positions: &[u64]) -> Result<RecordBatch> {
        let wrong = |what: &str| Error::new(ErrorKind::Internal, what.to_owned());
        if positions.last().is_some_and(|last| *last >= self.layout.rows) || !positions.is_sorted()
        {
            return Err(wrong("positions must ascend and lie inside the segment"));
        }
        let mut pages: Vec<u64> = positions.iter().map(|p| p / self.layout.page_rows).collect();
        pages.dedup();
        // For each row: which of the pages, and where in it.
        let mut rows = Vec::with_capacity(positions.len());
        let mut source = 0;
        for position in positions {
            while pages[source] < position / self.layout.page_rows {
                source += 1;
            }
            rows.push((source, (position % self.layout.page_rows) as usize));
        }
        let gather = |of: &dyn Fn(u64) -> Result<ArrayRef>| -> Result<ArrayRef> {
            let arrays: Vec<ArrayRef> =
                pages.iter().map(|page| of(*page)).collect::<Result<_>>()?;
            let arrays: Vec<&dyn Array> = arrays.iter().map(AsRef::as_ref).collect();
            interleave(&arrays, &rows).map_err(|e| wrong("rows cannot be gathered").caused_by(e))
        };
        let schema = projection.arrow()?;
        if positions.is_empty() {
            return Ok(RecordBatch::new_empty(schema));
        }
        let mut columns = Vec::with_capacity(schema.fields().len());
        for &id in &projection.columns {
            columns.push(gather(&|page| {
                self.shown(projection, id, page, |column| self.page(column, page))
            })?);
        }
        if projection.commit {
            columns.push(gather(&|page| {
                self.commits(projection, page, |column| self.page(column, page))
            })?);
        }
        if projection.row_id {
            columns.push(gather(&|page| self.row_ids(page, |column| self.page(column, page)))?);
        }
        if projection.position {
            columns.push(gather(&|page| Ok(self.counted(0, page)))?);
        }
        let options = RecordBatchOptions::new().with_row_count(Some(positions.len()));
        RecordBatch::try_new_with_options(schema, columns, &options)
            .map_err(|e| wrong("rows do not fit their schema").caused_by(e))
    }
}
