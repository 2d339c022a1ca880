//! What every session does now, and the token that stops it.
//!
//! A session owns its [`SessionActivity`]: it writes the state and the counters, anybody with the
//! [`Activity`] reads them (pg_stat_activity) or cancels by pid. Dropping the handle takes the session
//! off the list. Locks are held for a copy of a few words, never across a wait.

mod copying;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, AtomicU8, AtomicU64, Ordering};

use parking_lot::Mutex;
use tokio::sync::Notify;

pub use self::copying::{CopyFacts, CopySnapshot, Copying};
use crate::clock::Clock;
use crate::error::{Error, ErrorKind, Result};

/// Why a statement was stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CancelReason {
    /// Somebody asked for it: a cancel request or pg_cancel_backend.
    User,
    /// statement_timeout passed.
    Timeout,
    /// The process came near its memory bound and this statement was the largest.
    Memory,
    /// The client is gone: nobody will read the answer. Stays set.
    Disconnected,
    /// The session is ended: by the server going down or pg_terminate_backend. Stays set.
    Shutdown,
}

impl CancelReason {
    /// The error that the statement ends with.
    pub fn error(self) -> Error {
        match self {
            CancelReason::User => {
                Error::new(ErrorKind::Cancelled, "canceling statement due to user request")
            }
            CancelReason::Timeout => {
                Error::new(ErrorKind::Cancelled, "canceling statement due to statement timeout")
            }
            CancelReason::Memory => Error::new(
                ErrorKind::OutOfMemory,
                "canceling statement because the server is near its memory bound",
            )
            .hint("ask for less at once, or start the server with a larger --memory"),
            CancelReason::Disconnected => {
                Error::new(ErrorKind::Cancelled, "canceling statement because the client is gone")
            }
            CancelReason::Shutdown => Error::new(
                ErrorKind::ShuttingDown,
                "terminating connection due to administrator command",
            ),
        }
    }

    fn of_code(code: u8) -> Option<CancelReason> {
        [
            CancelReason::User,
            CancelReason::Timeout,
            CancelReason::Memory,
            CancelReason::Disconnected,
            CancelReason::Shutdown,
        ]
        .into_iter()
        .find(|reason| reason.code() == code)
    }

    fn code(self) -> u8 {
        self as u8 + 1
    }
}

/// Stops one session's running statement, or with [`CancelToken::child`] a part of it. Clones share
/// it.
#[derive(Clone, Debug, Default)]
pub struct CancelToken(Arc<CancelState>);

#[derive(Debug, Default)]
struct CancelState {
    /// 0 while nothing was asked, else the code of the reason.
    code: AtomicU8,
    changed: Notify,
    parent: Option<CancelToken>,
}

impl CancelToken {
    /// A token that nobody has used.
    pub fn new() -> Self {
        CancelToken::default()
    }

    /// A token that is also cancelled while this one is. It can be cancelled alone, for good: work
    /// that outlives its statement stays stopped when the session's token is reset for the next.
    pub fn child(&self) -> Self {
        let parent = Some(self.clone());
        CancelToken(Arc::new(CancelState { parent, ..CancelState::default() }))
    }

    /// Asks the running statement to stop. The first reason stays, except that Shutdown wins.
    pub fn cancel(&self, reason: CancelReason) {
        let _ = self.0.code.fetch_update(Ordering::AcqRel, Ordering::Acquire, |code| {
            (code == 0 || reason == CancelReason::Shutdown).then_some(reason.code())
        });
        self.0.changed.notify_waiters();
    }

    /// Why the statement shall stop, if it shall.
    pub fn reason(&self) -> Option<CancelReason> {
        let own = CancelReason::of_code(self.0.code.load(Ordering::Acquire));
        own.or_else(|| self.0.parent.as_ref().and_then(CancelToken::reason))
    }

    /// Whether the statement shall stop.
    pub fn is_cancelled(&self) -> bool {
        self.reason().is_some()
    }

    /// For loops without awaits: the error of the reason, if there is one.
    ///
    /// # Errors
    /// `Cancelled`, `OutOfMemory` or `ShuttingDown`.
    pub fn check(&self) -> Result<()> {
        self.reason().map_or(Ok(()), |reason| Err(reason.error()))
    }

    /// Waits until the statement shall stop.
    pub async fn cancelled(&self) -> CancelReason {
        loop {
            let mut changed = std::pin::pin!(self.0.changed.notified());
            changed.as_mut().enable();
            if let Some(reason) = self.reason() {
                return reason;
            }
            match &self.0.parent {
                None => changed.await,
                Some(parent) => {
                    let parent = Box::pin(parent.cancelled());
                    futures::future::select(changed, parent).await;
                }
            }
        }
    }

