//! Which rows come out, by kind.

use std::collections::BTreeSet;
use std::sync::Arc;

use datafusion::prelude::SessionContext;
use proptest::prelude::*;

use super::super::{AsofMode, NoTies};
use super::fixture::{
    FEW, FIXTURE, SHAPES, conform, context_in, explained, plan, prepared, run, texts,
};

#[tokio::test]
async fn right_and_full() {
    let select = "SELECT l.id, r.v FROM l ASOF";
    let on = "JOIN r ON l.k = r.k AND l.ts";
    let inner = "2 a4, 3 a6, 4 b1, 5 b6";
    let (right, full) =
        (format!("{inner}, ∅ a2, ∅ n, ∅ x"), format!("{inner}, 1 ∅, 6 ∅, 7 ∅, ∅ a2, ∅ n, ∅ x"));
    let q = |kind: &str, op: &str| format!("{select} {kind} {on} {op} r.ts");
    let twice = "SELECT l.id, r.v FROM l ASOF RIGHT JOIN (SELECT * FROM r WHERE v <> 'a4') AS r
                 ON l.k = r.k AND l.ts >= r.ts";
    let null_key = "SELECT l.id, r.v FROM l ASOF RIGHT JOIN r
                    ON l.k IS NOT DISTINCT FROM r.k AND l.ts >= r.ts";
    let by_match =
        "SELECT l.id, r.v FROM l ASOF FULL JOIN r MATCH_CONDITION (l.ts >= r.ts) ON l.k = r.k";
    let no_key = "SELECT l.ts, r.ts FROM (VALUES (1),(5),(NULL)) AS l(ts) ASOF FULL JOIN
                  (VALUES (2),(4),(NULL)) AS r(ts) ON l.ts >= r.ts";
    let tuples = "SELECT l.a, r.b FROM (VALUES (4,5),(4,3)) AS l(a,b) ASOF RIGHT JOIN
                  (VALUES (4,4),(4,NULL),(4,6),(3,9)) AS r(a,b) ON (l.a, l.b) >= (r.a, r.b)";
    let cases = [
        ("7", q("RIGHT", ">="), right.as_str()),
        ("7 outer", q("RIGHT OUTER", ">="), &right),
        ("7 before", q("RIGHT", ">=").replace("ASOF RIGHT JOIN", "RIGHT ASOF JOIN"), &right),
        ("7 forward", q("RIGHT", "<"), "1 a2, 2 a6, 4 b6, ∅ a4, ∅ b1, ∅ n, ∅ x"),
        ("8", q("FULL", ">="), &full),
        ("8 by match condition", by_match.into(), &full),
        ("chosen twice", twice.into(), "2 a2, 3 a6, 4 b1, 5 b6, ∅ n, ∅ x"),
        ("NULL is a key", null_key.into(), "2 a4, 3 a6, 4 b1, 5 b6, 6 n, ∅ a2, ∅ x"),
        ("no key", no_key.into(), "1 ∅, 5 4, ∅ 2, ∅ ∅, ∅ ∅"),
        ("tuples", tuples.into(), "4 4, 4 9, ∅ 6, ∅ ∅"),
    ];
    let cases: Vec<_> =
        cases.iter().map(|(name, sql, rows)| (*name, sql.as_str(), *rows)).collect();
    conform(FIXTURE, SHAPES, &cases).await;
}

