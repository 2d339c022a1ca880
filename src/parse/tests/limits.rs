//! Bounds: what is deep is refused, what is long is not.

use super::super::expression;
use super::*;
use crate::error::ErrorKind;

fn kind(sql: &str) -> Option<ErrorKind> {
    parse(sql).err().map(|error| error.kind())
}

/// Runs on the stack that a worker thread has.
fn on_a_small_stack(run: impl FnOnce() + Send + 'static) {
    std::thread::Builder::new().stack_size(2 << 20).spawn(run).unwrap().join().unwrap();
}

#[test]
fn deep_statements_are_refused_or_safe() {
    on_a_small_stack(|| {
        let nest = |n, open: &str, inner: &str, close: &str| {
            format!("SELECT {}{inner}{}", open.repeat(n), close.repeat(n))
        };
        for (open, inner, close) in [
            ("(", "1", ")"),
            ("f(", "1", ")"),
            ("ARRAY[", "1", "]"),
            ("(SELECT ", "1", ")"),
            ("CASE WHEN a THEN 1 ELSE ", "1", " END"),
            ("- ", "1", ""),
            ("NOT ", "true", ""),
            ("CAST(", "1", " AS int)"),
            ("coalesce(a, ", "1", ")"),
            ("a IN (", "1", ")"),
            ("EXISTS (SELECT 1 WHERE ", "true", ")"),
            ("position('a' IN ", "b", ")"),
        ] {
            assert_eq!(kind(&nest(60, open, inner, close)), None, "{open}");
            assert_eq!(kind(&nest(240, open, inner, close)), None, "{open}");
            assert_eq!(kind(&nest(300, open, inner, close)), Some(ErrorKind::TooComplex), "{open}");
            assert_eq!(kind(&nest(4000, open, inner, close)), Some(ErrorKind::TooComplex));
            // An error at the bottom of the nest must not try every reading of every level.
            let wrong = kind(&nest(60, open, "1 1 1", close));
            assert!(matches!(wrong, Some(ErrorKind::Syntax | ErrorKind::TooComplex)), "{open}");
        }
        let from = format!("SELECT * FROM {}a JOIN b ON true{}", "(".repeat(200), ")".repeat(200));
        assert_eq!(kind(&from), Some(ErrorKind::TooComplex));
        let derived = "SELECT * FROM (".repeat(100) + "SELECT 1" + &") s".repeat(100);
        assert_eq!(kind(&derived), None);
    });
}

#[test]
fn chains_are_bounded() {
    on_a_small_stack(|| {
        let chain = |n, sign: &str| format!("SELECT a{}", format!(" {sign} a").repeat(n));
        for sign in ["+", "||", "AND", "OR", "= 1 OR", "=", "UNION SELECT"] {
            assert_eq!(kind(&chain(3990, sign)), None, "{sign}");
            assert_eq!(kind(&chain(5000, sign)), Some(ErrorKind::TooComplex), "{sign}");
        }
        assert_eq!(kind(&chain(1900, "::int +")), None);
        assert_eq!(kind(&format!("SELECT a{}", "::int".repeat(5000))), Some(ErrorKind::TooComplex));
        let sum = "(1 + 1 + 1) + ".repeat(1500) + "1";
        assert_eq!(kind(&format!("SELECT {sum}")), None);
        let joins = |n| format!("SELECT * FROM a{}", " JOIN b".repeat(n));
        assert_eq!(kind(&joins(100)), Some(ErrorKind::TooComplex));
        let joins = |n| format!("SELECT * FROM a{}", " JOIN b ON true".repeat(n));
        assert_eq!(kind(&joins(500)), None);
        let asof = |n| format!("SELECT * FROM a{}", " ASOF JOIN b USING (k, ts)".repeat(n));
        assert_eq!(kind(&asof(100)), None);
    });
}

#[test]
fn lists_are_not_chains() {
    let rows = vec!["(1, 'a', -1.5)"; 20_000].join(", ");
    let insert = one(&format!("INSERT INTO t VALUES {rows}"));
    assert!(matches!(insert, Statement::Insert(_)));
    let list = |n| format!("SELECT 1 WHERE a IN ({})", vec!["-1"; n].join(","));
    assert_eq!(kind(&list(32 << 10)), None);
    assert_eq!(kind(&list((32 << 10) + 1)), Some(ErrorKind::TooComplex));
    let columns = vec!["a + 1"; 10_000].join(", ");
    assert_eq!(kind(&format!("SELECT {columns} FROM t")), None);
}

#[test]
fn texts_are_bounded() {
    let long = format!("SELECT '{}'", "x".repeat(16 << 20));
    assert_eq!(kind(&long), Some(ErrorKind::LimitExceeded));
    let fits = format!("SELECT '{}'", "x".repeat(1 << 20));
    assert_eq!(kind(&fits), None);
}

#[test]
fn the_hint_says_what_to_do() {
    let error = expression(&format!("a{}", " OR a".repeat(5000))).unwrap_err();
    assert!(error.message().contains("4000"), "{error:?}");
    assert!(error.hint_text().is_some_and(|hint| hint.contains("IN (…)")));
}
