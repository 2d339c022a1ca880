//! One table at one version: its shape, its segments with what was deleted from them, and its inline
//! rows. A value: nothing about it changes after it was made.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use arrow::array::{Array, ArrayRef, BooleanArray, RecordBatch, UInt64Array};
use arrow::compute::{CastOptions, cast_with_options, filter_record_batch, take};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use roaring::RoaringBitmap;

use super::Store;
use super::keys::KeyMaps;
use super::readers::Guard;
use crate::error::{Error, ErrorKind, Result};
use crate::log::deletes::Deletes;
use crate::segment::{InlineRows, RowVisibility};
use crate::spec::{
    CommitId, RowId, SegmentEntry, SegmentId, SegmentMeta, TableId, TableSchema, TableVersion,
    Value,
};

/// The hidden columns that name a row version and its place.
pub use crate::segment::{COMMIT_NAME as COMMIT, POSITION_NAME as POSITION, ROW_ID_NAME as ROW_ID};

/// The hidden column that says which segment a row lies in; NULL for inline rows.
pub const SEGMENT: &str = "_segment";

/// The `_commit` of rows that no commit has made yet.
pub const UNCOMMITTED: CommitId = CommitId(u64::MAX);

/// One segment of a table, and which of its rows are gone.
#[derive(Clone, Debug)]
pub struct TableSegment {
    /// The file.
    pub meta: Arc<SegmentMeta>,
    /// How this version of the table names it.
    pub entry: SegmentEntry,
    /// Positions that are deleted.
    pub deleted: Option<Arc<RoaringBitmap>>,
    /// Which rows count, where that depends on what they are and not on where they lie: of a folded
    /// file, whose rows have no positions to those who delete.
    pub visibility: Option<Arc<dyn RowVisibility>>,
}

impl TableSegment {
    /// Living rows; of a folded file all rows.
    pub fn rows(&self) -> u64 {
        self.meta.rows - self.deleted.as_ref().map_or(0, |d| d.len())
    }

    /// Which file begins with the lower value in the leading column of its order.
    pub fn compare_starts(&self, other: &TableSegment) -> Ordering {
        compare(self.bounds().0, other.bounds().0)
    }

    /// Whether every row comes before every row of another file. Equal bounds do not tell.
    pub fn is_before(&self, other: &TableSegment) -> bool {
        let leading = self.meta.order.first().and_then(|c| self.meta.statistics_of(*c));
        let exact = leading.is_some_and(|s| s.exact);
        let (Some(max), Some(min)) = (self.bounds().1, other.bounds().0) else { return false };
        exact && self.meta.order == other.meta.order && compare(Some(max), Some(min)).is_lt()
    }

    /// The bounds of the leading column of the file's order.
    fn bounds(&self) -> (Option<&Value>, Option<&Value>) {
        let leading = self.meta.order.first().and_then(|c| self.meta.statistics_of(*c));
        leading.map_or((None, None), |s| (s.min.as_ref(), s.max.as_ref()))
    }
}

fn compare(a: Option<&Value>, b: Option<&Value>) -> Ordering {
    match (a, b) {
        (Some(Value::Int(a)), Some(Value::Int(b))) => a.cmp(b),
        (Some(Value::Decimal(a)), Some(Value::Decimal(b))) => a.cmp(b),
        (Some(Value::Bytes(a)), Some(Value::Bytes(b))) => a.cmp(b),
        (Some(Value::Bool(a)), Some(Value::Bool(b))) => a.cmp(b),
        // Floats would need NaN and -0.0 put in order; they seldom lead a key.
        _ => Ordering::Equal,
    }
}

impl std::fmt::Debug for Table {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Table({}, {} rows)", self.schema.name, self.rows)
    }
}

/// A table at one version.
#[derive(Clone)]
pub struct Table {
    pub(super) store: Store,
    pub(super) schema: Arc<TableSchema>,
    /// The record it was read from; a table that a transaction made has none yet.
    pub(super) record: Option<Arc<TableVersion>>,
    pub(super) segments: Arc<Vec<TableSegment>>,
    pub(super) deletes: Arc<Deletes>,
    /// Whose inline batches its ranges name: its own, or of the table that it will be a clone of.
    pub(super) lines_of: TableId,
    /// Rows of a transaction that has not committed.
    pub(super) pending: Arc<Vec<InlineRows>>,
    /// Built when first asked for, handed on from commit to commit.
    pub(super) inline_keys: Arc<OnceLock<KeyMaps>>,
    pub(super) rows: u64,
    /// Keeps what the table lies in, where a snapshot gave it.
    pub(super) _guard: Option<Arc<Guard>>,
}

/// What is kept of a table between statements. It must not name the store, which keeps it: they would
/// hold each other, and the folder would never be released.
#[derive(Clone)]
pub(super) struct TableState {
    schema: Arc<TableSchema>,
    record: Option<Arc<TableVersion>>,
    segments: Arc<Vec<TableSegment>>,
    deletes: Arc<Deletes>,
    inline_keys: Arc<OnceLock<KeyMaps>>,
    rows: u64,
}

impl TableState {
    /// The table again.
    pub(super) fn table(self, store: &Store, guard: Option<&Arc<Guard>>) -> Table {
        Table {
            store: store.clone(),
            lines_of: self.schema.table,
            schema: self.schema,
            record: self.record,
            segments: self.segments,
            deletes: self.deletes,
            pending: Arc::default(),
            inline_keys: self.inline_keys,
            rows: self.rows,
            _guard: guard.cloned(),
        }
    }

    pub(super) fn table_id(&self) -> TableId {
        self.schema.table
    }
}