#[tokio::test]
async fn semi_and_anti() {
    let q = |rest: &str| format!("SELECT l.id FROM l ASOF {rest}");
    let cases = [
        ("6", q("SEMI JOIN r ON l.k = r.k AND l.ts >= r.ts"), "2, 3, 4, 5"),
        ("6 anti", q("ANTI JOIN r ON l.k = r.k AND l.ts >= r.ts"), "1, 6, 7"),
        ("left semi", q("LEFT SEMI JOIN r MATCH_CONDITION (l.ts < r.ts) ON l.k = r.k"), "1, 2, 4"),
        (
            "left anti",
            q("LEFT ANTI JOIN r MATCH_CONDITION (l.ts < r.ts) ON l.k = r.k"),
            "3, 5, 6, 7",
        ),
        ("before", "SELECT id FROM l ANTI ASOF JOIN r USING (k, ts)".into(), "1, 6, 7"),
        (
            "wildcard",
            "SELECT * FROM l ASOF SEMI JOIN r USING (k, ts)".into(),
            "2 A 4, 3 A 7, 4 B 2, 5 B 8",
        ),
        (
            "tolerance",
            q("SEMI JOIN r ON l.k = r.k AND l.ts >= r.ts AND l.ts - r.ts <= 1"),
            "2, 3, 4",
        ),
        (
            "tolerance, anti",
            q("ANTI JOIN r ON l.k = r.k AND l.ts >= r.ts AND l.ts - r.ts <= 1"),
            "1, 5, 6, 7",
        ),
        (
            "one side",
            q("ANTI JOIN r ON l.k = r.k AND l.ts >= r.ts AND r.v <> 'b1' AND l.id <> 2"),
            "1, 2, 4, 6, 7",
        ),
        ("both sides", q("SEMI JOIN r ON l.k = r.k AND l.ts >= r.ts AND l.id + r.ts = 5"), "3, 4"),
        (
            "tuples",
            q("SEMI JOIN r ON l.k = r.k AND (l.ts, l.id) > (r.ts, length(r.k))"),
            "2, 3, 4, 5",
        ),
        (
            "USING twice",
            "SELECT id, k FROM l ASOF JOIN r USING (k, ts) ASOF SEMI JOIN r AS s USING (k, ts)"
                .into(),
            "2 A, 3 A, 4 B, 5 B",
        ),
        (
            "in a chain",
            "SELECT l.id, s.v FROM l ASOF ANTI JOIN r ON l.k = r.k AND l.ts >= r.ts
          ASOF LEFT JOIN r AS s ON l.k = s.k AND l.ts < s.ts"
                .into(),
            "1 a2, 6 ∅, 7 ∅",
        ),
    ];
    let cases: Vec<_> =
        cases.iter().map(|(name, sql, rows)| (*name, sql.as_str(), *rows)).collect();
    conform(FIXTURE, FEW, &cases).await;
}

#[tokio::test]
async fn conditions_and_filters_of_right_and_full() {
    let q = |kind: &str, rest: &str| {
        format!("SELECT l.id, r.v FROM l ASOF {kind} JOIN r ON l.k = r.k AND l.ts >= r.ts {rest}")
    };
    let cases = [
        ("right only", q("RIGHT", "AND r.v <> 'a4'"), "2 a2, 3 a6, 4 b1, 5 b6, ∅ a4, ∅ n, ∅ x"),
        (
            "right only, full",
            q("FULL", "AND r.k = 'B'"),
            "1 ∅, 2 ∅, 3 ∅, 4 b1, 5 b6, 6 ∅, 7 ∅, ∅ a2, ∅ a4, ∅ a6, ∅ n, ∅ x",
        ),
        ("left only", q("RIGHT", "AND l.id <> 2"), "3 a6, 4 b1, 5 b6, ∅ a2, ∅ a4, ∅ n, ∅ x"),
        (
            "left only, full",
            q("FULL", "AND l.id <> 2"),
            "1 ∅, 2 ∅, 3 a6, 4 b1, 5 b6, 6 ∅, 7 ∅, ∅ a2, ∅ a4, ∅ n, ∅ x",
        ),
        ("false", q("RIGHT", "AND false"), "∅ a2, ∅ a4, ∅ a6, ∅ b1, ∅ b6, ∅ n, ∅ x"),
        ("tolerance", q("RIGHT", "AND l.ts - r.ts <= 1"), "2 a4, 3 a6, 4 b1, ∅ a2, ∅ b6, ∅ n, ∅ x"),
        (
            "both",
            q("FULL", "AND (l.id + r.ts) % 2 = 0"),
            "1 ∅, 2 a4, 3 ∅, 4 ∅, 5 b1, 6 ∅, 7 ∅, ∅ a2, ∅ a6, ∅ b6, ∅ n, ∅ x",
        ),
        ("where left", q("RIGHT", "WHERE l.k = 'A'"), "2 a4, 3 a6"),
        ("where left is null", q("FULL", "WHERE l.id IS NULL"), "∅ a2, ∅ n, ∅ x"),
        ("where right", q("FULL", "WHERE r.v <> 'a4'"), "3 a6, 4 b1, 5 b6, ∅ a2, ∅ n, ∅ x"),
        (
            "where neither",
            q("RIGHT", "WHERE random() < 2"),
            "2 a4, 3 a6, 4 b1, 5 b6, ∅ a2, ∅ n, ∅ x",
        ),
        ("where never", q("RIGHT", "WHERE random() > 2"), ""),
    ];
    let cases: Vec<_> =
        cases.iter().map(|(name, sql, rows)| (*name, sql.as_str(), *rows)).collect();
    conform(FIXTURE, FEW, &cases).await;
}

