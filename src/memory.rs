//! Memory and its bounds.
//!
//! Two accounts are kept. What operators *reserve* goes through a [`MemoryPool`] per statement under
//! a cap for all of them: an operator that gets no more spills ([`statement`]). What the process really *allocates* is
//! counted by [`CountingAllocator`], session by session ([`Account`]), because windows, hash tables of
//! joins and our own buffers reserve nothing: past [`RELIEF_PERCENT`] of the bound the running
//! statement whose session holds most is cancelled (53200). So it is where freed pieces between used ones
//! keep more pages than [`RESIDENT_PERCENT`] of the bound, and the C library cannot give them back.
//!
//! The binary installs the allocator; a program that embeds the library and does not is bounded by
//! the reservations alone.

mod account;
mod statement;

use std::alloc::{GlobalAlloc, Layout, System};
use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use datafusion::execution::memory_pool::{MemoryPool, TrackConsumersPool};
use parking_lot::Mutex;

use self::account::count;
pub use self::account::{Account, allocated_bytes, charge_tasks, charged};
use self::statement::StatementPool;
use crate::activity::{CancelReason, CancelToken};

/// Allocation past this part of the bound costs the largest statement its life.
pub const RELIEF_PERCENT: u64 = 85;
/// Pages past this part of the bound do so too, if they stay when asked back.
pub const RESIDENT_PERCENT: u64 = 110;
/// Cancelling what holds less than such a part of the bound empties few pages.
const WORTHWHILE_PART: u64 = 16;
/// Looks from one attempt to get pages back to the next: it locks every arena.
const LOOKS_PER_TRIM: u32 = 8;
/// What all statements together may reserve, in parts of the bound.
const RESERVE_PERCENT: u64 = 75;
/// Once such a part of the bound was freed, the system gets it back.
const GIVE_BACK_PART: u64 = 8;
/// How often the allocation is looked at.
const WATCH_INTERVAL: Duration = Duration::from_millis(25);
/// So many looks does a cancelled statement get to give its memory back before the next one goes,
/// which it does only if memory has grown since.
const LOOKS_PER_VICTIM: u32 = 50;
/// So many does a statement that is over: its memory goes back after its answer.
const LOOKS_SINCE_END: u32 = 20;
/// Consumers that an error about reservations names.
const CONSUMERS_NAMED: NonZeroUsize = NonZeroUsize::new(5).expect("5 is not 0");

/// The system's allocator, counting. See [`account`] for who is charged.
pub struct CountingAllocator;

// SAFETY: every call is passed to `System` unchanged; counting touches atomics and a thread-local
// cell without destructor, so it neither allocates nor unwinds.
unsafe impl GlobalAlloc for CountingAllocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as i64);
        // SAFETY: the caller keeps the contract of `alloc`, which is `System`'s own.
        let piece = unsafe { System.alloc(layout) };
        in_large_pages(piece, layout.size());
        piece
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as i64);
        // SAFETY: as above.
        let piece = unsafe { System.alloc_zeroed(layout) };
        in_large_pages(piece, layout.size());
        piece
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(-(layout.size() as i64));
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        count(new_size as i64 - layout.size() as i64);
        // SAFETY: as above.
        unsafe { System.realloc(pointer, layout, new_size) }
    }
}

/// The memory of the machine in bytes, where the system tells it.
pub fn machine_bytes() -> Option<u64> {
    // SAFETY: sysconf reads two constants of the running system; it takes no pointer.
    let (pages, page_bytes) =
        unsafe { (libc::sysconf(libc::_SC_PHYS_PAGES), libc::sysconf(libc::_SC_PAGESIZE)) };
    u64::try_from(pages).ok()?.checked_mul(u64::try_from(page_bytes).ok()?).filter(|all| *all > 0)
}

/// The C library keeps what was freed, thread by thread, for whoever allocates next there. What is left
/// of a large statement would count as ours until then.
fn give_back() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: malloc_trim takes no pointer and may be called at any time, from any thread.
    unsafe {
        libc::malloc_trim(0);
    }
}

