use crate::plan::pg_catalog::tests::fixture::Session;

/// Each pair: an expression, and the text of its value.
fn check(pairs: &[(&str, &str)]) {
    let session = Session::new();
    for (expr, expected) in pairs {
        assert_eq!(session.value(&format!("SELECT ({expr})::text")), *expected, "{expr}");
    }
}

#[test]
fn texts_that_arrow_does_not_read() {
    check(&[
        ("'infinity'::timestamptz", "infinity"),
        ("'2013-06-01 00:00+00'::timestamptz", "2013-06-01 00:00:00+00"),
        ("'Jan 5, 2024 3:00 pm'::timestamp", "2024-01-05 15:00:00"),
        ("'-infinity'::date", "-infinity"),
        ("'a0eebc999c0b4ef8bb6d6bb9bd380a11'::uuid", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"),
        ("'\\x00ff'::bytea", "\\x00ff"),
        ("'yes'::boolean", "true"),
        ("' 42 '::int", "42"),
        ("'NaN'::float8", "NaN"),
        ("'1 year 2 days'::text::interval", "1 year 2 days"),
        ("'{1,NULL,3}'::int[]", "{1,NULL,3}"),
        ("'{}'::bigint[]", "{}"),
        (r#"'{"\\x00ff",NULL}'::bytea[]"#, r#"{"\\x00ff",NULL}"#),
        (r#"'{"2024-01-01 00:00+02"}'::timestamptz[]"#, r#"{"2023-12-31 22:00:00+00"}"#),
        ("'{\"a\" :1}'::jsonb", "{\"a\": 1}"),
        ("NULL::text::timestamptz IS NULL", "true"),
    ]);
}

#[test]
fn texts_that_arrow_writes_otherwise() {
    check(&[
        ("1.5::float8", "1.5"),
        ("1e20::float8", "1e+20"),
        ("'2024-01-01 00:00'::timestamp", "2024-01-01 00:00:00"),
        ("'2024-01-01 00:00+00'::timestamptz || ''", "2024-01-01 00:00:00+00"),
        ("false", "false"),
        ("interval '90 minutes'", "01:30:00"),
        ("'\\xab'::bytea || ''", "\\xab"),
    ]);
}

#[test]
fn items_of_arrays_one_by_one() {
    check(&[
        ("ARRAY['1',' 2 ',NULL]::int[]", "{1,2,NULL}"),
        (r"(ARRAY['\x00ff']::bytea[])[1]", r"\x00ff"),
        ("ARRAY['yes','f']::boolean[]", "{t,f}"),
        ("ARRAY['Jan 5, 2024','infinity']::date[]", "{2024-01-05,infinity}"),
        ("ARRAY[1.5::float8, 1e20]::text[]", "{1.5,1e+20}"),
        ("ARRAY[]::text[]::int[]", "{}"),
        ("NULL::text[]::int[] IS NULL", "true"),
        ("2 = ANY ('{1,2}'::int[])", "true"),
    ]);
    let error = Session::new().ask("SELECT ARRAY['1','x']::int[]").unwrap_err();
    assert!(error.contains("invalid input syntax for type integer: \"x\""), "{error}");
}

#[test]
fn literals_take_the_type_beside_them() {
    check(&[
        ("'infinity'::timestamptz > '2999-01-01 12:00'", "true"),
        ("'2999-01-01'::timestamp BETWEEN '2024-01-01 00:00' AND 'infinity'", "true"),
        ("'NaN'::float8 = 'NaN'", "true"),
        ("'2024-01-01'::date IN ('Jan 1, 2024', '-infinity')", "true"),
        (
            "'00000000-0000-0000-0000-000000000000'::uuid = '{00000000000000000000000000000000}'",
            "true",
        ),
    ]);
}

#[test]
fn what_is_no_value_is_refused_as_postgresql_does() {
    let session = Session::new();
    for (expr, message) in [
        ("'abc'::int", "invalid input syntax for type integer: \"abc\""),
        ("'maybe'::boolean", "invalid input syntax for type boolean: \"maybe\""),
        ("1 = 'x'", "invalid input syntax for type bigint: \"x\""),
    ] {
        let error = session.ask(&format!("SELECT {expr}")).unwrap_err();
        assert!(error.contains(message), "{error}");
    }
    assert_eq!(session.value("SELECT TRY_CAST('abc' AS int)"), "∅");
}

#[test]
fn filters_are_literals_before_a_table_is_asked() {
    let session = Session::new();
    for filter in ["ts >= '2013-06-01 12:00'", "ts BETWEEN '2013-06-01 12:00' AND 'infinity'"] {
        let plan = session.rows(&format!("EXPLAIN SELECT k FROM events WHERE {filter}"));
        let plan = format!("{plan:?}");
        assert!(plan.contains("TimestampMicrosecond(1370088000000000, None)"), "{plan}");
        assert!(!plan.contains("CAST"), "{plan}");
    }
}

#[test]
fn intervals_times_numbers() {
    check(&[
        ("7 * interval '1 minute'", "00:07:00"),
        ("interval '1 month' * 1.5", "1 mon 15 days"),
        ("interval '1 day' / 3", "08:00:00"),
    ]);
}
