//! Operators that PostgreSQL plans and DataFusion does not.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field};
use datafusion::common::{DFSchema, ScalarValue};
use datafusion::error::Result as DataFusionResult;
use datafusion::logical_expr::planner::{
    ExprPlanner, PlannerResult, RawBinaryExpr, RawFieldAccessExpr,
};
use datafusion::logical_expr::{Expr, ExprSchemable, GetFieldAccess, ScalarUDF, lit};

use crate::plan::pg_catalog::PG_TYPE_KEY;
use crate::plan::pg_catalog::array_text;

/// `'{1,2}'` beside an array, subscripts of the vectors that count from 0, and functions compared by
/// number.
#[derive(Debug)]
pub struct PostgresOperators {
    function_oid: Arc<ScalarUDF>,
}

impl Default for PostgresOperators {
    fn default() -> Self {
        PostgresOperators { function_oid: Arc::new(super::catalog::function_oid()) }
    }
}

impl PostgresOperators {
    /// A function stored by name, where a number is what it is compared with.
    fn by_number(&self, expr: &mut Expr, other: &Expr, schema: &DFSchema) -> DataFusionResult<()> {
        let of = expr.to_field(schema)?.1;
        if pg_type(&of) == Some("regproc") && other.get_type(schema)?.is_integer() {
            *expr = self.function_oid.call(vec![expr.clone()]);
        }
        Ok(())
    }
}

impl ExprPlanner for PostgresOperators {
    fn plan_binary_op(
        &self,
        mut expr: RawBinaryExpr,
        schema: &DFSchema,
    ) -> DataFusionResult<PlannerResult<RawBinaryExpr>> {
        expr.right = beside(&expr.left, expr.right, schema);
        expr.left = beside(&expr.right, expr.left, schema);
        self.by_number(&mut expr.left, &expr.right, schema)?;
        self.by_number(&mut expr.right, &expr.left, schema)?;
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
        _ => literal,
    }
}

/// `{a,"b c",NULL}` as an array of one dimension; None for what is not, or has an item that is not
/// of the type.
fn array_literal(text: &str, item: &Arc<Field>) -> Option<ScalarValue> {
    let items: Option<Vec<ScalarValue>> = array_text::split(text)?
        .into_iter()
        .map(|text| match text {
            None => ScalarValue::try_from(item.data_type()).ok(),
            Some(text) => ScalarValue::try_from_string(text, item.data_type()).ok(),
        })
        .collect();
    Some(ScalarValue::List(ScalarValue::new_list(&items?, item.data_type(), true)))
}
