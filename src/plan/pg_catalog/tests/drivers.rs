//! What drivers and tools ask when they connect and reflect, and the functions beside it.

use super::fixture::{Session, USERS, oid};

#[test]
fn the_session_tells_who_and_where_it_is() {
    let session = Session::new();
    let (names, rows) = session
        .ask("select current_schema(), current_schemas(true), current_database(), current_user, session_user, user, current_catalog, current_role, current_schema")
        .expect("it runs");
    assert_eq!(names[5..], ["user", "current_catalog", "current_role", "current_schema"]);
    let expected = "public|[pg_catalog, public]|main|ada|ada|ada|main|ada|public";
    assert_eq!(rows[0].join("|"), expected);
    let version = session.value("SELECT pg_catalog.version()");
    assert!(version.starts_with("PostgreSQL 16.4 (AsofDB 0.1.0) on "), "{version}");
    assert_eq!(session.value("select pg_backend_pid(), pg_is_in_recovery()"), "42|false");
}

#[test]
fn now_is_the_transaction_s_start() {
    let session = Session::new();
    let times = session.value(
        "select now() = transaction_timestamp(), clock_timestamp() - now(), current_date, to_char(now(), 'YYYY-MM-DD HH24:MI:SS.US')",
    );
    assert!(times.starts_with("true|"), "{times}");
    assert!(times.ends_with("|2024-02-05|2024-02-05 15:04:09.012345"), "{times}");
    assert_eq!(session.value("select year(now()), month(now()), day(now())"), "2024|2|5");
}

#[test]
fn settings_are_read_and_unknown_ones_refused() {
    let session = Session::new();
    let read = "select current_setting('search_path'), current_setting('nope', true), set_config('a', 'b', false)";
    assert_eq!(session.value(read), "public|∅|b");
    let error = session.ask("select current_setting('nope')").expect_err("there is none");
    assert!(error.contains("unrecognized configuration parameter \"nope\""), "{error}");
}

#[test]
fn casts_to_names_look_up_both_ways() {
    let session = Session::new();
    let users = oid(USERS);
    let sql = "SELECT c.oid::regclass, 'users'::regclass::oid, 23::regtype, 'int4'::regtype::oid, 'feat.f'::regclass::text
               FROM pg_class c WHERE c.oid = 'users'::regclass";
    assert_eq!(session.value(sql), format!("users|{users}|integer|23|feat.f"));
    let error = session.ask("select 'nope'::regclass").expect_err("there is none");
    assert!(error.contains("relation \"nope\" does not exist"), "{error}");
    assert_eq!(session.value("select to_regclass('nope')"), "∅");
}

#[test]
fn types_are_loaded_as_npgsql_and_psycopg_do() {
    let session = Session::new();
    let npgsql = "SELECT typ.oid, typ.typname, proc.proname, elem.typname FROM pg_type AS typ
        LEFT JOIN pg_proc AS proc ON proc.oid = typ.typreceive
        LEFT JOIN pg_type AS elem ON elem.oid = typ.typelem
        WHERE typ.typname IN ('int4', '_text') ORDER BY 1";
    assert_eq!(
        session.rows(npgsql),
        [["23", "int4", "int4recv", "∅"], ["1009", "_text", "array_recv", "text"]]
    );
    let psycopg = "SELECT typname AS name, oid, typarray AS array_oid, oid::regtype::text AS regtype, typdelim AS delimiter
        FROM pg_type t WHERE t.oid = to_regtype('integer') ORDER BY t.oid";
    assert_eq!(session.value(psycopg), "int4|23|1007|integer|,");
    let tokio =
        "SELECT t.typname, t.typtype, t.typelem, r.rngsubtype, t.typbasetype, n.nspname, t.typrelid
        FROM pg_catalog.pg_type t LEFT OUTER JOIN pg_catalog.pg_range r ON r.rngtypid = t.oid
        INNER JOIN pg_catalog.pg_namespace n ON t.typnamespace = n.oid WHERE t.oid = 3904";
    assert_eq!(session.value(tokio), "int4range|r|0|23|0|pg_catalog|0");
}

