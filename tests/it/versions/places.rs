//! Where a table can stand. Several statements run in a block.

/// What a place tells of `{}`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tells {
    /// Its rows (k, v).
    Pairs,
    /// Its rows, all columns.
    Rows,
    /// What DESCRIBE says of it.
    Shape,
    /// What DESCRIBE HISTORY says of it.
    History,
}

use super::Way;
use Tells::{History, Pairs, Rows, Shape};

pub(super) const PLACES: &[(Tells, &str)] = &[
    (Pairs, "SELECT k, v FROM {}"),
    (Pairs, "SELECT k, v FROM {} WHERE k > -100 ORDER BY k, v LIMIT 1000000"),
    (Pairs, "SELECT x.k, x.v FROM {} AS x"),
    (Pairs, "SELECT x.a, x.b FROM (SELECT k, v FROM {}) AS x (a, b)"),
    (Rows, "SELECT * FROM {}"),
    (Rows, "TABLE {}"),
    (Pairs, "SELECT x.k, x.v FROM one CROSS JOIN {} AS x"),
    (Pairs, "SELECT x.k, x.v FROM one, {} AS x"),
    (Pairs, "SELECT x.k, x.v FROM {} AS x LEFT JOIN one ON one.k = x.k"),
    (Pairs, "SELECT x.k, x.v FROM one RIGHT JOIN {} AS x ON one.k = x.k"),
    (Pairs, "SELECT x.k, x.v FROM (one JOIN {} AS x ON true)"),
    (
        Pairs,
        "SELECT x.k, x.v FROM {} AS x LEFT JOIN t FOR SYSTEM_VERSION AS OF 2 AS y ON y.k = x.k",
    ),
    (Pairs, "SELECT x.k, x.v FROM {} AS x ASOF LEFT JOIN one ON one.v = x.v AND one.k <= x.k"),
    (Pairs, "WITH c AS (SELECT * FROM {}) SELECT k, v FROM c"),
    (Rows, "WITH c AS (SELECT * FROM {}), d AS (SELECT * FROM c) SELECT * FROM d"),
    (Rows, "SELECT * FROM (SELECT * FROM {}) AS s"),
    (Pairs, "SELECT k, v FROM one WHERE false UNION ALL SELECT k, v FROM {}"),
    (Pairs, "SELECT k, v FROM {} EXCEPT ALL SELECT k, v FROM one"),
    (
        Pairs,
        "SELECT k, v FROM (SELECT k, v, row_number() OVER (ORDER BY k) FROM {}) AS s (k, v, n)",
    ),
    (Pairs, "SELECT k, v FROM {} AS x WHERE EXISTS (SELECT 1 FROM one WHERE one.k < x.k)"),
    (Pairs, "SELECT x.k, x.v FROM one, LATERAL (SELECT k, v FROM {}) AS x"),
    (Rows, "CREATE VIEW seen AS SELECT * FROM {}; SELECT * FROM seen"),
    (Rows, "CREATE TABLE copied AS SELECT * FROM {}; SELECT * FROM copied"),
    (Pairs, "INSERT INTO sink SELECT k, v FROM {}; SELECT k, v FROM sink"),
    (Pairs, "INSERT INTO sink WITH c AS (SELECT * FROM {}) SELECT k, v FROM c; TABLE sink"),
    (
        Pairs,
        "MERGE INTO sink USING {} AS x ON sink.k = x.k WHEN NOT MATCHED THEN INSERT VALUES (x.k, x.v); TABLE sink",
    ),
    (
        Pairs,
        "INSERT INTO sink SELECT k, 0 FROM universe; UPDATE sink SET v = x.v FROM {} AS x WHERE sink.k = x.k; DELETE FROM sink WHERE NOT EXISTS (SELECT 1 FROM {} AS x WHERE x.k = sink.k); TABLE sink",
    ),
    (
        Pairs,
        "INSERT INTO sink SELECT k, v FROM {}; DELETE FROM sink USING {} AS x WHERE sink.k = x.k RETURNING sink.k, sink.v",
    ),
    (Pairs, "DECLARE c CURSOR FOR SELECT k, v FROM {}; FETCH ALL FROM c"),
    (Pairs, "COPY (SELECT k, v FROM {}) TO STDOUT"),
    (Pairs, "COPY {} (k, v) TO STDOUT"),
    (Rows, "COPY {} TO STDOUT"),
    (Rows, "CREATE TABLE cloned CLONE {}; SELECT * FROM cloned"),
    (Shape, "CREATE TABLE cloned CLONE {}; DESCRIBE cloned"),
    (Shape, "CREATE TABLE alike (LIKE {} INCLUDING ALL); DESCRIBE alike"),
    (Shape, "DESCRIBE {}"),
    (Shape, "DESCRIBE TABLE {}"),
    (History, "DESCRIBE HISTORY {}"),
];

