//! ASOF JOIN where the work is split: sums that others publish, one key that holds nearly all rows, a key for each
//! row, ties by the thousand, and joins that are cancelled on their way.

use std::time::Duration;

use asofdb::activity::CancelReason;
use tokio_postgres::SimpleQueryMessage;

use super::guest::{Guest, Rows, visit};
use super::process::Program;

const MODES: [&str; 5] = ["auto", "seek", "merge", "hash", "stream"];

/// The same rows in every mode, with 1, 2 and 8 partitions.
async fn in_every_mode(guest: &mut Guest, question: &str) -> Rows {
    let mut first = None;
    for mode in MODES {
        for partitions in [1, 2, 8] {
            guest
                .must(&format!(
                    "SET asof_mode = {mode}; SET datafusion.execution.target_partitions = {partitions}"
                ))
                .await;
            let found = guest.must(question).await;
            let expected = first.get_or_insert_with(|| found.clone());
            assert_eq!(*expected, found, "{mode}, {partitions} partitions: {question}");
        }
    }
    first.expect("there are modes")
}

/// Half of the keys have rows, each label lies half a minute before a row: all but the first of a key match.
#[test]
fn labels_between_the_rows_of_every_other_key() {
    visit(1 << 30, async |mut guest: Guest| {
        for (dates, keys, rows, sum) in
            [(10, 5, 27, 108), (1000, 50, 24_975, 12_462_525), (10_000, 50, 249_975, 1_249_625_025)]
        {
            guest
                .must(&format!(
                    "CREATE TABLE build (k int, t timestamp, v int) CLUSTER BY (k, t);
                     INSERT INTO build SELECT k, timestamp '2001-01-01' + v * interval '1 minute', v
                       FROM generate_series(0, {dates} - 1) AS d (v), generate_series(0, {keys} - 1) AS e (k);
                     CREATE TABLE probe AS SELECT k * 2 AS k, t - interval '30 seconds' AS t FROM build"
                ))
                .await;
            let asked = "SELECT count(*), sum(v) FROM probe p ASOF JOIN build b ON p.k = b.k AND p.t >= b.t";
            let found = in_every_mode(&mut guest, asked).await;
            assert_eq!(found, [[rows.to_string(), sum.to_string()]]);
            guest.must("DROP TABLE build; DROP TABLE probe").await;
        }
    });
}

/// 99 of 100 rows are of one key, in several segments: it is cut inside.
#[test]
fn one_key_holds_nearly_all_rows() {
    visit(1 << 30, async |mut guest: Guest| {
        guest.must("CREATE TABLE r (k int, ts int, v bigint) CLUSTER BY (k, ts)").await;
        for part in 0..3 {
            guest
                .must(&format!(
                    "INSERT INTO r SELECT CASE i % 100 WHEN 0 THEN i % 700 ELSE 7 END, (i::bigint * 7919 % 1000003)::int, i
                       FROM generate_series(1, 100000) AS s (i) WHERE i % 3 = {part}"
                ))
                .await;
        }
        guest
            .must("CREATE TABLE l AS SELECT i AS id, CASE i % 10 WHEN 0 THEN i % 700 ELSE 7 END AS k,
                     (i::bigint * 104729 % 1000003)::int AS ts FROM generate_series(1, 5000) AS s (i)")
            .await;
        let joined = "l ASOF LEFT JOIN r ON l.k = r.k AND l.ts >= r.ts";
        let found = in_every_mode(
            &mut guest,
            &format!("SELECT count(*), count(r.v), sum(r.v), sum(r.v * l.id) FROM {joined}"),
        )
        .await;
        let oracle = "SELECT count(*), count(v), sum(v), sum(v * id) FROM (
            SELECT is_label, id, last_value(v) IGNORE NULLS OVER (
              PARTITION BY k ORDER BY ts, is_label, row ROWS UNBOUNDED PRECEDING) AS v
            FROM (SELECT k, ts, v, NULL::bigint AS id, 0 AS is_label, v AS row FROM r
                  UNION ALL SELECT k, ts, NULL, id, 1, id FROM l) AS u) AS w WHERE is_label = 1";
        assert_eq!(found, guest.must(oracle).await);
    });
}

