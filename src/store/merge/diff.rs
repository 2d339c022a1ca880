//! Which row versions one state of a table has and an older one lacks, and the other way round.
//!
//! A row version is (`_row_id`, `_commit`), so rows that only moved to another file are the same.
//! What both states share, by segment and by stretch of a line, is not looked at.

use std::collections::{HashMap, HashSet};

use arrow::array::UInt64Array;
use roaring::RoaringBitmap;

use super::ranges::{within, without};
use crate::error::Result;
use crate::segment::{Projection, ScanRequest};
use crate::spec::{CommitId, LineId, LineRange, RowId, RowIds, SegmentId};
use crate::store::table::{Table, TableSegment, hidden_columns};

/// Where a row version lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Place {
    /// In an inline batch, or the file it was folded into.
    Line(LineId),
    /// At a position of a segment.
    At(SegmentId, u32),
}

/// One version of one row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Version {
    pub row: RowId,
    pub commit: CommitId,
    pub place: Place,
}

impl Version {
    /// No two versions of a table have the same.
    pub fn name(&self) -> (RowId, CommitId) {
        (self.row, self.commit)
    }
}

/// How a state differs from an older one; each list ascends by row.
#[derive(Debug, Default)]
pub(super) struct Diff {
    /// Versions that only the older state shows, where they are there.
    pub gone: Vec<Version>,
    /// Versions that only the newer state shows, where they are there.
    pub came: Vec<Version>,
    /// Versions that lie elsewhere now.
    pub moved: Vec<Version>,
    /// Where they lay.
    pub left: Vec<Version>,
    /// Segments of new rows with ids counted up, too many to list.
    pub fresh: Vec<TableSegment>,
}

impl Diff {
    /// Whether both states show the same rows.
    pub fn is_empty(&self) -> bool {
        self.gone.is_empty() && self.came.is_empty() && self.fresh.is_empty()
    }

    /// Segments of new rows of which `other` lists rows are listed too: both took them from
    /// somewhere, and they are to be compared.
    pub fn list_shared(&mut self, table: &Table, other: &Diff) -> Result<()> {
        let known: HashSet<SegmentId> = other.fresh.iter().map(|s| s.meta.id).collect();
        let (listed, fresh): (Vec<_>, Vec<_>) = self.fresh.drain(..).partition(|segment| {
            let RowIds::Sequential(first) = segment.meta.row_ids else { return true };
            let at = other.came.partition_point(|version| version.row < first);
            let last = RowId(first.0 + segment.meta.rows);
            known.contains(&segment.meta.id)
                || other.came.get(at).is_some_and(|version| version.row < last)
        });
        self.fresh = fresh;
        for segment in &listed {
            living(table, segment, &mut self.came)?;
        }
        self.came.sort_unstable();
        Ok(())
    }
}

/// How `new` differs from `old`, which is as of `since`.
pub(super) fn diff(old: &Table, new: &Table, since: CommitId) -> Result<Diff> {
    let mut diff = Diff::default();
    segments(old, new, since, &mut diff)?;
    lines(old, new, &mut diff)?;
    diff.gone.sort_unstable();
    diff.came.sort_unstable();
    forget_moves(&mut diff);
    Ok(diff)
}

/// The version of a row in a list that ascends by row.
pub(super) fn of_row(versions: &[Version], row: RowId) -> Option<Version> {
    let at = versions.partition_point(|version| version.row < row);
    versions.get(at).filter(|version| version.row == row).copied()
}

fn segments(old: &Table, new: &Table, since: CommitId, diff: &mut Diff) -> Result<()> {
    let before: HashMap<SegmentId, &TableSegment> =
        old.segments().iter().map(|s| (s.meta.id, s)).collect();
    let after: HashSet<SegmentId> = new.segments().iter().map(|s| s.meta.id).collect();
    for segment in old.segments().iter().filter(|s| !after.contains(&s.meta.id)) {
        living(old, segment, &mut diff.gone)?;
    }
    for segment in new.segments() {
        match before.get(&segment.meta.id) {
            Some(known) => {
                let (old_gone, new_gone) = (deleted(known), deleted(segment));
                at_positions(old, segment, &(&new_gone - &old_gone), &mut diff.gone)?;
                at_positions(new, segment, &(&old_gone - &new_gone), &mut diff.came)?;
            }
            None if is_fresh(segment, since) => diff.fresh.push(segment.clone()),
            None => living(new, segment, &mut diff.came)?,
        }
    }
    Ok(())
}

