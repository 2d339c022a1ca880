//! Every family of statements but tables'.

use super::super::*;
use super::*;

/// Asserts the debug text of each statement contains these parts.
fn has(sql: &str, parts: &[&str]) {
    let shape = shape(sql);
    for part in parts {
        assert!(shape.contains(part), "{sql}: no {part} in {shape}");
    }
}

#[test]
fn many_and_none() {
    assert_eq!(parse("").unwrap().len(), 0);
    assert_eq!(parse(" ;; -- x\n ; /* ; */ ;").unwrap().len(), 0);
    let parsed = parse("SELECT $2, $1 ; ;\n SELECT ';' -- end").unwrap();
    assert_eq!(parsed.len(), 2);
    assert_eq!((parsed[0].parameters, parsed[0].offset), (2, 0));
    assert_eq!((parsed[1].parameters, parsed[1].offset), (0, 19));
    assert_eq!(parsed[0].text, "SELECT $2, $1");
    assert_eq!(parsed[1].text, "SELECT ';'");
}

#[test]
fn queries() {
    for sql in [
        "VALUES (1, 'a'), (2, 'b')",
        "(SELECT 1) UNION ALL (SELECT 2) ORDER BY 1",
        "WITH RECURSIVE r AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM r) SELECT * FROM r",
        "WITH ranked AS (SELECT a, ROW_NUMBER() OVER (PARTITION BY k ORDER BY f.ts DESC) AS rn \
         FROM e JOIN uf f ON e.k = f.k AND f.ts <= e.ts) SELECT a FROM ranked WHERE rn = 1",
        "SELECT committed_at, summary['spark.snapshot-property.code-version'] AS git_hash, \
         summary['run-id'] FROM f.snapshots",
        "SELECT COUNT(*) FILTER (WHERE a = 'x'), COUNT(DISTINCT b), SUM(CASE WHEN c THEN 1 END) FROM t",
        "SELECT PERCENTILE_CONT(0.95) WITHIN GROUP (ORDER BY a - b) < INTERVAL '5 minutes' FROM t",
        "SELECT a FROM t WHERE d BETWEEN CURRENT_DATE - INTERVAL '30 days' AND CURRENT_DATE",
        "SELECT DISTINCT ON (a) a, b FROM t ORDER BY a, b DESC NULLS LAST LIMIT 5 OFFSET 2",
        "SELECT a FROM t WHERE YEAR(ts) = 2025 AND x = ANY($1) AND y LIKE 'a%' ESCAPE '!'",
        "SELECT COUNT(*) = 0 FROM t WHERE a IS NOT DISTINCT FROM b",
        "SELECT a::int, 'x'::text, -1, +2, NOT true, a->>'b', a @> b, E'\\n', $$x$$ FROM t",
        "SELECT c.relname FROM pg_catalog.pg_class c \
         WHERE c.relname OPERATOR(pg_catalog.~) '^(t)$' COLLATE pg_catalog.default",
        "SELECT 'a'\n'b'",
        "SELECT f(a => 1), f(a := 1), count(*)",
        "SELECT * FROM t FETCH FIRST 3 ROWS ONLY",
        "SELECT position('a' IN b), overlay(a PLACING b FROM 1), ceil(a), floor(a) FROM t",
        "SELECT FROM t",
        "SELECT interval '1' day, interval '1 day 2 hours', position, path, box FROM t",
        "SELECT n.nspname as \"Schema\", CASE c.relkind WHEN 'r' THEN 'table' END as \"Type\", \
         pg_catalog.pg_get_userbyid(c.relowner) as \"Owner\" FROM pg_catalog.pg_class c \
         LEFT JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
         WHERE c.relkind IN ('r','p','') AND n.nspname !~ '^pg_toast' \
         AND pg_catalog.pg_table_is_visible(c.oid) ORDER BY 1,2",
        "SELECT a.attname, pg_catalog.format_type(a.atttypid, a.atttypmod), \
         (SELECT pg_catalog.pg_get_expr(d.adbin, d.adrelid, true) FROM pg_catalog.pg_attrdef d \
          WHERE d.adrelid = a.attrelid AND d.adnum = a.attnum AND a.atthasdef), \
         pg_catalog.array_to_string(ARRAY(SELECT x FROM y), ', '), \
         c.reloftype::pg_catalog.regtype::pg_catalog.text, '{r}'::pg_catalog.\"char\"[] \
         FROM pg_catalog.pg_attribute a WHERE a.attrelid = '16384'::pg_catalog.oid \
         AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum",
        "SELECT current_schema(), current_user, session_user, version(), current_database()",
        "SELECT (a, b) = (1, 2), ROW(1, 2), a[1], a[1:2], (x).y, x NOTNULL FROM t",
        "SELECT x FROM t GROUP BY GROUPING SETS ((a), (b)), ROLLUP (c) ORDER BY x",
        "SELECT sum(a) OVER w FROM t WINDOW w AS (PARTITION BY b ORDER BY c ROWS 3 PRECEDING)",
        "SELECT * FROM t TABLESAMPLE BERNOULLI (10)",
        "SELECT * FROM t1 NATURAL JOIN t2 CROSS JOIN t3",
        "SELECT * FROM t1 t LEFT JOIN LATERAL (SELECT * FROM u WHERE u.k = t.k) x ON true",
    ] {
        assert!(matches!(one(sql), Statement::Query(_)), "{sql}");
    }
    has("SELECT 'a'\n  'b'", &["SingleQuotedString(\"ab\")"]);
}

