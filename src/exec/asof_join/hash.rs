//! The right side in memory, each key's rows in order, and left rows looked up as they come.
//!
//! ```text
//! right   held, sorted by (keys, time, ties):  A1 A4 A6 | B1 B6
//! table   key -> its run                       A -> 0..3, B -> 3..5
//! left    in any order: key by the table, time by binary search in the run; a condition over both
//!         sides walks back from there
//! ```
//!
//! For a right side that is small beside the left one, which is neither sorted nor held.

use std::collections::HashMap;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use arrow::array::{BooleanArray, RecordBatch};
use arrow::compute::{concat_batches, filter_record_batch, lexsort_to_indices, take_record_batch};
use arrow::datatypes::SchemaRef;
use datafusion::common::Result;
use datafusion::error::DataFusionError;
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::LexOrdering;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use futures::future::{BoxFuture, Shared};
use futures::{FutureExt, TryStreamExt};
use parking_lot::Mutex;

use super::encode::Lane;
use super::gather::Output;
use super::metrics::AsofMetrics;
use super::residual::Pending;
use super::sides::{LeftRows, Sides};
use super::window::{Encoded, Position, Window};
use crate::exec::prefix::first_not;

/// The right side, whole.
pub(super) struct Held {
    window: Window,
    runs: Runs,
    rest: Option<Rest>,
    _reservation: MemoryReservation,
}

/// What comes out of the right side besides matches.
struct Rest {
    /// A bit for each row held: some left row got it.
    chosen: Vec<AtomicU64>,
    /// Rows that the right condition rules out.
    ruled_out: Vec<RecordBatch>,
    /// Partitions of the left that are not through: the last one takes the rest along.
    open: AtomicUsize,
}

/// Where each key's rows are.
enum Runs {
    /// There is no key.
    One(Range<usize>),
    Whole(HashMap<i64, Range<usize>>),
    Bytes(HashMap<Box<[u8]>, Range<usize>>),
}

/// The right side once it is read, for every partition of the left.
pub(super) type Holding =
    Shared<BoxFuture<'static, std::result::Result<Arc<Held>, Arc<DataFusionError>>>>;

/// One execution's right side, read by whichever partition asks first.
#[derive(Default)]
pub(super) struct Once(Mutex<Option<(Holding, usize)>>);

impl fmt::Debug for Once {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Once")
    }
}

impl Once {
    /// What is held of `right`, which is only called by the first of `partitions` that ask.
    pub(super) fn hold(
        &self,
        partitions: usize,
        right: impl FnOnce() -> Result<BoxFuture<'static, Result<Held>>>,
    ) -> Result<Holding> {
        let mut once = self.0.lock();
        let (holding, unasked) = match once.take() {
            Some(going) => going,
            None => {
                let held = right()?.map(|held| held.map(Arc::new).map_err(Arc::new));
                (held.boxed().shared(), partitions)
            }
        };
        if unasked > 1 {
            *once = Some((holding.clone(), unasked - 1));
        }
        Ok(holding)
    }
}

impl Held {
    /// Reads the right side, and sorts it where it does not come in the join's order, for so many
    /// partitions of the left.
    pub(super) async fn read(
        mut right: SendableRecordBatchStream,
        order: Option<LexOrdering>,
        sides: Arc<Sides>,
        partitions: usize,
        context: Arc<TaskContext>,
        metrics: AsofMetrics,
    ) -> Result<Held> {
        let reservation = MemoryConsumer::new("AsofHash").register(context.memory_pool());
        let schema = right.schema();
        let (mut batches, mut ruled_out, mut ruled_out_size) = (Vec::new(), Vec::new(), 0);
        while let Some(batch) = right.try_next().await? {
            metrics.right_rows.add(batch.num_rows());
            let (candidates, others) = sides.candidates(batch)?;
            if others.num_rows() > 0 {
                let size = Encoded::batch_size(&others)?;
                reservation.try_grow(size)?;
                ruled_out_size += size;
                ruled_out.push(others);
            }
            // Once as it comes, and once put together.
            reservation.try_grow(2 * Encoded::batch_size(&candidates)?)?;
            batches.push(candidates);
        }
        let mut all = concat_batches(&schema, &batches)?;
        drop(batches);
        if let Some(order) = order {
            let columns = order.iter().map(|expr| expr.evaluate_to_sort_column(&all));
            let sorted = lexsort_to_indices(&columns.collect::<Result<Vec<_>>>()?, None)?;
            all = take_record_batch(&all, &sorted)?;
        }
        let encoded = sides.right(all)?;
        let runs = Runs::of(&encoded.keys, encoded.rows());
        let rest = sides.condition.kind.keeps_right().then(|| {
            let words = encoded.rows().div_ceil(64);
            let chosen = std::iter::repeat_with(AtomicU64::default).take(words).collect();
            Rest { chosen, ruled_out, open: AtomicUsize::new(partitions) }
        });
        let rest_size = rest.as_ref().map_or(0, |rest| ruled_out_size + rest.chosen.len() * 8);
        reservation.try_resize(encoded.size()? + runs.size() + rest_size)?;
        metrics.build_mem_used.set_max(reservation.size());
        let mut window = Window::default();
        window.push(encoded)?;
        Ok(Held { window, runs, rest, _reservation: reservation })
    }

