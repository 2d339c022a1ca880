//! The merge: one cursor through the right input, moved forward by each left row in turn.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use datafusion::common::Result;
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::metrics::ExecutionPlanMetricsSet;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use futures::{StreamExt, TryStreamExt};

use super::condition::AsofCondition;
use super::gather::Output;
use super::metrics::AsofMetrics;
use super::residual::Pending;
use super::sides::{LeftRows, Sides};
use super::window::{Encoded, Position, Window};
use crate::exec::prefix::gallop;

/// The two sides of one partition and what to make of them.
pub(super) struct Inputs {
    pub(super) left: SendableRecordBatchStream,
    pub(super) right: SendableRecordBatchStream,
    pub(super) condition: Arc<AsofCondition>,
    pub(super) projection: Vec<usize>,
    pub(super) schema: SchemaRef,
}

/// The joined rows of one partition. Nothing is read before the first poll, and nothing of the
/// right before a left row that can match.
pub(super) fn join(
    inputs: Inputs,
    partition: usize,
    metrics: &ExecutionPlanMetricsSet,
    context: &TaskContext,
) -> Result<SendableRecordBatchStream> {
    let schema = Arc::clone(&inputs.schema);
    let metrics = AsofMetrics::new(metrics, partition);
    let consumer = MemoryConsumer::new(format!("AsofJoin[{partition}]"));
    let join = AsofJoinStream::try_new(inputs, metrics, consumer.register(context.memory_pool()))?;
    let batches = futures::stream::try_unfold(join, |mut join| async move {
        Ok(join.next().await?.map(|batch| (batch, join)))
    });
    Ok(Box::pin(RecordBatchStreamAdapter::new(schema, batches)))
}

/// A left batch on its way through the merge.
struct LeftBatch {
    of: LeftRows,
    /// Rows before this are in `matches` or were emitted.
    next: usize,
    /// Rows before this were emitted.
    emitted: usize,
    /// One for each row from `emitted` to `next`.
    matches: Vec<Option<Position>>,
    pending: Vec<Pending>,
}

struct AsofJoinStream {
    left: SendableRecordBatchStream,
    right: SendableRecordBatchStream,
    sides: Sides,
    output: Output,
    window: Window,
    /// The first right row that no left row so far has passed.
    cursor: Position,
    /// The first row of the key at the cursor; kept only where the search may go on behind the nearest.
    run_start: Position,
    right_done: bool,
    left_done: bool,
    left_width: usize,
    current: Option<LeftBatch>,
    metrics: AsofMetrics,
    reservation: MemoryReservation,
}

impl AsofJoinStream {
    fn try_new(
        inputs: Inputs,
        metrics: AsofMetrics,
        reservation: MemoryReservation,
    ) -> Result<Self> {
        let Inputs { left, right, condition, projection, schema } = inputs;
        let sides = Sides::try_new(Arc::clone(&condition), &left.schema(), &right.schema())?;
        let (left_width, right_schema) = (left.schema().fields().len(), right.schema());
        let output = Output { schema, kind: condition.kind, projection, right_schema };
        let start = Position { batch: 0, row: 0 };
        Ok(AsofJoinStream {
            left,
            right,
            sides,
            output,
            window: Window::new(condition.kind.keeps_right()),
            cursor: start,
            run_start: start,
            right_done: false,
            left_done: false,
            left_width,
            current: None,
            metrics,
            reservation,
        })
    }

    /// The next output batch: the decided rows of one left batch, or fewer where the right rows
    /// they hold would become too many, or right rows that are no one's match.
    async fn next(&mut self) -> Result<Option<RecordBatch>> {
        loop {
            if let Some(unchosen) = self.window.pop_unchosen() {
                return self.unmatched(&unchosen).map(Some);
            }
            let left = match self.current.take() {
                Some(left) => Some(left),
                None => self.fetch_left().await?,
            };
            let Some(mut left) = left else {
                match self.finish().await? {
                    true => continue,
                    false => return Ok(None),
                }
            };
            self.match_rows(&mut left).await?;
            let batch = self.emit(&mut left)?;
            if left.next < left.of.rows.rows() {
                self.current = Some(left);
            }
            if batch.num_rows() > 0 {
                self.metrics.baseline.record_output(batch.num_rows());
                return Ok(Some(batch));
            }
        }
    }

