//! Whom an allocation is charged to.
//!
//! A thread charges what it allocates, and credits what it frees, to one counter at a time: to that
//! of the session it works for while it polls a future made by [`charged`], else to one that it shares
//! with other threads. Tasks that DataFusion spawns work for the session that their spawner worked
//! for, once [`charge_tasks`] was called. What one session allocates and another frees is wrong in
//! both accounts; the sum is right.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::task::{Context, Poll};

use datafusion::common::runtime::{JoinSetTracer, set_join_set_tracer};
use futures::future::BoxFuture;
use parking_lot::Mutex;

/// Counters of threads that work for nobody, each shared by some, so that cores seldom write to the
/// same cache line.
const SHARED: usize = 16;
/// Counters of sessions; those beyond are charged to the shared ones.
const SESSIONS: usize = 512;

#[repr(align(128))]
struct Counter(AtomicI64);

static COUNTERS: [Counter; SHARED + SESSIONS] =
    [const { Counter(AtomicI64::new(0)) }; SHARED + SESSIONS];
static NEXT_SHARED: AtomicUsize = AtomicUsize::new(0);
/// Which counters of sessions were given back, and how many were ever taken.
static FREE: Mutex<(Vec<usize>, usize)> = Mutex::new((Vec::new(), 0));

thread_local! {
    // Without destructors and without allocations: an allocator may use nothing else.
    static MINE: Cell<usize> = const { Cell::new(usize::MAX) };
    static CURRENT: Cell<usize> = const { Cell::new(usize::MAX) };
    /// Only for tasks that are spawned: the allocator never looks here.
    static ACCOUNT: RefCell<Account> = const { RefCell::new(Account(None)) };
}

/// Charges what this thread allocated, or credits what it freed.
pub(super) fn count(bytes: i64) {
    let current = CURRENT.get();
    let counter = if current == usize::MAX { mine() } else { current };
    COUNTERS[counter].0.fetch_add(bytes, Ordering::Relaxed);
}

fn mine() -> usize {
    if MINE.get() == usize::MAX {
        MINE.set(NEXT_SHARED.fetch_add(1, Ordering::Relaxed) % SHARED);
    }
    MINE.get()
}

/// What the process has allocated and not freed, in bytes; 0 without [`super::CountingAllocator`].
pub fn allocated_bytes() -> u64 {
    let sum: i64 = COUNTERS.iter().map(|counter| counter.0.load(Ordering::Relaxed)).sum();
    u64::try_from(sum).unwrap_or(0)
}

/// What one session holds. Clones are the same account; it is given back with the last of them.
#[derive(Clone, Debug, Default)]
pub struct Account(Option<Arc<Taken>>);

#[derive(Debug)]
struct Taken(usize);

impl Account {
    /// A new account, or one that counts nothing where all are taken.
    pub fn open() -> Account {
        let mut free = FREE.lock();
        if let Some(counter) = free.0.pop() {
            return Account(Some(Arc::new(Taken(counter))));
        }
        if free.1 == SESSIONS {
            return Account(None);
        }
        free.1 += 1;
        Account(Some(Arc::new(Taken(SHARED + free.1 - 1))))
    }

    /// The one this thread charges now.
    pub fn current() -> Account {
        ACCOUNT.with_borrow(Clone::clone)
    }

    /// What it holds, in bytes.
    pub fn bytes(&self) -> u64 {
        let held = self.0.as_ref().map_or(0, |own| COUNTERS[own.0].0.load(Ordering::Relaxed));
        u64::try_from(held).unwrap_or(0)
    }

    /// Charges what `work` allocates to this account.
    pub fn charge<T>(&self, work: impl FnOnce() -> T) -> T {
        let counter = self.0.as_ref().map_or(usize::MAX, |own| own.0);
        let _back = Back { counter: CURRENT.get(), account: ACCOUNT.replace(self.clone()) };
        CURRENT.set(counter);
        work()
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        // What outlives the session, in caches for one, is still allocated.
        let rest = COUNTERS[self.0].0.swap(0, Ordering::Relaxed);
        COUNTERS[0].0.fetch_add(rest, Ordering::Relaxed);
        FREE.lock().0.push(self.0);
    }
}

/// Puts back what a thread charged before, after a panic too.
struct Back {
    counter: usize,
    account: Account,
}

impl Drop for Back {
    fn drop(&mut self) {
        CURRENT.set(self.counter);
        ACCOUNT.set(std::mem::take(&mut self.account));
    }
}

/// The same future; what it allocates and frees while it is polled, and when it is dropped, is charged
/// to the account.
pub fn charged<F: Future>(account: Account, future: F) -> impl Future<Output = F::Output> {
    Charged { account, future: Some(Box::pin(future)) }
}

struct Charged<F> {
    account: Account,
    future: Option<Pin<Box<F>>>,
}

impl<F: Future> Future for Charged<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let Charged { account, future } = &mut *self;
        let future = future.as_mut().expect("only drop takes it");
        account.charge(|| future.as_mut().poll(context))
    }
}

impl<F> Drop for Charged<F> {
    fn drop(&mut self) {
        let future = self.future.take();
        self.account.charge(|| drop(future));
    }
}

/// Has tasks that DataFusion spawns charge the account of whoever spawned them.
pub fn charge_tasks() {
    // Somebody else's tracer stays: an embedding program may have one.
    let _ = set_join_set_tracer(&Inherit);
}

struct Inherit;

impl JoinSetTracer for Inherit {
    fn trace_future(
        &self,
        future: BoxFuture<'static, Box<dyn Any + Send>>,
    ) -> BoxFuture<'static, Box<dyn Any + Send>> {
        Box::pin(charged(Account::current(), future))
    }

    fn trace_block(
        &self,
        work: Box<dyn FnOnce() -> Box<dyn Any + Send> + Send>,
    ) -> Box<dyn FnOnce() -> Box<dyn Any + Send> + Send> {
        let account = Account::current();
        Box::new(move || account.charge(work))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_charges_whom_it_works_for() {
        let (ann, bob) = (Account::open(), Account::open());
        ann.charge(|| {
            count(100);
            bob.charge(|| count(7));
            let inherited = Account::current();
            std::thread::spawn(move || inherited.charge(|| count(20))).join().expect("no panic");
        });
        count(1_000);
        assert_eq!((ann.bytes(), bob.bytes()), (120, 7));
        let panics = std::panic::catch_unwind(|| bob.charge(|| panic!("in the middle")));
        assert!(panics.is_err());
        count(5);
        assert_eq!(bob.bytes(), 7);
        let before = allocated_bytes();
        drop((ann, bob));
        assert_eq!(allocated_bytes(), before, "what sessions leave behind stays counted");
    }
}