#[test]
fn writes() {
    has(
        "INSERT INTO t (a) VALUES (1) ON CONFLICT (a) DO NOTHING RETURNING *",
        &["Insert(", "DoNothing"],
    );
    has("INSERT INTO t DEFAULT VALUES", &["Insert(", "source: None"]);
    has("INSERT INTO t AS x (a) SELECT 1", &["Insert("]);
    has("WITH x AS (SELECT 1) INSERT INTO t SELECT * FROM x", &["Insert(", "cte_tables: [Cte"]);
    has("WITH x AS (SELECT 1) UPDATE t SET a = 1 FROM x", &["Update(", "with: Some("]);
    has("WITH x AS (SELECT 1) DELETE FROM t USING x", &["Delete(", "with: Some("]);
    has("DELETE FROM t WHERE a = $1 RETURNING a", &["Delete(", "with: None"]);
    has(
        "MERGE INTO t USING u ON t.k = u.k WHEN MATCHED AND u.d THEN DELETE \
         WHEN MATCHED THEN UPDATE SET a = u.a WHEN NOT MATCHED THEN INSERT (k, a) VALUES (u.k, u.a)",
        &["Merge(", "NotMatched"],
    );
    has("TRUNCATE a, b RESTART IDENTITY CASCADE", &["restart_identity: true", "cascade: true"]);
    let moved = "WITH c AS (SELECT 1), d AS (DELETE FROM t RETURNING *), e (x) AS (INSERT INTO u \
                 SELECT * FROM d RETURNING k) SELECT * FROM e, c";
    has(moved, &["With(", "name: \"d\"", "Delete(", "columns: [\"x\"]", "Insert(", "Query("]);
    has("INSERT OVERWRITE t SELECT 1", &["replace: Some(All)"]);
    has("INSERT OVERWRITE TABLE t SELECT 1", &["replace: Some(All)"]);
    has("INSERT INTO TABLE t SELECT 1", &["replace: None"]);
    let where_k = "INSERT INTO t (k) REPLACE WHERE k >= 3 AND (k < 9) SELECT k FROM u";
    has(where_k, &["replace: Some(Where(BinaryOp"]);
    has("INSERT INTO t OVERRIDING SYSTEM VALUE VALUES (1)", &["replace: None"]);
    has(
        "MERGE INTO t USING u ON t.k = u.k WHEN MATCHED AND u.k > 1 THEN DO NOTHING \
         WHEN NOT MATCHED BY SOURCE THEN DO NOTHING WHEN NOT MATCHED THEN INSERT DEFAULT VALUES",
        &["Merge(", "asofdb do nothing", "NotMatchedBySource"],
    );
}