    /// Decides the rows of the batch, up to its end or to where the window is crowded.
    async fn match_rows(&mut self, left: &mut LeftBatch) -> Result<()> {
        let time = self.metrics.time_match.clone();
        let mut timer = time.timer();
        while left.next < left.of.rows.rows() {
            if left.of.is_eligible(left.next) {
                while !self.advance(left) {
                    if self.window.is_crowded() && left.next > left.emitted {
                        return Ok(());
                    }
                    timer.stop();
                    self.fetch_right(left).await?;
                    timer.restart();
                    // Handed out now, lest all of the right side pile up behind one left row.
                    if self.window.has_unchosen() {
                        return Ok(());
                    }
                }
                self.choose(left);
            } else {
                left.matches.push(None);
            }
            left.next += 1;
        }
        Ok(())
    }

    /// Moves the cursor behind the rows that the current left row passes. False where the answer
    /// is in a batch not yet read.
    fn advance(&mut self, left: &LeftBatch) -> bool {
        let row = left.next;
        if self.sides.condition.walks_back() && !self.find_run(left) {
            return false;
        }
        let inclusive = self.sides.condition.comparison.is_inclusive();
        self.pass(|right, j| left.of.rows.admits(row, right, j, inclusive))
    }

    /// Moves `run_start` to the first row of the current left row's key.
    fn find_run(&mut self, left: &LeftBatch) -> bool {
        let key = &left.of.rows.keys;
        let run = self.window.get(self.run_start.batch);
        let same_run = run.is_some_and(|right| {
            self.run_start.row < right.rows()
                && key.compare(left.next, &right.keys, self.run_start.row).is_eq()
        });
        if same_run {
            return true;
        }
        let found = self.pass(|right, j| key.compare(left.next, &right.keys, j).is_gt());
        self.run_start = self.cursor;
        found
    }

    fn pass(&mut self, passed: impl Fn(&Encoded, usize) -> bool) -> bool {
        let Some(right) = self.window.get(self.cursor.batch) else { return self.right_done };
        self.cursor.row = gallop(self.cursor.row..right.rows(), |j| passed(right, j));
        if self.cursor.row < right.rows() {
            return true;
        }
        self.cursor = self.window.end();
        self.right_done
    }

    /// Takes the row before the cursor for the current left row, if it has its key and is near.
    fn choose(&mut self, left: &mut LeftBatch) {
        let row = left.next;
        let candidate = self.window.before(self.cursor).filter(|position| {
            let right = self.window.get(position.batch).expect("the row before the cursor is held");
            left.of.rows.keys.compare(row, &right.keys, position.row).is_eq()
        });
        let candidate =
            candidate.and_then(|at| left.of.known_before(row, &self.window, at, self.run_start));
        let near = candidate.filter(|position| self.is_near(left, row, *position));
        if candidate.is_some() && near.is_none() {
            self.metrics.tolerance_rejected.add(1);
        }
        if let (Some(next), Some(_)) = (near, &self.sides.condition.residual) {
            left.pending.push(Pending { row, next: Some(next), start: self.run_start });
            left.matches.push(None);
            return;
        }
        if let Some(position) = near {
            self.window.pin(position);
            self.window.choose(position);
        }
        left.matches.push(near);
    }

    fn is_near(&self, left: &LeftBatch, row: usize, position: Position) -> bool {
        let right = self.window.get(position.batch).expect("candidates are held");
        self.sides.is_near(&left.of, row, right, position.row)
    }

    /// Behind the last left row: lets go of all right rows, then reads on. False where there are no
    /// more that come out.
    async fn finish(&mut self) -> Result<bool> {
        if !self.sides.condition.kind.keeps_right() {
            return Ok(false);
        }
        if !std::mem::replace(&mut self.left_done, true) {
            self.window.release(usize::MAX)?;
        }
        if !self.window.has_unchosen() && !self.right_done {
            match self.right.next().await.transpose()? {
                Some(batch) => {
                    self.metrics.right_rows.add(batch.num_rows());
                    self.window.push_unchosen(batch)?;
                }
                None => self.right_done = true,
            }
        }
        self.reserve(None)?;
        Ok(self.window.has_unchosen() || !self.right_done)
    }

