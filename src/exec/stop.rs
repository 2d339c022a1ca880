//! What makes a plan heed its cancel token.
//!
//! DataFusion's operators yield at their leaves and at exchanges. A join between the two may make a
//! billion rows of one batch, and a filter inside it may throw all of them away, before any leaf is
//! asked again. [`stoppable`] puts a `StopExec` on top of every operator that has inputs, which ends
//! its stream once the token is cancelled and gives the thread back now and then, and has the filters
//! of joins ask the token each time they are evaluated.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, FieldRef, Schema, SchemaRef};
use datafusion::common::internal_err;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::{RecordBatchStream, SendableRecordBatchStream};
use datafusion::logical_expr::ColumnarValue;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::coop::cooperative;
use datafusion::physical_plan::joins::utils::JoinFilter;
use datafusion::physical_plan::joins::{
    HashJoinExec, NestedLoopJoinExec, NestedLoopJoinExecBuilder,
};
use futures::{Stream, StreamExt};

use super::apply::ApplyExec;
use super::pass::{PassExec, Passage};
use crate::activity::CancelToken;

/// The name under which EXPLAIN ANALYZE shows what stops a plan, for whoever hides it.
pub const STOP_EXEC: &str = "StopExec";

/// The same plan, which ends with the token's error soon after it is cancelled.
///
/// # Errors
/// Those of making an operator again over other inputs, of which there are none.
pub fn stoppable(
    plan: Arc<dyn ExecutionPlan>,
    cancel: &CancelToken,
) -> Result<Arc<dyn ExecutionPlan>> {
    let stop = |plan: Arc<dyn ExecutionPlan>| {
        if plan.children().is_empty() {
            return Ok(Transformed::no(plan));
        }
        let plan = match plan.downcast_ref::<ApplyExec>() {
            Some(apply) => Arc::new(apply.until(cancel)),
            None => plan,
        };
        let input = filtering(plan, cancel)?;
        Ok(Transformed::yes(PassExec::over(input, UntilCancelled(cancel.clone()))))
    };
    plan.transform_up(stop).data()
}

/// The error of a cancelled token as DataFusion carries it.
fn check(cancel: &CancelToken) -> Result<()> {
    cancel.check().map_err(|error| DataFusionError::External(Box::new(error)))
}

/// A join whose filter asks the token.
fn filtering(plan: Arc<dyn ExecutionPlan>, cancel: &CancelToken) -> Result<Arc<dyn ExecutionPlan>> {
    let asking = |filter: &JoinFilter| {
        let inner = Arc::clone(filter.expression());
        let expr = Arc::new(StopExpr { inner, cancel: cancel.clone() });
        JoinFilter::new(expr, filter.column_indices().to_vec(), Arc::clone(filter.schema()))
    };
    if let Some(join) = plan.downcast_ref::<NestedLoopJoinExec>()
        && let Some(filter) = join.filter()
    {
        let (left, right) = (Arc::clone(join.left()), Arc::clone(join.right()));
        let again = NestedLoopJoinExecBuilder::new(left, right, *join.join_type())
            .with_filter(Some(asking(filter)))
            .with_projection_ref(join.projection().clone());
        return Ok(Arc::new(again.build()?));
    }
    if let Some(join) = plan.downcast_ref::<HashJoinExec>()
        && let Some(filter) = join.filter()
    {
        return join.builder().with_filter(Some(asking(filter))).build_exec();
    }
    Ok(plan)
}

/// Passes rows on until the token is cancelled.
#[derive(Clone, Debug)]
struct UntilCancelled(CancelToken);

impl Passage for UntilCancelled {
    const NAME: &str = STOP_EXEC;

    fn pass(&self, rows: SendableRecordBatchStream) -> SendableRecordBatchStream {
        Box::pin(cooperative(Stoppable { rows, cancel: self.0.clone() }))
    }
}

struct Stoppable {
    rows: SendableRecordBatchStream,
    cancel: CancelToken,
}

impl Stream for Stoppable {
    type Item = Result<RecordBatch>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        match check(&self.cancel) {
            Ok(()) => self.rows.poll_next_unpin(context),
            Err(error) => Poll::Ready(Some(Err(error))),
        }
    }
}

impl RecordBatchStream for Stoppable {
    fn schema(&self) -> SchemaRef {
        self.rows.schema()
    }
}

/// An expression that is not evaluated once the token is cancelled.
#[derive(Clone, Debug)]
struct StopExpr {
    inner: Arc<dyn PhysicalExpr>,
    cancel: CancelToken,
}

impl PartialEq for StopExpr {
    fn eq(&self, other: &Self) -> bool {
        *self.inner == *other.inner
    }
}

impl Eq for StopExpr {}

impl Hash for StopExpr {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.inner.hash(state);
    }
}

impl fmt::Display for StopExpr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

impl PhysicalExpr for StopExpr {
    fn data_type(&self, schema: &Schema) -> Result<DataType> {
        self.inner.data_type(schema)
    }

    fn nullable(&self, schema: &Schema) -> Result<bool> {
        self.inner.nullable(schema)
    }

    fn return_field(&self, schema: &Schema) -> Result<FieldRef> {
        self.inner.return_field(schema)
    }

    fn evaluate(&self, batch: &RecordBatch) -> Result<ColumnarValue> {
        check(&self.cancel)?;
        self.inner.evaluate(batch)
    }

    fn children(&self) -> Vec<&Arc<dyn PhysicalExpr>> {
        vec![&self.inner]
    }

    fn with_new_children(
        self: Arc<Self>,
        mut children: Vec<Arc<dyn PhysicalExpr>>,
    ) -> Result<Arc<dyn PhysicalExpr>> {
        match children.pop() {
            Some(inner) => Ok(Arc::new(StopExpr { inner, cancel: self.cancel.clone() })),
            None => internal_err!("StopExpr needs an expression"),
        }
    }

    fn fmt_sql(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt_sql(f)
    }
}