#[test]
fn explained() {
    has("EXPLAIN SELECT 1", &["analyze: false", "verbose: false"]);
    has("EXPLAIN ANALYZE VERBOSE SELECT 1", &["analyze: true", "verbose: true"]);
    has(
        "EXPLAIN (ANALYZE, VERBOSE off, FORMAT json) SELECT 1",
        &["analyze: true", "verbose: false", "(\"format\", Some(\"json\"))"],
    );
    has("EXPLAIN (SELECT 1)", &["Query("]);
    has("EXPLAIN EXECUTE p(1)", &["Execute {"]);
}

#[test]
fn copies() {
    let copy = |sql: &str| match one(sql) {
        Statement::Copy(copy) => *copy,
        other => panic!("{other:?}"),
    };
    let csv =
        copy("COPY t (a, b) FROM STDIN WITH (FORMAT csv, HEADER true, NULL '', DELIMITER ';')");
    assert_eq!(csv.options.format, CopyFormat::Csv);
    assert_eq!((csv.options.delimiter, csv.options.header), (Some(b';'), CopyHeader::Yes));
    assert_eq!(csv.options.null.as_deref(), Some(""));
    assert!(matches!(csv.target, CopyTarget::Table { columns, .. } if columns == ["a", "b"]));
    for sql in [
        "COPY t FROM STDIN CSV HEADER",
        "COPY t FROM STDIN WITH CSV HEADER QUOTE AS '\"' ESCAPE '\\'",
        "COPY t FROM stdin (FORMAT \"csv\", HEADER)",
        "COPY t FROM STDIN WITH (header on, format 'csv')",
    ] {
        let copy = copy(sql);
        assert!(copy.from && copy.location == CopyLocation::Stdin, "{sql}");
        assert_eq!(copy.options.format, CopyFormat::Csv, "{sql}");
        assert_eq!(copy.options.header, CopyHeader::Yes, "{sql}");
    }
    for sql in [
        "COPY t TO STDOUT (FORMAT \"binary\")",
        "COPY t TO STDOUT WITH BINARY",
        "COPY BINARY t TO STDOUT",
        "COPY t TO STDOUT BINARY",
    ] {
        assert_eq!(copy(sql).options.format, CopyFormat::Binary, "{sql}");
    }
    assert_eq!(copy("COPY t FROM '/x/y.parquet'").options.format, CopyFormat::Parquet);
    assert_eq!(copy("COPY t FROM '/x/y.csv'").options.format, CopyFormat::Text);
    let parquet = copy("COPY (SELECT 1) TO '/x/y' (FORMAT parquet, COMPRESSION zstd)").options;
    assert_eq!(parquet.format, CopyFormat::Parquet);
    assert_eq!(parquet.other, [("compression".to_owned(), "zstd".to_owned())]);
    assert_eq!(copy("COPY t FROM STDIN (HEADER match)").options.header, CopyHeader::Match);
    let forced =
        copy("COPY t FROM STDIN (FORMAT csv, FORCE_NULL (a, b), FORCE_NOT_NULL *)").options;
    assert_eq!(forced.force_null, Some(vec!["a".to_owned(), "b".to_owned()]));
    assert_eq!(forced.force_not_null, Some(vec![]));
    assert!(copy("COPY t FROM STDIN WHERE a > 1").filter.is_some());
    for bad in ["COPY (SELECT 1) FROM STDIN", "COPY t FROM STDIN DELIMITER 'ab'", "COPY t FROM x"] {
        assert!(parse(bad).is_err(), "{bad}");
    }
}

