//! ASOF JOIN as people write it, over in-memory tables, on several partitions and batch sizes.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch};
use arrow::datatypes::{DataType, Field, Schema};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::catalog::TableProvider;
use datafusion::datasource::MemTable;
use datafusion::error::DataFusionError;
use datafusion::execution::session_state::SessionStateBuilder;
use datafusion::logical_expr::{ExplainFormat, ExplainOption, LogicalPlan, LogicalPlanBuilder};
use datafusion::prelude::{SessionConfig, SessionContext, col};
use datafusion::sql::parser::Statement as DfStatement;
use datafusion::sql::sqlparser::ast;

use super::{NoTies, TieOrder, TieSource, external, register};
use crate::error::{Error, ErrorKind};
use crate::parse::{Statement, parse};

async fn plan(ctx: &SessionContext, sql: &str) -> Result<LogicalPlan, DataFusionError> {
    let parsed = parse(sql).map_err(external)?.remove(0);
    let Statement::Query(query) = parsed.statement else { panic!("not a query: {sql}") };
    let statement = DfStatement::Statement(Box::new(ast::Statement::Query(query)));
    ctx.state().statement_to_plan(statement).await
}

async fn run(ctx: &SessionContext, sql: &str) -> Result<Vec<RecordBatch>, DataFusionError> {
    ctx.execute_logical_plan(plan(ctx, sql).await?).await?.collect().await
}

async fn set_up(ctx: &SessionContext, tables: &[&str]) {
    for sql in tables {
        let created = ctx.sql(sql).await;
        created.unwrap_or_else(|e| panic!("{sql}: {e}")).collect().await.unwrap();
    }
}

/// Each row as its values with blanks between, NULL as `∅`, in order of text.
fn texts(batches: &[RecordBatch]) -> Vec<String> {
    let options = FormatOptions::default().with_null("∅");
    let mut rows = Vec::new();
    for batch in batches {
        let columns: Vec<_> = batch
            .columns()
            .iter()
            .map(|column| ArrayFormatter::try_new(column, &options).unwrap())
            .collect();
        for row in 0..batch.num_rows() {
            let values: Vec<_> = columns.iter().map(|c| c.value(row).to_string()).collect();
            rows.push(values.join(" "));
        }
    }
    rows.sort();
    rows
}

fn context(partitions: usize, batch_size: usize, ties: Arc<dyn TieSource>) -> SessionContext {
    let config = SessionConfig::new()
        .with_target_partitions(partitions)
        .with_batch_size(batch_size)
        .set_bool("datafusion.optimizer.skip_failed_rules", false)
        .set_bool("datafusion.optimizer.repartition_joins", true);
    let builder = SessionStateBuilder::new().with_config(config).with_default_features();
    SessionContext::new_with_state(register(builder, ties).build())
}

const FIXTURE: &[&str] = &[
    "CREATE TABLE l (id BIGINT, k TEXT, ts BIGINT) AS VALUES
        (1,'A',1),(2,'A',4),(3,'A',7),(4,'B',2),(5,'B',8),(6,NULL,3),(7,'A',NULL)",
    "CREATE TABLE r (k TEXT, ts BIGINT, v TEXT) AS VALUES
        ('A',2,'a2'),('A',4,'a4'),('A',6,'a6'),('B',1,'b1'),('B',6,'b6'),(NULL,2,'n'),('A',NULL,'x')",
];

const SHAPES: &[(usize, usize)] = &[
    (1, 8192),
    (1, 1),
    (1, 2),
    (1, 3),
    (2, 1),
    (2, 2),
    (2, 3),
    (2, 8192),
    (8, 1),
    (8, 3),
    (8, 8192),
];
const FEW: &[(usize, usize)] = &[(1, 1), (2, 8192), (8, 3)];

/// Runs every case on every shape; a case is (name, SQL, the rows expected, comma between).
async fn conform(setup: &[&str], shapes: &[(usize, usize)], cases: &[(&str, &str, &str)]) {
    for &(partitions, batch_size) in shapes {
        let ctx = context(partitions, batch_size, Arc::new(NoTies));
        set_up(&ctx, setup).await;
        for (name, sql, expected) in cases {
            let rows = match run(&ctx, sql).await {
                Ok(batches) => texts(&batches),
                Err(error) => panic!("{name}: {sql}: {error}"),
            };
            let mut expected: Vec<_> =
                expected.split(',').map(str::trim).filter(|row| !row.is_empty()).collect();
            expected.sort();
            assert_eq!(rows, expected, "{name} on {partitions} × {batch_size}: {sql}");
        }
    }
}

/// The error of ours that a query ends in.
async fn failure(ctx: &SessionContext, sql: &str) -> (Option<ErrorKind>, String) {
    let error = match run(ctx, sql).await {
        Ok(batches) => panic!("{sql} gave {:?}", texts(&batches)),
        Err(error) => error,
    };
    let text = error.to_string();
    match error.find_root() {
        DataFusionError::External(inner) => (inner.downcast_ref::<Error>().map(Error::kind), text),
        _ => (None, text),
    }
}

async fn prepared(setup: &[&str]) -> SessionContext {
    let ctx = context(2, 3, Arc::new(NoTies));
    set_up(&ctx, setup).await;
    ctx
}

