//! `VALUES (date '2025-01-01'), ('2025-01-02')`: a quoted text takes the type of the values above or
//! below it.

use datafusion::sql::sqlparser::ast::{Expr, SetExpr, Value};

use super::build;
use crate::plan::functions::ALIKE;

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