/// How the statements there that name the version can take it as a parameter.
pub(super) fn takes_parameters(place: &str) -> &'static [Way] {
    let all_are = |words: &[&str]| {
        let mut naming = place.split("; ").filter(|statement| statement.contains("{}"));
        naming.all(|statement| words.iter().any(|word| statement.starts_with(word)))
    };
    if all_are(&["SELECT", "TABLE", "WITH", "INSERT", "MERGE", "UPDATE", "DELETE"]) {
        return &[Way::Bind, Way::Execute];
    }
    // PREPARE does not take them, the protocol does.
    let bound = ["CREATE TABLE copied AS", "CREATE TABLE cloned", "DECLARE", "COPY", "DESCRIBE"];
    if all_are(&bound) { &[Way::Bind] } else { &[] }
}

/// Whether the place can be said of the spelling: columns behind a type would be the type's.
pub(super) fn takes_columns(place: &str, spelling: &str) -> bool {
    !place.contains("{} (") || !spelling.ends_with("::timestamptz")
}

/// Statements that change `{}`, whatever it holds, as long as it has a row with k = 1.
pub(super) const TARGETS: &[&str] = &[
    "INSERT INTO {} VALUES (5555, 1)",
    "INSERT INTO {} (v, k) VALUES (1, 5555)",
    "INSERT INTO {} SELECT k + 100000, v FROM one",
    "INSERT INTO {} (k, v) SELECT k + 100000, v FROM one",
    "INSERT INTO {} (k) VALUES (5555) RETURNING k, v",
    "INSERT INTO {} (k, v) VALUES (1, -5) ON CONFLICT (k) DO UPDATE SET v = excluded.v",
    "INSERT INTO {} (k, v) VALUES (5555, 1) ON CONFLICT DO NOTHING",
    "INSERT OVERWRITE {} (k, v) SELECT k, v FROM one",
    "INSERT INTO {} REPLACE WHERE k > 0 SELECT * FROM {} WHERE k > 1",
    "UPDATE {} SET v = -6",
    "UPDATE {} SET v = one.v - 7 FROM one RETURNING one.k",
    "DELETE FROM {}",
    "DELETE FROM {} WHERE k = 1",
    "DELETE FROM {} AS x USING one WHERE x.k > one.k RETURNING x.k",
    "MERGE INTO {} AS x USING one ON x.k = one.k + 2 WHEN MATCHED THEN UPDATE SET v = -8",
    "MERGE INTO {} AS x USING one ON x.k = one.k WHEN NOT MATCHED THEN INSERT (k, v) VALUES (one.k, one.v)",
    "WITH gone AS (DELETE FROM {} WHERE k = 1 RETURNING k) SELECT k FROM gone",
    "WITH new AS (SELECT 1 AS k) UPDATE {} AS x SET v = -9 FROM new WHERE new.k = x.k",
    "TRUNCATE {}",
    "COPY {} (k, v) FROM '$FOLDER/rows.txt'",
    "ALTER TABLE {} ADD COLUMN added int DEFAULT 3",
    "ALTER TABLE {} DROP COLUMN v",
    "ALTER TABLE {} RENAME COLUMN v TO w",
    "ALTER TABLE {} ALTER COLUMN v TYPE bigint",
    "ALTER TABLE {} ALTER COLUMN v SET DEFAULT 4, ALTER COLUMN v SET NOT NULL",
    "CREATE UNIQUE INDEX one_v ON {} (k, v); INSERT INTO {} (k) VALUES (5555)",
    "RESTORE TABLE {} TO VERSION AS OF 3",
];
