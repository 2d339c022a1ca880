//! Rows that upkeep moved under a writer: found again by row id.
//!
//! A transaction names the rows it deletes by where they lay when it read them. Compaction may have put
//! them elsewhere since. Where it did, the committer sends the transaction back, and here it learns where
//! the same row versions lie now; a version that is gone, or has a newer one, is a conflict as ever.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use roaring::RoaringBitmap;

use super::folded::without;
use super::keys::conflict;
use super::table::{Table, hidden_columns};
use super::transaction::RowRefs;
use crate::error::Result;
use crate::log::deletes::Positions;
use crate::segment::{Projection, ScanRequest, Segment};
use crate::spec::{CommitId, LineRange, RowId, SegmentEntry, SegmentId, TableSchema};

/// Where a living row version lies in a segment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub segment: SegmentId,
    pub position: u32,
    /// Its `_commit`.
    pub commit: CommitId,
}

impl Table {
    /// Whether rows that were found in this version may lie elsewhere in a later one.
    pub(super) fn is_moved(&self, now: &Table, found: &RowRefs) -> bool {
        let left = |id: &SegmentId| self.segment(*id).is_some() && now.segment(*id).is_none();
        if found.positions.keys().any(left) {
            return true;
        }
        let mut there = now.ranges().to_vec();
        there.sort_unstable_by_key(|range| range.from);
        let kept = |range: &LineRange| without(range, &there).is_empty();
        !found.rows.is_empty() && !self.ranges().iter().all(kept)
    }

    /// Where rows that were found in this version lie in a later one.
    ///
    /// # Errors
    /// Conflict where one of them is gone or was changed after `base`.
    pub(super) fn follow_rows(
        &self,
        now: &Table,
        found: &RowRefs,
        base: CommitId,
    ) -> Result<RowRefs> {
        let mut kept = RowRefs::default();
        let mut wanted: HashSet<RowId> = HashSet::new();
        for (segment, positions) in &found.positions {
            match self.segment(*segment) {
                Some(old) if now.segment(*segment).is_none() => {
                    let file = self.store.open_segment(&old.meta)?;
                    wanted.extend(row_ids_at(&file, &self.schema, positions)?);
                }
                _ => drop(kept.positions.insert(*segment, positions.clone())),
            }
        }
        let asked: HashSet<RowId> = found.rows.iter().copied().collect();
        let loose: HashSet<RowId> = self.loose_versions(&asked)?.into_keys().collect();
        // Rows that the transaction itself made were never anywhere else.
        kept.rows.extend(asked.difference(&loose));
        wanted.extend(loose);
        let mut places = now.loose_versions(&wanted)?;
        let mut moved = HashMap::new();
        for segment in now.segments().iter().filter(|s| self.segment(s.meta.id).is_none()) {
            let file = self.store.open_segment(&segment.meta)?;
            let deleted = segment.deleted.as_deref();
            read_places(&file, &now.schema, &segment.entry, deleted, &wanted, &mut moved)?;
        }
        for row in wanted {
            let older = |commit: &CommitId| *commit <= base;
            match (places.remove(&row).filter(older), moved.get(&row)) {
                (Some(_), _) => kept.rows.push(row),
                (None, Some(place)) if older(&place.commit) => {
                    kept.positions.entry(place.segment).or_default().insert(place.position);
                }
                (None, _) => return Err(conflict(&self.schema.name)),
            }
        }
        Ok(kept)
    }

    /// The table as it will be without these rows, for looking up keys.
    pub(super) fn without(&self, gone: &Positions) -> Table {
        let mut next = self.clone();
        for segment in Arc::make_mut(&mut next.segments) {
            if let Some(positions) = gone.get(&segment.meta.id) {
                let before = segment.deleted.as_deref().cloned().unwrap_or_default();
                segment.deleted = Some(Arc::new(before | positions));
            }
        }
        next
    }

    /// The `_commit` of those of the rows that live outside segments.
    fn loose_versions(&self, wanted: &HashSet<RowId>) -> Result<HashMap<RowId, CommitId>> {
        let mut found = HashMap::new();
        if wanted.is_empty() {
            return Ok(found);
        }
        for batch in self.loose_rows(&super::Folded::default())? {
            let (commits, rows) = hidden_columns(&batch);
            for (commit, row) in commits.values().iter().zip(rows.values()) {
                if wanted.contains(&RowId(*row)) {
                    found.insert(RowId(*row), CommitId(*commit));
                }
            }
        }
        Ok(found)
    }
}

/// The ids of the rows at some positions of a file.
pub(super) fn row_ids_at(
    file: &Segment,
    schema: &Arc<TableSchema>,
    positions: &RoaringBitmap,
) -> Result<Vec<RowId>> {
    let mut projection = Projection::new(Arc::clone(schema), Vec::new());
    (projection.commit, projection.row_id) = (true, true);
    let positions: Vec<u64> = positions.iter().map(u64::from).collect();
    let named = file.take(&projection, &positions)?;
    Ok(hidden_columns(&named).1.values().iter().map(|row| RowId(*row)).collect())
}

/// Adds where the wanted rows live in a file.
pub(super) fn read_places(
    file: &Arc<Segment>,
    schema: &Arc<TableSchema>,
    entry: &SegmentEntry,
    deleted: Option<&RoaringBitmap>,
    wanted: &HashSet<RowId>,
    places: &mut HashMap<RowId, Place>,
) -> Result<()> {
    if wanted.is_empty() {
        return Ok(());
    }
    let mut projection = Projection::new(Arc::clone(schema), Vec::new());
    projection.constant_commit = entry.commit;
    (projection.commit, projection.row_id) = (true, true);
    let mut request = ScanRequest::new(projection);
    let mut position = 0_u32;
    request.deleted = None;
    for batch in file.scan(request)? {
        let batch = batch?;
        let (commits, rows) = hidden_columns(&batch);
        for (commit, row) in commits.values().iter().zip(rows.values()) {
            let lives = !deleted.is_some_and(|deleted| deleted.contains(position));
            if lives && wanted.contains(&RowId(*row)) {
                let commit = CommitId(*commit);
                places.insert(RowId(*row), Place { segment: entry.segment, position, commit });
            }
            position += 1;
        }
    }
    Ok(())
}
