//! What DataFusion's own rules must not do to a node with two inputs, done right.
//!
//! * A filter above the join that reads the left side only goes below it: a left row has its match
//!   whatever other left rows there are. One that reads just a key is repeated on the right, where
//!   rows of other keys match nothing. Not so where right rows come out by themselves (RIGHT, FULL):
//!   there everything stays above.
//! * LIMIT goes below the left side of a LEFT join, which has one row out for one row in.
//!
//! A filter that reads the right side stays above: below, it would change what matches.

use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::common::Result;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::logical_expr::utils::{conjunction, split_conjunction_owned};
use datafusion::logical_expr::{
    Expr, ExprSchemable, Extension, FetchType, Filter, Limit, LogicalPlan, LogicalPlanBuilder,
    SkipType,
};
use datafusion::optimizer::optimizer::ApplyOrder;
use datafusion::optimizer::{OptimizerConfig, OptimizerRule};

use super::condition::{Scope, Side};
use super::node::AsofJoinNode;
use crate::exec::asof_join::Kind;

/// Moves filters and limits below the left side of ASOF joins.
#[derive(Debug)]
pub struct PushIntoAsofJoin;

impl OptimizerRule for PushIntoAsofJoin {
    fn name(&self) -> &str {
        "push_into_asof_join"
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        Some(ApplyOrder::TopDown)
    }

    fn rewrite(
        &self,
        plan: LogicalPlan,
        _config: &dyn OptimizerConfig,
    ) -> Result<Transformed<LogicalPlan>> {
        let pushed = match &plan {
            LogicalPlan::Filter(filter) => match asof_join(&filter.input) {
                Some(node) => push_filter(filter, node)?,
                None => None,
            },
            LogicalPlan::Limit(limit) => match asof_join(&limit.input) {
                Some(node) => push_limit(limit, node)?,
                None => None,
            },
            _ => None,
        };
        Ok(pushed.map_or_else(|| Transformed::no(plan), Transformed::yes))
    }
}

pub(super) fn asof_join(plan: &LogicalPlan) -> Option<&AsofJoinNode> {
    let LogicalPlan::Extension(extension) = plan else { return None };
    extension.node.as_any().downcast_ref()
}

pub(super) fn as_plan(node: AsofJoinNode) -> LogicalPlan {
    LogicalPlan::Extension(Extension { node: Arc::new(node) })
}

fn push_filter(filter: &Filter, node: &AsofJoinNode) -> Result<Option<LogicalPlan>> {
    let scope = Scope { left: node.left.schema(), right: node.right.schema() };
    let conjuncts = split_conjunction_owned(filter.predicate.clone());
    if node.kind.keeps_right() {
        return Ok(None);
    }
    let of_left = |expr: &Expr| matches!(scope.side(expr), Side::Left) && !expr.is_volatile();
    let (below, above): (Vec<_>, Vec<_>) = conjuncts.into_iter().partition(of_left);
    let mirrored: Vec<Expr> =
        below.iter().map(|expr| mirror(expr, node)).collect::<Result<Vec<_>>>()?.concat();
    let Some(below) = conjunction(below) else { return Ok(None) };
    let left = LogicalPlanBuilder::from(node.left.as_ref().clone()).filter(below)?.build()?;
    let mut node = node.with_left(left)?;
    if let Some(mirrored) = conjunction(mirrored) {
        let right = LogicalPlanBuilder::from(node.right.as_ref().clone());
        node = node.with_right(right.filter(mirrored)?.build()?)?;
    }
    let joined = as_plan(node);
    Ok(Some(match conjunction(above) {
        Some(above) => LogicalPlan::Filter(Filter::try_new(above, Arc::new(joined))?),
        None => joined,
    }))
}

/// The predicate over a left key, said of the right key that equals it. Floats are left out: equal
/// ones may differ in their bits.
fn mirror(predicate: &Expr, node: &AsofJoinNode) -> Result<Vec<Expr>> {
    let columns = predicate.column_refs();
    let mut mirrored = Vec::new();
    for on in node.on.iter().filter(|on| !on.null_equal) {
        let Some(key) = on.left.try_as_col() else { continue };
        let same_type = on.right.get_type(node.right.schema())?;
        let own_type = on.left.get_type(node.left.schema())?;
        let is_float = matches!(own_type, DataType::Float32 | DataType::Float64);
        let only_key = columns.len() == 1 && columns.contains(key);
        if !only_key || same_type != own_type || is_float {
            continue;
        }
        let said = predicate.clone().transform(|expr| {
            Ok(match expr {
                Expr::Column(_) => Transformed::yes(on.right.clone()),
                other => Transformed::no(other),
            })
        });
        mirrored.push(said.data()?);
    }
    Ok(mirrored)
}

fn push_limit(limit: &Limit, node: &AsofJoinNode) -> Result<Option<LogicalPlan>> {
    let (SkipType::Literal(skip), FetchType::Literal(Some(fetch))) =
        (limit.get_skip_type()?, limit.get_fetch_type()?)
    else {
        return Ok(None);
    };
    let rows = skip.saturating_add(fetch);
    if node.kind != Kind::Left || rows_max(&node.left)?.is_some_and(|max| max <= rows) {
        return Ok(None);
    }
    let left = LogicalPlanBuilder::from(node.left.as_ref().clone()).limit(0, Some(rows))?;
    let joined = as_plan(node.with_left(left.build()?)?);
    Ok(Some(LogicalPlan::Limit(Limit { input: Arc::new(joined), ..limit.clone() })))
}

/// The bound on its rows that a plan has already been given.
fn rows_max(plan: &LogicalPlan) -> Result<Option<usize>> {
    Ok(match plan {
        LogicalPlan::Limit(limit) => match (limit.get_skip_type()?, limit.get_fetch_type()?) {
            (_, FetchType::Literal(Some(fetch))) => Some(fetch),
            _ => None,
        },
        LogicalPlan::TableScan(scan) => scan.fetch,
        LogicalPlan::Sort(sort) => sort.fetch,
        LogicalPlan::SubqueryAlias(alias) => rows_max(&alias.input)?,
        LogicalPlan::Projection(projection) => rows_max(&projection.input)?,
        LogicalPlan::Extension(_) => match asof_join(plan) {
            Some(node) => rows_max(&node.left)?,
            None => None,
        },
        _ => None,
    })
}
