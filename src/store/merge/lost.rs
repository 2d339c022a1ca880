//! Values that a merge of two shapes would lose.
//!
//! A column that was filled when it came (a change of type, a computed column) has no value for rows of
//! the other side, and a column that one side dropped takes with it what the other wrote into it. Neither
//! may happen without a word: NULL where somebody wrote something is a wrong answer.

use std::iter::once;

use arrow::array::Array;

use super::diff::{Diff, Place, Version, living};
use super::fetch::rows_at;
use super::keys::Hidden;
use super::rows::{Row, Shown, Sides};
use super::{Conflict, Pick, Prefer, Settled};
use crate::error::Result;
use crate::spec::{Column, ColumnId, CommitId, Generated, RowId};
use crate::store::table::Table;

/// Columns filled on one side that rows standing from the other have no value for: no side's version
/// has all that both wrote, so that nothing but a change by hand settles it.
pub(super) fn unfilled(
    sides: &Sides<'_>,
    (ours, theirs): (&Diff, &Diff),
    rows: &[Row],
    hidden: &Hidden,
) -> Result<Vec<Conflict>> {
    let mut conflicts = Vec::new();
    for (side, table, diff) in
        [(Pick::Ours, sides.ours, ours), (Pick::Theirs, sides.theirs, theirs)]
    {
        let lacks = |column: &&Column| column.filled && table.schema().column(column.id).is_none();
        let columns: Vec<&Column> = sides.schema.columns.iter().filter(lacks).collect();
        if columns.is_empty() {
            continue;
        }
        let Some((first, count)) = standing(side, diff, rows, hidden) else { continue };
        let shown = Shown::of(table, table.schema(), once(Some(first)))?;
        let there = if side == Pick::Ours { "on the branch merged" } else { "here" };
        for column in columns {
            let rows = match count {
                1 => "1 row of the other side has".to_owned(),
                count => format!("{count} rows of the other side have"),
            };
            let name = &column.name;
            let why =
                format!("column \"{name}\" was written anew {there}, and {rows} no value for it");
            let row = shown.row(0);
            let (ours, theirs) = if side == Pick::Ours { (row, None) } else { (None, row) };
            conflicts.push(Conflict {
                key: shown.key(0).unwrap_or_default(),
                ours,
                theirs,
                ..Conflict::of_relation(&sides.ours.schema().name, why, Settled::ByHand)
            });
        }
    }
    Ok(conflicts)
}

/// The first of the rows that come from one side alone, and how many there are; None for none.
fn standing(side: Pick, diff: &Diff, rows: &[Row], hidden: &Hidden) -> Option<(Version, u64)> {
    let listed = rows.iter().filter(|row| row.pick == side && !row.is_agreed());
    let listed: Vec<Version> = listed.filter_map(|row| row.of(side)).collect();
    let mut first = listed.first().copied();
    let mut count = listed.len() as u64;
    for segment in &diff.fresh {
        let hidden = hidden.get(&segment.meta.id);
        count += segment.rows() - hidden.map_or(0, |positions| positions.len());
        let stands = |at: &u32| {
            !segment.deleted.as_ref().is_some_and(|deleted| deleted.contains(*at))
                && !hidden.is_some_and(|positions| positions.contains(*at))
        };
        let at = (0..segment.meta.rows as u32).find(stands);
        first = first.or(at.map(|at| at_position(segment.meta.id, at)));
    }
    first.map(|first| (first, count))
}

/// A version of which only the place is asked.
fn at_position(segment: crate::spec::SegmentId, at: u32) -> Version {
    Version { row: RowId(0), commit: CommitId(0), place: Place::At(segment, at) }
}

/// Columns that one side dropped and the other wrote new values into. Who dropped it can be preferred.
pub(super) fn dropped(sides: &Sides<'_>, rows: &[Row], prefer: Prefer) -> Result<Vec<Conflict>> {
    let mut conflicts = Vec::new();
    for (side, table, other) in
        [(Pick::Ours, sides.ours, sides.theirs), (Pick::Theirs, sides.theirs, sides.ours)]
    {
        let settled = match prefer {
            Prefer::Neither => Settled::Open,
            _ if prefer.pick() != side => Settled::Decided,
            _ => Settled::ByHand,
        };
        // What was computed from other columns nobody wrote.
        let written = |column: &&Column| !matches!(column.generated, Some(Generated::Stored(_)));
        let gone =
            table.schema().columns.iter().filter(written).map(|column| column.id).filter(|id| {
                sides.base.schema().column(*id).is_some() && other.schema().column(*id).is_none()
            });
        let gone: Vec<ColumnId> = gone.collect();
        for (column, row) in changed_columns(sides.base, table, side, &gone, rows)? {
            let name = table.schema().column(column).map_or("", |column| &column.name);
            let (there, here) = match side {
                Pick::Ours => ("on the branch merged", "here"),
                Pick::Theirs => ("here", "on the branch merged"),
            };
            let why = format!("column \"{name}\" was dropped {there} and has new values {here}");
            let show = |table: &Table, version: Option<Version>| {
                Shown::of(table, table.schema(), once(version))
            };
            let (ours, theirs) = (show(sides.ours, row.ours)?, show(sides.theirs, row.theirs)?);
            let base = show(sides.base, row.base)?;
            conflicts.push(Conflict {
                key: base.key(0).unwrap_or_default(),
                base: base.row(0),
                ours: ours.row(0),
                theirs: theirs.row(0),
                ..Conflict::of_relation(&sides.ours.schema().name, why, settled)
            });
        }
    }
    Ok(conflicts)
}