#[test]
fn refs() {
    has("CREATE BRANCH b", &["tag: false", "name: \"b\"", "from: None", "retain: None"]);
    has(
        "CREATE OR REPLACE BRANCH IF NOT EXISTS \"B\" FROM main",
        &["or_replace: true", "if_not_exists: true", "name: \"B\"", "slot: Ref"],
    );
    has("CREATE BRANCH b FROM main TIMESTAMP AS OF '2023-01-01'", &["slot: Time", "within: Some("]);
    has("CREATE BRANCH b FROM TAG t1", &["SingleQuotedString(\"t1\")"]);
    has("CREATE BRANCH b FROM 12", &["slot: Version", "Number(\"12\""]);
    has(
        "CREATE BRANCH b AT (VERSION => 12) RETAIN 7 DAYS",
        &["slot: Version", "age_us: Some(604800000000)"],
    );
    has("CREATE TAG v1 AS OF VERSION 12 RETAIN 12 HOURS", &["tag: true", "Some(43200000000)"]);
    has("CREATE TAG v1 AS OF TIMESTAMP '2023-01-01'", &["slot: Time"]);
    has("CREATE TAG 'v-1' FOR SYSTEM_VERSION AS OF 12", &["name: \"v-1\""]);
    has("DROP BRANCH IF EXISTS b", &["tag: false", "if_exists: true"]);
    has("DROP TAG b", &["tag: true", "if_exists: false"]);
    has("MERGE BRANCH a INTO b WHEN CONFLICT THEIRS DRY RUN", &["Theirs", "dry_run: true"]);
    has("MERGE BRANCH a", &["into: \"main\"", "Fail"]);
    has(
        "PUBLISH BRANCH a INTO main EXPECT 12 CHECK (SELECT count(*) = 0 FROM t@a WHERE x)",
        &["expect: Some(12)", "\"SELECT count(*) = 0 FROM t@a WHERE x\""],
    );
    has("PUBLISH BRANCH a", &["into: \"main\"", "expect: None", "checks: []"]);
    has("ALTER BRANCH main FAST FORWARD TO audit", &["FastForward", "to: \"audit\""]);
    has("RESTORE TABLE t TO VERSION AS OF 12", &["RestoreTable", "slot: Version"]);
    has("RESTORE TABLE t TO TIMESTAMP AS OF '2023-01-01'", &["slot: Time"]);
    has("ROLLBACK BRANCH main TO 'tag'", &["RollbackBranch", "slot: Version"]);
    has("ROLLBACK BRANCH main TO tag1", &["RollbackBranch", "slot: Ref"]);
    has("ROLLBACK BRANCH main TO TIMESTAMP AS OF '2023-01-01'", &["slot: Time"]);
    has("UNDROP TABLE s.t", &["UndropTable"]);
    has("USE BRANCH b", &["UseBranch(\"b\")"]);
    has("SHOW BRANCHES", &["Branches(None)"]);
    has("SHOW TAGS IN TABLE t", &["Tags(Some("]);
    has("SHOW LOG main LIMIT 5", &["branch: Some(\"main\"), table: None, limit: Some(5)"]);
    has("SHOW LOG", &["branch: None, table: None, limit: None"]);
    has("DESCRIBE HISTORY sch.f", &["History(Table"]);
    has("DESCRIBE HISTORY f@b LIMIT 3", &["limit: Some(3)", "slot: Ref"]);
    has("DESCRIBE history", &["Describe("]);
    has("DESC t", &["Describe("]);
}

#[test]
fn calls() {
    let call = |sql: &str| match one(sql) {
        Statement::Call(call) => call,
        other => panic!("{other:?}"),
    };
    let fast = call("CALL local.system.fast_forward('f', 'main', 'audit')");
    assert_eq!(fast.procedure, ["system", "fast_forward"]);
    assert_eq!(fast.arguments.len(), 3);
    let named =
        call("CALL system.remove_orphan_files(table => 'f', older_than := TIMESTAMP '2023-01-01')");
    let names: Vec<_> = named.arguments.iter().map(|a| a.name.clone().unwrap()).collect();
    assert_eq!(names, ["table", "older_than"]);
    assert_eq!(call("CALL p()").procedure, ["p"]);
    assert_eq!(
        call("CALL system.expire_snapshots('f', TIMESTAMP '2023-01-01', 1)").arguments.len(),
        3
    );
}

