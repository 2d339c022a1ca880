//! Joins by USING and NATURAL, each a factor of its own, so that a planner of relations gets it.

use datafusion::sql::sqlparser::ast::{
    Join, JoinConstraint, JoinOperator, TableFactor, TableWithJoins,
};

use super::build;

/// Puts each join by USING, with all on its left, in parentheses.
pub fn nest(from: &mut TableWithJoins) {
    if !from.joins.iter().any(is_using) {
        return;
    }
    let mut rest = Vec::new();
    for join in std::mem::take(&mut from.joins) {
        if !is_using(&join) {
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

fn wrap(relation: &mut TableFactor, joins: Vec<Join>) {
    let nothing = build::derived(build::select(Vec::new(), Vec::new(), None), None);
    let first = std::mem::replace(relation, nothing);
    let table_with_joins = Box::new(TableWithJoins { relation: first, joins });
    *relation = TableFactor::NestedJoin { table_with_joins, alias: None };
}

fn is_using(join: &Join) -> bool {
    let on = match &join.join_operator {
        JoinOperator::Join(on)
        | JoinOperator::Inner(on)
        | JoinOperator::Left(on)
        | JoinOperator::LeftOuter(on)
        | JoinOperator::Right(on)
        | JoinOperator::RightOuter(on)
        | JoinOperator::FullOuter(on) => on,
        _ => return false,
    };
    let is_lateral = matches!(
        join.relation,
        TableFactor::Derived { lateral: true, .. }
            | TableFactor::Function { lateral: true, .. }
            | TableFactor::UNNEST { .. }
    );
    matches!(on, JoinConstraint::Using(_) | JoinConstraint::Natural) && !is_lateral
}
