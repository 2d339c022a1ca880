//! Fewer rows at once where a plan holds a large constant.
//!
//! A constant of sixty megabytes is one value until an operator spreads it over the rows of a batch:
//! then it is eight thousand of them. [`sliced`] has such an operator see as many rows at a time as its
//! constants leave room for.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use datafusion::common::internal_err;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode, TreeNodeRecursion};
use datafusion::error::Result;
use datafusion::execution::{RecordBatchStream, SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::Literal;
use datafusion::physical_plan::{
    ChildrenPropertiesMode, DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties,
    ReplaceChildrenOptions,
};
use futures::{Stream, StreamExt};

/// Constants that are shorter are spread without a thought.
const SHORT_BYTES: usize = 4096;

/// The same plan, in which constants make no more than so many bytes of one batch.
///
/// # Errors
/// Those of making an operator again over other inputs, of which there are none.
pub fn sliced(plan: Arc<dyn ExecutionPlan>, bytes_max: usize) -> Result<Arc<dyn ExecutionPlan>> {
    let slice = |plan: Arc<dyn ExecutionPlan>| {
        let constants = constant_bytes(&plan)?;
        let inputs: Vec<_> = plan.children().into_iter().cloned().collect();
        match inputs.as_slice() {
            [input] if constants > SHORT_BYTES => {
                let rows = (bytes_max / constants).max(1);
                let input: Arc<dyn ExecutionPlan> =
                    Arc::new(SliceExec { input: Arc::clone(input), rows });
                let options = ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute);
                plan.replace_children(vec![input], options).map(Transformed::yes)
            }
            _ => Ok(Transformed::no(plan)),
        }
    };
    plan.transform_up(slice).data()
}

/// Bytes of the constants in an operator's expressions.
fn constant_bytes(plan: &Arc<dyn ExecutionPlan>) -> Result<usize> {
    let mut bytes = 0;
    plan.apply_expressions(&mut |root| {
        root.apply(|expr| {
            let literal = expr.downcast_ref::<Literal>();
            bytes += literal.map_or(0, |literal| literal.value().size());
            Ok(TreeNodeRecursion::Continue)
        })
    })?;
    Ok(bytes)
}

/// Passes its input on, so many rows at a time.
#[derive(Debug)]
struct SliceExec {
    input: Arc<dyn ExecutionPlan>,
    rows: usize,
}

impl DisplayAs for SliceExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SliceExec: rows={}", self.rows)
    }
}

impl ExecutionPlan for SliceExec {
    fn name(&self) -> &str {
        "SliceExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        self.input.properties()
    }

    fn maintains_input_order(&self) -> Vec<bool> {
        vec![true]
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn replace_children(
        self: Arc<Self>,
        mut children: Vec<Arc<dyn ExecutionPlan>>,
        _: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        match children.pop() {
            Some(input) => Ok(Arc::new(SliceExec { input, rows: self.rows })),
            None => internal_err!("SliceExec needs an input"),
        }
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let options = ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute);
        self.replace_children(children, options)
    }

    fn execute(
        &self,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        let input = self.input.execute(partition, context)?;
        Ok(Box::pin(Slices { input, rows: self.rows, rest: None }))
    }
}

struct Slices {
    input: SendableRecordBatchStream,
    rows: usize,
    /// What is left of the batch that came last.
    rest: Option<RecordBatch>,
}

impl Stream for Slices {
    type Item = Result<RecordBatch>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let batch = match self.rest.take() {
            Some(rest) => rest,
            None => match ready!(self.input.poll_next_unpin(context)) {
                Some(Ok(batch)) => batch,
                end => return Poll::Ready(end),
            },
        };
        if batch.num_rows() <= self.rows {
            return Poll::Ready(Some(Ok(batch)));
        }
        self.rest = Some(batch.slice(self.rows, batch.num_rows() - self.rows));
        Poll::Ready(Some(Ok(batch.slice(0, self.rows))))
    }
}

impl RecordBatchStream for Slices {
    fn schema(&self) -> SchemaRef {
        self.input.schema()
    }
}