/// The logical and the physical plan, a line an operator.
async fn explained(ctx: &SessionContext, sql: &str) -> String {
    let option = ExplainOption::default().with_format(ExplainFormat::Indent);
    let builder = LogicalPlanBuilder::from(plan(ctx, sql).await.unwrap());
    let explain = builder.explain_option_format(option).unwrap().build().unwrap();
    texts(&ctx.execute_logical_plan(explain).await.unwrap().collect().await.unwrap()).join("\n")
}

#[tokio::test]
async fn operators_and_kinds() {
    let select = "SELECT l.id, r.v FROM l ASOF";
    let on = "JOIN r ON l.k = r.k AND l.ts";
    let q = |kind: &str, op: &str| format!("{select} {kind} {on} {op} r.ts");
    let at = [q("LEFT", ">="), q("LEFT", ">"), q("LEFT", "<="), q("LEFT", "<")];
    let inner = [q("INNER", ">="), q("INNER", "<")];
    let bare = "SELECT l.id, r.v FROM l ASOF JOIN r MATCH_CONDITION (l.ts >= r.ts) ON l.k = r.k";
    let swapped = "SELECT l.id, r.v FROM l ASOF INNER JOIN r ON r.k = l.k AND r.ts <= l.ts";
    let semi = "SELECT l.id FROM l ASOF SEMI JOIN r ON l.k = r.k AND l.ts >= r.ts";
    let anti = "SELECT l.id FROM l ASOF ANTI JOIN r ON l.k = r.k AND l.ts >= r.ts";
    let back = "1 ∅, 2 a4, 3 a6, 4 b1, 5 b6, 6 ∅, 7 ∅";
    let cases = [
        ("1", at[0].as_str(), back),
        ("2", &at[1], "1 ∅, 2 a2, 3 a6, 4 b1, 5 b6, 6 ∅, 7 ∅"),
        ("3", &at[2], "1 a2, 2 a4, 3 ∅, 4 b6, 5 ∅, 6 ∅, 7 ∅"),
        ("4", &at[3], "1 a2, 2 a6, 3 ∅, 4 b6, 5 ∅, 6 ∅, 7 ∅"),
        ("5a", &inner[0], "2 a4, 3 a6, 4 b1, 5 b6"),
        ("5b", &inner[1], "1 a2, 2 a6, 4 b6"),
        ("6a", semi, "2, 3, 4, 5"),
        ("6b", anti, "1, 6, 7"),
        ("9", bare, back),
        ("13", swapped, "2 a4, 3 a6, 4 b1, 5 b6"),
    ];
    conform(FIXTURE, SHAPES, &cases).await;
}

#[tokio::test]
async fn written_forms() {
    let cases = [
        (
            "15",
            "SELECT l.id, ts, r.ts, v FROM l ASOF INNER JOIN r USING (k, ts)",
            "2 4 4 a4, 3 7 6 a6, 4 2 1 b1, 5 8 6 b6",
        ),
        (
            "16",
            "SELECT * FROM l ASOF JOIN r MATCH_CONDITION (l.ts >= r.ts) USING (k)",
"A 1 1 ∅ ∅, A 2 4 4 a4, A 3 7 6 a6, B 4 2 1 b1, B 5 8 6 b6, ∅ 6 3 ∅ ∅, A 7 ∅ ∅ ∅",
        ),
        (
            "16 keys",
            "SELECT l.id, l.k, r.k FROM l ASOF JOIN r MATCH_CONDITION (l.ts >= r.ts) USING (k)",
            "1 A ∅, 2 A A, 3 A A, 4 B B, 5 B B, 6 ∅ ∅, 7 A ∅",
        ),
        (
            "17",
            "SELECT l.a, l.b, r.a, r.b FROM (VALUES (4,5),(4,3)) AS l(a,b) ASOF LEFT JOIN
             (VALUES (4,4),(4,5),(4,6),(3,9)) AS r(a,b) ON (l.a, l.b) >= (r.a, r.b)",
            "4 3 3 9, 4 5 4 5",
        ),
        (
            "17 match condition, with NULL",
            "SELECT l.a, l.b, r.a, r.b FROM (VALUES (4,5),(4,3),(5,0)) AS l(a,b) ASOF JOIN
             (VALUES (4,4),(4,NULL),(4,6),(3,9)) AS r(a,b) MATCH_CONDITION ((l.a, l.b) > (r.a, r.b))",
            "4 3 3 9, 4 5 4 4, 5 0 4 6",
        ),
        (
            "20",
            "SELECT l.ts, r.ts FROM (VALUES (1),(5),(NULL)) AS l(ts) ASOF LEFT JOIN
             (VALUES (2),(4)) AS r(ts) ON l.ts >= r.ts",
            "1 ∅, 5 4, ∅ ∅",
        ),
        (
            "20 without ON",
            "SELECT l.ts, r.ts FROM (VALUES (1),(5),(NULL)) AS l(ts) ASOF JOIN
             (VALUES (2),(4)) AS r(ts) MATCH_CONDITION (l.ts >= r.ts)",
            "1 ∅, 5 4, ∅ ∅",
        ),
    ];
    conform(FIXTURE, FEW, &cases).await;
}

