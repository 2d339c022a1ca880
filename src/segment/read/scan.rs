//! Many rows: page after page, the filter's columns first.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};
use std::ops::Range;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, BooleanBufferBuilder};
use arrow::buffer::BooleanBuffer;
use arrow::compute::{BatchCoalescer, FilterBuilder, FilterPredicate, filter as filter_rows};
use arrow::datatypes::{Schema, SchemaRef, UInt64Type};
use arrow::error::ArrowError;
use arrow::record_batch::{RecordBatch, RecordBatchOptions};

use super::pages::PageStream;
use super::{ScanRequest, Segment};
use crate::error::{Error, ErrorKind, Result};
use crate::spec::ColumnId;

/// Pages whose statistics are put to a filter at once: enough to make a call cheap, few enough that
/// a filter that learns while the query runs is asked again.
const PRUNE_PAGES: u64 = 256;

/// The batches of a scan, in the order of positions.
pub struct Scan {
    segment: Arc<Segment>,
    request: Arc<ScanRequest>,
    schema: SchemaRef,
    filter_schema: SchemaRef,
    rows: Range<u64>,
    /// The next page, and the end of those that were put to the filter.
    page: u64,
    pruned_to: u64,
    /// Whether each of the pages up to `pruned_to` may have rows, from `page` on.
    may_match: VecDeque<bool>,
    group: u64,
    streams: HashMap<usize, PageStream>,
    /// What was decoded of the page at hand, by column of the file.
    decoded: HashMap<usize, ArrayRef>,
    small: BatchCoalescer,
    batch_rows: usize,
    ready: VecDeque<RecordBatch>,
    left: usize,
    done: bool,
}

impl Segment {
    /// Reads many rows. The scan keeps the segment open by itself, and reads when it is asked for a
    /// batch; after an error it ends.
    pub fn scan(self: &Arc<Self>, request: ScanRequest) -> Result<Scan> {
        let schema = request.projection.arrow()?;
        let filter_columns = request.filter.as_ref().map_or(&[][..], |f| f.columns());
        let filter_schema = Arc::new(Schema::new(request.projection.fields(filter_columns)?));
        let rows = request.rows.clone().unwrap_or(0..self.layout.rows);
        let rows = rows.start..rows.end.min(self.layout.rows);
        let page = rows.start / self.layout.page_rows;
        // Wide rows have short pages: a batch of many such pages would be too large.
        let batch_rows = request.batch_rows.clamp(1, self.layout.page_rows as usize);
        Ok(Scan {
            small: BatchCoalescer::new(schema.clone(), batch_rows),
            left: request.limit.unwrap_or(usize::MAX),
            segment: self.clone(),
            request: Arc::new(request),
            schema,
            filter_schema,
            rows,
            page,
            pruned_to: page,
            may_match: VecDeque::new(),
            group: u64::MAX,
            streams: HashMap::new(),
            decoded: HashMap::new(),
            batch_rows,
            ready: VecDeque::new(),
            done: false,
        })
    }
}

impl Iterator for Scan {
    type Item = Result<RecordBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.left == 0 || self.done {
            return None;
        }
        match self.advance() {
            Ok(Some(mut batch)) => {
                if batch.num_rows() > self.left {
                    batch = batch.slice(0, self.left);
                }
                self.left -= batch.num_rows();
                Some(Ok(batch))
            }
            Ok(None) => {
                self.done = true;
                None
            }
            Err(e) => {
                self.done = true;
                Some(Err(e))
            }
        }
    }
}

