//! Rows asked whether they are NULL, and compared with rows, element by element from the left: where neither is known to be first, an element
//! that is NULL makes it NULL. DataFusion compares structs, in which NULL equals NULL and has a place in the order.

use datafusion::common::DFSchema;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::Transformed;
use datafusion::error::Result as DataFusionResult;
use datafusion::logical_expr::Expr;
use datafusion::logical_expr::expr_rewriter::FunctionRewrite;
use datafusion::logical_expr::utils::conjunction;
use datafusion::sql::sqlparser::ast::BinaryOperator;

/// The elements of two rows of one length; None where one is no row that is written as such.
pub fn elements(left: &Expr, right: &Expr) -> Option<Vec<(Expr, Expr)>> {
    let (left, right) = (row(left)?, row(right)?);
    let pairs = left.iter().cloned().zip(right.iter().cloned());
    (left.len() == right.len() && !left.is_empty()).then(|| pairs.collect())
}

fn row(expr: &Expr) -> Option<&[Expr]> {
    match expr {
        Expr::ScalarFunction(call) if call.func.name() == "struct" => Some(&call.args),
        // `row(…)`, which is the same function by another name.
        Expr::Alias(alias) => row(&alias.expr),
        _ => None,
    }
}

/// A row IS NULL where all its elements are, and IS NOT NULL where none is.
#[derive(Debug)]
pub struct RowsOfNulls;

impl FunctionRewrite for RowsOfNulls {
    fn name(&self) -> &str {
        "rows_of_nulls"
    }

    fn rewrite(
        &self,
        expr: Expr,
        _: &DFSchema,
        _: &ConfigOptions,
    ) -> DataFusionResult<Transformed<Expr>> {
        let asked = match &expr {
            Expr::IsNull(inner) => row(inner).map(|row| (row, Expr::is_null as fn(Expr) -> Expr)),
            Expr::IsNotNull(inner) => row(inner).map(|row| (row, Expr::is_not_null as _)),
            _ => None,
        };
        let each = asked.and_then(|(row, ask)| conjunction(row.iter().cloned().map(ask)));
        Ok(each.map_or_else(|| Transformed::no(expr), Transformed::yes))
    }
}

/// The rows compared, where `compare` compares two elements.
///
/// # Errors
/// Those of `compare`.
pub fn compared(
    op: &BinaryOperator,
    pairs: Vec<(Expr, Expr)>,
    mut compare: impl FnMut(BinaryOperator, Expr, Expr) -> DataFusionResult<Expr>,
) -> DataFusionResult<Option<Expr>> {
    use BinaryOperator::{Eq, Gt, GtEq, Lt, LtEq, NotEq};
    let strict = match op {
        Eq | NotEq => op.clone(),
        Lt | LtEq => Lt,
        Gt | GtEq => Gt,
        _ => return Ok(None),
    };
    let mut pairs = pairs.into_iter().rev();
    let Some((left, right)) = pairs.next() else { return Ok(None) };
    let mut whole = compare(op.clone(), left, right)?;
    for (left, right) in pairs {
        whole = match op {
            Eq => compare(Eq, left, right)?.and(whole),
            NotEq => compare(NotEq, left, right)?.or(whole),
            _ => {
                let first = compare(strict.clone(), left.clone(), right.clone())?;
                first.or(compare(Eq, left, right)?.and(whole))
            }
        };
    }
    Ok(Some(whole))
}
