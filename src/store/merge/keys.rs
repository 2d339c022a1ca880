//! Two rows of one key, one from each side.
//!
//! The keys of one side are distinct, so only a version that stands from ours and one that stands from
//! theirs can meet. Turning a row back to the other side's version can make another pair meet, so it
//! goes on until none does; it ends, since each turn goes the same way.

use std::collections::HashMap;

use roaring::RoaringBitmap;

use super::diff::{Diff, Place, Version};
use super::fetch::rows_at;
use super::rows::{Row, Shown, Sides};
use super::{Conflict, Pick, Prefer};
use crate::error::Result;
use crate::segment::{Projection, ScanRequest};
use crate::spec::{EnforcedKey, SegmentId};
use crate::store::keys::{KeyBatch, typed};
use crate::store::table::{Table, TableSegment};

/// One version that may stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Candidate {
    /// Of the row at this place of the list.
    Row(usize),
    /// At a position of a segment of new rows.
    Fresh(SegmentId, u32),
}

/// Positions of segments of new rows that do not stand.
pub(super) type Hidden = HashMap<SegmentId, RoaringBitmap>;

/// Keys of the listed rows that one side has, and which rows they are.
struct Listed {
    keys: KeyBatch,
    rows: Vec<usize>,
}

/// Makes keys distinct. What was not to be decided is a conflict.
pub(super) fn settle(
    sides: &Sides<'_>,
    diffs: (&Diff, &Diff),
    rows: &mut [Row],
    hidden: &mut Hidden,
    prefer: Prefer,
) -> Result<Vec<Conflict>> {
    let mut pairs = Vec::new();
    for key in sides.schema.enforced_keys() {
        pairs.extend(pairs_of(sides, diffs, rows, key)?);
    }
    if pairs.is_empty() {
        return Ok(Vec::new());
    }
    let mut conflicts = Vec::new();
    let mut known: Vec<usize> = Vec::new();
    loop {
        let stands =
            |candidate: Candidate, side: Pick, rows: &[Row], hidden: &Hidden| match candidate {
                Candidate::Row(i) => rows[i].pick == side,
                Candidate::Fresh(segment, at) => {
                    !hidden.get(&segment).is_some_and(|positions| positions.contains(at))
                }
            };
        let met: Vec<usize> = (0..pairs.len())
            .filter(|i| !known.contains(i))
            .filter(|i| stands(pairs[*i].0, Pick::Ours, rows, hidden))
            .filter(|i| stands(pairs[*i].1, Pick::Theirs, rows, hidden))
            .collect();
        if met.is_empty() {
            return Ok(conflicts);
        }
        let shown = Pairs::show(sides, rows, met.iter().map(|i| pairs[*i]))?;
        for (at, i) in met.into_iter().enumerate() {
            let (ours, theirs) = pairs[i];
            let same = is_new(ours, rows) && is_new(theirs, rows) && shown.is_same(at);
            if !same {
                conflicts.push(shown.conflict(at, sides, prefer));
            }
            match (same, prefer) {
                (false, Prefer::Neither) => known.push(i),
                (false, Prefer::Theirs) => turn(ours, Pick::Theirs, rows, hidden),
                (true, _) | (false, Prefer::Ours) => turn(theirs, Pick::Ours, rows, hidden),
            }
        }
    }
}

fn is_new(candidate: Candidate, rows: &[Row]) -> bool {
    match candidate {
        Candidate::Row(i) => rows[i].base.is_none(),
        Candidate::Fresh(..) => true,
    }
}

fn turn(candidate: Candidate, to: Pick, rows: &mut [Row], hidden: &mut Hidden) {
    match candidate {
        Candidate::Row(i) => rows[i].pick = to,
        Candidate::Fresh(segment, at) => {
            hidden.entry(segment).or_default().insert(at);
        }
    }
}

/// All versions of ours and theirs that have one key and are not of one row.
fn pairs_of(
    sides: &Sides<'_>,
    (ours, theirs): (&Diff, &Diff),
    rows: &[Row],
    key: EnforcedKey<'_>,
) -> Result<Vec<(Candidate, Candidate)>> {
    let our_list = list(sides, sides.ours, rows, key, |row| row.ours)?;
    let their_list = list(sides, sides.theirs, rows, key, |row| row.theirs)?;
    let mut by_key: HashMap<&[u8], usize> = HashMap::new();
    for (at, key) in our_list.keys.encoded.iter().enumerate() {
        by_key.insert(key, our_list.rows[at]);
    }
    let mut pairs = Vec::new();
    for (at, key) in their_list.keys.encoded.iter().enumerate() {
        let row = their_list.rows[at];
        if let Some(other) = by_key.get(key).filter(|other| **other != row) {
            pairs.push((Candidate::Row(*other), Candidate::Row(row)));
        }
    }
    for (row, fresh) in find((sides, sides.ours), &ours.fresh, key, &their_list.keys)? {
        pairs.push((fresh, Candidate::Row(their_list.rows[row])));
    }
    for (row, fresh) in find((sides, sides.theirs), &theirs.fresh, key, &our_list.keys)? {
        pairs.push((Candidate::Row(our_list.rows[row]), fresh));
    }
    let rows_of = |diff: &Diff| diff.fresh.iter().map(TableSegment::rows).sum::<u64>();
    // The smaller side asks the larger one's filters.
    if rows_of(ours) <= rows_of(theirs) {
        for_each_key(sides, sides.ours, &ours.fresh, key, |mine, keys| {
            for (row, fresh) in find((sides, sides.theirs), &theirs.fresh, key, keys)? {
                pairs.push((mine[row], fresh));
            }
            Ok(())
        })?;
    } else {
        for_each_key(sides, sides.theirs, &theirs.fresh, key, |mine, keys| {
            for (row, fresh) in find((sides, sides.ours), &ours.fresh, key, keys)? {
                pairs.push((fresh, mine[row]));
            }
            Ok(())
        })?;
    }
    Ok(pairs)
}

