//! What transactions see of each other: snapshot isolation, first committer wins.

use std::future::Future;

use asofdb::config::Settings;
use asofdb::server::query_runtime;
use asofdb::session::Database;

use super::guest::Guest;

const WRITERS: usize = 8;

/// Runs a piece of work on a fresh database and then checks the folder.
fn with_database<W: Future<Output = ()>>(work: impl FnOnce(Database) -> W) {
    let folder = tempfile::tempdir().expect("a folder");
    let settings =
        Settings { data: folder.path().to_owned(), query_threads: 4, ..Settings::default() };
    let runtime = query_runtime(&settings).expect("threads");
    let database = Database::open(&settings.data, settings.clone()).expect("a database");
    runtime.block_on(work(database));
    drop(runtime);
    assert_eq!(Database::check(&settings.data).expect("a check"), Vec::<String>::new());
}

/// Runs the same work in several sessions at once.
async fn at_once<W>(database: &Database, work: impl Fn(usize, Guest) -> W)
where
    W: Future<Output = ()> + Send + 'static,
{
    let tasks: Vec<_> =
        (0..WRITERS).map(|n| tokio::spawn(work(n, Guest::arrive(database)))).collect();
    for task in tasks {
        task.await.expect("no panic");
    }
}

#[test]
fn a_lost_update_is_refused() {
    with_database(|database| async move {
        let (mut a, mut b) = (Guest::arrive(&database), Guest::arrive(&database));
        a.must("CREATE TABLE t (k int PRIMARY KEY, v int); INSERT INTO t VALUES (1, 0), (2, 0)")
            .await;
        a.must("CREATE TABLE s AS SELECT n AS k, 0 AS v FROM generate_series(1, 10000) g(n)").await;
        for table in ["t", "s"] {
            for guest in [&mut a, &mut b] {
                guest.must(&format!("BEGIN; SELECT v FROM {table} WHERE k = 1")).await;
                guest.must(&format!("UPDATE {table} SET v = v + 1 WHERE k = 1")).await;
            }
            a.must("COMMIT").await;
            assert_eq!(b.refused("COMMIT").await, "40001");
            let rows = b.must(&format!("SELECT v FROM {table} WHERE k = 1")).await;
            assert_eq!(rows, [["1"]], "in {table}");
        }
        // Deletes count as writes.
        for table in ["t", "s"] {
            a.must(&format!("BEGIN; DELETE FROM {table} WHERE k = 2")).await;
            b.must(&format!("BEGIN; UPDATE {table} SET v = 7 WHERE k = 2")).await;
            a.must("COMMIT").await;
            assert_eq!(b.refused("COMMIT").await, "40001");
        }
    });
}

#[test]
fn write_skew_is_allowed() {
    with_database(|database| async move {
        let (mut a, mut b) = (Guest::arrive(&database), Guest::arrive(&database));
        a.must("CREATE TABLE t (k int PRIMARY KEY, v int); INSERT INTO t VALUES (1, 1), (2, 1)")
            .await;
        for guest in [&mut a, &mut b] {
            assert_eq!(guest.must("BEGIN; SELECT sum(v) FROM t").await, [["2"]]);
        }
        a.must("UPDATE t SET v = 0 WHERE k = 1; COMMIT").await;
        b.must("UPDATE t SET v = 0 WHERE k = 2; COMMIT").await;
        assert_eq!(a.must("SELECT sum(v) FROM t").await, [["0"]]);
    });
}

#[test]
fn the_second_row_of_a_key_is_refused_however_it_came() {
    with_database(|database| async move {
        let (mut a, mut b) = (Guest::arrive(&database), Guest::arrive(&database));
        a.must("CREATE TABLE t (k int PRIMARY KEY, v int)").await;
        let few = "INSERT INTO t VALUES (1, 0), (2, 0)";
        let many = "INSERT INTO t SELECT n, 0 FROM generate_series(1, 10000) g(n)";
        for (first, second) in [(few, few), (few, many), (many, few), (many, many)] {
            a.must("BEGIN; SELECT 1 FROM t").await;
            b.must("BEGIN; SELECT 1 FROM t").await;
            a.must(first).await;
            b.must(second).await;
            a.must("COMMIT").await;
            assert_eq!(b.refused("COMMIT").await, "23505", "{first}, then {second}");
            assert_eq!(b.refused(few).await, "23505");
            a.must("DELETE FROM t").await;
        }
        assert_eq!(a.must("SELECT count(*) FROM t").await, [["0"]]);
    });
}