fn deleted(segment: &TableSegment) -> RoaringBitmap {
    segment.deleted.as_deref().cloned().unwrap_or_default()
}

/// Inserted by one commit after `since`: no older state can have any of its rows.
fn is_fresh(segment: &TableSegment, since: CommitId) -> bool {
    let counted = matches!(segment.meta.row_ids, RowIds::Sequential(_));
    counted && !segment.meta.commit_stored && segment.entry.commit > since
}

/// The living rows of a segment.
pub(super) fn living(table: &Table, segment: &TableSegment, to: &mut Vec<Version>) -> Result<()> {
    let mut all = RoaringBitmap::new();
    all.insert_range(0..segment.meta.rows as u32);
    at_positions(table, segment, &(all - deleted(segment)), to)
}

fn at_positions(
    table: &Table,
    segment: &TableSegment,
    positions: &RoaringBitmap,
    to: &mut Vec<Version>,
) -> Result<()> {
    let id = segment.meta.id;
    if let (RowIds::Sequential(first), false) = (segment.meta.row_ids, segment.meta.commit_stored) {
        let commit = segment.entry.commit;
        to.extend(positions.iter().map(|at| Version {
            row: RowId(first.0 + u64::from(at)),
            commit,
            place: Place::At(id, at),
        }));
        return Ok(());
    }
    if positions.is_empty() {
        return Ok(());
    }
    let mut projection = Projection::new(table.schema().clone(), Vec::new());
    projection.constant_commit = segment.entry.commit;
    (projection.commit, projection.row_id, projection.position) = (true, true, true);
    let file = table.store().open_segment(&segment.meta)?;
    for batch in file.scan(ScanRequest::new(projection))? {
        let batch = batch?;
        let column = |i: usize| -> &UInt64Array {
            batch.column(i).as_any().downcast_ref().expect("hidden columns are UInt64")
        };
        for i in 0..batch.num_rows() {
            let at = column(2).value(i) as u32;
            if positions.contains(at) {
                let (commit, row) = (CommitId(column(0).value(i)), RowId(column(1).value(i)));
                to.push(Version { row, commit, place: Place::At(id, at) });
            }
        }
    }
    Ok(())
}

fn lines(old: &Table, new: &Table, diff: &mut Diff) -> Result<()> {
    let (before, after) = (ranges_of(old), ranges_of(new));
    for range in without(before, after) {
        on_line(old, &range, |version| {
            diff.gone.extend((!old.hides(version.row, version.commit)).then_some(version));
        })?;
    }
    for range in without(after, before) {
        on_line(new, &range, |version| {
            diff.came.extend((!new.hides(version.row, version.commit)).then_some(version));
        })?;
    }
    if old.version().map(|v| v.deletes) == new.version().map(|v| v.deletes) {
        return Ok(());
    }
    for range in within(before, after) {
        on_line(new, &range, |version| {
            let name = (version.row, version.commit);
            match (old.hides(name.0, name.1), new.hides(name.0, name.1)) {
                (false, true) => diff.gone.push(version),
                (true, false) => diff.came.push(version),
                _ => {}
            }
        })?;
    }
    Ok(())
}

pub(super) fn ranges_of(table: &Table) -> &[LineRange] {
    table.version().map_or(&[], |version| &version.ranges)
}

/// Every row version of a stretch, hidden ones too.
pub(super) fn on_line(
    table: &Table,
    range: &LineRange,
    mut visit: impl FnMut(Version),
) -> Result<()> {
    for batch in table.rows_of_range(table.schema(), range)? {
        let (commits, rows) = hidden_columns(&batch);
        for (commit, row) in commits.values().iter().zip(rows.values()) {
            let (row, commit) = (RowId(*row), CommitId(*commit));
            visit(Version { row, commit, place: Place::Line(range.line) });
        }
    }
    Ok(())
}

/// A version that is in both lists only moved.
fn forget_moves(diff: &mut Diff) {
    let came: HashMap<_, _> = if diff.gone.is_empty() {
        HashMap::new()
    } else {
        diff.came.iter().map(|version| (version.name(), *version)).collect()
    };
    let moved: HashMap<_, _> = diff
        .gone
        .iter()
        .filter_map(|version| Some((version.name(), *came.get(&version.name())?)))
        .collect();
    if moved.is_empty() {
        return;
    }
    diff.left = diff.gone.extract_if(.., |version| moved.contains_key(&version.name())).collect();
    diff.came.retain(|version| !moved.contains_key(&version.name()));
    diff.moved = moved.into_values().collect();
    diff.moved.sort_unstable();
}
