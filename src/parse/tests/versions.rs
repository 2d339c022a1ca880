//! Every spelling of a version, in every place a table can stand: none is lost.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{TableFactor, Visit, Visitor};

use super::super::{CopyTarget, Slot, TableVersionSpec, version_of};
use super::*;
use crate::error::ErrorKind;

const SPELLINGS: [(&str, Slot, &str); 47] = [
    ("t FOR SYSTEM_VERSION AS OF 127", Slot::Version, "127"),
    ("t FOR SYSTEM_VERSION AS OF 'audit'", Slot::Version, "'audit'"),
    ("t FOR SYSTEM_VERSION AS OF '2023-01-01 10:00:00'", Slot::Version, "'2023-01-01 10:00:00'"),
    ("t FOR SYSTEM_VERSION AS OF $1", Slot::Version, "$1"),
    ("t SYSTEM_VERSION AS OF 127", Slot::Version, "127"),
    ("t FOR VERSION AS OF 127", Slot::Version, "127"),
    ("t VERSION AS OF 127", Slot::Version, "127"),
    ("t version as of 'tag'", Slot::Version, "'tag'"),
    ("t FOR SYSTEM_TIME AS OF '2023-01-01'", Slot::Time, "'2023-01-01'"),
    ("t FOR SYSTEM_TIME AS OF $1", Slot::Time, "$1"),
    (
        "t FOR SYSTEM_TIME AS OF TIMESTAMP '2025-03-10 00:00:00+00:00'",
        Slot::Time,
        "TIMESTAMP '2025-03-10 00:00:00+00:00'",
    ),
    ("t FOR SYSTEM_TIME AS OF now() - INTERVAL '1 hour'", Slot::Time, "now() - INTERVAL '1 hour'"),
    ("t FOR SYSTEM_TIME AS OF CAST('2023-01-01' AS timestamptz)", Slot::Time, ""),
    ("t FOR SYSTEM_TIME AS OF '2023-01-01'::timestamptz", Slot::Time, ""),
    ("t FOR TIMESTAMP AS OF '2023-01-01'", Slot::Time, "'2023-01-01'"),
    ("t TIMESTAMP AS OF 1700000000", Slot::Time, "1700000000"),
    ("t TIMESTAMP AS OF date '2023-01-01'", Slot::Time, "DATE '2023-01-01'"),
    ("t FOR TIME AS OF '2023-01-01'", Slot::Time, "'2023-01-01'"),
    ("t SYSTEM_TIME AS OF '2023-01-01'", Slot::Time, "'2023-01-01'"),
    ("t AS OF 'HEAD'", Slot::Version, "'HEAD'"),
    ("t AS OF 12", Slot::Version, "12"),
    ("t AS OF ($1)", Slot::Version, "($1)"),
    ("t AS OF TIMESTAMP '2023-01-01'", Slot::Time, "'2023-01-01'"),
    ("t AS OF TIMESTAMP('2023-01-01')", Slot::Time, "('2023-01-01')"),
    ("t AS OF now()", Slot::Time, "now()"),
    ("t AS OF SCN 5", Slot::Commit, "5"),
    ("t AT (VERSION => 127)", Slot::Version, "127"),
    ("t AT (SNAPSHOT => 127)", Slot::Version, "127"),
    ("t AT (TIMESTAMP => now() - INTERVAL '1 week')", Slot::Time, "now() - INTERVAL '1 week'"),
    ("t AT (TIMESTAMP => '2023-01-01'::timestamp)", Slot::Time, ""),
    ("t AT (OFFSET => -60 * 5)", Slot::Offset, "-60 * 5"),
    ("t AT (BRANCH => audit)", Slot::Branch, "'audit'"),
    ("t AT (BRANCH => 'Audit-1')", Slot::Branch, "'Audit-1'"),
    ("t AT (TAG => v1)", Slot::Tag, "'v1'"),
    ("t AT (VERSION_TAG => 'v1')", Slot::Tag, "'v1'"),
    ("t AT (REF => x)", Slot::Ref, "'x'"),
    ("t AT (VERSION_REF => 'x')", Slot::Ref, "'x'"),
    ("t AT (STATEMENT => 'abc')", Slot::Statement, "'abc'"),
    ("t AT BRANCH audit", Slot::Branch, "'audit'"),
    ("t AT TAG \"V1\"", Slot::Tag, "'V1'"),
    ("t AT REF x", Slot::Ref, "'x'"),
    ("t AT COMMIT 12", Slot::Commit, "12"),
    ("t AT SNAPSHOT '12'", Slot::Version, "'12'"),
    ("t@audit", Slot::Ref, "'audit'"),
    ("t@branch(audit)", Slot::Branch, "'audit'"),
    ("t@tag(x)", Slot::Tag, "'x'"),
    ("a.b.t@\"Audit-1\"", Slot::Ref, "'Audit-1'"),
];

