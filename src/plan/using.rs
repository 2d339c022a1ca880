//! JOIN … USING and NATURAL JOIN: the columns that they make one.
//!
//! DataFusion's planner knows a join by USING by its two keys alone, and takes the left one for the
//! merged column. So in a chain of three tables no name is found, and after RIGHT and FULL JOIN the
//! merged column is NULL where the left side has no row. Here the merged column is a column of its
//! own, before all others, under a qualifier that nobody can write.
//!
//! An unqualified name finds it, and `*` shows it alone, because the join lists all columns that it
//! makes one as if they were keys, which is where DataFusion looks. [`DropAliases`] takes those that
//! are none off again, before any other rule sees the join. In ON and WHERE DataFusion does not look
//! there: such conditions are planned here too.

use std::sync::Arc;

use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::Transformed;
use datafusion::common::{
    Column, DFSchema, JoinConstraint, JoinType, NullEquality, Result, TableReference,
};
use datafusion::functions::core::expr_fn::coalesce;
use datafusion::logical_expr::expr_rewriter::normalize_col_with_schemas_and_ambiguity_check;
use datafusion::logical_expr::planner::{
    PlannedRelation, RelationPlanner, RelationPlannerContext, RelationPlanning,
};
use datafusion::logical_expr::utils::{expand_wildcard, find_aggregate_exprs};
use datafusion::logical_expr::{Expr, Join, LogicalPlan, LogicalPlanBuilder};
use datafusion::optimizer::AnalyzerRule;
use datafusion::sql::sqlparser::ast::{
    Expr as SqlExpr, Join as SqlJoin, JoinConstraint as SqlConstraint, JoinOperator, ObjectName,
    TableFactor,
};

use super::scope::external;
use crate::error::{Error, ErrorKind};

/// Begins the qualifier of a merged column. It sorts before every name people give: of the columns
/// that USING makes one, DataFusion shows the first.
const MERGED: char = '!';

/// What a WHERE is joined to, in a CROSS JOIN by ON, which nobody can write.
pub(super) const FILTER: &str = "!where";

/// Plans factors that are one join, or a WHERE, and hands back all others.
#[derive(Debug)]
pub(super) struct UsingPlanner;

impl RelationPlanner for UsingPlanner {
    fn plan_relation(
        &self,
        relation: TableFactor,
        context: &mut dyn RelationPlannerContext,
    ) -> Result<RelationPlanning> {
        let TableFactor::NestedJoin { mut table_with_joins, alias } = relation else {
            return Ok(RelationPlanning::Original(Box::new(relation)));
        };
        let Some(step) = alone(&table_with_joins.joins) else {
            let factor = TableFactor::NestedJoin { table_with_joins, alias };
            return Ok(RelationPlanning::Original(Box::new(factor)));
        };
        let join = table_with_joins.joins.remove(0);
        let left = context.plan(table_with_joins.relation)?;
        let mut plan = match step {
            Step::Filter(condition) => filter(left, condition, context)?,
            Step::Join(join_type, constraint) => {
                let sides = Sides { left, right: context.plan(join.relation)?, join_type };
                match constraint {
                    SqlConstraint::On(condition) => sides.on(condition, context)?,
                    SqlConstraint::Using(columns) => {
                        sides.merged(names(columns, context)?, None)?
                    }
                    _ => {
                        let names = common_names(&sides.left, &sides.right)?;
                        sides.merged(names, None)?
                    }
                }
            }
        };
        if alias.is_some() {
            // Under one alias only what `*` shows has a name of its own.
            let shown = expand_wildcard(plan.schema(), &plan, None)?;
            plan = LogicalPlanBuilder::from(plan).project(shown)?.build()?;
        }
        Ok(RelationPlanning::Planned(Box::new(PlannedRelation { plan, alias })))
    }
}

/// What a factor in parentheses does with the relation on its left.
enum Step {
    Filter(SqlExpr),
    Join(JoinType, SqlConstraint),
}

