//! Conditions, tolerances and the types they compare.

use super::fixture::{FEW, FIXTURE, conform, explained, prepared};

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
        plan.contains(
            "mode=Stream, kind=Left, on=[], match=[ts >= ts], tolerance=7 days, tie=[ts]"
        ),
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