/// `{}` is the table, alone (`{}`), or with a name of its own.
const PLACES: [&str; 33] = [
    "SELECT * FROM {}",
    "SELECT * FROM {} WHERE k = 1",
    "SELECT count(*) FROM {} GROUP BY k HAVING count(*) > 1 ORDER BY k LIMIT 3",
    "SELECT * FROM {} AS x WHERE x.k = 1",
    "SELECT * FROM {} x",
    "SELECT * FROM {} AS x (a, b)",
    "SELECT * FROM u JOIN {} AS x ON u.k = x.k",
    "SELECT * FROM {} JOIN u USING (k)",
    "SELECT * FROM {} x LEFT JOIN u ON x.k = u.k WHERE u.k IS NULL",
    "SELECT * FROM u CROSS JOIN {}",
    "SELECT * FROM u, {}, w",
    "SELECT * FROM (u JOIN {} ON true)",
    "SELECT * FROM ({} AS x JOIN u ON true) AS j",
    "SELECT * FROM u ASOF JOIN {} AS x MATCH_CONDITION (u.ts >= x.ts) ON u.k = x.k",
    "SELECT * FROM {} AS x ASOF LEFT JOIN u ON x.k = u.k AND x.ts >= u.ts",
    "WITH c AS (SELECT * FROM {}) SELECT * FROM c",
    "SELECT * FROM (SELECT * FROM {}) AS s",
    "SELECT * FROM u WHERE k IN (SELECT k FROM {})",
    "SELECT (SELECT max(k) FROM {}) AS m",
    "SELECT * FROM u WHERE EXISTS (SELECT 1 FROM {} x WHERE x.k = u.k)",
    "SELECT 1 UNION ALL SELECT k FROM {}",
    "SELECT extract(epoch FROM ts) FROM {}",
    "TABLE {}",
    "EXPLAIN SELECT * FROM {}",
    "EXPLAIN ANALYZE SELECT * FROM {} WHERE k = 1",
    "UPDATE u SET a = x.a FROM {} AS x WHERE u.k = x.k",
    "DELETE FROM u USING {} AS x WHERE u.k = x.k",
    "INSERT INTO u SELECT * FROM {}",
    "MERGE INTO u USING {} AS x ON u.k = x.k WHEN MATCHED THEN DELETE",
    "CREATE VIEW v AS SELECT * FROM {} WHERE k = 1",
    "CREATE TABLE n AS SELECT * FROM {}",
    "CREATE TABLE n AS TABLE {}",
    "PREPARE p AS SELECT * FROM {}",
];

/// The versions in a statement.
fn versions(statement: &Statement) -> Vec<TableVersionSpec> {
    match statement {
        Statement::Query(query) => in_tree(query.as_ref()),
        Statement::Explain(explain) => versions(&explain.statement),
        Statement::Prepare(prepare) => versions(&prepare.statement),
        Statement::Insert(insert) => {
            let mut found: Vec<_> = insert.version.iter().cloned().collect();
            found.extend(in_tree(&insert.insert));
            found
        }
        Statement::Update(update) => in_tree(&update.update),
        Statement::Delete(delete) => in_tree(&delete.delete),
        Statement::Merge(merge) => in_tree(&merge.merge),
        Statement::CreateView(view) => in_tree(view.query.as_ref()),
        Statement::CreateTable(table) => in_tree(table.query.as_ref().unwrap().0.as_ref()),
        Statement::Declare(declare) => in_tree(declare.query.as_ref()),
        Statement::Copy(copy) => match &copy.target {
            CopyTarget::Query(query) => in_tree(query.as_ref()),
            CopyTarget::Table { table, .. } => table.version.iter().cloned().collect(),
        },
        other => panic!("{other:?}"),
    }
}

