//! Who is connected: the bounds on how many, cancel keys, deadlines, and the word that ends one.
//!
//! A seat is taken when a socket is accepted and given back when both the connection and what it lent
//! to a running statement are gone. Seats in start-up have a bound of their own, and the oldest of
//! them gives way: clients that never finish start-up keep nobody out.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::farewell::Farewell;
use crate::activity::{CancelReason, CancelToken};
use crate::clock::Clock;
use crate::config::WireSettings;
use crate::error::{Error, ErrorKind, Result};

/// What a connection waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// The client, to finish start-up.
    Startup,
    /// The client, outside a transaction.
    Idle,
    /// The client, inside a transaction.
    IdleInTransaction,
    /// A statement.
    Running,
    /// The client, to take what was written.
    Writing,
}

impl Phase {
    const ALL: [Phase; 5] =
        [Phase::Startup, Phase::Idle, Phase::IdleInTransaction, Phase::Running, Phase::Writing];
}

/// One connection's place.
#[derive(Debug)]
pub(super) struct Seat {
    id: u64,
    phase: AtomicU8,
    since_us: AtomicU64,
    farewell: AtomicU8,
    told: Notify,
    registry: Arc<Registry>,
}

/// All places of one server.
#[derive(Debug)]
pub(super) struct Registry {
    bounds: WireSettings,
    clock: Clock,
    seats: Mutex<Seats>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct Seats {
    last_id: u64,
    going_down: bool,
    /// In the order of arrival.
    all: BTreeMap<u64, std::sync::Weak<Seat>>,
    sessions: HashMap<i32, OpenSession>,
}

#[derive(Debug)]
struct OpenSession {
    seat: u64,
    key: Vec<u8>,
    cancel: CancelToken,
}

impl Registry {
    pub(super) fn new(bounds: WireSettings, clock: Clock) -> Arc<Self> {
        Arc::new(Registry { bounds, clock, seats: Mutex::default(), changed: Notify::new() })
    }

    /// A place for a new socket; the oldest client in start-up gives way where they are too many.
    pub(super) fn arrive(self: &Arc<Self>) -> Arc<Seat> {
        let mut seats = self.seats.lock();
        seats.last_id += 1;
        let seat = Arc::new(Seat {
            id: seats.last_id,
            phase: AtomicU8::new(Phase::Startup as u8),
            since_us: AtomicU64::new(self.now_us()),
            farewell: AtomicU8::new(0),
            told: Notify::new(),
            registry: self.clone(),
        });
        // Collected, so that no seat is given back while the lock is held.
        let all: Vec<Arc<Seat>> = seats.all.values().filter_map(std::sync::Weak::upgrade).collect();
        let going_down = seats.going_down;
        seats.all.insert(seat.id, Arc::downgrade(&seat));
        drop(seats);
        let starting = || all.iter().filter(|s| s.phase() == Phase::Startup && !s.is_told());
        if starting().count() >= self.bounds.startup_connections_max
            && let Some(oldest) = starting().next()
        {
            oldest.leave(Farewell::StartupTimeout);
        }
        if going_down {
            seat.leave(Farewell::Shutdown);
        }
        seat
    }

    /// The seat's client is let in under this pid and key.
    ///
    /// # Errors
    /// `TooManyConnections`.
    pub(super) fn begin_session(
        &self,
        seat: &Seat,
        pid: i32,
        key: Vec<u8>,
        cancel: CancelToken,
    ) -> Result<()> {
        let mut seats = self.seats.lock();
        if seats.sessions.len() >= self.bounds.connections_max {
            return Err(Error::new(
                ErrorKind::TooManyConnections,
                "sorry, too many clients already",
            )
            .hint(format!("at most {} sessions are open at once", self.bounds.connections_max)));
        }
        seats.sessions.insert(pid, OpenSession { seat: seat.id, key, cancel });
        Ok(())
    }

    /// Cancels the statement of the session that has this pid and key; anything else is ignored, and
    /// takes as long.
    pub(super) fn cancel(&self, pid: i32, key: &[u8]) {
        let seats = self.seats.lock();
        if let Some(session) = seats.sessions.get(&pid)
            && is_same(&session.key, key)
        {
            session.cancel.cancel(CancelReason::User);
        }
    }

    /// Ends connections whose deadline has passed.
    pub(super) fn reap(&self) {
        let now_us = self.now_us();
        for seat in self.seats() {
            let waited =
                Duration::from_micros(now_us.saturating_sub(seat.since_us.load(Ordering::Acquire)));
            let (limit, farewell) = match seat.phase() {
                Phase::Startup => (self.bounds.startup_timeout, Farewell::StartupTimeout),
                Phase::Idle => (self.bounds.idle_timeout, Farewell::Idle),
                Phase::IdleInTransaction => {
                    (self.bounds.idle_in_transaction_timeout, Farewell::IdleInTransaction)
                }
                Phase::Writing => (self.bounds.write_stall_timeout, Farewell::WriteStall),
                Phase::Running => continue,
            };
            if !limit.is_zero() && waited > limit {
                seat.leave(farewell);
            }
        }
    }

    /// Everybody leaves, those who run a statement after it; nobody new is let in.
    pub(super) fn go_down(&self) {
        self.seats.lock().going_down = true;
        self.seats().iter().for_each(|seat| seat.leave(Farewell::Shutdown));
    }

