//! ASOF JOIN in all its spellings.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{JoinConstraint, TableFactor, Visit, Visitor};

use super::super::{AsofKind, AsofSyntax, asof_of};
use super::*;
use crate::error::ErrorKind;

/// The ASOF joins of a statement, the outermost first.
fn joins(sql: &str) -> Vec<AsofSyntax> {
    struct Joins(Vec<AsofSyntax>);
    impl Visitor for Joins {
        type Break = ();
        fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<()> {
            if let TableFactor::NestedJoin { table_with_joins, .. } = factor
                && let Some(asof) = asof_of(table_with_joins).unwrap()
            {
                assert!(table_with_joins.joins.len() == 1 && table_with_joins.joins[0].global);
                self.0.push(asof);
            }
            ControlFlow::Continue(())
        }
    }
    let mut found = Joins(Vec::new());
    match one(sql) {
        Statement::Query(query) => _ = query.visit(&mut found),
        Statement::CreateView(view) => _ = view.query.visit(&mut found),
        Statement::Insert(insert) => _ = insert.insert.visit(&mut found),
        Statement::Update(update) => _ = update.update.visit(&mut found),
        Statement::Delete(delete) => _ = delete.delete.visit(&mut found),
        Statement::Merge(merge) => _ = merge.merge.visit(&mut found),
        other => panic!("{other:?}"),
    }
    found.0
}

#[test]
fn kinds_of_both_forms() {
    use AsofKind::*;
    for (words, with_condition, without) in [
        ("ASOF JOIN", Left, Inner),
        ("asof join", Left, Inner),
        ("ASOF INNER JOIN", Inner, Inner),
        ("INNER ASOF JOIN", Inner, Inner),
        ("ASOF LEFT JOIN", Left, Left),
        ("ASOF /* so */ LEFT\n OUTER -- yes\n JOIN", Left, Left),
        ("LEFT ASOF JOIN", Left, Left),
        ("LEFT OUTER ASOF JOIN", Left, Left),
        ("ASOF RIGHT JOIN", Right, Right),
        ("RIGHT ASOF JOIN", Right, Right),
        ("ASOF FULL OUTER JOIN", Full, Full),
        ("ASOF SEMI JOIN", Semi, Semi),
        ("ASOF LEFT SEMI JOIN", Semi, Semi),
        ("ASOF ANTI JOIN", Anti, Anti),
        ("ANTI ASOF JOIN", Anti, Anti),
    ] {
        for (constraint, expected) in [
            ("MATCH_CONDITION (l.ts >= r.ts)", with_condition),
            ("MATCH_CONDITION (l.ts >= r.ts) ON l.k = r.k", with_condition),
            ("MATCH_CONDITION ((l.ts, l.s) >= (r.ts, r.s)) USING (k)", with_condition),
            ("ON l.k = r.k AND l.ts >= r.ts", without),
            ("USING (k, ts)", without),
        ] {
            let sql = format!("SELECT * FROM l {words} r {constraint} WHERE l.k = 1");
            let found = joins(&sql);
            assert_eq!(found.len(), 1, "{sql}");
            assert_eq!(found[0].kind, expected, "{sql}");
            assert_eq!(found[0].condition.is_some(), constraint.starts_with("MATCH"), "{sql}");
            assert_eq!(found[0].known_at, None);
            let right = match &found[0].constraint {
                JoinConstraint::On(_) => constraint.contains("ON l.k"),
                JoinConstraint::Using(_) => constraint.contains("USING"),
                JoinConstraint::None => constraint.ends_with("r.ts)"),
                JoinConstraint::Natural => false,
            };
            assert!(right, "{sql}");
        }
    }
}

#[test]
fn known_at_goes_with_its_join() {
    for (constraint, known) in [
        ("MATCH_CONDITION (l.ts >= r.ts) KNOWN AT l.seen ON l.k = r.k", "l.seen"),
        (
            "MATCH_CONDITION (l.ts >= r.ts) KNOWN AT l.ts + INTERVAL '1 day'",
            "l.ts + INTERVAL '1 day'",
        ),
        ("MATCH_CONDITION (l.ts >= r.ts) ON l.k = r.k KNOWN AT l.ts", "l.ts"),
        ("ON l.k = r.k AND l.ts >= r.ts KNOWN AT TIMESTAMP '2023-01-01'", "TIMESTAMP '2023-01-01'"),
        ("ON left(l.k, 1) = left(r.k, 1) AND l.ts >= r.ts known at l.ts", "l.ts"),
        ("USING (k, ts) KNOWN AT $1", "$1"),
    ] {
        for tail in ["", " WHERE l.k = 1", " ORDER BY 1", " JOIN u ON u.k = l.k"] {
            let sql = format!("SELECT * FROM l ASOF JOIN r {constraint}{tail}");
            let found = joins(&sql);
            assert_eq!(found.len(), 1, "{sql}");
            assert_eq!(found[0].known_at.as_ref().unwrap().to_string(), known, "{sql}");
        }
    }
    let found = joins(
        "SELECT * FROM l ASOF JOIN a ON l.k = a.k AND a.ts <= l.ts KNOWN AT l.x \
         ASOF JOIN b ON l.k = b.k AND b.ts <= l.ts KNOWN AT l.y",
    );
    let known: Vec<_> = found.iter().map(|j| j.known_at.as_ref().unwrap().to_string()).collect();
    assert_eq!(known, ["l.y", "l.x"]);
    let plain = joins("SELECT * FROM l ASOF JOIN r ON l.k = r.k AND r.ts <= l.ts WHERE known = 1");
    assert_eq!(plain[0].known_at, None);
}