/// The only step, where it is one of this file's.
fn alone(joins: &[SqlJoin]) -> Option<Step> {
    let [join] = joins else { return None };
    let is_filter = matches!(
        &join.relation,
        TableFactor::Derived { alias: Some(alias), .. } if alias.name.value == FILTER
    );
    let (join_type, constraint) = match &join.join_operator {
        JoinOperator::Join(on) | JoinOperator::Inner(on) => (JoinType::Inner, on),
        JoinOperator::Left(on) | JoinOperator::LeftOuter(on) => (JoinType::Left, on),
        JoinOperator::Right(on) | JoinOperator::RightOuter(on) => (JoinType::Right, on),
        JoinOperator::FullOuter(on) => (JoinType::Full, on),
        JoinOperator::CrossJoin(SqlConstraint::On(condition)) if is_filter => {
            return Some(Step::Filter(condition.clone()));
        }
        _ => return None,
    };
    let has_condition = *constraint != SqlConstraint::None;
    let alone = has_condition && !is_lateral(&join.relation);
    alone.then(|| Step::Join(join_type, constraint.clone()))
}

/// Whether a relation may name columns of those on its left.
pub(super) fn is_lateral(relation: &TableFactor) -> bool {
    matches!(
        relation,
        TableFactor::Derived { lateral: true, .. }
            | TableFactor::Function { lateral: true, .. }
            | TableFactor::UNNEST { .. }
    )
}

fn filter(
    plan: LogicalPlan,
    condition: SqlExpr,
    context: &mut dyn RelationPlannerContext,
) -> Result<LogicalPlan> {
    let condition = context.sql_to_expr(condition, plan.schema())?;
    if !find_aggregate_exprs([&condition]).is_empty() {
        let message = "aggregate functions are not allowed in WHERE";
        return Err(external(Error::new(ErrorKind::Grouping, message)));
    }
    LogicalPlanBuilder::from(plan).filter(condition)?.build()
}

/// The names that USING lists.
pub(super) fn names(
    columns: Vec<ObjectName>,
    context: &mut dyn RelationPlannerContext,
) -> Result<Vec<String>> {
    let names = columns.into_iter().map(|name| match name.0.as_slice() {
        [part] => part.as_ident().map(|ident| context.normalize_ident(ident.clone())),
        _ => None,
    });
    names.collect::<Option<Vec<_>>>().filter(|names| !names.is_empty()).ok_or_else(|| {
        external(Error::new(ErrorKind::Syntax, "USING takes the plain names of columns"))
    })
}

/// What `*` shows of both sides under one name.
fn common_names(left: &LogicalPlan, right: &LogicalPlan) -> Result<Vec<String>> {
    let shown = |plan: &LogicalPlan| -> Result<Vec<String>> {
        let columns = expand_wildcard(plan.schema(), plan, None)?;
        Ok(columns.iter().filter_map(|c| c.try_as_col()).map(|c| c.name.clone()).collect())
    };
    let on_the_right = shown(right)?;
    let mut names = shown(left)?;
    names.retain(|name| on_the_right.contains(name));
    Ok(names)
}

/// A join by USING these columns, of which there is at least one, and by `filter`.
pub(super) fn join(
    left: LogicalPlan,
    right: LogicalPlan,
    join_type: JoinType,
    names: Vec<String>,
    filter: Option<Expr>,
) -> Result<LogicalPlan> {
    Sides { left, right, join_type }.merged(names, filter)
}

struct Sides {
    left: LogicalPlan,
    right: LogicalPlan,
    join_type: JoinType,
}

impl Sides {
    fn on(
        self,
        condition: SqlExpr,
        context: &mut dyn RelationPlannerContext,
    ) -> Result<LogicalPlan> {
        let schema = self.left.schema().join(self.right.schema())?;
        let condition = context.sql_to_expr(condition, &schema)?;
        let mut same = self.left.using_columns()?;
        same.extend(self.right.using_columns()?);
        let schemas: &[&[&DFSchema]] = &[&[&schema]];
        let condition = normalize_col_with_schemas_and_ambiguity_check(condition, schemas, &same)?;
        LogicalPlanBuilder::from(self.left)
            .join_on(self.right, self.join_type, [condition])?
            .build()
    }

