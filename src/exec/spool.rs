//! Rows set aside while a statement runs: in memory while they are few, in spill files when they are
//! many. They come back in the order they went in, as often as they are asked for.

use std::fmt;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use datafusion::catalog::TableProvider;
use datafusion::catalog::streaming::StreamingTable;
use datafusion::execution::SpillFile;
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::metrics::{ExecutionPlanMetricsSet, SpillMetrics};
use datafusion::physical_plan::spill::SpillManager;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::PartitionStream;
use futures::{StreamExt, TryStreamExt};

use crate::error::Result;
use crate::fault;

/// As much as this goes to a file at once.
const MEMORY_BYTES: usize = 16 << 20;

/// Rows that still come.
pub struct Spool {
    manager: SpillManager,
    reservation: MemoryReservation,
    kept: Vec<RecordBatch>,
    files: Vec<Arc<dyn SpillFile>>,
    rows: u64,
}

/// Rows that are all there. Clones share them.
#[derive(Clone)]
pub struct Spooled(Arc<Held>);

struct Held {
    schema: SchemaRef,
    manager: SpillManager,
    kept: Vec<RecordBatch>,
    files: Vec<Arc<dyn SpillFile>>,
    rows: u64,
    /// Given back with the last clone.
    _reservation: MemoryReservation,
}

impl Spool {
    /// An empty one, for batches of this schema.
    pub fn new(schema: SchemaRef, runtime: &Arc<RuntimeEnv>) -> Spool {
        let metrics = SpillMetrics::new(&ExecutionPlanMetricsSet::new(), 0);
        Spool {
            manager: SpillManager::new(Arc::clone(runtime), metrics, schema),
            reservation: MemoryConsumer::new("rows set aside").register(&runtime.memory_pool),
            kept: Vec::new(),
            files: Vec::new(),
            rows: 0,
        }
    }

    /// The schema of its batches.
    pub fn schema(&self) -> &SchemaRef {
        self.manager.schema()
    }

    /// Adds rows.
    ///
    /// # Errors
    /// DiskFull, Io; LimitExceeded where spill files may not grow further.
    pub fn push(&mut self, batch: RecordBatch) -> Result<()> {
        if batch.num_rows() == 0 {
            return Ok(());
        }
        self.rows += batch.num_rows() as u64;
        let bytes = batch.get_array_memory_size();
        let fits = self.reservation.size() + bytes <= MEMORY_BYTES;
        self.kept.push(batch);
        if fits && self.reservation.try_grow(bytes).is_ok() { Ok(()) } else { self.spill() }
    }

    fn spill(&mut self) -> Result<()> {
        let kept = std::mem::take(&mut self.kept);
        let file = self.manager.spill_record_batch_and_finish(&kept, "rows set aside");
        self.files.extend(file.map_err(fault::of_datafusion)?);
        self.reservation.free();
        Ok(())
    }

    /// Ends it.
    pub fn finish(self) -> Spooled {
        Spooled(Arc::new(Held {
            schema: Arc::clone(self.manager.schema()),
            manager: self.manager,
            kept: self.kept,
            files: self.files,
            rows: self.rows,
            _reservation: self.reservation,
        }))
    }
}

impl Spooled {
    /// How many rows.
    pub fn rows(&self) -> u64 {
        self.0.rows
    }

    /// The rows as a table of plans.
    ///
    /// # Errors
    /// Internal, which does not happen: the schema is its own.
    pub fn provider(&self) -> Result<Arc<dyn TableProvider>> {
        let rows: Arc<dyn PartitionStream> = Arc::new(self.clone());
        let table = StreamingTable::try_new(Arc::clone(&self.0.schema), vec![rows]);
        Ok(Arc::new(table.map_err(fault::of_datafusion)?))
    }

    /// The rows.
    pub fn stream(&self) -> SendableRecordBatchStream {
        // The batches share what they hold; only the list is copied.
        let kept = futures::stream::iter(self.0.kept.clone().into_iter().map(Ok));
        let held = Arc::clone(&self.0);
        let files = self.0.files.clone().into_iter();
        let spilled = files.map(move |file| held.manager.read_spill_as_stream(file, None));
        let spilled = futures::stream::iter(spilled).try_flatten();
        let rows = spilled.chain(kept);
        Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.0.schema), rows))
    }
}

impl fmt::Debug for Spooled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Spooled({} rows)", self.0.rows)
    }
}

impl PartitionStream for Spooled {
    fn schema(&self) -> &SchemaRef {
        &self.0.schema
    }

    fn execute(&self, _: Arc<TaskContext>) -> SendableRecordBatchStream {
        self.stream()
    }
}
