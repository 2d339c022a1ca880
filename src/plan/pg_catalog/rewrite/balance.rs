//! Long chains of AND, OR and UNION ALL as trees of little depth.
//!
//! A chain is a tree as deep as it has links, and at each of them the planner looks at all that is below.
//! These links may be grouped in any way: what they join stays in its order.

use std::mem::replace;

use datafusion::sql::sqlparser::ast::{
    BinaryOperator, Expr, SetExpr, SetOperator, SetQuantifier, Value, ValueWithSpan, Values,
};

/// Shorter chains stay as they are written: nobody feels them, and EXPLAIN shows them.
const LONG: usize = 32;

/// A chain of AND or of OR that begins here.
pub fn conditions(expr: &mut Expr) {
    let Expr::BinaryOp { op: link @ (BinaryOperator::And | BinaryOperator::Or), .. } = expr else {
        return;
    };
    let link = link.clone();
    if length(expr, |expr| match expr {
        Expr::BinaryOp { left, op, .. } if *op == link => Some(left.as_ref()),
        _ => None,
    }) < LONG
    {
        return;
    }
    let mut rest = replace(expr, Expr::Value(ValueWithSpan::from(Value::Null)));
    let mut parts = Vec::new();
    rest = loop {
        match rest {
            Expr::BinaryOp { left, op, right } if op == link => {
                parts.push(*right);
                rest = *left;
            }
            first => break first,
        }
    };
    parts.push(rest);
    *expr = joined(parts, &|left, right| Expr::BinaryOp {
        left: Box::new(left),
        op: link.clone(),
        right: Box::new(right),
    });
}

/// A chain of UNION ALL that begins here.
pub fn unions(body: &mut SetExpr) {
    if length(body, |body| match body {
        SetExpr::SetOperation { left, .. } if is_union_all(body) => Some(left.as_ref()),
        _ => None,
    }) < LONG
    {
        return;
    }
    let nothing = Values { explicit_row: false, value_keyword: false, rows: Vec::new() };
    let mut rest = replace(body, SetExpr::Values(nothing));
    let mut parts = Vec::new();
    rest = loop {
        match rest {
            SetExpr::SetOperation { left, right, .. } if is_union_all(&rest) => {
                parts.push(*right);
                rest = *left;
            }
            first => break first,
        }
    };
    parts.push(rest);
    *body = union_all(parts);
}

/// UNION ALL of the parts, of which there is one at least and which come last to first.
pub fn union_all(parts: Vec<SetExpr>) -> SetExpr {
    joined(parts, &|left, right| SetExpr::SetOperation {
        op: SetOperator::Union,
        set_quantifier: SetQuantifier::All,
        left: Box::new(left),
        right: Box::new(right),
    })
}

fn is_union_all(body: &SetExpr) -> bool {
    matches!(
        body,
        SetExpr::SetOperation { op: SetOperator::Union, set_quantifier: SetQuantifier::All, .. }
    )
}

fn length<'a, T>(mut node: &'a T, left: impl Fn(&'a T) -> Option<&'a T>) -> usize {
    let mut links = 0;
    while let Some(next) = left(node) {
        node = next;
        links += 1;
    }
    links
}

/// A balanced tree of the parts, which come last to first.
fn joined<T>(mut parts: Vec<T>, link: &impl Fn(T, T) -> T) -> T {
    parts.reverse();
    while parts.len() > 1 {
        let mut pairs = Vec::with_capacity(parts.len().div_ceil(2));
        let mut rest = parts.into_iter();
        while let Some(left) = rest.next() {
            pairs.push(match rest.next() {
                Some(right) => link(left, right),
                None => left,
            });
        }
        parts = pairs;
    }
    parts.pop().expect("there is a part")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse;

    fn depth(expr: &Expr) -> usize {
        match expr {
            Expr::BinaryOp { left, right, .. } => 1 + depth(left).max(depth(right)),
            _ => 0,
        }
    }

    #[test]
    fn long_chains_become_shallow_and_keep_their_order() {
        let text = (0..1000).map(|n| format!("n{n}")).collect::<Vec<_>>().join(" OR ");
        let mut expr = parse::expression(&text).expect("it reads");
        conditions(&mut expr);
        assert_eq!(depth(&expr), 10);
        assert_eq!(expr.to_string(), text);
        let arms = (0..100).map(|n| format!("SELECT {n}")).collect::<Vec<_>>();
        let mut query = parse::query(&arms.join(" UNION ALL ")).expect("it reads");
        unions(&mut query.body);
        assert_eq!(query.to_string(), arms.join(" UNION ALL "));
        assert_eq!(
            length(query.body.as_ref(), |body| match body {
                SetExpr::SetOperation { left, .. } => Some(left.as_ref()),
                _ => None,
            }),
            7
        );
    }

    #[test]
    fn short_and_mixed_chains_stay() {
        for text in ["a AND b AND c OR d", "a OR (b OR c)"] {
            let mut expr = parse::expression(text).expect("it reads");
            let before = expr.clone();
            conditions(&mut expr);
            assert_eq!(expr, before);
        }
        let arms = vec!["SELECT 1"; 100].join(" UNION ");
        let mut query = parse::query(&arms).expect("it reads");
        let before = query.clone();
        unions(&mut query.body);
        assert_eq!(query, before);
    }
}