#[test]
fn rows_of_different_keys_never_conflict() {
    const COMMITS: usize = 50;
    with_database(|database| async move {
        let mut reader = Guest::arrive(&database);
        reader.must("CREATE TABLE keyed (k int PRIMARY KEY); CREATE TABLE log (k int)").await;
        at_once(&database, |writer, mut guest| async move {
            for n in 0..COMMITS {
                let key = writer * COMMITS + n;
                let table = if n % 2 == 0 { "keyed" } else { "log" };
                guest.must(&format!("INSERT INTO {table} VALUES ({key})")).await;
            }
        })
        .await;
        for table in ["keyed", "log"] {
            let rows = reader.must(&format!("SELECT k FROM {table} ORDER BY k")).await;
            let offset = usize::from(table == "log");
            let wanted: Vec<Vec<String>> =
                (0..WRITERS * COMMITS / 2).map(|n| vec![(2 * n + offset).to_string()]).collect();
            assert_eq!(rows, wanted);
        }
        let log = reader.must("SHOW LOG LIMIT 1000").await;
        // The inserts, the two tables, and the commit that every database begins with.
        assert_eq!(log.len(), WRITERS * COMMITS + 3);
        let times = reader
            .must("SELECT snapshot_id, committed_at FROM keyed.snapshots ORDER BY snapshot_id")
            .await;
        assert_eq!(times.len(), WRITERS * COMMITS / 2 + 1);
        let number = |row: &Vec<String>| row[0].parse::<u64>().expect("a number");
        for pair in log.windows(2) {
            assert!(number(&pair[0]) > number(&pair[1]), "newest first: {pair:?}");
            assert!(time_of(&pair[0][2]) > time_of(&pair[1][2]), "newest first: {pair:?}");
        }
    });
}

/// Times of one width compare as text.
fn time_of(text: &str) -> String {
    let (whole, zone) = text.rsplit_once('+').expect("a zone");
    assert_eq!(zone, "00");
    let (seconds, fraction) = whole.split_once('.').unwrap_or((whole, ""));
    format!("{seconds}.{fraction:0<6}")
}

#[test]
fn nobody_sees_half_a_transaction() {
    const COMMITS: usize = 20;
    with_database(|database| async move {
        let mut guest = Guest::arrive(&database);
        guest.must("CREATE TABLE a (w int, n int); CREATE TABLE b (w int, n int)").await;
        let mut reader = Guest::arrive(&database);
        let writing = at_once(&database, |writer, mut guest| async move {
            for n in 0..COMMITS {
                guest.must(&format!("BEGIN; INSERT INTO a VALUES ({writer}, {n})")).await;
                // Some halves are segments.
                let rows = if n % 10 == 9 { 9000 } else { 1 };
                let series = format!("generate_series(1, {rows})");
                guest.must(&format!("INSERT INTO b SELECT {writer}, {n} FROM {series}")).await;
                guest.must("COMMIT").await;
            }
        });
        let reading = async {
            let both =
                "SELECT (SELECT count(*) FROM a), (SELECT count(DISTINCT w * 100 + n) FROM b)";
            let mut seen = vec![0];
            while seen.last() != Some(&(WRITERS * COMMITS)) {
                let rows = reader.must(both).await;
                assert_eq!(rows[0][0], rows[0][1], "half a transaction was seen");
                seen.push(rows[0][0].parse::<usize>().expect("a count"));
            }
            seen
        };
        let (seen, ()) = futures::join!(reading, writing);
        assert!(seen.windows(2).all(|pair| pair[0] <= pair[1]), "time went back: {seen:?}");
    });
}

#[test]
fn a_counter_counts_every_update() {
    const UPDATES: usize = 25;
    with_database(|database| async move {
        let mut reader = Guest::arrive(&database);
        reader.must("CREATE TABLE c (k int PRIMARY KEY, v int); INSERT INTO c VALUES (1, 0)").await;
        at_once(&database, |_, mut guest| async move {
            for _ in 0..UPDATES {
                // The server tries ten times; whoever loses all of them asks again.
                while let Err(error) = guest.run("UPDATE c SET v = v + 1 WHERE k = 1").await {
                    assert_eq!(error.kind().sqlstate(), "40001", "{error:?}");
                }
            }
        })
        .await;
        let rows = reader.must("SELECT v FROM c").await;
        assert_eq!(rows, [[(WRITERS * UPDATES).to_string()]]);
    });
}

#[test]
fn upserts_of_one_key_all_count() {
    const UPSERTS: usize = 25;
    with_database(|database| async move {
        let mut reader = Guest::arrive(&database);
        reader.must("CREATE TABLE c (k int PRIMARY KEY, v int)").await;
        at_once(&database, |_, mut guest| async move {
            for k in 0..UPSERTS {
                let sql = format!(
                    "INSERT INTO c VALUES ({}, 1) ON CONFLICT (k) DO UPDATE SET v = c.v + 1",
                    k % 3
                );
                // A duplicate is never the answer, whoever comes first.
                while let Err(error) = guest.run(&sql).await {
                    assert_eq!(error.kind().sqlstate(), "40001", "{error:?}");
                }
            }
        })
        .await;
        let rows = reader.must("SELECT count(*), sum(v) FROM c").await;
        assert_eq!(rows, [["3".to_owned(), (WRITERS * UPSERTS).to_string()]]);
    });
}

