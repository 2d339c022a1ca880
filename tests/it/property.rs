//! What tests of random histories share: how often they try, and what they live in.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use asofdb::clock::Clock;
use asofdb::config::Settings;
use proptest::test_runner::{Config, FileFailurePersistence, RngSeed};
use tempfile::TempDir;

/// The histories of every ordinary run: who changes something is told what the change broke, not what
/// nobody had tried before.
const SEED: u64 = 2026;

/// So many cases, the same in every run, or as many new ones as PROPTEST_CASES says; what failed once is
/// tried first from then on.
pub fn config(regressions: &'static str, cases: u32, shrinks: u32) -> Config {
    let more = std::env::var("PROPTEST_CASES").ok();
    let fresh = more.is_some() || std::env::var("PROPTEST_RNG_SEED").is_ok();
    let default = Config::default();
    Config {
        cases: more.map_or(cases, |n| n.parse().expect("a number")),
        rng_seed: if fresh { default.rng_seed } else { RngSeed::Fixed(SEED) },
        failure_persistence: Some(Box::new(FileFailurePersistence::Direct(regressions))),
        max_shrink_iters: shrinks,
        ..default
    }
}

/// A folder, and settings for a database in it whose clock the test sets.
pub fn home(start_us: i64) -> (TempDir, Settings) {
    let folder = tempfile::tempdir().expect("a folder");
    let settings = Settings {
        data: folder.path().to_owned(),
        clock: Clock::manual(start_us),
        query_threads: 2,
        ..Settings::default()
    };
    (folder, settings)
}

/// Longer than any step takes where nothing waits for ever.
const PATIENCE: Duration = Duration::from_secs(120);

/// One step; that it does not end is a failure like others.
pub async fn in_time<T>(step: &impl std::fmt::Debug, work: impl Future<Output = T>) -> T {
    let ended = tokio::time::timeout(PATIENCE, work).await;
    ended.unwrap_or_else(|_| panic!("{step:?} does not end"))
}

/// What a history said to the database. The first that fails is told at once, for shrinking it may take
/// minutes; the last, which is the smallest, is found in a file.
pub struct Told {
    name: &'static str,
    lines: Vec<String>,
}

impl Told {
    pub fn of(name: &'static str) -> Told {
        Told { name, lines: Vec::new() }
    }

    pub fn tell(&mut self, line: &str) {
        self.lines.push(format!("{line};"));
    }
}

impl Drop for Told {
    fn drop(&mut self) {
        static FIRST: AtomicBool = AtomicBool::new(true);
        if !std::thread::panicking() {
            return;
        }
        let text = self.lines.join("\n");
        if FIRST.swap(false, Ordering::Relaxed) {
            eprintln!("-- the first of {} that fails:\n{text}", self.name);
        }
        let place = std::path::Path::new(env!("CARGO_TARGET_TMPDIR"));
        let place = place.join(format!("{}-{}.sql", self.name, std::process::id()));
        // A folder that cannot be written loses the shrunk history's SQL, not its steps.
        let _ = std::fs::write(place, text);
    }
}
