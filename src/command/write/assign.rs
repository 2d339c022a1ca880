//! Values as the columns take them that they are assigned to.

use std::sync::Arc;

use datafusion::common::DFSchema;
use datafusion::logical_expr::expr::Cast;
use datafusion::logical_expr::{Expr, ExprSchemable};

use crate::error::{Error, ErrorKind, Result};
use crate::plan::functions::type_of;
use crate::spec::length::is_limited;
use crate::spec::{Column, Type};

/// A value, whose columns are of `schema`, in the type of a column. Texts keep their length: the gate
/// refuses what is too long, where a cast would cut it.
///
/// # Errors
/// DatatypeMismatch where PostgreSQL has no cast in an assignment.
pub fn cast_to_column(value: Expr, column: &Column, schema: &DFSchema) -> Result<Expr> {
    // What is not known yet, a parameter for one, is no other kind.
    let of = value.to_field(schema).ok().and_then(|(_, field)| type_of(&field));
    if let Some(of) = of.filter(|of| !is_assignable(of, &column.data_type)) {
        let (wanted, given) = (without_modifier(&column.data_type), without_modifier(&of));
        let message = format!(
            "column \"{}\" is of type {wanted} but expression is of type {given}",
            column.name
        );
        return Err(Error::new(ErrorKind::DatatypeMismatch, message)
            .hint("you will need to rewrite or cast the expression"));
    }
    let field = Arc::new(of_any_length(&column.data_type).field("", true));
    Ok(Expr::Cast(Cast::new_from_field(Box::new(value), field)))
}

fn of_any_length(of: &Type) -> Type {
    match of {
        Type::Array(item) => Type::Array(Box::new(of_any_length(item))),
        of if is_limited(of) => Type::Text,
        of => of.clone(),
    }
}

/// Kinds of values, none of which is another. Text may have been a literal, and is read.
#[derive(PartialEq, Eq)]
enum Kind {
    Bool,
    Number,
    Time,
    Json,
    Array,
}

fn kind(of: &Type) -> Option<Kind> {
    use Type::{Bool, Float4, Float8, Int2, Int4, Int8, Json, Jsonb, Numeric};
    Some(match of {
        Bool => Kind::Bool,
        Int2 | Int4 | Int8 | Float4 | Float8 | Numeric(..) => Kind::Number,
        Type::Date | Type::Time | Type::Timestamp | Type::Timestamptz | Type::Interval => {
            Kind::Time
        }
        Json | Jsonb => Kind::Json,
        Type::Array(_) => Kind::Array,
        Type::Text | Type::Varchar(_) | Type::Char(_) | Type::Bytea | Type::Uuid => return None,
    })
}

fn is_assignable(from: &Type, to: &Type) -> bool {
    match (kind(from), kind(to)) {
        (Some(from), Some(to)) => from == to,
        _ => true,
    }
}

/// `numeric(5,2)[]` is numeric[].
fn without_modifier(of: &Type) -> String {
    let shown = of.to_string();
    match (shown.find('('), shown.find(')')) {
        (Some(open), Some(close)) => format!("{}{}", &shown[..open], &shown[close + 1..]),
        _ => shown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_not_mixed() {
        let array = Type::Array(Box::new(Type::Numeric(5, 2)));
        assert!(!is_assignable(&Type::Bool, &Type::Int4) && !is_assignable(&array, &Type::Int4));
        assert!(is_assignable(&Type::Int8, &Type::Numeric(5, 2)));
        assert!(is_assignable(&Type::Date, &Type::Text) && is_assignable(&Type::Text, &Type::Date));
        assert_eq!(without_modifier(&array), "numeric[]");
    }
}
