//! A result on its way to the client: batches as they come, rows encoded a column's downcast at a
//! time, a piece at a time.

use std::sync::Arc;

use arrow::array::RecordBatch;
use datafusion::execution::SendableRecordBatchStream;
use futures::StreamExt;

use super::oid;
use super::reply::{self, Format};
use super::sink::Sink;
use crate::activity::CancelToken;
use crate::error::{Error, ErrorKind, Result};
use crate::fault;
use crate::session::{OutputColumn, RowsTag};
use crate::spec::binary::BinaryFormatter;
use crate::spec::text::{TextFormatter, TextOptions};

/// The formats of a result's columns: none means text, one is for all, else one for each.
#[derive(Clone, Debug, Default)]
pub(super) struct Formats(Vec<Format>);

impl Formats {
    /// The formats that a Bind message asks for.
    ///
    /// # Errors
    /// `Protocol` for a code that is no format.
    pub(super) fn of_codes(codes: &[i16]) -> Result<Self> {
        let format = |code: &i16| match code {
            0 => Ok(Format::Text),
            1 => Ok(Format::Binary),
            other => {
                Err(Error::new(ErrorKind::Protocol, format!("unsupported format code {other}")))
            }
        };
        codes.iter().map(format).collect::<Result<_>>().map(Formats)
    }

    /// The same for every column.
    pub(super) fn all(format: Format) -> Self {
        Formats(vec![format])
    }

    /// Whether they are for so many values.
    pub(super) fn fit(&self, count: usize) -> bool {
        self.0.len() <= 1 || self.0.len() == count
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// The format of the value at a position.
    pub(super) fn at(&self, position: usize) -> Format {
        match self.0.as_slice() {
            [] => Format::Text,
            [all] => *all,
            each => each.get(position).copied().unwrap_or(Format::Text),
        }
    }
}

/// A result that may have been sent in part.
pub(super) struct Rows {
    columns: Arc<Vec<OutputColumn>>,
    formats: Formats,
    options: TextOptions,
    stream: SendableRecordBatchStream,
    tag: RowsTag,
    /// The batch being sent, and its next row.
    batch: Option<(RecordBatch, usize)>,
}

/// How far one Execute came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sent {
    pub(super) rows: u64,
    pub(super) bytes: u64,
    /// Whether rows may be left.
    pub(super) suspended: bool,
}

impl Rows {
    pub(super) fn new(
        columns: Arc<Vec<OutputColumn>>,
        formats: Formats,
        options: TextOptions,
        stream: SendableRecordBatchStream,
        tag: RowsTag,
    ) -> Self {
        Rows { columns, formats, options, stream, tag, batch: None }
    }

    /// Sends at most `max_rows` rows, all for 0.
    ///
    /// # Errors
    /// Those of the query, of the cancel token, and `NotSupported` for a value without this format.
    pub(super) async fn send(
        &mut self,
        max_rows: usize,
        sink: &mut Sink,
        cancel: &CancelToken,
    ) -> Result<Sent> {
        let bound = if max_rows == 0 { u64::MAX } else { max_rows as u64 };
        let mut sent = Sent { rows: 0, bytes: 0, suspended: false };
        while sent.rows < bound {
            let Some((batch, row)) = self.next_rows(cancel).await? else { return Ok(sent) };
            let left = usize::try_from(bound - sent.rows).unwrap_or(usize::MAX);
            let (before, room) = (sink.out.len(), sink.room());
            let rows = self.encode(&batch, row, left, room, &mut sink.out)?;
            sent.rows += rows as u64;
            sent.bytes += (sink.out.len() - before) as u64;
            self.batch = Some((batch, row + rows));
            sink.flush_if_full().await?;
        }
        Ok(Sent { suspended: true, ..sent })
    }

    /// Goes over rows without sending them; how many there were.
    ///
    /// # Errors
    /// Those of the query and of the cancel token.
    pub(super) async fn skip(&mut self, most: u64, cancel: &CancelToken) -> Result<u64> {
        let mut skipped = 0;
        while skipped < most {
            let Some((batch, row)) = self.next_rows(cancel).await? else { break };
            let left = usize::try_from(most - skipped).unwrap_or(usize::MAX);
            let count = left.min(batch.num_rows() - row);
            skipped += count as u64;
            self.batch = Some((batch, row + count));
        }
        Ok(skipped)
    }

    pub(super) fn columns(&self) -> &[OutputColumn] {
        &self.columns
    }

    /// Sends in these formats from here on; those it had.
    pub(super) fn set_formats(&mut self, formats: Formats) -> Formats {
        std::mem::replace(&mut self.formats, formats)
    }

    /// The batch that has rows left, and the first of these.
    async fn next_rows(&mut self, cancel: &CancelToken) -> Result<Option<(RecordBatch, usize)>> {
        loop {
            cancel.check()?;
            if let Some((batch, row)) = self.batch.take()
                && row < batch.num_rows()
            {
                return Ok(Some((batch, row)));
            }
            let next = tokio::select! {
                biased;
                reason = cancel.cancelled() => return Err(reason.error()),
                next = self.stream.next() => next,
            };
            match next {
                Some(batch) => self.batch = Some((batch.map_err(fault::of_datafusion)?, 0)),
                None => return Ok(None),
            }
        }
    }

