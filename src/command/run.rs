//! Plans to rows.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use arrow::array::RecordBatch;
use arrow::datatypes::{Schema, SchemaRef};
use datafusion::common::metadata::{FieldMetadata, ScalarAndMetadata};
use datafusion::common::{ParamValues, ScalarValue};
use datafusion::error::{DataFusionError, Result as DataFusionResult};
use datafusion::execution::memory_pool::MemoryLimit;
use datafusion::execution::session_state::SessionState;
use datafusion::execution::{RecordBatchStream, SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::{ExecutionPlan, execute_stream};
use futures::future::BoxFuture;
use futures::{FutureExt, Stream, StreamExt, TryStreamExt};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use crate::activity::{CancelReason, CancelToken};
use crate::error::{Error, ErrorKind, Result};
use crate::exec::slice::sliced;
use crate::exec::stop::stoppable;
use crate::fault;
use crate::memory::{Account, charged};
use crate::plan::functions::while_planning;
use crate::plan::{Parameters, Reading, thread};

/// Batches that wait for whoever takes them.
const WAITING_BATCHES: usize = 1;

/// Starts to run a plan, with the reading's parameters in it. It is optimised and run by a task of its
/// own: a cancel ends the stream at once, whatever the task is busy with; the task ends when it next
/// asks its token, which dropping the stream cancels too.
///
/// # Errors
/// Whatever optimising and starting give; Cancelled and its like.
pub async fn start(
    reading: &Reading,
    state: &Arc<SessionState>,
    plan: LogicalPlan,
) -> Result<SendableRecordBatchStream> {
    let cancel = reading.cancel.child();
    let (schemas, schema) = oneshot::channel();
    let (batches, taken) = mpsc::channel(WAITING_BATCHES);
    let (state, reading) = (Arc::clone(state), reading.clone());
    let stops = cancel.clone();
    let work = async move {
        let rows = match open(&reading, &state, plan, &stops).await {
            Ok(rows) => rows,
            // Whoever asked may be gone.
            Err(error) => return drop(schemas.send(Err(error))),
        };
        if schemas.send(Ok(rows.schema())).is_ok() {
            hand_over(rows, &batches).await;
        }
    };
    let task = tokio::spawn(charged(Account::current(), work));
    let mut rows = Rows::new(cancel, taken, task);
    let opened = tokio::select! {
        biased;
        opened = schema => opened,
        reason = thread::given_up(&rows.cancel) => return Err(reason.error()),
    };
    let Ok(schema) = opened else {
        poll_fn(|context| rows.poll_end(context)).await;
        return Err(CancelReason::Shutdown.error());
    };
    match schema {
        Ok(schema) => rows.schema = schema,
        Err(error) => {
            poll_fn(|context| rows.poll_end(context)).await;
            return Err(error);
        }
    }
    Ok(Box::pin(rows))
}

/// As [`start`], in one partition: rows get their ids in the order they come in, and that order has to
/// be the same every time, or two that tie would be told apart by which thread was faster.
///
/// # Errors
/// As [`start`].
pub async fn start_in_order(
    reading: &Reading,
    state: &Arc<SessionState>,
    plan: LogicalPlan,
) -> Result<SendableRecordBatchStream> {
    let mut state = SessionState::clone(state);
    state.config_mut().options_mut().execution.target_partitions = 1;
    start(reading, &Arc::new(state), plan).await
}

async fn open(
    reading: &Reading,
    state: &Arc<SessionState>,
    plan: LogicalPlan,
    cancel: &CancelToken,
) -> Result<SendableRecordBatchStream> {
    let of = (reading.clone(), Arc::clone(state), cancel.clone());
    let physical = thread::apart(cancel, operators(of.0, of.1, plan, of.2)).await?;
    execute(reading, state, physical)
}

async fn operators(
    reading: Reading,
    state: Arc<SessionState>,
    plan: LogicalPlan,
    cancel: CancelToken,
) -> Result<Arc<dyn ExecutionPlan>> {
    let plan = bind(plan, reading.parameters.as_deref())?;
    let physical = while_planning(state.create_physical_plan(&plan)).await;
    let physical = physical.map_err(fault::of_datafusion)?;
    let physical = sliced(physical, constant_bytes_max(&reading)).map_err(fault::of_datafusion)?;
    stoppable(physical, &cancel).map_err(fault::of_datafusion)
}

fn execute(
    reading: &Reading,
    state: &SessionState,
    physical: Arc<dyn ExecutionPlan>,
) -> Result<SendableRecordBatchStream> {
    let context = TaskContext::from(state).with_runtime(Arc::clone(&reading.runtime));
    execute_stream(physical, Arc::new(context)).map_err(fault::of_datafusion)
}

/// The operators of a plan; where `analyze`, after they have run to their end, their rows thrown away.
///
/// # Errors
/// Whatever optimising and running give; Cancelled and its like.
pub async fn physical(
    reading: &Reading,
    state: &Arc<SessionState>,
    plan: LogicalPlan,
    analyze: bool,
) -> Result<Arc<dyn ExecutionPlan>> {
    let cancel = reading.cancel.child();
    let planning = operators(reading.clone(), Arc::clone(state), plan, cancel.clone());
    let physical = thread::apart(&cancel, planning).await?;
    if analyze {
        let mut rows = execute(reading, state, Arc::clone(&physical))?;
        apart(&reading.cancel, async move {
            while let Some(batch) = rows.next().await {
                batch.map_err(fault::of_datafusion)?;
            }
            Ok(())
        })
        .await?;
    }
    Ok(physical)
}

/// Runs work that computes for long in a task of its own, and lets it go when the token is cancelled:
/// it then ends on its own time, without effect.
///
/// # Errors
/// Those of the work; Cancelled and its like.
pub async fn apart<T: Send + 'static>(
    cancel: &CancelToken,
    work: impl Future<Output = Result<T>> + Send + 'static,
) -> Result<T> {
    let mut task = tokio::spawn(charged(Account::current(), work));
    let ended = tokio::select! {
        biased;
        reason = cancel.cancelled() => {
            task.abort();
            return Err(reason.error());
        }
        ended = &mut task => ended,
    };
    ended.unwrap_or_else(|error| match error.try_into_panic() {
        Ok(panic) => std::panic::resume_unwind(panic),
        Err(_) => Err(CancelReason::Shutdown.error()),
    })
}

