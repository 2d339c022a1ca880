//! What is refused, and what a plan reads, sorts and filters.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch};
use arrow::datatypes::{DataType, Field, Schema};
use datafusion::datasource::MemTable;
use datafusion::prelude::col;

use super::super::NoTies;
use super::fixture::{FIXTURE, context, explained, failure, prepared, run, texts};
use crate::error::ErrorKind;

#[tokio::test]
async fn refusals() {
    let ctx = prepared(FIXTURE).await;
    let on = |condition: &str| format!("SELECT * FROM l ASOF LEFT JOIN r ON {condition}");
    let by = |condition: &str| {
        format!("SELECT * FROM l ASOF JOIN r MATCH_CONDITION ({condition}) ON l.k = r.k")
    };
    let syntax = Some(ErrorKind::Syntax);
    let unsupported = Some(ErrorKind::NotSupported);
    let cases = [
        (on("l.k = r.k"), syntax, "Missing ASOF JOIN inequality"),
        (on("l.ts <> r.ts"), syntax, "Missing ASOF JOIN inequality"),
        (on("l.ts >= r.ts OR l.k = r.k"), syntax, "Missing ASOF JOIN inequality"),
        (on("l.ts >= r.ts AND l.id > r.ts"), syntax, "Multiple ASOF JOIN inequalities"),
        (on("l.ts >= 3"), syntax, "Missing ASOF JOIN inequality"),
        (by("r.ts >= l.ts"), syntax, "left operand must reference only the left input"),
        (by("l.ts >= l.id"), syntax, "right operand must reference only the right input"),
        (by("l.ts = r.ts"), syntax, "must be a single comparison"),
        (by("l.ts >= r.ts AND l.id >= r.ts"), syntax, "must be a single comparison"),
        (on("l.ts >= r.ts AND random() < 0.5"), unsupported, "must be deterministic"),
        (on("l.ts >= r.ts AND l.id IN (SELECT 1)"), unsupported, "subquery"),
        (on("l.k >= r.ts"), Some(ErrorKind::DatatypeMismatch), "cannot compare"),
        (on("l.ts >= r.ts").replace("LEFT", "SEMI").replace(">=", "="), syntax, "Missing ASOF"),
        ("SELECT r.v FROM l ASOF ANTI JOIN r ON l.ts >= r.ts".into(), None, "r.v"),
        ("SELECT * FROM l ASOF LEFT JOIN r ON l.nope >= r.ts".into(), None, "nope"),
        (
            "SELECT * FROM l ASOF LEFT JOIN (SELECT DATE '2024-01-01' AS ts) AS r ON l.ts >= r.ts"
                .into(),
            Some(ErrorKind::DatatypeMismatch),
            "cannot compare",
        ),
    ];
    for (sql, kind, text) in cases {
        let (found, message) = failure(&ctx, &sql).await;
        assert!(message.contains(text), "{sql}: {message}");
        assert!(kind.is_none() || found == kind, "{sql}: {found:?} {message}");
    }
}

/// Filters on the left, and on keys both sides, go below the join; those on the right stay above.
#[tokio::test]
async fn filters_go_where_they_may() {
    let ctx = prepared(FIXTURE).await;
    let left = "SELECT l.id, r.v FROM l ASOF LEFT JOIN r ON l.k = r.k AND l.ts >= r.ts WHERE";
    let plan = explained(&ctx, &format!("{left} l.k = 'A' AND r.v > 'a'")).await;
    let logical = plan.split("physical_plan").next().unwrap().to_owned();
    let asof = plan.find("AsofJoin: ").unwrap_or_else(|| panic!("{plan}"));
    let above = &plan[..asof];
    assert!(above.contains("Filter: r.v >"), "{logical}");
    assert!(!above.contains("l.k = "), "{logical}");
    assert_eq!(plan[asof..].matches("Filter: l.k = Utf8").count(), 1, "{logical}");
    assert_eq!(plan[asof..].matches("Filter: r.k = Utf8").count(), 1, "{logical}");
    let plan = explained(&ctx, &format!("{left} true LIMIT 2")).await;
    assert!(plan.contains("TableScan: l projection=[id, k, ts], fetch=2"), "{plan}");
}

#[tokio::test]
async fn columns_not_asked_for_are_not_read() {
    let ctx = prepared(&[
        FIXTURE[0],
        "CREATE TABLE wide (k TEXT, ts BIGINT, v TEXT, w TEXT, PRIMARY KEY (k, ts)) AS VALUES ('A',2,'a2','?')",
    ])
    .await;
    let sql = "SELECT l.id, f.v FROM l ASOF LEFT JOIN
        (SELECT k, ts, max(v) AS v, max(w) AS w FROM wide GROUP BY k, ts) AS f
        ON l.k = f.k AND l.ts >= f.ts";
    let plan = explained(&ctx, sql).await;
    assert!(
        plan.contains("tie=[]") && plan.contains("TableScan: wide projection=[k, ts, v]"),
        "{plan}"
    );
    assert!(plan.contains("projection=[id, v]"), "{plan}");
}

/// Over an input that declares its order, nothing is sorted again.
#[tokio::test]
async fn a_declared_order_is_used() {
    let schema = Arc::new(Schema::new(vec![
        Field::new("k", DataType::Int64, false),
        Field::new("ts", DataType::Int64, false),
    ]));
    let columns: Vec<ArrayRef> =
        vec![Arc::new(Int64Array::from(vec![1, 1, 2])), Arc::new(Int64Array::from(vec![1, 5, 3]))];
    let batch = RecordBatch::try_new(Arc::clone(&schema), columns).unwrap();
    for nulls_first in [true, false] {
        let ctx = context(1, 8192, Arc::new(NoTies));
        for name in ["a", "b"] {
            let order =
                vec![vec![col("k").sort(true, nulls_first), col("ts").sort(true, nulls_first)]];
            let table = MemTable::try_new(Arc::clone(&schema), vec![vec![batch.clone()]]).unwrap();
            ctx.register_table(name, Arc::new(table.with_sort_order(order))).unwrap();
        }
        let sql = "SELECT a.k, a.ts, b.ts FROM a ASOF INNER JOIN b ON a.k = b.k AND a.ts > b.ts";
        assert_eq!(texts(&run(&ctx, sql).await.unwrap()), ["1 5 1"]);
        let plan = explained(&ctx, sql).await;
        assert!(!plan.contains("SortExec"), "{plan}");
    }
}
