//! UPDATE, with FROM.

use datafusion::logical_expr::{LogicalPlan, LogicalPlanBuilder, SortExpr};
use datafusion::sql::sqlparser::ast::Expr as SqlExpr;
use datafusion::sql::sqlparser::ast::{SelectItem, TableWithJoins, UpdateTableFromKind, With};

use super::change::{Action, Changed, Changing};
use super::returning::Returning;
use super::target::Target;
use super::values::{Assigned, Evaluated, numbered};
use super::{Scene, refuse_joins};
use crate::command::Writing;
use crate::error::Result;
use crate::exec::scan::HIDDEN;
use crate::fault;
use crate::parse::Update;
use crate::plan::{Given, Selecting};

/// UPDATE.
///
/// # Errors
/// As [`super::run`].
pub async fn update(writing: &mut Writing<'_>, update: &Update) -> Result<Changed> {
    let changing = writing.scene().apart(update, plan).await?;
    changing.run(writing).await
}

/// UPDATE, planned. Where FROM gives several rows for one of the table's, the first in the order of
/// their values counts: PostgreSQL takes any, we always the same.
///
/// # Errors
/// As [`super::run`].
pub fn plan(scene: &Scene<'_>, update: &Update) -> Result<Changing> {
    let tree = &update.update;
    refuse_joins(&tree.table)?;
    let target = Target::of_factor(scene, &tree.table.relation)?;
    let others = match &tree.from {
        Some(UpdateTableFromKind::BeforeSet(from) | UpdateTableFromKind::AfterSet(from)) => from,
        None => &Vec::new(),
    };
    let assigned = Assigned::new(target.schema(), &tree.assignments)?;
    let with = update.with.as_ref();
    let rows = joined(scene, &target, with, others, tree.selection.as_ref())?;
    let evaluated = Evaluated::new(scene, with, &rows, assigned.values(), None)?;
    let columns = target.schema().columns.len();
    let own: Vec<_> = (0..evaluated.width()).map(|at| evaluated.own(at)).collect();
    let of = evaluated.plan.schema();
    let mut exprs = assigned.row(target.schema(), of, &evaluated.values(), &own[..columns])?;
    exprs.extend(own[columns..columns + HIDDEN.len()].iter().cloned());
    let behind = columns + HIDDEN.len();
    let returning = tree.returning.as_ref().map(|items| {
        exprs.extend(own[behind..].iter().cloned());
        returning(items, with, &target, &rows.plan, behind)
    });
    let plan = LogicalPlanBuilder::from(evaluated.plan)
        .project(numbered(exprs))
        .and_then(LogicalPlanBuilder::build)
        .map_err(fault::of_datafusion)?;
    let plan = if others.is_empty() { plan } else { first_match(plan, columns)? };
    Ok(Changing {
        moves_keys: assigned.moves_keys(target.schema()),
        target,
        plan,
        action: Some(Action::Update),
        twice_is_wrong: false,
        returning,
    })
}

/// The target's rows, hidden columns included, with those of other relations behind them.
///
/// # Errors
/// UndefinedTable, UndefinedColumn and whatever else the condition gives.
pub fn joined(
    scene: &Scene<'_>,
    target: &Target,
    with: Option<&With>,
    others: &[TableWithJoins],
    selection: Option<&SqlExpr>,
) -> Result<Given> {
    target.refuse_name_again(others)?;
    let rows = target.rows()?;
    let mut from = vec![rows.factor()?];
    from.extend(others.iter().cloned());
    let items = vec![SelectItem::Wildcard(Default::default())];
    let given = vec![rows];
    let selecting = Selecting { with, given, from, selection, items, ..Selecting::default() };
    let plan = scene.select(selecting)?;
    Ok(Given { name: "asofdb joined".to_owned(), plan })
}

/// RETURNING over rows of [`joined`], of which the first `own` columns are the target's.
pub fn returning(
    items: &[SelectItem],
    with: Option<&With>,
    target: &Target,
    joined: &LogicalPlan,
    own: usize,
) -> Returning {
    let besides = joined.schema().iter().skip(own);
    Returning::new(items, with, target).besides(besides)
}

/// Rows of changes in the order of the rows they change, then of their own values.
///
/// # Errors
/// Internal, which does not happen.
pub fn first_match(plan: LogicalPlan, columns: usize) -> Result<LogicalPlan> {
    let row_id = columns + 1;
    let hidden = columns..columns + HIDDEN.len();
    let fields = plan.schema().fields();
    let sorts = |at: &usize| !hidden.contains(at) && !fields[*at].data_type().is_nested();
    let order = std::iter::once(row_id).chain((0..fields.len()).filter(sorts));
    let column = |at: usize| {
        let column = datafusion::common::Column::from(plan.schema().qualified_field(at));
        SortExpr::new(datafusion::logical_expr::Expr::Column(column), true, false)
    };
    let order: Vec<SortExpr> = order.map(column).collect();
    let sorted = LogicalPlanBuilder::from(plan).sort(order).and_then(LogicalPlanBuilder::build);
    sorted.map_err(fault::of_datafusion)
}