#[test]
fn of_two_blocks_that_change_the_same_rows_the_second_is_refused() {
    const FIRST: &str = "UPDATE t SET v = 1 WHERE k = 1";
    with_database(|database| async move {
        let (mut a, mut b) = (Guest::arrive(&database), Guest::arrive(&database));
        for second in [
            "INSERT INTO t VALUES (1, 5) ON CONFLICT (k) DO UPDATE SET v = excluded.v",
            "UPDATE t SET v = s.v FROM (VALUES (1, 7)) AS s (k, v) WHERE s.k = t.k",
            "DELETE FROM t USING (VALUES (1)) AS s (k) WHERE s.k = t.k",
            "MERGE INTO t USING (VALUES (1)) AS s (k) ON s.k = t.k WHEN MATCHED THEN DELETE",
            "TRUNCATE t",
            "INSERT OVERWRITE t VALUES (1, 9)",
            "INSERT INTO t REPLACE WHERE k < 2 VALUES (1, 9)",
        ] {
            let fresh = "DROP TABLE IF EXISTS t; CREATE TABLE t (k int PRIMARY KEY, v int)";
            a.must(fresh).await;
            a.must("INSERT INTO t VALUES (1, 0), (2, 0)").await;
            a.must(&format!("BEGIN; {FIRST}")).await;
            b.must(&format!("BEGIN; {second}")).await;
            a.must("COMMIT").await;
            assert_eq!(b.refused("COMMIT").await, "40001", "{second}");
            assert_eq!(a.must("SELECT sum(v) FROM t").await, [["1"]], "{second}");
        }
        // Keys that both bring: of a plain INSERT a duplicate, of an upsert a conflict.
        for (second, state) in [
            ("INSERT INTO t VALUES (50, 2)", "23505"),
            ("INSERT INTO t VALUES (51, 2) ON CONFLICT DO NOTHING", "40001"),
            (
                "MERGE INTO t USING (VALUES (52)) AS s (k) ON s.k = t.k \
                 WHEN NOT MATCHED THEN INSERT (k) VALUES (s.k)",
                "23505",
            ),
        ] {
            a.must("BEGIN; INSERT INTO t VALUES (50, 1), (51, 1), (52, 1)").await;
            b.must(&format!("BEGIN; {second}")).await;
            a.must("COMMIT").await;
            assert_eq!(b.refused("COMMIT").await, state, "{second}");
            a.must("DELETE FROM t WHERE k >= 50").await;
        }
    });
}

#[test]
fn of_those_who_replace_one_range_one_remains() {
    const ROWS: usize = 3000;
    with_database(|database| async move {
        let mut reader = Guest::arrive(&database);
        reader.must("CREATE TABLE r (d int, w bigint); CREATE TABLE o (w bigint)").await;
        reader.must("CREATE TABLE kept (d int, w bigint)").await;
        at_once(&database, |writer, mut guest| async move {
            let series = format!("generate_series(1, {ROWS})");
            for sql in [
                format!("INSERT INTO r REPLACE WHERE d = 10 SELECT 10, {writer} FROM {series}"),
                format!("INSERT OVERWRITE o SELECT {writer} FROM {series}"),
                format!("INSERT INTO kept REPLACE WHERE d = {writer} SELECT {writer}, w FROM o"),
            ] {
                while let Err(error) = guest.run(&sql).await {
                    assert_eq!(error.kind().sqlstate(), "40001", "{error:?}");
                }
            }
        })
        .await;
        let one = [[ROWS.to_string(), "1".to_owned()]];
        assert_eq!(reader.must("SELECT count(*), count(DISTINCT w) FROM r").await, one);
        assert_eq!(reader.must("SELECT count(*), count(DISTINCT w) FROM o").await, one);
        let kept = reader.must("SELECT count(*), count(DISTINCT d) FROM kept").await;
        assert_eq!(kept, [[(WRITERS * ROWS).to_string(), WRITERS.to_string()]]);
    });
}

