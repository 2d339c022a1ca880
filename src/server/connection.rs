//! One socket: reads, cuts out whole messages, has them answered, writes.
//!
//! Replies of a batch leave in one write, when no whole message is left to read and the client waits
//! for them. While a statement runs elsewhere, its pieces are written as they come and a little is
//! read ahead, which also tells when the client is gone.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::runtime::Handle;

use super::backend::{Backend, Flow};
use super::farewell::Farewell;
use super::frame;
use super::message::Message;
use super::registry::{Phase, Seat};
use super::reply::{self, Severity};
use super::sink::{CopyMessage, Forward, Piece};
use crate::activity::{CancelReason, CancelToken};
use crate::config::WireSettings;
use crate::error::{Error, ErrorKind, Result};
use crate::memory::charged;

/// Copy data smaller than this is joined before it is handed on.
const COPY_JOIN_BYTES: usize = 64 * 1024;
/// Messages answered together at most; a longer pipeline is several batches.
const BATCH_MESSAGES_MAX: usize = 1024;
/// How long a client may take to read that it is over, and to stop sending.
const LAST_WORDS_TIMEOUT: Duration = Duration::from_secs(5);
/// How long what a client had on its way is read, which did nothing wrong.
const FAREWELL_TIMEOUT: Duration = Duration::from_millis(500);
const READ_BYTES: usize = 8 * 1024;
/// An idle session keeps no larger buffer for replies.
const KEPT_REPLY_BYTES: usize = 16 * 1024;

/// Why a connection is over.
#[derive(Debug)]
pub(super) enum Over {
    /// The client said so or went away.
    Client,
    /// The server says so, with these last words.
    Server(Farewell),
    /// The client broke the protocol.
    Fatal(Error),
}

impl From<std::io::Error> for Over {
    fn from(_: std::io::Error) -> Self {
        Over::Client
    }
}

/// A socket and what has been read from it.
pub(super) struct Connection {
    pub(super) stream: TcpStream,
    pub(super) input: BytesMut,
    pub(super) seat: Arc<Seat>,
}

/// Messages that were read together.
struct Batch {
    messages: VecDeque<Message>,
    /// Whether the client waits for answers after the last of them.
    flush: bool,
    /// Where the stream lost its shape behind them.
    fatal: Option<Error>,
}

impl Connection {
    /// Writes bytes, as long as the client takes some now and then.
    pub(super) async fn write(&mut self, bytes: &[u8]) -> Result<(), Over> {
        self.seat.turn_to(Phase::Writing);
        tokio::select! {
            biased;
            written = self.stream.write_all(bytes) => Ok(written?),
            farewell = stalled(&self.seat) => Err(Over::Server(farewell)),
        }
    }

    /// Tells the client why. It may still be sending: closing then would make its system throw our
    /// last words away, so what it sends is read for a while and dropped.
    pub(super) async fn end(mut self, over: Over) {
        let mut out = Vec::new();
        match &over {
            Over::Client => return,
            Over::Server(farewell) => match farewell.words() {
                Some((sqlstate, text)) => reply::fatal(&mut out, sqlstate, text),
                None => return,
            },
            Over::Fatal(error) => reply::error(&mut out, Severity::Fatal, error),
        }
        self.seat.turn_to(Phase::Running);
        let last_words = async {
            self.stream.write_all(&out).await?;
            self.stream.shutdown().await
        };
        if !matches!(tokio::time::timeout(LAST_WORDS_TIMEOUT, last_words).await, Ok(Ok(()))) {
            return;
        }
        let rest = async {
            while read_more(&mut self.stream, &mut self.input).await.is_ok_and(|read| read > 0) {
                self.input.clear();
            }
        };
        let patience = match over {
            Over::Fatal(_) => LAST_WORDS_TIMEOUT,
            Over::Server(_) | Over::Client => FAREWELL_TIMEOUT,
        };
        let _ = tokio::time::timeout(patience, rest).await;
    }
}

/// Only a stall ends a write; other farewells wait for its end.
async fn stalled(seat: &Seat) -> Farewell {
    match seat.left().await {
        Farewell::WriteStall => Farewell::WriteStall,
        Farewell::Shutdown
        | Farewell::StartupTimeout
        | Farewell::Idle
        | Farewell::IdleInTransaction => std::future::pending().await,
    }
}

