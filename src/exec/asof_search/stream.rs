//! Running a search: the labels are collected, searched for together, and come out as they came in.
//!
//! Where memory does not hold all of them, each partition takes as many as it may, searches for those,
//! hands them out and goes on: the right side is read again, and nothing is spilled.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arrow::array::{Array, ArrayRef, BooleanArray, RecordBatch, RecordBatchOptions, UInt32Array};
use arrow::buffer::NullBuffer;
use arrow::compute::{filter_record_batch, take};
use arrow::datatypes::SchemaRef;
use datafusion::common::Result;
use datafusion::common::runtime::SpawnedTask;
use datafusion::error::DataFusionError;
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryLimit, MemoryReservation};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties};
use futures::TryStreamExt;
use futures::future::{BoxFuture, FutureExt, Shared};
use parking_lot::Mutex;

use super::exec::Shown;
use super::labels::{Labels, Sorted};
use super::metrics::SearchMetrics;
use super::search::{Matched, NO_ROW, search};
use super::view::View;
use crate::exec::asof_join::Kind;

/// Bytes that a label costs a view beside the columns shown: keys, times, places.
const LABEL_BYTES: usize = 72;
/// What a value of no fixed width is guessed at.
const VALUE_BYTES: usize = 32;
/// The part of the statement's memory that one search may fill, as a divisor.
const MEMORY_PART: usize = 2;

/// What one execution does.
#[derive(Clone)]
pub(super) struct Search {
    pub left: Arc<dyn ExecutionPlan>,
    pub views: Vec<Arc<View>>,
    pub columns: Vec<Shown>,
    pub schema: SchemaRef,
    pub metrics: SearchMetrics,
    pub context: Arc<TaskContext>,
}

/// The execution under way, which all partitions share.
#[derive(Default)]
pub(super) struct Run(Mutex<Option<Going>>);

struct Going {
    parts: Parts,
    /// Partitions that have not been asked for.
    unasked: usize,
}

type Parts = Shared<
    BoxFuture<'static, std::result::Result<Arc<[Mutex<Option<Part>>]>, Arc<DataFusionError>>>,
>;

/// One partition's labels on their way out.
struct Part {
    batches: VecDeque<RecordBatch>,
    /// The place of the next row among the labels that were searched for together.
    place: usize,
    matched: Arc<Vec<Matched>>,
    /// What was not read yet.
    rest: Option<SendableRecordBatchStream>,
    held: Arc<Held>,
}

/// Memory that is given back when the last who needs it is done.
struct Held(Mutex<MemoryReservation>);

impl std::fmt::Debug for Run {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Run")
    }
}

impl Run {
    /// One partition of the output. The first one asked for starts the search.
    pub(super) fn execute(
        &self,
        search: Search,
        partition: usize,
    ) -> Result<SendableRecordBatchStream> {
        let mut run = self.0.lock();
        let partitions = search.left.output_partitioning().partition_count();
        let going = match run.as_mut() {
            Some(going) => going,
            None => {
                let streams = (0..partitions)
                    .map(|p| search.left.execute(p, Arc::clone(&search.context)))
                    .collect::<Result<Vec<_>>>()?;
                let all = collect(search.clone(), streams).map(|parts| parts.map_err(Arc::new));
                run.insert(Going { parts: all.boxed().shared(), unasked: partitions })
            }
        };
        going.unasked -= 1;
        let parts = going.parts.clone();
        if going.unasked == 0 {
            *run = None;
        }
        let schema = Arc::clone(&search.schema);
        let start = async move {
            let parts = parts.await.map_err(DataFusionError::Shared)?;
            let part = parts[partition].lock().take();
            let part = part.ok_or_else(|| {
                DataFusionError::Internal("a partition of an asof search was asked twice".into())
            })?;
            let batches = futures::stream::try_unfold((search, part), |(search, mut part)| async {
                Ok(part.next(&search).await?.map(|batch| (batch, (search, part))))
            });
            Ok::<_, DataFusionError>(batches)
        };
        let batches = futures::stream::once(start).try_flatten();
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, batches)))
    }
}

