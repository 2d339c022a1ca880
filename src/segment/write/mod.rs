//! Writing one segment: aligned pages, checksums made on the way, the publish protocol.

use std::sync::Arc;

use arrow::record_batch::RecordBatch;

use crate::error::Result;
use crate::spec::{RowIds, SegmentId, SegmentMeta, TableSchema};
use crate::vfs::Vfs;

/// How a segment is written.
#[derive(Clone, Debug)]
pub struct SegmentOptions {
    /// zstd's level, 1 to 22.
    pub compression_level: i32,
    /// Rows a page, at most; halved down to 512 until the widest column's page fits 1 MiB.
    pub page_rows: usize,
    /// Rows a row group, at most; rounded down to a multiple of the page rows.
    pub row_group_rows: usize,
    /// Bytes to reserve on disk before writing; 0 reserves nothing.
    pub expected_bytes: u64,
}

impl Default for SegmentOptions {
    fn default() -> Self {
        SegmentOptions {
            compression_level: 1,
            page_rows: 8192,
            row_group_rows: 131_072,
            expected_bytes: 0,
        }
    }
}

/// What a segment is to be.
#[derive(Clone, Debug)]
pub struct SegmentSpec {
    /// Its id, fresh from the log.
    pub id: SegmentId,
    /// The writer's epoch.
    pub epoch: u64,
    /// The shape of the rows.
    pub schema: Arc<TableSchema>,
    /// Whether rows carry `_row_id`, or count up from a first one.
    pub row_ids: RowIds,
    /// Whether rows carry `_commit`.
    pub commit_stored: bool,
    /// How it is written.
    pub options: SegmentOptions,
}

/// Writes one segment. Dropped before [`SegmentWriter::finish`], it leaves nothing.
pub struct SegmentWriter;

impl SegmentWriter {
    /// Starts a file in the folder of temporary files.
    pub fn create(_vfs: &Vfs, _spec: SegmentSpec) -> Result<SegmentWriter> {
        todo!()
    }

    /// Adds rows, which are in the segment order already: the schema's columns by position, then
    /// `_commit` and `_row_id` (`UInt64`) as far as they are stored.
    pub fn write(&mut self, _batch: &RecordBatch) -> Result<()> {
        todo!()
    }

    /// How many rows were added.
    pub fn rows(&self) -> u64 {
        todo!()
    }

    /// Publishes the file and the key filter beside it: synced, read back, renamed, folder synced.
    pub fn finish(self) -> Result<SegmentMeta> {
        todo!()
    }
}
