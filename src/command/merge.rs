//! MERGE BRANCH: another branch's changes come into one, or are only told.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringViewArray};

use datafusion::execution::session_state::SessionState;
use datafusion::sql::sqlparser::ast::ObjectName;

use super::table_refs::table_of;
use super::verify::Verify;
use crate::error::{Error, ErrorKind, Result};
use crate::fault;
use crate::parse::{MergeBranch, OnConflict};
use crate::plan::Reading;
use crate::spec::{SchemaId, TableId};
use crate::store::{
    Advance, CommitOptions, Conflict, Joining, Merged, Prefer, Settled, Snapshot, check_unprotected,
};

/// How often what joins two branches starts again because the one it changes moved.
pub const ROUNDS: usize = 10;

/// After so many of them others wait.
const PATIENT_ROUNDS: usize = 3;

/// What is joined, by full names.
pub struct Ends {
    /// Whose changes.
    pub from: String,
    /// The branch that gets them.
    pub into: String,
    /// Of this table alone.
    pub table: Option<TableId>,
}

impl Ends {
    /// What two names mean to the whole database, or to one table: its own refs first.
    ///
    /// # Errors
    /// UndefinedTable, UndefinedObject.
    pub fn of(
        reading: &Reading,
        (from, into): (&str, &str),
        table: Option<&ObjectName>,
    ) -> Result<Ends> {
        let Some(table) = table else {
            return Ok(Ends { from: from.to_owned(), into: into.to_owned(), table: None });
        };
        let id = table_of(reading, table)?;
        let store = reading.snapshot.store();
        let (from, into) = (store.ref_for(id, from)?.name, store.ref_for(id, into)?.name);
        Ok(Ends { from, into, table: Some(id) })
    }
}

/// What a merge did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Joined {
    /// Whether the branch moved.
    pub advance: Advance,
    /// Conflicts that WHEN CONFLICT decided.
    pub decided: usize,
}

/// MERGE BRANCH a INTO b.
///
/// # Errors
/// UndefinedObject; MergeConflict where both changed the same thing and nothing says who wins;
/// Conflict where the branch moved again and again.
pub async fn merge(
    reading: &Reading,
    state: &Arc<SessionState>,
    merge: &MergeBranch,
    options: &CommitOptions,
) -> Result<Joined> {
    let store = reading.snapshot.store();
    let ends = Ends::of(reading, (&merge.from, &merge.into), merge.table.as_ref())?;
    let source = store.at_ref(&ends.from)?;
    if let Some(into) = store.ref_of_full_name(&ends.into)? {
        check_unprotected(&into, "merged into")?;
    }
    let done = |advance, decided| Ok(Joined { advance, decided });
    for round in 0..ROUNDS {
        let _alone = if round < PATIENT_ROUNDS { None } else { Some(store.alone().await) };
        let target = store.head(&ends.into)?;
        let base = match store.joining(&target, source.commit(), ends.table)? {
            Joining::UpToDate => return done(Advance::UpToDate, 0),
            Joining::Forward => match store.fast_forward(&ends.into, &source).await {
                Err(error)
                    if matches!(error.kind(), ErrorKind::Conflict | ErrorKind::WrongState) =>
                {
                    continue;
                }
                moved => return done(moved?, 0),
            },
            Joining::Apart(base) => base,
        };
        let prefer = prefer(merge.on_conflict);
        let merged = store.merge(base, &target, &source, prefer, ends.table)?;
        let what = format!("merging \"{}\" into \"{}\"", merge.from, merge.into);
        let hint = "MERGE BRANCH … DRY RUN lists all; WHEN CONFLICT OURS or THEIRS decides";
        merged.check_decided(&what, || hint.to_owned())?;
        hold_to_rules(reading, state, &merged).await?;
        // Whatever is left was refused above.
        let decided = merged.conflicts.len();
        match store.commit_joined(merged.transaction, options, false).await? {
            Some(commit) if commit == target.commit() => return done(Advance::UpToDate, 0),
            Some(_) => return done(Advance::Moved, decided),
            None => {}
        }
    }
    Err(Error::new(
        ErrorKind::Conflict,
        format!("branch \"{}\" moved {ROUNDS} times meanwhile", merge.into),
    )
    .hint("run the statement again"))
}

/// Constraints that are new on one side hold for the rows of the other, too.
///
/// # Errors
/// NotNullViolation, CheckViolation, UniqueViolation.
pub async fn hold_to_rules(
    reading: &Reading,
    state: &Arc<SessionState>,
    merged: &Merged,
) -> Result<()> {
    match violations(reading, state, merged).await?.into_iter().next() {
        Some((_, error)) => Err(error),
        None => Ok(()),
    }
}