#[tokio::test]
async fn what_stands_above_right_and_full() {
    let cases = [
        ("count", "SELECT count(*) FROM l ASOF FULL JOIN r ON l.k = r.k AND l.ts >= r.ts", "10"),
        (
            "limit",
            "SELECT count(*) FROM (SELECT r.v FROM l ASOF RIGHT JOIN r
          ON l.k = r.k AND l.ts >= r.ts LIMIT 6) AS q",
            "6",
        ),
        (
            "order",
            "SELECT r.v FROM l ASOF RIGHT JOIN r
          ON l.k = r.k AND l.ts >= r.ts ORDER BY l.ts NULLS LAST, r.v LIMIT 5",
            "b1, a4, a6, b6, a2",
        ),
        (
            "group by left",
            "SELECT l.id, count(*) FROM l ASOF RIGHT JOIN r
          ON l.k = r.k AND l.ts >= r.ts GROUP BY l.id",
            "2 1, 3 1, 4 1, 5 1, ∅ 3",
        ),
        (
            "a join above",
            "SELECT l.id, r.v, w.n FROM l ASOF RIGHT JOIN r ON l.k = r.k AND l.ts >= r.ts
          JOIN (VALUES ('a2', 1), ('b6', 2)) AS w(v, n) ON r.v = w.v",
            "5 b6 2, ∅ a2 1",
        ),
        (
            "chained",
            "SELECT l.id, r.v, s.v FROM l ASOF FULL JOIN r ON l.k = r.k AND l.ts >= r.ts
          ASOF LEFT JOIN r AS s ON r.k = s.k AND r.ts > s.ts WHERE r.v IS NOT NULL",
            "2 a4 a2, 3 a6 a4, 4 b1 ∅, 5 b6 b1, ∅ a2 ∅, ∅ n ∅, ∅ x ∅",
        ),
    ];
    conform(FIXTURE, FEW, &cases).await;
}

#[tokio::test]
async fn using_shows_a_value_of_either_side() {
    let cases = [
        (
            "right",
            "SELECT id, k, ts, l.ts, r.ts FROM l ASOF RIGHT JOIN r USING (k, ts)",
            "2 A 4 4 4, 3 A 7 7 6, 4 B 2 2 1, 5 B 8 8 6, ∅ A 2 ∅ 2, ∅ ∅ 2 ∅ 2, ∅ A ∅ ∅ ∅",
        ),
        (
            "full",
            "SELECT id, k, l.k, r.k FROM l ASOF FULL JOIN r MATCH_CONDITION (l.ts >= r.ts) USING (k)",
            "1 A A ∅, 2 A A A, 3 A A A, 4 B B B, 5 B B B, 6 ∅ ∅ ∅, 7 A A ∅, ∅ A ∅ A, ∅ ∅ ∅ ∅, ∅ A ∅ A",
        ),
        (
            "wildcard",
            "SELECT * FROM l ASOF RIGHT JOIN r USING (k, ts) WHERE r.k = 'A' AND r.ts < 5",
            "A 4 2 a4, A 2 ∅ a2",
        ),
        (
            "wildcard under an alias",
            "SELECT j.* FROM (l ASOF FULL JOIN r USING (k, ts)) AS j WHERE j.k = 'B'",
            "B 2 4 b1, B 8 5 b6",
        ),
        (
            "twice",
            "SELECT id, k, ts, r.v, s.v FROM l ASOF RIGHT JOIN r USING (k, ts)
          ASOF LEFT JOIN (SELECT k, ts, v FROM r WHERE v = 'a2') AS s USING (k, ts)
          WHERE r.k = 'A' AND r.v <> 'x'",
            "2 A 4 a4 a2, 3 A 7 a6 a2, ∅ A 2 a2 a2",
        ),
    ];
    conform(FIXTURE, FEW, &cases).await;
}