    /// Stops what still runs.
    pub(super) fn cancel_all(&self) {
        let seats = self.seats.lock();
        seats.sessions.values().for_each(|session| session.cancel.cancel(CancelReason::Shutdown));
    }

    /// Waits until nobody is connected and nothing runs.
    pub(super) async fn emptied(&self) {
        loop {
            let mut changed = std::pin::pin!(self.changed.notified());
            changed.as_mut().enable();
            if self.seats.lock().all.is_empty() {
                return;
            }
            changed.await;
        }
    }

    fn seats(&self) -> Vec<Arc<Seat>> {
        self.seats.lock().all.values().filter_map(std::sync::Weak::upgrade).collect()
    }

    fn now_us(&self) -> u64 {
        u64::try_from(self.clock.monotonic().as_micros()).unwrap_or(u64::MAX)
    }
}

impl Seat {
    /// The connection waits for something else.
    pub(super) fn turn_to(&self, phase: Phase) {
        self.since_us.store(self.registry.now_us(), Ordering::Release);
        self.phase.store(phase as u8, Ordering::Release);
    }

    fn phase(&self) -> Phase {
        let code = usize::from(self.phase.load(Ordering::Acquire));
        Phase::ALL.get(code).copied().unwrap_or(Phase::Running)
    }

    /// Asks the connection to end; the first reason stays.
    fn leave(&self, farewell: Farewell) {
        let none_yet =
            self.farewell.compare_exchange(0, farewell.code(), Ordering::AcqRel, Ordering::Acquire);
        if none_yet.is_ok() {
            self.told.notify_waiters();
        }
    }

    fn is_told(&self) -> bool {
        self.farewell.load(Ordering::Acquire) != 0
    }

    /// Waits until the connection shall end.
    pub(super) async fn left(&self) -> Farewell {
        loop {
            let mut told = std::pin::pin!(self.told.notified());
            told.as_mut().enable();
            if let Some(farewell) = Farewell::of_code(self.farewell.load(Ordering::Acquire)) {
                return farewell;
            }
            told.await;
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut seats = self.registry.seats.lock();
        seats.all.remove(&self.id);
        seats.sessions.retain(|_, session| session.seat != self.id);
        drop(seats);
        self.registry.changed.notify_waiters();
    }
}

/// Compares without telling by its time where two keys differ.
fn is_same(ours: &[u8], theirs: &[u8]) -> bool {
    if ours.len() != theirs.len() {
        return false;
    }
    let differ = ours.iter().zip(theirs).fold(0, |differ, (a, b)| differ | (a ^ b));
    std::hint::black_box(differ) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn registry(bounds: WireSettings) -> (Arc<Registry>, Clock) {
        let clock = Clock::manual(0);
        (Registry::new(bounds, clock.clone()), clock)
    }

    fn told(seat: &Seat) -> Option<Farewell> {
        Farewell::of_code(seat.farewell.load(Ordering::Acquire))
    }

    #[test]
    fn the_oldest_in_startup_gives_way() {
        let (registry, _) =
            registry(WireSettings { startup_connections_max: 2, ..WireSettings::default() });
        let session = registry.arrive();
        session.turn_to(Phase::Idle);
        let (first, second, third) = (registry.arrive(), registry.arrive(), registry.arrive());
        assert_eq!(told(&first), Some(Farewell::StartupTimeout));
        assert!(told(&session).is_none() && told(&second).is_none() && told(&third).is_none());
    }

    #[test]
    fn deadlines_belong_to_phases() {
        let bounds = WireSettings {
            startup_timeout: Duration::from_secs(10),
            idle_timeout: Duration::ZERO,
            idle_in_transaction_timeout: Duration::from_secs(5),
            ..WireSettings::default()
        };
        let (registry, clock) = registry(bounds);
        let (starting, idle, open, running) =
            (registry.arrive(), registry.arrive(), registry.arrive(), registry.arrive());
        idle.turn_to(Phase::Idle);
        open.turn_to(Phase::IdleInTransaction);
        running.turn_to(Phase::Running);
        clock.advance(Duration::from_secs(6));
        registry.reap();
        assert_eq!((told(&starting), told(&open)), (None, Some(Farewell::IdleInTransaction)));
        clock.advance(Duration::from_secs(1_000));
        registry.reap();
        assert_eq!(told(&starting), Some(Farewell::StartupTimeout));
        assert_eq!((told(&idle), told(&running)), (None, None));
    }

    #[test]
    fn only_the_key_cancels_and_seats_are_counted_until_given_back() {
        let (registry, _) =
            registry(WireSettings { connections_max: 1, ..WireSettings::default() });
        let (seat, token) = (registry.arrive(), CancelToken::new());
        registry.begin_session(&seat, 7, vec![1, 2, 3, 4], token.clone()).unwrap();
        registry.cancel(7, &[1, 2, 3, 5]);
        registry.cancel(7, &[1, 2, 3]);
        registry.cancel(8, &[1, 2, 3, 4]);
        assert!(!token.is_cancelled());
        registry.cancel(7, &[1, 2, 3, 4]);
        assert_eq!(token.reason(), Some(CancelReason::User));
        let other = registry.arrive();
        let refused = registry.begin_session(&other, 8, vec![], CancelToken::new());
        assert_eq!(refused.unwrap_err().kind(), ErrorKind::TooManyConnections);
        drop(seat);
        registry.begin_session(&other, 8, vec![], CancelToken::new()).unwrap();
    }
}
