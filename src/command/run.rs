//! Plans to rows.

use std::sync::Arc;

use arrow::array::RecordBatch;
use datafusion::common::metadata::{FieldMetadata, ScalarAndMetadata};
use datafusion::common::{ParamValues, ScalarValue};
use datafusion::execution::session_state::SessionState;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::execute_stream;
use futures::TryStreamExt;

use crate::error::{Error, ErrorKind, Result};
use crate::fault;
use crate::plan::{Parameters, Reading};

/// Starts to run a plan, with the reading's parameters in it.
///
/// # Errors
/// Whatever optimising and starting give.
pub async fn start(
    reading: &Reading,
    state: &SessionState,
    plan: LogicalPlan,
) -> Result<SendableRecordBatchStream> {
    let plan = bind(plan, reading.parameters.as_deref())?;
    let physical = state.create_physical_plan(&plan).await.map_err(fault::of_datafusion)?;
    let context = TaskContext::from(state).with_runtime(Arc::clone(&reading.runtime));
    execute_stream(physical, Arc::new(context)).map_err(fault::of_datafusion)
}

/// Runs a plan to its end; for results that are known to be small.
///
/// # Errors
/// As [`start`], and whatever running gives.
pub async fn collect(
    reading: &Reading,
    state: &SessionState,
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
    state: &SessionState,
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
