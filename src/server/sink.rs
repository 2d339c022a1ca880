//! Where replies gather. A task that runs a statement sends them off in pieces and waits while the
//! client is slow: what is not yet written is bounded by a few pieces, whatever the result is.

use std::mem;

use bytes::Bytes;
use tokio::sync::mpsc;

use crate::activity::{CancelReason, CancelToken};
use crate::error::Result;

/// Pieces between the task and the socket.
const PIECES: usize = 2;
/// Copy messages between the socket and the task.
const COPY_MESSAGES: usize = 8;

/// From a running statement to its connection.
#[derive(Debug)]
pub(super) enum Piece {
    /// Whole messages.
    Replies(Vec<u8>),
    /// The client shall send COPY data: hand it on.
    CopyBegins,
    /// The statement takes no more COPY data.
    CopyEnds,
}

/// From the connection to a running COPY.
#[derive(Debug)]
pub(super) enum CopyMessage {
    Data(Bytes),
    Done,
    Fail(String),
    /// A message that has no place here, by its type.
    Unexpected(u8),
}

/// The connection's ends.
#[derive(Debug)]
pub(super) struct Forward {
    pub(super) pieces: mpsc::Receiver<Piece>,
    pub(super) copy: mpsc::Sender<CopyMessage>,
}

/// The statement's ends, and the replies that have not been sent off.
#[derive(Debug)]
pub(super) struct Sink {
    pub(super) out: Vec<u8>,
    pub(super) copy: mpsc::Receiver<CopyMessage>,
    pieces: mpsc::Sender<Piece>,
    piece_bytes: usize,
    cancel: CancelToken,
}

/// Both ends.
pub(super) fn channel(piece_bytes: usize, cancel: CancelToken) -> (Sink, Forward) {
    let (pieces, pieces_end) = mpsc::channel(PIECES);
    let (copy_end, copy) = mpsc::channel(COPY_MESSAGES);
    let sink = Sink { out: Vec::new(), copy, pieces, piece_bytes, cancel };
    (sink, Forward { pieces: pieces_end, copy: copy_end })
}

impl Sink {
    /// How much may still gather before it is sent off.
    pub(super) fn room(&self) -> usize {
        self.piece_bytes.saturating_sub(self.out.len())
    }

    /// Sends off what has gathered once it is a piece.
    ///
    /// # Errors
    /// Those of the cancel token, while the client is slow.
    pub(super) async fn flush_if_full(&mut self) -> Result<()> {
        match self.out.len() >= self.piece_bytes {
            true => self.flush().await,
            false => Ok(()),
        }
    }

    /// Sends off what has gathered.
    ///
    /// # Errors
    /// Those of the cancel token, while the client is slow.
    pub(super) async fn flush(&mut self) -> Result<()> {
        if self.out.is_empty() {
            return Ok(());
        }
        let sent = tokio::select! {
            biased;
            permit = self.pieces.reserve() => permit.ok(),
            reason = self.cancel.cancelled() => return Err(reason.error()),
        };
        let Some(permit) = sent else { return Err(CancelReason::Disconnected.error()) };
        permit.send(Piece::Replies(mem::take(&mut self.out)));
        Ok(())
    }

    /// Tells the connection something that is not for the client.
    ///
    /// # Errors
    /// `Cancelled` where the connection is gone.
    pub(super) async fn tell(&mut self, piece: Piece) -> Result<()> {
        self.pieces.send(piece).await.map_err(|_| CancelReason::Disconnected.error())
    }
}