    /// Appends rows until there are `max_rows` of them or more than `room` bytes; at least one.
    fn encode(
        &self,
        batch: &RecordBatch,
        first: usize,
        max_rows: usize,
        room: usize,
        out: &mut Vec<u8>,
    ) -> Result<usize> {
        let encoders = self.encoders(batch)?;
        let columns = u16::try_from(encoders.len()).map_err(|_| too_wide())?;
        let full = out.len().saturating_add(room.max(1));
        let last = first.saturating_add(max_rows).min(batch.num_rows());
        let mut whole = WholeMessages::new(out);
        for row in first..last {
            let at = reply::open(whole.out, b'D');
            whole.out.extend_from_slice(&columns.to_be_bytes());
            encoders.iter().for_each(|encoder| encoder.append(row, whole.out));
            if i32::try_from(whole.out.len() - at).is_err() {
                return Err(too_wide());
            }
            reply::close(whole.out, at);
            whole.end_message();
            if whole.out.len() >= full {
                return Ok(row + 1 - first);
            }
        }
        Ok(last - first)
    }

    fn encoders<'a>(&self, batch: &'a RecordBatch) -> Result<Vec<Encoder<'a>>> {
        if batch.num_columns() != self.columns.len() {
            return Err(Error::new(
                ErrorKind::Internal,
                format!(
                    "a batch of {} columns for a result of {}",
                    batch.num_columns(),
                    self.columns.len()
                ),
            ));
        }
        let columns = self.columns.iter().zip(batch.columns()).enumerate();
        columns
            .map(|(position, (column, array))| match self.formats.at(position) {
                Format::Text => {
                    TextFormatter::new(&column.data_type, array, &self.options).map(Encoder::Text)
                }
                Format::Binary => {
                    let as_sent = oid::as_sent(&column.data_type, column.catalog_type.is_some());
                    BinaryFormatter::new(&as_sent, array).map(Encoder::Binary)
                }
            })
            .collect()
    }

    /// The tag of a statement that gave so many rows.
    pub(super) fn tag(&self, rows: u64) -> String {
        let word = match self.tag {
            RowsTag::Select => "SELECT",
            RowsTag::Fetch { .. } => "FETCH",
            RowsTag::Tagged(word) => word,
        };
        match word {
            "SELECT" | "INSERT 0" | "UPDATE" | "DELETE" | "MERGE" | "FETCH" | "MOVE" | "COPY" => {
                format!("{word} {rows}")
            }
            // SHOW, EXPLAIN, CALL …: PostgreSQL counts no rows of these.
            bare => bare.to_owned(),
        }
    }
}

/// Replies in the making: what is no whole message when this ends, in an error or a panic, is taken back,
/// so that the next message is read as one.
struct WholeMessages<'a> {
    out: &'a mut Vec<u8>,
    whole: usize,
}

impl<'a> WholeMessages<'a> {
    fn new(out: &'a mut Vec<u8>) -> Self {
        let whole = out.len();
        WholeMessages { out, whole }
    }

    fn end_message(&mut self) {
        self.whole = self.out.len();
    }
}

impl Drop for WholeMessages<'_> {
    fn drop(&mut self) {
        self.out.truncate(self.whole);
    }
}

fn too_wide() -> Error {
    Error::new(ErrorKind::LimitExceeded, "a row is larger than the protocol can say")
        .hint("select fewer columns, or parts of the large values")
}

/// One column of one batch, downcast once.
enum Encoder<'a> {
    Text(TextFormatter<'a>),
    Binary(BinaryFormatter<'a>),
}

impl Encoder<'_> {
    /// Appends the length of a value and the value; NULL is the length -1.
    fn append(&self, row: usize, out: &mut Vec<u8>) {
        let at = out.len();
        out.extend_from_slice(&(-1i32).to_be_bytes());
        match self {
            Encoder::Text(column) if !column.is_null(row) => column.write(row, out),
            Encoder::Binary(column) if !column.is_null(row) => column.write(row, out),
            Encoder::Text(_) | Encoder::Binary(_) => return,
        }
        let length = (out.len() - at - 4) as u32;
        out[at..at + 4].copy_from_slice(&length.to_be_bytes());
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use super::*;

    #[test]
    fn a_panic_leaves_whole_messages() {
        let mut out = b"before".to_vec();
        let encode = AssertUnwindSafe(|| {
            let mut whole = WholeMessages::new(&mut out);
            whole.out.extend_from_slice(b", a row");
            whole.end_message();
            whole.out.extend_from_slice(b", half");
            panic!("a value that cannot be shown");
        });
        assert!(catch_unwind(encode).is_err());
        assert_eq!(out, b"before, a row");
    }
}
