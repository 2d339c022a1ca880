//! Time: ties, a clock that is set back, summer time, time zones.

use std::time::Duration;

use asofdb::clock::Clock;
use asofdb::config::Settings;
use asofdb::server::query_runtime;
use asofdb::session::Database;

use super::guest::Guest;

/// 2026-01-01 00:00:00 UTC.
const START_US: i64 = 1_767_225_600_000_000;
const HOUR_US: i64 = 3_600_000_000;

fn with_clock<F: AsyncFnOnce(&mut Guest, &Clock)>(start_us: i64, work: F) {
    let folder = tempfile::tempdir().expect("a folder");
    let clock = Clock::manual(start_us);
    let settings = Settings {
        data: folder.path().to_owned(),
        clock: clock.clone(),
        query_threads: 2,
        ..Settings::default()
    };
    let runtime = query_runtime(&settings).expect("threads");
    let database = Database::open(&settings.data, settings.clone()).expect("a database");
    runtime.block_on(async {
        let mut guest = Guest::arrive(&database);
        work(&mut guest, &clock).await;
    });
    drop(database);
    drop(runtime);
}

/// Every commit of t has a time of its own, ascending, and AS OF it reads just that commit.
async fn check_times(guest: &mut Guest, commits: usize) {
    let times = guest
        .must("SELECT committed_at::text FROM t.snapshots WHERE operation = 'append' ORDER BY snapshot_id")
        .await;
    assert_eq!(times.len(), commits);
    assert!(times.is_sorted(), "{times:?}");
    for (n, time) in times.iter().enumerate() {
        assert!(n == 0 || times[n - 1] != *time, "two commits at {time:?}");
        let sql = format!("SELECT max(k) FROM t FOR SYSTEM_TIME AS OF '{}'", time[0]);
        assert_eq!(guest.must(&sql).await, [[n.to_string()]], "{sql}");
    }
}

#[test]
fn commits_of_one_microsecond_have_an_order() {
    with_clock(START_US, async |guest, clock| {
        guest.must("CREATE TABLE t (k int)").await;
        for k in 0..20 {
            guest.must(&format!("INSERT INTO t VALUES ({k})")).await;
        }
        clock.advance(Duration::from_secs(1));
        check_times(guest, 20).await;
    });
}

#[test]
fn a_clock_that_is_set_back_an_hour_takes_no_commit_with_it() {
    with_clock(START_US + 2 * HOUR_US, async |guest, clock| {
        guest.must("CREATE TABLE t (k int)").await;
        for k in 0..6 {
            clock.advance(Duration::from_secs(60));
            guest.must(&format!("INSERT INTO t VALUES ({k})")).await;
            if k == 2 {
                clock.set(clock.now_us() - HOUR_US);
            }
        }
        // Until the clock has caught up, the newest commits lie in its future.
        assert_eq!(guest.must("SELECT count(*) FROM t").await, [["6"]]);
        clock.advance(Duration::from_secs(2 * 3600));
        check_times(guest, 6).await;
    });
}

#[test]
fn a_time_that_was_read_stays_as_it_was_read() {
    with_clock(START_US, async |guest, clock| {
        guest.must("CREATE TABLE t (k int); INSERT INTO t VALUES (1)").await;
        clock.advance(Duration::from_secs(10));
        let now = "SELECT count(*) FROM t FOR SYSTEM_TIME AS OF '2026-01-01 00:00:10'";
        assert_eq!(guest.must(now).await, [["1"]]);
        guest.must("INSERT INTO t VALUES (2)").await;
        assert_eq!(guest.must(now).await, [["1"]], "the commit came after the time was read");
        clock.set(START_US);
        guest.must("INSERT INTO t VALUES (3)").await;
        clock.set(START_US + 20_000_000);
        assert_eq!(guest.must(now).await, [["1"]], "a clock set back changes nothing");
        assert_eq!(guest.must("SELECT count(*) FROM t FOR SYSTEM_TIME AS OF now()").await, [["3"]]);
    });
}

