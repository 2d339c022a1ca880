//! Rows followed by their primary key, where their ids differ.
//!
//! ```text
//!  base    row 7 (5, a)
//!  ours    row 9 (5, b)      deleted and inserted again, or theirs was inserted here as well
//!  theirs  row 7 (5, c)      updated
//! ```
//! Where a side lacks a row of the base and has another of its key, that is what became of it: one row,
//! changed, and not one that went beside one that came. For the merged state they are taken [`apart`].

use std::collections::HashMap;

use super::Pick;
use super::diff::{Diff, Version, living, of_row};
use super::fetch::rows_at;
use super::rows::{Row, Sides};
use crate::error::Result;
use crate::spec::{EnforcedKey, RowId, TableSchema};
use crate::store::keys::{KeyBatch, typed};
use crate::store::table::Table;

/// The primary key, where every state has it.
fn key_of<'a>(sides: &Sides<'a>) -> Option<EnforcedKey<'a>> {
    fn primary(schema: &TableSchema) -> Option<EnforcedKey<'_>> {
        let key = schema.primary_key.as_ref().filter(|key| key.enforced)?;
        schema.enforced_keys().into_iter().find(|found| found.name == key.name)
    }
    let key = primary(sides.schema)?;
    let states = [sides.base, sides.ours, sides.theirs];
    let has =
        |table: &Table| primary(table.schema()).is_some_and(|known| known.columns == key.columns);
    states.into_iter().all(has).then_some(key)
}

fn keys(
    table: &Table,
    sides: &Sides<'_>,
    key: EnforcedKey<'_>,
    versions: &[Version],
) -> Result<KeyBatch> {
    let batch = rows_at(table, sides.schema, key.columns, versions)?;
    typed(sides.schema, key, batch.columns().to_vec())
}

/// Lists the segments of new rows in which a row of the base came again.
pub(super) fn list_again(sides: &Sides<'_>, table: &Table, diff: &mut Diff) -> Result<()> {
    let Some(key) = key_of(sides) else { return Ok(()) };
    let gone = diff.gone.iter().filter(|version| of_row(&diff.came, version.row).is_none());
    let gone: Vec<Version> = gone.copied().collect();
    if gone.is_empty() || diff.fresh.is_empty() {
        return Ok(());
    }
    let gone = keys(sides.base, sides, key, &gone)?;
    for segment in std::mem::take(&mut diff.fresh) {
        match table.positions_of(sides.schema, &segment, key.columns, &gone)?.is_empty() {
            true => diff.fresh.push(segment),
            false => living(table, &segment, &mut diff.came)?,
        }
    }
    diff.came.sort_unstable();
    Ok(())
}

/// Makes one of the two where a side has a row of the base under another id, and decides about it anew.
/// What several bases say of a row is left as it is.
pub(super) fn by_key(
    sides: &Sides<'_>,
    rows: &mut [Row],
    contested: &mut Vec<usize>,
) -> Result<()> {
    let Some(key) = key_of(sides) else { return Ok(()) };
    let mut followed = Vec::new();
    for side in [Pick::Ours, Pick::Theirs] {
        let table = if side == Pick::Ours { sides.ours } else { sides.theirs };
        for (gone, came) in again(sides, table, side, key, rows)? {
            let version = rows[came].of(side);
            match side {
                Pick::Ours => rows[gone].ours = version,
                Pick::Theirs => rows[gone].theirs = version,
            }
            rows[came] = Row::none();
            followed.push(gone);
        }
    }
    followed.sort_unstable();
    followed.dedup();
    for at in &followed {
        let row = &mut rows[*at];
        let changed = |side: Option<Version>| side.map(|v| v.name()) != row.base.map(|v| v.name());
        let (ours, theirs) = (changed(row.ours), changed(row.theirs));
        row.pick = if theirs && !ours { Pick::Theirs } else { Pick::Ours };
        contested.retain(|known| known != at);
        if ours && theirs && !row.is_agreed() {
            contested.push(*at);
        }
    }
    contested.sort_unstable();
    Ok(())
}

/// Of a side the rows of the base that it lacks, each with the row that has its key there.
fn again(
    sides: &Sides<'_>,
    table: &Table,
    side: Pick,
    key: EnforcedKey<'_>,
    rows: &[Row],
) -> Result<Vec<(usize, usize)>> {
    let other = if side == Pick::Ours { Pick::Theirs } else { Pick::Ours };
    let listed = |wanted: &dyn Fn(&Row) -> Option<Version>| -> (Vec<usize>, Vec<Version>) {
        let kept = rows.iter().enumerate().filter(|(_, row)| !row.rebased);
        kept.filter_map(|(at, row)| Some((at, wanted(row)?))).unzip()
    };
    let (gone, gone_versions) = listed(&|row| row.base.filter(|_| row.of(side).is_none()));
    let is_new = |row: &Row| row.base.is_none() && row.of(other).is_none();
    let (came, came_versions) = listed(&|row| row.of(side).filter(|_| is_new(row)));
    if gone.is_empty() || came.is_empty() {
        return Ok(Vec::new());
    }
    let gone_keys = keys(sides.base, sides, key, &gone_versions)?;
    let came_keys = keys(table, sides, key, &came_versions)?;
    let by_key: HashMap<&[u8], usize> =
        (0..gone_keys.len()).map(|i| (gone_keys.key(i), gone[gone_keys.row(i)])).collect();
    let pairs = (0..came_keys.len())
        .filter_map(|i| Some((*by_key.get(came_keys.key(i))?, came[came_keys.row(i)])));
    Ok(pairs.collect())
}

/// Each row that was followed as the rows it is made of, one for each id.
pub(super) fn apart(rows: Vec<Row>) -> Vec<Row> {
    let mut parts = Vec::with_capacity(rows.len());
    for row in rows {
        let mut ids: Vec<RowId> =
            [row.base, row.ours, row.theirs].into_iter().flatten().map(|v| v.row).collect();
        ids.sort_unstable();
        ids.dedup();
        if ids.len() < 2 {
            parts.push(row);
            continue;
        }
        parts.extend(ids.into_iter().map(|id| {
            let of = |version: Option<Version>| version.filter(|version| version.row == id);
            let (base, ours, theirs) = (of(row.base), of(row.ours), of(row.theirs));
            Row { base, ours, theirs, ..row.clone() }
        }));
    }
    parts
}
