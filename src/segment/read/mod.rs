//! Reading one segment: its layout in memory, its pages when asked for.
//!
//! [`Segment::scan`] decodes page after page of the columns it needs, those of the filter first, and
//! passes the cache by. [`Segment::rank`] finds rows by the order of the file, [`Segment::take`]
//! fetches rows by position; both keep the pages they decode in the [`super::Cache`].

mod bounds;
mod extent;
pub(super) mod layout;
mod pages;
mod rank;
mod request;
mod scan;
mod take;

use std::ops::Range;
use std::sync::{Arc, OnceLock};

use arrow::array::{ArrayRef, UInt64Array, new_null_array};
use arrow::compute::take as take_rows;
use parking_lot::Mutex;

use self::bounds::PageBounds;
use self::layout::{FileColumn, Layout};
use self::pages::PageStream;
use super::SEGMENTS_DIR;
use super::blocks::Blocks;
use super::cache::{Cache, PageKey};
use super::columns::{COMMIT_FIELD_ID, ROW_ID_FIELD_ID, convert, field_id};
use super::keys::{KeyFile, KeyFilter};
use crate::error::{Error, ErrorKind, Result};
use crate::spec::{ColumnId, RowIds, SegmentMeta, TableSchema};
use crate::vfs::Vfs;

pub use request::{Projection, ScanRequest, Side};
pub use scan::Scan;

/// One open segment: a file handle, and footer and page index in memory. Share it in an `Arc`.
pub struct Segment {
    meta: Arc<SegmentMeta>,
    blocks: Arc<Blocks>,
    layout: Layout,
    cache: Arc<Cache>,
    /// Bounds of each column's pages, one a column of the file, made when first asked for.
    bounds: Vec<OnceLock<Arc<PageBounds>>>,
    keys: Mutex<Option<Arc<KeyFile>>>,
    vfs: Vfs,
}

impl Segment {
    /// Opens a published file, and verifies and keeps its footer and page index.
    pub fn open(vfs: &Vfs, meta: Arc<SegmentMeta>, cache: &Arc<Cache>) -> Result<Segment> {
        let path = format!("{SEGMENTS_DIR}/{}", meta.file_name());
        let blocks = Blocks::open(vfs, path, meta.file.clone())?;
        let layout = Layout::open(&blocks, &meta)?;
        Ok(Segment {
            bounds: layout.columns.iter().map(|_| OnceLock::new()).collect(),
            meta,
            blocks,
            layout,
            cache: cache.clone(),
            keys: Mutex::new(None),
            vfs: vfs.clone(),
        })
    }

    /// What the log knows of the file.
    pub fn meta(&self) -> &Arc<SegmentMeta> {
        &self.meta
    }

    /// Rows a page; the last page may have fewer.
    pub fn page_rows(&self) -> u64 {
        self.layout.page_rows
    }

    /// About how many bytes of memory the open segment takes, caches excluded.
    pub fn memory_bytes(&self) -> usize {
        self.layout.metadata.memory_size() + self.meta.file.blocks.len() * 4
    }

    /// Splits the rows into at most `parts` ranges of positions of about equal size, cut between
    /// row groups, or between pages where there are too few.
    pub fn split(&self, parts: usize) -> Vec<Range<u64>> {
        let (rows, group, page) = (self.layout.rows, self.layout.group_rows, self.layout.page_rows);
        let parts = parts.max(1) as u64;
        let unit = if rows.div_ceil(group) >= parts * 2 { group } else { page };
        let units = rows.div_ceil(unit);
        let parts = parts.min(units);
        let cut = |part: u64| (units * part / parts * unit).min(rows);
        (0..parts).map(|part| cut(part)..cut(part + 1)).collect()
    }

    /// The filter over keys of these columns; None where the file has none that a key in today's
    /// types can ask. Encode keys with [`crate::spec::key::KeyEncoder`].
    pub fn key_filter(
        &self,
        schema: &TableSchema,
        columns: &[ColumnId],
    ) -> Result<Option<KeyFilter>> {
        Ok(self.key_file()?.and_then(|file| file.filter(schema, columns)))
    }

