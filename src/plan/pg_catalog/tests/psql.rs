//! psql's own queries, as `psql -E` prints them, by command.

use super::fixture::{EVENTS, Session, TOP_USERS, USERS, oid};

/// `name` and `oid` in the place of `%NAME%` and `%OID%` in a text of psql's.
fn of(sql: &str, id: u64) -> String {
    sql.replace("%OID%", &oid(id).to_string()).replace("%INDEX%", &(oid(id) + 1).to_string())
}

#[test]
fn every_query_of_the_corpus_runs() {
    let session = Session::new();
    for (command, sql) in corpus() {
        if let Err(error) = session.ask(&of(sql, USERS)) {
            panic!("{command}: {error}\n{sql}");
        }
    }
}

/// (`\command`, query) of `psql.sql`: a line `-- \command` before each query.
fn corpus() -> impl Iterator<Item = (&'static str, &'static str)> {
    let parts = include_str!("psql.sql").split("-- \\").skip(1);
    parts.filter_map(|part| part.split_once('\n'))
}

fn query(command: &str, nth: usize) -> &'static str {
    let found = corpus().filter(|(c, _)| *c == command).nth(nth);
    found.unwrap_or_else(|| panic!("psql.sql has \\{command}, number {nth}")).1
}

#[test]
fn d_lists_relations() {
    let rows = Session::new().rows(query("d", 0));
    assert_eq!(
        rows,
        [
            ["public", "bare", "table", "ada"],
            ["public", "events", "table", "ada"],
            ["public", "top_users", "view", "ada"],
            ["public", "users", "table", "ada"],
        ]
    );
}

#[test]
fn d_table_finds_the_table_by_pattern() {
    let rows = Session::new().rows(query("d users", 0));
    assert_eq!(rows, [[oid(USERS).to_string().as_str(), "public", "users"]]);
}

#[test]
fn d_table_shows_columns_defaults_and_nullability() {
    let (names, rows) = Session::new().ask(&of(query("d users", 2), USERS)).expect("it runs");
    assert_eq!(names[1..3], ["format_type", "pg_get_expr"]);
    assert_eq!(
        rows,
        [
            ["id", "bigint", "∅", "true", "∅", "", ""],
            ["name", "character varying(20)", "∅", "true", "∅", "", ""],
            ["score", "numeric(10,2)", "0", "false", "∅", "", ""],
            ["created", "timestamp with time zone", "now()", "false", "∅", "", ""],
            ["tags", "text[]", "∅", "false", "∅", "", ""],
        ]
    );
}

#[test]
fn d_table_shows_the_primary_key() {
    let session = Session::new();
    let rows = session.rows(&of(query("d users", 3), EVENTS));
    assert_eq!(rows.len(), 1);
    assert_eq!(
        rows[0][..8],
        [
            "events_pkey",
            "true",
            "true",
            "false",
            "true",
            "CREATE UNIQUE INDEX events_pkey ON public.events USING btree (k, ts)",
            "PRIMARY KEY (k, ts)",
            "p",
        ]
    );
    assert_eq!(session.rows(&of(query("d users", 3), 3)).len(), 0, "bare has no key");
}

#[test]
fn d_table_has_no_policies_publications_or_parents() {
    let session = Session::new();
    for nth in 4..=8 {
        assert_eq!(session.rows(&of(query("d users", nth), USERS)).len(), 0, "number {nth}");
    }
}

#[test]
fn d_index_shows_its_columns_and_table() {
    let session = Session::new();
    let rows = session.rows(&of(query("d users_pkey", 1), EVENTS));
    assert_eq!(
        rows,
        [["k", "integer", "yes", "k"], ["ts", "timestamp without time zone", "yes", "ts"],]
    );
    let rows = session.rows(&of(query("d users_pkey", 2), EVENTS));
    assert_eq!(rows[0][..2], ["true", "true"]);
    assert_eq!(rows[0][8..10], ["btree", "events"]);
}

#[test]
fn views_show_their_text() {
    let session = Session::new();
    let rows = session.rows(&of(query("d+ top_users", 1), TOP_USERS));
    assert_eq!(rows, [["SELECT id, name FROM users;"]]);
    let rows = session.rows(&of(query("sv top_users", 1), TOP_USERS));
    assert_eq!(rows[0][..4], ["public", "top_users", "v", "SELECT id, name FROM users;"]);
}

#[test]
fn dt_plus_shows_size_and_comment() {
    let rows = Session::new().rows(query("dt+", 0));
    assert_eq!(
        rows.last().expect("three tables")[..],
        ["public", "users", "table", "ada", "permanent", "heap", "16 kB", "who"]
    );
}

#[test]
fn databases_schemas_roles_and_indexes_are_listed() {
    let session = Session::new();
    assert_eq!(session.rows(query("l", 0))[0][..3], ["main", "ada", "UTF8"]);
    assert_eq!(session.rows(query("dn", 0)), [["feat", "ada"], ["public", "ada"]]);
    let role = &session.rows(query("du", 0))[0];
    assert_eq!((role[0].as_str(), role[1].as_str(), role[8].as_str()), ("ada", "true", "[]"));
    let indexes = session.rows(query("di", 0));
    assert_eq!(indexes[0], ["public", "events_pkey", "index", "ada", "events"]);
}

#[test]
fn tab_completion_finds_names() {
    let session = Session::new();
    assert_eq!(session.rows(query("tab table", 0)), [["users", "∅"]]);
    let columns = session.rows(query("tab column", 0));
    assert_eq!(columns, [["id"], ["name"], ["score"], ["created"], ["tags"]]);
    assert_eq!(session.rows(query("tab zone", 0))[0], ["Europe/Paris"]);
}
