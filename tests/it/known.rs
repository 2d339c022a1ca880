//! KNOWN AT answers each label as the same join would that reads its right side AS OF the label's
//! moment: over random histories of changes, late rows, branches that are published and merged, rolled
//! back and restored tables, folding and compaction.

use std::collections::BTreeSet;
use std::time::Duration;

use asofdb::clock::Clock;
use asofdb::config::Settings;
use asofdb::error::ErrorKind;
use asofdb::server::query_runtime;
use asofdb::session::Database;
use asofdb::store::{CompactOptions, show_time};
use proptest::prelude::*;

use super::guest::{Guest, Rows};
use crate::property::{config, home};

/// 2026-01-01 00:00:00 UTC.
const START_US: i64 = 1_767_225_600_000_000;

#[derive(Clone, Debug)]
enum Step {
    Few(i32, i32),
    /// More than the log keeps: a segment.
    Many(i32),
    Update(i32),
    Delete(i32),
    Truncate,
    AddColumn,
    /// On the branch.
    Aside(i32),
    Publish,
    Merge,
    FastForward,
    CherryPick,
    RollBack(usize),
    Restore(usize),
    RollTableBack(usize),
    /// Dropped, and brought back a step later.
    Drop,
    Fold,
    Compact,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0..60_i32, 1..12_i32).prop_map(|(from, rows)| Step::Few(from, rows)),
        1 => (0..100_i32).prop_map(Step::Many),
        4 => prop_oneof![1..4_i32, 500..900_i32].prop_map(Step::Update),
        3 => prop_oneof![2..5_i32, 300..700_i32].prop_map(Step::Delete),
        1 => Just(Step::Truncate),
        1 => Just(Step::AddColumn),
        3 => (0..60_i32).prop_map(Step::Aside),
        1 => Just(Step::Publish),
        2 => Just(Step::Merge),
        1 => Just(Step::FastForward),
        1 => Just(Step::CherryPick),
        2 => (0..8_usize).prop_map(Step::RollBack),
        1 => (0..8_usize).prop_map(Step::Restore),
        1 => (0..8_usize).prop_map(Step::RollTableBack),
        1 => Just(Step::Drop),
        2 => Just(Step::Fold),
        2 => Just(Step::Compact),
    ]
}

/// A table with a past, and when main moved.
struct World {
    guest: Guest,
    clock: Clock,
    database: Option<Database>,
    /// Commits that main stood at while the table was there.
    heads: Vec<u64>,
    moments: BTreeSet<i64>,
    columns: usize,
    _folder: tempfile::TempDir,
}

impl World {
    fn build() -> (World, Settings) {
        let (folder, settings) = home(START_US);
        let clock = settings.clock.clone();
        let database = Database::open(&settings.data, settings.clone()).expect("a database");
        let guest = Guest::arrive(&database);
        let (heads, moments) = (Vec::new(), BTreeSet::from([START_US - 1, START_US]));
        let database = Some(database);
        let world = World { guest, clock, database, heads, moments, columns: 0, _folder: folder };
        (world, settings)
    }

    fn database(&self) -> &Database {
        self.database.as_ref().expect("open")
    }

    fn insert(target: &str, from: i32, rows: i32) -> String {
        let apart = if target == "t" { 0 } else { 1_000_000 };
        format!(
            "INSERT INTO {target} (k, ts, v, seen) SELECT n % 3, n * 7 % 20, n * 10 + {apart}, \
             CASE WHEN n % 11 > 0 THEN to_timestamp({}) + n * 7919 % 40 * INTERVAL '1 second' END \
             FROM generate_series({from}, {}) g(n)",
            START_US / 1_000_000,
            from + rows - 1
        )
    }

    async fn take(&mut self, step: &Step) {
        let head = |heads: &[u64], at: usize| heads[at % heads.len()];
        match step {
            Step::Few(from, rows) => self.must(&World::insert("t", *from, *rows)).await,
            Step::Many(from) => self.must(&World::insert("t", *from, 9_000)).await,
            Step::Update(every) => {
                self.must(&format!("UPDATE t SET v = v + 1 WHERE v / 10 % {every} = 0")).await;
            }
            Step::Delete(every) => {
                self.must(&format!("DELETE FROM t WHERE v / 10 % {every} = 1")).await;
            }
            Step::Truncate => self.must("TRUNCATE t").await,
            Step::AddColumn => {
                self.columns += 1;
                self.must(&format!("ALTER TABLE t ADD COLUMN x{} int DEFAULT 5", self.columns))
                    .await;
            }
            Step::Aside(from) => {
                self.must(&World::insert("t@side", *from, 5)).await;
                self.tick();
                self.must(&format!("UPDATE t@side SET v = v + 3 WHERE k = {}", from % 3)).await;
            }
            // What follows may be refused: another history, another commit, a conflict.
            Step::Publish => self.may("PUBLISH BRANCH side").await,
            Step::Merge => self.may("MERGE BRANCH side INTO main").await,
            Step::FastForward => self.may("CALL system.fast_forward('t', 'main', 'side')").await,
            Step::CherryPick => {
                let aside = self.database().store().head("side").expect("side").commit();
                self.may(&format!("CALL system.cherrypick_snapshot('t', {aside})")).await;
            }
            Step::RollBack(at) => {
                self.must(&format!("ROLLBACK BRANCH main TO {}", head(&self.heads, *at))).await;
            }
            Step::Restore(at) => {
                let commit = head(&self.heads, *at);
                self.may(&format!("RESTORE TABLE t TO VERSION AS OF {commit}")).await;
            }
            Step::RollTableBack(at) => {
                let commit = head(&self.heads, *at);
                self.may(&format!("CALL system.rollback_to_snapshot('t', {commit})")).await;
            }
            Step::Drop => {
                self.must("DROP TABLE t").await;
                self.note();
                self.tick();
                self.must("UNDROP TABLE t").await;
            }
            Step::Fold => {
                self.database().store().fold_one(None, 1).await.expect("it folds");
            }
            Step::Compact => {
                let head = self.database().store().head("main").expect("main");
                let table = head.table("public", "t").expect("readable").expect("t").id();
                let options = CompactOptions { target_bytes: 100_000, all: true, only: None };
                let store = self.database().store();
                store.compact_one("main", table, &options).await.expect("it compacts");
            }
        }
    }