#[test]
fn sqlalchemy_reflects_columns_and_keys() {
    let session = Session::new();
    let columns = "SELECT pg_catalog.pg_attribute.attname AS name, (SELECT pg_catalog.pg_get_expr(pg_catalog.pg_attrdef.adbin, pg_catalog.pg_attrdef.adrelid) AS pg_get_expr_1
        FROM pg_catalog.pg_attrdef WHERE pg_catalog.pg_attrdef.adrelid = pg_catalog.pg_attribute.attrelid AND pg_catalog.pg_attrdef.adnum = pg_catalog.pg_attribute.attnum AND pg_catalog.pg_attribute.atthasdef) AS \"default\",
        (SELECT json_build_object('always', pg_catalog.pg_attribute.attidentity = 'a') AS json_build_object_1
        FROM pg_catalog.pg_sequence WHERE pg_catalog.pg_attribute.attidentity != '' AND pg_catalog.pg_sequence.seqrelid = CAST(CAST(pg_catalog.pg_get_serial_sequence(CAST(CAST(pg_catalog.pg_attribute.attrelid AS REGCLASS) AS TEXT), pg_catalog.pg_attribute.attname) AS REGCLASS) AS OID)) AS identity_options
        FROM pg_catalog.pg_class LEFT OUTER JOIN pg_catalog.pg_attribute ON pg_catalog.pg_class.oid = pg_catalog.pg_attribute.attrelid AND pg_catalog.pg_attribute.attnum > 0
        WHERE pg_catalog.pg_class.relkind = ANY (ARRAY['r', 'p', 'f', 'v', 'm']) AND pg_catalog.pg_class.relname IN ('users') ORDER BY pg_catalog.pg_class.relname, pg_catalog.pg_attribute.attnum";
    assert_eq!(session.rows(columns)[2], ["score", "0", "∅"]);
    let keys = "SELECT attr.conrelid, array_agg(CAST(attr.attname AS TEXT) ORDER BY attr.ord) AS cols, attr.conname
        FROM (SELECT con.conrelid AS conrelid, con.conname AS conname, con.ord AS ord, pg_catalog.pg_attribute.attname AS attname
        FROM pg_catalog.pg_attribute JOIN (SELECT pg_catalog.pg_constraint.conrelid AS conrelid, pg_catalog.pg_constraint.conname AS conname, unnest(pg_catalog.pg_constraint.conkey) AS attnum, generate_subscripts(pg_catalog.pg_constraint.conkey, 1) AS ord
        FROM pg_catalog.pg_constraint WHERE pg_catalog.pg_constraint.contype = 'p') AS con ON pg_catalog.pg_attribute.attnum = con.attnum AND pg_catalog.pg_attribute.attrelid = con.conrelid) AS attr
        GROUP BY attr.conrelid, attr.conname ORDER BY attr.conrelid";
    let keys = session.rows(keys);
    assert_eq!(keys[1][1..], ["[k, ts]", "events_pkey"]);
}

#[test]
fn pgjdbc_finds_the_primary_key() {
    let sql = "SELECT result.TABLE_NAME, result.COLUMN_NAME, result.KEY_SEQ, result.PK_NAME FROM
        (SELECT NULL AS TABLE_CAT, n.nspname AS TABLE_SCHEM, ct.relname AS TABLE_NAME, a.attname AS COLUMN_NAME,
        (information_schema._pg_expandarray(i.indkey)).n AS KEY_SEQ, ci.relname AS PK_NAME,
        information_schema._pg_expandarray(i.indkey) AS KEYS, a.attnum AS A_ATTNUM
        FROM pg_catalog.pg_class ct JOIN pg_catalog.pg_attribute a ON (ct.oid = a.attrelid)
        JOIN pg_catalog.pg_namespace n ON (ct.relnamespace = n.oid)
        JOIN pg_catalog.pg_index i ON (a.attrelid = i.indrelid)
        JOIN pg_catalog.pg_class ci ON (ci.oid = i.indexrelid)
        WHERE true AND ct.relname = 'events' AND i.indisprimary) result
        where result.A_ATTNUM = (result.KEYS).x ORDER BY result.table_name, result.pk_name, result.key_seq";
    assert_eq!(
        Session::new().rows(sql),
        [["events", "k", "1", "events_pkey"], ["events", "ts", "2", "events_pkey"]]
    );
}

#[test]
fn information_schema_tells_the_same() {
    let session = Session::new();
    let columns = session.rows(
        "select column_name, data_type, is_nullable, character_maximum_length, numeric_precision, numeric_scale, udt_name
         from information_schema.columns where table_name = 'users' order by ordinal_position",
    );
    assert_eq!(columns[1], ["name", "character varying", "NO", "20", "∅", "∅", "varchar"]);
    assert_eq!(columns[2], ["score", "numeric", "YES", "∅", "10", "2", "numeric"]);
    assert_eq!(columns[4][1], "ARRAY");
    let key = session.rows(
        "SELECT kcu.column_name FROM information_schema.table_constraints tc
         JOIN information_schema.key_column_usage kcu ON tc.constraint_name = kcu.constraint_name
         WHERE tc.constraint_type = 'PRIMARY KEY' AND tc.table_name = 'events' order by kcu.ordinal_position",
    );
    assert_eq!(key, [["k"], ["ts"]]);
}

#[test]
fn a_value_of_two_rows_is_an_error_and_of_none_is_null() {
    let session = Session::new();
    let error = session.ask("select (select oid from pg_class)").expect_err("many rows");
    assert!(error.contains("more than one row returned by a subquery"), "{error}");
    assert_eq!(session.value("select (select id from users)"), "∅");
    let newest = "select n.nspname, (select c.relname from pg_class c where c.relnamespace = n.oid order by c.oid desc limit 1)
                  from pg_namespace n where n.nspname = 'public'";
    assert_eq!(session.value(newest), "public|top_users");
    let exists = "select exists(select 1 from users), not exists(select 1 from users)";
    assert_eq!(session.value(exists), "false|true");
    let rows = "select array(select relname from pg_class where relname like 'user%' and relkind = 'i'), array(select 1 where false)";
    assert_eq!(session.value(rows), "[users_pkey]|[]");
}