    fn choose(&self, matches: &[Option<Position>]) {
        let Some(rest) = &self.rest else { return };
        for position in matches.iter().flatten() {
            let bit = 1 << (position.row % 64);
            rest.chosen[position.row / 64].fetch_or(bit, Ordering::Relaxed);
        }
    }

    /// One partition of the left is through. The rest of the right side for the last of them.
    fn close(self: &Arc<Self>) -> Option<Unmatched> {
        let rest = self.rest.as_ref()?;
        let is_last = rest.open.fetch_sub(1, Ordering::AcqRel) == 1;
        is_last.then(|| Unmatched { held: Arc::clone(self), next_ruled_out: 0, next_row: 0 })
    }
}

/// The right rows that no left row got, on their way out.
struct Unmatched {
    held: Arc<Held>,
    next_ruled_out: usize,
    next_row: usize,
}

impl Unmatched {
    fn next(&mut self, batch_rows: usize) -> Result<Option<RecordBatch>> {
        let Some(rest) = &self.held.rest else { return Ok(None) };
        if let Some(batch) = rest.ruled_out.get(self.next_ruled_out) {
            self.next_ruled_out += 1;
            return Ok(Some(batch.clone()));
        }
        let all = &self.held.window.get(0).expect("one batch is held").batch;
        while self.next_row < all.num_rows() {
            let rows = self.next_row..all.num_rows().min(self.next_row + batch_rows);
            self.next_row = rows.end;
            let part = all.slice(rows.start, rows.len());
            let chosen = |row: usize| rest.chosen[row / 64].load(Ordering::Relaxed) >> (row % 64);
            let unchosen: BooleanArray = rows.map(|row| Some(chosen(row) & 1 == 0)).collect();
            let unchosen = filter_record_batch(&part, &unchosen)?;
            if unchosen.num_rows() > 0 {
                return Ok(Some(unchosen));
            }
        }
        Ok(None)
    }
}

impl Runs {
    fn of(keys: &Lane, rows: usize) -> Runs {
        match keys {
            Lane::Nothing => Runs::One(0..rows),
            Lane::I64(values, nulls) => {
                // NULL comes last, and matches nothing here.
                let known = rows - nulls.as_ref().map_or(0, |nulls| nulls.null_count());
                let values = &values[..known];
                let mut runs: HashMap<i64, Range<usize>> = HashMap::new();
                let mut start = 0;
                for run in values.chunk_by(|a, b| a == b) {
                    runs.insert(run[0], start..start + run.len());
                    start += run.len();
                }
                Runs::Whole(runs)
            }
            Lane::Rows(encoded) => {
                let mut runs: HashMap<Box<[u8]>, Range<usize>> = HashMap::new();
                let mut start = 0;
                while start < rows {
                    let key = encoded.row(start);
                    let mut end = start + 1;
                    while end < rows && encoded.row(end) == key {
                        end += 1;
                    }
                    runs.insert(key.as_ref().into(), start..end);
                    start = end;
                }
                Runs::Bytes(runs)
            }
            Lane::I128(..) => unreachable!("keys are compared as 64 bits or as bytes"),
        }
    }

    fn find(&self, keys: &Lane, row: usize) -> Range<usize> {
        let found = match (self, keys) {
            (Runs::One(all), _) => Some(all),
            (Runs::Whole(runs), Lane::I64(values, _)) => runs.get(&values[row]),
            (Runs::Bytes(runs), Lane::Rows(rows)) => runs.get(rows.row(row).as_ref()),
            _ => unreachable!("both sides are encoded by one encoder"),
        };
        found.cloned().unwrap_or_default()
    }

    /// About how many bytes it takes.
    fn size(&self) -> usize {
        const ENTRY: usize = 64;
        match self {
            Runs::One(_) => 0,
            Runs::Whole(runs) => runs.capacity() * ENTRY,
            Runs::Bytes(runs) => runs.capacity() * 2 * ENTRY,
        }
    }
}

