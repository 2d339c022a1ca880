//! Columns that make their own values: what a statement may say of them.

use datafusion::sql::sqlparser::ast::{Expr, SelectItem, SetExpr};

use super::write::values::is_default;
use crate::error::{Error, ErrorKind, Result};
use crate::parse::Overriding;
use crate::spec::{Column, Generated, TableSchema};

/// # Errors
/// GeneratedAlways where an INSERT gives a value to a column that makes its own; DEFAULT may be said,
/// and with `overriding` the value of an identity.
pub fn refuse_given(
    schema: &TableSchema,
    names: &[String],
    body: &SetExpr,
    overriding: Overriding,
) -> Result<()> {
    for (at, name) in names.iter().enumerate() {
        let Some((_, column)) = schema.column_named(name) else { continue };
        let taken = overriding != Overriding::Nothing
            && matches!(column.generated, Some(Generated::Identity { .. }));
        if taken || !makes_its_own(column) || !gives_value(body, at) {
            continue;
        }
        let message = format!("cannot insert a non-DEFAULT value into column \"{name}\"");
        let error = Error::new(ErrorKind::GeneratedAlways, message).detail(detail(column));
        return Err(match column.generated {
            Some(Generated::Identity { .. }) => {
                error.hint("use OVERRIDING SYSTEM VALUE to override")
            }
            _ => error,
        });
    }
    Ok(())
}

/// OVERRIDING USER VALUE: what is given to an identity column reaches no column.
pub fn without_given(schema: &TableSchema, names: &mut [String]) {
    for name in names {
        let column = schema.column_named(name).map(|(_, column)| &column.generated);
        if let Some(Some(Generated::Identity { .. })) = column {
            name.clear();
        }
    }
}

/// # Errors
/// GeneratedAlways where an UPDATE assigns a value to a column that makes its own.
pub fn refuse_assigned(schema: &TableSchema, assigned: &[(String, Expr)]) -> Result<()> {
    for (name, value) in assigned {
        let Some((_, column)) = schema.column_named(name) else { continue };
        if makes_its_own(column) && !is_default(value) {
            let message = format!("column \"{name}\" can only be updated to DEFAULT");
            return Err(Error::new(ErrorKind::GeneratedAlways, message).detail(detail(column)));
        }
    }
    Ok(())
}

fn makes_its_own(column: &Column) -> bool {
    matches!(
        column.generated,
        Some(Generated::Identity { always: true, .. } | Generated::Stored(_))
    )
}

/// Whether a source has a value, not DEFAULT, at this place.
fn gives_value(body: &SetExpr, at: usize) -> bool {
    match body {
        SetExpr::Values(values) => {
            values.rows.iter().filter_map(|row| row.content.get(at)).any(|value| !is_default(value))
        }
        SetExpr::Select(select) => {
            let all = |item: &SelectItem| {
                matches!(item, SelectItem::Wildcard(_) | SelectItem::QualifiedWildcard(..))
            };
            select.projection.len() > at || select.projection.iter().any(all)
        }
        _ => true,
    }
}

fn detail(column: &Column) -> String {
    let what = match &column.generated {
        Some(Generated::Stored(_)) => "a generated column",
        _ => "an identity column defined as GENERATED ALWAYS",
    };
    format!("Column \"{}\" is {what}.", column.name)
}