    async fn must(&mut self, sql: &str) {
        self.guest.must(sql).await;
    }

    async fn may(&mut self, sql: &str) {
        let _ = self.guest.run(sql).await;
    }

    fn tick(&mut self) {
        self.clock.advance(Duration::from_secs(1));
    }

    fn note(&mut self) {
        let now_us = self.clock.now_us();
        self.moments.extend([now_us - 1, now_us]);
    }

    async fn live(&mut self, steps: &[Step], ties: bool) {
        let ties = if ties { " TIES (v)" } else { "" };
        self.tick();
        self.must(&format!("CREATE TABLE t (k int, ts int, v int, seen timestamptz){ties}")).await;
        self.note();
        self.heads.push(self.database().store().head("main").expect("main").commit().0);
        self.must("CREATE BRANCH side").await;
        for step in steps {
            self.tick();
            self.take(step).await;
            self.note();
            self.heads.push(self.database().store().head("main").expect("main").commit().0);
        }
        self.tick();
        self.label().await;
        self.compare(steps).await;
        self.compare_known_time().await;
    }

    /// A label of each key and some times for every moment, and some without a moment.
    async fn label(&mut self) {
        self.must("CREATE TABLE l (id int, k int, ts int, at timestamptz)").await;
        let future = self.clock.now_us() + 1_000_000_000;
        let moments =
            self.moments.iter().chain([&future]).map(|us| format!("'{}'", show_time(*us)));
        let values: Vec<String> =
            moments.chain(["NULL".to_owned()]).map(|at| format!("({at})")).collect();
        self.must(&format!(
            "INSERT INTO l SELECT row_number() OVER (ORDER BY m.at, k, ts), k, ts, m.at::timestamptz \
             FROM (VALUES {}) AS m (at), generate_series(0, 3) AS a (k), \
             (VALUES (0), (9), (13), (40)) AS b (ts)",
            values.join(", ")
        ))
        .await;
    }

    /// What each moment's labels get from the table as it was then.
    async fn expected(&mut self, question: &Question) -> Rows {
        let mut expected = Rows::new();
        let now_us = self.clock.now_us();
        for moment in self.moments.clone() {
            let moment = show_time(moment);
            let table = format!("t FOR SYSTEM_TIME AS OF TIMESTAMPTZ '{moment}'");
            let sql = question.sql(&table, "", &format!("WHERE l.at = '{moment}'"));
            match self.guest.run(&sql).await {
                Ok(rows) => expected.extend(rows),
                // There was no commit yet, or no such table.
                Err(error) => {
                    let kinds = [ErrorKind::UndefinedTable, ErrorKind::InvalidValue];
                    assert!(kinds.contains(&error.kind()), "{sql}: {error:?}");
                    let sql = question.sql("t", "AND false", &format!("WHERE l.at = '{moment}'"));
                    expected.extend(self.guest.must(&sql).await);
                }
            }
        }
        let later = format!("WHERE l.at > '{}'", show_time(now_us + 1));
        expected.extend(self.guest.must(&question.sql("t", "", &later)).await);
        let never = question.sql("t", "AND false", "WHERE l.at IS NULL");
        expected.extend(self.guest.must(&never).await);
        expected.sort();
        expected
    }

    async fn compare(&mut self, steps: &[Step]) {
        for question in QUESTIONS {
            let expected = self.expected(&question).await;
            self.answers(&question, "KNOWN AT l.at", &expected, &format!("{steps:?}")).await;
        }
    }

    /// Where the table says itself when a row became known, today's rows count.
    async fn compare_known_time(&mut self) {
        self.must("ALTER TABLE t KNOWN TIME seen").await;
        for question in QUESTIONS {
            let mut expected =
                self.guest.must(&question.sql("t", "AND (r.seen <= l.at) IS TRUE", "")).await;
            expected.sort();
            self.answers(&question, "KNOWN AT l.at", &expected, "KNOWN TIME").await;
        }
    }