/// Pieces from this size on are pages of their own, which the system has again at once when they are
/// freed. Left to itself the C library stops that at the first large piece that is freed, and puts hash
/// tables among small pieces, where what they leave serves nobody.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const OWN_PAGES_BYTES: libc::c_int = 1 << 20;

/// Pieces from this size on are asked for in large pages: filling small ones costs a fault each.
#[cfg(target_os = "linux")]
const LARGE_PAGES_FROM: usize = 8 << 20;
#[cfg(target_os = "linux")]
const LARGE_PAGE_BYTES: usize = 2 << 20;

/// Advice, which the system may not take: the whole large pages of a large piece.
fn in_large_pages(piece: *mut u8, bytes: usize) {
    #[cfg(target_os = "linux")]
    if bytes >= LARGE_PAGES_FROM && !piece.is_null() {
        let skipped = piece.align_offset(LARGE_PAGE_BYTES);
        let whole = (bytes - skipped) / LARGE_PAGE_BYTES * LARGE_PAGE_BYTES;
        // SAFETY: the range lies within the piece, and what it holds stays as it is.
        unsafe {
            libc::madvise(piece.add(skipped).cast(), whole, libc::MADV_HUGEPAGE);
        }
    }
    #[cfg(not(target_os = "linux"))]
    let _ = (piece, bytes);
}

/// Has the C library keep little of what was freed: for a program that is nothing but the server.
pub fn keep_little() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: mallopt takes two numbers; it is called before there are other threads.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, OWN_PAGES_BYTES);
        libc::mallopt(libc::M_TRIM_THRESHOLD, 4 * OWN_PAGES_BYTES);
    }
}

/// The memory of one database: every running statement, what it reserves, and the bound of all.
/// Clones share it.
#[derive(Clone, Debug)]
pub struct Memory(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    limit_bytes: u64,
    statement_limit_bytes: usize,
    reserve_limit_bytes: usize,
    reserved_bytes: AtomicUsize,
    statements: Mutex<Statements>,
}

#[derive(Debug, Default)]
struct Statements {
    last_id: u64,
    running: BTreeMap<u64, Arc<Running>>,
    victim: Option<Victim>,
}

/// The statement cancelled last.
#[derive(Clone, Copy, Debug)]
struct Victim {
    id: u64,
    /// Looks since.
    looks: u32,
    /// Looks since it is over.
    looks_since_end: u32,
    /// What was allocated then.
    allocated_bytes: u64,
}

#[derive(Debug)]
struct Running {
    cancel: CancelToken,
    reserved_bytes: AtomicUsize,
    /// Of whoever began the statement.
    account: Account,
}

impl Running {
    /// What ending it may give back: what it reserved, or what its session holds where that is more.
    fn bytes(&self) -> u64 {
        self.account.bytes().max(self.reserved_bytes.load(Ordering::Relaxed) as u64)
    }
}

impl Memory {
    /// A database that may allocate `limit_bytes`, one statement of which may reserve
    /// `statement_limit_bytes`.
    pub fn new(limit_bytes: u64, statement_limit_bytes: u64) -> Self {
        let reserve_limit = limit_bytes / 100 * RESERVE_PERCENT;
        Memory(Arc::new(Shared {
            limit_bytes,
            statement_limit_bytes: usize::try_from(statement_limit_bytes).unwrap_or(usize::MAX),
            reserve_limit_bytes: usize::try_from(reserve_limit).unwrap_or(usize::MAX),
            reserved_bytes: AtomicUsize::new(0),
            statements: Mutex::default(),
        }))
    }

    /// A statement begins; it counts until the handle and every clone of its pool is dropped.
    pub fn begin_statement(&self, cancel: CancelToken) -> StatementMemory {
        let (reserved_bytes, account) = (AtomicUsize::new(0), Account::current());
        let running = Arc::new(Running { cancel, reserved_bytes, account });
        let mut statements = self.0.statements.lock();
        statements.last_id += 1;
        let id = statements.last_id;
        statements.running.insert(id, running.clone());
        let pool = StatementPool::new(id, running, self.0.clone());
        StatementMemory { pool: Arc::new(TrackConsumersPool::new(pool, CONSUMERS_NAMED)) }
    }

