//! Commits that join histories: worked out on one head, and worth nothing on another.

use tokio::sync::RwLockWriteGuard;

use super::{Answer, Request, Store};
use crate::error::Result;
use crate::spec::CommitId;
use crate::store::transaction::{CommitOptions, Transaction};

impl Store {
    /// Commits a merge, or says with None that its branch moved, so that it is to be worked out again.
    /// `exact`: any move counts, also one that the merge does not touch.
    ///
    /// # Errors
    /// DuplicateTable; Io, DiskFull.
    pub async fn commit_joined(
        &self,
        transaction: Transaction,
        options: &CommitOptions,
        exact: bool,
    ) -> Result<Option<CommitId>> {
        if transaction.is_empty() {
            return Ok(Some(transaction.base()));
        }
        self.shared.vfs.point("cmt.validate")?;
        let mut proposal = transaction.proposal(options)?;
        proposal.exact = exact;
        match self.submit(Request::Commit(Box::new(proposal))).await? {
            Answer::Done(commit) => Ok(Some(commit)),
            Answer::Noted => unreachable!("a commit has a number"),
            Answer::Stale => Ok(None),
        }
    }

    /// Keeps other writers waiting: for who lost several rounds to them.
    pub async fn alone(&self) -> RwLockWriteGuard<'_, ()> {
        self.shared.turnstile.write().await
    }
}
