//! Long lists of written rows as a table in memory.
//!
//! Each value of VALUES is an expression, and every rule of the optimizer looks at every one of them.
//! Rows that are only constants say nothing more than the arrays they become.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::datatypes::{DataType, SchemaRef};
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, Result, ScalarValue};
use datafusion::datasource::{MemTable, provider_as_source};
use datafusion::logical_expr::expr::Cast;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, Values};

use crate::error;
use crate::fault;

/// Shorter lists stay as they are.
const LONG_ROWS: usize = 100;
/// Rows of a batch.
const BATCH_ROWS: usize = 8192;

/// The plan with such lists as tables; their columns keep names and types.
///
/// # Errors
/// Internal, which does not happen.
pub fn as_tables(plan: LogicalPlan) -> error::Result<LogicalPlan> {
    let replaced = plan.transform_up(|node| match node {
        LogicalPlan::Values(values) if values.values.len() >= LONG_ROWS => match arrays(&values) {
            Some(columns) => table(&values, columns).map(Transformed::yes),
            None => Ok(Transformed::no(LogicalPlan::Values(values))),
        },
        other => Ok(Transformed::no(other)),
    });
    Ok(replaced.map_err(fault::of_datafusion)?.data)
}

/// None where a value is more than a constant, or errs.
fn arrays(values: &Values) -> Option<Vec<ArrayRef>> {
    let fields = values.schema.fields();
    let column = |(at, field): (usize, &Arc<arrow::datatypes::Field>)| {
        let cells = values.values.iter().map(|row| constant(&row[at], field.data_type()));
        let cells = cells.collect::<Option<Vec<ScalarValue>>>()?;
        ScalarValue::iter_to_array(cells).ok()
    };
    fields.iter().enumerate().map(column).collect()
}

fn constant(expr: &Expr, of: &DataType) -> Option<ScalarValue> {
    let value = match expr {
        Expr::Literal(value, None) => value,
        Expr::Cast(Cast { expr, field }) if field.data_type() == of => match expr.as_ref() {
            Expr::Literal(value, None) => return value.cast_to(of).ok(),
            _ => return None,
        },
        _ => return None,
    };
    match value.data_type() {
        DataType::Null => ScalarValue::try_from(of).ok(),
        own => (own == *of).then(|| value.clone()),
    }
}

fn table(values: &Values, columns: Vec<ArrayRef>) -> Result<LogicalPlan> {
    let schema: SchemaRef = Arc::clone(values.schema.inner());
    let all = RecordBatch::try_new(Arc::clone(&schema), columns)?;
    let rows = (0..all.num_rows()).step_by(BATCH_ROWS);
    let batches = rows.map(|at| all.slice(at, BATCH_ROWS.min(all.num_rows() - at))).collect();
    let source = provider_as_source(Arc::new(MemTable::try_new(schema, vec![batches])?));
    let scan = LogicalPlanBuilder::scan("values", source, None)?.build()?;
    let named = scan.schema().iter().map(|field| {
        let name = field.1.name().clone();
        Expr::Column(Column::from(field)).alias(name)
    });
    let named = named.collect::<Vec<_>>();
    LogicalPlanBuilder::from(scan).project(named)?.build()
}

#[cfg(test)]
mod tests {
    use datafusion::logical_expr::{cast, lit};

    use super::*;

    fn planned(cell: impl Fn(i64) -> Expr) -> LogicalPlan {
        let rows = (0..300).map(|n| vec![lit(n), cell(n)]).collect();
        LogicalPlanBuilder::values(rows).and_then(LogicalPlanBuilder::build).expect("rows")
    }

    fn is_table(plan: LogicalPlan) -> bool {
        let schema = Arc::clone(plan.schema());
        let plan = as_tables(plan).expect("constants");
        assert_eq!(plan.schema(), &schema);
        matches!(plan, LogicalPlan::Projection(_))
    }

    #[test]
    fn constants_become_a_table_and_keep_their_columns() {
        assert!(is_table(planned(|n| lit(format!("v{n}")))));
        let sometimes = |n| if n % 2 == 0 { lit(ScalarValue::Null) } else { lit(n as f64) };
        assert!(is_table(planned(sometimes)));
    }

    #[test]
    fn what_is_to_be_computed_stays() {
        assert!(!is_table(planned(|n| lit(n) + lit(1_i64))));
        let fails = |n| cast(lit(format!("x{n}")), DataType::Int64);
        assert!(!is_table(planned(fails)));
    }
}
