//! The only reader of time. Wall time is for what users see and for what is written down; monotonic
//! time is for measuring. A manual clock stands still until a test moves it.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// A source of time; clones share it.
#[derive(Clone, Debug)]
pub struct Clock(Source);

#[derive(Clone, Debug)]
enum Source {
    System { origin: Instant },
    Manual { start_us: i64, now_us: Arc<AtomicI64> },
}

impl Clock {
    /// The machine's clock.
    pub fn system() -> Self {
        Clock(Source::System { origin: Instant::now() })
    }

    /// A clock that stands at this wall time (µs since 1970-01-01 UTC) until it is moved.
    pub fn manual(start_us: i64) -> Self {
        Clock(Source::Manual { start_us, now_us: Arc::new(AtomicI64::new(start_us)) })
    }

    /// Wall time: µs since 1970-01-01 UTC. May go backwards when the machine's clock is set.
    pub fn now_us(&self) -> i64 {
        match &self.0 {
            Source::System { .. } => match SystemTime::now().duration_since(UNIX_EPOCH) {
                Ok(after) => i64::try_from(after.as_micros()).unwrap_or(i64::MAX),
                Err(before) => -i64::try_from(before.duration().as_micros()).unwrap_or(i64::MAX),
            },
            Source::Manual { now_us, .. } => now_us.load(Ordering::Acquire),
        }
    }

    /// Time since the clock was made. Never goes backwards.
    pub fn monotonic(&self) -> Duration {
        match &self.0 {
            Source::System { origin } => origin.elapsed(),
            Source::Manual { start_us, now_us } => {
                let passed = now_us.load(Ordering::Acquire).saturating_sub(*start_us);
                Duration::from_micros(u64::try_from(passed).unwrap_or(0))
            }
        }
    }

    /// Sets a manual clock to a wall time (µs since 1970-01-01 UTC), also back; the machine's clock is
    /// set by others.
    pub fn set(&self, wall_us: i64) {
        if let Source::Manual { now_us, .. } = &self.0 {
            now_us.store(wall_us, Ordering::Release);
        }
    }

    /// Moves a manual clock forward; the machine's clock moves by itself.
    pub fn advance(&self, by: Duration) {
        if let Source::Manual { now_us, .. } = &self.0 {
            let by_us = i64::try_from(by.as_micros()).unwrap_or(i64::MAX);
            now_us.fetch_add(by_us, Ordering::AcqRel);
        }
    }
}

impl Default for Clock {
    fn default() -> Self {
        Clock::system()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manual_clock_moves_only_when_told() {
        let clock = Clock::manual(1_000);
        let same = clock.clone();
        assert_eq!((clock.now_us(), clock.monotonic()), (1_000, Duration::ZERO));
        clock.advance(Duration::from_secs(2));
        assert_eq!((same.now_us(), same.monotonic()), (2_001_000, Duration::from_secs(2)));
    }

    #[test]
    fn the_machine_clock_is_of_this_century() {
        assert!(Clock::system().now_us() > 1_700_000_000_000_000);
    }
}