#[test]
fn arrays_sets_and_maps_work_as_written() {
    let session = Session::new();
    let sets = "select a.ord, a.v from unnest(array['x','y']) with ordinality as a(v, ord)";
    assert_eq!(session.rows(sets), [["1", "x"], ["2", "y"]]);
    assert_eq!(session.rows("select s from generate_series(1, 2) s"), [["1"], ["2"]]);
    let any = "SELECT oid FROM pg_type WHERE typname = ANY('{int4,text}'::text[]) order by 1";
    assert_eq!(session.rows(any), [["23"], ["25"]]);
    assert_eq!(session.value("select map(array['a'], array[1])['a'], '{1,2}'::int[]"), "1|[1, 2]");
    let vector = "select i.indkey[0], i.indkey[1], c.conkey[1] from pg_index i join pg_constraint c on c.conindid = i.indexrelid where c.conname = 'events_pkey'";
    assert_eq!(session.value(vector), "1|2|1");
}

#[test]
fn types_are_what_postgres_names() {
    let sql = "select '5'::numeric, '5.123'::numeric(5,1), 'a'::char(3), 'x'::name, 1::\"char\", '2024-01-01'::timestamptz, gen_random_uuid() is null";
    assert_eq!(Session::new().value(sql), "5.0000000000|5.1|a|x|1|2024-01-01T00:00:00Z|false");
}

#[test]
fn uuids_are_read_and_others_refused() {
    let session = Session::new();
    let one = "select '{00000000-0000-0000-0000-0000000000ff}'::uuid = '000000000000000000000000000000FF'::uuid, b = b::uuid from (select gen_random_uuid() as b) t";
    assert_eq!(session.value(one), "true|true");
    let error =
        session.ask("select '+0000000-0000-0000-0000-0000000000ff'::uuid").expect_err("a sign");
    assert!(error.contains("invalid input syntax for type uuid"), "{error}");
}

#[test]
fn rights_are_told_and_objects_checked() {
    let session = Session::new();
    let sql = "select has_table_privilege('users', 'select'), has_table_privilege('ada', 'users', 'SELECT, INSERT'), has_schema_privilege('public', 'usage'), has_table_privilege(1, 'select')";
    assert_eq!(session.value(sql), "true|true|true|∅");
    for sql in [
        "select has_table_privilege('nope', 'select')",
        "select has_table_privilege('users', 'fly')",
    ] {
        assert!(session.ask(sql).is_err(), "{sql}");
    }
}

#[test]
fn names_of_results_are_postgres_s() {
    let (names, _) = Session::new()
        .ask("select count(*), 1 + 1, 1 + 2, 'x'::text, true, n.oid, n.oid, case when true then 1 end from pg_namespace n group by n.oid")
        .expect("it runs");
    assert_eq!(names, ["count", "?column?", "?column?", "text", "bool", "oid", "oid", "case"]);
    let (names, _) = Session::new().ask("select n.oid, n.* from pg_namespace n").expect("it runs");
    assert_eq!(names, ["oid", "oid", "nspname", "nspowner", "nspacl"]);
}

#[test]
fn names_of_results_do_not_change_what_order_and_group_mean() {
    let session = Session::new();
    let kinds = "select relkind, count(*), count(*) from pg_class where relname in ('users', 'events', 'top_users')
                 group by relkind having count(*) > 0 order by count(*) desc, 1";
    assert_eq!(session.rows(kinds), [["r", "2", "2"], ["v", "1", "1"]]);
    let upper = "select upper(relname) from pg_class where relname like 'event%' group by upper(relname) order by upper(relname) desc";
    assert_eq!(session.rows(upper), [["EVENTS_PKEY"], ["EVENTS"]]);
    let twice = "select relname, relname, -reltuples from pg_class c where relname in ('users', 'top_users') order by relname desc";
    assert_eq!(session.rows(twice)[0], ["users", "users", "-3.0"]);
    let wild = "select *, oid from (select oid, relname from pg_class where relname in ('users', 'bare')) t order by relname";
    assert_eq!(session.rows(wild)[0][1], "bare");
    let union = "select 1, 1 union all select 2, 3 order by 1";
    assert_eq!(session.rows(union), [["1", "1"], ["2", "3"]]);
}

#[test]
fn other_collations_are_refused() {
    let session = Session::new();
    assert_eq!(session.value("select 'a' collate \"C\" < 'b'"), "true");
    let error = session.ask("select 'a' collate \"de_DE\"").expect_err("bytes only");
    assert!(error.contains("collation \"de_DE\" is not supported"), "{error}");
}
