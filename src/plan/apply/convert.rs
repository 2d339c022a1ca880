//! Sub-selects that no join can say become nodes of their own, below the node they stand in.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field};
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, DFSchema, JoinType, Result, ScalarValue, TableReference};
use datafusion::functions_aggregate::bool_and_or::{bool_and, bool_or};
use datafusion::functions_aggregate::expr_fn::count;
use datafusion::logical_expr::expr::{Exists, InSubquery, SetComparison, SetQuantifier};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::utils::{conjunction, split_conjunction};
use datafusion::logical_expr::{
    Expr, Extension, Join, LogicalPlan, LogicalPlanBuilder, Operator, Projection, Sort, Subquery,
    SubqueryAlias, binary_expr, lit, not, when,
};
use datafusion::optimizer::AnalyzerRule;

use super::arms::has_arms_that_wait;
use super::correlation::{Place, joins, outer_columns, subquery_of, takes_outer};
use super::membership::{is_joined, is_membership, membership};
use super::node::ApplyNode;
use crate::exec::apply::ApplyKind;

/// The qualifier of what an apply adds for an expression; nobody can write it.
const APPLIED: &str = "!apply";

/// The rule. It comes first: a sub-select that is set aside is analysed once its values are known.
#[derive(Debug)]
pub struct AnalyzeApply;

impl AnalyzerRule for AnalyzeApply {
    fn name(&self) -> &str {
        "analyze_apply"
    }

    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        let mut names = Names::default();
        let converted = plan.transform_down_with_subqueries(|node| match node {
            LogicalPlan::Join(join) => {
                let joined = lateral(join)?;
                joined.transform_data(|node| match node {
                    LogicalPlan::Join(join) => in_condition(join, &mut names),
                    node => Ok(Transformed::no(node)),
                })
            }
            node => with_applies(node, &mut names),
        });
        Ok(converted?.data)
    }
}

/// Numbers what applies add, over a whole plan.
#[derive(Default)]
pub(super) struct Names(usize);

impl Names {
    fn next(&mut self) -> String {
        self.0 += 1;
        format!("value {}", self.0)
    }
}

/// The right side of a join, where that is LATERAL: its plan, and its alias.
fn lateral_of(right: &LogicalPlan) -> Option<(&Subquery, Option<TableReference>)> {
    match right {
        LogicalPlan::Subquery(subquery) => Some((subquery, None)),
        LogicalPlan::SubqueryAlias(SubqueryAlias { input, alias, .. }) => match input.as_ref() {
            LogicalPlan::Subquery(subquery) => Some((subquery, Some(alias.clone()))),
            _ => None,
        },
        _ => None,
    }
}

fn lateral(join: Join) -> Result<Transformed<LogicalPlan>> {
    let kind = match join.join_type {
        JoinType::Inner => ApplyKind::Inner,
        JoinType::Left => ApplyKind::Left,
        _ => return Ok(Transformed::no(LogicalPlan::Join(join))),
    };
    let Some((subquery, alias)) = lateral_of(&join.right) else {
        return Ok(Transformed::no(LogicalPlan::Join(join)));
    };
    let plan = &subquery.subquery;
    if !takes_outer(plan) || joins(plan, Place::Relation) {
        return Ok(Transformed::no(LogicalPlan::Join(join)));
    }
    let left = join.left.schema();
    let mut builder = LogicalPlanBuilder::from(plan.as_ref().clone());
    if let Some(alias) = alias {
        builder = builder.alias(alias)?;
    }
    let keys = join.on.iter().map(|(l, r)| l.clone().eq(r.clone()));
    let conditions = keys.chain(join.filter.clone());
    if let Some(condition) = conjunction(conditions).filter(|c| *c != lit(true)) {
        builder = builder.filter(from_outside(condition, left)?)?;
    }
    let subplan = builder.build()?;
    let shown = join.right.schema().iter().map(|(qualifier, field)| {
        let nullable = field.is_nullable() || kind == ApplyKind::Left;
        (qualifier.cloned(), Arc::new(field.as_ref().clone().with_nullable(nullable)))
    });
    let shown = DFSchema::new_with_metadata(shown.collect(), Default::default())?;
    let outer = outer_columns(&subplan, left)?;
    let input = Arc::unwrap_or_clone(join.left);
    Ok(Transformed::yes(applied(input, subplan, outer, kind, shown)?))
}

