//! Operators that PostgreSQL plans and DataFusion does not.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field};
use datafusion::common::{DFSchema, ScalarValue};
use datafusion::error::Result as DataFusionResult;
use datafusion::logical_expr::planner::{
    ExprPlanner, PlannerResult, RawBinaryExpr, RawFieldAccessExpr,
};
use datafusion::logical_expr::{Expr, ExprSchemable, GetFieldAccess, lit};

use crate::plan::pg_catalog::PG_TYPE_KEY;
use crate::plan::pg_catalog::definitions::function_oid;

/// `'{1,2}'` beside an array, subscripts of the vectors that count from 0, and functions compared by
/// number.
#[derive(Debug)]
pub struct PostgresOperators;

impl ExprPlanner for PostgresOperators {
    fn plan_binary_op(
        &self,
        mut expr: RawBinaryExpr,
        schema: &DFSchema,
    ) -> DataFusionResult<PlannerResult<RawBinaryExpr>> {
        expr.right = beside(&expr.left, expr.right, schema);
        expr.left = beside(&expr.right, expr.left, schema);
        Ok(PlannerResult::Original(expr))
    }

    fn plan_field_access(
        &self,
        mut expr: RawFieldAccessExpr,
        schema: &DFSchema,
    ) -> DataFusionResult<PlannerResult<RawFieldAccessExpr>> {
        let of = expr.expr.to_field(schema)?.1;
        let from_zero = matches!(pg_type(&of), Some("int2vector" | "oidvector"));
        if let (true, GetFieldAccess::ListIndex { key }) = (from_zero, &mut expr.field_access) {
            **key = key.as_ref().clone() + lit(1i64);
        }
        Ok(PlannerResult::Original(expr))
    }
}

fn pg_type(field: &Field) -> Option<&str> {
    field.metadata().get(PG_TYPE_KEY).map(String::as_str)
}

/// A literal as the expression beside it needs it.
fn beside(other: &Expr, literal: Expr, schema: &DFSchema) -> Expr {
    let Expr::Literal(value, _) = &literal else {
        return literal;
    };
    let Ok((_, of)) = other.to_field(schema) else {
        return literal;
    };
    match (of.data_type(), value.try_as_str().flatten()) {
        (DataType::List(item), Some(text)) => match array_literal(text, item) {
            Some(list) => Expr::Literal(list, None),
            None => literal,
        },
        _ => match (pg_type(&of), value) {
            // regproc is stored by name and compared by number.
            (Some("regproc"), ScalarValue::Int64(Some(oid))) => lit(function_name(*oid)),
            _ => literal,
        },
    }
}

fn function_name(oid: i64) -> String {
    let known =
        u32::try_from(oid).ok().and_then(crate::plan::pg_catalog::definitions::function_name);
    match known {
        // Several functions share a name; the number is the first's.
        Some(name) if i64::from(function_oid(name)) == oid => name.to_owned(),
        _ if oid == 0 => "-".to_owned(),
        _ => oid.to_string(),
    }
}

/// `{a,"b c",NULL}` as an array of one dimension; None for what is not, or has an item that is not
/// of the type.
fn array_literal(text: &str, item: &Arc<Field>) -> Option<ScalarValue> {
    let inner = text.trim().strip_prefix('{')?.strip_suffix('}')?;
    let items: Option<Vec<ScalarValue>> = split(inner)?
        .into_iter()
        .map(|text| match text {
            None => ScalarValue::try_from(item.data_type()).ok(),
            Some(text) => ScalarValue::try_from_string(text, item.data_type()).ok(),
        })
        .collect();
    Some(ScalarValue::List(ScalarValue::new_list(&items?, item.data_type(), true)))
}

fn split(inner: &str) -> Option<Vec<Option<String>>> {
    let mut items = Vec::new();
    let mut chars = inner.chars().peekable();
    if inner.trim().is_empty() {
        return Some(items);
    }
    loop {
        let mut item = String::new();
        let mut quoted = false;
        while let Some(c) = chars.next_if(|c| *c != ',') {
            match c {
                '"' => {
                    quoted = true;
                    loop {
                        match chars.next()? {
                            '"' => break,
                            '\\' => item.push(chars.next()?),
                            c => item.push(c),
                        }
                    }
                }
                '{' | '}' => return None,
                '\\' => item.push(chars.next()?),
                c => item.push(c),
            }
        }
        let item = if quoted { item } else { item.trim().to_owned() };
        items.push((quoted || !item.eq_ignore_ascii_case("null")).then_some(item));
        if chars.next().is_none() {
            return Some(items);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn array_literals_split_at_bare_commas() {
        let of = |text: &str| split(text).expect("a flat array");
        assert_eq!(of(""), []);
        assert_eq!(of("1, 2"), [Some("1".to_owned()), Some("2".to_owned())]);
        assert_eq!(
            of(r#""a,b",NULL,"NULL""#),
            [Some("a,b".to_owned()), None, Some("NULL".to_owned())]
        );
        assert_eq!(split("{1},{2}"), None);
    }
}