fn in_tree<T: Visit>(tree: &T) -> Vec<TableVersionSpec> {
    struct Versions(Vec<TableVersionSpec>);
    impl Visitor for Versions {
        type Break = ();
        fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<()> {
            self.0.extend(version_of(factor).unwrap());
            ControlFlow::Continue(())
        }
    }
    let mut versions = Versions(Vec::new());
    _ = tree.visit(&mut versions);
    versions.0
}

#[test]
fn no_spelling_is_lost_in_any_place() {
    for (spelling, slot, value) in SPELLINGS {
        for place in PLACES {
            let sql = place.replace("{}", spelling);
            let found = versions(&one(&sql));
            assert_eq!(found.len(), 1, "{sql}");
            assert_eq!(found[0].slot, slot, "{sql}");
            assert!(!found[0].before && found[0].within.is_none(), "{sql}");
            if !value.is_empty() {
                assert_eq!(found[0].value.to_string(), value, "{sql}");
            }
        }
    }
}

#[test]
fn a_period_has_two_ends() {
    for (spelling, slot, value) in [
        ("t FOR SYSTEM_TIME FROM '2023-01-01' TO now()", Slot::FromTo, "('2023-01-01', now())"),
        ("t FOR SYSTEM_TIME BETWEEN $1 AND $2", Slot::Between, "($1, $2)"),
        (
            "t FOR SYSTEM_TIME BETWEEN now() - INTERVAL '1 day' AND now()",
            Slot::Between,
            "(now() - INTERVAL '1 day', now())",
        ),
        ("t FOR SYSTEM_TIME CONTAINED IN ('a', 'b')", Slot::Contained, "('a', 'b')"),
        ("t FOR SYSTEM_TIME ALL", Slot::All, "''"),
    ] {
        for place in PLACES {
            let sql = place.replace("{}", spelling);
            let found = versions(&one(&sql));
            assert_eq!(found.len(), 1, "{sql}");
            assert_eq!(
                (found[0].slot, found[0].value.to_string().as_str()),
                (slot, value),
                "{sql}"
            );
        }
    }
}

#[test]
fn two_tables_have_two_versions() {
    let found = versions(&one(
        "SELECT * FROM a VERSION AS OF 1 x, b@q JOIN c FOR SYSTEM_TIME AS OF now() ON a.k = c.k, \
         LATERAL (SELECT * FROM d AT (TAG => z) WHERE d.k = x.k) l",
    ));
    let slots: Vec<_> = found.iter().map(|v| v.slot).collect();
    assert_eq!(slots, [Slot::Version, Slot::Ref, Slot::Time, Slot::Tag]);
}

#[test]
fn before_and_within() {
    let found = versions(&one("SELECT * FROM t BEFORE (TIMESTAMP => '2023-01-01')"));
    assert!(found[0].before && found[0].slot == Slot::Time);
    for sql in [
        "SELECT * FROM t@audit TIMESTAMP AS OF '2023-01-01' x WHERE k = 1",
        "SELECT * FROM t@branch(audit) FOR SYSTEM_TIME AS OF '2023-01-01'",
        "SELECT * FROM t AT BRANCH audit AS OF TIMESTAMP '2023-01-01'",
        "SELECT * FROM t AT (REF => audit) AT (TIMESTAMP => '2023-01-01')",
    ] {
        let found = versions(&one(sql));
        assert_eq!(found.len(), 1, "{sql}");
        assert_eq!(found[0].slot, Slot::Time, "{sql}");
        assert_eq!(found[0].value.to_string(), "'2023-01-01'", "{sql}");
        assert_eq!(found[0].within.as_ref().unwrap().to_string(), "'audit'", "{sql}");
    }
}