    /// Which of the modes that hold the right side serves a join: it depends on what is a tolerance.
    async fn held_mode(&mut self, sql: &str, mode: &str) -> Option<&'static str> {
        if mode != "held" {
            return None;
        }
        self.must("SET asof_mode = hash").await;
        let is_served = self.guest.run(sql).await.is_ok();
        Some(if is_served { "hash" } else { "loop" })
    }

    async fn answers(&mut self, question: &Question, clause: &str, expected: &Rows, about: &str) {
        let sql = question.sql("t", clause, "");
        for (mode, partitions, batch) in [("auto", 2, 8192), ("stream", 1, 3), ("held", 2, 100)] {
            let held = self.held_mode(&sql, mode).await;
            self.must(&format!("SET asof_mode = {}", held.unwrap_or(mode))).await;
            self.must(&format!("SET datafusion.execution.target_partitions = {partitions}")).await;
            self.must(&format!("SET datafusion.execution.batch_size = {batch}")).await;
            let mut found = self.guest.must(&sql).await;
            found.sort();
            assert_eq!(found, *expected, "{mode}, {about}: {sql}");
        }
        self.must("RESET asof_mode").await;
    }
}

/// A join without its right table.
struct Question {
    kind: &'static str,
    /// Of the right side, before the match.
    filter: &'static str,
    condition: &'static str,
}

const QUESTIONS: [Question; 8] = [
    Question { kind: "LEFT", filter: "", condition: "l.k = r.k AND l.ts >= r.ts" },
    Question {
        kind: "INNER",
        filter: "",
        condition: "l.k = r.k AND l.ts > r.ts AND l.ts - r.ts <= 3",
    },
    Question { kind: "LEFT", filter: "WHERE v % 20 = 0", condition: "l.k = r.k AND l.ts <= r.ts" },
    Question {
        kind: "LEFT",
        filter: "",
        condition: "l.k = r.k AND l.ts < r.ts AND r.v % 3 <> l.id % 3",
    },
    Question { kind: "LEFT", filter: "", condition: "l.ts >= r.ts AND l.ts - r.ts <= 2" },
    Question { kind: "INNER", filter: "WHERE k > 0", condition: "l.ts <= r.ts" },
    Question {
        kind: "SEMI",
        filter: "",
        condition: "l.k = r.k AND l.ts >= r.ts AND l.ts - r.ts <= 3",
    },
    Question { kind: "ANTI", filter: "WHERE v % 3 > 0", condition: "l.k = r.k AND l.ts > r.ts" },
];

impl Question {
    fn sql(&self, table: &str, clause: &str, filter: &str) -> String {
        let Question { kind, filter: right, condition } = self;
        let shown = match *kind {
            "SEMI" | "ANTI" => "l.id",
            _ => "l.id, r.k, r.ts, r.v",
        };
        format!(
            "SELECT {shown} FROM l ASOF {kind} JOIN \
             (SELECT k, ts, v, seen FROM {table} {right}) AS r ON {condition} {clause} {filter}"
        )
    }
}

#[test]
fn labels_know_what_the_table_was_at_their_time() {
    let config = config("proptest-regressions/it/known.txt", 8, 60);
    let steps = proptest::collection::vec(step(), 1..14);
    proptest!(config, |(ties in any::<bool>(), steps in steps)| {
        let (mut world, settings) = World::build();
        let runtime = query_runtime(&settings).expect("threads");
        runtime.block_on(world.live(&steps, ties));
        world.database = None;
        drop(world);
        drop(runtime);
    });
}

#[test]
fn the_clause_is_explained_and_its_errors_have_places() {
    let (mut world, settings) = World::build();
    query_runtime(&settings).expect("threads").block_on(async {
        world.must("CREATE TABLE t (k int, ts int)").await;
        world.must("CREATE TABLE l (id int, ts int, at timestamptz)").await;
        let join = "SELECT l.id, t.k FROM l ASOF LEFT JOIN t ON l.ts >= t.ts";
        let plan = world.guest.must(&format!("EXPLAIN {join} KNOWN AT l.at")).await.concat();
        let plan = plan.concat();
        assert!(plan.contains("kind=Left") && plan.contains("known_at=at,"), "{plan}");
        let asked = world.guest.run_with(&format!("{join} KNOWN AT $1"), &["2026-01-01"]).await;
        assert_eq!(asked.expect("a parameter is a time"), Rows::new());
        for (clause, state) in
            [("t.ts", "42P10"), ("l.id", "42804"), ("l.nothing", "42703"), ("max(l.at)", "42803")]
        {
            let sql = format!("{join} KNOWN AT {clause}");
            let error = world.guest.run(&sql).await.expect_err("it is refused");
            assert_eq!(error.kind().sqlstate(), state, "{sql}: {error:?}");
            assert_eq!(error.position(), Some(sql.len() - clause.len() + 1), "{sql}: {error:?}");
        }
    });
}