#[test]
fn a_key_for_each_row() {
    visit(1 << 30, async |mut guest: Guest| {
        guest
            .must("CREATE TABLE r (k bigint, ts int, v bigint) CLUSTER BY (k, ts);
                INSERT INTO r SELECT i * 7919 % 1000003, i % 1000, i FROM generate_series(1, 30000) AS s (i);
                CREATE TABLE l AS SELECT i AS id, i * 104729 % 1000003 AS k, i % 1000 AS ts FROM generate_series(1, 30000) AS s (i)")
            .await;
        let found = in_every_mode(
            &mut guest,
            "SELECT count(*), sum(r.v) FROM l ASOF JOIN r ON l.k = r.k AND l.ts >= r.ts",
        )
        .await;
        let joined = "SELECT count(*), sum(r.v) FROM l JOIN r ON l.k = r.k AND l.ts >= r.ts";
        assert_eq!(found, guest.must(joined).await);
    });
}

/// Whatever the threads do, among rows of one time it is always the same one. The tables are those of a report
/// about another engine, whose second sum changed from run to run; the first is the one it gives.
#[test]
fn ties_fall_to_the_same_row_every_time() {
    visit(1 << 30, async |mut guest: Guest| {
        guest
            .must("CREATE TABLE b (k int, t int, w bigint) CLUSTER BY (k, t);
                INSERT INTO b SELECT i % 50, (i / 4.0::float8)::int % 1000, i FROM generate_series(0, 199999) AS s (i);
                CREATE TABLE p AS SELECT i AS id, i % 50 AS k, (i * 7) % 1000 AS t FROM generate_series(0, 4999) AS s (i)")
            .await;
        let asked = "SELECT sum(b.t), sum(b.w) FROM p ASOF JOIN b ON p.k = b.k AND p.t >= b.t";
        let found = in_every_mode(&mut guest, asked).await;
        assert_eq!(found[0][0], "2469400");
        guest.must("SET asof_mode = auto").await;
        for _ in 0..20 {
            assert_eq!(guest.must(asked).await, found);
        }
        // Row ids ascend with `w`: the last row is the greatest.
        let oracle = "SELECT sum(t), sum(w) FROM (SELECT p.id, b.t, b.w,
            row_number() OVER (PARTITION BY p.id ORDER BY b.t DESC, b.w DESC) AS nth
            FROM p JOIN b ON p.k = b.k AND b.t BETWEEN p.t - 25 AND p.t) AS x WHERE nth = 1";
        assert_eq!(guest.must(oracle).await, found);
    });
}

/// The key of the oldest of 32 segments is found below all others.
#[test]
fn a_key_that_only_the_oldest_segment_has() {
    visit(1 << 30, async |mut guest: Guest| {
        guest.must("CREATE TABLE r (k int, ts int, v int) CLUSTER BY (k, ts)").await;
        for part in 0..32 {
            // More rows than a commit keeps on its line of the log.
            guest
                .must(&format!(
                    "INSERT INTO r SELECT CASE i WHEN 8200 + {part} THEN 51 ELSE 2 * (i % 50) END,
                         {part} * 10000 + i % 9999, {part} FROM generate_series(1, 8200) AS s (i)"
                ))
                .await;
        }
        assert_eq!(guest.must("SELECT count(*) FROM r.files").await, [["32"]]);
        guest.must("CREATE TABLE l AS SELECT * FROM (VALUES (1, 51, 999999), (2, 51, 4), (3, 50, 999999), (4, 53, 999999)) AS l (id, k, ts)").await;
        let asked =
            "SELECT l.id, r.v FROM l ASOF LEFT JOIN r ON l.k = r.k AND l.ts >= r.ts ORDER BY 1";
        let found = in_every_mode(&mut guest, asked).await;
        assert_eq!(found, [["1", "0"], ["2", "NULL"], ["3", "31"], ["4", "NULL"]]);
    });
}

/// Fifty views of one spine, which run as one operator, and each as a join of its own.
#[test]
fn fifty_views_are_fifty_joins() {
    visit(1 << 30, async |mut guest: Guest| {
        guest
            .must("CREATE TABLE r (n int, k int, ts int, v int) CLUSTER BY (k, ts);
                INSERT INTO r SELECT i % 50, i % 7, i % 1000, i FROM generate_series(0, 4999) AS s (i);
                CREATE TABLE l AS SELECT i AS id, i % 8 AS k, (i * 37) % 1000 AS ts FROM generate_series(0, 99) AS s (i)")
            .await;
        let join = |n: usize| {
            format!(
                " ASOF LEFT JOIN r AS r{n} ON l.k = r{n}.k AND l.ts >= r{n}.ts AND r{n}.n = {n}"
            )
        };
        let joins: String = (0..50).map(join).collect();
        let columns: Vec<String> = (0..50).map(|n| format!("r{n}.v AS v{n}")).collect();
        let sums: Vec<String> = (0..50).map(|n| format!("sum(v{n} * (id + 1))")).collect();
        let sums = sums.join(", ");
        let chain =
            format!("SELECT {sums} FROM (SELECT l.id, {} FROM l{joins}) AS x", columns.join(", "));
        for mode in ["auto", "seek", "merge"] {
            guest.must(&format!("SET asof_mode = {mode}")).await;
            let found = guest.must(&chain).await;
            for n in [0, 1, 17, 49] {
                let one = format!("SELECT sum(r{n}.v * (l.id + 1)) FROM l{}", join(n));
                assert_eq!(found[0][n], guest.must(&one).await[0][0], "{mode}: view {n}");
            }
        }
    });
}

/// What a cancelled join has reserved is there for the next: 15 of them would not fit beside each other.
#[test]
fn cancelled_joins_give_their_memory_back() {
    visit(96 << 20, async |mut guest: Guest| {
        guest
            .must("CREATE TABLE r (k int, ts int, v int) CLUSTER BY (k, ts);
                INSERT INTO r SELECT i % 100, (i * 7919) % 50000, i FROM generate_series(1, 20000) s (i)")
            .await;
        let labels = "(SELECT i AS id, i % 120 AS k, (i * 31) % 50000 AS ts FROM generate_series(1, 200000) s (i)) l";
        let asked = format!(
            "SELECT count(*), sum(r.v) FROM {labels} ASOF LEFT JOIN r ON l.k = r.k AND l.ts >= r.ts"
        );
        let expected = guest.must(&asked).await;
        let mut cancelled = 0;
        for (n, mode) in MODES.iter().cycle().take(15).enumerate() {
            guest
                .must(&format!("SET asof_mode = {}", if *mode == "seek" { "merge" } else { mode }))
                .await;
            let token = guest.cancel_token();
            let timer = tokio::spawn(async move {
                tokio::time::sleep(Duration::from_millis(10 * n as u64)).await;
                token.cancel(CancelReason::User);
            });
            cancelled += usize::from(guest.run(&asked).await.is_err());
            timer.await.expect("the timer");
        }
        assert!(cancelled > 0, "none was on its way when it was cancelled");
        for mode in MODES {
            guest.must(&format!("SET asof_mode = {mode}")).await;
            assert_eq!(guest.must(&asked).await, expected, "{mode}");
        }
    });
}

/// Where memory does not hold all labels they come in turns, and the files are read once for each.
#[test]
fn labels_come_in_turns_where_memory_is_short() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Program::start(folder.path(), &["--memory", "96MB"]);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(async {
        let client = server.connect().await;
        let ask = async |sql: String| {
            let rows = client.simple_query(&sql).await.unwrap_or_else(|e| panic!("{sql}: {e:?}"));
            let texts = rows.iter().filter_map(|row| match row {
                SimpleQueryMessage::Row(row) => Some((0..row.len()).map(|at| row.get(at).map(str::to_owned)).collect()),
                _ => None,
            });
            texts.collect::<Vec<Vec<Option<String>>>>()
        };
        ask("CREATE TABLE r (k int, ts int, v int) CLUSTER BY (k, ts);
             INSERT INTO r SELECT i % 100, (i * 7919) % 50000, i FROM generate_series(1, 20000) s (i)".to_owned()).await;
        let labels = "(SELECT i AS id, i % 120 AS k, (i * 31) % 50000 AS ts FROM generate_series(1, 900000) s (i)) l";
        let asked = format!(
            "SELECT count(*), count(r.v), sum(r.v), sum(l.id) FROM {labels} ASOF LEFT JOIN r ON l.k = r.k AND l.ts >= r.ts"
        );
        ask("SET asof_mode = merge".to_owned()).await;
        let plan = ask(format!("EXPLAIN ANALYZE {asked}")).await;
        let plan: String = plan.into_iter().flatten().flatten().collect();
        let read = plan.split("right_rows=").nth(1).and_then(|rest| rest.split([',', ']']).next());
        assert_ne!(read, Some("20.00 K"), "one turn was enough: {plan}");
        let found = ask(asked.clone()).await;
        assert_eq!(found[0][0].as_deref(), Some("900000"));
        ask("SET asof_mode = hash".to_owned()).await;
        assert_eq!(ask(asked).await, found);
    });
}