/// Reads all labels and searches for them; where memory ends first, each partition has what it read.
async fn collect(
    search: Search,
    streams: Vec<SendableRecordBatchStream>,
) -> Result<Arc<[Mutex<Option<Part>>]>> {
    let workers = search.context.session_config().target_partitions().max(1);
    let budget = Arc::new(Budget::new(&search, streams.len()));
    let readers = streams.into_iter().map(|stream| {
        let budget = Arc::clone(&budget);
        SpawnedTask::spawn(async move { read(stream, &budget).await })
    });
    let readers: Vec<_> = readers.collect();
    let mut read = Vec::with_capacity(readers.len());
    for reader in readers {
        let part = reader.join().await;
        read.push(part.map_err(|e| DataFusionError::ExecutionJoin(Box::new(e)))??);
    }
    if read.iter().all(|part| part.rest.is_none()) {
        let batches: Vec<RecordBatch> =
            read.iter().flat_map(|part| part.batches.iter().cloned()).collect();
        let matched = Arc::new(search.run(&Labels::new(batches), workers).await?);
        let mut place = 0;
        for part in &mut read {
            (part.place, part.matched) = (place, Arc::clone(&matched));
            place += part.batches.iter().map(RecordBatch::num_rows).sum::<usize>();
        }
    } else {
        for part in &mut read {
            let batches = part.batches.iter().cloned().collect();
            part.matched = Arc::new(search.run(&Labels::new(batches), 1).await?);
        }
    }
    Ok(read.into_iter().map(|part| Mutex::new(Some(part))).collect())
}

/// How much one partition reads before it searches.
struct Budget {
    row_bytes: usize,
    part_bytes: usize,
    /// Labels are numbered by 32 bits.
    part_rows: usize,
    /// Some partition had no more room: all stop, and none waits for another.
    is_full: AtomicBool,
    context: Arc<TaskContext>,
}

impl Budget {
    fn new(search: &Search, partitions: usize) -> Budget {
        let part_bytes = match search.context.memory_pool().memory_limit() {
            MemoryLimit::Finite(bytes) => bytes / MEMORY_PART / partitions.max(1),
            MemoryLimit::Infinite | MemoryLimit::Unknown => usize::MAX,
        };
        let shown = search.views.iter().map(|view| {
            let columns = view.shown.iter().map(|at| &view.schema().columns[*at]);
            let width =
                columns.map(|c| c.data_type.arrow().primitive_width().unwrap_or(VALUE_BYTES));
            LABEL_BYTES + 2 * width.sum::<usize>()
        });
        Budget {
            row_bytes: shown.sum(),
            part_bytes,
            part_rows: u32::MAX as usize / 2 / partitions.max(1),
            is_full: AtomicBool::new(false),
            context: Arc::clone(&search.context),
        }
    }
}

async fn read(mut stream: SendableRecordBatchStream, budget: &Budget) -> Result<Part> {
    let consumer = MemoryConsumer::new("AsofSearch");
    let reservation = consumer.register(budget.context.memory_pool());
    let (mut batches, mut rows, mut rest) = (VecDeque::new(), 0, None);
    loop {
        let is_full = budget.is_full.load(Ordering::Relaxed)
            || reservation.size() >= budget.part_bytes
            || rows >= budget.part_rows;
        if !batches.is_empty() && is_full {
            budget.is_full.store(true, Ordering::Relaxed);
            rest = Some(stream);
            break;
        }
        let Some(batch) = stream.try_next().await? else { break };
        if batch.num_rows() == 0 {
            continue;
        }
        rows += batch.num_rows();
        let mut size = batch.num_rows() * budget.row_bytes;
        for column in batch.columns() {
            size += column.to_data().get_slice_memory_size()?;
        }
        let grown = reservation.try_grow(size);
        batches.push_back(batch);
        if let Err(error) = grown {
            if batches.len() == 1 {
                return Err(error);
            }
            budget.is_full.store(true, Ordering::Relaxed);
            rest = Some(stream);
            break;
        }
    }
    let held = Arc::new(Held(Mutex::new(reservation)));
    Ok(Part { batches, place: 0, matched: Arc::default(), rest, held })
}

impl Search {
    async fn run(&self, labels: &Labels, workers: usize) -> Result<Vec<Matched>> {
        self.metrics.left_rows.add(labels.rows);
        let mut matched = Vec::with_capacity(self.views.len());
        // Views that look for the same keys at the same times share one sort.
        let mut sorts: Vec<(&View, Arc<Sorted>)> = Vec::new();
        for view in &self.views {
            let known = sorts.iter().find(|(other, _)| other.asks_as(view));
            let sorted = match known {
                Some((_, sorted)) => Arc::clone(sorted),
                None => {
                    let timer = self.metrics.time_sort.timer();
                    let sorted = Arc::new(labels.sorted(view, workers).await?);
                    timer.done();
                    let keys = sorted.order.keys.chunk_by(|a, b| a == b).count();
                    self.metrics.distinct_keys.add(keys);
                    sorts.push((view, Arc::clone(&sorted)));
                    sorted
                }
            };
            let view = Arc::clone(view);
            matched.push(search(view, labels, sorted, workers, &self.metrics).await?);
        }
        Ok(matched)
    }