    /// What running statements have reserved, in bytes.
    pub fn reserved_bytes(&self) -> usize {
        self.0.reserved_bytes.load(Ordering::Relaxed)
    }

    /// Looks at the allocation, and at the bytes of the pages that hold it, from a thread of its own
    /// until the handle is dropped.
    pub fn watch(&self, resident_bytes: fn() -> Option<u64>) -> std::io::Result<MemoryWatch> {
        let stop = Arc::new(AtomicBool::new(false));
        let (memory, told) = (self.clone(), stop.clone());
        let watch = move || {
            let mut seen = Seen::default();
            while !told.load(Ordering::Acquire) {
                memory.look(&mut seen, resident_bytes);
                std::thread::park_timeout(WATCH_INTERVAL);
            }
        };
        let thread = std::thread::Builder::new().name("memory-watch".to_owned()).spawn(watch)?;
        Ok(MemoryWatch { stop, thread: Some(thread) })
    }

    fn look(&self, seen: &mut Seen, resident_bytes: fn() -> Option<u64>) {
        let (limit_bytes, allocated_bytes) = (self.0.limit_bytes, allocated_bytes());
        seen.highest_bytes = allocated_bytes.max(seen.highest_bytes);
        seen.looks_since_trim = seen.looks_since_trim.saturating_add(1);
        let freed = seen.highest_bytes - allocated_bytes > limit_bytes / GIVE_BACK_PART;
        let pages = || resident_bytes().unwrap_or(0);
        let swells = pages() > limit_bytes && seen.looks_since_trim >= LOOKS_PER_TRIM;
        if freed || swells {
            give_back();
            *seen = Seen { highest_bytes: allocated_bytes, looks_since_trim: 0 };
        }
        let pages = pages();
        match pages > limit_bytes / 100 * RESIDENT_PERCENT {
            true => self.relieve(pages, limit_bytes / WORTHWHILE_PART),
            false => self.relieve(allocated_bytes, 0),
        }
    }

    /// Cancels the largest statement, where the process has allocated too much; among equals the
    /// youngest goes: what runs long has proved that it fits. None goes that holds less than `least_bytes`.
    fn relieve(&self, allocated_bytes: u64, least_bytes: u64) {
        let mut statements = self.0.statements.lock();
        if allocated_bytes < self.0.limit_bytes / 100 * RELIEF_PERCENT {
            statements.victim = None;
            return;
        }
        if let Some(victim) = statements.victim {
            let grows = allocated_bytes > victim.allocated_bytes;
            let (waits, next) = match statements.running.contains_key(&victim.id) {
                true => (
                    victim.looks < LOOKS_PER_VICTIM || !grows,
                    Victim { looks: victim.looks + 1, ..victim },
                ),
                false => (
                    victim.looks_since_end < LOOKS_SINCE_END && !grows,
                    Victim { looks_since_end: victim.looks_since_end + 1, ..victim },
                ),
            };
            if waits {
                statements.victim = Some(next);
                return;
            }
        }
        let largest = statements
            .running
            .iter()
            .filter(|(_, running)| !running.cancel.is_cancelled() && running.bytes() >= least_bytes)
            .max_by_key(|(id, running)| (running.bytes(), **id));
        if let Some((id, running)) = largest {
            running.cancel.cancel(CancelReason::Memory);
            tracing::warn!(
                allocated_bytes,
                limit_bytes = self.0.limit_bytes,
                statement_bytes = running.bytes(),
                "cancelled the largest statement"
            );
            statements.victim =
                Some(Victim { id: *id, looks: 0, looks_since_end: 0, allocated_bytes });
        }
    }
}

/// What the looks before found.
#[derive(Default)]
struct Seen {
    /// The most that was allocated since memory was given back.
    highest_bytes: u64,
    looks_since_trim: u32,
}

