//! COPY says in which line stood what the table refused, however far into the input.

use asofdb::error::Error;
use asofdb::server::query_runtime;
use asofdb::session::Database;

use crate::guest::Guest;
use crate::property::home;

/// 2026-01-01 00:00:00 UTC.
const START_US: i64 = 1_767_225_600_000_000;
/// More than one batch.
const LINES: usize = 20_000;

#[test]
fn a_refused_row_is_told_with_its_line() {
    let (folder, settings) = home(START_US);
    let database = Database::open(&settings.data, settings.clone()).expect("a database");
    let runtime = query_runtime(&settings).expect("threads");
    runtime.block_on(async {
        let mut guest = Guest::arrive(&database);
        guest.must("CREATE TABLE t (k int NOT NULL, v int CHECK (v > 0), w varchar(3))").await;
        let file = folder.path().join("rows.txt");
        for (bad, at, state) in [
            ("\\N\t1\tx", 1, "23502"),
            ("1\t-1\tx", 9000, "23514"),
            ("1\t-1\tx", LINES, "23514"),
            ("1\t0\tx", 12_345, "23514"),
        ] {
            let line = |number: usize| if number >= at { bad } else { "1\t1\tx" };
            let lines: Vec<&str> = (1..=LINES).map(line).collect();
            std::fs::write(&file, lines.join("\n")).expect("a file");
            let copy = format!("COPY t FROM '{}'", file.display());
            let error: Error = guest.run(&copy).await.expect_err("one line is refused");
            assert_eq!(error.kind().sqlstate(), state, "{error:?}");
            assert_eq!(error.context_text(), Some(format!("COPY t, line {at}").as_str()));
        }
        // A quoted line end counts as a line, and so does the header.
        std::fs::write(&file, "k,v,w\n1,1,\"a\nb\"\n2,0,c\n").expect("a file");
        let copy = format!("COPY t FROM '{}' (FORMAT csv, HEADER)", file.display());
        let error = guest.run(&copy).await.expect_err("the last line is refused");
        assert_eq!(error.context_text(), Some("COPY t, line 4"), "{error:?}");
        assert_eq!(guest.must("SELECT count(*) FROM t").await, [["0"]]);
    });
}
