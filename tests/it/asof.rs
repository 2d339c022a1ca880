//! ASOF JOIN answers alike in every mode: random tables in many overlapping segments, with deletes,
//! updates, rows in the log, folding and compaction; streams of sorted rows are the oracle, whose own
//! oracle compares all pairs.

use asofdb::server::query_runtime;
use asofdb::session::Database;
use asofdb::store::CompactOptions;
use proptest::prelude::*;

use super::guest::{Guest, Rows};
use crate::property::{config, home};

/// 2026-01-01 00:00:00 UTC.
const START_US: i64 = 1_767_225_600_000_000;

/// What happens to the right side.
#[derive(Clone, Debug)]
enum Step {
    /// More than the log keeps: a segment of several pages.
    Many {
        seed: i64,
        rows: i64,
        span: i64,
    },
    Few {
        seed: i64,
        rows: i64,
    },
    Delete {
        every: i64,
        rest: i64,
    },
    DeleteAll {
        from: i64,
        to: i64,
    },
    Update {
        every: i64,
    },
    Fold,
    Compact,
}

/// How the right side is shaped.
#[derive(Clone, Copy, Debug)]
struct Shape {
    key: &'static str,
    /// The key of row i, as an expression.
    keys: i64,
    ties: bool,
}

fn step() -> impl Strategy<Value = Step> {
    use Step::*;
    let seed = || 1..1000_i64;
    prop_oneof![
        4 => (seed(), 9_000..30_000_i64, prop_oneof![Just(50_i64), Just(3_000), Just(100_000)])
            .prop_map(|(seed, rows, span)| Many { seed, rows, span }),
        3 => (seed(), 1..40_i64).prop_map(|(seed, rows)| Few { seed, rows }),
        2 => (2..9_i64, 0..9_i64).prop_map(|(every, rest)| Delete { every, rest }),
        2 => (0..3_000_i64, 0..3_000_i64).prop_map(|(a, b)| DeleteAll { from: a.min(b), to: a.max(b) }),
        1 => (50..500_i64).prop_map(|every| Update { every }),
        1 => Just(Fold),
        1 => Just(Compact),
    ]
}

fn shape() -> impl Strategy<Value = Shape> {
    let key = prop_oneof![Just("none"), Just("int"), Just("bigint"), Just("text"), Just("pair")];
    let keys = prop_oneof![Just(1_i64), Just(3), Just(700)];
    (key, keys, any::<bool>()).prop_map(|(key, keys, ties)| Shape { key, keys, ties })
}

impl Shape {
    fn columns(&self) -> &'static str {
        match self.key {
            "none" => "",
            "int" => "k int, ",
            "bigint" => "k bigint, ",
            "text" => "k text, ",
            _ => "k text, j smallint, ",
        }
    }

    fn clustered(&self) -> &'static str {
        match self.key {
            "none" => "ts",
            "pair" => "k, j, ts",
            _ => "k, ts",
        }
    }

    /// The key's columns of row `i`.
    fn key_of(&self, i: &str) -> String {
        let keys = self.keys;
        match self.key {
            "none" => String::new(),
            "int" | "bigint" => format!("({i}) % {keys}, "),
            "text" => format!("'k' || ({i}) % {keys}, "),
            _ => format!("'k' || ({i}) % {keys}, ({i}) % 2, "),
        }
    }

    fn on(&self) -> &'static str {
        match self.key {
            "none" => "true",
            "pair" => "l.k = r.k AND l.j = r.j",
            _ => "l.k = r.k",
        }
    }
}

/// Two tables in a database of their own.
struct House {
    guest: Guest,
    database: Database,
    shape: Shape,
    _folder: tempfile::TempDir,
}

