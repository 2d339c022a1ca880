//! New rows on their way into a table: few stay inline, many become sorted segments.
//!
//! Rows are gathered up to a bound of memory, sorted, checked against the keys there are and written
//! as one segment, while the next ones are gathered. There is no global sort: input that comes in
//! order gives segments that do not overlap.

use std::sync::Arc;
use std::thread::JoinHandle;

use arrow::array::{Array, ArrayRef, RecordBatch, UInt64Array};
use arrow::compute::concat_batches;
use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef};

use super::keys::{KeyBatch, check_distinct, keys_of};
use super::table::{ROW_ID, Table, TableSegment, UNCOMMITTED, internal};
use crate::error::{Error, ErrorKind, ObjectNames, Result};
use crate::memory::Account;
use crate::segment::{InlineRows, SegmentOptions, SegmentSpec, SegmentWriter, sort_batches};
use crate::spec::text::{TextFormatter, TextOptions};
use crate::spec::{RowId, RowIds, SegmentEntry, SegmentId, SegmentMeta, TableSchema, Type};

/// Fewer bytes than this, and fewer rows than the options say, are kept in the log.
pub const INLINE_BYTES: usize = 1 << 20;

/// When the keys of rows are checked against those there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KeyCheck {
    /// While they come: they are new rows.
    #[default]
    AsTheyCome,
    /// When the transaction takes them: what they replace is then gone.
    AtEnd,
    /// Never: the caller knows that no other row has them.
    Never,
}

/// Rows that were checked and written, not yet part of any version.
#[derive(Clone, Default)]
pub struct Loaded {
    /// Segments that were published.
    pub segments: Vec<Arc<SegmentMeta>>,
    /// What was too small for a segment.
    pub inline: Option<InlineRows>,
    /// Its keys, a batch for each enforced key.
    pub(super) inline_keys: Vec<KeyBatch>,
    /// Rows in all.
    pub rows: u64,
    /// What is still to be checked.
    pub(super) check: KeyCheck,
}

/// Gathers rows for one table.
pub struct Load {
    /// The table as the statement sees it, plus the segments this load has written.
    table: Table,
    /// How many segments the table had before.
    before: usize,
    schema: SchemaRef,
    gathered: Vec<RecordBatch>,
    gathered_rows: usize,
    gathered_bytes: usize,
    bound_bytes: usize,
    inline_rows: usize,
    in_order: bool,
    first_row: Option<RowId>,
    writing: Option<JoinHandle<Result<SegmentMeta>>>,
    loaded: Loaded,
}

impl Load {
    /// Begins to gather new rows for a table.
    pub fn new(table: &Table) -> Load {
        Load::checked(table, KeyCheck::AsTheyCome)
    }

    /// Begins to gather rows for a table.
    pub fn checked(table: &Table, check: KeyCheck) -> Load {
        let visible = table.schema.arrow();
        let mut fields: Vec<Arc<Field>> = visible.fields().iter().cloned().collect();
        fields.push(Arc::new(Field::new(ROW_ID, DataType::UInt64, false)));
        Load {
            table: table.clone(),
            before: table.segments.len(),
            schema: Arc::new(Schema::new(fields)),
            gathered: Vec::new(),
            gathered_rows: 0,
            gathered_bytes: 0,
            bound_bytes: table.store.shared.options.load_bytes,
            inline_rows: table.store.shared.options.inline_rows,
            in_order: true,
            first_row: None,
            writing: None,
            loaded: Loaded { check, ..Loaded::default() },
        }
    }

    /// Rows so far.
    pub fn rows(&self) -> u64 {
        self.loaded.rows
    }

    /// Rows that are in no segment yet.
    pub fn gathered_rows(&self) -> usize {
        self.gathered_rows
    }

    /// The segments written so far; waits for the one at work.
    ///
    /// # Errors
    /// Io, DiskFull.
    pub fn segments(&mut self) -> Result<&[TableSegment]> {
        self.join()?;
        Ok(&self.table.segments[self.before..])
    }