#[test]
fn wall_clock_times_follow_the_sessions_zone_through_summer_time() {
    // 2026-03-29 00:30 UTC: half an hour before Berlin goes from 02:00 to 03:00.
    let start_us = 1_774_744_200_000_000;
    with_clock(start_us, async |guest, clock| {
        guest.must("CREATE TABLE t (k int); SET timezone = 'Europe/Berlin'").await;
        for (k, minutes) in [(0, 10), (1, 50), (2, 60)] {
            clock.set(start_us + minutes * 60_000_000);
            guest.must(&format!("INSERT INTO t VALUES ({k})")).await;
        }
        clock.advance(Duration::from_secs(7200));
        // 01:40, 03:20 and 03:30 on Berlin's clocks; 02:30 does not exist and means 03:30.
        for (time, newest) in [
            ("2026-03-29 01:40:00", "0"),
            ("2026-03-29 01:59:59", "0"),
            ("2026-03-29 03:20:00", "1"),
            ("2026-03-29 03:29:59", "1"),
            ("2026-03-29 03:30:00", "2"),
            ("2026-03-29 02:30:00", "2"),
            ("2026-03-29 00:40:00+00", "0"),
            ("2026-03-29 01:20:00Z", "1"),
            ("2026-03-29 02:20:00+01", "1"),
        ] {
            for clause in ["FOR SYSTEM_TIME AS OF", "VERSION AS OF", "TIMESTAMP AS OF", "AS OF"] {
                let sql = format!("SELECT max(k) FROM t {clause} '{time}'");
                assert_eq!(guest.must(&sql).await, [[newest]], "{sql}");
            }
        }
        guest.must("SET timezone = 'UTC'").await;
        let sql = "SELECT max(k) FROM t FOR SYSTEM_TIME AS OF '2026-03-29 01:20:00'";
        assert_eq!(guest.must(sql).await, [["1"]]);
    });
}

#[test]
fn the_hour_that_comes_twice_has_one_meaning() {
    // 2026-10-24 23:30 UTC: 01:30 in Berlin; 02:00 to 03:00 comes twice.
    let start_us = 1_792_884_600_000_000;
    with_clock(start_us, async |guest, clock| {
        guest.must("CREATE TABLE t (k int); SET timezone = 'Europe/Berlin'").await;
        for (k, minutes) in [(0, 10), (1, 60), (2, 120)] {
            clock.set(start_us + minutes * 60_000_000);
            guest.must(&format!("INSERT INTO t VALUES ({k})")).await;
        }
        clock.advance(Duration::from_secs(7200));
        // 02:30 is summer time at 00:30 UTC and winter time at 01:30 UTC; PostgreSQL takes winter time.
        for (time, newest) in [
            ("2026-10-25 01:45:00", "0"),
            ("2026-10-25 02:30:00", "2"),
            ("2026-10-25 02:30:00+02", "1"),
            ("2026-10-25 02:30:00+01", "2"),
            ("2026-10-25 00:30:00Z", "1"),
        ] {
            let sql = format!("SELECT max(k) FROM t FOR SYSTEM_TIME AS OF '{time}'");
            assert_eq!(guest.must(&sql).await, [[newest]], "{sql}");
        }
    });
}

#[test]
fn a_notice_says_which_commit_a_time_is() {
    with_clock(START_US, async |guest, clock| {
        guest.must("CREATE TABLE t (k int); INSERT INTO t VALUES (1)").await;
        clock.advance(Duration::from_secs(5));
        guest.notices();
        guest.must("SELECT * FROM t FOR SYSTEM_TIME AS OF now()").await;
        assert_eq!(guest.notices(), ["resolved to commit 3 (2026-01-01T00:00:00.000002Z) on main"]);
        guest.must("SELECT * FROM t VERSION AS OF 3").await;
        assert_eq!(guest.notices(), Vec::<String>::new(), "a number says itself which it is");
        guest.must("SET client_min_messages = warning").await;
        guest.must("SELECT * FROM t FOR SYSTEM_TIME AS OF now()").await;
        assert_eq!(guest.notices(), Vec::<String>::new());
    });
}
