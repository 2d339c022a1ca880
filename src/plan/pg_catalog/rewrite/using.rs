//! Joins by USING and NATURAL, each a factor of its own, so that a planner of relations gets it; and
//! with them the conditions that may name what they make one: later ones by ON, and WHERE.

use datafusion::sql::sqlparser::ast::{
    Join, JoinConstraint, JoinOperator, Query, Select, TableFactor, TableWithJoins,
};

use super::build;
use crate::plan::using::{FILTER, is_lateral};

/// Puts each join by USING, with all on its left, in parentheses, and each by ON that comes after one.
pub fn nest(from: &mut TableWithJoins) {
    let mut merged = merges(&from.relation);
    let mut rest = Vec::new();
    for join in std::mem::take(&mut from.joins) {
        merged |= is_using(&join) || merges(&join.relation);
        if !merged || constraint(&join).is_none() || is_lateral(&join.relation) {
            rest.push(join);
            continue;
        }
        let left = std::mem::take(&mut rest);
        if !left.is_empty() {
            wrap(&mut from.relation, left);
        }
        wrap(&mut from.relation, vec![join]);
    }
    from.joins = rest;
}

/// The same inside parentheses, where one such join alone stays.
pub fn nest_inside(from: &mut TableWithJoins) {
    if from.joins.len() > 1 {
        nest(from);
    }
}

/// Moves WHERE to the end of FROM, where that has a join by USING.
pub fn filter_from(select: &mut Select) {
    let is_merged = |from: &TableWithJoins| {
        merges(&from.relation) || from.joins.iter().any(|join| merges(&join.relation))
    };
    if !select.from.iter().any(is_merged) {
        return;
    }
    let Some(condition) = select.selection.take() else { return };
    let mut all = std::mem::take(&mut select.from).into_iter();
    let Some(mut from) = all.next() else { return };
    for other in all {
        let relation = match other.joins.is_empty() {
            true => other.relation,
            false => nested(other),
        };
        let join_operator = JoinOperator::CrossJoin(JoinConstraint::None);
        from.joins.push(Join { relation, global: false, join_operator });
    }
    let relation = match from.joins.is_empty() {
        true => from.relation,
        false => nested(from),
    };
    let filter = Join {
        relation: build::derived(nothing(), Some(build::alias(FILTER, &[]))),
        global: false,
        join_operator: JoinOperator::CrossJoin(JoinConstraint::On(condition)),
    };
    let relation = nested(TableWithJoins { relation, joins: vec![filter] });
    select.from.push(TableWithJoins { relation, joins: Vec::new() });
}

fn nothing() -> Query {
    build::select(Vec::new(), Vec::new(), None)
}

fn nested(table_with_joins: TableWithJoins) -> TableFactor {
    TableFactor::NestedJoin { table_with_joins: Box::new(table_with_joins), alias: None }
}

fn wrap(relation: &mut TableFactor, joins: Vec<Join>) {
    let first = std::mem::replace(relation, build::derived(nothing(), None));
    *relation = nested(TableWithJoins { relation: first, joins });
}

/// Whether columns of the factor are one by USING.
fn merges(factor: &TableFactor) -> bool {
    let TableFactor::NestedJoin { table_with_joins, alias: None } = factor else { return false };
    merges(&table_with_joins.relation)
        || table_with_joins.joins.iter().any(|join| {
            let of_asof = match &join.join_operator {
                JoinOperator::AsOf { constraint, .. } => Some(constraint),
                _ => None,
            };
            of_asof.is_some_and(is_merging) || is_using(join) || merges(&join.relation)
        })
}

fn is_using(join: &Join) -> bool {
    constraint(join).is_some_and(is_merging) && !is_lateral(&join.relation)
}

fn is_merging(constraint: &JoinConstraint) -> bool {
    matches!(constraint, JoinConstraint::Using(_) | JoinConstraint::Natural)
}

/// What rows of an ordinary join meet by.
fn constraint(join: &Join) -> Option<&JoinConstraint> {
    match &join.join_operator {
        JoinOperator::Join(on)
        | JoinOperator::Inner(on)
        | JoinOperator::Left(on)
        | JoinOperator::LeftOuter(on)
        | JoinOperator::Right(on)
        | JoinOperator::RightOuter(on)
        | JoinOperator::FullOuter(on) => Some(on),
        _ => None,
    }
}