    /// The left batch whose first row has this place, with what was found for its rows.
    fn assemble(
        &self,
        left: &RecordBatch,
        place: usize,
        matched: &[Matched],
    ) -> Result<RecordBatch> {
        let _timer = self.metrics.time_gather.timer();
        let rows = left.num_rows();
        let slots: Vec<UInt32Array> =
            matched.iter().map(|m| as_indices(&m.slots[place..place + rows])).collect();
        let columns = self.columns.iter().map(|column| match *column {
            Shown::Left(column) => Ok(Arc::clone(left.column(column))),
            Shown::Right { view, column } => {
                Ok(take(matched[view].rows.column(column), &slots[view], None)?)
            }
        });
        let columns = columns.collect::<Result<Vec<ArrayRef>>>()?;
        let kept = self.views.iter().zip(&slots).fold(None, |kept, (view, slots)| {
            NullBuffer::union(kept.as_ref(), kept_by(view.condition.kind, slots).as_ref())
        });
        for slots in &slots {
            self.metrics.matched.add(rows - slots.null_count());
            self.metrics.unmatched.add(slots.null_count());
        }
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        let Some(kept) = kept else {
            let schema = Arc::clone(&self.schema);
            return Ok(RecordBatch::try_new_with_options(schema, columns, &options)?);
        };
        // Rows without a match are NULL in columns that the output knows as NOT NULL.
        let fields = self.schema.fields().iter().map(|f| f.as_ref().clone().with_nullable(true));
        let nullable = arrow::datatypes::Schema::new(fields.collect::<Vec<_>>());
        let all = RecordBatch::try_new_with_options(Arc::new(nullable), columns, &options)?;
        let kept = filter_record_batch(&all, &BooleanArray::new(kept.into_inner(), None))?;
        let options = RecordBatchOptions::new().with_row_count(Some(kept.num_rows()));
        let (schema, columns) = (Arc::clone(&self.schema), kept.columns().to_vec());
        Ok(RecordBatch::try_new_with_options(schema, columns, &options)?)
    }
}

/// The labels that a join of this kind keeps; None where it keeps all.
fn kept_by(kind: Kind, slots: &UInt32Array) -> Option<NullBuffer> {
    match kind {
        Kind::Left | Kind::Right | Kind::Full => None,
        Kind::Inner | Kind::Semi => slots.nulls().cloned(),
        Kind::Anti => Some(match slots.nulls() {
            Some(found) => NullBuffer::new(!found.inner()),
            None => NullBuffer::new_null(slots.len()),
        }),
    }
}

fn as_indices(slots: &[u32]) -> UInt32Array {
    let found = slots.iter().all(|slot| *slot != NO_ROW);
    let nulls = (!found).then(|| slots.iter().map(|slot| *slot != NO_ROW).collect());
    let values = slots.iter().map(|slot| if *slot == NO_ROW { 0 } else { *slot });
    UInt32Array::new(values.collect(), nulls)
}

impl Part {
    async fn next(&mut self, search: &Search) -> Result<Option<RecordBatch>> {
        loop {
            if let Some(left) = self.batches.pop_front() {
                let batch = search.assemble(&left, self.place, &self.matched)?;
                self.place += left.num_rows();
                if batch.num_rows() > 0 {
                    return Ok(Some(batch));
                }
                continue;
            }
            self.matched = Arc::default();
            let Some(rest) = self.rest.take() else { return Ok(None) };
            self.held.0.lock().free();
            *self = read(rest, &Budget::new(search, search.partitions())).await?;
            if self.batches.is_empty() {
                return Ok(None);
            }
            let batches = self.batches.iter().cloned().collect();
            self.matched = Arc::new(search.run(&Labels::new(batches), 1).await?);
        }
    }
}

impl Search {
    fn partitions(&self) -> usize {
        self.left.output_partitioning().partition_count()
    }
}