    /// Forgets what was asked of the statement before. A session that is ended stays so.
    pub fn reset(&self) {
        let lasting = [CancelReason::Shutdown.code(), CancelReason::Disconnected.code()];
        let _ = self.0.code.fetch_update(Ordering::AcqRel, Ordering::Acquire, |code| {
            (code != 0 && !lasting.contains(&code)).then_some(0)
        });
    }
}

/// What a session does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionState {
    /// Waiting for the client.
    Idle,
    /// Running a statement.
    Active,
    /// Waiting for the client, inside a transaction.
    IdleInTransaction,
    /// Waiting for the client, inside a transaction that has failed.
    IdleInFailedTransaction,
}

impl SessionState {
    /// The word of pg_stat_activity.
    pub fn as_str(self) -> &'static str {
        match self {
            SessionState::Idle => "idle",
            SessionState::Active => "active",
            SessionState::IdleInTransaction => "idle in transaction",
            SessionState::IdleInFailedTransaction => "idle in transaction (aborted)",
        }
    }
}

/// Every session of one database. Clones share the list.
#[derive(Clone, Debug, Default)]
pub struct Activity(Arc<Sessions>);

#[derive(Debug, Default)]
struct Sessions {
    clock: Clock,
    last_pid: AtomicI32,
    entries: Mutex<BTreeMap<i32, Arc<Entry>>>,
}

#[derive(Debug)]
struct Entry {
    facts: SessionFacts,
    cancel: CancelToken,
    now: Mutex<Now>,
    copying: Mutex<Option<Arc<copying::Progress>>>,
    rows: AtomicU64,
    bytes: AtomicU64,
}

/// What does not change while a session lives.
#[derive(Clone, Debug, Default)]
pub struct SessionFacts {
    /// The number of pg_backend_pid(); counted from 1, never used twice while the process lives.
    pub pid: i32,
    /// The user.
    pub user: String,
    /// The database as asked for: `db[@ref]`.
    pub database: String,
    /// address:port of the client; empty in process.
    pub client: String,
    /// When the session began: µs since 1970-01-01 UTC.
    pub started_us: i64,
}

#[derive(Clone, Debug)]
struct Now {
    state: SessionState,
    state_since_us: i64,
    application_name: String,
    statement: Arc<str>,
    statement_started_us: Option<i64>,
}

/// One session as it was at one instant.
#[derive(Clone, Debug)]
pub struct SessionSnapshot {
    /// What does not change.
    pub facts: SessionFacts,
    /// The client's name for itself.
    pub application_name: String,
    /// What it does.
    pub state: SessionState,
    /// Since when: µs since 1970-01-01 UTC.
    pub state_since_us: i64,
    /// The running statement's text, or the last one's.
    pub statement: Arc<str>,
    /// When that statement began; None before the first.
    pub statement_started_us: Option<i64>,
    /// Rows that statement has sent or taken in.
    pub rows: u64,
    /// Bytes that statement has sent or taken in.
    pub bytes: u64,
    /// The COPY that runs.
    pub copying: Option<CopySnapshot>,
}

impl Activity {
    /// An empty list; times are read from this clock.
    pub fn new(clock: Clock) -> Self {
        Activity(Arc::new(Sessions { clock, ..Sessions::default() }))
    }

    /// Puts a session on the list until the handle is dropped. `facts.pid` and `facts.started_us`
    /// are given here.
    pub fn register(&self, facts: SessionFacts, application_name: &str) -> SessionActivity {
        let started_us = self.0.clock.now_us();
        let pid = self.0.last_pid.fetch_add(1, Ordering::Relaxed) + 1;
        let entry = Arc::new(Entry {
            facts: SessionFacts { pid, started_us, ..facts },
            cancel: CancelToken::new(),
            now: Mutex::new(Now {
                state: SessionState::Idle,
                state_since_us: started_us,
                application_name: application_name.to_owned(),
                statement: Arc::from(""),
                statement_started_us: None,
            }),
            copying: Mutex::default(),
            rows: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
        });
        self.0.entries.lock().insert(pid, entry.clone());
        SessionActivity { entry, list: self.clone() }
    }

    /// Every session, by pid.
    pub fn sessions(&self) -> Vec<SessionSnapshot> {
        let entries: Vec<Arc<Entry>> = self.0.entries.lock().values().cloned().collect();
        entries.iter().map(|entry| entry.snapshot()).collect()
    }

    /// Cancels what the session of this pid runs. False where there is no such session.
    pub fn cancel(&self, pid: i32, reason: CancelReason) -> bool {
        let entry = self.0.entries.lock().get(&pid).cloned();
        entry.inspect(|entry| entry.cancel.cancel(reason)).is_some()
    }
}

