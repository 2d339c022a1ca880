//! The right batches that are held: those that decided rows point into, and the ones under and just
//! behind the cursor.

use std::cmp::Ordering;
use std::collections::VecDeque;

use arrow::array::{Array, BooleanArray, BooleanBufferBuilder, RecordBatch};
use arrow::compute::filter_record_batch;
use datafusion::common::Result;

use super::encode::Lane;
use super::known::Periods;

/// Right batches that may be pinned by left rows not yet emitted before those are emitted.
pub const PINNED_BATCHES_MAX: usize = 32;

/// A row of the right input: the number of its batch in the stream, and its row there. Ordered as
/// the input is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Position {
    pub(super) batch: usize,
    pub(super) row: usize,
}

/// A batch of either side with what is compared of it.
pub(super) struct Encoded {
    pub(super) batch: RecordBatch,
    pub(super) keys: Lane,
    pub(super) times: Lane,
    /// Of right rows, where the join has KNOWN AT.
    pub(super) periods: Option<Periods>,
}

struct Pinned {
    number: usize,
    used: bool,
    size: usize,
    encoded: Encoded,
    /// The rows that some left row got, where the others come out too.
    chosen: Option<BooleanBufferBuilder>,
}

/// The held batches, in the order of the stream, with gaps where none is needed any more.
#[derive(Default)]
pub(super) struct Window {
    pinned: Vec<Pinned>,
    fetched: usize,
    keeps_right: bool,
    /// Rows that no left row got and none can get any more, where those come out.
    unchosen: VecDeque<(RecordBatch, usize)>,
}

impl Window {
    /// A window that hands out the rows of the batches it lets go that were not chosen, if
    /// `keeps_right`.
    pub(super) fn new(keeps_right: bool) -> Self {
        Window { keeps_right, ..Window::default() }
    }

    pub(super) fn push(&mut self, encoded: Encoded) -> Result<()> {
        let size = encoded.size()?;
        let chosen = self.keeps_right.then(|| {
            let mut chosen = BooleanBufferBuilder::new(encoded.rows());
            chosen.append_n(encoded.rows(), false);
            chosen
        });
        self.pinned.push(Pinned { number: self.fetched, used: false, size, encoded, chosen });
        self.fetched += 1;
        Ok(())
    }

    /// Some left row gets this row, which is pinned.
    pub(super) fn choose(&mut self, position: Position) {
        let pinned = self.slot(position.batch).map(|slot| &mut self.pinned[slot]);
        if let Some(chosen) = pinned.and_then(|pinned| pinned.chosen.as_mut()) {
            chosen.set_bit(position.row, true);
        }
    }

    /// Right rows that are no one's match, to be handed out by [`Window::pop_unchosen`].
    pub(super) fn push_unchosen(&mut self, rows: RecordBatch) -> Result<()> {
        if rows.num_rows() > 0 {
            let size = Encoded::batch_size(&rows)?;
            self.unchosen.push_back((rows, size));
        }
        Ok(())
    }

    pub(super) fn pop_unchosen(&mut self) -> Option<RecordBatch> {
        self.unchosen.pop_front().map(|(rows, _)| rows)
    }

    pub(super) fn has_unchosen(&self) -> bool {
        !self.unchosen.is_empty()
    }

    /// The start of the batch that comes next.
    pub(super) fn end(&self) -> Position {
        Position { batch: self.fetched, row: 0 }
    }

    pub(super) fn get(&self, batch: usize) -> Option<&Encoded> {
        self.slot(batch).map(|slot| &self.pinned[slot].encoded)
    }

    /// Where the batch is in [`Window::batches`].
    pub(super) fn slot(&self, batch: usize) -> Option<usize> {
        self.pinned.binary_search_by_key(&batch, |p| p.number).ok()
    }

    pub(super) fn batches(&self) -> impl Iterator<Item = &RecordBatch> {
        self.pinned.iter().map(|p| &p.encoded.batch)
    }

    /// The row before, which must be pinned.
    pub(super) fn before(&self, position: Position) -> Option<Position> {
        match position.row.checked_sub(1) {
            Some(row) => Some(Position { row, ..position }),
            None => {
                let batch = position.batch.checked_sub(1)?;
                let rows = self.get(batch)?.batch.num_rows();
                Some(Position { batch, row: rows - 1 })
            }
        }
    }

    /// The nearest row at or before `position`, and not before `start`, that is known at a moment.
    pub(super) fn known_before(
        &self,
        mut position: Position,
        start: Position,
        moment: i64,
    ) -> Option<Position> {
        loop {
            let right = self.get(position.batch)?;
            let Some(periods) = &right.periods else { return Some(position) };
            let begin = if position.batch == start.batch { start.row } else { 0 };
            if let Some(row) = periods.last_known(begin..position.row + 1, moment) {
                return Some(Position { row, ..position });
            }
            if position.batch <= start.batch {
                return None;
            }
            position = self.before(Position { row: 0, ..position })?;
        }
    }

    /// Keeps the batch until the next [`Window::release`].
    pub(super) fn pin(&mut self, position: Position) {
        if let Some(slot) = self.slot(position.batch) {
            self.pinned[slot].used = true;
        }
    }

    /// Drops what no row points into and the cursor has left behind.
    pub(super) fn prune(&mut self, keep_from: usize) -> Result<()> {
        let gone = self.pinned.extract_if(.., |p| !p.used && p.number < keep_from);
        let gone: Vec<Pinned> = gone.filter(|p| p.chosen.is_some()).collect();
        for Pinned { encoded, chosen, .. } in gone {
            let chosen = chosen.expect("others were left out").build();
            let unchosen = BooleanArray::new(!&chosen, None);
            self.push_unchosen(filter_record_batch(&encoded.batch, &unchosen)?)?;
        }
        Ok(())
    }

    /// Nothing points into the window any more.
    pub(super) fn release(&mut self, keep_from: usize) -> Result<()> {
        self.pinned.iter_mut().for_each(|p| p.used = false);
        self.prune(keep_from)
    }

    pub(super) fn is_crowded(&self) -> bool {
        self.pinned.len() > PINNED_BATCHES_MAX
    }

    /// Bytes held.
    pub(super) fn size(&self) -> usize {
        let unchosen = self.unchosen.iter().map(|(_, size)| size);
        self.pinned.iter().map(|p| &p.size).chain(unchosen).sum()
    }
}

impl Encoded {
    pub(super) fn rows(&self) -> usize {
        self.batch.num_rows()
    }

    /// Bytes of the rows themselves: a slice of a larger buffer counts for what it shows.
    pub(super) fn size(&self) -> Result<usize> {
        let periods = self.periods.as_ref().map_or(0, Periods::size);
        Ok(self.keys.size() + self.times.size() + periods + Encoded::batch_size(&self.batch)?)
    }

    /// The same of rows that are not encoded.
    pub(super) fn batch_size(batch: &RecordBatch) -> Result<usize> {
        let mut size = 0;
        for column in batch.columns() {
            size += column.to_data().get_slice_memory_size()?;
        }
        Ok(size)
    }

    /// Whether `right[j]` is behind `left[i]`: an earlier key, or the same key and a time that the
    /// comparison admits.
    pub(super) fn admits(&self, i: usize, right: &Encoded, j: usize, inclusive: bool) -> bool {
        match self.keys.compare(i, &right.keys, j) {
            Ordering::Greater => true,
            Ordering::Less => false,
            Ordering::Equal => match self.times.compare(i, &right.times, j) {
                Ordering::Greater => true,
                Ordering::Equal => inclusive,
                Ordering::Less => false,
            },
        }
    }
}
