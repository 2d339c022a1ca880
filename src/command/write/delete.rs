//! DELETE, with USING; TRUNCATE.

use datafusion::common::Column as PlanColumn;
use datafusion::logical_expr::{Expr, LogicalPlanBuilder};
use datafusion::sql::sqlparser::ast::FromTable;

use super::change::{Action, Changed, Changing};
use super::target::Target;
use super::update::{first_match, joined, returning};
use super::values::numbered;
use super::{Scene, refuse_joins};
use crate::command::{Writing, sequence};
use crate::error::{Error, ErrorKind, Result};
use crate::exec::scan::HIDDEN;
use crate::fault;
use crate::parse::{self, Delete};

/// DELETE.
///
/// # Errors
/// UndefinedTable and whatever the condition gives.
pub async fn delete(writing: &mut Writing<'_>, delete: &Delete) -> Result<Changed> {
    let changing = writing.scene().apart(delete, plan).await?;
    changing.run(writing).await
}

/// DELETE, planned.
///
/// # Errors
/// As [`delete`].
pub fn plan(scene: &Scene<'_>, delete: &Delete) -> Result<Changing> {
    let tree = &delete.delete;
    let (FromTable::WithFromKeyword(from) | FromTable::WithoutKeyword(from)) = &tree.from;
    let [table] = from.as_slice() else {
        return Err(Error::new(ErrorKind::Syntax, "DELETE is from one table"));
    };
    refuse_joins(table)?;
    let target = Target::of_factor(scene, &table.relation)?;
    let others = tree.using.as_deref().unwrap_or_default();
    let with = delete.with.as_ref();
    let rows = joined(scene, &target, with, others, tree.selection.as_ref())?;
    let columns = target.schema().columns.len();
    let behind = columns + HIDDEN.len();
    let kept = match &tree.returning {
        Some(_) => rows.plan.schema().fields().len(),
        None => behind,
    };
    let own = |at| Expr::Column(PlanColumn::from(rows.plan.schema().qualified_field(at)));
    let plan = LogicalPlanBuilder::from(rows.plan.clone())
        .project(numbered((0..kept).map(own)))
        .and_then(LogicalPlanBuilder::build)
        .map_err(fault::of_datafusion)?;
    let returning =
        tree.returning.as_ref().map(|items| returning(items, with, &target, &rows.plan, behind));
    let sorted = returning.is_some() && !others.is_empty();
    Ok(Changing {
        target,
        plan: if sorted { first_match(plan, columns)? } else { plan },
        action: Some(Action::Delete),
        twice_is_wrong: false,
        moves_keys: false,
        returning,
    })
}

/// TRUNCATE: whole segments go without being read.
///
/// # Errors
/// UndefinedTable.
pub fn truncate(writing: &mut Writing<'_>, truncate: &parse::Truncate) -> Result<()> {
    for one in &truncate.tables {
        let target = Target::named(&writing.scene(), &one.name, one.version.as_ref(), None)?;
        writing.transaction.delete_all(&target.table)?;
        if truncate.restart_identity {
            sequence::restart_owned(writing, target.schema())?;
        }
    }
    Ok(())
}
