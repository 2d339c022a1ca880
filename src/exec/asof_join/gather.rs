//! The output: left rows as they are or thinned out, right rows fetched from where they are pinned, or
//! as they are with NULL on the left.

use std::ops::Range;

use arrow::array::{
    ArrayRef, BooleanArray, RecordBatch, RecordBatchOptions, UInt32Array, new_null_array,
};
use arrow::compute::{filter_record_batch, interleave, take};
use arrow::datatypes::SchemaRef;
use datafusion::common::Result;

use super::condition::Kind;
use super::window::{Position, Window};

/// What the output is made of.
pub(super) struct Output {
    pub(super) schema: SchemaRef,
    pub(super) kind: Kind,
    /// Columns of the left and then the right input.
    pub(super) projection: Vec<usize>,
    pub(super) right_schema: SchemaRef,
}

impl Output {
    /// The rows of `range` with their matches, which begin with the first of that range.
    pub(super) fn assemble(
        &self,
        left: &RecordBatch,
        range: Range<usize>,
        matches: &[Option<Position>],
        window: &Window,
    ) -> Result<RecordBatch> {
        let mut left = left.slice(range.start, range.len());
        let mut kept = std::borrow::Cow::Borrowed(matches);
        let stays = |m: &Option<Position>| match self.kind {
            Kind::Left | Kind::Full => true,
            Kind::Inner | Kind::Right | Kind::Semi => m.is_some(),
            Kind::Anti => m.is_none(),
        };
        if !matches.iter().all(stays) {
            let mask: BooleanArray = matches.iter().map(|m| Some(stays(m))).collect();
            left = filter_record_batch(&left, &mask)?;
            kept.to_mut().retain(stays);
        }
        let picks = Picks::new(&kept, window);
        let columns =
            self.projection.iter().map(|&column| match column.checked_sub(left.num_columns()) {
                None => Ok(ArrayRef::clone(left.column(column))),
                Some(right) => picks.column(right, window, &self.right_schema),
            });
        let columns = columns.collect::<Result<Vec<_>>>()?;
        self.batch(columns, kept.len())
    }

    /// Right rows that are no one's match, beside a left input of so many columns.
    pub(super) fn unmatched(&self, right: &RecordBatch, left_width: usize) -> Result<RecordBatch> {
        let fields = self.schema.fields().iter();
        let columns = self.projection.iter().zip(fields).map(|(&column, field)| {
            match column.checked_sub(left_width) {
                None => new_null_array(field.data_type(), right.num_rows()),
                Some(column) => ArrayRef::clone(right.column(column)),
            }
        });
        self.batch(columns.collect(), right.num_rows())
    }

    fn batch(&self, columns: Vec<ArrayRef>, rows: usize) -> Result<RecordBatch> {
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        Ok(RecordBatch::try_new_with_options(SchemaRef::clone(&self.schema), columns, &options)?)
    }
}

/// Where each output row's right half comes from.
enum Picks {
    /// No row has one.
    Nothing { rows: usize },
    /// All come from one pinned batch.
    One { slot: usize, rows: UInt32Array },
    /// (source, row), where source 0 is a single NULL and source n the pinned batch n − 1.
    Many(Vec<(usize, usize)>),
}

impl Picks {
    fn new(matches: &[Option<Position>], window: &Window) -> Self {
        let mut present = matches.iter().flatten().map(|position| position.batch);
        let Some(first) = present.next() else { return Picks::Nothing { rows: matches.len() } };
        let slot = |batch| window.slot(batch).expect("a matched batch stays pinned until emitted");
        if present.all(|batch| batch == first) {
            let rows = matches.iter().map(|m| m.map(|position| position.row as u32)).collect();
            return Picks::One { slot: slot(first), rows };
        }
        Picks::Many(
            matches
                .iter()
                .map(|m| m.map_or((0, 0), |position| (slot(position.batch) + 1, position.row)))
                .collect(),
        )
    }

    fn column(&self, column: usize, window: &Window, schema: &SchemaRef) -> Result<ArrayRef> {
        let data_type = schema.field(column).data_type();
        let mut batches = window.batches();
        Ok(match self {
            Picks::Nothing { rows } => new_null_array(data_type, *rows),
            Picks::One { slot, rows } => {
                let batch = batches.nth(*slot).expect("the slot was looked up in this window");
                take(batch.column(column), rows, None)?
            }
            Picks::Many(picks) => {
                let null = new_null_array(data_type, 1);
                let mut sources = vec![null.as_ref()];
                sources.extend(batches.map(|batch| batch.column(column).as_ref()));
                interleave(&sources, picks)?
            }
        })
    }
}
