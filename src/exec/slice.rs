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
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode, TreeNodeRecursion};
use datafusion::error::Result;
use datafusion::execution::{RecordBatchStream, SendableRecordBatchStream};
use datafusion::physical_expr::expressions::Literal;
use datafusion::physical_plan::{ChildrenPropertiesMode, ExecutionPlan, ReplaceChildrenOptions};
use futures::{Stream, StreamExt};

use super::pass::{PassExec, Passage};

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
                let input = PassExec::over(Arc::clone(input), FewAtOnce(rows));
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

/// Passes rows on, so many at a time.
#[derive(Clone, Debug)]
struct FewAtOnce(usize);

impl Passage for FewAtOnce {
    const NAME: &str = "SliceExec";

    fn show(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SliceExec: rows={}", self.0)
    }

    fn pass(&self, input: SendableRecordBatchStream) -> SendableRecordBatchStream {
        Box::pin(Slices { input, rows: self.0, rest: None })
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