/// A connection whose client was let in.
pub(super) struct Client {
    pub(super) connection: Connection,
    pub(super) forward: Forward,
    pub(super) cancel: CancelToken,
    pub(super) queries: Handle,
    pub(super) bounds: WireSettings,
    /// The client waits for replies that were held back because more of its messages had come.
    pub(super) owes: bool,
}

impl Client {
    /// Serves the client until it is over, and says why.
    pub(super) async fn serve(&mut self, mut backend: Box<Backend>) -> Over {
        loop {
            match self.turn(backend).await {
                Ok(lent) => backend = lent,
                Err(over) => return over,
            }
        }
    }

    /// One batch: read, answered, written.
    async fn turn(&mut self, backend: Box<Backend>) -> Result<Box<Backend>, Over> {
        let batch = self.next_batch(backend.waiting_phase()).await?;
        self.connection.seat.turn_to(Phase::Running);
        let brief = backend.is_brief_batch(&batch.messages);
        let (mut backend, flow) = match brief {
            true => run_here(backend, batch.messages).await,
            false => self.run_apart(backend, batch.messages).await?,
        };
        let over = batch.fatal.is_some() || flow == Flow::End;
        self.owes |= batch.flush;
        let waits = self.owes && !frame::is_ready(&self.connection.input, &self.bounds);
        if over || waits || backend.sink.room() == 0 {
            self.owes = false;
            let mut out = std::mem::take(&mut backend.sink.out);
            self.connection.write(&out).await?;
            // The buffer stays, unless one large answer made it large.
            if out.capacity() <= KEPT_REPLY_BYTES {
                out.clear();
                backend.sink.out = out;
            }
        }
        match (batch.fatal, flow) {
            (Some(error), _) => Err(Over::Fatal(error)),
            (None, Flow::End) => Err(Over::Client),
            (None, Flow::Continue) => Ok(backend),
        }
    }

    async fn next_batch(&mut self, phase: Phase) -> Result<Batch, Over> {
        loop {
            let batch = gather(&mut self.connection.input, &self.bounds);
            if batch.fatal.is_some() || !batch.messages.is_empty() {
                return Ok(batch);
            }
            let Connection { stream, input, seat } = &mut self.connection;
            if input.is_empty() {
                // Gives back what a large message made of it.
                *input = BytesMut::new();
            }
            input.reserve(READ_BYTES);
            seat.turn_to(phase);
            let read = tokio::select! {
                biased;
                farewell = seat.left() => return Err(Over::Server(farewell)),
                read = stream.read_buf(input) => read?,
            };
            if read == 0 {
                return Err(Over::Client);
            }
        }
    }

    /// Lends the backend to a task of the query runtime and forwards until it comes back.
    async fn run_apart(
        &mut self,
        mut backend: Box<Backend>,
        messages: VecDeque<Message>,
    ) -> Result<(Box<Backend>, Flow), Over> {
        let work = charged(backend.account.clone(), async move {
            let flow = backend.run(messages).await;
            (backend, flow)
        });
        let mut task = self.queries.spawn(work);
        let mut copy = Copying::default();
        let mut is_gone = false;
        let (mut backend, flow) = loop {
            if copy.is_on && copy.next.is_none() {
                copy.next = self.next_copy_message(&mut copy.is_on)?;
            }
            let Connection { stream, input, .. } = &mut self.connection;
            let may_read = !is_gone && copy.next.is_none() && has_room(input, &copy, &self.bounds);
            let event = tokio::select! {
                biased;
                Some(piece) = self.forward.pieces.recv() => Event::Piece(piece),
                done = &mut task => Event::Done(done.map_err(|_| lost())?),
                Ok(permit) = self.forward.copy.reserve(), if copy.next.is_some() => {
                    if let Some(message) = copy.next.take() {
                        permit.send(message);
                    }
                    Event::HandedOn
                }
                read = read_more(stream, input), if may_read => Event::Read(read.unwrap_or(0)),
            };
            match event {
                Event::Piece(piece) => self.take(piece, &mut copy).await?,
                Event::Done(done) => break done,
                Event::Read(0) => {
                    is_gone = true;
                    self.cancel.cancel(CancelReason::Disconnected);
                }
                Event::Read(_) | Event::HandedOn => {}
            }
        };
        while let Ok(piece) = self.forward.pieces.try_recv() {
            self.take(piece, &mut copy).await?;
        }
        // What was handed on to a COPY that had failed by then.
        while backend.sink.copy.try_recv().is_ok() {}
        if is_gone {
            return Err(Over::Client);
        }
        Ok((backend, flow))
    }

