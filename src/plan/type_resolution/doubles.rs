//! Doubles beside numerics where DataFusion has made numerics of them, or will: VALUES, IN over a sub-select, INTERSECT
//! and EXCEPT.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::tree_node::Transformed;
use datafusion::common::{DFSchema, NullEquality, Result};
use datafusion::logical_expr::expr::{Cast, InSubquery};
use datafusion::logical_expr::{Expr, ExprSchemable, Join, LogicalPlan, Values, cast};

use super::{shown_written, with_types};
use crate::plan::functions::is_as_written;

/// Whether a node is one of those, with a numeric in it.
pub(super) fn could_be(node: &LogicalPlan) -> bool {
    let has_numeric = |plan: &LogicalPlan| {
        plan.schema().fields().iter().any(|field| field.data_type().is_decimal())
    };
    match node {
        LogicalPlan::Values(_) => has_numeric(node),
        LogicalPlan::Join(join) => {
            is_set_operation(join) && (has_numeric(&join.left) || has_numeric(&join.right))
        }
        _ => false,
    }
}

/// Only set operations hold NULLs to be equal this early.
fn is_set_operation(join: &Join) -> bool {
    join.null_equality == NullEquality::NullEqualsNull
}

/// A column in which a double was cast to a numeric is one of doubles.
pub(super) fn settle_values(mut values: Values) -> Result<Values> {
    let schema = Arc::clone(&values.schema);
    let mut fields: Vec<_> = schema.iter().map(|(q, f)| (q.cloned(), Arc::clone(f))).collect();
    let mut changed = false;
    for (column, (_, field)) in fields.iter_mut().enumerate() {
        let was_double = |row: &Vec<Expr>| match &row[column] {
            Expr::Cast(Cast { expr, field: to }) => {
                to.data_type() == field.data_type() && is_double(expr, &schema)
            }
            _ => false,
        };
        if !field.data_type().is_decimal() || !values.values.iter().any(was_double) {
            continue;
        }
        for row in &mut values.values {
            let value = match std::mem::take(&mut row[column]) {
                Expr::Cast(Cast { expr, field: to }) if to.data_type() == field.data_type() => {
                    *expr
                }
                other => other,
            };
            row[column] = cast(value, DataType::Float64);
        }
        *field = double(field);
        changed = true;
    }
    if changed {
        values.schema = Arc::new(DFSchema::new_with_metadata(fields, schema.metadata().clone())?);
    }
    Ok(values)
}

fn is_double(expr: &Expr, schema: &DFSchema) -> bool {
    expr.get_type(schema).is_ok_and(|of| of.is_floating()) && !is_as_written(expr, schema)
}

fn double(field: &FieldRef) -> FieldRef {
    Arc::new(Field::new(field.name(), DataType::Float64, field.is_nullable()))
}

/// `x IN (SELECT y …)`
pub(super) fn settle_in(mut list: InSubquery, schema: &DFSchema) -> Result<Transformed<Expr>> {
    let member = Arc::clone(list.subquery.subquery.schema().field(0));
    // A name that is an error of its own.
    let Ok(of) = list.expr.get_type(schema) else {
        return Ok(Transformed::no(Expr::InSubquery(list)));
    };
    let plan = &list.subquery.subquery;
    let changed = match (of.is_decimal(), member.data_type().is_decimal()) {
        (true, false) if member.data_type().is_floating() && !shown_written(plan, 0) => {
            list.expr = Box::new(cast(*list.expr, DataType::Float64));
            true
        }
        (false, true) if is_double(&list.expr, schema) => {
            list.subquery.subquery = with_types(plan, &[Some(double(&member))])?;
            true
        }
        _ => false,
    };
    Ok(Transformed::new_transformed(Expr::InSubquery(list), changed))
}

/// INTERSECT and EXCEPT, whose rows are of both sides.
pub(super) fn settle_join(mut join: Join) -> Result<Join> {
    if !is_set_operation(&join) {
        return Ok(join);
    }
    let sides = join.left.schema().fields().iter().zip(join.right.schema().fields());
    let common = sides.enumerate().map(|(column, (left, right))| {
        let is_double = |plan: &LogicalPlan, field: &FieldRef| {
            field.data_type().is_floating() && !shown_written(plan, column)
        };
        let mixed = left.data_type().is_decimal() && is_double(&join.right, right)
            || right.data_type().is_decimal() && is_double(&join.left, left);
        mixed.then(|| double(left))
    });
    let common: Vec<Option<FieldRef>> = common.collect();
    if common.iter().all(Option::is_none) {
        return Ok(join);
    }
    join.left = with_types(&join.left, &common)?;
    join.right = with_types(&join.right, &common)?;
    Join::try_new(
        join.left,
        join.right,
        join.on,
        join.filter,
        join.join_type,
        join.join_constraint,
        join.null_equality,
        join.null_aware,
    )
}