    fn unmatched(&mut self, right: &RecordBatch) -> Result<RecordBatch> {
        self.metrics.right_unmatched.add(right.num_rows());
        self.metrics.baseline.record_output(right.num_rows());
        self.output.unmatched(right, self.left_width)
    }

    async fn fetch_left(&mut self) -> Result<Option<LeftBatch>> {
        if self.left_done {
            return Ok(None);
        }
        let Some(batch) = self.left.try_next().await? else { return Ok(None) };
        let of = self.sides.left(batch, &self.metrics)?;
        let (matches, pending) = (Vec::new(), Vec::new());
        let left = LeftBatch { of, next: 0, emitted: 0, matches, pending };
        self.reserve(Some(&left))?;
        Ok(Some(left))
    }

    /// Reads the right batch after the cursor, dropping those that are behind and not used.
    async fn fetch_right(&mut self, left: &LeftBatch) -> Result<()> {
        let keep_from = self.keep_from(left);
        self.window.prune(keep_from)?;
        let Some(batch) = self.right.next().await.transpose()? else {
            self.right_done = true;
            return Ok(());
        };
        if batch.num_rows() == 0 {
            return Ok(());
        }
        self.metrics.right_rows.add(batch.num_rows());
        let (candidates, ruled_out) = self.sides.candidates(batch)?;
        self.window.push_unchosen(ruled_out)?;
        if candidates.num_rows() > 0 {
            let encoded = self.sides.right(candidates)?;
            self.window.push(encoded)?;
        }
        self.reserve(Some(left))
    }

    /// The first batch that later rows, or rows that wait for the residual condition, may need.
    fn keep_from(&self, left: &LeftBatch) -> usize {
        let behind = self.window.before(self.cursor).map_or(self.cursor.batch, |p| p.batch);
        match self.sides.condition.walks_back() {
            false => behind,
            true => {
                let waiting = left.pending.iter().map(|pending| pending.start.batch).min();
                behind.min(self.run_start.batch).min(waiting.unwrap_or(usize::MAX))
            }
        }
    }

    fn emit(&mut self, left: &mut LeftBatch) -> Result<RecordBatch> {
        self.settle(left)?;
        let timer = self.metrics.time_gather.clone();
        let _timer = timer.timer();
        let range = left.emitted..left.next;
        let batch =
            self.output.assemble(&left.of.rows.batch, range, &left.matches, &self.window)?;
        let matched = left.matches.iter().flatten().count();
        self.metrics.matched.add(matched);
        self.metrics.unmatched.add(left.matches.len() - matched);
        left.matches.clear();
        left.emitted = left.next;
        self.window.release(self.keep_from(left))?;
        self.reserve(Some(left))?;
        Ok(batch)
    }

    fn settle(&mut self, left: &mut LeftBatch) -> Result<()> {
        let condition = Arc::clone(&self.sides.condition);
        let Some(residual) = &condition.residual else { return Ok(()) };
        let pending = std::mem::take(&mut left.pending);
        let mut decided = Vec::with_capacity(pending.len());
        let near = |row, position| self.is_near(left, row, position);
        let decide = |row, position| decided.push((row, position));
        let tried = residual.settle(&left.of, &self.window, pending, near, decide)?;
        self.metrics.residual_pairs.add(tried);
        for (row, position) in decided {
            position.into_iter().for_each(|position| self.window.choose(position));
            left.matches[row - left.emitted] = position;
        }
        Ok(())
    }

    fn reserve(&mut self, left: Option<&LeftBatch>) -> Result<()> {
        let left = left.map_or(Ok(0), |left| left.of.rows.size())?;
        let size = left + self.window.size();
        self.metrics.build_mem_used.set_max(size);
        self.reservation.try_resize(size)
    }
}