/// A join whose condition asks for IN or EXISTS over a sub-select of its own: it is answered below, on the side
/// that the condition is about.
fn in_condition(join: Join, names: &mut Names) -> Result<Transformed<LogicalPlan>> {
    let asks = |expr: &Expr| {
        is_joined(expr) && subquery_of(expr).is_some_and(|inner| !takes_outer(&inner.subquery))
    };
    let Some(filter) = join.filter.clone() else {
        return Ok(Transformed::no(LogicalPlan::Join(join)));
    };
    if !filter.exists(|expr| Ok(asks(expr)))? {
        return Ok(Transformed::no(LogicalPlan::Join(join)));
    }
    let before = join.schema.columns();
    let mut sides = [join.left.as_ref().clone(), join.right.as_ref().clone()];
    let filter = filter.transform_down(|expr| {
        let within = |side: &LogicalPlan| {
            expr.column_refs().iter().all(|column| side.schema().has_column(column))
        };
        let Some(side) = asks(&expr).then(|| sides.iter().position(within)).flatten() else {
            return Ok(Transformed::no(expr));
        };
        let input = std::mem::take(&mut sides[side]);
        let (value, plan) = apply_value(expr, None, input, names)?;
        sides[side] = plan;
        Ok(Transformed::new(value, true, TreeNodeRecursion::Jump))
    })?;
    let [left, right] = sides.map(Arc::new);
    let joined = Join::try_new(
        left,
        right,
        join.on,
        Some(filter.data),
        join.join_type,
        join.join_constraint,
        join.null_equality,
        join.null_aware,
    )?;
    let shown = before.into_iter().map(Expr::Column);
    LogicalPlanBuilder::from(LogicalPlan::Join(joined))
        .project(shown)?
        .build()
        .map(Transformed::yes)
}

fn applied(
    input: LogicalPlan,
    subplan: LogicalPlan,
    outer: Vec<Column>,
    kind: ApplyKind,
    shown: DFSchema,
) -> Result<LogicalPlan> {
    let outer = outer.into_iter().map(|column| (column.clone(), Expr::Column(column))).collect();
    let node = ApplyNode::try_new(input, subplan, outer, kind, shown)?;
    Ok(LogicalPlan::Extension(Extension { node: Arc::new(node) }))
}

/// Columns of `schema` as what is taken from outside.
fn from_outside(expr: Expr, schema: &DFSchema) -> Result<Expr> {
    let replaced = expr.transform(|expr| match expr {
        Expr::Column(column) if schema.has_column(&column) => {
            let field = schema.qualified_field_from_column(&column)?.1;
            Ok(Transformed::yes(Expr::OuterReferenceColumn(Arc::clone(field), column)))
        }
        other => Ok(Transformed::no(other)),
    })?;
    Ok(replaced.data)
}

/// A node with one input, its sub-selects below it.
fn with_applies(node: LogicalPlan, names: &mut Names) -> Result<Transformed<LogicalPlan>> {
    let [input] = node.inputs()[..] else { return Ok(Transformed::no(node)) };
    if !has_any(&node)? {
        return Ok(Transformed::no(node));
    }
    if let (LogicalPlan::Sort(sort), LogicalPlan::Projection(shown)) = (&node, input) {
        return sorted(&node, sort, shown, names);
    }
    let before = node.schema().columns();
    let mut below = input.clone();
    let saved = NamePreserver::new(&node);
    let mut exprs = Vec::new();
    for expr in node.expressions() {
        let name = saved.save(&expr);
        let tops: Vec<Expr> = match &node {
            LogicalPlan::Filter(_) => split_conjunction(&expr).into_iter().cloned().collect(),
            _ => Vec::new(),
        };
        let mut applies = Applies { node: &node, tops: &tops, below, names: &mut *names };
        let replaced = applies.replace(expr, None)?;
        below = applies.below;
        exprs.push(name.restore(replaced.data));
    }
    let node = node.with_new_exprs(exprs, vec![below])?;
    if node.schema().fields().len() == before.len() {
        return Ok(Transformed::yes(node));
    }
    let shown = before.into_iter().map(Expr::Column);
    LogicalPlanBuilder::from(node).project(shown)?.build().map(Transformed::yes)
}