#[tokio::test]
async fn joins_beside_and_below() {
    let cases = [
        (
            "90 parenthesised and chained",
            "SELECT l.id, r.v, s.w FROM l ASOF LEFT JOIN (r JOIN (VALUES ('a4','four')) AS s(v,w)
             ON r.v = s.v) ON l.k = r.k AND l.ts >= r.ts",
            "1 ∅ ∅, 2 a4 four, 3 a4 four, 4 ∅ ∅, 5 ∅ ∅, 6 ∅ ∅, 7 ∅ ∅",
        ),
        (
            "90 asof, join, asof",
            "SELECT l.id, r.v, s.w, r2.v FROM l ASOF INNER JOIN r ON l.k = r.k AND l.ts >= r.ts
             JOIN (VALUES ('a4','four'), ('b6','six')) AS s(v,w) ON r.v = s.v
             ASOF LEFT JOIN r AS r2 ON r2.k = l.k AND r2.ts < r.ts",
            "2 a4 four a2, 5 b6 six b1",
        ),
        (
            "USING twice, the right side's name first",
            "SELECT *, b.ts FROM (VALUES ('A',5)) AS z(k,ts) ASOF LEFT JOIN r AS b USING (k, ts)
             ASOF LEFT JOIN r AS a MATCH_CONDITION (b.ts > a.ts) USING (k) WHERE z.k = 'A'",
            "A 5 a4 2 a2 4",
        ),
        (
            "USING under an alias",
            "SELECT * FROM (l ASOF INNER JOIN r USING (k, ts)) AS j WHERE j.k = 'B'",
            "B 2 4 b1, B 8 5 b6",
        ),
        (
            "alias of a join",
            "SELECT * FROM (l ASOF INNER JOIN r ON l.k = r.k AND l.ts > r.ts) AS j(a,b,c,d,e,f)
             WHERE a = 3",
            "3 A 7 A 6 a6",
        ),
    ];
    conform(FIXTURE, FEW, &cases).await;
}

#[tokio::test]
async fn keys_and_nulls() {
    let two = "(VALUES ('x','a',3,'x-a3'),('x','a',2,'x-a2'),('y','a',3,'y-a3'),('x','b',2,'x-b2'))
               AS r(venue,grp,ts,v)";
    let q21 = format!(
        "SELECT l.venue, l.grp, r.v FROM (VALUES ('x','a',2),('y','a',4)) AS l(venue,grp,ts)
         ASOF LEFT JOIN {two} ON l.venue = r.venue AND l.grp = r.grp AND l.ts >= r.ts"
    );
    let left = "SELECT l.id, r.v FROM l ASOF LEFT JOIN r ON";
    let q23 = format!("{left} lower(l.k) = lower(r.k) AND l.ts >= r.ts");
    let q24 = "SELECT l.id, r.v FROM l ASOF INNER JOIN r ON l.k = r.k AND l.ts >= r.ts + 1";
    let q25 = "SELECT l.id, r.v FROM l ASOF INNER JOIN r ON l.k = r.k AND l.ts - 1 > r.ts";
    let q26 = format!("{left} l.k IS NOT DISTINCT FROM r.k AND l.ts >= r.ts");
    let q27 = "SELECT l.a, l.b, r.v FROM (VALUES (NULL,1,5),(1,NULL,5)) AS l(a,b,ts) ASOF LEFT JOIN
               (VALUES (NULL,1,1,'p'),(1,NULL,2,'q')) AS r(a,b,ts,v)
               ON l.a = r.a AND l.b IS NOT DISTINCT FROM r.b AND l.ts >= r.ts";
    let q28 = format!("{left} l.k = r.k AND l.k = r.k AND 1 = 1 AND l.ts >= r.ts");
    let q22 = "SELECT l.a, r.v FROM (VALUES (1::smallint, 'p', 2.5::double precision, 7),
               (2::smallint, 'p', 2.5, 7)) AS l(a,b,c,ts)
               ASOF LEFT JOIN (VALUES (1::bigint, 'p', 2.5::real, 6::smallint, 'hit')) AS r(a,b,c,ts,v)
               ON l.a = r.a AND l.b = r.b AND l.c = r.c AND l.ts >= r.ts";
    let nul = "(SELECT k, CAST(NULL AS BIGINT) AS ts, v FROM r) AS r";
    let q30 = format!("SELECT l.id, r.v FROM l ASOF LEFT JOIN {nul} ON l.k = r.k AND l.ts >= r.ts");
    let nol = "(SELECT id, k, CAST(NULL AS BIGINT) AS ts FROM l) AS l";
    let q31 = format!("SELECT l.id, r.v FROM {nol} ASOF LEFT JOIN r ON l.k = r.k AND l.ts >= r.ts");
    let q31i = q31.replace("LEFT", "INNER");
    let q32 = "SELECT l.id, r.v, r.ts FROM l ASOF INNER JOIN
               (VALUES ('A',2,'a2'),('A',4,NULL)) AS r(k,ts,v) ON l.k = r.k AND l.ts >= r.ts";
    let back = "1 ∅, 2 a4, 3 a6, 4 b1, 5 b6, 6 ∅, 7 ∅";
    let shifted = "2 a2, 3 a6, 4 b1, 5 b6";
    let none = "1 ∅, 2 ∅, 3 ∅, 4 ∅, 5 ∅, 6 ∅, 7 ∅";
    let cases = [
        ("21", q21.as_str(), "x a x-a2, y a y-a3"),
        ("22", q22, "1 hit, 2 ∅"),
        ("23", &q23, back),
        ("24", q24, shifted),
        ("25", q25, "2 a2, 3 a4, 5 b6"),
        ("26", &q26, "1 ∅, 2 a4, 3 a6, 4 b1, 5 b6, 6 n, 7 ∅"),
        ("27", q27, "∅ 1 ∅, 1 ∅ q"),
        ("28, 29", &q28, back),
        ("30", &q30, none),
        ("31", &q31, none),
        ("31 inner", &q31i, ""),
        ("32", q32, "2 ∅ 4, 3 ∅ 4"),
    ];
    conform(FIXTURE, FEW, &cases).await;
}

