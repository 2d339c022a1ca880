//! The forms a join is written in, and where it may stand.

use super::fixture::{FEW, FIXTURE, SHAPES, conform};

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
