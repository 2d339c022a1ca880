//! The columns that decide between right rows of one time.
//!
//! Where the right side is one table, filtered, projected or renamed, the table says: its declared
//! tie columns, then the commit, then the row. They ride along as hidden columns of the right input
//! and are dropped by the join. Anywhere else the rows themselves decide: the greatest in its other
//! columns, left to right, wins, so equal inputs give equal answers whatever order they come in.

use std::fmt::Debug;
use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::catalog::TableProvider;
use datafusion::common::{Column, Dependency, Result};
use datafusion::datasource::{provider_as_source, source_as_provider};
use datafusion::logical_expr::{
    Expr, Filter, Limit, LogicalPlan, LogicalPlanBuilder, Projection, Sort, SubqueryAlias,
    TableScan,
};

use super::known::Knowledge;
use crate::exec::asof_join::TIE_PREFIX;

/// How a table breaks ties.
#[derive(Clone, Debug)]
pub struct TieOrder {
    /// The same rows, with at least the table's own columns and those that decide.
    pub provider: Arc<dyn TableProvider>,
    /// The columns that decide, the most significant first; the greatest wins, NULL loses.
    pub columns: Vec<String>,
}

/// Knows which table providers have an order of their own for ties.
pub trait TieSource: Debug + Send + Sync {
    /// The order of this provider's rows, if it has one.
    fn tie_order(&self, provider: &Arc<dyn TableProvider>) -> Option<TieOrder>;

    /// The provider's rows with the periods they were known in, if it keeps its past.
    ///
    /// # Errors
    /// Those of reading the past.
    fn knowledge(
        &self,
        _provider: &Arc<dyn TableProvider>,
    ) -> crate::error::Result<Option<Knowledge>> {
        Ok(None)
    }
}

/// No table has an order of its own.
#[derive(Debug)]
pub struct NoTies;

impl TieSource for NoTies {
    fn tie_order(&self, _provider: &Arc<dyn TableProvider>) -> Option<TieOrder> {
        None
    }
}

/// A right side whose ties are decided by `ties`, of which `hidden` are not its own columns.
pub(super) struct Tied {
    pub(super) plan: LogicalPlan,
    pub(super) ties: Vec<Expr>,
    pub(super) hidden: Vec<Column>,
}

/// `distinct_by` are the keys and times: where they identify a row there are no ties. Rows that have
/// a NULL there are no candidates at all, unless `nulls_match`.
pub(super) fn break_ties(
    right: LogicalPlan,
    distinct_by: &[&Expr],
    nulls_match: bool,
    source: &dyn TieSource,
) -> Result<Tied> {
    if let Some((plan, hidden)) = expose(&right, source)? {
        let ties = hidden.iter().cloned().map(Expr::Column).collect();
        return Ok(Tied { plan, ties, hidden });
    }
    let ties =
        if is_unique(&right, distinct_by, nulls_match) { Vec::new() } else { own_columns(&right) };
    Ok(Tied { plan: right, ties, hidden: Vec::new() })
}

fn own_columns(right: &LogicalPlan) -> Vec<Expr> {
    let sortable = right.schema().iter().filter(|(_, field)| is_sortable(field.data_type()));
    sortable.map(Expr::from).collect()
}

fn is_sortable(data_type: &DataType) -> bool {
    match data_type {
        DataType::Dictionary(_, values) => is_sortable(values),
        DataType::Null | DataType::Union(..) | DataType::RunEndEncoded(..) => false,
        nested => !nested.is_nested(),
    }
}

fn is_unique(right: &LogicalPlan, distinct_by: &[&Expr], nulls_match: bool) -> bool {
    let schema = right.schema();
    let columns: Vec<usize> = distinct_by
        .iter()
        .filter_map(|expr| expr.try_as_col())
        .filter_map(|column| schema.maybe_index_of_column(column))
        .collect();
    schema.functional_dependencies().iter().any(|dependency| {
        dependency.mode == Dependency::Single
            && !(dependency.nullable && nulls_match)
            && dependency.target_indices.len() == schema.fields().len()
            && dependency.source_indices.iter().all(|source| columns.contains(source))
    })
}

/// The plan with its table's tie columns added at the end, and their names there; None where the
/// plan is not rows of one table that has such columns.
pub(super) fn expose(
    plan: &LogicalPlan,
    source: &dyn TieSource,
) -> Result<Option<(LogicalPlan, Vec<Column>)>> {
    let input = match plan {
        LogicalPlan::TableScan(scan) => return expose_scan(scan, source),
        LogicalPlan::SubqueryAlias(SubqueryAlias { input, .. })
        | LogicalPlan::Filter(Filter { input, .. })
        | LogicalPlan::Projection(Projection { input, .. })
        | LogicalPlan::Sort(Sort { input, .. })
        | LogicalPlan::Limit(Limit { input, .. }) => input,
        _ => return Ok(None),
    };
    let Some((input, hidden)) = expose(input, source)? else { return Ok(None) };
    Ok(Some(match plan {
        LogicalPlan::SubqueryAlias(alias) => {
            let table = alias.alias.clone();
            let rename = |column: Column| Column::new(Some(table.clone()), column.name);
            let hidden = hidden.into_iter().map(rename).collect();
            (LogicalPlanBuilder::from(input).alias(alias.alias.clone())?.build()?, hidden)
        }
        LogicalPlan::Projection(projection) => {
            let shown = projection.expr.iter().cloned();
            let exprs = shown.chain(hidden.iter().cloned().map(Expr::Column)).collect();
            (LogicalPlan::Projection(Projection::try_new(exprs, Arc::new(input))?), hidden)
        }
        other => (other.with_new_exprs(other.expressions(), vec![input])?, hidden),
    }))
}

fn expose_scan(
    scan: &TableScan,
    source: &dyn TieSource,
) -> Result<Option<(LogicalPlan, Vec<Column>)>> {
    let Ok(provider) = source_as_provider(&scan.source) else { return Ok(None) };
    let Some(order) = source.tie_order(&provider) else { return Ok(None) };
    let wider = LogicalPlanBuilder::scan_with_filters_fetch(
        scan.table_name.clone(),
        provider_as_source(order.provider),
        None,
        scan.filters.clone(),
        scan.fetch,
    )?;
    let hidden = order.columns.iter().map(|name| Column::from_name(format!("{TIE_PREFIX}{name}")));
    let hidden: Vec<Column> = hidden.collect();
    let shown = scan.projected_schema.iter().map(Expr::from);
    let ties = order.columns.iter().zip(&hidden).map(|(name, hidden)| {
        let column = Column::new(Some(scan.table_name.clone()), name);
        Expr::Column(column).alias(hidden.name.clone())
    });
    Ok(Some((wider.project(shown.chain(ties))?.build()?, hidden)))
}
