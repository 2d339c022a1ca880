//! The rows of an answer on their way to the client, and what bounds their statement.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use datafusion::error::Result;
use datafusion::execution::{RecordBatchStream, SendableRecordBatchStream};
use futures::{Stream, StreamExt};
use tokio::task::JoinHandle;

use super::{Outcome, OutputColumn, RowsTag};
use crate::activity::{CancelReason, CancelToken};
use crate::command::run::stream_of;
use crate::memory::StatementMemory;
use crate::spec::Type;

/// What holds while a statement runs: its share of memory, and its timeout. Dropped, it stops what
/// still works for the statement.
pub(super) struct Bounds {
    _memory: StatementMemory,
    cancel: CancelToken,
    _timer: Timer,
}

/// Cancels a statement that is not over in time.
pub(super) struct Timer(Option<JoinHandle<()>>);

impl Bounds {
    /// `timeout` zero is none; the token is the statement's own.
    pub fn new(memory: StatementMemory, cancel: &CancelToken, timeout: Duration) -> Bounds {
        let _timer = Timer::start(cancel, timeout);
        Bounds { _memory: memory, cancel: cancel.clone(), _timer }
    }
}

impl Drop for Bounds {
    fn drop(&mut self) {
        self.cancel.cancel(CancelReason::Disconnected);
    }
}

impl Timer {
    /// `timeout` zero is none.
    pub fn start(cancel: &CancelToken, timeout: Duration) -> Timer {
        let told = cancel.clone();
        Timer((!timeout.is_zero()).then(|| {
            tokio::spawn(async move {
                tokio::time::sleep(timeout).await;
                told.cancel(CancelReason::Timeout);
            })
        }))
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        if let Some(timeout) = &self.0 {
            timeout.abort();
        }
    }
}

/// The rows of a statement, and what bounds it until they end.
pub(super) struct Answer {
    rows: SendableRecordBatchStream,
    _bounds: Bounds,
}

impl Answer {
    pub fn stream(rows: SendableRecordBatchStream, bounds: Bounds) -> SendableRecordBatchStream {
        Box::pin(Answer { rows, _bounds: bounds })
    }
}

impl Stream for Answer {
    type Item = Result<RecordBatch>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.rows.poll_next_unpin(context)
    }
}

impl RecordBatchStream for Answer {
    fn schema(&self) -> SchemaRef {
        self.rows.schema()
    }
}

/// A batch of our own as an answer.
pub(super) fn rows_of(batch: RecordBatch, tag: RowsTag) -> Outcome {
    let column = |field: &Arc<arrow::datatypes::Field>| OutputColumn {
        name: field.name().clone(),
        data_type: Type::of_field(field).unwrap_or(Type::Text),
        catalog_type: None,
        table: None,
    };
    let columns = Arc::new(batch.schema().fields().iter().map(column).collect());
    Outcome::Rows { columns, stream: stream_of(batch), tag }
}
