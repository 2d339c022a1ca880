//! Planning on threads of its own.
//!
//! Planning computes without a pause and recurses as deep as a statement is nested, so it takes place
//! on a thread that has the stack for it, and nobody waits for it longer than he wants to: once a
//! statement is cancelled its planning is given up. It ends when it next asks [`check`], which our
//! rules and operators do and every rule of DataFusion is made to, and at the latest on its own.
//! Few may be given up at once; behind them a cancelled statement waits for its own planning.

use std::any::Any;
use std::cell::RefCell;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::mpsc::{self, Sender};
use std::thread::{Builder, ThreadId, current};
use std::time::Duration;

use datafusion::common::Result as DataFusionResult;
use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, SemaphorePermit, oneshot};

use super::scope::external;
use crate::activity::{CancelReason, CancelToken};
use crate::error::{Error, ErrorKind, Result};
use crate::memory::{Account, charged};

/// Room for the frames of a debug build at every level that the parser lets through. Memory is taken
/// only as far as a stack is used.
const STACK_BYTES: usize = 256 << 20;
/// So many plannings may go on that nobody waits for.
const GIVEN_UP_MAX: usize = 8;
/// So many threads wait for work, and for so long.
const IDLE_MAX: usize = 8;
const IDLE_TIME: Duration = Duration::from_secs(5);

static GIVEN_UP: Semaphore = Semaphore::const_new(GIVEN_UP_MAX);
static IDLE: Mutex<Vec<(ThreadId, Sender<Job>)>> = Mutex::new(Vec::new());

type Job = Box<dyn FnOnce() + Send>;
type Ended<T> = std::result::Result<Result<T>, Box<dyn Any + Send>>;

thread_local! {
    /// Stops what this thread plans.
    static STOPS: RefCell<Option<CancelToken>> = const { RefCell::new(None) };
}

/// Ends a planning that was given up; elsewhere it does nothing.
///
/// # Errors
/// That of the reason.
pub fn check() -> DataFusionResult<()> {
    STOPS.with_borrow(|stops| match stops {
        Some(stops) => stops.check().map_err(external),
        None => Ok(()),
    })
}

/// Runs work that plans on a thread with a large stack. It is given up once the token is cancelled.
///
/// # Errors
/// Those of the work; Cancelled and its like; OutOfMemory where there is no thread.
pub async fn apart<T: Send + 'static>(
    cancel: &CancelToken,
    work: impl Future<Output = Result<T>> + Send + 'static,
) -> Result<T> {
    cancel.check()?;
    let stops = Stops(cancel.child());
    let place = Place::default();
    let mut ended = start_work(stops.0.clone(), place.clone(), work)?;
    tokio::select! {
        biased;
        ended = &mut ended => return of_thread(ended),
        _ = cancel.cancelled() => {}
    }
    let reason = cancel.reason().unwrap_or(CancelReason::User);
    tokio::select! {
        biased;
        _ = &mut ended => {}
        Ok(permit) = GIVEN_UP.acquire() => *place.lock() = Some(permit),
    }
    Err(reason.error())
}

/// Waits until the token is cancelled and a planning that goes on could be given up: for whoever
/// would drop work that plans.
pub async fn given_up(cancel: &CancelToken) -> CancelReason {
    let reason = cancel.cancelled().await;
    drop(GIVEN_UP.acquire().await);
    reason
}

/// The place of a planning among those that were given up, held until it ends.
type Place = Arc<Mutex<Option<SemaphorePermit<'static>>>>;

/// Whoever asked is gone: so is the reason to plan.
struct Stops(CancelToken);

impl Drop for Stops {
    fn drop(&mut self) {
        self.0.cancel(CancelReason::Disconnected);
    }
}