/// Columns that ours lacks and in which rows that come from a commit picked have other values than before
/// it: they would be left behind.
pub(super) fn unpicked(
    sides: &Sides<'_>,
    theirs: &Diff,
    rows: &[Row],
    hidden: &Hidden,
) -> Result<Vec<Conflict>> {
    let schema = sides.theirs.schema();
    // What was computed from other columns nobody wrote.
    let lacks = |column: &&Column| {
        let computed = matches!(column.generated, Some(Generated::Stored(_)));
        !computed && sides.schema.column(column.id).is_none()
    };
    let columns: Vec<&Column> = schema.columns.iter().filter(lacks).collect();
    let ids: Vec<ColumnId> = columns.iter().map(|column| column.id).collect();
    let Some(first) = first_written(sides, theirs, rows, hidden, &ids)? else {
        return Ok(Vec::new());
    };
    let shown = Shown::of(sides.theirs, schema, once(Some(first)))?;
    let names: Vec<String> = columns.iter().map(|column| format!("\"{}\"", column.name)).collect();
    let why = format!("the commit wrote into {}, which is not here", names.join(", "));
    Ok(vec![Conflict {
        key: shown.key(0).unwrap_or_default(),
        theirs: shown.row(0),
        ..Conflict::of_relation(&sides.ours.schema().name, why, Settled::Open)
    }])
}

/// A version that comes from theirs with other values in these columns than the base has.
fn first_written(
    sides: &Sides<'_>,
    theirs: &Diff,
    rows: &[Row],
    hidden: &Hidden,
    columns: &[ColumnId],
) -> Result<Option<Version>> {
    if columns.is_empty() {
        return Ok(None);
    }
    let schema = sides.theirs.schema();
    let comes = |row: &&Row| row.pick == Pick::Theirs && !row.is_agreed() && row.theirs.is_some();
    let comes: Vec<&Row> = rows.iter().filter(comes).collect();
    let before = Shown::of(sides.base, schema, comes.iter().map(|row| row.base))?;
    let after = Shown::of(sides.theirs, schema, comes.iter().map(|row| row.theirs))?;
    let places: Vec<usize> = columns.iter().filter_map(|id| schema.position(*id)).collect();
    for (at, row) in comes.iter().enumerate() {
        let (before, after) = (before.values(at), after.values(at));
        let value = |row: &Option<Vec<Option<String>>>, i: usize| row.as_ref()?[i].clone();
        if places.iter().any(|i| value(&before, *i) != value(&after, *i)) {
            return Ok(row.theirs);
        }
    }
    for segment in &theirs.fresh {
        let mut versions = Vec::new();
        living(sides.theirs, segment, &mut versions)?;
        let hidden = hidden.get(&segment.meta.id);
        let is_hidden = |version: &Version| match version.place {
            Place::At(_, at) => hidden.is_some_and(|positions| positions.contains(at)),
            Place::Line(_) => false,
        };
        versions.retain(|version| !is_hidden(version));
        let batch = rows_at(sides.theirs, schema, columns, &versions)?;
        let is_filled = |row: &usize| batch.columns().iter().any(|column| column.is_valid(*row));
        if let Some(row) = (0..versions.len()).find(is_filled) {
            return Ok(Some(versions[row]));
        }
    }
    Ok(None)
}

/// Those of the columns that a side gave another value in any row, with the first such row.
fn changed_columns<'a>(
    base: &Table,
    table: &Table,
    side: Pick,
    columns: &[ColumnId],
    rows: &'a [Row],
) -> Result<Vec<(ColumnId, &'a Row)>> {
    let mut found = Vec::new();
    if columns.is_empty() {
        return Ok(found);
    }
    let changed = |row: &&Row| match (row.base, row.of(side)) {
        (Some(base), Some(own)) => base.commit != own.commit,
        _ => false,
    };
    let changed: Vec<&Row> = rows.iter().filter(changed).collect();
    let values = |table_of: &Table, version: &dyn Fn(&Row) -> Option<Version>| {
        let versions: Vec<Version> = changed.iter().filter_map(|row| version(row)).collect();
        rows_at(table_of, table.schema(), columns, &versions)
    };
    let (before, after) = (values(base, &|row| row.base)?, values(table, &|row| row.of(side))?);
    for (at, column) in columns.iter().enumerate() {
        let (before, after) = (before.column(at), after.column(at));
        let differs =
            |row: &usize| before.slice(*row, 1).to_data() != after.slice(*row, 1).to_data();
        if let Some(row) = (0..changed.len()).find(differs) {
            found.push((*column, changed[row]));
        }
    }
    Ok(found)
}
