//! What the operators of one statement may reserve.
//!
//! Operators that spill are asked to before the statement's bound is reached, and each has a share of its
//! own: several sorts run at once, and one that was left nothing could not even spill. What sorts merge
//! with cannot be spilled, takes what it gets, and needs up to what is sorted: it has shares too.
//!
//! ```text
//! |<------------------------- bound of the statement -------------------------->|
//! |<- sort 0 ->|<- sort 1 ->|<- sort 2 ->|<-- their merges -->|<-- the others -->|
//! ```

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use datafusion::common::Result;
use datafusion::error::DataFusionError;
use datafusion::execution::memory_pool::{
    MemoryConsumer, MemoryLimit, MemoryPool, MemoryReservation,
};
use parking_lot::Mutex;

use super::{Running, Shared};

/// The operator that gives rows from one part of a plan to the other. Refused, it puts them into files, and
/// where two of its inputs do so at once its reader can wait in one file for what is in the other, for
/// ever. So it gets what it asks for; what it holds counts, so that others spill the earlier.
const EXCHANGE: &str = "RepartitionExec[";
/// What a sort merges its runs with.
const MERGE: &str = "ExternalSorterMerge[";
/// What is kept for the others, a third of the statement's bound at most. Of the rest operators that spill
/// may hold one half together, and what they merge with the other.
const OTHERS_BYTES: usize = 32 << 20;

/// The pool of one statement.
#[derive(Debug)]
pub(super) struct StatementPool {
    id: u64,
    running: Arc<Running>,
    memory: Arc<Shared>,
    shares: Mutex<Shares>,
}

/// Operators that have a share, and what each of them holds.
#[derive(Debug, Default)]
struct Shares {
    spillers: usize,
    held_bytes: HashMap<usize, usize>,
}

/// What an operator is to the pool.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Exchange,
    Spiller,
    Merge,
    Other,
}

fn kind(consumer: &MemoryConsumer) -> Kind {
    match consumer.name() {
        name if name.starts_with(EXCHANGE) => Kind::Exchange,
        name if name.starts_with(MERGE) => Kind::Merge,
        _ if consumer.can_spill() => Kind::Spiller,
        _ => Kind::Other,
    }
}

impl Shares {
    /// Whether an operator may hold so much more.
    fn admits(&self, consumer: &MemoryConsumer, additional: usize, limit_bytes: usize) -> bool {
        let others = OTHERS_BYTES.min(limit_bytes / 3);
        let share = (limit_bytes - others) / 2 / self.spillers.max(1);
        let held = self.held_bytes.get(&consumer.id()).copied().unwrap_or_default();
        match kind(consumer) {
            Kind::Spiller => held + additional <= share,
            Kind::Merge => held + additional <= share,
            Kind::Exchange | Kind::Other => true,
        }
    }
}

fn take(counter: &AtomicUsize, additional: usize, limit: usize) -> bool {
    counter
        .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |used| {
            used.checked_add(additional).filter(|sum| *sum <= limit)
        })
        .is_ok()
}

impl StatementPool {
    pub(super) fn new(id: u64, running: Arc<Running>, memory: Arc<Shared>) -> Self {
        StatementPool { id, running, memory, shares: Mutex::default() }
    }

    fn refused(&self, reservation: &MemoryReservation, additional: usize) -> DataFusionError {
        DataFusionError::ResourcesExhausted(format!(
            "{} asked for {additional} bytes more; the statement holds {} of {} bytes, all \
             statements hold {} of {}",
            reservation.consumer().name(),
            self.running.reserved_bytes.load(Ordering::Relaxed),
            self.memory.statement_limit_bytes,
            self.memory.reserved_bytes.load(Ordering::Relaxed),
            self.memory.reserve_limit_bytes,
        ))
    }

    fn take(&self, additional: usize) -> bool {
        let own = &self.running.reserved_bytes;
        if !take(own, additional, self.memory.statement_limit_bytes) {
            return false;
        }
        let taken = take(&self.memory.reserved_bytes, additional, self.memory.reserve_limit_bytes);
        if !taken {
            own.fetch_sub(additional, Ordering::Relaxed);
        }
        taken
    }
}

impl fmt::Display for StatementPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "statement {}", self.id)
    }
}

impl MemoryPool for StatementPool {
    fn name(&self) -> &str {
        "statement"
    }