#[test]
fn every_asof_join_stands_alone() {
    for (from, count) in [
        ("l ASOF JOIN a USING (k, ts) ASOF JOIN b USING (k, ts) ASOF JOIN c USING (k, ts)", 3),
        ("l ASOF JOIN a USING (k, ts) JOIN u ON u.k = l.k ASOF JOIN b USING (k, ts)", 2),
        ("u JOIN l ON u.k = l.k ASOF LEFT JOIN b ON l.k = b.k AND b.ts <= l.ts", 1),
        ("l ASOF JOIN (a JOIN b ON a.k = b.k) ON l.k = a.k AND a.ts <= l.ts", 1),
        ("l ASOF JOIN (a ASOF JOIN b USING (k, ts)) ON l.k = a.k AND a.ts <= l.ts", 2),
        ("l ASOF JOIN (SELECT * FROM a ASOF JOIN b USING (k, ts)) s USING (k, ts)", 2),
        ("x, l ASOF JOIN a USING (k, ts), y", 1),
    ] {
        assert_eq!(joins(&format!("SELECT * FROM {from}")).len(), count, "{from}");
    }
    for sql in [
        "WITH c AS (SELECT * FROM l ASOF JOIN r USING (k, ts)) SELECT * FROM c",
        "SELECT * FROM u WHERE k IN (SELECT l.k FROM l ASOF JOIN r USING (k, ts))",
        "CREATE VIEW v AS SELECT * FROM l ASOF JOIN r USING (k, ts)",
        "INSERT INTO u SELECT * FROM l ASOF JOIN r USING (k, ts)",
        "UPDATE u SET a = 1 FROM l ASOF JOIN r USING (k, ts) WHERE u.k = l.k",
        "DELETE FROM u USING l ASOF JOIN r USING (k, ts) WHERE u.k = l.k",
        "MERGE INTO u USING (SELECT * FROM l ASOF JOIN r USING (k, ts)) s ON u.k = s.k \
         WHEN MATCHED THEN DELETE",
    ] {
        assert_eq!(joins(sql).len(), 1, "{sql}");
    }
}

#[test]
fn asof_is_still_a_name() {
    for sql in [
        "SELECT asof, t.asof, \"asof\", global FROM t WHERE asof > 1 ORDER BY asof",
        "SELECT 1 AS asof",
        "SELECT * FROM asof JOIN u ON asof.k = u.k",
        "SELECT * FROM s.asof LEFT JOIN u ON true",
        "SELECT * FROM t AS asof JOIN u ON asof.k = u.k",
        "SELECT * FROM \"global\" JOIN u ON true",
        "SELECT * FROM t AS global JOIN u ON true",
        "SELECT match_condition FROM t",
        "CREATE VIEW asof AS SELECT 1",
    ] {
        assert_eq!(joins(sql), [], "{sql}");
    }
}

#[test]
fn refused() {
    for (sql, at) in [
        ("SELECT * FROM l NATURAL ASOF JOIN r", Some(17)),
        ("SELECT * FROM l ASOF NATURAL JOIN r", Some(17)),
        ("SELECT * FROM l CROSS ASOF JOIN r", Some(17)),
        ("SELECT * FROM l ASOF JOIN r", Some(17)),
        ("SELECT * FROM l ASOF JOIN r, u", Some(17)),
        ("SELECT * FROM l ASOF JOIN r WHERE l.k = 1", Some(17)),
        ("SELECT * FROM l ASOF JOIN r JOIN u ON true", Some(17)),
        ("SELECT * FROM (l ASOF JOIN r) ", Some(18)),
        ("SELECT * FROM l GLOBAL JOIN r ON true", Some(17)),
        ("SELECT * FROM l GLOBAL LEFT JOIN r ON true", Some(17)),
        ("SELECT * FROM l GLOBAL ASOF JOIN r USING (k, ts)", Some(17)),
        ("SELECT * FROM l LEFT ASOF LEFT JOIN r USING (k, ts)", None),
        ("SELECT * FROM l JOIN r MATCH_CONDITION (l.ts >= r.ts) ON true", None),
        ("SELECT * FROM l ASOF JOIN r MATCH_CONDITION () ON true", None),
        ("SELECT * FROM l ASOF JOIN r MATCH_CONDITION (l.ts >= r.ts, l.a = r.a) ON true", None),
        ("SELECT * FROM l JOIN r ON l.k = r.k KNOWN AT l.ts", Some(37)),
        ("SELECT * FROM l ASOF JOIN r USING (k, ts) KNOWN AT 1 KNOWN AT 2", None),
    ] {
        let error = match parse(sql) {
            Ok(parsed) => panic!("{sql}: {parsed:?}"),
            Err(error) => error,
        };
        assert_eq!(error.kind(), ErrorKind::Syntax, "{sql}: {error:?}");
        if at.is_some() {
            assert_eq!(error.position(), at, "{sql}: {error:?}");
        }
    }
}