/// Ends its thread when dropped.
#[derive(Debug)]
pub struct MemoryWatch {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for MemoryWatch {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            let _ = thread.join();
        }
    }
}

/// One running statement.
#[derive(Clone, Debug)]
pub struct StatementMemory {
    pool: Arc<TrackConsumersPool<StatementPool>>,
}

impl StatementMemory {
    /// What its operators reserve from. Errors name the statement's largest consumers.
    pub fn pool(&self) -> Arc<dyn MemoryPool> {
        self.pool.clone()
    }
}

#[cfg(test)]
mod tests {
    use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};

    use super::*;

    fn reserve(statement: &StatementMemory, bytes: usize) -> MemoryReservation {
        let reservation = MemoryConsumer::new("sort").register(&statement.pool());
        reservation.try_grow(bytes).expect("within the bound");
        reservation
    }

    #[test]
    fn reservations_are_bounded_by_statement_and_together() {
        let memory = Memory::new(1_000, 500);
        let (a, b) = (
            memory.begin_statement(CancelToken::new()),
            memory.begin_statement(CancelToken::new()),
        );
        let first = reserve(&a, 400);
        let refused = first.try_grow(101).unwrap_err().to_string();
        assert!(refused.contains("holds 400 of 500"), "{refused}");
        let second = reserve(&b, 350);
        assert!(second.try_grow(1).is_err(), "750 of 1000 is what all may reserve");
        assert_eq!(memory.reserved_bytes(), 750);
        drop((first, second));
        assert_eq!(memory.reserved_bytes(), 0);
    }

    #[test]
    fn the_largest_statement_is_cancelled_and_gets_time_to_end() {
        let memory = Memory::new(1_000, 1_000);
        let tokens = [CancelToken::new(), CancelToken::new(), CancelToken::new()];
        let statements = tokens.each_ref().map(|token| memory.begin_statement(token.clone()));
        let reservation = reserve(&statements[1], 300);
        memory.relieve(849, 0);
        assert!(!tokens.iter().any(CancelToken::is_cancelled));
        memory.relieve(850, 0);
        memory.relieve(900, 0);
        let reasons = tokens.each_ref().map(CancelToken::reason);
        assert_eq!(reasons, [None, Some(CancelReason::Memory), None]);
        drop(reservation);
        let [first, second, third] = statements;
        drop(second);
        memory.relieve(900, 0);
        assert_eq!(tokens[2].reason(), Some(CancelReason::Memory), "the youngest of two equals");
        assert!(!tokens[0].is_cancelled());
        drop((first, third));
        assert!(memory.0.statements.lock().running.is_empty());
    }

    #[test]
    fn a_victim_that_does_not_end_is_waited_for_while_memory_does_not_grow() {
        let memory = Memory::new(1_000, 1_000);
        let tokens = [CancelToken::new(), CancelToken::new()];
        let _statements = tokens.each_ref().map(|token| memory.begin_statement(token.clone()));
        for _ in 0..=2 * LOOKS_PER_VICTIM {
            memory.relieve(900, 0);
        }
        assert!(tokens[1].is_cancelled() && !tokens[0].is_cancelled());
        memory.relieve(901, 0);
        assert!(tokens[0].is_cancelled());
    }

    #[test]
    fn pages_that_stay_cost_a_statement_that_holds_much() {
        let memory = Memory::new(1_600, 1_600);
        let tokens = [CancelToken::new(), CancelToken::new()];
        let statements = tokens.each_ref().map(|token| memory.begin_statement(token.clone()));
        let mut seen = Seen::default();
        let _small = reserve(&statements[0], 99);
        memory.relieve(1_800, 100);
        assert!(!tokens.iter().any(CancelToken::is_cancelled), "it would free too little");
        let _large = reserve(&statements[1], 100);
        memory.look(&mut seen, || Some(1_800));
        assert_eq!(tokens[1].reason(), Some(CancelReason::Memory));
        assert!(!tokens[0].is_cancelled());
    }

    #[test]
    fn the_machine_has_memory() {
        assert!(machine_bytes().is_some_and(|bytes| bytes > 64 << 20));
    }
}
