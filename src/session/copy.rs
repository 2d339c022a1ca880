//! COPY FROM: rows that come from the client or a file, into the session's transaction.

use std::sync::Arc;

use datafusion::execution::session_state::SessionState;
use parking_lot::Mutex;

use super::answer::Bounds;
use super::place::Place;
use super::work::{Base, Block, Work};
use crate::activity::CancelToken;
use crate::command::copy::CopyInto;
use crate::command::run;
use crate::error::{Error, ErrorKind, Result};
use crate::store::{CommitOptions, Store};
use crate::vfs::{Append, File};

/// Rows on their way into a table. Dropped before its end, it changed nothing.
pub struct CopyIn {
    pub(super) into: CopyInto,
    pub(super) work: Arc<Mutex<Work>>,
    pub(super) place: Place,
    /// What the session reads.
    pub(super) own: Base,
    pub(super) store: Store,
    pub(super) options: CommitOptions,
    pub(super) source: Source,
    pub(super) cancel: CancelToken,
    pub(super) _bounds: Bounds,
    /// Keeps the functions that DEFAULT may call.
    pub(super) _state: Arc<SessionState>,
}

/// Where the rows come from.
pub(super) enum Source {
    /// The client, as it sends them.
    Client,
    /// The client, once all is here: a Parquet file must be whole.
    Spooled(Spool),
    /// A file of the server's.
    File(File),
}

/// A file of the client's, whole before it is read; gone when dropped.
pub(super) struct Spool {
    store: Store,
    name: String,
    end: Append,
}

impl Spool {
    pub fn new(store: &Store) -> Result<Spool> {
        let name = format!("tmp/copy-{}", store.next_id());
        let file: File = store.vfs().create_new(&name)?;
        Ok(Spool { store: store.clone(), name, end: file.append() })
    }
}

impl Drop for Spool {
    fn drop(&mut self) {
        if let Err(error) = self.store.vfs().remove(&self.name) {
            tracing::warn!(%error, "a file of COPY stays until the folder is opened again");
        }
    }
}

impl CopyIn {
    /// Stops it, or tells that its time is over.
    pub fn cancel_token(&self) -> CancelToken {
        self.cancel.clone()
    }

    /// 0 where the client sends text, 1 where it sends bytes.
    pub fn format(&self) -> u8 {
        u8::from(self.into.is_binary())
    }

    /// How many fields a row has.
    pub fn columns(&self) -> usize {
        self.into.width()
    }

    /// Rows so far.
    pub fn rows(&self) -> u64 {
        self.into.rows()
    }

    /// Takes bytes, cut anywhere.
    ///
    /// # Errors
    /// BadCopyFormat and what a value may be refused for, with the line and the column.
    #[expect(
        clippy::unused_async,
        reason = "back-pressure: it may wait once segments are written apart"
    )]
    pub async fn write(&mut self, data: &[u8]) -> Result<()> {
        match &mut self.source {
            Source::Spooled(spool) => spool.end.write(data),
            Source::Client | Source::File(_) => self.into.write(data),
        }
    }

    /// Ends the copy, and commits it outside a block; the tag.
    ///
    /// # Errors
    /// As [`CopyIn::write`]; UniqueViolation; Conflict.
    pub async fn finish(self) -> Result<String> {
        let (mut into, source) = (self.into, self.source);
        let work = async move {
            match &source {
                Source::Client => {}
                Source::Spooled(spool) => {
                    into.write_file(&spool.end.file().called("STDIN"))?;
                }
                Source::File(file) => into.write_file(file)?,
            }
            into.finish()
        };
        let (table, loaded) = run::apart(&self.cancel, work).await?;
        let rows = loaded.rows;
        let commit = {
            let mut work = self.work.lock();
            if work.failed {
                let message = "the transaction failed while rows were coming";
                return Err(Error::new(ErrorKind::FailedTransaction, message));
            }
            let mut transaction = work.writing(&self.place, &self.own, &self.store)?;
            transaction.insert(&table, loaded)?;
            match work.block {
                Block::None => Some(transaction),
                Block::Implicit | Block::Explicit => {
                    work.transaction = Some(transaction);
                    None
                }
            }
        };
        if let Some(transaction) = commit {
            let temporary = transaction.temporary().after_commit();
            self.store.commit(transaction, &self.options).await?;
            self.work.lock().temporary = temporary;
        }
        Ok(format!("COPY {rows}"))
    }
}