#[tokio::test]
async fn duplicates_and_shapes() {
    let cases = [
        (
            "42",
            "SELECT l.id, r.v FROM (SELECT * FROM l UNION ALL SELECT * FROM l UNION ALL
             SELECT * FROM l) AS l ASOF LEFT JOIN r ON l.k = r.k AND l.ts >= r.ts WHERE l.id = 2",
            "2 a4, 2 a4, 2 a4",
        ),
        ("44", "SELECT count(*) FROM l ASOF LEFT JOIN r ON l.k = r.k AND l.ts >= r.ts", "7"),
        ("44 inner", "SELECT count(*) FROM l ASOF INNER JOIN r ON l.k = r.k AND l.ts >= r.ts", "4"),
        (
            "80",
            "SELECT l.id, r.v FROM l ASOF LEFT JOIN (SELECT * FROM r WHERE v = '?') AS r
             ON l.k = r.k AND l.ts >= r.ts WHERE l.id < 3",
            "1 ∅, 2 ∅",
        ),
        (
            "81",
            "SELECT l.id, r.v FROM (SELECT * FROM l WHERE id > 100) AS l ASOF LEFT JOIN r
             ON l.k = r.k AND l.ts >= r.ts",
            "",
        ),
        (
            "83",
            "SELECT l.id, r.v FROM l ASOF INNER JOIN (SELECT * FROM r EXCEPT ALL
             SELECT * FROM r WHERE v = 'a4') AS r ON l.k = r.k AND l.ts >= r.ts",
            "2 a2, 3 a6, 4 b1, 5 b6",
        ),
        (
            "84",
            "SELECT l.k, l.ts, r.n FROM (SELECT k, max(ts) AS ts FROM l GROUP BY k) AS l
             ASOF INNER JOIN (SELECT k, ts, row_number() OVER (PARTITION BY k ORDER BY ts) AS n
             FROM r) AS r ON l.k = r.k AND l.ts >= r.ts",
            "A 7 3, B 8 2",
        ),
    ];
    conform(FIXTURE, FEW, &cases).await;
}

#[tokio::test]
async fn places_and_limits() {
    let back = "2 a4, 3 a6, 4 b1, 5 b6";
    let cases = [
        (
            "85 IN",
            "SELECT id FROM l WHERE id IN (SELECT l.id FROM l ASOF INNER JOIN r
             ON l.k = r.k AND l.ts >= r.ts)",
            "2, 3, 4, 5",
        ),
        (
            "85 scalar",
            "SELECT (SELECT max(r.ts) FROM l ASOF INNER JOIN r ON l.k = r.k AND l.ts >= r.ts)",
            "6",
        ),
        (
            "86",
            "WITH j AS (SELECT l.id, r.v FROM l ASOF INNER JOIN r ON l.k = r.k AND l.ts >= r.ts)
             SELECT a.id, b.v FROM j AS a JOIN j AS b ON a.id = b.id",
            back,
        ),
        (
            "87",
            "SELECT a.id, b.id FROM l AS a ASOF INNER JOIN l AS b ON a.k = b.k AND a.ts > b.ts",
            "2 1, 3 2, 5 4",
        ),
        (
            "89",
            "SELECT l.id, r.v, q.v FROM l ASOF INNER JOIN r ON l.k = r.k AND l.ts >= r.ts
             ASOF LEFT JOIN r AS q ON q.k = r.k AND r.ts > q.ts",
            "2 a4 a2, 3 a6 a4, 4 b1 ∅, 5 b6 b1",
        ),
        (
            "91",
            "SELECT l.id, r.v FROM l ASOF LEFT JOIN r ON l.k = r.k AND l.ts >= r.ts
             ORDER BY l.id LIMIT 3",
            "1 ∅, 2 a4, 3 a6",
        ),
        (
            "91 count",
            "SELECT count(*) FROM (SELECT r.v FROM l ASOF LEFT JOIN r
             ON l.k = r.k AND l.ts >= r.ts LIMIT 5) AS q",
            "5",
        ),
        ("92", "SELECT l.id FROM l ASOF INNER JOIN r ON l.k = r.k AND l.ts >= r.ts", "2, 3, 4, 5"),
        (
            "92 right only",
            "SELECT r.* FROM l ASOF INNER JOIN r ON l.k = r.k AND l.ts >= r.ts",
            "A 4 a4, A 6 a6, B 1 b1, B 6 b6",
        ),
    ];
    conform(FIXTURE, FEW, &cases).await;
}

