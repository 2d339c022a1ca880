//! One table that both sides changed.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::UInt64Array;

use super::compose::{Composed, compose, unwritten};
use super::diff::{Version, diff, ranges_of};
use super::fetch::rows_at;
use super::ranges::stamped;
use super::returned::columns_back;
use super::rows::{Sides, decide, settle};
use super::{Base, Conflict, Pick, Prefer, follow, keys, lost, shape};
use crate::error::Result;
use crate::spec::{ColumnId, CommitId, LineRange, SegmentEntry, SegmentId, TableSchema};
use crate::store::commit::Taken;
use crate::store::load::Load;
use crate::store::table::{Table, UNCOMMITTED};
use crate::store::transaction::Transaction;

/// A table in three states, and what came of it.
pub(super) struct Joined {
    /// The state to take over; None where ours stands as it is.
    pub taken: Option<Taken>,
    pub conflicts: Vec<Conflict>,
    /// Rows of `ours` or `theirs` to be written again on that state.
    pub rewritten: Vec<(Pick, Version)>,
}

/// Joins what both sides changed. `since` is the commit of the base.
pub(super) fn join(
    base: &Table,
    (ours, theirs): (&Table, &Table),
    since: CommitId,
    of: Base<'_>,
    prefer: Prefer,
) -> Result<Joined> {
    let next_id = || ours.store().next_id();
    let shaped = shape::merge(base.schema(), ours.schema(), theirs.schema(), prefer, next_id)?;
    let schema = Arc::new(shaped.schema);
    ours.store().keep_schema(&schema);
    let sides = Sides { base, ours, theirs, schema: &schema };
    let mut our_diff = diff(base, ours, since)?;
    let mut their_diff = diff(base, theirs, since)?;
    follow::list_again(&sides, ours, &mut our_diff)?;
    follow::list_again(&sides, theirs, &mut their_diff)?;
    our_diff.list_shared(ours, &their_diff)?;
    their_diff.list_shared(theirs, &our_diff)?;
    // What was listed there only now may have been counted as new here.
    our_diff.list_shared(ours, &their_diff)?;

    let (mut rows, mut contested) = decide(&our_diff, &their_diff);
    if let Base::Common(Some(crossed)) = of {
        let states = crossed.states(base)?;
        crossed.decide(&sides, (since, &states), &mut rows, &mut contested)?;
    }
    columns_back(&sides, &our_diff, &their_diff, &mut rows)?;
    follow::by_key(&sides, &mut rows, &mut contested)?;
    let mut conflicts: Vec<Conflict> = shaped
        .conflicts
        .into_iter()
        .map(|why| Conflict::of_relation(&ours.schema().name, why, prefer.settled()))
        .collect();
    conflicts.extend(settle(&sides, &mut rows, &contested, prefer)?);
    let mut hidden = HashMap::new();
    let diffs = (&our_diff, &their_diff);
    conflicts.extend(keys::settle(&sides, diffs, &mut rows, &mut hidden, prefer)?);
    conflicts.extend(lost::unfilled(&sides, diffs, &rows, &hidden)?);
    conflicts.extend(lost::dropped(&sides, &rows, prefer)?);
    if let Base::Parent = of {
        conflicts.extend(lost::unpicked(&sides, &their_diff, &rows, &hidden)?);
    }
    let short = rows.iter().any(|row| row.short);
    if their_diff.is_empty() && !short && schema.id == ours.schema().id {
        return Ok(Joined { taken: None, conflicts, rewritten: Vec::new() });
    }
    let Composed { table, added_rows, deleted_rows, rewritten } =
        compose(&sides, &their_diff, &follow::apart(rows), &hidden)?;
    let taken =
        Taken { table: Arc::new(table), united: true, added_rows, deleted_rows, instead_of: None };
    Ok(Joined { taken: Some(taken), conflicts, rewritten })
}

/// Writes rows again, under their ids, on the state that a transaction took over.
pub(super) fn write_again(
    transaction: &mut Transaction,
    ours: &Table,
    theirs: &Table,
    rewritten: &[(Pick, Version)],
) -> Result<()> {
    for (pick, from) in [(Pick::Ours, ours), (Pick::Theirs, theirs)] {
        let versions: Vec<Version> =
            rewritten.iter().filter(|(of, _)| *of == pick).map(|(_, version)| *version).collect();
        if versions.is_empty() {
            continue;
        }
        let table = transaction.snapshot().table_by_id(ours.id())?.expect("it was just taken over");
        let columns: Vec<ColumnId> = table.schema().columns.iter().map(|c| c.id).collect();
        let rows = rows_at(from, table.schema(), &columns, &versions)?;
        let mut load = Load::new(&table);
        let ids = UInt64Array::from_iter_values(versions.iter().map(|version| version.row.0));
        load.push_versions(&rows, ids)?;
        transaction.insert(&table, load.finish()?)?;
    }
    Ok(())
}

/// A whole state as a branch takes it over, in this shape: what the states in `known` have keeps its
/// time, the rest is taken over now.
pub(in crate::store) fn whole(table: &Table, schema: &Arc<TableSchema>, known: &[&Table]) -> Taken {
    let entries: HashMap<SegmentId, SegmentEntry> = known
        .iter()
        .rev()
        .flat_map(|table| table.segments().iter().map(|s| (s.meta.id, s.entry)))
        .collect();
    let mut next = table.clone();
    for segment in Arc::make_mut(&mut next.segments) {
        let there = entries.get(&segment.meta.id);
        segment.entry.since = there.map_or(Some(UNCOMMITTED), |entry| entry.since);
    }
    let there: Vec<&[LineRange]> = known.iter().map(|table| ranges_of(table)).collect();
    let ranges = stamped(ranges_of(table), &there);
    next.record = Some(Arc::new(unwritten(table, schema, ranges)));
    next.schema = Arc::clone(schema);
    next.pending = Arc::default();
    next.inline_keys = Arc::default();
    Taken { table: Arc::new(next), united: false, added_rows: 0, deleted_rows: 0, instead_of: None }
}

/// How many rows `new` has that `old` lacks, and how many `old` has that `new` lacks.
pub(in crate::store) fn count(old: &Table, new: &Table, since: CommitId) -> Result<(u64, u64)> {
    let diff = diff(old, new, since)?;
    let fresh: u64 = diff.fresh.iter().map(|segment| segment.rows()).sum();
    Ok((diff.came.len() as u64 + fresh, diff.gone.len() as u64))
}
