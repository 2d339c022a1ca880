//! Immutable Parquet files: one table's rows in its segment order, written once, verified when read.
//!
//! [`SegmentWriter`] writes and publishes one file and the key filter beside it; [`Segment`] reads
//! one: [`Segment::scan`] for many rows, [`Segment::rank`], [`Segment::find`] and [`Segment::take`]
//! for few. The only room that names Parquet. It decides nothing: which files a table has, which
//! rows are deleted and which commit may see them is said by the caller.
//!
//! Invariants:
//! * pages line up: page p of every column holds the rows from p × page rows on, so a position is
//!   page and offset by arithmetic, and a page that one column excludes is excluded for all;
//! * columns are found by field id = [`crate::spec::ColumnId`], never by name;
//! * no byte of a file is decoded before its block's checksum was verified: damage, truncation and
//!   a missing file are [`crate::error::ErrorKind::Corrupt`] naming file and offset, never other rows;
//! * a file has its final name only after it was synced and read back.
//!
//! Start reading at [`mod@write`], then [`read`].

mod blocks;
mod cache;
mod columns;
mod filter;
mod foreign;
mod foreign_types;
mod inline;
mod keys;
mod merge;
mod order;
pub mod read;
mod sort;
pub mod write;

pub use cache::Cache;
pub use columns::{
    COMMIT_FIELD_ID, COMMIT_NAME, POSITION_NAME, ROW_ID_FIELD_ID, ROW_ID_NAME, UNTIL_NAME,
};
pub use filter::{ContainerStatistics, Filter, RowVisibility};
pub use foreign::{ParquetOut, ParquetRows};
pub use inline::InlineRows;
pub use keys::KeyFilter;
pub use merge::{Merge, SortedRows};
pub use read::{Projection, Scan, ScanRequest, Segment, Side};
pub use sort::sort_batches;
pub use write::{SegmentOptions, SegmentSpec, SegmentWriter};

use crate::error::Result;
use crate::vfs::Vfs;

/// The folder of published segments and their key filters.
pub const SEGMENTS_DIR: &str = "segments";
/// The folder of files that are being written; emptied when a database is opened.
pub const TMP_DIR: &str = "tmp";

/// Makes the folders that segments are written in, where they are missing.
pub fn make_dirs(vfs: &Vfs) -> Result<()> {
    vfs.make_dir(SEGMENTS_DIR)?;
    vfs.make_dir(TMP_DIR)
}

#[cfg(test)]
mod tests;
