//! The documentation runs: every SQL block of docs/sql.md, docs/asof.md and docs/versions.md, from top to bottom, in
//! one session on a fresh database. A statement that ends its line in `-- 55000` must fail with that
//! SQLSTATE; one that ends it in `-- = 1, x; 2, y` must answer these rows, in any order; blocks for psql (they begin with a backslash) are left to the client's own tests.

use std::time::Duration;

use asofdb::clock::Clock;
use asofdb::config::Settings;
use asofdb::server::query_runtime;
use asofdb::session::Database;

use super::guest::{Guest, Rows};

/// 2026-06-01 12:00:00 UTC.
const START_US: i64 = 1_780_315_200_000_000;

/// What a document says of a statement.
#[derive(Debug, PartialEq)]
enum Expected {
    Success,
    Sqlstate(String),
    Rows(Rows),
}

impl Expected {
    fn said(comment: &str) -> Expected {
        let comment = comment.trim();
        if let Some(rows) = comment.strip_prefix("= ") {
            let row = |row: &str| row.split(", ").map(str::to_owned).collect();
            return Expected::Rows(rows.split("; ").map(row).collect());
        }
        let state = comment.split([' ', ':']).next().unwrap_or_default();
        match state.len() == 5 && state.bytes().any(|b| b.is_ascii_digit()) {
            true => Expected::Sqlstate(state.to_owned()),
            false => Expected::Success,
        }
    }
}

/// The statements of a document's SQL blocks, with what each is expected to do.
fn statements(text: &str) -> Vec<(String, Expected)> {
    let mut found = Vec::new();
    for block in text.split("```sql\n").skip(1) {
        let block = block.split("```").next().expect("a block ends");
        if block.starts_with('\\') {
            continue;
        }
        let mut statement = String::new();
        for line in block.lines() {
            let (code, comment) = line.split_once("--").unwrap_or((line, ""));
            statement.push_str(code.trim_end());
            statement.push('\n');
            if code.trim_end().ends_with(';') {
                found.push((std::mem::take(&mut statement), Expected::said(comment)));
            }
        }
        assert!(statement.trim().is_empty(), "a statement without its semicolon: {statement}");
    }
    found
}

fn run(path: &str) {
    let text = std::fs::read_to_string(path).expect("the document");
    let folder = tempfile::tempdir().expect("a folder");
    let settings = Settings {
        data: folder.path().to_owned(),
        clock: Clock::manual(START_US),
        query_threads: 2,
        ..Settings::default()
    };
    let runtime = query_runtime(&settings).expect("threads");
    let database = Database::open(&settings.data, settings.clone()).expect("a database");
    let found = statements(&text);
    assert!(found.len() > 10, "{path} has examples");
    runtime.block_on(async {
        let mut guest = Guest::arrive(&database);
        for (sql, expected) in found {
            settings.clock.advance(Duration::from_secs(1));
            match (guest.run(&sql).await, expected) {
                (Ok(_), Expected::Success) => {}
                (Ok(mut rows), Expected::Rows(mut expected)) => {
                    rows.sort();
                    expected.sort();
                    assert_eq!(rows, expected, "{path}: {sql}");
                }
                (Err(error), Expected::Sqlstate(expected)) => {
                    assert_eq!(error.kind().sqlstate(), expected, "{path}: {sql}: {error:?}");
                }
                (answer, expected) => panic!("{path}: {sql}: {answer:?}, not {expected:?}"),
            }
        }
    });
    drop(database);
    drop(runtime);
}

#[test]
fn the_examples_of_sql_md_run() {
    run("docs/sql.md");
}

#[test]
fn the_examples_of_asof_md_run() {
    run("docs/asof.md");
}

#[test]
fn the_examples_of_versions_md_run() {
    run("docs/versions.md");
}