    /// Adds rows: the table's columns, in its order and types. Blocks while a segment is written.
    ///
    /// # Errors
    /// NotNullViolation; UniqueViolation of earlier rows.
    pub fn push(&mut self, batch: &RecordBatch) -> Result<()> {
        let first = self.table.store.reserve_row_ids(self.table.id(), batch.num_rows() as u64)?;
        let end = first + batch.num_rows() as u64;
        let ids = UInt64Array::from_iter_values(first..end);
        self.push_rows(batch, ids, true)
    }

    /// Adds new versions of rows that have ids.
    ///
    /// # Errors
    /// As [`Load::push`].
    pub fn push_versions(&mut self, batch: &RecordBatch, ids: UInt64Array) -> Result<()> {
        self.push_rows(batch, ids, false)
    }

    fn push_rows(&mut self, batch: &RecordBatch, ids: UInt64Array, fresh: bool) -> Result<()> {
        if batch.num_rows() == 0 {
            return Ok(());
        }
        check_not_null(&self.table.schema, batch)?;
        self.loaded.rows += batch.num_rows() as u64;
        self.in_order &= fresh;
        self.gathered_rows += batch.num_rows();
        self.gathered_bytes += batch.get_array_memory_size();
        let mut columns: Vec<ArrayRef> = batch.columns().to_vec();
        columns.push(Arc::new(ids));
        let batch = RecordBatch::try_new(Arc::clone(&self.schema), columns).map_err(internal)?;
        self.gathered.push(batch);
        if self.gathered_bytes >= self.bound_bytes { self.write_segment() } else { Ok(()) }
    }

    /// Ends the load.
    ///
    /// # Errors
    /// UniqueViolation; Io, DiskFull.
    pub fn finish(mut self) -> Result<Loaded> {
        let small = self.gathered_rows < self.inline_rows && self.gathered_bytes < INLINE_BYTES;
        let alone = self.loaded.segments.is_empty() && self.writing.is_none();
        if small && alone {
            self.keep_inline()?;
        } else if self.gathered_rows > 0 {
            self.write_segment()?;
        }
        self.join()?;
        Ok(self.loaded)
    }

    fn keep_inline(&mut self) -> Result<()> {
        if self.gathered_rows == 0 {
            return Ok(());
        }
        let all = concat_batches(&self.schema, &self.gathered).map_err(internal)?;
        let ids = row_ids(&all);
        let visible: Vec<usize> = (0..all.num_columns() - 1).collect();
        let batch = all.project(&visible).map_err(internal)?;
        self.loaded.inline_keys = keys_of(&self.table.schema, std::slice::from_ref(&batch))?;
        self.loaded.inline = Some(InlineRows {
            schema: self.table.schema.id,
            row_ids: ids.values().iter().map(|id| RowId(*id)).collect(),
            batch,
        });
        Ok(())
    }

    fn write_segment(&mut self) -> Result<()> {
        let gathered = std::mem::take(&mut self.gathered);
        let bytes = std::mem::take(&mut self.gathered_bytes);
        self.gathered_rows = 0;
        self.first_row = gathered.first().map(|b| RowId(row_ids(b).value(0)));
        let sorted = sort_batches(&self.table.schema, gathered)?;
        // The segment before is part of what this one's keys are checked against.
        self.join()?;
        let keyed = !self.table.schema.enforced_keys().is_empty();
        if self.loaded.check == KeyCheck::AsTheyCome && keyed {
            let keys = keys_of(&self.table.schema, &sorted)?;
            check_distinct(&self.table.schema, &keys)?;
            self.table.check_absent(&keys, &self.table.segments, crate::spec::CommitId(0))?;
        }
        let spec = self.spec(&sorted, bytes);
        let vfs = self.table.store.shared.vfs.clone();
        let work = move || {
            let stored = spec.row_ids == RowIds::Stored;
            let mut writer = SegmentWriter::create(&vfs, spec)?;
            for batch in sorted {
                let columns = batch.num_columns() - usize::from(!stored);
                let kept: Vec<usize> = (0..columns).collect();
                writer.write(&batch.project(&kept).map_err(internal)?)?;
            }
            writer.finish()
        };
        let thread = std::thread::Builder::new().name("segment-writer".into());
        let account = Account::current();
        self.writing = Some(thread.spawn(move || account.charge(work)).map_err(|cause| {
            Error::new(ErrorKind::Io, "a thread to write a segment could not start")
                .caused_by(cause)
        })?);
        Ok(())
    }

