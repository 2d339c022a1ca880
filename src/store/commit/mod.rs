//! The commit path: one thread, one queue, one log transaction a batch.
//!
//! ```text
//!  queue ─► validate each against the head, earlier ones of its batch included
//!        ─► one log transaction for all that stand, durable
//!        ─► heads published in memory, in commit order ─► each answered
//! ```
//! While a batch becomes durable the next one gathers, so many small writers share one sync. What
//! cannot be decided without reading segments is sent back as stale: the writer checks it on the
//! newer head and comes again.

mod apply;
mod compact;
mod counters;
mod depend;
mod joined;
mod namespaces;
mod objects;
mod proposal;
mod refs;
mod table_refs;
mod tables;
mod take;
mod upkeep;
mod validate;

use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Weak};

use tokio::sync::oneshot;

use self::apply::Batch;
pub(super) use self::counters::{
    Counters, next_epoch, next_id, put_line_tip, put_next_id, row_ids as counter,
};
pub(super) use self::depend::Dependence;
pub use self::proposal::NewRef;
pub(super) use self::proposal::{
    CatalogWrite, Proposal, RefRequest, TableProposal, Taken, verified,
};
pub(super) use self::upkeep::Upkeep;
pub(super) use self::validate::{dropped, same_rows, same_shape, serialization};
use super::transaction::{CommitOptions, Transaction};
use super::{Shared, Store};
use crate::error::{Error, ErrorKind, Result};
use crate::spec::CommitId;

/// Requests that share one log transaction, at most.
const BATCH_REQUESTS: usize = 1024;

/// After so many stale answers a writer closes the turnstile behind it.
const ROUNDS: usize = 3;

pub(super) enum Request {
    Commit(Box<Proposal>),
    Ref(RefRequest),
    Upkeep(Upkeep),
}

pub(super) enum Answer {
    /// Durable and visible.
    Done(CommitId),
    /// Durable; there is no commit to name.
    Noted,
    /// The head moved in a way that the committer cannot judge.
    Stale,
}

struct Job {
    request: Request,
    answer: oneshot::Sender<Result<Answer>>,
}

/// The way to the committer.
pub(super) struct Queue(Sender<Job>);

/// The committer's end, until its thread starts.
pub(super) struct Intake(Receiver<Job>);

pub(super) fn queue() -> (Queue, Intake) {
    let (sender, receiver) = channel();
    (Queue(sender), Intake(receiver))
}

/// Starts the committer; it ends when the store is dropped.
pub(super) fn start(shared: &Arc<Shared>, intake: Intake, counters: Counters) -> Result<()> {
    let shared = Arc::downgrade(shared);
    let thread = std::thread::Builder::new().name("committer".into());
    thread.spawn(move || run(&shared, &intake.0, counters)).map_err(|cause| {
        Error::new(ErrorKind::Io, "the committer's thread could not start").caused_by(cause)
    })?;
    Ok(())
}

fn run(shared: &Weak<Shared>, intake: &Receiver<Job>, mut counters: Counters) {
    while let Ok(first) = intake.recv() {
        let mut jobs = vec![first];
        jobs.extend(intake.try_iter().take(BATCH_REQUESTS - 1));
        let Some(shared) = shared.upgrade() else { return };
        let store = Store { shared };
        let (requests, answers): (Vec<_>, Vec<_>) =
            jobs.into_iter().map(|job| (job.request, job.answer)).unzip();
        let results = commit_batch(&store, requests, &mut counters);
        // Whoever is answered may drop the store and open the folder again.
        drop(store);
        for (answer, result) in answers.into_iter().zip(results) {
            // A writer that went away does not need to know.
            let _ = answer.send(result);
        }
    }
}

fn commit_batch(
    store: &Store,
    requests: Vec<Request>,
    counters: &mut Counters,
) -> Vec<Result<Answer>> {
    let count = requests.len();
    let _in_flight = store.shared.in_flight.write();
    match try_commit(store, requests, counters) {
        Ok(results) => results,
        Err(cause) => {
            let message = cause.to_string();
            let again = |_| Err(Error::new(cause.kind(), message.clone()));
            (0..count).map(again).collect()
        }
    }
}

/// An error here is of the whole batch, before anything became durable.
fn try_commit(
    store: &Store,
    requests: Vec<Request>,
    counters: &mut Counters,
) -> Result<Vec<Result<Answer>>> {
    let mut batch = Batch::begin(store, counters)?;
    let mut results = Vec::with_capacity(requests.len());
    for request in requests {
        results.push(match request {
            Request::Commit(proposal) => batch.commit(*proposal)?,
            Request::Ref(request) => batch.change_ref(&request)?,
            Request::Upkeep(upkeep) => batch.upkeep(upkeep)?,
        });
    }
    batch.finish()?;
    Ok(results)
}

impl Store {
    /// Commits a transaction: durable and visible when it returns. An empty one changes nothing and
    /// answers its base.
    ///
    /// # Errors
    /// Conflict (run the transaction again), UniqueViolation, DuplicateTable; Io, DiskFull.
    pub async fn commit(
        &self,
        mut transaction: Transaction,
        options: &CommitOptions,
    ) -> Result<CommitId> {
        if transaction.is_empty() {
            return Ok(transaction.base());
        }
        for _ in 0..ROUNDS {
            self.shared.vfs.point("cmt.validate")?;
            // A passing look: nobody waits here but for a writer that lost three rounds.
            drop(self.shared.turnstile.read().await);
            let proposal = Box::new(transaction.proposal(options)?);
            match self.submit(Request::Commit(proposal)).await? {
                Answer::Done(commit) => return Ok(commit),
                Answer::Stale => transaction = self.rebase(&transaction)?,
                Answer::Noted => unreachable!("a commit has a number"),
            }
        }
        let _alone = self.shared.turnstile.write().await;
        loop {
            transaction = self.rebase(&transaction)?;
            let proposal = Box::new(transaction.proposal(options)?);
            if let Answer::Done(commit) = self.submit(Request::Commit(proposal)).await? {
                return Ok(commit);
            }
        }
    }

    fn rebase(&self, transaction: &Transaction) -> Result<Transaction> {
        transaction.rebase(&self.head(transaction.branch())?)
    }

    pub(super) async fn submit(&self, request: Request) -> Result<Answer> {
        let (answer, answered) = oneshot::channel();
        let gone = |_| Error::new(ErrorKind::ShuttingDown, "the store is closed");
        self.shared.queue.0.send(Job { request, answer }).map_err(|_| gone(()))?;
        answered.await.map_err(|_| gone(()))?
    }

    /// Waits until every commit that has a time up to this one is visible, and makes sure that none
    /// will get one later.
    pub(super) fn settle_until(&self, time_us: i64) {
        self.shared.as_of_served_us.fetch_max(time_us, Ordering::AcqRel);
        if time_us > self.shared.last_commit_us.load(Ordering::Acquire) {
            drop(self.shared.in_flight.read());
        }
    }
}
