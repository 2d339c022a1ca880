//! `(SELECT e FROM pg_sequence WHERE seqrelid = x AND p)` among the results becomes a left join: a
//! sequence has one row. Mappers ask so for the identity of every column of a table, and DataFusion
//! cannot take such a sub-select apart, whose result and condition are of both sides.

use datafusion::sql::sqlparser::ast::helpers::attached_token::AttachedToken;
use datafusion::sql::sqlparser::ast::{
    BinaryOperator, CaseWhen, Expr, Ident, Join, JoinConstraint, JoinOperator, Query, Select,
    SelectItem, SetExpr, TableFactor,
};

use super::{build, from, subqueries};

const TABLE: &str = "pg_sequence";
const KEY: &str = "seqrelid";

/// Joins the first such sub-select, where nothing else names the table.
pub fn to_left_join(select: &mut Select) {
    if select.from.len() != 1 || from::factors(select).any(is_sequences) {
        return;
    }
    let results = select.projection.iter_mut().filter_map(|item| match item {
        SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } => Some(expr),
        _ => None,
    });
    let found = results.filter_map(|expr| match expr {
        Expr::Subquery(query) => one_sequence(query).map(|(join, value)| (expr, join, value)),
        _ => None,
    });
    let Some((place, join, value)) = found.into_iter().next() else { return };
    *place = value;
    select.from[0].joins.push(join);
}

fn is_sequences(factor: &TableFactor) -> bool {
    matches!(factor, TableFactor::Table { name, args: None, version: None, .. }
        if build::bare(name).as_deref() == Some(TABLE))
}

/// The join with the one sequence that a sub-select is about, and what it answers of it.
fn one_sequence(query: &Query) -> Option<(Join, Expr)> {
    let SetExpr::Select(select) = query.body.as_ref() else { return None };
    let plain = query.with.is_none() && query.limit_clause.is_none() && query.fetch.is_none();
    if !plain || select.distinct.is_some() || subqueries::is_aggregate(select) {
        return None;
    }
    let [only] = select.from.as_slice() else { return None };
    let [SelectItem::UnnamedExpr(value) | SelectItem::ExprWithAlias { expr: value, .. }] =
        select.projection.as_slice()
    else {
        return None;
    };
    let condition = select.selection.clone()?;
    if !only.joins.is_empty() || !is_sequences(&only.relation) {
        return None;
    }
    let key = key_in(&condition)?;
    let join = Join {
        relation: only.relation.clone(),
        global: false,
        join_operator: JoinOperator::LeftOuter(JoinConstraint::On(condition)),
    };
    let there = Expr::IsNotNull(Box::new(key));
    let value = Expr::Case {
        case_token: AttachedToken::empty(),
        end_token: AttachedToken::empty(),
        operand: None,
        conditions: vec![CaseWhen { condition: there, result: value.clone() }],
        else_result: None,
    };
    Some((join, value))
}

/// The key's column in `… AND seqrelid = x AND …`.
fn key_in(condition: &Expr) -> Option<Expr> {
    let is_key = |expr: &Expr| {
        let last: Option<&Ident> = match expr {
            Expr::CompoundIdentifier(parts) => parts.last(),
            Expr::Identifier(ident) => Some(ident),
            _ => None,
        };
        last.is_some_and(|ident| ident.value.eq_ignore_ascii_case(KEY))
    };
    match condition {
        Expr::BinaryOp { left, op: BinaryOperator::And, right } => {
            key_in(left).or_else(|| key_in(right))
        }
        Expr::BinaryOp { left, op: BinaryOperator::Eq, right } => {
            [left, right].into_iter().find(|side| is_key(side)).map(|side| side.as_ref().clone())
        }
        _ => None,
    }
}