    /// Reads and verifies every byte of the file and its key filter.
    pub fn verify(&self) -> Result<()> {
        self.blocks.verify_all()?;
        match self.key_file()? {
            Some(keys) => keys.verify(),
            None => Ok(()),
        }
    }

    fn key_file(&self) -> Result<Option<Arc<KeyFile>>> {
        let Some(checksums) = &self.meta.keys else { return Ok(None) };
        let mut keys = self.keys.lock();
        if keys.is_none() {
            let path = format!("{SEGMENTS_DIR}/{}", self.meta.keys_name());
            let blocks = Blocks::open(&self.vfs, path, checksums.clone())?;
            *keys = Some(KeyFile::open(self.meta.id, blocks, self.cache.clone())?);
        }
        Ok(keys.clone())
    }

    /// A column of the file; None where the file was written without it.
    fn file_column(&self, id: ColumnId) -> Result<Option<usize>> {
        let id = field_id(id)?;
        Ok(self.layout.columns.iter().position(|c| c.id == id))
    }

    fn hidden_column(&self, id: i32) -> Result<usize> {
        self.layout.columns.iter().position(|c| c.id == id).ok_or_else(|| {
            let name = &self.layout.name;
            Error::new(ErrorKind::Corrupt, format!("file \"{name}\" lacks a hidden column"))
        })
    }

    /// One page of one column, from the cache or decoded into it.
    fn cached_page(
        &self,
        column: usize,
        page: u64,
        decode: impl FnOnce() -> Result<ArrayRef>,
    ) -> Result<ArrayRef> {
        let key = PageKey { segment: self.meta.id, column: column as u32, page: page as u32 };
        self.cache.page(key, decode)
    }

    /// One page of one column, as the file has it.
    fn page(&self, column: usize, page: u64) -> Result<ArrayRef> {
        self.cached_page(column, page, || {
            let group_pages = self.layout.group_pages();
            let file: &FileColumn = &self.layout.columns[column];
            let group = (page / group_pages) as usize;
            let mut stream = PageStream::open(&self.blocks, &self.layout, file, group)?;
            stream.read((page % group_pages) as usize, self.layout.rows_of(page) as usize)
        })
    }

    /// One page of one column as `projection` shows it, by way of `read` for what the file has.
    fn shown(
        &self,
        projection: &Projection,
        id: ColumnId,
        page: u64,
        read: impl FnOnce(usize) -> Result<ArrayRef>,
    ) -> Result<ArrayRef> {
        let shown = projection.column(id)?;
        let data_type = shown.data_type.arrow();
        if let Some(column) = self.file_column(id)? {
            return convert(&read(column)?, &data_type);
        }
        let rows = self.layout.rows_of(page) as usize;
        if shown.missing.is_none() {
            return Ok(new_null_array(&data_type, rows));
        }
        let repeated = take_rows(&shown.missing_value()?, &UInt64Array::from(vec![0; rows]), None);
        repeated.map_err(|e| {
            Error::new(ErrorKind::Internal, format!("column {id} has no default")).caused_by(e)
        })
    }

    /// `_commit` of one page.
    fn commits(
        &self,
        projection: &Projection,
        page: u64,
        read: impl FnOnce(usize) -> Result<ArrayRef>,
    ) -> Result<ArrayRef> {
        if self.meta.commit_stored {
            return read(self.hidden_column(COMMIT_FIELD_ID)?);
        }
        let rows = self.layout.rows_of(page) as usize;
        Ok(Arc::new(UInt64Array::from(vec![projection.constant_commit.0; rows])))
    }

    /// `_row_id` of one page.
    fn row_ids(&self, page: u64, read: impl FnOnce(usize) -> Result<ArrayRef>) -> Result<ArrayRef> {
        match self.meta.row_ids {
            RowIds::Stored => read(self.hidden_column(ROW_ID_FIELD_ID)?),
            RowIds::Sequential(first) => Ok(self.counted(first.0, page)),
        }
    }

    /// Numbers counted up from `first` at the file's first row, for one page.
    fn counted(&self, first: u64, page: u64) -> ArrayRef {
        let start = first + page * self.layout.page_rows;
        Arc::new(UInt64Array::from_iter_values(start..start + self.layout.rows_of(page)))
    }
}