#[tokio::test]
async fn left_columns_are_nullable_where_the_right_is_kept() {
    let setup = [
        "CREATE TABLE l (id BIGINT NOT NULL, ts BIGINT NOT NULL) AS VALUES (1, 5)",
        "CREATE TABLE r (v BIGINT NOT NULL, ts BIGINT NOT NULL) AS VALUES (1, 5)",
    ];
    let ctx = prepared(&setup).await;
    for (kind, nullable) in [
        ("INNER", [false, false]),
        ("LEFT", [false, true]),
        ("RIGHT", [true, false]),
        ("FULL", [true, true]),
    ] {
        let sql = format!("SELECT l.id, r.v FROM l ASOF {kind} JOIN r ON l.ts >= r.ts");
        let plan = ctx.state().optimize(&plan(&ctx, &sql).await.unwrap()).unwrap();
        let found: Vec<_> =
            plan.schema().fields().iter().map(|field| field.is_nullable()).collect();
        assert_eq!(found, nullable, "{kind}");
    }
}

/// A LEFT join that nobody asks goes; an INNER one still decides which rows there are.
#[tokio::test]
async fn joins_that_nobody_asks_go() {
    let ctx = prepared(FIXTURE).await;
    let join = |kind: &str| format!("l ASOF {kind} JOIN r ON l.k = r.k AND l.ts >= r.ts");
    let (left, inner, full) = (join("LEFT"), join("INNER"), join("FULL"));
    let next = "ASOF LEFT JOIN r AS s ON l.k = s.k AND l.ts < s.ts";
    let cases = [
        (format!("SELECT l.id FROM {left} WHERE l.id > 3"), vec![]),
        (format!("SELECT count(*) FROM {left}"), vec![]),
        (format!("SELECT id FROM (SELECT l.id, r.v FROM {left}) AS q ORDER BY id LIMIT 2"), vec![]),
        (format!("SELECT l.id FROM {left} {next}"), vec![]),
        (format!("SELECT l.id, s.v FROM {left} {next}"), vec!["Left"]),
        (format!("SELECT l.id, r.v FROM {left} {next}"), vec!["Left"]),
        (format!("SELECT l.id FROM {left} WHERE r.v IS NULL"), vec!["Left"]),
        (format!("SELECT l.id FROM {inner}"), vec!["Semi"]),
        (format!("SELECT count(*), max(l.ts) FROM {inner} {next}"), vec!["Semi"]),
        (format!("SELECT l.id, s.v FROM {inner} {next}"), vec!["Left", "Semi"]),
        (format!("SELECT r.k FROM {inner}"), vec!["Inner"]),
        (format!("SELECT l.id FROM {full}"), vec!["Full"]),
    ];
    for (sql, kinds) in cases {
        let plan = explained(&ctx, &sql).await;
        let found = plan.match_indices("AsofJoinExec: ").map(|(at, _)| {
            plan[at..].split("kind=").nth(1).and_then(|rest| rest.split(',').next()).unwrap_or("")
        });
        assert_eq!(found.collect::<Vec<_>>(), kinds, "{sql}: {plan}");
    }
}

/// (id, k, ts), and ids from 0 on.
type Rows = Vec<(i64, Option<i64>, Option<i64>)>;

fn rows(count: usize) -> impl Strategy<Value = Rows> {
    let small = |range: i64| prop_oneof![1 => Just(None), 6 => (0..range).prop_map(Some)];
    prop::collection::vec((small(3), small(9)), 1..count).prop_map(|rows| {
        rows.into_iter().enumerate().map(|(id, (k, ts))| (id as i64, k, ts)).collect()
    })
}

fn values(rows: &Rows, name: &str) -> String {
    let number = |value: Option<i64>| match value {
        Some(value) => format!("{value}::bigint"),
        None => "NULL::bigint".into(),
    };
    let rows = rows.iter().map(|(id, k, ts)| format!("({id}, {}, {})", number(*k), number(*ts)));
    format!("(VALUES {}) AS {name}(id, k, ts)", rows.collect::<Vec<_>>().join(", "))
}