/// The sub-selects of one expression, on their way below its node.
pub(super) struct Applies<'a> {
    node: &'a LogicalPlan,
    /// A WHERE's conditions.
    tops: &'a [Expr],
    below: LogicalPlan,
    names: &'a mut Names,
}

impl Applies<'_> {
    /// Whether the expression is a sub-select that no join can say.
    pub(super) fn is_apply(&self, expr: &Expr) -> bool {
        is_apply(expr, self.node, self.tops)
    }

    /// Sets a sub-select below the node, and gives the column with its value.
    pub(super) fn apply(&mut self, expr: Expr, guard: Option<&Expr>) -> Result<Expr> {
        let below = std::mem::take(&mut self.below);
        let (value, plan) = apply_value(expr, guard, below, self.names)?;
        self.below = plan;
        Ok(value)
    }
}

/// ORDER BY a sub-select: it may name columns that the results do not show.
fn sorted(
    node: &LogicalPlan,
    sort: &Sort,
    shown: &Projection,
    names: &mut Names,
) -> Result<Transformed<LogicalPlan>> {
    let mut below = shown.input.as_ref().clone();
    let mut shows = shown.expr.clone();
    let mut order = sort.expr.clone();
    for by in &mut order {
        let mut applies = Applies { node, tops: &[], below, names: &mut *names };
        let replaced = applies.replace(over_input(&by.expr, shown)?, None)?;
        below = applies.below;
        let own = replaced.data.column_refs().into_iter().filter(|column| {
            column.relation.as_ref().is_some_and(|relation| relation.table().starts_with(APPLIED))
        });
        shows.extend(own.cloned().map(Expr::Column));
        by.expr = replaced.data;
    }
    let results = shown.schema.columns().into_iter().map(Expr::Column);
    let plan = LogicalPlanBuilder::from(below)
        .project(shows)?
        .sort_with_limit(order, sort.fetch)?
        .project(results)?
        .build()?;
    Ok(Transformed::yes(plan))
}

/// What is ordered by, over what the results are made of where an arm of it has to wait: whether a row
/// takes the arm is asked there.
fn over_input(by: &Expr, shown: &Projection) -> Result<Expr> {
    if !by.exists(|expr| Ok(has_arms_that_wait(expr)))? {
        return Ok(by.clone());
    }
    let input = shown.input.schema();
    let over = by.clone().transform_down(|expr| match &expr {
        Expr::Column(column) if !input.has_column(column) => {
            match shown.schema.maybe_index_of_column(column) {
                Some(at) => Ok(Transformed::yes(shown.expr[at].clone().unalias())),
                None => Ok(Transformed::no(expr)),
            }
        }
        _ => Ok(Transformed::no(expr)),
    })?;
    Ok(over.data)
}