impl Scan {
    /// The schema of the batches.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn advance(&mut self) -> Result<Option<RecordBatch>> {
        loop {
            if let Some(batch) = self.ready.pop_front() {
                return Ok(Some(batch));
            }
            let Some(page) = self.next_page()? else {
                self.small.finish_buffered_batch().map_err(broken)?;
                return Ok(self.small.next_completed_batch());
            };
            if let Some(batch) = self.read_page(page)? {
                self.emit(batch)?;
            }
        }
    }

    /// Large batches go out as they are, small ones are put together first.
    fn emit(&mut self, batch: RecordBatch) -> Result<()> {
        let rows = batch.num_rows();
        if batch.num_columns() == 0 || (self.small.is_empty() && rows * 2 >= self.batch_rows) {
            let starts = (0..rows).step_by(self.batch_rows);
            let slice = |start| batch.slice(start, self.batch_rows.min(rows - start));
            self.ready.extend(starts.map(slice));
            return Ok(());
        }
        self.small.push_batch(batch).map_err(broken)?;
        while let Some(batch) = self.small.next_completed_batch() {
            self.ready.push_back(batch);
        }
        Ok(())
    }

    /// The next page that may have rows.
    fn next_page(&mut self) -> Result<Option<u64>> {
        loop {
            let page = self.page;
            if self.rows.is_empty() || page * self.segment.layout.page_rows >= self.rows.end {
                return Ok(None);
            }
            if page == self.pruned_to {
                self.prune()?;
            }
            self.page += 1;
            let asked = self.request.pages.as_ref().is_none_or(|pages| pages.contains(page as u32));
            if self.may_match.pop_front() == Some(true) && asked {
                return Ok(Some(page));
            }
        }
    }

    /// Puts the statistics of the pages ahead to the filter.
    fn prune(&mut self) -> Result<()> {
        let end = self.rows.end.div_ceil(self.segment.layout.page_rows);
        let pages = self.page..end.min(self.page + PRUNE_PAGES);
        let count = (pages.end - pages.start) as usize;
        self.pruned_to = pages.end;
        self.may_match = match &self.request.filter {
            None => vec![true; count].into(),
            Some(filter) => {
                let projection = &self.request.projection;
                let statistics = self.segment.statistics(projection, filter.columns(), pages)?;
                let answer = filter.may_match(&statistics)?;
                if answer.len() != count {
                    let what = "a filter answered for another number of pages";
                    return Err(Error::new(ErrorKind::Internal, what));
                }
                answer.into()
            }
        };
        Ok(())
    }

    /// The rows of one page that are wanted; None where there are none.
    fn read_page(&mut self, page: u64) -> Result<Option<RecordBatch>> {
        self.decoded.clear();
        let mut wanted = self.positions_wanted(page);
        self.keep_visible(page, &mut wanted)?;
        self.keep_filtered(page, &mut wanted)?;
        let rows = wanted.count_set_bits();
        if rows == 0 {
            return Ok(None);
        }
        let columns = self.columns(page)?;
        let columns = match rows == wanted.len() {
            true => columns,
            false => {
                let mask = FilterBuilder::new(&BooleanArray::from(wanted)).optimize().build();
                let pick = |array: &ArrayRef| pick(&mask, array);
                columns.iter().map(pick).collect::<Result<_>>()?
            }
        };
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        RecordBatch::try_new_with_options(self.schema.clone(), columns, &options)
            .map(Some)
            .map_err(broken)
    }

    /// Which rows of a page lie in the range asked for and are not deleted.
    fn positions_wanted(&self, page: u64) -> BooleanBuffer {
        let start = page * self.segment.layout.page_rows;
        let end = start + self.segment.layout.rows_of(page);
        let mut wanted = BooleanBufferBuilder::new((end - start) as usize);
        let (from, to) = (self.rows.start.clamp(start, end), self.rows.end.clamp(start, end));
        wanted.append_n((from - start) as usize, false);
        wanted.append_n((to - from) as usize, true);
        wanted.append_n((end - to) as usize, false);
        if let Some(deleted) = &self.request.deleted {
            // Positions are 32-bit: the writer refuses longer segments.
            for position in deleted.range(start as u32..=(end - 1) as u32) {
                wanted.set_bit((u64::from(position) - start) as usize, false);
            }
        }
        wanted.finish()
    }

    fn keep_visible(&mut self, page: u64, wanted: &mut BooleanBuffer) -> Result<()> {
        let request = self.request.clone();
        let Some(visibility) = &request.visibility else { return Ok(()) };
        if wanted.count_set_bits() == 0 {
            return Ok(());
        }
        let segment = self.segment.clone();
        let commits =
            segment.commits(&request.projection, page, |column| self.stored(column, page))?;
        let row_ids = segment.row_ids(page, |column| self.stored(column, page))?;
        let visible = visibility
            .visible(commits.as_primitive::<UInt64Type>(), row_ids.as_primitive::<UInt64Type>());
        if visible.len() != wanted.len() {
            let what = "row visibility was told for another number of rows";
            return Err(Error::new(ErrorKind::Internal, what));
        }
        *wanted = &*wanted & &visible;
        Ok(())
    }

    /// Applies the filter to the rows that are left, so that it never sees a deleted one.
    fn keep_filtered(&mut self, page: u64, wanted: &mut BooleanBuffer) -> Result<()> {
        let request = self.request.clone();
        let Some(filter) = &request.filter else { return Ok(()) };
        let rows = wanted.count_set_bits();
        if rows == 0 {
            return Ok(());
        }
        let mask = BooleanArray::new(wanted.clone(), None);
        let mut columns = Vec::with_capacity(filter.columns().len());
        for id in filter.columns() {
            let array = self.shown(*id, page)?;
            columns.push(match rows == wanted.len() {
                true => array,
                false => filter_rows(&array, &mask).map_err(broken)?,
            });
        }
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        let schema = self.filter_schema.clone();
        let batch = RecordBatch::try_new_with_options(schema, columns, &options);
        let kept = filter.keep(&batch.map_err(broken)?)?;
        if kept.len() != rows {
            let what = "a filter answered for another number of rows";
            return Err(Error::new(ErrorKind::Internal, what));
        }
        *wanted = narrow(wanted, &kept);
        Ok(())
    }

    /// All rows of a page, in the columns asked for.
    fn columns(&mut self, page: u64) -> Result<Vec<ArrayRef>> {
        let request = self.request.clone();
        let segment = self.segment.clone();
        let projection = &request.projection;
        let mut columns = Vec::with_capacity(self.schema.fields().len());
        for &id in &projection.columns {
            columns.push(self.shown(id, page)?);
        }
        if projection.commit {
            columns.push(segment.commits(projection, page, |column| self.stored(column, page))?);
        }
        if projection.row_id {
            columns.push(segment.row_ids(page, |column| self.stored(column, page))?);
        }
        if projection.position {
            columns.push(segment.counted(0, page));
        }
        Ok(columns)
    }

    fn shown(&mut self, id: ColumnId, page: u64) -> Result<ArrayRef> {
        let (request, segment) = (self.request.clone(), self.segment.clone());
        segment.shown(&request.projection, id, page, |column| self.stored(column, page))
    }

    /// One page of one column, decoded once.
    fn stored(&mut self, column: usize, page: u64) -> Result<ArrayRef> {
        if let Some(array) = self.decoded.get(&column) {
            return Ok(array.clone());
        }
        let array = match self.request.cached {
            true => {
                let segment = self.segment.clone();
                segment.cached_page(column, page, || self.decode(column, page))?
            }
            false => self.decode(column, page)?,
        };
        self.decoded.insert(column, array.clone());
        Ok(array)
    }

    fn decode(&mut self, column: usize, page: u64) -> Result<ArrayRef> {
        let layout = &self.segment.layout;
        let group = page / layout.group_pages();
        if self.group != group {
            self.group = group;
            self.streams.clear();
        }
        let stream = match self.streams.entry(column) {
            Entry::Occupied(stream) => stream.into_mut(),
            Entry::Vacant(place) => {
                let (blocks, file) = (&self.segment.blocks, &layout.columns[column]);
                place.insert(PageStream::open(blocks, layout, file, group as usize)?)
            }
        };
        let page_in_group = (page % layout.group_pages()) as usize;
        stream.read(page_in_group, layout.rows_of(page) as usize)
    }
}

/// The rows of `wanted` that the filter, which saw only those, kept.
fn narrow(wanted: &BooleanBuffer, kept: &BooleanArray) -> BooleanBuffer {
    let kept = match kept.nulls() {
        Some(nulls) => kept.values() & nulls.inner(),
        None => kept.values().clone(),
    };
    if kept.len() == wanted.len() {
        return kept;
    }
    let mut out = BooleanBufferBuilder::new(wanted.len());
    out.append_n(wanted.len(), false);
    for (row, keep) in wanted.set_indices().zip(&kept) {
        out.set_bit(row, keep);
    }
    out.finish()
}

fn pick(mask: &FilterPredicate, array: &ArrayRef) -> Result<ArrayRef> {
    mask.filter(array).map_err(broken)
}

fn broken(error: ArrowError) -> Error {
    Error::new(ErrorKind::Internal, "a scan's batch cannot be put together").caused_by(error)
}
