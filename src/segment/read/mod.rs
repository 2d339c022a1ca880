//! Reading one segment.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use roaring::RoaringBitmap;

use super::cache::Cache;
use super::filter::{Filter, RowVisibility};
use super::keys::KeyFilter;
use crate::error::Result;
use crate::spec::{ColumnId, CommitId, SegmentMeta, TableSchema};
use crate::vfs::Vfs;

/// Which columns a reader wants, in which types.
#[derive(Clone, Debug)]
pub struct Projection {
    /// The shape rows are shown in: the types of the columns (a file may have narrower ones).
    pub schema: Arc<TableSchema>,
    /// The columns, in the order wanted.
    pub columns: Vec<ColumnId>,
    /// Values for columns that the file lacks, as arrays of one row; NULL where not named.
    pub defaults: HashMap<ColumnId, ArrayRef>,
    /// The commit of every row, where the file does not store it.
    pub constant_commit: CommitId,
    /// Whether `_commit` follows (`UInt64`).
    pub commit: bool,
    /// Whether `_row_id` follows (`UInt64`).
    pub row_id: bool,
    /// Whether `_position` follows (`UInt64`).
    pub position: bool,
}

impl Projection {
    /// These columns and nothing else.
    pub fn new(schema: Arc<TableSchema>, columns: Vec<ColumnId>) -> Projection {
        Projection {
            schema,
            columns,
            defaults: HashMap::new(),
            constant_commit: CommitId(0),
            commit: false,
            row_id: false,
            position: false,
        }
    }

    /// The Arrow schema of the batches. Every column is nullable, whatever the table says: a file
    /// may lack it.
    pub fn arrow(&self) -> Result<SchemaRef> {
        todo!()
    }
}

/// What to scan.
#[derive(Clone, Debug)]
pub struct ScanRequest {
    /// The columns.
    pub projection: Projection,
    /// Only rows that pass; applied to every row.
    pub filter: Option<Arc<dyn Filter>>,
    /// Not the rows at these positions.
    pub deleted: Option<Arc<RoaringBitmap>>,
    /// Only row versions that this lets through.
    pub visibility: Option<Arc<dyn RowVisibility>>,
    /// Only rows at these positions; None is all.
    pub rows: Option<Range<u64>>,
    /// The most rows a batch has.
    pub batch_rows: usize,
    /// Stop after so many rows.
    pub limit: Option<usize>,
}

impl ScanRequest {
    /// All rows of these columns.
    pub fn new(projection: Projection) -> ScanRequest {
        ScanRequest {
            projection,
            filter: None,
            deleted: None,
            visibility: None,
            rows: None,
            batch_rows: 8192,
            limit: None,
        }
    }
}

/// Which end of the rows equal to a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Before the first of them.
    Before,
    /// Behind the last of them.
    After,
}

/// One open segment. Its footer and page index are in memory; pages are read when asked for. Share
/// it in an `Arc`.
pub struct Segment;

/// The batches of a scan, in the order of positions.
pub struct Scan;

impl Iterator for Scan {
    type Item = Result<RecordBatch>;
    fn next(&mut self) -> Option<Self::Item> {
        todo!()
    }
}

impl Segment {
    /// Opens a published file, and verifies and keeps its footer and page index.
    pub fn open(_vfs: &Vfs, _meta: Arc<SegmentMeta>, _cache: &Arc<Cache>) -> Result<Segment> {
        todo!()
    }

    /// What the log knows of the file.
    pub fn meta(&self) -> &Arc<SegmentMeta> {
        todo!()
    }

    /// Splits the rows into at most `parts` ranges of positions of about equal size, cut between
    /// row groups, or between pages where there are too few.
    pub fn split(&self, _parts: usize) -> Vec<Range<u64>> {
        todo!()
    }

    /// Reads many rows. The scan keeps the file open by itself.
    pub fn scan(self: &Arc<Self>, _request: ScanRequest) -> Result<Scan> {
        todo!()
    }

    /// For each key, the position of the first row that is not before it: how many rows of the file
    /// are less than it ([`Side::Before`]), or not greater ([`Side::After`]). `keys` are arrays of
    /// `schema`'s types for the first `keys.len()` columns of the file's order; any prefix will do.
    /// Deleted rows count.
    pub fn rank(&self, _schema: &TableSchema, _keys: &[ArrayRef], _side: Side) -> Result<Vec<u64>> {
        todo!()
    }

    /// For each key, the positions of the rows that have it; empty where there are none.
    pub fn find(&self, _schema: &TableSchema, _keys: &[ArrayRef]) -> Result<Vec<Range<u64>>> {
        todo!()
    }

    /// The rows at these positions, which ascend; only their pages are read.
    pub fn take(&self, _projection: &Projection, _positions: &[u64]) -> Result<RecordBatch> {
        todo!()
    }

    /// The filter over keys of these columns; None where the file has none that a key in today's
    /// types can ask. Encode keys with [`crate::spec::key::KeyEncoder`].
    pub fn key_filter(
        &self,
        _schema: &TableSchema,
        _columns: &[ColumnId],
    ) -> Result<Option<KeyFilter>> {
        todo!()
    }

    /// Reads and verifies every byte of the file and its key filter.
    pub fn verify(&self) -> Result<()> {
        todo!()
    }
}