#[tokio::test]
async fn predicates() {
    let left = "SELECT l.id, r.v FROM l ASOF LEFT JOIN r ON l.k = r.k AND l.ts >= r.ts";
    let inner = left.replace("LEFT", "INNER");
    let q = |base: &str, rest: &str| format!("{base} {rest}");
    let c56 = q(left, "AND r.v <> 'a4'");
    let c57 = q(left, "WHERE r.v <> 'a4'");
    let c58 = left.replace("JOIN r ON", "JOIN (SELECT * FROM r WHERE v <> 'a4') AS r ON");
    let (c59, c59i) = (q(left, "AND l.id <> 2"), q(&inner, "AND l.id <> 2"));
    let (c62, c62i) = (q(left, "AND false"), q(&inner, "AND false"));
    let c62t = q(&inner, "AND true");
    let c63 = q(left, "WHERE l.k = 'A'");
    let c63in = q(left, "WHERE l.k IN ('B', 'C')");
    let c64 = q(left, "WHERE r.v IS NULL");
    let c60 = "SELECT l.item, r.item, r.w FROM (VALUES (0,'A',0)) AS l(ts,item,x) ASOF LEFT JOIN
               (VALUES (0,'A',8),(0,'B',12)) AS r(ts,item,w)
               ON l.ts >= r.ts AND (l.item = r.item OR l.item = '*')";
    let c61 =
        "SELECT l.ts, r.ts FROM (VALUES (9,100),(4,100),(2,100)) AS l(ts,price) ASOF LEFT JOIN
               (VALUES (1,300),(3,150),(5,250),(7,10),(8,20)) AS r(ts,bid)
               ON l.ts >= r.ts AND l.price + r.bid > 300";
    let c61f = c61.replace(">= r.ts", "<= r.ts");
    let c65 = "SELECT l.x, r.x FROM (VALUES (0),(5),(10),(15)) AS l(x) ASOF INNER JOIN
               (VALUES (1),(6),(11),(16)) AS r(x) ON r.x > l.x";
    let c65w = format!("{c65} WHERE r.x BETWEEN 3 AND 12");
    let mixed = "SELECT l.id, r.v FROM l ASOF LEFT JOIN r ON l.k = r.k AND l.ts >= r.ts
                 AND (l.id + r.ts) % 2 = 0";
    let cases = [
        ("56", c56.as_str(), "1 ∅, 2 a2, 3 a6, 4 b1, 5 b6, 6 ∅, 7 ∅"),
        ("57", &c57, "3 a6, 4 b1, 5 b6"),
        ("58", &c58, "1 ∅, 2 a2, 3 a6, 4 b1, 5 b6, 6 ∅, 7 ∅"),
        ("59", &c59, "1 ∅, 2 ∅, 3 a6, 4 b1, 5 b6, 6 ∅, 7 ∅"),
        ("59 inner", &c59i, "3 a6, 4 b1, 5 b6"),
        ("60", c60, "A A 8"),
        ("61", c61, "9 5, 4 1, 2 1"),
        ("61 forward", &c61f, "9 ∅, 4 5, 2 5"),
        ("62", &c62, "1 ∅, 2 ∅, 3 ∅, 4 ∅, 5 ∅, 6 ∅, 7 ∅"),
        ("62 inner", &c62i, ""),
        ("62 true", &c62t, "2 a4, 3 a6, 4 b1, 5 b6"),
        ("63", &c63, "1 ∅, 2 a4, 3 a6, 7 ∅"),
        ("63 in", &c63in, "4 b1, 5 b6"),
        ("64", &c64, "1 ∅, 6 ∅, 7 ∅"),
        ("65", c65, "0 1, 5 6, 10 11, 15 16"),
        ("65 where", &c65w, "5 6, 10 11"),
        ("mixed", mixed, "1 ∅, 2 a4, 3 ∅, 4 ∅, 5 b1, 6 ∅, 7 ∅"),
        (
            "volatile filter",
            &q(left, "WHERE random() < 2"),
            "1 ∅, 2 a4, 3 a6, 4 b1, 5 b6, 6 ∅, 7 ∅",
        ),
    ];
    conform(FIXTURE, FEW, &cases).await;
}

