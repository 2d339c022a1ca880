//! Views of the merged state that name what the other side dropped.

use super::{Conflict, Settled};
use crate::error::Result;
use crate::spec::{ColumnId, TableId, View, ViewUse};
use crate::store::snapshot::{Relation, Snapshot};
use crate::store::transaction::Transaction;

/// A conflict for each view that needs a relation, or a column, which one of the sides still has and the
/// merged state has not. Of a merge of one table only what views need of that one: a branch of its own
/// shows no other.
pub(super) fn dangling(
    merged: &Transaction,
    ours: &Snapshot,
    theirs: &Snapshot,
    only: Option<TableId>,
) -> Result<Vec<Conflict>> {
    let mut conflicts = Vec::new();
    if merged.is_empty() {
        return Ok(conflicts);
    }
    let after = merged.snapshot();
    for view in after.views()? {
        if let Some(why) = lacks(&view, &after, [ours, theirs], only)? {
            conflicts.push(Conflict::of_relation(&view.name, why, Settled::ByHand));
        }
    }
    Ok(conflicts)
}

fn lacks(
    view: &View,
    after: &Snapshot,
    sides: [&Snapshot; 2],
    only: Option<TableId>,
) -> Result<Option<String>> {
    for used in view.uses.iter().filter(|used| only.is_none_or(|only| used.object == only)) {
        let now = after.relation_by_id(used.object)?;
        for side in sides {
            match (&now, side.relation_by_id(used.object)?) {
                (None, Some(before)) => {
                    let (word, name) = (before.word(), before.name().1);
                    return Ok(Some(format!(
                        "the view needs {word} \"{name}\", which was dropped"
                    )));
                }
                (Some(now), Some(before)) => {
                    if let Some((table, column)) = lost_column(used, now, &before) {
                        let needs = format!("the view needs column \"{column}\" of \"{table}\"");
                        return Ok(Some(format!("{needs}, which was dropped or written anew")));
                    }
                }
                (_, None) => {}
            }
        }
    }
    Ok(None)
}

/// The table and the column's name, where a view needs one that was there and is not.
fn lost_column(used: &ViewUse, now: &Relation, before: &Relation) -> Option<(String, String)> {
    let (Relation::Table(now), Relation::Table(before)) = (now, before) else { return None };
    let lost = used.needed.iter().find_map(|id: &ColumnId| {
        before.schema().column(*id).filter(|_| now.schema().column(*id).is_none())
    })?;
    Some((before.schema().name.clone(), lost.name.clone()))
}