    fn spec(&self, sorted: &[RecordBatch], bytes: usize) -> SegmentSpec {
        let counts_up = self.in_order && {
            let mut next = self.first_row.map_or(0, |id| id.0);
            sorted.iter().all(|batch| {
                row_ids(batch).values().iter().all(|id| {
                    next += 1;
                    *id == next - 1
                })
            })
        };
        SegmentSpec {
            id: SegmentId(self.table.store.next_id()),
            epoch: self.table.store.shared.epoch,
            schema: Arc::clone(&self.table.schema),
            row_ids: match self.first_row {
                Some(first) if counts_up => RowIds::Sequential(first),
                _ => RowIds::Stored,
            },
            commit_stored: false,
            options: SegmentOptions { expected_bytes: bytes as u64 / 4, ..Default::default() },
        }
    }

    /// Waits for the segment that is being written.
    fn join(&mut self) -> Result<()> {
        let Some(thread) = self.writing.take() else { return Ok(()) };
        let meta = thread
            .join()
            .map_err(|_| Error::new(ErrorKind::Internal, "writing a segment panicked"))??;
        let meta = self.table.store.published(meta);
        self.loaded.segments.push(Arc::clone(&meta));
        let entry = SegmentEntry { segment: meta.id, commit: UNCOMMITTED, since: None };
        let segment = TableSegment { meta, entry, deleted: None, visibility: None };
        Arc::make_mut(&mut self.table.segments).push(segment);
        Ok(())
    }
}

fn row_ids(batch: &RecordBatch) -> &UInt64Array {
    let last = batch.column(batch.num_columns() - 1);
    last.as_any().downcast_ref().expect("gathered rows end in their ids")
}

/// # Errors
/// NotNullViolation.
pub fn check_not_null(schema: &TableSchema, batch: &RecordBatch) -> Result<()> {
    for (column, array) in schema.columns.iter().zip(batch.columns()) {
        if !column.not_null || array.null_count() == 0 {
            continue;
        }
        let row = (0..array.len()).find(|row| array.is_null(*row)).unwrap_or(0);
        return Err(Error::new(
            ErrorKind::NotNullViolation,
            format!(
                "null value in column \"{}\" of relation \"{}\" violates not-null constraint",
                column.name, schema.name
            ),
        )
        .detail(failing_row(batch, row))
        .about(ObjectNames {
            schema: Some(schema.namespace.clone()),
            table: Some(schema.name.clone()),
            column: Some(column.name.clone()),
            constraint: None,
        }));
    }
    Ok(())
}

/// What PostgreSQL says of a row that is refused.
pub fn failing_row(batch: &RecordBatch, row: usize) -> String {
    let options = TextOptions::default();
    let value = |(field, column): (&FieldRef, &ArrayRef)| {
        if column.is_null(row) {
            return "null".to_owned();
        }
        let of = Type::of_field(field).unwrap_or(Type::Text);
        let mut text = Vec::new();
        if let Ok(formatter) = TextFormatter::new(&of, column.as_ref(), &options) {
            formatter.write(row, &mut text);
        }
        String::from_utf8_lossy(&text).into_owned()
    };
    let fields = batch.schema_ref().fields().iter();
    let values: Vec<String> = fields.zip(batch.columns()).map(value).collect();
    format!("Failing row contains ({}).", values.join(", "))
}