    fn merged(self, names: Vec<String>, filter: Option<Expr>) -> Result<LogicalPlan> {
        if names.is_empty() {
            return LogicalPlanBuilder::from(self.left)
                .join_on(self.right, self.join_type, [])?
                .build();
        }
        let (mut merged, mut keys, mut aliases) = (Vec::new(), Vec::new(), Vec::new());
        for name in names {
            let (left, of_left) = key(&self.left, &name, "left")?;
            let (right, of_right) = key(&self.right, &name, "right")?;
            let qualifier = qualifier(of_left.iter().chain(&of_right), &right);
            let (l, r) = (Expr::Column(left), Expr::Column(right));
            let value = match self.join_type {
                // Columns that more than equality decides on can differ: the left one is shown.
                JoinType::Right if filter.is_none() => r.clone(),
                JoinType::Right | JoinType::Full => coalesce(vec![l.clone(), r.clone()]),
                _ => l.clone(),
            };
            let one = Expr::Column(Column::new(Some(qualifier.clone()), name.clone()));
            merged.push(value.alias_qualified(Some(qualifier), name));
            let same = of_left.into_iter().chain(of_right).map(Expr::Column);
            aliases.extend(same.map(|same| (one.clone(), same)));
            keys.push((l, r));
        }
        let join = Join::try_new(
            Arc::new(self.left),
            Arc::new(self.right),
            keys.into_iter().chain(aliases).collect(),
            filter,
            self.join_type,
            JoinConstraint::Using,
            NullEquality::NullEqualsNothing,
            false,
        )?;
        let join = LogicalPlan::Join(join);
        let own = join.schema().columns().into_iter().map(Expr::Column);
        let columns = merged.into_iter().chain(own).collect::<Vec<_>>();
        LogicalPlanBuilder::from(join).project(columns)?.build()
    }
}

/// The column that a name means on one side, and all that are one with it.
fn key(plan: &LogicalPlan, name: &str, side: &str) -> Result<(Column, Vec<Column>)> {
    let schema = plan.schema();
    let mut same = schema.columns();
    same.retain(|column| column.name == name);
    if same.is_empty() {
        let message =
            format!("column \"{name}\" specified in USING clause does not exist in {side} table");
        return Err(external(Error::new(ErrorKind::UndefinedColumn, message)));
    }
    let column = Column::from_name(name)
        .normalize_with_schemas_and_ambiguity_check(&[&[schema.as_ref()]], &plan.using_columns()?);
    let column = column.map_err(|_| {
        let message =
            format!("common column name \"{name}\" appears more than once in {side} table");
        external(Error::new(ErrorKind::AmbiguousColumn, message))
    })?;
    Ok((column, same))
}

/// Of its own, and sorted before those of the columns that are merged into it.
fn qualifier<'c>(columns: impl Iterator<Item = &'c Column>, right: &Column) -> TableReference {
    const LEVELS: usize = 999;
    let level = |column: &Column| {
        let table = column.relation.as_ref()?.table().strip_prefix(MERGED)?;
        LEVELS.checked_sub(table.get(..3)?.parse().ok()?)
    };
    let level = columns.filter_map(level).max().map_or(0, |level| level + 1).min(LEVELS);
    let table = right.relation.as_ref().map_or("", |relation| relation.table());
    TableReference::bare(format!("{MERGED}{:03} {table}", LEVELS - level))
}

/// Leaves joins by USING with their true keys.
#[derive(Debug)]
pub(super) struct DropAliases;

impl AnalyzerRule for DropAliases {
    fn name(&self) -> &str {
        "drop_using_aliases"
    }

    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        let dropped = plan.transform_up_with_subqueries(|plan| match plan {
            LogicalPlan::Join(mut join) if join.join_constraint == JoinConstraint::Using => {
                let of = |side: &LogicalPlan, key: &Expr| {
                    key.try_as_col().is_none_or(|column| side.schema().has_column(column))
                };
                let (left, right) = (Arc::clone(&join.left), Arc::clone(&join.right));
                join.on.retain(|(l, r)| of(&left, l) && of(&right, r));
                join.join_constraint = JoinConstraint::On;
                Ok(Transformed::yes(LogicalPlan::Join(join)))
            }
            other => Ok(Transformed::no(other)),
        });
        Ok(dropped?.data)
    }
}