fn start_work<T: Send + 'static>(
    stops: CancelToken,
    place: Place,
    work: impl Future<Output = Result<T>> + Send + 'static,
) -> Result<oneshot::Receiver<Ended<T>>> {
    let (answer, ended) = oneshot::channel();
    let runtime = Handle::current();
    let work = charged(Account::current(), work);
    start(Box::new(move || {
        STOPS.set(Some(stops));
        let ended = std::panic::catch_unwind(AssertUnwindSafe(|| runtime.block_on(work)));
        STOPS.set(None);
        // Whoever asked may be gone; then the answer is dropped here, where the stack is.
        drop(answer.send(ended));
        drop(place);
    }))?;
    Ok(ended)
}

/// A panic goes on in the statement, where it is caught.
fn of_thread<T>(ended: std::result::Result<Ended<T>, oneshot::error::RecvError>) -> Result<T> {
    match ended {
        Ok(Ok(answer)) => answer,
        Ok(Err(panic)) => std::panic::resume_unwind(panic),
        Err(_) => Err(CancelReason::Shutdown.error()),
    }
}

/// Hands work to a thread that waits for some, or to a new one.
fn start(mut job: Job) -> Result<()> {
    while let Some((_, thread)) = next_idle() {
        match thread.send(job) {
            Ok(()) => return Ok(()),
            Err(refused) => job = refused.0,
        }
    }
    let thread = Builder::new().name("planning".to_owned()).stack_size(STACK_BYTES);
    thread.spawn(move || serve(job)).map(drop).map_err(|error| {
        Error::new(ErrorKind::OutOfMemory, "no thread to plan the statement on").caused_by(error)
    })
}

fn next_idle() -> Option<(ThreadId, Sender<Job>)> {
    IDLE.lock().pop()
}

/// The life of a thread.
fn serve(mut job: Job) {
    loop {
        job();
        let (sender, next) = mpsc::channel();
        let id = current().id();
        {
            let mut idle = IDLE.lock();
            if idle.len() >= IDLE_MAX {
                return;
            }
            idle.push((id, sender));
        }
        job = match next.recv_timeout(IDLE_TIME) {
            Ok(next) => next,
            Err(_) => {
                let mut idle = IDLE.lock();
                if let Some(at) = idle.iter().position(|(waiting, _)| *waiting == id) {
                    idle.swap_remove(at);
                    return;
                }
                drop(idle);
                // Somebody has taken the sender and is about to send.
                match next.recv() {
                    Ok(next) => next,
                    Err(_) => return,
                }
            }
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Plans until it is told to stop.
    async fn endless() -> Result<()> {
        loop {
            check().map_err(crate::fault::of_datafusion)?;
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    #[tokio::test]
    async fn work_answers_or_panics_where_it_is_awaited() {
        let cancel = CancelToken::new();
        assert_eq!(apart(&cancel, async { Ok(7) }).await.expect("it answers"), 7);
        let panics = tokio::spawn(async move {
            apart(&cancel, async { if true { panic!("inside") } else { Ok(()) } }).await
        });
        assert!(panics.await.expect_err("a panic").is_panic());
    }

    #[tokio::test]
    async fn a_planning_is_given_up_and_ends() {
        let session = CancelToken::new();
        for _ in 0..3 * GIVEN_UP_MAX {
            let token = session.clone();
            let cancels = async move {
                tokio::task::yield_now().await;
                token.cancel(CancelReason::User);
            };
            let (answer, ()) = tokio::join!(apart(&session, endless()), cancels);
            assert_eq!(answer.expect_err("it never ends").kind(), ErrorKind::Cancelled);
            session.reset();
        }
        let all = GIVEN_UP.acquire_many(GIVEN_UP_MAX as u32).await;
        assert!(all.is_ok(), "each has ended, though the session's token was reset");
    }

    #[tokio::test]
    async fn a_planning_that_asks_nothing_is_given_up_too() {
        let (release, held) = mpsc::channel::<()>();
        let cancel = CancelToken::new();
        let deaf = async move {
            let _ended = held.recv();
            Ok(())
        };
        let token = cancel.clone();
        let cancels = async move { token.cancel(CancelReason::Timeout) };
        let (answer, ()) = tokio::join!(apart(&cancel, deaf), cancels);
        assert!(answer.is_err());
        drop(release);
    }
}