impl Table {
    /// What to keep of a committed table.
    pub(super) fn state(&self) -> TableState {
        TableState {
            schema: Arc::clone(&self.schema),
            record: self.record.clone(),
            segments: Arc::clone(&self.segments),
            deletes: Arc::clone(&self.deletes),
            inline_keys: Arc::clone(&self.inline_keys),
            rows: self.rows,
        }
    }

    pub(super) fn empty(store: Store, schema: Arc<TableSchema>) -> Table {
        Table {
            store,
            lines_of: schema.table,
            schema,
            record: None,
            segments: Arc::default(),
            deletes: Arc::default(),
            pending: Arc::default(),
            inline_keys: Arc::default(),
            rows: 0,
            _guard: None,
        }
    }

    /// The same rows, shown in another shape.
    pub(super) fn in_shape(self, schema: Arc<TableSchema>) -> Table {
        Table { schema, inline_keys: Arc::default(), ..self }
    }

    /// The table's id.
    pub fn id(&self) -> TableId {
        self.schema.table
    }

    /// The shape.
    pub fn schema(&self) -> &Arc<TableSchema> {
        &self.schema
    }

    /// Living rows, exactly.
    pub fn row_count(&self) -> u64 {
        self.rows
    }

    /// The store it lies in.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// The segments, in the order they came.
    pub fn segments(&self) -> &[TableSegment] {
        &self.segments
    }

    /// The segment of this id.
    pub fn segment(&self, id: SegmentId) -> Option<&TableSegment> {
        self.segments.iter().find(|s| s.meta.id == id)
    }

    /// The record of this version, where it is committed.
    pub fn version(&self) -> Option<&TableVersion> {
        self.record.as_deref()
    }

    /// The schema of [`Table::loose_rows`]: the visible columns, `_commit`, `_row_id`.
    pub fn stored_schema(&self) -> SchemaRef {
        stored_schema(&self.schema)
    }

    /// Whether no row ever came inline; false does not promise that one lives.
    pub fn is_inline_empty(&self) -> bool {
        self.pending.is_empty() && self.record.as_ref().is_none_or(|r| r.ranges.is_empty())
    }

    /// The same under another shape's name, in a shape of its own.
    pub(super) fn rename_as(&mut self, named: &TableSchema) {
        let mut schema = self.schema.as_ref().clone();
        schema.id = crate::spec::SchemaId(self.store.next_id());
        (schema.namespace, schema.name) = (named.namespace.clone(), named.name.clone());
        self.schema = Arc::new(schema);
        self.store.keep_schema(&self.schema);
        if let Some(record) = &mut self.record {
            Arc::make_mut(record).schema = self.schema.id;
        }
    }

    pub(super) fn hides(&self, row: RowId, commit: CommitId) -> bool {
        self.deletes.hides(row, commit)
    }

    pub(super) fn living(&self, batch: RecordBatch) -> Result<RecordBatch> {
        if self.deletes.rows.is_empty() {
            return Ok(batch);
        }
        let (commits, rows) = hidden_columns(&batch);
        let keep: BooleanArray = commits
            .values()
            .iter()
            .zip(rows.values())
            .map(|(commit, row)| Some(!self.deletes.hides(RowId(*row), CommitId(*commit))))
            .collect();
        if keep.true_count() == batch.num_rows() {
            return Ok(batch);
        }
        filter_record_batch(&batch, &keep).map_err(internal)
    }
}

/// `_commit` and `_row_id` of a batch of [`Table::stored_schema`].
pub fn hidden_columns(batch: &RecordBatch) -> (&UInt64Array, &UInt64Array) {
    let column = |i: usize| {
        let array = batch.column(batch.num_columns() - i);
        array
            .as_any()
            .downcast_ref::<UInt64Array>()
            .expect("stored batches end in their row's names")
    };
    (column(2), column(1))
}

/// The visible columns of a table, then `_commit` and `_row_id`. Every visible column is nullable,
/// whatever the table says: a row that is gone may have been written before NOT NULL was.
pub fn stored_schema(schema: &TableSchema) -> SchemaRef {
    let field = |c: &crate::spec::Column| Arc::new(c.data_type.field(&c.name, true));
    let mut fields: Vec<Arc<Field>> = schema.columns.iter().map(field).collect();
    fields.push(Arc::new(Field::new(COMMIT, DataType::UInt64, false)));
    fields.push(Arc::new(Field::new(ROW_ID, DataType::UInt64, false)));
    Arc::new(Schema::new(fields))
}

/// Brings rows of an older shape into the shape they are read in: columns by id, widened where the
/// type was, the stored default where the column came later.
pub fn reshape(batch: &RecordBatch, from: &TableSchema, to: &TableSchema) -> Result<Vec<ArrayRef>> {
    let positions: HashMap<_, _> =
        from.columns.iter().enumerate().map(|(i, c)| (c.id, i)).collect();
    let strict = CastOptions { safe: false, ..CastOptions::default() };
    let column = |wanted: &crate::spec::Column| {
        let storage = wanted.data_type.arrow();
        match positions.get(&wanted.id) {
            Some(&i) if *batch.column(i).data_type() == storage => Ok(Arc::clone(batch.column(i))),
            Some(&i) => cast_with_options(batch.column(i), &storage, &strict).map_err(internal),
            None => {
                let first = UInt64Array::from_value(0, batch.num_rows());
                take(&wanted.missing_value()?, &first, None).map_err(internal)
            }
        }
    };
    to.columns.iter().map(column).collect()
}

pub(super) fn internal(cause: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::new(ErrorKind::Internal, "rows could not be put together").caused_by(cause)
}