impl House {
    async fn build(shape: Shape) -> House {
        let (folder, settings) = home(START_US);
        let database = Database::open(folder.path(), settings).expect("it opens");
        let mut guest = Guest::arrive(&database);
        let (columns, clustered) = (shape.columns(), shape.clustered());
        let ties = if shape.ties { "TIES (tie)" } else { "" };
        guest
            .must(&format!(
                "CREATE TABLE r ({columns}ts bigint, tie int, v bigint) CLUSTER BY ({clustered}) {ties}"
            ))
            .await;
        guest.must(&format!("CREATE TABLE l (id int, {columns}ts bigint)")).await;
        let key = shape.key_of("i * 31");
        guest
            .must(&format!(
                "INSERT INTO l SELECT i, {key}(i * 7919) % 3300 - 100 FROM generate_series(1, 400) AS s (i)"
            ))
            .await;
        let no_key = columns.split(' ').filter(|word| word.len() == 1).map(|_| "NULL, ");
        let no_key: String = no_key.collect();
        guest.must(&format!("INSERT INTO l VALUES (1000, {no_key}50), (1001, {no_key}NULL)")).await;
        House { guest, database, shape, _folder: folder }
    }

    async fn take(&mut self, step: &Step) {
        match step {
            Step::Many { seed, rows, span } => self.insert(*seed, *rows, *span).await,
            Step::Few { seed, rows } => self.insert(*seed, *rows, 3_000).await,
            Step::Delete { every, rest } => {
                self.run(&format!("DELETE FROM r WHERE v % {every} = {}", rest % every)).await;
            }
            Step::DeleteAll { from, to } => {
                self.run(&format!("DELETE FROM r WHERE ts BETWEEN {from} AND {to}")).await;
            }
            Step::Update { every } => {
                self.run(&format!("UPDATE r SET v = -v WHERE v % {every} = 0")).await;
            }
            Step::Fold => {
                self.database.store().fold_one(None, 1).await.expect("it folds");
            }
            Step::Compact => {
                let head = self.database.store().head("main").expect("main");
                let table = head.table("public", "r").expect("readable").expect("r").id();
                let options = CompactOptions { target_bytes: 100_000, all: true, only: None };
                let store = self.database.store();
                store.compact_one("main", table, &options).await.expect("it compacts");
            }
        }
    }

    async fn insert(&mut self, seed: i64, rows: i64, span: i64) {
        let key = self.shape.key_of(&format!("i * {seed}"));
        self.run(&format!(
            "INSERT INTO r SELECT {key}(i * 7919 + {seed}) % {span},
               i % 5, i + {seed} * 100000 FROM generate_series(1, {rows}) AS s (i)"
        ))
        .await;
    }

    async fn run(&mut self, sql: &str) -> Rows {
        self.guest.must(sql).await
    }

    /// Every question, in every mode.
    async fn compare(&mut self) {
        for question in questions(self.shape.on()) {
            self.answers_alike(&question, &["auto", "seek", "merge", "hash"]).await;
        }
        for question in questions_that_keep_the_right(self.shape.on()) {
            self.answers_alike(&question, &["auto", "hash"]).await;
            for mode in ["seek", "merge"] {
                self.run(&format!("SET asof_mode = {mode}")).await;
                assert_eq!(self.guest.refused(&question).await, "0A000", "{mode}: {question}");
            }
        }
        for (question, same) in spelled_with_lateral(self.shape.on()) {
            self.run("SET asof_mode = auto").await;
            assert_eq!(self.run(&question).await, self.run(&same).await, "{same}");
        }
        for (question, same) in questions_of_one_answer(self.shape.on()) {
            self.run("SET asof_mode = auto").await;
            assert_eq!(self.run(&question).await, self.run(&same).await, "{question}");
        }
    }

    async fn answers_alike(&mut self, question: &str, modes: &[&str]) {
        self.run("SET asof_mode = stream").await;
        let expected = self.run(question).await;
        for mode in modes {
            self.run(&format!("SET asof_mode = {mode}")).await;
            assert_eq!(self.run(question).await, expected, "{mode}: {question}");
        }
    }
}