/// One partition of the left on its way through.
pub(super) struct LookUp {
    pub(super) left: SendableRecordBatchStream,
    pub(super) holding: Holding,
    pub(super) sides: Arc<Sides>,
    pub(super) output: Output,
    pub(super) metrics: AsofMetrics,
    /// Rows that one batch of the rest of the right side has.
    pub(super) batch_rows: usize,
}

/// The joined rows of one partition of the left; behind those of the last one to end, the right rows
/// that no left row got.
pub(super) fn join(of: LookUp) -> SendableRecordBatchStream {
    let schema: SchemaRef = Arc::clone(&of.output.schema);
    let left_width = of.left.schema().fields().len();
    let look_up = LookUpStream { of, left_width, left_done: false, unmatched: None };
    let batches = futures::stream::try_unfold(look_up, |mut look_up| async move {
        Ok(look_up.next().await?.map(|batch| (batch, look_up)))
    });
    Box::pin(RecordBatchStreamAdapter::new(schema, batches))
}

struct LookUpStream {
    of: LookUp,
    left_width: usize,
    left_done: bool,
    unmatched: Option<Unmatched>,
}

impl LookUpStream {
    async fn next(&mut self) -> Result<Option<RecordBatch>> {
        let LookUp { left, holding, sides, output, metrics, batch_rows } = &mut self.of;
        while !self.left_done {
            let Some(batch) = left.try_next().await? else {
                self.left_done = true;
                if sides.condition.kind.keeps_right() {
                    self.unmatched = held(holding).await?.close();
                }
                break;
            };
            // The right side is not read before there is a row that asks.
            if batch.num_rows() == 0 {
                continue;
            }
            let held = held(holding).await?;
            let joined = look_up(batch, &held, sides, output, metrics)?;
            if joined.num_rows() > 0 {
                metrics.baseline.record_output(joined.num_rows());
                return Ok(Some(joined));
            }
        }
        let Some(unmatched) = &mut self.unmatched else { return Ok(None) };
        let Some(right) = unmatched.next(*batch_rows)? else { return Ok(None) };
        metrics.right_unmatched.add(right.num_rows());
        metrics.baseline.record_output(right.num_rows());
        output.unmatched(&right, self.left_width).map(Some)
    }
}

async fn held(holding: &Holding) -> Result<Arc<Held>> {
    holding.clone().await.map_err(DataFusionError::Shared)
}

fn look_up(
    batch: RecordBatch,
    held: &Held,
    sides: &Sides,
    output: &Output,
    metrics: &AsofMetrics,
) -> Result<RecordBatch> {
    let timer = metrics.time_match.timer();
    let left = sides.left(batch, metrics)?;
    let right = held.window.get(0).expect("one batch is held");
    let inclusive = sides.condition.comparison.is_inclusive();
    let (mut matches, mut pending) = (Vec::with_capacity(left.rows.rows()), Vec::new());
    for row in 0..left.rows.rows() {
        let run = match left.is_eligible(row) {
            true => held.runs.find(&left.rows.keys, row),
            false => 0..0,
        };
        let passed = last_passed(&left, row, right, run.clone(), inclusive);
        let start = Position { batch: 0, row: run.start };
        let passed = passed
            .and_then(|row_at| {
                let at = Position { batch: 0, row: row_at };
                left.known_before(row, &held.window, at, start)
            })
            .map(|position| position.row);
        let near = passed.filter(|at| sides.is_near(&left, row, right, *at));
        if passed.is_some() && near.is_none() {
            metrics.tolerance_rejected.add(1);
        }
        let near = near.map(|row| Position { batch: 0, row });
        if near.is_some() && sides.condition.residual.is_some() {
            pending.push(Pending { row, next: near, start });
            matches.push(None);
        } else {
            matches.push(near);
        }
    }
    if let Some(residual) = &sides.condition.residual {
        let near = |row, position: Position| sides.is_near(&left, row, right, position.row);
        let decide = |row: usize, position| matches[row] = position;
        let tried = residual.settle(&left, &held.window, pending, near, decide)?;
        metrics.residual_pairs.add(tried);
    }
    held.choose(&matches);
    timer.done();
    let _timer = metrics.time_gather.timer();
    let matched = matches.iter().flatten().count();
    metrics.matched.add(matched);
    metrics.unmatched.add(matches.len() - matched);
    output.assemble(&left.rows.batch, 0..matches.len(), &matches, &held.window)
}

/// The last row of the run that the left row passes.
fn last_passed(
    left: &LeftRows,
    row: usize,
    right: &Encoded,
    run: Range<usize>,
    inclusive: bool,
) -> Option<usize> {
    let passed = first_not(run.clone(), |at| {
        let order = left.rows.times.compare(row, &right.times, at);
        order.is_gt() || (inclusive && order.is_eq())
    });
    (passed > run.start).then(|| passed - 1)
}
