//! `VALUES (date '2025-01-01'), ('2025-01-02')`: a quoted text takes the type of the values above or
//! below it. `VALUES (1, (SELECT 2))`: a row that asks something is a SELECT of its own.

use std::mem::take;
use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    Expr, Ident, OrderBy, OrderByExpr, OrderByKind, OrderByOptions, Query, SelectItem, SetExpr,
    Value, Values, Visit, Visitor,
};

use super::{balance, build};
use crate::error::{Error, ErrorKind, Result};
use crate::plan::functions::ALIKE;

/// The column that says which row it is.
const ROW: &str = "asofdb row";

/// Rows of VALUES that hold a subquery become `SELECT … UNION ALL …` among the others: the executor's
/// VALUES evaluates each row before anything else has run. Where VALUES are all of a query that says no
/// order, the rows come as they are written.
///
/// # Errors
/// Syntax for rows of several lengths.
pub fn split_asking(query: &mut Query, is_whole: bool) -> Result<()> {
    check_lengths(&query.body)?;
    match query.body.as_mut() {
        SetExpr::Values(values) if is_whole && query.order_by.is_none() && is_asking(values) => {
            let names = (1..=values.rows[0].content.len()).map(name_of);
            for (at, row) in values.rows.iter_mut().enumerate() {
                row.content.push(build::number(at as i64));
            }
            let columns: Vec<String> = names.clone().chain([ROW.to_owned()]).collect();
            let columns: Vec<&str> = columns.iter().map(String::as_str).collect();
            let item = |name| SelectItem::UnnamedExpr(Expr::Identifier(quoted(name)));
            let items = names.map(item).collect();
            let mut rows = build::select(Vec::new(), Vec::new(), None);
            rows.body = Box::new(in_parts(values));
            let rows = build::derived(rows, Some(build::alias("asofdb rows", &columns)));
            let by = Expr::Identifier(quoted(ROW.to_owned()));
            let options = OrderByOptions { asc: None, nulls_first: None };
            let by = OrderByExpr { expr: by, options, with_fill: None };
            query.body = build::select(items, vec![rows], None).body;
            query.order_by =
                Some(OrderBy { kind: OrderByKind::Expressions(vec![by]), interpolate: None });
        }
        body => split_body(body),
    }
    Ok(())
}

fn check_lengths(body: &SetExpr) -> Result<()> {
    match body {
        SetExpr::SetOperation { left, right, .. } => {
            check_lengths(left)?;
            check_lengths(right)
        }
        SetExpr::Values(Values { rows, .. })
            if rows.iter().any(|row| row.content.len() != rows[0].content.len()) =>
        {
            let message = "VALUES lists must all be the same length";
            Err(Error::new(ErrorKind::Syntax, message))
        }
        _ => Ok(()),
    }
}

fn split_body(body: &mut SetExpr) {
    match body {
        SetExpr::SetOperation { left, right, .. } => {
            split_body(left);
            split_body(right);
        }
        SetExpr::Values(values) if is_asking(values) => *body = in_parts(values),
        _ => {}
    }
}

fn is_asking(values: &Values) -> bool {
    values.rows.iter().any(|row| row.content.iter().any(asks))
}

fn in_parts(values: &mut Values) -> SetExpr {
    let mut parts: Vec<SetExpr> = Vec::new();
    for row in take(&mut values.rows) {
        if !row.content.iter().any(asks) {
            match parts.last_mut() {
                Some(SetExpr::Values(before)) => before.rows.push(row),
                _ => parts.push(SetExpr::Values(Values { rows: vec![row], ..values.clone() })),
            }
            continue;
        }
        let item = |(at, expr): (usize, Expr)| {
            let alias = quoted(name_of(at + 1));
            SelectItem::ExprWithAlias { expr, alias }
        };
        let items = row.content.into_iter().enumerate().map(item).collect();
        parts.push(*build::select(items, Vec::new(), None).body);
    }
    parts.reverse();
    balance::union_all(parts)
}

/// What a column of VALUES is called.
fn name_of(position: usize) -> String {
    format!("column{position}")
}

fn quoted(name: String) -> Ident {
    Ident::with_quote('"', name)
}

fn asks(cell: &Expr) -> bool {
    // Most cells are literals.
    !matches!(cell, Expr::Value(_)) && cell.visit(&mut Asks).is_break()
}

struct Asks;

impl Visitor for Asks {
    type Break = ();

    fn pre_visit_query(&mut self, _: &Query) -> ControlFlow<()> {
        ControlFlow::Break(())
    }
}

/// Gives texts among values of another type that type.
pub fn give_types(body: &mut SetExpr) {
    let SetExpr::Values(values) = body else { return };
    let width = values.rows.iter().map(|row| row.content.len()).min().unwrap_or(0);
    for column in 0..width {
        let mut cells = values.rows.iter().map(|row| &row.content[column]);
        let Some(sample) = cells.find(|cell| shows_its_type(cell)).cloned() else { continue };
        for row in &mut values.rows {
            let cell = &mut row.content[column];
            if is_text(cell) {
                *cell = build::call(ALIKE, vec![cell.clone(), sample.clone()]);
            }
        }
    }
}

fn is_text(cell: &Expr) -> bool {
    matches!(cell, Expr::Value(value)
        if matches!(value.value, Value::SingleQuotedString(_) | Value::EscapedStringLiteral(_)))
}

/// A literal or a cast: short, and the same wherever it is written.
fn shows_its_type(cell: &Expr) -> bool {
    match cell {
        Expr::Value(value) => matches!(value.value, Value::Number(..) | Value::Boolean(_)),
        Expr::UnaryOp { expr, .. } | Expr::Nested(expr) => shows_its_type(expr),
        Expr::TypedString(_) | Expr::Interval(_) => true,
        Expr::Cast { expr, .. } => matches!(expr.as_ref(), Expr::Value(_)),
        _ => false,
    }
}