impl Entry {
    fn snapshot(&self) -> SessionSnapshot {
        let now = self.now.lock().clone();
        SessionSnapshot {
            facts: self.facts.clone(),
            application_name: now.application_name,
            state: now.state,
            state_since_us: now.state_since_us,
            statement: now.statement,
            statement_started_us: now.statement_started_us,
            rows: self.rows.load(Ordering::Relaxed),
            bytes: self.bytes.load(Ordering::Relaxed),
            copying: self.copying.lock().as_ref().map(|progress| progress.snapshot()),
        }
    }
}

/// A session's own line of the list; dropping it takes the line away.
#[derive(Debug)]
pub struct SessionActivity {
    entry: Arc<Entry>,
    list: Activity,
}

impl SessionActivity {
    /// The number of pg_backend_pid().
    pub fn pid(&self) -> i32 {
        self.entry.facts.pid
    }

    /// Stops what this session runs.
    pub fn cancel_token(&self) -> CancelToken {
        self.entry.cancel.clone()
    }

    /// A statement begins: its text, state Active, counters at zero.
    pub fn begin_statement(&self, text: &str) {
        let now_us = self.list.0.clock.now_us();
        self.entry.rows.store(0, Ordering::Relaxed);
        self.entry.bytes.store(0, Ordering::Relaxed);
        let mut now = self.entry.now.lock();
        now.statement = Arc::from(text);
        now.statement_started_us = Some(now_us);
        now.state = SessionState::Active;
        now.state_since_us = now_us;
    }

    /// The session turns to something else.
    pub fn set_state(&self, state: SessionState) {
        let now_us = self.list.0.clock.now_us();
        let mut now = self.entry.now.lock();
        if now.state != state {
            now.state = state;
            now.state_since_us = now_us;
        }
    }

    /// The client calls itself something else.
    pub fn set_application_name(&self, name: &str) {
        self.entry.now.lock().application_name = name.to_owned();
    }

    /// Counts what the running statement has sent or taken in.
    pub fn progress(&self, rows: u64, bytes: u64) {
        self.entry.rows.fetch_add(rows, Ordering::Relaxed);
        self.entry.bytes.fetch_add(bytes, Ordering::Relaxed);
    }
}

impl Drop for SessionActivity {
    fn drop(&mut self) {
        self.list.0.entries.lock().remove(&self.entry.facts.pid);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_reason_stays_and_shutdown_wins_for_good() {
        let token = CancelToken::new();
        assert!(token.check().is_ok());
        token.cancel(CancelReason::Timeout);
        token.cancel(CancelReason::User);
        assert_eq!(token.reason(), Some(CancelReason::Timeout));
        assert_eq!(token.check().unwrap_err().kind(), ErrorKind::Cancelled);
        token.reset();
        assert!(!token.is_cancelled());
        token.cancel(CancelReason::Memory);
        token.cancel(CancelReason::Shutdown);
        token.reset();
        assert_eq!(token.reason(), Some(CancelReason::Shutdown));
    }

    #[tokio::test]
    async fn a_child_is_cancelled_with_its_parent_or_alone() {
        let session = CancelToken::new();
        let (first, second) = (session.child(), session.child());
        first.cancel(CancelReason::Memory);
        assert_eq!((first.reason(), session.reason()), (Some(CancelReason::Memory), None));
        assert!(!second.is_cancelled());
        session.cancel(CancelReason::User);
        assert_eq!(second.child().cancelled().await, CancelReason::User);
        session.reset();
        assert!(first.is_cancelled() && !second.is_cancelled());
    }

    #[tokio::test]
    async fn waiting_ends_when_cancelled_before_or_after() {
        let token = CancelToken::new();
        let waiter = tokio::spawn({
            let token = token.clone();
            async move { token.cancelled().await }
        });
        tokio::task::yield_now().await;
        token.cancel(CancelReason::User);
        assert_eq!(waiter.await.unwrap(), CancelReason::User);
        assert_eq!(token.cancelled().await, CancelReason::User);
    }

    #[test]
    fn the_list_shows_what_a_session_does_until_it_ends() {
        let clock = Clock::manual(50);
        let activity = Activity::new(clock.clone());
        let facts = SessionFacts { user: "ann".to_owned(), ..SessionFacts::default() };
        let session = activity.register(facts, "psql");
        session.begin_statement("SELECT 1");
        session.progress(3, 40);
        let seen = &activity.sessions()[0];
        assert_eq!((seen.facts.pid, seen.facts.user.as_str(), seen.rows), (1, "ann", 3));
        assert_eq!((seen.state, &*seen.statement), (SessionState::Active, "SELECT 1"));
        assert!(activity.cancel(1, CancelReason::User) && session.cancel_token().is_cancelled());
        drop(session);
        assert!(activity.sessions().is_empty() && !activity.cancel(1, CancelReason::User));
    }
}
