//! COPY while it runs: data in from the connection, data out to it.

use futures::StreamExt;

use super::backend::Backend;
use super::message::Message;
use super::reply::{self, Format};
use super::sink::{CopyMessage, Piece};
use crate::activity::CancelToken;
use crate::error::{Error, ErrorKind, Result};
use crate::session::{CopyIn, CopyOut};

/// A longer row is several messages: the length word can say no more.
const MESSAGE_BYTES_MAX: usize = i32::MAX as usize - 4;

/// Where messages of a COPY come from. Those that were read together with the one that began it come
/// first; only then is the connection asked for more.
#[derive(Debug)]
enum Source {
    Read,
    Connection,
}

impl Backend {
    /// Takes COPY data until the client ends it; the tag. The client's CopyFail is an error.
    ///
    /// # Errors
    /// Those of the rows, of the cancel token, and `Cancelled` where the client gives up.
    pub(super) async fn copy_in(&mut self, mut copy: CopyIn) -> Result<String> {
        let format = if copy.format() == 0 { Format::Text } else { Format::Binary };
        reply::copy_in(&mut self.sink.out, format, copy.columns());
        self.sink.flush().await?;
        let cancel = copy.cancel_token();
        let mut source = Source::Read;
        let result = self.take_copy(&mut copy, &cancel, &mut source).await;
        match result {
            Ok(()) => copy.finish().await,
            Err(error) => {
                if let Source::Connection = source {
                    self.sink.tell(Piece::CopyEnds).await?;
                }
                Err(error)
            }
        }
    }

    async fn take_copy(
        &mut self,
        copy: &mut CopyIn,
        cancel: &CancelToken,
        source: &mut Source,
    ) -> Result<()> {
        loop {
            match self.next_copy_message(cancel, source).await? {
                CopyMessage::Data(data) => {
                    copy.write(&data).await?;
                    self.activity.progress(0, data.len() as u64);
                }
                CopyMessage::Done => return Ok(()),
                CopyMessage::Fail(reason) => {
                    let text = format!("COPY from stdin failed: {reason}");
                    return Err(Error::new(ErrorKind::Cancelled, text));
                }
                CopyMessage::Unexpected(tag) => {
                    let text =
                        format!("unexpected message type 0x{tag:02x} during COPY from stdin");
                    return Err(Error::new(ErrorKind::Protocol, text));
                }
            }
        }
    }

    async fn next_copy_message(
        &mut self,
        cancel: &CancelToken,
        source: &mut Source,
    ) -> Result<CopyMessage> {
        if let Source::Read = source {
            while let Some(message) = self.batch.pop_front() {
                if let Some(message) = CopyMessage::of(message) {
                    return Ok(message);
                }
            }
            self.sink.tell(Piece::CopyBegins).await?;
            *source = Source::Connection;
        }
        tokio::select! {
            biased;
            reason = cancel.cancelled() => Err(reason.error()),
            message = self.sink.copy.recv() => message.ok_or_else(|| {
                Error::new(ErrorKind::Cancelled, "the client is gone")
            }),
        }
    }

    /// Sends COPY data until there is no more; the tag. A message is one row, as drivers
    /// expect.
    ///
    /// # Errors
    /// Those of the query and of the cancel token.
    pub(super) async fn copy_out(&mut self, mut copy: CopyOut) -> Result<String> {
        let format = if copy.binary { Format::Binary } else { Format::Text };
        reply::copy_out(&mut self.sink.out, format, copy.columns);
        loop {
            let data = tokio::select! {
                biased;
                reason = self.cancel.cancelled() => return Err(reason.error()),
                data = copy.stream.next() => data,
            };
            let Some(data) = data.transpose()? else { break };
            let mut start = 0;
            for end in data.ends {
                for message in data.bytes[start..end].chunks(MESSAGE_BYTES_MAX) {
                    reply::copy_data(&mut self.sink.out, message);
                }
                start = end;
                self.sink.flush_if_full().await?;
            }
            self.activity.progress(0, data.bytes.len() as u64);
        }
        reply::copy_done(&mut self.sink.out);
        Ok(format!("COPY {}", copy.rows.load(std::sync::atomic::Ordering::Acquire)))
    }
}

impl CopyMessage {
    /// What a message means to a running COPY IN; None for those that are ignored, because clients
    /// send them before they know that the statement was COPY.
    pub(super) fn of(message: Message) -> Option<CopyMessage> {
        Some(match message {
            Message::CopyData(data) => CopyMessage::Data(data),
            Message::CopyDone => CopyMessage::Done,
            Message::CopyFail(reason) => CopyMessage::Fail(reason),
            Message::Flush | Message::Sync => return None,
            Message::Query(_) => CopyMessage::Unexpected(b'Q'),
            Message::Step(step) => CopyMessage::Unexpected(step.tag()),
            Message::FunctionCall => CopyMessage::Unexpected(b'F'),
            Message::Terminate => CopyMessage::Fail("the client ended the session".to_owned()),
            Message::Malformed { tag, .. } => CopyMessage::Unexpected(tag),
        })
    }
}