/// What constants may make of one batch: a small part of what the statement may reserve.
fn constant_bytes_max(reading: &Reading) -> usize {
    match reading.runtime.memory_pool.memory_limit() {
        MemoryLimit::Finite(bytes) => bytes / 8,
        MemoryLimit::Infinite | MemoryLimit::Unknown => usize::MAX,
    }
}

async fn hand_over(
    mut rows: SendableRecordBatchStream,
    batches: &mpsc::Sender<DataFusionResult<RecordBatch>>,
) {
    while let Some(batch) = rows.next().await {
        let is_last = batch.is_err();
        if batches.send(batch).await.is_err() || is_last {
            return;
        }
    }
}

/// The rows of a plan that another task runs.
struct Rows {
    schema: SchemaRef,
    batches: mpsc::Receiver<DataFusionResult<RecordBatch>>,
    /// Of this run alone.
    cancel: CancelToken,
    cancelled: BoxFuture<'static, CancelReason>,
    /// Told once the task has ended: who hears of the error may close the database next.
    failed: Option<DataFusionError>,
    task: Option<JoinHandle<()>>,
}

impl Rows {
    fn new(
        cancel: CancelToken,
        batches: mpsc::Receiver<DataFusionResult<RecordBatch>>,
        task: JoinHandle<()>,
    ) -> Rows {
        let token = cancel.clone();
        let cancelled = async move { token.cancelled().await }.boxed();
        Rows {
            schema: Arc::new(Schema::empty()),
            batches,
            cancel,
            cancelled,
            failed: None,
            task: Some(task),
        }
    }

    /// Waits for the task to end. Its panic goes on here, where the statement is caught.
    fn poll_end(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let Some(task) = &mut self.task else { return Poll::Ready(()) };
        let ended = ready!(task.poll_unpin(context));
        self.task = None;
        match ended {
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            Ok(()) | Err(_) => Poll::Ready(()),
        }
    }
}

impl Stream for Rows {
    type Item = DataFusionResult<RecordBatch>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if let Poll::Ready(reason) = self.cancelled.poll_unpin(context) {
            let token = self.cancel.clone();
            self.cancelled = async move { token.cancelled().await }.boxed();
            return Poll::Ready(Some(Err(DataFusionError::External(Box::new(reason.error())))));
        }
        if self.failed.is_none() {
            match ready!(self.batches.poll_recv(context)) {
                Some(Ok(batch)) => return Poll::Ready(Some(Ok(batch))),
                Some(Err(error)) => self.failed = Some(error),
                None => {}
            }
        }
        ready!(self.poll_end(context));
        Poll::Ready(self.failed.take().map(Err))
    }
}

impl RecordBatchStream for Rows {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }
}

impl Drop for Rows {
    fn drop(&mut self) {
        self.cancel.cancel(CancelReason::Disconnected);
        self.task.iter().for_each(JoinHandle::abort);
    }
}

/// Runs a plan to its end; for results that are known to be small.
///
/// # Errors
/// As [`start`], and whatever running gives.
pub async fn collect(
    reading: &Reading,
    state: &Arc<SessionState>,
    plan: LogicalPlan,
) -> Result<Vec<RecordBatch>> {
    let stream = start(reading, state, plan).await?;
    stream.try_collect().await.map_err(fault::of_datafusion)
}

/// The one value of a query that answers one.
///
/// # Errors
/// Cardinality where it answers more or less.
pub async fn single(
    reading: &Reading,
    state: &Arc<SessionState>,
    plan: LogicalPlan,
) -> Result<ScalarValue> {
    let batches = collect(reading, state, plan).await?;
    let rows: usize = batches.iter().map(RecordBatch::num_rows).sum();
    match batches.iter().find(|batch| batch.num_rows() > 0) {
        Some(batch) if rows == 1 && batch.num_columns() == 1 => {
            ScalarValue::try_from_array(batch.column(0), 0).map_err(fault::of_datafusion)
        }
        _ => Err(Error::new(
            ErrorKind::Cardinality,
            format!("one value was expected, but there are {rows} rows"),
        )
        .hint("write a SELECT that answers one row of one column")),
    }
}

fn bind(plan: LogicalPlan, parameters: Option<&Parameters>) -> Result<LogicalPlan> {
    let values = parameters.map(|parameters| &parameters.values);
    let Some(values) = values.filter(|values| !values.is_empty()) else { return Ok(plan) };
    let fields = parameters.map_or(&[][..], |parameters| &parameters.fields);
    let value = |(at, value): (usize, &ScalarValue)| {
        let field = fields.get(at).and_then(Option::as_ref);
        let metadata = field.map(|field| FieldMetadata::from(field.as_ref()));
        ScalarAndMetadata::new(value.clone(), metadata)
    };
    let values = values.iter().enumerate().map(value).collect();
    plan.replace_params_with_values(&ParamValues::List(values)).map_err(fault::of_datafusion)
}

/// A batch as a stream.
pub fn stream_of(batch: RecordBatch) -> SendableRecordBatchStream {
    use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
    let schema = batch.schema();
    let one = futures::stream::iter([Ok(batch)]);
    Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&schema), one))
}
