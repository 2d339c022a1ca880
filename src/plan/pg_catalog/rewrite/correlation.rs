//! Conditions of a sub-select on the row around it, in the form that DataFusion can take apart.

use std::collections::HashSet;
use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    BinaryOperator, Expr, Select, TableFactor, visit_expressions, visit_expressions_mut,
};

use super::{build, from};

/// The names a select's own columns can be qualified with.
fn own_names(select: &Select) -> HashSet<String> {
    let names = from::factors(select).filter_map(|factor| match factor {
        TableFactor::Table { name, alias: None, .. } => build::parts(name).pop(),
        TableFactor::Table { alias: Some(alias), .. }
        | TableFactor::Derived { alias: Some(alias), .. }
        | TableFactor::UNNEST { alias: Some(alias), .. }
        | TableFactor::Function { alias: Some(alias), .. } => Some(alias.name.value.to_lowercase()),
        _ => None,
    });
    names.collect()
}

/// Whether a column is qualified with one of the names; None for what is no qualified column.
fn is_own(expr: &Expr, own: &HashSet<String>) -> Option<bool> {
    let Expr::CompoundIdentifier(parts) = expr else {
        return None;
    };
    let [.., table, _] = parts.as_slice() else {
        return None;
    };
    Some(own.contains(&table.value.to_lowercase()))
}

fn conjuncts(filter: Option<Expr>) -> Vec<Expr> {
    match filter {
        None => Vec::new(),
        Some(Expr::BinaryOp { left, op: BinaryOperator::And, right }) => {
            let mut all = conjuncts(Some(*left));
            all.extend(conjuncts(Some(*right)));
            all
        }
        Some(other) => vec![other],
    }
}

fn conjunction(all: Vec<Expr>) -> Option<Expr> {
    all.into_iter().reduce(|left, right| build::binary(left, BinaryOperator::And, right))
}

/// Where `own.c = outer.c` must hold, other conditions may say `own.c` for `outer.c`.
pub fn substitute_equals(select: &mut Select) {
    let own = own_names(select);
    let mut all = conjuncts(select.selection.take());
    let mut equal: Vec<(Expr, Expr)> = Vec::new();
    for condition in &all {
        if let Expr::BinaryOp { left, op: BinaryOperator::Eq, right } = condition {
            match (is_own(left, &own), is_own(right, &own)) {
                (Some(true), Some(false)) => equal.push((*right.clone(), *left.clone())),
                (Some(false), Some(true)) => equal.push((*left.clone(), *right.clone())),
                _ => {}
            }
        }
    }
    for condition in &mut all {
        let is_plain_equality = matches!(condition, Expr::BinaryOp { left, op: BinaryOperator::Eq, right }
            if is_own(left, &own).is_some() && is_own(right, &own).is_some());
        if is_plain_equality {
            continue;
        }
        let _: ControlFlow<()> = visit_expressions_mut(condition, |e| {
            if let Some((_, by)) = equal.iter().find(|(outer, _)| outer == e) {
                *e = by.clone();
            }
            ControlFlow::Continue(())
        });
    }
    select.selection = conjunction(all);
}

/// Takes out of WHERE what only the outer row decides.
pub fn outer_conditions(select: &mut Select) -> Option<Expr> {
    let own = own_names(select);
    let all = conjuncts(select.selection.take());
    let (outer, rest): (Vec<_>, Vec<_>) = all.into_iter().partition(|c| is_outer_only(c, &own));
    select.selection = conjunction(rest);
    conjunction(outer)
}

fn is_outer_only(condition: &Expr, own: &HashSet<String>) -> bool {
    let mut columns = 0;
    let other = visit_expressions(condition, |e| match e {
        Expr::CompoundIdentifier(_) if is_own(e, own) == Some(false) => {
            columns += 1;
            ControlFlow::Continue(())
        }
        Expr::CompoundIdentifier(_) | Expr::Identifier(_) | Expr::Subquery(_) => {
            ControlFlow::Break(())
        }
        Expr::Exists { .. } | Expr::InSubquery { .. } => ControlFlow::Break(()),
        _ => ControlFlow::Continue(()),
    });
    other.is_continue() && columns > 0
}