#[test]
fn settings() {
    let set = |sql: &str| match one(sql) {
        Statement::Set(Set { name, value: SettingValue::Values(values), local }) => {
            (name, values.join(","), local)
        }
        other => panic!("{other:?}"),
    };
    for (sql, name, value) in [
        ("SET search_path TO a, \"B\", 'c'", "search_path", "a,B,c"),
        ("SET TIME ZONE 'Europe/Rome'", "timezone", "Europe/Rome"),
        ("SET TIME ZONE UTC", "timezone", "utc"),
        ("SET SESSION TIME ZONE -7", "timezone", "-7"),
        ("SET TIME ZONE INTERVAL '-08:00'", "timezone", "-08:00"),
        ("SET TimeZone = 'UTC'", "timezone", "UTC"),
        ("SET datafusion.execution.batch_size = 1024", "datafusion.execution.batch_size", "1024"),
        ("SET asofdb.asof_mode = seek", "asofdb.asof_mode", "seek"),
        ("SET spark.wap.branch = 'audit_a1'", "spark.wap.branch", "audit_a1"),
        ("SET branch = 'b'", "branch", "b"),
        ("SET as_of = '2023-01-01'", "as_of", "2023-01-01"),
        ("SET extra_float_digits = -1", "extra_float_digits", "-1"),
        ("SET enable_x TO on", "enable_x", "on"),
        ("SET NAMES 'utf8'", "client_encoding", "utf8"),
        ("SET SESSION AUTHORIZATION x", "session_authorization", "x"),
        ("SET ROLE x", "role", "x"),
        ("SET role = x", "role", "x"),
        ("SET SCHEMA 's'", "search_path", "s"),
        ("SET statement_timeout = '5s'", "statement_timeout", "5s"),
    ] {
        assert_eq!(set(sql), (name.to_owned(), value.to_owned(), false), "{sql}");
    }
    assert!(set("SET LOCAL x = 1").2);
    has("SET x TO DEFAULT", &["Default"]);
    has("SET TIME ZONE LOCAL", &["Default", "timezone"]);
    has("SET TRANSACTION ISOLATION LEVEL SERIALIZABLE, READ ONLY", &["Serializable", "Some(true)"]);
    has("SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE", &["session: true", "Some(false)"]);
    has("SET TRANSACTION SNAPSHOT '12'", &["snapshot: Some(\"12\")"]);
    has("RESET ALL", &["Reset(None)"]);
    has("RESET datafusion.x.y", &["Reset(Some(\"datafusion.x.y\"))"]);
    has("SHOW ALL", &["Show(All)"]);
    has("SHOW TRANSACTION ISOLATION LEVEL", &["Name(\"transaction_isolation\")"]);
    has("SHOW TIME ZONE", &["Name(\"timezone\")"]);
    has("SHOW server_version", &["Name(\"server_version\")"]);
    has("DISCARD ALL", &["Discard(\"all\")"]);
}

#[test]
fn transactions() {
    has("BEGIN", &["Begin(", "isolation: None"]);
    has("BEGIN WORK ISOLATION LEVEL REPEATABLE READ READ ONLY", &["RepeatableRead", "Some(true)"]);
    has("START TRANSACTION READ ONLY, NOT DEFERRABLE", &["deferrable: Some(false)"]);
    has("BEGIN READ ONLY AS OF SYSTEM TIME '-10s'", &["as_of: Some("]);
    for sql in ["COMMIT", "COMMIT WORK", "END TRANSACTION", "END"] {
        has(sql, &["Commit { chain: false }"]);
    }
    for sql in ["ROLLBACK", "ABORT", "ROLLBACK TRANSACTION", "ABORT WORK"] {
        has(sql, &["Rollback { chain: false }"]);
    }
    has("COMMIT AND CHAIN", &["chain: true"]);
    has("SAVEPOINT a", &["Savepoint(\"a\")"]);
    for sql in ["ROLLBACK TO a", "ROLLBACK TO SAVEPOINT a", "ROLLBACK WORK TO SAVEPOINT a"] {
        has(sql, &["RollbackTo(\"a\")"]);
    }
    has("RELEASE SAVEPOINT a", &["Release(\"a\")"]);
}