/// What may stand in ON besides key and time, and what it means.
type Condition = (&'static str, fn(i64, i64) -> bool);
const CONDITIONS: [Condition; 5] = [
    ("", |_, _| true),
    ("AND r.id % 3 <> 0", |_, r| r % 3 != 0),
    ("AND l.id % 3 <> 0", |l, _| l % 3 != 0),
    ("AND l.id % 4 <> 1 AND r.id % 4 <> 2", |l, r| l % 4 != 1 && r % 4 != 2),
    ("AND (l.id + r.id) % 4 <> 0", |l, r| (l + r) % 4 != 0),
];

/// What may stand behind WHERE, where both sides can be named.
type Filter = (&'static str, fn(Option<i64>, Option<i64>) -> bool);
const FILTERS: [Filter; 5] = [
    ("", |_, _| true),
    ("WHERE l.id > 2", |l, _| l.is_some_and(|l| l > 2)),
    ("WHERE r.id < 5", |_, r| r.is_some_and(|r| r < 5)),
    ("WHERE l.id IS NULL OR r.id IS NULL", |l, r| l.is_none() || r.is_none()),
    ("WHERE random() < 2", |_, _| true),
];

type Pairs = BTreeSet<(Option<i64>, Option<i64>)>;

fn oracle(left: &Rows, right: &Rows, kind: &str, condition: fn(i64, i64) -> bool) -> Pairs {
    let mut pairs = Pairs::new();
    let mut unmatched: BTreeSet<i64> = right.iter().map(|row| row.0).collect();
    for (id, k, ts) in left {
        let near = right.iter().filter(|(other, key, time)| {
            k.is_some() && k == key && time.is_some() && time <= ts && condition(*id, *other)
        });
        let winner = near.max_by_key(|(other, _, time)| (*time, *other)).map(|row| row.0);
        winner.inspect(|winner| _ = unmatched.remove(winner));
        match (kind, winner) {
            ("INNER" | "RIGHT", None) | ("SEMI", None) | ("ANTI", Some(_)) => {}
            ("SEMI" | "ANTI", _) => _ = pairs.insert((Some(*id), None)),
            _ => _ = pairs.insert((Some(*id), winner)),
        }
    }
    if matches!(kind, "RIGHT" | "FULL") {
        pairs.extend(unmatched.into_iter().map(|right| (None, Some(right))));
    }
    pairs
}

async fn found(ctx: &SessionContext, sql: &str) -> Vec<String> {
    texts(&run(ctx, sql).await.unwrap_or_else(|e| panic!("{sql}: {e}")))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    #[test]
    fn every_kind_gives_the_rows_of_the_oracle(
        left in rows(12),
        right in rows(20),
        mode in prop_oneof![Just(AsofMode::Stream), Just(AsofMode::Auto)],
        (condition, filter) in (0..CONDITIONS.len(), 0..FILTERS.len()),
        (partitions, batch_size) in (1..4usize, prop_oneof![Just(1usize), Just(3), Just(8192)]),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let ctx = context_in(mode, partitions, batch_size, Arc::new(NoTies));
        let (l, r) = (values(&left, "l"), values(&right, "r"));
        let (on, holds) = CONDITIONS[condition];
        for kind in ["INNER", "LEFT", "RIGHT", "FULL", "SEMI", "ANTI"] {
            let is_half = matches!(kind, "SEMI" | "ANTI");
            let (filter, stays) = FILTERS[if is_half { 0 } else { filter }];
            let from = format!("{l} ASOF {kind} JOIN {r} ON l.k = r.k AND l.ts >= r.ts {on} {filter}");
            let pairs = oracle(&left, &right, kind, holds);
            let kept = pairs.into_iter().filter(|(l, r)| stays(*l, *r));
            let text = |id: Option<i64>| id.map_or("∅".into(), |id| id.to_string());
            let (mut both, mut lefts): (Vec<_>, Vec<_>) =
                kept.map(|(l, r)| (format!("{} {}", text(l), text(r)), text(l))).unzip();
            both.sort();
            lefts.sort();
            let of_left = runtime.block_on(found(&ctx, &format!("SELECT l.id FROM {from}")));
            prop_assert_eq!(of_left, lefts, "{}", from);
            if !is_half {
                let of_both = runtime.block_on(found(&ctx, &format!("SELECT l.id, r.id FROM {from}")));
                prop_assert_eq!(of_both, both, "{}", from);
            }
        }
    }
}
