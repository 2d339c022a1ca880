//! `x = ANY (array)`: where no item equals x and one is NULL, whether x is among them is not known. DataFusion's
//! `array_has`, which it becomes, passes over items that are NULL.

use std::sync::Arc;

use arrow::array::{Array, AsArray, BooleanArray};
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::Transformed;
use datafusion::common::{DFSchema, ScalarValue};
use datafusion::error::Result as DataFusionResult;
use datafusion::functions_nested::array_has::array_has_udf;
use datafusion::logical_expr::expr_rewriter::FunctionRewrite;
use datafusion::logical_expr::{ColumnarValue, Expr, ScalarUDF};

use super::changed::{Change, changed};

/// Puts the changed function in place of DataFusion's, which its planner calls by itself.
#[derive(Debug)]
pub struct UnknownMembers {
    theirs: Arc<ScalarUDF>,
    ours: Arc<ScalarUDF>,
}

impl UnknownMembers {
    pub fn new() -> UnknownMembers {
        let theirs = array_has_udf();
        let ours = Arc::new(changed(Arc::clone(&theirs), NullForUnknown));
        UnknownMembers { theirs, ours }
    }
}

impl FunctionRewrite for UnknownMembers {
    fn name(&self) -> &str {
        "unknown_members"
    }

    fn rewrite(
        &self,
        expr: Expr,
        _: &DFSchema,
        _: &ConfigOptions,
    ) -> DataFusionResult<Transformed<Expr>> {
        Ok(match expr {
            Expr::ScalarFunction(call) if call.func == self.theirs => {
                Transformed::yes(self.ours.call(call.args))
            }
            other => Transformed::no(other),
        })
    }
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct NullForUnknown;

impl Change for NullForUnknown {
    fn after(
        &self,
        found: ColumnarValue,
        args: &[ColumnarValue],
        rows: usize,
    ) -> DataFusionResult<ColumnarValue> {
        let lists = match args.first() {
            Some(ColumnarValue::Scalar(list)) => list.to_array()?,
            Some(ColumnarValue::Array(lists)) => Arc::clone(lists),
            None => return Ok(found),
        };
        let Some(lists) = lists.as_list_opt::<i32>() else { return Ok(found) };
        if lists.values().logical_null_count() == 0 {
            return Ok(found);
        }
        // One list may be for all rows.
        let list = |row: usize| if lists.len() == 1 { 0 } else { row };
        let has_null = |row: usize| {
            lists.is_valid(list(row)) && lists.value(list(row)).logical_null_count() > 0
        };
        let constant = matches!(found, ColumnarValue::Scalar(_));
        let found = found.into_array(if constant { 1 } else { rows })?;
        let known = found.as_boolean().iter().enumerate();
        let known: BooleanArray =
            known.map(|(row, found)| found.filter(|found| *found || !has_null(row))).collect();
        Ok(match constant {
            true => ColumnarValue::Scalar(ScalarValue::try_from_array(&known, 0)?),
            false => ColumnarValue::Array(Arc::new(known)),
        })
    }
}
