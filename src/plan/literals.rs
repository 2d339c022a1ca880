//! Text that is cast is read as PostgreSQL reads the type: `'infinity'::timestamptz`, a time without
//! a zone in the session's zone, `'{1,2}'::int[]`. Arrow's own casts know none of these.

use arrow::datatypes::FieldRef;
use datafusion::common::metadata::FieldMetadata;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Result as DataFusionResult, ScalarValue};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::{Expr, LogicalPlan};

use super::scope::external;
use crate::error::Result;
use crate::fault;
use crate::spec::Type;
use crate::spec::text::{TextBuilder, TextOptions};

/// Turns every cast of a text literal into a literal of the type.
///
/// # Errors
/// Those of the type's text form: InvalidText, InvalidDatetime, OutOfRange …
pub fn read_text_casts(plan: LogicalPlan, options: &TextOptions) -> Result<LogicalPlan> {
    let read = plan.transform_up_with_subqueries(|plan| {
        let names = NamePreserver::new(&plan);
        let plan = plan.map_expressions(|expr| {
            let name = names.save(&expr);
            let read = expr.transform_up(|expr| read_cast(expr, options))?;
            Ok(read.update_data(|expr| name.restore(expr)))
        })?;
        match plan.transformed {
            true => Ok(Transformed::yes(plan.data.recompute_schema()?)),
            false => Ok(plan),
        }
    });
    read.map(|plan| plan.data).map_err(fault::of_datafusion)
}

fn read_cast(expr: Expr, options: &TextOptions) -> DataFusionResult<Transformed<Expr>> {
    let Expr::Cast(cast) = &expr else { return Ok(Transformed::no(expr)) };
    let Expr::Literal(value, _) = cast.expr.as_ref() else { return Ok(Transformed::no(expr)) };
    let Some(Some(text)) = value.try_as_str() else { return Ok(Transformed::no(expr)) };
    match literal(text, &cast.field, options)? {
        Some(read) => Ok(Transformed::yes(read)),
        None => Ok(Transformed::no(expr)),
    }
}

/// None for types that are text themselves, or none of ours.
fn literal(text: &str, field: &FieldRef, options: &TextOptions) -> DataFusionResult<Option<Expr>> {
    let data_type = match Type::of_field(field) {
        None | Some(Type::Text | Type::Varchar(_) | Type::Char(_)) => return Ok(None),
        Some(data_type) => data_type,
    };
    if data_type.arrow() != *field.data_type() {
        return Ok(None);
    }
    let mut builder = TextBuilder::new(&data_type, options);
    builder.append(text.as_bytes()).map_err(external)?;
    let value = ScalarValue::try_from_array(&builder.finish(), 0)?;
    let metadata =
        Some(FieldMetadata::from(field.as_ref())).filter(|metadata| !metadata.is_empty());
    Ok(Some(Expr::Literal(value, metadata)))
}