    fn register(&self, consumer: &MemoryConsumer) {
        let mut shares = self.shares.lock();
        shares.spillers += usize::from(kind(consumer) == Kind::Spiller);
        shares.held_bytes.insert(consumer.id(), 0);
    }

    fn unregister(&self, consumer: &MemoryConsumer) {
        let mut shares = self.shares.lock();
        shares.spillers -= usize::from(kind(consumer) == Kind::Spiller);
        shares.held_bytes.remove(&consumer.id());
    }

    fn grow(&self, reservation: &MemoryReservation, additional: usize) {
        self.running.reserved_bytes.fetch_add(additional, Ordering::Relaxed);
        self.memory.reserved_bytes.fetch_add(additional, Ordering::Relaxed);
        if let Some(held) = self.shares.lock().held_bytes.get_mut(&reservation.consumer().id()) {
            *held += additional;
        }
    }

    fn shrink(&self, reservation: &MemoryReservation, shrink: usize) {
        self.running.reserved_bytes.fetch_sub(shrink, Ordering::Relaxed);
        self.memory.reserved_bytes.fetch_sub(shrink, Ordering::Relaxed);
        if let Some(held) = self.shares.lock().held_bytes.get_mut(&reservation.consumer().id()) {
            *held = held.saturating_sub(shrink);
        }
    }

    fn try_grow(&self, reservation: &MemoryReservation, additional: usize) -> Result<()> {
        let consumer = reservation.consumer();
        if kind(consumer) == Kind::Exchange {
            self.grow(reservation, additional);
            return Ok(());
        }
        let mut shares = self.shares.lock();
        let limit_bytes = self.memory.statement_limit_bytes;
        if !shares.admits(consumer, additional, limit_bytes) || !self.take(additional) {
            return Err(self.refused(reservation, additional));
        }
        if let Some(held) = shares.held_bytes.get_mut(&consumer.id()) {
            *held += additional;
        }
        Ok(())
    }

    fn reserved(&self) -> usize {
        self.running.reserved_bytes.load(Ordering::Relaxed)
    }

    fn memory_limit(&self) -> MemoryLimit {
        MemoryLimit::Finite(self.memory.statement_limit_bytes)
    }
}

impl Drop for StatementPool {
    fn drop(&mut self) {
        self.memory.statements.lock().running.remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Memory, StatementMemory};
    use super::*;
    use crate::activity::CancelToken;

    fn statement(limit_bytes: u64) -> (Memory, StatementMemory) {
        let memory = Memory::new(2 * limit_bytes, limit_bytes);
        let statement = memory.begin_statement(CancelToken::new());
        (memory, statement)
    }

    fn consumer(statement: &StatementMemory, name: &str, spills: bool) -> MemoryReservation {
        MemoryConsumer::new(name).with_can_spill(spills).register(&statement.pool())
    }

    #[test]
    fn an_exchange_is_not_made_to_spill() {
        let (memory, statement) = statement(500);
        let held = consumer(&statement, "sort", false);
        held.try_grow(400).expect("within the bound");
        let exchange = consumer(&statement, "RepartitionExec[1]", true);
        exchange.try_grow(300).expect("it is never refused");
        assert_eq!(memory.reserved_bytes(), 700);
        assert!(held.try_grow(1).is_err(), "others are, by what it holds");
    }

    #[test]
    fn each_sort_has_its_share() {
        let (_memory, statement) = statement(1_000);
        let alone = consumer(&statement, "ExternalSorter[0]", true);
        alone.try_grow(333).expect("all that may be spilled");
        assert!(alone.try_grow(1).is_err());
        alone.free();
        let sorts = ["ExternalSorter[1]", "Aggregate"].map(|name| consumer(&statement, name, true));
        for sort in sorts.iter().chain([&alone]) {
            sort.try_grow(111).expect("its own share");
            assert!(sort.try_grow(1).is_err());
        }
        let merge = consumer(&statement, "ExternalSorterMerge[0]", false);
        merge.try_grow(111).expect("as much as is sorted");
        assert!(merge.try_grow(1).is_err());
        let other = consumer(&statement, "HashJoinInput", false);
        other.try_grow(556).expect("the rest");
        assert!(other.try_grow(1).is_err());
        drop(sorts);
        alone.try_grow(0).expect("still there");
        other.free();
        alone.try_grow(222).expect("the shares of those that ended");
    }
}