#[test]
fn targets_of_writes() {
    for (sql, count) in [
        ("INSERT INTO t@audit VALUES (1)", 1),
        ("INSERT INTO s.t@branch(audit) (a, b) SELECT * FROM u VERSION AS OF 3", 2),
        ("WITH x AS (SELECT 1) INSERT INTO t@audit SELECT * FROM x", 1),
        ("EXPLAIN INSERT INTO t@audit DEFAULT VALUES", 1),
        ("UPDATE t@audit SET a = 1", 1),
        ("UPDATE t@audit AS x SET a = 1 WHERE k = 2", 1),
        ("DELETE FROM t@audit WHERE k = 1", 1),
        ("DELETE FROM ONLY t@audit", 1),
        ("MERGE INTO t@audit AS x USING u ON x.k = u.k WHEN MATCHED THEN DELETE", 1),
        ("INSERT INTO t.branch_audit_a1 SELECT 1", 0),
        ("COPY t@audit FROM STDIN", 1),
        ("COPY t@audit (a, b) TO STDOUT", 1),
        ("COPY (SELECT * FROM t VERSION AS OF 3) TO STDOUT", 1),
        ("DECLARE c CURSOR FOR SELECT * FROM t@audit", 1),
        ("DECLARE c CURSOR FOR TABLE t@audit", 1),
    ] {
        assert_eq!(versions(&one(sql)).len(), count, "{sql}");
    }
    match one("TRUNCATE TABLE t@audit, u") {
        Statement::Truncate(truncate) => {
            assert_eq!(truncate.tables[0].version.as_ref().unwrap().value.to_string(), "'audit'");
            assert!(truncate.tables[1].version.is_none());
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn words_of_versions_are_still_names() {
    for sql in [
        "SELECT * FROM t at",
        "SELECT at.k FROM t AS at WHERE at.k = 1",
        "SELECT * FROM t before, u changes JOIN w at ON at.k = before.k",
        "SELECT * FROM t at (a, b)",
        "SELECT * FROM t version",
        "SELECT version, timestamp, tag, branch, time FROM t timestamp",
        "SELECT timestamp '2023-01-01', time '10:00' FROM t time",
        "SELECT * FROM t AS of, u",
        "SELECT * FROM t AS of WHERE of.a = 1",
        "SELECT * FROM t AS of",
        "SELECT version AS of FROM t",
        "SELECT * FROM version AS version",
        "SELECT * FROM at JOIN before ON at.k = before.k",
        "SELECT * FROM \"t@audit\"",
        "SELECT * FROM online.t, t.snapshots, t$snapshots, \"t$snapshots\", c.s.t.history",
        "SELECT ts AT TIME ZONE 'UTC' FROM t",
        "SELECT a IS DISTINCT FROM b FROM t",
        "SELECT substring(a FROM 2 FOR 3), trim(both 'x' FROM a), extract(year FROM a) FROM t",
        "SELECT * FROM t FOR UPDATE",
        "SELECT * FROM generate_series(1, 3) AS g",
        "SELECT @ -5",
        "SELECT * FROM unnest(ARRAY[1, 2]) AS u",
        "INSERT INTO t (at, before) VALUES (1, 2) ON CONFLICT (at) DO UPDATE SET before = 1",
    ] {
        assert_eq!(versions(&one(sql)), [], "{sql}");
    }
}

#[test]
fn a_version_that_cannot_be_is_refused() {
    for (sql, kind) in [
        ("SELECT * FROM t FOR SYSTEM_TIME FROM 1 AND 2", ErrorKind::Syntax),
        ("SELECT * FROM t FOR SYSTEM_TIME BETWEEN 1 TO 2", ErrorKind::Syntax),
        ("SELECT * FROM t FOR SYSTEM_TIME BETWEEN 1 AND", ErrorKind::Syntax),
        ("SELECT * FROM t FOR SYSTEM_TIME BETWEEN k AND 2", ErrorKind::Syntax),
        ("SELECT * FROM t FOR SYSTEM_TIME CONTAINED IN (1)", ErrorKind::Syntax),
        ("SELECT * FROM (SELECT 1) s FOR SYSTEM_TIME ALL", ErrorKind::Syntax),
        ("SELECT * FROM t FOR ALL VALID_TIME", ErrorKind::NotSupported),
        (
            "SELECT * FROM t CHANGES (INFORMATION => DEFAULT) AT (VERSION => 1)",
            ErrorKind::NotSupported,
        ),
        ("SELECT * FROM f(1) AT (VERSION => 1)", ErrorKind::Syntax),
        ("SELECT * FROM f(1) VERSION AS OF 1", ErrorKind::Syntax),
        ("SELECT * FROM f(1)@audit", ErrorKind::Syntax),
        ("SELECT * FROM LATERAL f(1) VERSION AS OF 1", ErrorKind::Syntax),
        ("SELECT * FROM TABLE(f(1)) VERSION AS OF 1", ErrorKind::Syntax),
        ("SELECT * FROM (SELECT 1) VERSION AS OF 1", ErrorKind::Syntax),
        ("SELECT * FROM (SELECT 1) AS s VERSION AS OF 1", ErrorKind::Syntax),
        ("SELECT * FROM (a JOIN b ON true) FOR SYSTEM_TIME AS OF now()", ErrorKind::Syntax),
        ("SELECT * FROM t x VERSION AS OF 1", ErrorKind::Syntax),
        ("SELECT * FROM t AS x FOR SYSTEM_TIME AS OF now()", ErrorKind::Syntax),
        ("SELECT * FROM t VERSION AS OF 1 TIMESTAMP AS OF now()", ErrorKind::Syntax),
        ("SELECT * FROM t VERSION AS OF", ErrorKind::Syntax),
        ("SELECT * FROM t VERSION AS OF audit", ErrorKind::Syntax),
        ("SELECT * FROM t FOR SYSTEM_TIME AS OF (SELECT now())", ErrorKind::Syntax),
        ("SELECT * FROM t AT (NOSUCH => 1)", ErrorKind::Syntax),
        ("SELECT * FROM t@", ErrorKind::Syntax),
        ("SELECT * FROM t@branch(", ErrorKind::Syntax),
        ("INSERT INTO t@audit@b VALUES (1)", ErrorKind::Syntax),
        ("SELECT * FROM (SELECT * FROM t AS OF SYSTEM TIME '-10s') s", ErrorKind::NotSupported),
        ("UPDATE t SET a = 1 AS OF SYSTEM TIME '-10s'", ErrorKind::Syntax),
    ] {
        match parse(sql) {
            Ok(parsed) => panic!("{sql}: {parsed:?}"),
            Err(error) => assert_eq!(error.kind(), kind, "{sql}: {error:?}"),
        }
    }
    let error = parse("SELECT * FROM t x VERSION AS OF 1").unwrap_err();
    assert!(error.hint_text().is_some_and(|hint| hint.contains("before its alias")), "{error:?}");
}

#[test]
fn a_version_of_the_whole_statement() {
    for sql in [
        "SELECT * FROM t AS OF SYSTEM TIME '-10s'",
        "SELECT * FROM t AS x JOIN u ON x.k = u.k AS OF SYSTEM TIME '-10s' WHERE x.k = 1",
        "SELECT * FROM (SELECT 1) s AS OF SYSTEM TIME '-10s' ORDER BY 1",
        "EXPLAIN SELECT * FROM t AS OF SYSTEM TIME '-10s'",
    ] {
        let parsed = parsed(sql);
        assert_eq!(parsed.as_of.map(|e| e.to_string()), Some("'-10s'".to_owned()), "{sql}");
        assert_eq!(versions(&parsed.statement), [], "{sql}");
    }
}