/// What the merged rows violate, and the table it is of.
async fn violations(
    reading: &Reading,
    state: &Arc<SessionState>,
    merged: &Merged,
) -> Result<Vec<(String, Error)>> {
    let mut asked = merged.transaction.clone();
    let mut found = Vec::new();
    for rules in &merged.rules {
        let Some(table) = asked.snapshot().table_by_id(rules.table)? else { continue };
        let schema = table.schema();
        let verify = Verify { reading, state, schema };
        let mut violated = verify.nulls(&table, rules)?;
        if !violated.is_empty() {
            // A plan believes the shape, so the rest is asked of one that admits the NULLs.
            let mut schema = schema.as_ref().clone();
            schema.id = SchemaId(table.store().next_id());
            schema.columns.iter_mut().for_each(|column| column.not_null = false);
            asked.alter_table(&table, schema, false)?;
        }
        let reading = reading.at(asked.snapshot());
        violated.extend(Verify { reading: &reading, state, schema }.broken(rules).await?);
        found.extend(violated.into_iter().map(|error| (schema.name.clone(), error)));
    }
    Ok(found)
}

/// MERGE BRANCH … DRY RUN: a row for everything that would change, and one for each conflict and for
/// each constraint that would not hold.
///
/// # Errors
/// UndefinedObject.
pub async fn dry_run(
    reading: &Reading,
    state: &Arc<SessionState>,
    merge: &MergeBranch,
) -> Result<RecordBatch> {
    let store = reading.snapshot.store();
    let ends = Ends::of(reading, (&merge.from, &merge.into), merge.table.as_ref())?;
    let (source, target) = (store.at_ref(&ends.from)?, store.head(&ends.into)?);
    let prefer = prefer(merge.on_conflict);
    let mut merged = merged_for_show(&target, &source, prefer, ends.table)?;
    if let Some(merged) = &mut merged {
        for (table, error) in violations(reading, state, merged).await? {
            let detail =
                error.detail_text().map(|detail| format!(": {detail}")).unwrap_or_default();
            let why = format!("{}{detail}", error.message());
            merged.conflicts.push(Conflict::of_relation(&table, why, Settled::ByHand));
        }
    }
    told(merged.as_ref())
}

fn merged_for_show(
    target: &Snapshot,
    source: &Snapshot,
    prefer: Prefer,
    only: Option<TableId>,
) -> Result<Option<Merged>> {
    let store = target.store();
    let base = match store.joining(target, source.commit(), only)? {
        Joining::UpToDate => return Ok(None),
        Joining::Forward => target.commit(),
        Joining::Apart(base) => base,
    };
    store.merge(base, target, source, prefer, only).map(Some)
}

fn prefer(on_conflict: OnConflict) -> Prefer {
    match on_conflict {
        OnConflict::Fail => Prefer::Neither,
        OnConflict::Ours => Prefer::Ours,
        OnConflict::Theirs => Prefer::Theirs,
    }
}

/// The columns: relation, change, `added_rows`, `deleted_rows`, key, base, ours, theirs, detail.
fn told(merged: Option<&Merged>) -> Result<RecordBatch> {
    let (mut changes, mut conflicts) = (Vec::new(), Vec::new());
    if let Some(merged) = merged {
        changes.extend(&merged.changes);
        conflicts.extend(&merged.conflicts);
    }
    let texts = |values: Vec<Option<String>>| -> ArrayRef {
        Arc::new(values.into_iter().collect::<StringViewArray>())
    };
    let side = |of: &dyn Fn(&Conflict) -> Option<String>| {
        let none = changes.iter().map(|_| None);
        texts(none.chain(conflicts.iter().map(|conflict| of(conflict))).collect())
    };
    let relations = changes.iter().map(|change| Some(change.relation.clone()));
    let kinds = changes.iter().map(|change| Some(change.how.to_owned()));
    let numbers = |of: &dyn Fn(&crate::store::Changed) -> u64| -> ArrayRef {
        let counted = changes.iter().map(|change| Some(of(change) as i64));
        let none = conflicts.iter().map(|_| None);
        Arc::new(counted.chain(none).collect::<Int64Array>())
    };
    let filled = |text: &String| (!text.is_empty()).then(|| text.clone());
    RecordBatch::try_from_iter([
        (
            "relation",
            texts(relations.chain(conflicts.iter().map(|c| Some(c.relation.clone()))).collect()),
        ),
        (
            "change",
            texts(kinds.chain(conflicts.iter().map(|_| Some("conflict".to_owned()))).collect()),
        ),
        ("added_rows", numbers(&|change| change.added_rows)),
        ("deleted_rows", numbers(&|change| change.deleted_rows)),
        ("key", side(&|conflict| filled(&conflict.key))),
        ("base", side(&|conflict| conflict.base.clone())),
        ("ours", side(&|conflict| conflict.ours.clone())),
        ("theirs", side(&|conflict| conflict.theirs.clone())),
        ("detail", side(&|conflict| filled(&conflict.why))),
    ])
    .map_err(fault::of_arrow)
}