#[test]
fn prepared_and_cursors() {
    let prepared = parsed("PREPARE p (int, text) AS SELECT $1, $3");
    assert_eq!(prepared.parameters, 0, "they are EXECUTE's to give");
    has("PREPARE p (int, text) AS SELECT $1, $3", &["types: [Int4, Text]", "parameters: 3"]);
    has("EXECUTE p (1, 'a')", &["Execute { name: \"p\""]);
    has("EXECUTE p", &["arguments: []"]);
    has("DEALLOCATE PREPARE ALL", &["Deallocate(None)"]);
    has("DEALLOCATE p", &["Deallocate(Some(\"p\"))"]);
    has(
        "DECLARE c BINARY NO SCROLL CURSOR WITH HOLD FOR SELECT 1",
        &["binary: true", "scroll: Some(false)", "hold: true"],
    );
    use FetchDirection::*;
    for (sql, expected) in [
        ("FETCH c", Forward(Some(1))),
        ("FETCH FROM c", Forward(Some(1))),
        ("FETCH NEXT FROM c", Forward(Some(1))),
        ("FETCH NEXT c", Forward(Some(1))),
        ("FETCH next", Forward(Some(1))),
        ("FETCH PRIOR IN c", Backward(Some(1))),
        ("FETCH FIRST FROM c", Absolute(1)),
        ("FETCH LAST FROM c", Absolute(-1)),
        ("FETCH ABSOLUTE -3 FROM c", Absolute(-3)),
        ("FETCH RELATIVE 2 FROM c", Relative(2)),
        ("FETCH 5 FROM c", Forward(Some(5))),
        ("FETCH -5 FROM c", Forward(Some(-5))),
        ("FETCH ALL FROM c", Forward(None)),
        ("FETCH FORWARD FROM c", Forward(Some(1))),
        ("FETCH FORWARD 5 FROM c", Forward(Some(5))),
        ("FETCH FORWARD ALL IN c", Forward(None)),
        ("FETCH BACKWARD c", Backward(Some(1))),
        ("FETCH BACKWARD ALL FROM c", Backward(None)),
    ] {
        match one(sql) {
            Statement::Fetch(fetch) => assert_eq!(fetch.direction, expected, "{sql}"),
            other => panic!("{other:?}"),
        }
    }
    has("MOVE 3 FROM c", &["moves: true"]);
    has("CLOSE ALL", &["Close(None)"]);
    has("CLOSE c", &["Close(Some(\"c\"))"]);
}

#[test]
fn the_rest() {
    has("LISTEN x", &["Listen(\"x\")"]);
    has("UNLISTEN *", &["Unlisten(None)"]);
    has("NOTIFY x, 'hello'", &["payload: Some(\"hello\")"]);
    has("LOCK TABLE a, b IN ACCESS EXCLUSIVE MODE NOWAIT", &["ACCESS EXCLUSIVE", "nowait: true"]);
    has("LOCK t", &["mode: None"]);
    has("VACUUM", &["options: []", "tables: []"]);
    has("VACUUM ANALYZE t", &["(\"analyze\", None)"]);
    has("VACUUM (FULL, ANALYZE true) t, u", &["(\"full\", None)", "(\"analyze\", Some(\"true\"))"]);
    has("VACUUM t RETAIN 168 HOURS DRY RUN", &["(\"retain_hours\", Some(\"168\"))", "dry_run"]);
    has("ANALYZE", &["Analyze { tables: []"]);
    has("ANALYZE VERBOSE t (a, b)", &["verbose: true"]);
    has("CHECKPOINT", &["Checkpoint"]);
    has("DO $$ BEGIN END $$", &["plpgsql"]);
    has("COMMENT ON TABLE t IS 'x'", &["Object(Table", "Some(\"x\")"]);
    has("COMMENT ON COLUMN s.t.c IS NULL", &["Column(", "\"c\"", "text: None"]);
    has("DROP TABLE IF EXISTS a, b.c CASCADE", &["if_exists: true", "cascade: true"]);
    has("DROP MATERIALIZED VIEW v RESTRICT", &["MaterializedView", "cascade: false"]);
    has("CREATE SCHEMA IF NOT EXISTS cat.s", &["CreateSchema", "if_not_exists: true"]);
    has(
        "CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS i ON t USING btree (a, b DESC)",
        &["unique: true", "columns: Some([\"a\", \"b\"])"],
    );
    has("CREATE INDEX ON t (lower(a))", &["name: None", "columns: None"]);
}

#[test]
fn small_doors() {
    assert_eq!(
        expression("a > 0 AND now() IS NOT NULL").unwrap().to_string(),
        "a > 0 AND now() IS NOT NULL"
    );
    assert!(
        expression("a, b").is_err() && expression("").is_err() && expression("SELECT 1").is_err()
    );
    assert!(query("SELECT * FROM t@b AS x").is_ok());
    let version = version_literal("v127");
    assert_eq!((version.slot, version.value.to_string()), (Slot::Version, "'v127'".to_owned()));
}
