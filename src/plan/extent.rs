//! How large a plan will be, before it is made and after.
//!
//! A view or a WITH query that is named twice stands twice in the plan: thirty of them, each made of the
//! one before, are a billion nodes. Planning and optimising visit them one by one and ask nobody.

use std::collections::HashMap;
use std::ops::ControlFlow;

use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::logical_expr::LogicalPlan;
use datafusion::sql::sqlparser::ast::{ObjectName, ObjectNamePart, Query, Visit, Visitor};

use crate::error::{Error, ErrorKind, Result};
use crate::fault;

/// Steps of the largest plan, and relations of the largest query once each WITH stands where it is
/// named.
const NODES_MAX: usize = 10_000;

/// How deep WITH queries may be made of one another: planning looks at all below each of them.
const WITH_DEPTH_MAX: usize = 1000;

fn too_deep() -> Error {
    let message = format!("WITH queries are made of one another more than {WITH_DEPTH_MAX} deep");
    Error::new(ErrorKind::TooComplex, message).hint("keep one of them in a temporary table")
}

fn too_large() -> Error {
    Error::new(ErrorKind::TooComplex, format!("the statement has more than {NODES_MAX} steps"))
        .hint("views and WITH queries count as often as they are named: keep one in a table")
}

/// # Errors
/// TooComplex for a query that names its WITH queries too often.
pub fn check_query(query: &Query) -> Result<()> {
    match query.visit(&mut Expansion::default()) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(error) => Err(error),
    }
}

/// # Errors
/// TooComplex for a plan of too many steps.
pub fn check_plan(plan: &LogicalPlan) -> Result<()> {
    let mut nodes = 0;
    let count = |_: &LogicalPlan| {
        nodes += 1;
        Ok(match nodes > NODES_MAX {
            true => TreeNodeRecursion::Stop,
            false => TreeNodeRecursion::Continue,
        })
    };
    plan.apply_with_subqueries(count).map_err(fault::of_datafusion)?;
    if nodes > NODES_MAX { Err(too_large()) } else { Ok(()) }
}

/// Counts relations, from the innermost query outwards.
#[derive(Default)]
struct Expansion {
    open: Vec<Frame>,
}

/// A query that is being visited.
#[derive(Default)]
struct Frame {
    relations: usize,
    /// Its WITH queries: where each stands in the tree, and its name.
    named: HashMap<*const Query, String>,
    /// Those of them that were counted: how many relations, how deep.
    counted: HashMap<String, (usize, usize)>,
    /// The most WITH queries that stand on one another below.
    depth: usize,
}

impl Expansion {
    /// How many relations a name stands for, and how deep; a recursive WITH query names itself once.
    fn stands_for(&self, name: &ObjectName) -> (usize, usize) {
        let [ObjectNamePart::Identifier(name)] = name.0.as_slice() else { return (1, 0) };
        let mut counted = self.open.iter().rev().map(|frame| frame.counted.get(&name.value));
        counted.find_map(|known| known.copied()).unwrap_or((1, 0))
    }
}

impl Visitor for Expansion {
    type Break = Error;

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<Error> {
        let with = query.with.iter().flat_map(|with| &with.cte_tables);
        let named = with.map(|cte| (std::ptr::from_ref(&*cte.query), cte.alias.name.value.clone()));
        self.open.push(Frame { named: named.collect(), ..Frame::default() });
        ControlFlow::Continue(())
    }

    fn pre_visit_relation(&mut self, name: &ObjectName) -> ControlFlow<Error> {
        let (relations, depth) = self.stands_for(name);
        let Some(frame) = self.open.last_mut() else { return ControlFlow::Continue(()) };
        frame.relations = frame.relations.saturating_add(relations);
        frame.depth = frame.depth.max(depth);
        match () {
            () if frame.relations > NODES_MAX => ControlFlow::Break(too_large()),
            () if frame.depth > WITH_DEPTH_MAX => ControlFlow::Break(too_deep()),
            () => ControlFlow::Continue(()),
        }
    }

    fn post_visit_query(&mut self, query: &Query) -> ControlFlow<Error> {
        let Some(own) = self.open.pop() else { return ControlFlow::Continue(()) };
        let relations = own.relations.max(1);
        if let Some(outer) = self.open.last_mut() {
            match outer.named.remove(&std::ptr::from_ref(query)) {
                Some(name) => {
                    outer.counted.insert(name, (relations, own.depth + 1));
                }
                None => {
                    outer.relations = outer.relations.saturating_add(relations);
                    outer.depth = outer.depth.max(own.depth);
                }
            }
        }
        ControlFlow::Continue(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn doubling(levels: usize) -> String {
        let mut sql = "WITH a0 AS (SELECT 1 AS n)".to_owned();
        for level in 1..=levels {
            let below = level - 1;
            sql += &format!(", a{level} AS (SELECT x.n FROM a{below} x, a{below} y)");
        }
        format!("{sql} SELECT count(*) FROM a{levels}")
    }

    #[test]
    fn with_queries_count_as_often_as_they_are_named() {
        let check = |sql: &str| check_query(&crate::parse::query(sql).expect("it reads"));
        assert!(check(&doubling(10)).is_ok());
        assert_eq!(check(&doubling(14)).expect_err("16384").kind(), ErrorKind::TooComplex);
        let nested = format!("SELECT * FROM ({}) x", doubling(60));
        assert!(check(&nested).is_err());
        let recursive = "WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t)";
        assert!(check(&format!("{recursive} SELECT * FROM t, t AS u")).is_ok());
        let stacked = |levels: usize| {
            let above = (1..levels).map(|n| format!(", a{n} AS (SELECT n FROM a{})", n - 1));
            let above: String = above.collect();
            format!("WITH a0 AS (SELECT 1 AS n){above} SELECT n FROM a{}", levels - 1)
        };
        assert!(check(&stacked(WITH_DEPTH_MAX)).is_ok());
        let error = check(&stacked(WITH_DEPTH_MAX + 1)).expect_err("one more");
        assert_eq!(error.kind(), ErrorKind::TooComplex);
    }
}
