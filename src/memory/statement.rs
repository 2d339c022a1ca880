//! What the operators of one statement may reserve.
//!
//! Operators that spill are asked to before the statement's bound is reached, and none of them takes what
//! another needs to work at all: several sorts run at once, and one that was left nothing could not even
//! spill.
//!
//! ```text
//! |<------------------------ bound of the statement ------------------------>|
//! |<---------------- operators that spill ---------------->|<-- the others -->|
//!   sort 0 ########   sort 1 ##......   sort 2 ........        . kept for it: its floor
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
/// What operators that spill may hold together, in parts of the statement's bound: merging what they spilled
/// takes memory that cannot be spilled.
const SPILLABLE_PERCENT: usize = 75;
/// What is kept for each of them, if there is enough for all.
const FLOOR_BYTES: usize = 32 << 20;

/// The pool of one statement.
#[derive(Debug)]
pub(super) struct StatementPool {
    id: u64,
    running: Arc<Running>,
    memory: Arc<Shared>,
    spillers: Mutex<Spillers>,
}

/// Operators that spill, and what each of them holds.
#[derive(Debug)]
struct Spillers {
    limit_bytes: usize,
    held_bytes: HashMap<usize, usize>,
}

impl Spillers {
    fn floor_bytes(&self) -> usize {
        FLOOR_BYTES.min(self.limit_bytes / self.held_bytes.len().max(1))
    }

    /// Whether one of them may hold so much more: up to its floor always, beyond it what the floors of the
    /// others leave.
    fn admits(&self, consumer: usize, additional: usize) -> bool {
        let floor = self.floor_bytes();
        let own = self.held_bytes.get(&consumer).map_or(additional, |held| held + additional);
        let others = self.held_bytes.iter().filter(|(other, _)| **other != consumer);
        let kept: usize = others.map(|(_, held)| (*held).max(floor)).sum();
        own <= floor || own.saturating_add(kept) <= self.limit_bytes
    }

    fn grow(&mut self, consumer: usize, additional: usize) {
        if let Some(held) = self.held_bytes.get_mut(&consumer) {
            *held += additional;
        }
    }

    fn shrink(&mut self, consumer: usize, less: usize) {
        if let Some(held) = self.held_bytes.get_mut(&consumer) {
            *held = held.saturating_sub(less);
        }
    }
}

fn is_exchange(consumer: &MemoryConsumer) -> bool {
    consumer.name().starts_with(EXCHANGE)
}

fn spills(consumer: &MemoryConsumer) -> bool {
    consumer.can_spill() && !is_exchange(consumer)
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
        let limit_bytes = memory.statement_limit_bytes / 100 * SPILLABLE_PERCENT;
        let spillers = Mutex::new(Spillers { limit_bytes, held_bytes: HashMap::new() });
        StatementPool { id, running, memory, spillers }
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
        if spills(consumer) {
            self.spillers.lock().held_bytes.insert(consumer.id(), 0);
        }
    }

    fn unregister(&self, consumer: &MemoryConsumer) {
        if spills(consumer) {
            self.spillers.lock().held_bytes.remove(&consumer.id());
        }
    }

    fn grow(&self, reservation: &MemoryReservation, additional: usize) {
        self.running.reserved_bytes.fetch_add(additional, Ordering::Relaxed);
        self.memory.reserved_bytes.fetch_add(additional, Ordering::Relaxed);
        if spills(reservation.consumer()) {
            self.spillers.lock().grow(reservation.consumer().id(), additional);
        }
    }

    fn shrink(&self, reservation: &MemoryReservation, shrink: usize) {
        self.running.reserved_bytes.fetch_sub(shrink, Ordering::Relaxed);
        self.memory.reserved_bytes.fetch_sub(shrink, Ordering::Relaxed);
        if spills(reservation.consumer()) {
            self.spillers.lock().shrink(reservation.consumer().id(), shrink);
        }
    }

    fn try_grow(&self, reservation: &MemoryReservation, additional: usize) -> Result<()> {
        let consumer = reservation.consumer();
        if is_exchange(consumer) {
            self.grow(reservation, additional);
            return Ok(());
        }
        if !spills(consumer) {
            let taken = self.take(additional);
            return if taken { Ok(()) } else { Err(self.refused(reservation, additional)) };
        }
        let mut spillers = self.spillers.lock();
        if !spillers.admits(consumer.id(), additional) || !self.take(additional) {
            return Err(self.refused(reservation, additional));
        }
        spillers.grow(consumer.id(), additional);
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
    fn a_sort_leaves_the_others_their_part() {
        let (_memory, statement) = statement(1_000);
        let sorts = ["a", "b", "c"].map(|name| consumer(&statement, name, true));
        assert!(sorts[0].try_grow(251).is_err(), "a third of 750 is kept for each");
        for sort in &sorts {
            sort.try_grow(250).expect("its own part");
            assert!(sort.try_grow(1).is_err());
        }
        let merge = consumer(&statement, "merge", false);
        merge.try_grow(250).expect("what cannot be spilled has the rest");
        assert!(merge.try_grow(1).is_err());
    }

    #[test]
    fn a_sort_takes_what_no_other_needs() {
        let limit = 1 << 30;
        let (_memory, statement) = statement(limit as u64);
        let sorts = ["a", "b", "c"].map(|name| consumer(&statement, name, true));
        let most = limit / 100 * SPILLABLE_PERCENT - 2 * FLOOR_BYTES;
        sorts[0].try_grow(most).expect("all but what is kept for two");
        assert!(sorts[0].try_grow(1).is_err());
        sorts[1].try_grow(FLOOR_BYTES).expect("its floor");
        drop(sorts);
        consumer(&statement, "d", true).try_grow(limit / 100 * SPILLABLE_PERCENT).expect("all");
    }
}