#[test]
fn rows_that_come_into_a_replaced_range_are_a_conflict_and_others_are_not() {
    with_database(|database| async move {
        let (mut a, mut b) = (Guest::arrive(&database), Guest::arrive(&database));
        let many = "INSERT INTO t SELECT 7, n FROM generate_series(1, 9000) g(n)";
        for (first, second, conflicts) in [
            ("INSERT INTO t VALUES (1, 5)", "REPLACE WHERE d = 1 VALUES (1, 9)", true),
            ("UPDATE t SET d = 1 WHERE d = 2", "REPLACE WHERE d = 1 VALUES (1, 9)", true),
            ("INSERT INTO t VALUES (1, 5)", "REPLACE WHERE d = (SELECT 1) VALUES (1, 9)", true),
            (
                "INSERT INTO t REPLACE WHERE d = 1 VALUES (1, 8)",
                "REPLACE WHERE d = 1 VALUES (1, 9)",
                true,
            ),
            (many, "REPLACE WHERE d = 7 VALUES (7, 9)", true),
            (many, "REPLACE WHERE w = 8999 AND d > 0 VALUES (5, 8999)", true),
            (many, "REPLACE WHERE d = 1 VALUES (1, 9)", false),
            ("INSERT INTO t VALUES (2, 5)", "REPLACE WHERE d = 1 VALUES (1, 9)", false),
            ("INSERT INTO t VALUES (NULL, 5)", "REPLACE WHERE d = 1 VALUES (1, 9)", false),
            ("DELETE FROM t WHERE d = 2", "REPLACE WHERE d = 1 VALUES (1, 9)", false),
            ("CREATE TABLE IF NOT EXISTS u (k int)", "REPLACE WHERE d = 1 VALUES (1, 9)", false),
        ] {
            a.must("DROP TABLE IF EXISTS t; CREATE TABLE t (d int, w bigint)").await;
            a.must("INSERT INTO t VALUES (1, 0), (2, 0)").await;
            b.must(&format!("BEGIN; INSERT INTO t {second}")).await;
            a.must(first).await;
            match conflicts {
                true => assert_eq!(b.refused("COMMIT").await, "40001", "{first}, then {second}"),
                false => drop(b.must("COMMIT").await),
            }
        }
        a.must("DROP TABLE t; CREATE TABLE t (d int, w bigint)").await;
        b.must("BEGIN; INSERT OVERWRITE t VALUES (1, 1)").await;
        a.must("INSERT INTO t VALUES (2, 2)").await;
        assert_eq!(b.refused("COMMIT").await, "40001");
    });
}

#[test]
fn a_view_and_what_it_needs_do_not_miss_each_other() {
    with_database(|database| async move {
        let (mut a, mut b) = (Guest::arrive(&database), Guest::arrive(&database));
        let fresh = "DROP VIEW IF EXISTS v; DROP TABLE IF EXISTS s; CREATE TABLE s (a int, b int)";
        let make = "CREATE VIEW v AS SELECT b FROM s";
        for (lose, refused) in [
            ("DROP TABLE s", true),
            ("ALTER TABLE s DROP COLUMN b", true),
            ("ALTER TABLE s DROP COLUMN a", false),
            ("ALTER TABLE s RENAME COLUMN b TO c", false),
        ] {
            for (first, second) in [(make, lose), (lose, make)] {
                a.must(fresh).await;
                a.must(&format!("BEGIN; {first}")).await;
                b.must(&format!("BEGIN; {second}")).await;
                a.must("COMMIT").await;
                match refused {
                    true => {
                        assert_eq!(b.refused("COMMIT").await, "40001", "{first}, then {second}")
                    }
                    false => {
                        b.must("COMMIT").await;
                        assert!(a.must("SELECT b FROM v").await.is_empty(), "{first}, {second}");
                    }
                }
            }
        }
    });
}

/// Whoever's branch was dropped by another still leaves it, a block on it too.
#[test]
fn a_session_leaves_a_branch_that_is_gone() {
    let (folder, settings) = crate::property::home(1_767_225_600_000_000);
    asofdb::server::query_runtime(&settings).expect("threads").block_on(async {
        let database = Database::open(folder.path(), settings).expect("it opens");
        let (mut one, mut other) = (Guest::arrive(&database), Guest::arrive(&database));
        one.must("CREATE TABLE t (n int)").await;
        for leave in ["SET branch = 'main'", "RESET branch", "DISCARD ALL", "USE BRANCH main"] {
            one.must("CREATE BRANCH gone; SET branch = 'gone'; BEGIN; INSERT INTO t VALUES (1)")
                .await;
            other.must("DROP BRANCH gone").await;
            one.run("COMMIT").await.expect_err("there is nowhere to commit");
            one.must("ROLLBACK").await;
            one.run("SELECT * FROM t").await.expect_err("there is nothing to read");
            one.must(leave).await;
            assert_eq!(one.must("SELECT count(*) FROM t").await, [["0"]], "{leave}");
        }
    });
}
