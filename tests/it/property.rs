//! What tests of random histories share: how often they try, and what they live in.

use asofdb::clock::Clock;
use asofdb::config::Settings;
use proptest::test_runner::{Config, FileFailurePersistence};
use tempfile::TempDir;

/// So many cases, or as PROPTEST_CASES says; what failed once is tried first from then on.
pub fn config(regressions: &'static str, cases: u32, shrinks: u32) -> Config {
    Config {
        cases: std::env::var("PROPTEST_CASES").map_or(cases, |n| n.parse().expect("a number")),
        failure_persistence: Some(Box::new(FileFailurePersistence::Direct(regressions))),
        max_shrink_iters: shrinks,
        ..Config::default()
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
