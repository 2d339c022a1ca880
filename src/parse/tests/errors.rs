//! Errors: their words, and where they point.

use super::super::query;
use super::*;
use crate::error::{Error, ErrorKind};

fn error(sql: &str) -> Error {
    match parse(sql) {
        Ok(parsed) => panic!("{sql}: {parsed:?}"),
        Err(error) => error,
    }
}

#[test]
fn point_at_the_word() {
    for (sql, message, position) in [
        ("SELEC 1", "syntax error at or near \"SELEC\"", 1),
        ("SELECT 1 1", "syntax error at or near \"1\"", 10),
        ("SELECT * FROM t WHERE", "syntax error at end of input", 22),
        ("SELECT * FROM t WHERE;", "syntax error at or near \";\"", 22),
        ("SELECT 1; SELECT * FORM t", "syntax error at or near \"t\"", 25),
        ("SELECT 'größe'; SELEC 2", "syntax error at or near \"SELEC\"", 17),
        ("SELECT 1;\n  \n -- x\n SELECT (2;", "syntax error at or near \";\"", 30),
        ("CREATE TABLE t (a int, b nosuch)", "type \"nosuch\" does not exist", 26),
        ("CREATE TABLE t (a int b)", "syntax error at or near \"b\"", 23),
        ("SET x", "syntax error at end of input", 6),
        ("INSERT INTO t VALUES (1,)", "syntax error at or near \")\"", 25),
        ("DROP NOSUCH t", "syntax error at or near \"NOSUCH\"", 6),
        ("BEGIN READ", "syntax error at or near \"READ\"", 7),
        ("SELECT $0", "there is no parameter $0", 8),
        ("SELECT a FROM t@", "syntax error at end of input", 17),
        ("RELEASE", "syntax error at end of input", 8),
    ] {
        let error = error(sql);
        assert_eq!(error.message(), message, "{sql}: {error:?}");
        assert_eq!(error.position(), Some(position), "{sql}: {error:?}");
    }
}

#[test]
fn of_the_tokens() {
    for sql in ["SELECT 'open", "SELECT \"open", "SELECT /* open", "SELECT $$open"] {
        let error = error(sql);
        assert_eq!(error.kind(), ErrorKind::Syntax, "{sql}: {error:?}");
        assert!(error.position().is_some(), "{sql}: {error:?}");
    }
}

#[test]
fn refused_with_reason() {
    for (sql, kind) in [
        ("CREATE VIEW v AS DELETE FROM t", ErrorKind::Syntax),
        ("CALL system.p(1, b => 2)", ErrorKind::Syntax),
        ("SELECT sum(a) OVER (LAST INTERVAL '1 hour') FROM t", ErrorKind::Syntax),
        ("EXPLAIN EXPLAIN SELECT 1", ErrorKind::Syntax),
        ("MERGE BRANCH a INTO b WHEN CONFLICT MAYBE", ErrorKind::Syntax),
        ("CREATE TABLE t (a int PRIMARY KEY, PRIMARY KEY (a))", ErrorKind::InvalidDefinition),
        ("CREATE TABLE t (a int) EVENT TIME a EVENT TIME a", ErrorKind::Syntax),
        ("COPY t FROM STDIN (FORMAT nosuch)", ErrorKind::InvalidValue),
        ("SELECT * FROM t; NOSUCH", ErrorKind::Syntax),
        ("ROLLBACK BRANCH main", ErrorKind::Syntax),
        ("GRANT", ErrorKind::NotSupported),
    ] {
        let error = error(sql);
        assert_eq!(error.kind(), kind, "{sql}: {error:?}");
    }
    assert!(query("DELETE FROM t").is_err());
    assert!(query("SELECT 1; SELECT 2").is_err());
}

#[test]
fn a_place_in_the_tree_is_a_place_in_the_text() {
    let sql = "SELECT 'é';\n  SELECT é,\n    wörd FROM t";
    let parsed = parse(sql).unwrap().remove(1);
    assert_eq!(parsed.offset, 14);
    assert_eq!(parsed.text, "SELECT é,\n    wörd FROM t");
    let Statement::Query(query) = &parsed.statement else { panic!() };
    let select = query.body.as_select().unwrap();
    use datafusion::sql::sqlparser::ast::{Expr, SelectItem};
    let positions: Vec<_> = select
        .projection
        .iter()
        .map(|item| match item {
            SelectItem::UnnamedExpr(Expr::Identifier(name)) => parsed.position(name.span.start),
            other => panic!("{other}"),
        })
        .collect();
    let wanted: Vec<_> = ["é,", "wörd"]
        .iter()
        .map(|word| Some(sql[..sql.find(word).unwrap()].chars().count() + 1))
        .collect();
    assert_eq!(positions, wanted);
}
