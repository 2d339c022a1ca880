//! Columns that were dropped and came back: compaction wrote rows without them meanwhile.
//!
//! ```text
//!  base          (k)      column c was dropped
//!  ours          (k)      compacted: the files hold no c
//!  theirs        (k, c)   RESTORE: the old files, which hold it
//! ```
//! Both sides show the same row versions, so no row was changed; but only theirs can show all of them.

use std::cmp::Ordering;
use std::collections::HashSet;

use arrow::array::{RecordBatch, make_comparator};
use arrow::compute::SortOptions;

use super::Pick;
use super::diff::{Diff, Version, of_row};
use super::fetch::rows_at;
use super::rows::{Row, Sides};
use crate::error::Result;
use crate::spec::{ColumnId, RowId};
use crate::store::table::internal;

/// Takes from theirs the versions that both show and that lack columns where ours has them.
pub(super) fn columns_back(
    sides: &Sides<'_>,
    ours: &Diff,
    theirs: &Diff,
    rows: &mut Vec<Row>,
) -> Result<()> {
    let columns = back(sides);
    if columns.is_empty() {
        return Ok(());
    }
    let listed = rows.len();
    rows.extend(moved(ours, theirs, rows));
    let place = |version: Option<Version>| version.map(|version| version.place);
    let asked: Vec<usize> = (0..rows.len())
        .filter(|i| rows[*i].is_agreed() && place(rows[*i].ours) != place(rows[*i].theirs))
        .collect();
    let read = |table, version: &dyn Fn(&Row) -> Option<Version>| {
        let versions: Vec<Version> = asked.iter().filter_map(|i| version(&rows[*i])).collect();
        rows_at(table, sides.schema, &columns, &versions)
    };
    let (mine, other) =
        (read(sides.ours, &|row| row.ours)?, read(sides.theirs, &|row| row.theirs)?);
    for (i, differs) in asked.iter().zip(differing(&mine, &other)?) {
        if differs {
            (rows[*i].pick, rows[*i].short) = (Pick::Theirs, true);
        }
    }
    // Rows that only moved are no change.
    let mut at = 0;
    rows.retain(|row| {
        at += 1;
        at <= listed || row.short
    });
    Ok(())
}

/// The columns that only theirs has, of those the rows will have.
fn back(sides: &Sides<'_>) -> Vec<ColumnId> {
    let known = |id| [sides.base, sides.ours].iter().any(|side| side.schema().column(id).is_some());
    let theirs = sides.theirs.schema().columns.iter().map(|column| column.id);
    theirs.filter(|id| !known(*id) && sides.schema.column(*id).is_some()).collect()
}

/// Versions that a side moved, of rows that are not listed.
fn moved(ours: &Diff, theirs: &Diff, listed: &[Row]) -> Vec<Row> {
    let listed: HashSet<RowId> = listed
        .iter()
        .flat_map(|row| [row.base, row.ours, row.theirs])
        .flatten()
        .map(|v| v.row)
        .collect();
    let mut left: Vec<Version> = ours.left.iter().chain(&theirs.left).copied().collect();
    left.retain(|version| !listed.contains(&version.row));
    left.sort_unstable();
    left.dedup_by_key(|version| version.row);
    let row = |base: Version| Row {
        base: Some(base),
        ours: of_row(&ours.moved, base.row).or(Some(base)),
        theirs: of_row(&theirs.moved, base.row).or(Some(base)),
        pick: Pick::Ours,
        short: false,
        rebased: false,
    };
    left.into_iter().map(row).collect()
}

fn differing(a: &RecordBatch, b: &RecordBatch) -> Result<Vec<bool>> {
    let compare = |i: usize| {
        make_comparator(a.column(i), b.column(i), SortOptions::default()).map_err(internal)
    };
    let columns = (0..a.num_columns()).map(compare).collect::<Result<Vec<_>>>()?;
    let differs = |row| columns.iter().any(|compare| compare(row, row) != Ordering::Equal);
    Ok((0..a.num_rows()).map(differs).collect())
}