fn questions(on: &str) -> Vec<String> {
    let ask = |kind: &str, right: &str, condition: &str| {
        format!(
            "SELECT l.id, r.v, r.ts FROM l ASOF {kind} JOIN {right} ON {on} AND {condition} ORDER BY l.id"
        )
    };
    let half = |kind: &str, condition: &str| {
        format!("SELECT l.id FROM l ASOF {kind} JOIN r ON {on} AND {condition} ORDER BY l.id")
    };
    vec![
        half("SEMI", "l.ts >= r.ts"),
        half("SEMI", "l.ts < r.ts AND r.ts - l.ts <= 5"),
        half("ANTI", "l.ts > r.ts"),
        half("ANTI", "l.ts >= r.ts AND l.ts - r.ts <= 10 AND l.id % 3 <> 0 AND r.v % 2 = 0"),
        ask("LEFT", "r", "l.ts >= r.ts"),
        ask("LEFT", "r", "l.ts > r.ts"),
        ask("LEFT", "r", "l.ts <= r.ts"),
        ask("LEFT", "r", "l.ts < r.ts"),
        ask("INNER", "r", "l.ts >= r.ts"),
        ask("INNER", "r", "l.ts < r.ts AND r.ts - l.ts <= 5"),
        ask("LEFT", "r", "l.ts >= r.ts AND l.ts - r.ts <= 10"),
        ask("LEFT", "r", "l.ts >= r.ts AND l.id % 3 <> 0"),
        ask("LEFT", "(SELECT * FROM r WHERE v % 7 = 3) AS r", "l.ts >= r.ts"),
        ask("LEFT", "(SELECT * FROM r WHERE ts % 900 = 3) AS r", "l.ts <= r.ts"),
        ask("INNER", "(SELECT * FROM r WHERE v < 0) AS r", "l.ts > r.ts"),
    ]
}

fn questions_that_keep_the_right(on: &str) -> Vec<String> {
    let ask = |kind: &str, condition: &str| {
        format!(
            "SELECT l.id, r.v, r.ts FROM l ASOF {kind} JOIN r ON {on} AND {condition}
             ORDER BY l.id, r.v, r.ts"
        )
    };
    vec![
        ask("RIGHT", "l.ts >= r.ts"),
        ask("FULL", "l.ts < r.ts AND r.ts - l.ts <= 5"),
        ask("FULL", "l.ts >= r.ts AND r.v % 7 = 3 AND l.id % 3 <> 0"),
    ]
}

/// The nearest time, in the words of a sub-select that is run for each label: among rows of one time it may
/// take any.
fn spelled_with_lateral(on: &str) -> Vec<(String, String)> {
    let few = "WHERE l.id % 60 = 0 ORDER BY l.id";
    let ask = |kind: &str, condition: &str, order: &str| {
        let joined =
            format!("SELECT l.id, r.ts FROM l ASOF {kind} JOIN r ON {on} AND {condition} {few}");
        let lateral = format!(
            "SELECT l.id, r.ts FROM l {kind} JOIN LATERAL (SELECT r.ts FROM r WHERE {on} AND {condition}
             ORDER BY r.ts {order} LIMIT 1) AS r ON true {few}"
        );
        (joined, lateral)
    };
    vec![ask("LEFT", "l.ts >= r.ts", "DESC"), ask("INNER", "l.ts < r.ts", "ASC")]
}

/// Kinds in the words of others.
fn questions_of_one_answer(on: &str) -> Vec<(String, String)> {
    let ask = |shown: &str, kind: &str, rest: &str| {
        format!("SELECT {shown} FROM l ASOF {kind} JOIN r ON {on} AND l.ts >= r.ts {rest}")
    };
    let (by_label, lone) = ("ORDER BY l.id", "WHERE l.id IS NULL");
    let pairs = "WHERE l.id IS NOT NULL AND r.v IS NOT NULL ORDER BY l.id";
    vec![
        (ask("l.id", "SEMI", by_label), ask("l.id", "LEFT", "WHERE r.v IS NOT NULL ORDER BY l.id")),
        (ask("l.id", "ANTI", by_label), ask("l.id", "LEFT", "WHERE r.v IS NULL ORDER BY l.id")),
        (ask("l.id, r.v", "RIGHT", pairs), ask("l.id, r.v", "INNER", by_label)),
        (ask("l.id, r.v", "FULL", pairs), ask("l.id, r.v", "INNER", by_label)),
        (ask("count(*), sum(r.v)", "FULL", lone), ask("count(*), sum(r.v)", "RIGHT", lone)),
    ]
}

#[test]
fn every_mode_answers_alike() {
    let config = config("proptest-regressions/it/asof.txt", 8, 40);
    proptest!(config, |(shape in shape(), steps in proptest::collection::vec(step(), 2..7))| {
        let (_, settings) = home(START_US);
        query_runtime(&settings).expect("threads").block_on(async {
            let mut house = House::build(shape).await;
            for step in &steps {
                house.take(step).await;
            }
            house.compare().await;
        });
    });
}
