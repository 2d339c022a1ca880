//! What tests of random histories share: how often they try, and what they live in.

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