fn has_any(node: &LogicalPlan) -> Result<bool> {
    let mut found = false;
    node.apply_expressions(|expr| {
        let tops = match node {
            LogicalPlan::Filter(_) => split_conjunction(expr).into_iter().cloned().collect(),
            _ => Vec::new(),
        };
        found |= expr.exists(|expr| Ok(is_apply(expr, node, &tops)))?;
        found |= expr.exists(|expr| Ok(has_arms_that_wait(expr)))?;
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(found)
}

/// Whether the expression is a sub-select that no join can say; `tops` are a WHERE's conditions.
fn is_apply(expr: &Expr, node: &LogicalPlan, tops: &[Expr]) -> bool {
    let Some(subquery) = subquery_of(expr) else { return false };
    let plan = &subquery.subquery;
    if !takes_outer(plan) {
        return is_membership(expr, node, tops);
    }
    let joins = match expr {
        Expr::ScalarSubquery(_) => {
            matches!(node, LogicalPlan::Projection(_) | LogicalPlan::Filter(_))
                && joins(plan, Place::Value)
        }
        Expr::Exists(_) => tops.contains(expr) && joins(plan, Place::Condition),
        Expr::InSubquery(list) => {
            tops.contains(expr) && !list.negated && joins(plan, Place::Condition)
        }
        _ => false,
    };
    !joins
}

/// The value of a sub-select as a column, and the input with that column; NULL, and nothing is run, in
/// rows for which `guard` is not true.
fn apply_value(
    expr: Expr,
    guard: Option<&Expr>,
    input: LogicalPlan,
    names: &mut Names,
) -> Result<(Expr, LogicalPlan)> {
    let is_own = subquery_of(&expr).is_some_and(|inner| !takes_outer(&inner.subquery));
    if is_own && is_joined(&expr) {
        let qualifier = || TableReference::bare(format!("{APPLIED} {}", names.next()));
        return membership(expr, guard, input, qualifier);
    }
    let schema = Arc::clone(input.schema());
    let (subplan, kind, negated) = match expr {
        Expr::ScalarSubquery(subquery) => {
            (Arc::unwrap_or_clone(subquery.subquery), ApplyKind::Value, false)
        }
        Expr::Exists(Exists { subquery, negated }) => {
            (Arc::unwrap_or_clone(subquery.subquery), ApplyKind::Exists, negated)
        }
        Expr::InSubquery(InSubquery { expr, subquery, negated }) => {
            let comparison = (Operator::Eq, SetQuantifier::Any);
            (compared(*expr, subquery, comparison, &schema)?, ApplyKind::Value, negated)
        }
        Expr::SetComparison(SetComparison { expr, subquery, op, quantifier }) => {
            (compared(*expr, subquery, (op, quantifier), &schema)?, ApplyKind::Value, false)
        }
        other => return Ok((other, input)),
    };
    let name = names.next();
    let field = match kind {
        ApplyKind::Exists => Field::new(&name, DataType::Boolean, true),
        _ => subplan.schema().field(0).as_ref().clone().with_name(&name).with_nullable(true),
    };
    let qualifier = TableReference::bare(APPLIED);
    let shown = vec![(Some(qualifier.clone()), Arc::new(field))];
    let shown = DFSchema::new_with_metadata(shown, Default::default())?;
    let outer = outer_columns(&subplan, &schema)?;
    let plan = match guard {
        Some(guard) => guarded((input, subplan), outer, kind, shown, (guard, names.next()))?,
        None => applied(input, subplan, outer, kind, shown)?,
    };
    let value = Expr::Column(Column::new(Some(qualifier), name));
    Ok((if negated { Expr::Not(Box::new(value)) } else { value }, plan))
}

/// As [`applied`], for the rows that the guard is true for. All others ask for the same: nothing.
fn guarded(
    (input, subplan): (LogicalPlan, LogicalPlan),
    outer: Vec<Column>,
    kind: ApplyKind,
    shown: DFSchema,
    (guard, name): (&Expr, String),
) -> Result<LogicalPlan> {
    let asked = Column::new(Some(TableReference::bare(APPLIED)), &name);
    let field = Arc::new(Field::new(&name, DataType::Boolean, true));
    let reached = Expr::OuterReferenceColumn(field, asked.clone());
    let subplan = LogicalPlanBuilder::from(subplan).filter(reached)?.build()?;
    let mut given = Vec::with_capacity(outer.len() + 1);
    for column in outer {
        let value = when(guard.clone(), Expr::Column(column.clone())).end()?;
        given.push((column, value));
    }
    given.push((asked, guard.clone()));
    let node = ApplyNode::try_new(input, subplan, given, kind, shown)?;
    Ok(LogicalPlan::Extension(Extension { node: Arc::new(node) }))
}

/// `expr op ANY (sub-select)`, or ALL, as one value of the sub-select: one row decides it; where none
/// does and one is unknown it is NULL.
fn compared(
    expr: Expr,
    subquery: Subquery,
    (op, quantifier): (Operator, SetQuantifier),
    schema: &DFSchema,
) -> Result<LogicalPlan> {
    let plan = Arc::unwrap_or_clone(subquery.subquery);
    let member = Expr::Column(plan.schema().columns().swap_remove(0));
    let comparison = binary_expr(from_outside(expr, schema)?, op, member);
    let column = |name: &str| Expr::Column(Column::from_name(name));
    let (all, decides, decided) = match quantifier {
        SetQuantifier::Any => (bool_or(comparison.clone()), column("all"), true),
        SetQuantifier::All => (bool_and(comparison.clone()), not(column("all")), false),
    };
    let (rows, known) = (count(lit(1)).alias("rows"), count(comparison).alias("known"));
    let value = when(decides, lit(decided))
        .when(column("rows").not_eq(column("known")), lit(ScalarValue::Boolean(None)))
        .otherwise(lit(!decided))?;
    LogicalPlanBuilder::from(plan)
        .aggregate(Vec::<Expr>::new(), [all.alias("all"), rows, known])?
        .project([value.alias("value")])?
        .build()
}
