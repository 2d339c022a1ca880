//! Writing one segment: aligned pages, checksums made on the way, the publish protocol.
//!
//! Rows are held back until a row group is full (or the writer is finished), because what they look
//! like decides the page rows and the encodings of the whole file. Then they go to Parquet's writer
//! in slices of exactly the page rows: it looks at a page's size only between slices, so all columns
//! cut their pages at the same rows. A file whose pages do not line up is never published.

mod encoding;
mod publish;
mod statistics;

use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::compute::BatchCoalescer;
use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use parquet::arrow::ArrowWriter;
use parquet::file::metadata::KeyValue;

use self::publish::{Published, Unpublished};
use super::blocks::write_error;
use super::columns::{convert, file_schema};
use super::keys::{KeyFilterBuilder, key_file};
use super::read::layout::{FORMAT, FORMAT_KEY, LONG_KEY, Layout};
use crate::error::{Error, ErrorKind, Result};
use crate::spec::key::KeyEncoder;
use crate::spec::{ColumnId, RowIds, SegmentId, SegmentMeta, TableSchema};
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
    /// Whether rows carry `_until` behind all other columns: dead rows, kept for readers of the past.
    pub until_stored: bool,
}

impl Default for SegmentOptions {
    fn default() -> Self {
        SegmentOptions {
            compression_level: 1,
            page_rows: 8192,
            row_group_rows: 131_072,
            expected_bytes: 0,
            until_stored: false,
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

/// Rows are held back up to so many bytes.
const HELD_BYTES: usize = 64 << 20;

/// Writes one segment. Dropped before [`SegmentWriter::finish`], it leaves nothing.
pub struct SegmentWriter {
    spec: SegmentSpec,
    vfs: Vfs,
    file_schema: SchemaRef,
    file: Option<Unpublished>,
    held: Vec<RecordBatch>,
    held_bytes: usize,
    pages: Option<Pages>,
    keys: Vec<Key>,
    facts: statistics::Facts,
    rows: u64,
}

/// The file once its encodings are decided.
struct Pages {
    writer: ArrowWriter<Unpublished>,
    slices: BatchCoalescer,
    page_rows: usize,
}

struct Key {
    positions: Vec<usize>,
    encoder: KeyEncoder,
    filter: KeyFilterBuilder,
}

impl SegmentWriter {
    /// Starts a file in the folder of temporary files, which must exist ([`super::make_dirs`]).
    pub fn create(vfs: &Vfs, spec: SegmentSpec) -> Result<SegmentWriter> {
        let until_stored = spec.options.until_stored;
        let file_schema =
            file_schema(&spec.schema, spec.row_ids, spec.commit_stored, until_stored)?;
        let keys = Key::of_table(&spec.schema)?;
        let name = format!("e{}-{}.parquet", spec.epoch, spec.id);
        let file = Unpublished::create(vfs, &name, spec.options.expected_bytes)?;
        Ok(SegmentWriter {
            facts: statistics::Facts::new(&file_schema),
            vfs: vfs.clone(),
            file_schema,
            file: Some(file),
            held: Vec::new(),
            held_bytes: 0,
            pages: None,
            keys,
            rows: 0,
            spec,
        })
    }

    /// Adds rows, which are in the segment order already ([`super::sort_batches`]): the schema's
    /// columns by position, then `_commit` and `_row_id` (`UInt64`) as far as they are stored.
    pub fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        if batch.num_rows() == 0 {
            return Ok(());
        }
        self.rows += batch.num_rows() as u64;
        // Positions are 32-bit in deletion vectors.
        if u32::try_from(self.rows).is_err() {
            let what = format!("{} rows in one segment", self.rows);
            return Err(Error::new(ErrorKind::LimitExceeded, what));
        }
        for key in &mut self.keys {
            key.add(batch)?;
        }
        let batch = self.to_file(batch)?;
        self.facts.add(&batch);
        if self.pages.is_some() {
            return self.push(&batch);
        }
        self.held_bytes += batch.columns().iter().map(|c| encoding::value_bytes(c)).sum::<usize>();
        self.held.push(batch);
        let held_rows = self.rows as usize;
        if held_rows >= self.spec.options.row_group_rows || self.held_bytes >= HELD_BYTES {
            self.decide()?;
        }
        Ok(())
    }

    /// How many rows were added.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Publishes the file and the key filter beside it: synced, read back, renamed, folder synced.
    /// A segment without rows is [`ErrorKind::Internal`].
    pub fn finish(mut self) -> Result<SegmentMeta> {
        if self.rows == 0 {
            return Err(Error::new(ErrorKind::Internal, "a segment has at least one row"));
        }
        if self.pages.is_none() {
            self.decide()?;
        }
        let name = self.file_name();
        let mut pages = self.pages.take().expect("decided above");
        pages.slices.finish_buffered_batch().map_err(|e| unwritable(&name, e))?;
        pages.write_slices(&name)?;
        let long = KeyValue::new(LONG_KEY.to_owned(), self.facts.long_columns());
        pages.writer.append_key_value_metadata(long);
        let file = pages.writer.into_inner().map_err(|e| write_error(&name, e))?;
        self.vfs.point("seg.close")?;
        self.publish(file)
    }

    fn publish(self, file: Unpublished) -> Result<SegmentMeta> {
        let parquet = file.close()?;
        let keys = match self.keys.is_empty() {
            false => {
                let name = format!("e{}-{}.keys", self.spec.epoch, self.spec.id);
                let mut file = Unpublished::create(&self.vfs, &name, 0)?;
                let filters = self.keys.into_iter().map(|key| key.filter).collect();
                file.write_all_bytes(&key_file(filters))?;
                Some(file.close()?)
            }
            true => None,
        };
        let mut meta = SegmentMeta {
            id: self.spec.id,
            epoch: self.spec.epoch,
            table: self.spec.schema.table,
            schema: self.spec.schema.id,
            rows: self.rows,
            order: self.spec.schema.order(),
            row_ids: self.spec.row_ids,
            commit_stored: self.spec.commit_stored,
            file: parquet.checksums().clone(),
            keys: keys.as_ref().map(|k| k.checksums().clone()),
            statistics: Vec::new(),
        };
        // The filter first: a segment with its final name has all it needs.
        let mut files: Vec<Published> = keys.into_iter().chain([parquet]).collect();
        for file in &mut files {
            file.sync()?;
        }
        for file in &files {
            file.read_back()?;
        }
        let last = files.last().expect("the segment itself");
        let layout = Layout::open(&last.blocks()?, &meta)?;
        meta.statistics = self.facts.statistics(&self.spec.schema, &layout)?;
        publish::publish(&self.vfs, files)?;
        Ok(meta)
    }

    /// Chooses the page rows and the encodings from the rows held back, and writes these.
    fn decide(&mut self) -> Result<()> {
        let name = self.file_name();
        let options = &self.spec.options;
        let page_rows = encoding::page_rows(&self.held, options.page_rows);
        let group_rows = (options.row_group_rows / page_rows).max(1) * page_rows;
        let order = self.spec.schema.order();
        let sorted: Vec<usize> =
            order.iter().filter_map(|id| self.spec.schema.position(*id)).collect();
        let properties = encoding::Properties {
            level: options.compression_level,
            page_rows,
            group_rows,
            sorted: &sorted,
        };
        let properties = properties.build(&self.file_schema, &self.held)?;
        let file = self.file.take().expect("encodings are decided once");
        let mut writer = ArrowWriter::try_new(file, self.file_schema.clone(), Some(properties))
            .map_err(|e| write_error(&name, e))?;
        writer.append_key_value_metadata(KeyValue::new(FORMAT_KEY.to_owned(), FORMAT.to_owned()));
        let slices = BatchCoalescer::new(self.file_schema.clone(), page_rows);
        self.pages = Some(Pages { writer, slices, page_rows });
        self.held_bytes = 0;
        for batch in std::mem::take(&mut self.held) {
            self.push(&batch)?;
        }
        Ok(())
    }

    fn push(&mut self, batch: &RecordBatch) -> Result<()> {
        let name = self.file_name();
        self.pages.as_mut().expect("rows are held back until decided").push(batch, &name)
    }

    fn to_file(&self, batch: &RecordBatch) -> Result<RecordBatch> {
        let fields = self.file_schema.fields();
        let wrong =
            |e| Error::new(ErrorKind::Internal, "rows are not of the segment's shape").caused_by(e);
        let pairs = batch.columns().iter().zip(fields);
        let columns: Vec<ArrayRef> = pairs
            .map(|(column, field)| convert(column, field.data_type()))
            .collect::<Result<_>>()?;
        RecordBatch::try_new(self.file_schema.clone(), columns).map_err(wrong)
    }

    fn file_name(&self) -> String {
        format!("e{}-{}.parquet", self.spec.epoch, self.spec.id)
    }
}

/// The largest slice of one column that Parquet's 32-bit page sizes hold with room to spare.
const SLICE_BYTES_MAX: usize = 1 << 30;

impl Pages {
    /// Adds rows. Whole slices are written without being copied.
    fn push(&mut self, batch: &RecordBatch, name: &str) -> Result<()> {
        let mut start = 0;
        if self.slices.is_empty() {
            while batch.num_rows() - start >= self.page_rows {
                self.write_slice(&batch.slice(start, self.page_rows), name)?;
                start += self.page_rows;
            }
        }
        let rest = batch.slice(start, batch.num_rows() - start);
        if rest.num_rows() > 0 {
            self.slices.push_batch(rest).map_err(|e| unwritable(name, e))?;
        }
        self.write_slices(name)
    }

    fn write_slices(&mut self, name: &str) -> Result<()> {
        while let Some(slice) = self.slices.next_completed_batch() {
            self.write_slice(&slice, name)?;
        }
        Ok(())
    }

    fn write_slice(&mut self, slice: &RecordBatch, name: &str) -> Result<()> {
        if slice.columns().iter().any(|c| encoding::value_bytes(c) > SLICE_BYTES_MAX) {
            let rows = slice.num_rows();
            let what = format!("{rows} neighbouring rows have more than 1 GiB in one column");
            return Err(Error::new(ErrorKind::LimitExceeded, what));
        }
        self.writer.write(slice).map_err(|e| write_error(name, e))
    }
}

impl Key {
    /// The primary key, enforced or not, and the other keys that are.
    fn of_table(schema: &TableSchema) -> Result<Vec<Key>> {
        let primary = schema.primary_key.iter().map(|key| key.columns.as_slice());
        let others = schema.unique.iter().filter(|key| key.enforced);
        let keys = primary.chain(others.map(|key| key.columns.as_slice()));
        keys.map(|columns| Key::new(schema, columns)).collect()
    }

    fn new(schema: &TableSchema, columns: &[ColumnId]) -> Result<Key> {
        let missing = |id: &ColumnId| {
            Error::new(ErrorKind::Internal, format!("key column {id} is not in the table"))
        };
        let position = |id: &ColumnId| schema.position(*id).ok_or_else(|| missing(id));
        let positions: Vec<usize> = columns.iter().map(position).collect::<Result<_>>()?;
        let types: Vec<_> =
            positions.iter().map(|p| schema.columns[*p].data_type.clone()).collect();
        let encoder = KeyEncoder::new(&types)?;
        Ok(Key { positions, encoder, filter: KeyFilterBuilder::new(schema, columns)? })
    }

    fn add(&mut self, batch: &RecordBatch) -> Result<()> {
        let arrays: Vec<ArrayRef> =
            self.positions.iter().map(|p| batch.column(*p).clone()).collect();
        self.encoder.encode(&arrays)?.iter().for_each(|key| self.filter.add(key));
        Ok(())
    }
}

fn unwritable(name: &str, error: arrow::error::ArrowError) -> Error {
    Error::new(ErrorKind::Internal, format!("cannot write \"{name}\"")).caused_by(error)
}