    async fn take(&mut self, piece: Piece, copy: &mut Copying) -> Result<(), Over> {
        match piece {
            Piece::Replies(bytes) => {
                let written = self.connection.write(&bytes).await;
                self.connection.seat.turn_to(Phase::Running);
                written.inspect_err(|_| self.cancel.cancel(CancelReason::Disconnected))
            }
            Piece::CopyBegins => {
                copy.is_on = true;
                Ok(())
            }
            Piece::CopyEnds => {
                *copy = Copying::default();
                Ok(())
            }
        }
    }

    /// What the running COPY gets next, if it has arrived. Small pieces of data become one.
    fn next_copy_message(&mut self, is_on: &mut bool) -> Result<Option<CopyMessage>, Over> {
        let mut joined = BytesMut::new();
        while joined.len() < COPY_JOIN_BYTES {
            let input = &mut self.connection.input;
            if !joined.is_empty() && input.first() != Some(&b'd') {
                break;
            }
            let Some(frame) = frame::take(input, &self.bounds).map_err(|error| {
                self.cancel.cancel(CancelReason::Disconnected);
                Over::Fatal(error)
            })?
            else {
                break;
            };
            match CopyMessage::of(Message::of(frame)) {
                Some(CopyMessage::Data(data)) if joined.is_empty() && data.len() > READ_BYTES => {
                    return Ok(Some(CopyMessage::Data(data)));
                }
                Some(CopyMessage::Data(data)) => joined.extend_from_slice(&data),
                Some(last) => {
                    *is_on = false;
                    return Ok(Some(last));
                }
                None => {}
            }
        }
        Ok((!joined.is_empty()).then(|| CopyMessage::Data(joined.freeze())))
    }
}

/// What happens while a statement runs.
enum Event {
    Piece(Piece),
    Done((Box<Backend>, Flow)),
    HandedOn,
    /// So many bytes came; 0 is the end.
    Read(usize),
}

/// Whether a COPY takes data, and the message that waits for its turn.
#[derive(Default)]
struct Copying {
    is_on: bool,
    next: Option<CopyMessage>,
}

async fn run_here(mut backend: Box<Backend>, messages: VecDeque<Message>) -> (Box<Backend>, Flow) {
    let flow = backend.run(messages).await;
    (backend, flow)
}

/// Whole messages up to the first that the client waits behind.
fn gather(input: &mut BytesMut, bounds: &WireSettings) -> Batch {
    let mut batch = Batch { messages: VecDeque::new(), flush: false, fatal: None };
    while !batch.flush && batch.messages.len() < BATCH_MESSAGES_MAX {
        match frame::take(input, bounds) {
            Ok(Some(frame)) => {
                let message = Message::of(frame);
                batch.flush = message.is_flush_point();
                batch.messages.push_back(message);
            }
            Ok(None) => break,
            Err(error) => {
                batch.fatal = Some(error);
                break;
            }
        }
    }
    batch
}

/// Whether more may be read while a statement runs. One whole message must fit where COPY waits for it.
fn has_room(input: &BytesMut, copy: &Copying, bounds: &WireSettings) -> bool {
    copy.is_on || input.len() < bounds.read_ahead_bytes
}

async fn read_more(stream: &mut TcpStream, input: &mut BytesMut) -> std::io::Result<usize> {
    input.reserve(READ_BYTES);
    stream.read_buf(input).await
}

fn lost() -> Over {
    Over::Fatal(Error::new(ErrorKind::Internal, "the session was lost in a panic"))
}
