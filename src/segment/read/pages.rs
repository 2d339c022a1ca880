//! Decoding pages: one column of one row group at a time, only the pages asked for.

use std::collections::VecDeque;
use std::sync::Arc;

use arrow::array::ArrayRef;
use parking_lot::Mutex;
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, RowGroups};
use parquet::column::page::{Page, PageIterator, PageMetadata, PageReader};
use parquet::errors::Result as ParquetResult;
use parquet::file::metadata::{ParquetMetaData, RowGroupMetaData};
use parquet::file::serialized_reader::SerializedPageReader;

use super::super::blocks::{BlockReader, Blocks, damaged, parquet_error};
use super::layout::{FileColumn, Layout};
use crate::error::{Error, Result};

/// Decodes pages of one column of one row group, forwards. The dictionary is decoded once.
pub(super) struct PageStream {
    name: String,
    reader: ParquetRecordBatchReader,
    next: Arc<Mutex<Next>>,
}

/// What the stream and the page reader inside Parquet's decoder share.
#[derive(Default)]
struct Next {
    /// The page to hand out, counted from the row group's first.
    page: Option<usize>,
    /// An error of ours on its way out: Parquet's readers keep only its text.
    error: Option<Error>,
}

impl PageStream {
    /// Starts before the first page of the row group.
    pub fn open(
        blocks: &Arc<Blocks>,
        layout: &Layout,
        column: &FileColumn,
        group: usize,
    ) -> Result<PageStream> {
        let next = Arc::new(Mutex::new(Next::default()));
        let source = OneGroup { blocks, layout, group, next: &next };
        let rows = layout.page_rows as usize;
        let reader =
            ParquetRecordBatchReader::try_new_with_row_groups(&column.levels, &source, rows, None);
        let reader = reader.map_err(|e| parquet_error(&layout.name, e))?;
        Ok(PageStream { name: layout.name.clone(), reader, next })
    }

    /// Decodes one page, which must lie behind the last one decoded. It has `rows` rows.
    pub fn read(&mut self, page: usize, rows: usize) -> Result<ArrayRef> {
        self.next.lock().page = Some(page);
        let batch = match self.reader.next() {
            Some(Ok(batch)) => batch,
            Some(Err(e)) => {
                let ours = self.next.lock().error.take();
                return Err(
                    ours.unwrap_or_else(|| damaged(&self.name, "cannot be decoded").caused_by(e))
                );
            }
            None => return Err(damaged(&self.name, "has fewer rows than its page index says")),
        };
        match batch.num_rows() == rows {
            true => Ok(batch.column(0).clone()),
            false => Err(damaged(&self.name, "has a page of another length than its index says")),
        }
    }
}

/// One row group, as Parquet's decoder wants to see it.
struct OneGroup<'a> {
    blocks: &'a Arc<Blocks>,
    layout: &'a Layout,
    group: usize,
    next: &'a Arc<Mutex<Next>>,
}

impl RowGroups for OneGroup<'_> {
    fn num_rows(&self) -> usize {
        self.layout.metadata.row_group(self.group).num_rows() as usize
    }

    fn column_chunks(&self, leaf: usize) -> ParquetResult<Box<dyn PageIterator>> {
        let chunk = self.layout.metadata.row_group(self.group).column(leaf);
        let index = self.layout.metadata.offset_index().expect("a layout has a page index");
        let pages = index[self.group][leaf].page_locations().clone();
        let source = Arc::new(BlockReader(self.blocks.clone()));
        let inner = SerializedPageReader::new(source, chunk, self.num_rows(), Some(pages))?;
        let reader =
            ChosenPages { name: self.layout.name.clone(), inner, at: 0, next: self.next.clone() };
        Ok(Box::new(OneChunk(VecDeque::from([reader]))))
    }

    fn row_groups(&self) -> Box<dyn Iterator<Item = &RowGroupMetaData> + '_> {
        Box::new(std::iter::once(self.layout.metadata.row_group(self.group)))
    }

    fn metadata(&self) -> &ParquetMetaData {
        &self.layout.metadata
    }
}

struct OneChunk(VecDeque<ChosenPages>);

impl Iterator for OneChunk {
    type Item = ParquetResult<Box<dyn PageReader>>;

    fn next(&mut self) -> Option<Self::Item> {
        self.0.pop_front().map(|reader| Ok(Box::new(reader) as Box<dyn PageReader>))
    }
}

impl PageIterator for OneChunk {}

/// Hands out the dictionary and the one page asked for; to the decoder everything between was never
/// there.
struct ChosenPages {
    name: String,
    inner: SerializedPageReader<BlockReader>,
    /// The data page that `inner` is before.
    at: usize,
    next: Arc<Mutex<Next>>,
}

impl ChosenPages {
    fn advance(&mut self) -> ParquetResult<Option<Page>> {
        match self.inner.peek_next_page()? {
            Some(page) if page.is_dict => return self.inner.get_next_page(),
            Some(_) => {}
            None => return Ok(None),
        }
        let Some(page) = self.next.lock().page.take() else { return Ok(None) };
        while self.at < page {
            self.inner.skip_next_page()?;
            self.at += 1;
        }
        self.at += 1;
        self.inner.get_next_page()
    }
}

impl PageReader for ChosenPages {
    fn get_next_page(&mut self) -> ParquetResult<Option<Page>> {
        self.advance().map_err(|e| {
            let ours = parquet_error(&self.name, e);
            let text = ours.to_string();
            self.next.lock().error = Some(ours);
            parquet::errors::ParquetError::General(text)
        })
    }

    fn peek_next_page(&mut self) -> ParquetResult<Option<PageMetadata>> {
        self.inner.peek_next_page()
    }

    fn skip_next_page(&mut self) -> ParquetResult<()> {
        self.at += 1;
        self.inner.skip_next_page()
    }

    /// Pages are cut between rows, also inside lists.
    fn at_record_boundary(&mut self) -> ParquetResult<bool> {
        Ok(true)
    }
}

impl Iterator for ChosenPages {
    type Item = ParquetResult<Page>;

    fn next(&mut self) -> Option<Self::Item> {
        self.get_next_page().transpose()
    }
}
