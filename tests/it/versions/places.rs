//! Where a table can stand. Each gives the rows (k, v) of `{}`; several statements run in a block.

pub(super) const PLACES: &[&str] = &[
    "SELECT k, v FROM {}",
    "SELECT k, v FROM {} WHERE k > -100 ORDER BY k, v LIMIT 1000000",
    "SELECT x.k, x.v FROM {} AS x",
    "SELECT x.a, x.b FROM {} AS x (a, b)",
    "TABLE {}",
    "SELECT x.k, x.v FROM one CROSS JOIN {} AS x",
    "SELECT x.k, x.v FROM one, {} AS x",
    "SELECT x.k, x.v FROM {} AS x LEFT JOIN one ON one.k = x.k",
    "SELECT x.k, x.v FROM one RIGHT JOIN {} AS x ON one.k = x.k",
    "SELECT x.k, x.v FROM (one JOIN {} AS x ON true)",
    "SELECT x.k, x.v FROM {} AS x LEFT JOIN t FOR SYSTEM_VERSION AS OF 2 AS y ON y.k = x.k",
    "SELECT x.k, x.v FROM {} AS x ASOF LEFT JOIN one ON one.v = x.v AND one.k <= x.k",
    "WITH c AS (SELECT * FROM {}) SELECT k, v FROM c",
    "WITH c AS (SELECT * FROM {}), d AS (SELECT * FROM c) SELECT k, v FROM d",
    "SELECT k, v FROM (SELECT * FROM {}) AS s",
    "SELECT k, v FROM one WHERE false UNION ALL SELECT k, v FROM {}",
    "SELECT k, v FROM {} EXCEPT ALL SELECT k, v FROM one",
    "SELECT k, v FROM (SELECT k, v, row_number() OVER (ORDER BY k) FROM {}) AS s (k, v, n)",
    "SELECT k, v FROM {} AS x WHERE EXISTS (SELECT 1 FROM one WHERE one.k < x.k)",
    "SELECT x.k, x.v FROM one, LATERAL (SELECT k, v FROM {}) AS x",
    "CREATE VIEW seen AS SELECT * FROM {}; SELECT k, v FROM seen",
    "CREATE TABLE copied AS SELECT * FROM {}; SELECT k, v FROM copied",
    "INSERT INTO sink SELECT k, v FROM {}; SELECT k, v FROM sink",
    "INSERT INTO sink WITH c AS (SELECT * FROM {}) SELECT k, v FROM c; TABLE sink",
];

/// Statements that write `{}`.
pub(super) const TARGETS: &[&str] = &[
    "INSERT INTO {} VALUES (5555, 1)",
    "INSERT INTO {} SELECT k + 100000, v FROM one",
    "UPDATE {} SET v = 0",
    "DELETE FROM {}",
    "DELETE FROM {} WHERE k = 1",
    "TRUNCATE {}",
];