fn list(
    sides: &Sides<'_>,
    table: &Table,
    rows: &[Row],
    key: EnforcedKey<'_>,
    version: impl Fn(&Row) -> Option<Version>,
) -> Result<Listed> {
    let (mut at, mut versions) = (Vec::new(), Vec::new());
    for (i, row) in rows.iter().enumerate() {
        if let Some(found) = version(row) {
            at.push(i);
            versions.push(found);
        }
    }
    let batch = rows_at(table, sides.schema, key.columns, &versions)?;
    let keys = typed(sides.schema, key, batch.columns().to_vec())?;
    let rows = (0..keys.len()).map(|i| at[keys.row(i)]).collect();
    Ok(Listed { keys, rows })
}

/// Which of the keys rows of these segments have.
fn find(
    (sides, table): (&Sides<'_>, &Table),
    segments: &[TableSegment],
    key: EnforcedKey<'_>,
    keys: &KeyBatch,
) -> Result<Vec<(usize, Candidate)>> {
    let mut found = Vec::new();
    if keys.is_empty() {
        return Ok(found);
    }
    for segment in segments {
        let positions = table.positions_of(sides.schema, segment, key.columns, keys)?;
        let fresh = |at: u64| Candidate::Fresh(segment.meta.id, at as u32);
        found.extend(positions.into_iter().map(|(row, at)| (row, fresh(at))));
    }
    Ok(found)
}

fn for_each_key(
    sides: &Sides<'_>,
    table: &Table,
    segments: &[TableSegment],
    key: EnforcedKey<'_>,
    mut visit: impl FnMut(&[Candidate], &KeyBatch) -> Result<()>,
) -> Result<()> {
    let columns = key.columns;
    for segment in segments {
        let mut projection = Projection::new(sides.schema.clone(), columns.to_vec());
        projection.position = true;
        let request =
            ScanRequest { deleted: segment.deleted.clone(), ..ScanRequest::new(projection) };
        for batch in table.store().open_segment(&segment.meta)?.scan(request)? {
            let batch = batch?;
            let keys = typed(sides.schema, key, batch.columns()[..columns.len()].to_vec())?;
            let positions = batch.column(columns.len()).as_any().downcast_ref();
            let positions: &arrow::array::UInt64Array = positions.expect("positions are UInt64");
            let fresh = |at: &u64| Candidate::Fresh(segment.meta.id, *at as u32);
            let mine: Vec<Candidate> =
                (0..keys.len()).map(|i| fresh(&positions.value(keys.row(i)))).collect();
            visit(&mine, &keys)?;
        }
    }
    Ok(())
}

/// Pairs as people read them.
struct Pairs {
    base: Shown,
    ours: Shown,
    theirs: Shown,
}

impl Pairs {
    fn show(
        sides: &Sides<'_>,
        rows: &[Row],
        pairs: impl Iterator<Item = (Candidate, Candidate)> + Clone,
    ) -> Result<Pairs> {
        let version = |candidate: Candidate, of: &dyn Fn(&Row) -> Option<Version>| match candidate {
            Candidate::Row(i) => of(&rows[i]),
            Candidate::Fresh(segment, at) => Some(Version {
                row: crate::spec::RowId(0),
                commit: crate::spec::CommitId(0),
                place: Place::At(segment, at),
            }),
        };
        let base = |(ours, theirs): (Candidate, Candidate)| {
            let listed = |candidate| match candidate {
                Candidate::Row(i) => rows[i].base,
                Candidate::Fresh(..) => None,
            };
            listed(theirs).or(listed(ours))
        };
        Ok(Pairs {
            base: Shown::of(sides.base, sides.schema, pairs.clone().map(base))?,
            ours: Shown::of(
                sides.ours,
                sides.schema,
                pairs.clone().map(|pair| version(pair.0, &|row| row.ours)),
            )?,
            theirs: Shown::of(
                sides.theirs,
                sides.schema,
                pairs.map(|pair| version(pair.1, &|row| row.theirs)),
            )?,
        })
    }

    fn is_same(&self, at: usize) -> bool {
        self.ours.values(at) == self.theirs.values(at)
    }

    fn conflict(&self, at: usize, sides: &Sides<'_>, prefer: Prefer) -> Conflict {
        Conflict {
            relation: sides.ours.schema().name.clone(),
            key: self.theirs.key(at).unwrap_or_default(),
            base: self.base.row(at),
            ours: self.ours.row(at),
            theirs: self.theirs.row(at),
            why: "both sides have a row of this key".to_owned(),
            settled: prefer.settled(),
        }
    }
}