#[tokio::test]
async fn tolerances() {
    let base = "FROM (VALUES (5)) AS l(ts) ASOF LEFT JOIN (VALUES (3),(1)) AS r(ts) ON";
    let q = |on: &str| format!("SELECT l.ts, r.ts {base} {on}");
    let cases = [
        ("47", q("l.ts >= r.ts AND l.ts - r.ts <= 2"), "5 3"),
        ("47 out", q("l.ts >= r.ts AND l.ts - r.ts <= 1"), "5 ∅"),
        ("47 strict", q("l.ts >= r.ts AND l.ts - r.ts < 2"), "5 ∅"),
        ("47 strict in", q("l.ts >= r.ts AND 3 > l.ts - r.ts"), "5 3"),
        ("48", q("l.ts >= r.ts AND l.ts - r.ts <= 0"), "5 ∅"),
        ("52 a", q("l.ts >= r.ts AND r.ts >= l.ts - 2"), "5 3"),
        ("52 b", q("l.ts >= r.ts AND l.ts <= r.ts + 2"), "5 3"),
        ("52 c", q("r.ts BETWEEN l.ts - 2 AND l.ts"), "5 3"),
        ("52 d", q("l.ts BETWEEN r.ts AND r.ts + 1"), "5 ∅"),
        ("52 e", q("l.ts <= 2 + r.ts AND r.ts <= l.ts"), "5 3"),
        ("53", q("l.ts >= r.ts AND l.ts - r.ts <= -1"), "5 ∅"),
        ("50", "SELECT l.ts, r.ts FROM (VALUES (5),(1)) AS l(ts) ASOF LEFT JOIN (VALUES (7)) AS r(ts)
            ON l.ts <= r.ts AND r.ts - l.ts <= 2".to_owned(), "5 7, 1 ∅"),
        ("49", "SELECT l.ts, r.ts FROM (VALUES (5)) AS l(ts) ASOF LEFT JOIN (VALUES (5),(4)) AS r(ts)
            ON l.ts > r.ts AND l.ts - r.ts <= 1".to_owned(), "5 4"),
        ("match condition", "SELECT l.ts, r.ts FROM (VALUES (5)) AS l(ts) ASOF JOIN
            (VALUES (3)) AS r(ts) MATCH_CONDITION (l.ts >= r.ts AND l.ts - r.ts <= 1)".to_owned(),
            "5 ∅"),
        ("bound of the row", "SELECT l.ts, r.ts FROM (VALUES (5,2),(5,4)) AS l(ts,since) ASOF JOIN
            (VALUES (3)) AS r(ts) MATCH_CONDITION (l.ts >= r.ts) ON r.ts >= l.since".to_owned(),
            "5 3, 5 ∅"),
        ("55", "SELECT l.ts, r.ts FROM (VALUES (-9223372036854775807)) AS l(ts) ASOF LEFT JOIN
            (VALUES (-9223372036854775807)) AS r(ts) ON l.ts >= r.ts AND r.ts >= l.ts - 100".to_owned(),
            "-9223372036854775807 -9223372036854775807"),
        ("float", "SELECT l.ts, r.ts FROM (VALUES (5.0::double precision)) AS l(ts) ASOF LEFT JOIN
            (VALUES (3.5::double precision)) AS r(ts) ON l.ts >= r.ts AND l.ts - r.ts <= 1.5::double precision"
            .to_owned(), "5.0 3.5"),
    ];
    let cases: Vec<_> =
        cases.iter().map(|(name, sql, rows)| (*name, sql.as_str(), *rows)).collect();
    conform(&[], FEW, &cases).await;
}

#[tokio::test]
async fn tolerances_in_time() {
    let setup = [
        "CREATE TABLE l (id BIGINT, ts TIMESTAMP) AS SELECT id, arrow_cast(ts, 'Timestamp(Microsecond, None)')
         FROM (VALUES (1, '2024-03-31T00:00:00'), (2, '2024-01-08T00:00:00')) AS v(id, ts)",
        "CREATE TABLE r (ts TIMESTAMP) AS SELECT arrow_cast(ts, 'Timestamp(Microsecond, None)')
         FROM (VALUES ('2024-01-01T00:00:00'), ('2024-02-29T00:00:00')) AS v(ts)",
    ];
    let q = |on: &str| {
        format!("SELECT l.id, CAST(r.ts AS DATE) FROM l ASOF LEFT JOIN r ON l.ts >= r.ts AND {on}")
    };
    let (both, none) = ("1 2024-02-29, 2 2024-01-01", "1 ∅, 2 ∅");
    let cases = [
        ("days", q("l.ts - r.ts <= INTERVAL '7 days'"), "1 ∅, 2 2024-01-01"),
        ("strict", q("l.ts - r.ts < INTERVAL '7 days'"), none),
        ("31 days", q("r.ts >= l.ts - INTERVAL '31 days'"), both),
        ("54 a month before", q("r.ts >= l.ts - INTERVAL '1 month'"), both),
        ("54 a month after", q("l.ts <= r.ts + INTERVAL '1 month'"), "1 ∅, 2 2024-01-01"),
        ("hours", q("l.ts <= r.ts + INTERVAL '167 hours'"), none),
    ];
    let cases: Vec<_> =
        cases.iter().map(|(name, sql, rows)| (*name, sql.as_str(), *rows)).collect();
    conform(&setup, FEW, &cases).await;
    let ctx = prepared(&setup).await;
    let plan = explained(&ctx, cases[0].1).await;
    assert!(
        plan.contains("mode=Merge, kind=Left, on=[], match=[ts >= ts], tolerance=7 days, tie=[ts]"),
        "{plan}"
    );
    let plan = explained(&ctx, cases[4].1).await;
    assert!(!plan.contains("tolerance=") && plan.contains("residual="), "{plan}");
}

#[tokio::test]
async fn types() {
    let cases = [
        ("66", "SELECT l.k, r.v FROM (VALUES (1::smallint, 5::int)) AS l(k,ts) ASOF INNER JOIN
          (VALUES (1::bigint, 4::bigint, 'v')) AS r(k,ts,v) ON l.k = r.k AND l.ts >= r.ts", "1 v"),
        ("67", "SELECT l.ts, r.ts FROM (VALUES (9223372036854775807),(-9223372036854775808)) AS l(ts)
          ASOF LEFT JOIN (VALUES (9223372036854775807),(-9223372036854775808)) AS r(ts) ON l.ts > r.ts",
          "9223372036854775807 -9223372036854775808, -9223372036854775808 ∅"),
        ("67 unsigned", "SELECT r.ts FROM (SELECT arrow_cast(18446744073709551615, 'UInt64') AS ts) AS l
          ASOF LEFT JOIN (SELECT arrow_cast(9223372036854775809, 'UInt64') AS ts) AS r ON l.ts >= r.ts",
          "9223372036854775809"),
        ("67 unsigned, signed", "SELECT r.ts FROM (SELECT arrow_cast(18446744073709551615, 'UInt64') AS ts) AS l
          ASOF LEFT JOIN (SELECT 5::bigint AS ts) AS r ON l.ts >= r.ts", "5"),
        ("68", "SELECT r.x FROM (SELECT arrow_cast('2024-01-01T00:00:10.000001', 'Timestamp(Microsecond, None)') AS ts) AS l
          ASOF LEFT JOIN (SELECT arrow_cast('2024-01-01T00:00:10.000001001', 'Timestamp(Nanosecond, None)') AS ts, 1 AS x) AS r
          ON l.ts >= r.ts", "∅"),
        ("68 far", "SELECT r.x FROM (SELECT arrow_cast('9999-01-01T00:00:00', 'Timestamp(Microsecond, None)') AS ts) AS l
          ASOF LEFT JOIN (SELECT arrow_cast('2024-01-01T00:00:10.000001001', 'Timestamp(Nanosecond, None)') AS ts, 1 AS x) AS r
          ON l.ts >= r.ts", "1"),
        ("69", "SELECT l.d, r.x FROM (SELECT DATE '2024-01-02' AS d) AS l ASOF LEFT JOIN
          (SELECT arrow_cast(ts, 'Timestamp(Microsecond, None)') AS ts, x FROM
          (VALUES ('2024-01-02T00:00:00', 1), ('2024-01-02T00:00:01', 2)) AS v(ts, x)) AS r ON l.d >= r.ts",
          "2024-01-02 1"),
        ("72", "SELECT l.ts, r.ts FROM (SELECT 1.25::numeric(10,2) AS ts) AS l ASOF LEFT JOIN
          (VALUES (1.2499::numeric(12,4)),(1.2501::numeric(12,4))) AS r(ts) ON l.ts >= r.ts", "1.25 1.2499"),
        ("73", "SELECT r.v FROM (SELECT arrow_cast('a', 'Utf8View') AS k, 1 AS ts) AS l ASOF INNER JOIN
          (SELECT arrow_cast('a', 'Dictionary(Int32, Utf8)') AS k, 1 AS ts, 'v' AS v) AS r
          ON l.k = r.k AND l.ts >= r.ts", "v"),
        ("73 large", "SELECT r.v FROM (SELECT arrow_cast('a', 'LargeUtf8') AS k, 1 AS ts) AS l ASOF INNER JOIN
          (SELECT 'a' AS k, 1 AS ts, 'v' AS v) AS r ON l.k = r.k AND l.ts >= r.ts", "v"),
        ("74", "SELECT l.ts, r.ts FROM (VALUES ('5'),('z')) AS l(ts) ASOF LEFT JOIN
          (VALUES ('1'),('9'),('infinity')) AS r(ts) ON l.ts >= r.ts", "5 1, z infinity"),
        ("75", "SELECT l.k, r.v FROM (VALUES (true, DATE '2024-01-01', 5)) AS l(k,d,ts) ASOF INNER JOIN
          (VALUES (true, DATE '2024-01-01', 4, 'v')) AS r(k,d,ts,v)
          ON l.k = r.k AND l.d = r.d AND l.ts >= r.ts", "true v"),
        ("76", "SELECT l.ts, r.ts FROM (VALUES (-5)) AS l(ts) ASOF LEFT JOIN (VALUES (-9),(-4)) AS r(ts)
          ON l.ts >= r.ts", "-5 -9"),
        ("78", "SELECT l.ts, r.ts FROM (VALUES ('NaN'::double precision),('inf'),(1.0)) AS l(ts) ASOF LEFT JOIN
          (VALUES ('-inf'::double precision),('NaN')) AS r(ts) ON l.ts >= r.ts",
          "NaN NaN, inf -inf, 1.0 -inf"),
        ("79 key", "SELECT l.ts, r.ts FROM (VALUES (0.0::double precision, 12)) AS l(k,ts) ASOF LEFT JOIN
          (VALUES ('-0.0'::double precision, 10),(0.0, 5)) AS r(k,ts) ON l.k = r.k AND l.ts >= r.ts", "12 10"),
        ("79 ts", "SELECT r.v FROM (VALUES ('-0.0'::double precision)) AS l(ts) ASOF LEFT JOIN
          (VALUES (0.0::double precision, 'v')) AS r(ts, v) ON l.ts >= r.ts", "v"),
    ];
    conform(&[], FEW, &cases).await;
}

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
        ("SELECT * FROM l ASOF RIGHT JOIN r ON l.ts >= r.ts".into(), unsupported, "RIGHT"),
        ("SELECT * FROM l ASOF FULL JOIN r ON l.ts >= r.ts".into(), unsupported, "FULL"),
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

/// A table that shows `k, ts, v` and breaks ties by columns it does not show.
#[derive(Debug)]
struct Tied {
    shown: Arc<dyn TableProvider>,
    order: TieOrder,
}

impl TieSource for Tied {
    fn tie_order(&self, provider: &Arc<dyn TableProvider>) -> Option<TieOrder> {
        Arc::ptr_eq(&self.shown, provider).then(|| self.order.clone())
    }
}

async fn tied_context(partitions: usize, batch_size: usize, rows: &str) -> SessionContext {
    let ctx = context(partitions, batch_size, Arc::new(NoTies));
    let hidden = format!(
        "CREATE TABLE hidden (k TEXT, ts BIGINT, v TEXT, created BIGINT, _commit BIGINT) AS VALUES {rows}"
    );
    set_up(&ctx, &[&hidden, "CREATE TABLE shown AS SELECT k, ts, v FROM hidden"]).await;
    let provider = ctx.table_provider("hidden").await.unwrap();
    let shown = ctx.table_provider("shown").await.unwrap();
    let columns = vec!["created".to_owned(), "_commit".to_owned()];
    let order = TieOrder { provider, columns };
    let ties = Arc::new(Tied { shown: Arc::clone(&shown), order });
    let ctx = context(partitions, batch_size, ties);
    ctx.register_table("f", shown).unwrap();
    ctx
}

#[tokio::test]
async fn ties_are_broken_by_the_table() {
    let rows =
        "('A',4,'z',1,9),('A',4,'p',2,1),('A',4,'q',2,2),('A',4,'y',NULL,99),('A',2,'old',9,9)";
    let label = "SELECT l.ts, f.v FROM (VALUES ('A',5),('A',4),('A',3)) AS l(k,ts) ASOF LEFT JOIN";
    let on = "ON l.k = f.k AND l.ts";
    let cases = [
        ("34, 35, 37", format!("{label} f {on} >= f.ts"), "3 old, 4 q, 5 q"),
        ("38", format!("{label} f {on} > f.ts"), "3 old, 4 old, 5 q"),
        ("39", format!("{label} f {on} <= f.ts"), "3 q, 4 q, 5 ∅"),
        (
            "renamed",
            format!("{label} (SELECT v, k, ts FROM f AS g WHERE v <> 'q') AS f {on} >= f.ts"),
            "3 old, 4 p, 5 p",
        ),
        (
            "wildcard",
            "SELECT * FROM (VALUES ('A',5)) AS l(k,ts) ASOF LEFT JOIN f USING (k, ts)".into(),
            "A 5 q",
        ),
        ("no left column", format!("SELECT count(*) FROM ({label} f {on} >= f.ts) AS q"), "3"),
    ];
    for &(partitions, batch_size) in FEW {
        let ctx = tied_context(partitions, batch_size, rows).await;
        for (name, sql, expected) in &cases {
            let found = texts(&run(&ctx, sql).await.unwrap_or_else(|e| panic!("{name}: {e}")));
            assert_eq!(found.join(", "), *expected, "{name} on {partitions} × {batch_size}");
        }
    }
    let ctx = tied_context(2, 8192, rows).await;
    let plan = explained(&ctx, &cases[0].1).await;
    assert!(plan.contains("tie=[created, _commit]"), "{plan}");
}

/// The same table, the same query, the same sums, whatever the plan: the script of a well-known
/// report of answers that changed from run to run.
#[tokio::test]
async fn ties_without_a_table_are_stable() {
    let setup = [
        "CREATE TABLE b AS SELECT i % 50 AS k, (i / 4) % 1000 AS t, (i * 7919) % 10007 AS w
         FROM (SELECT value AS i FROM generate_series(0, 3999)) AS s",
        "CREATE TABLE p AS SELECT i % 50 AS k, (i * 13) % 1000 AS t
         FROM (SELECT value AS i FROM generate_series(0, 499)) AS s",
    ];
    let sql =
        "SELECT count(*), sum(b.t), sum(b.w) FROM p ASOF INNER JOIN b ON p.k = b.k AND b.t <= p.t";
    let mut answers = Vec::new();
    for (partitions, batch_size) in [(1, 8192), (2, 100), (8, 17)] {
        let ctx = context(partitions, batch_size, Arc::new(NoTies));
        set_up(&ctx, &setup).await;
        answers.push(texts(&run(&ctx, sql).await.unwrap()));
    }
    assert!(answers.windows(2).all(|pair| pair[0] == pair[1]), "{answers:?}");
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
