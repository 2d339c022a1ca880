//! Deletes that came while a compaction was writing, found again in its files.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use roaring::RoaringBitmap;

use super::Compaction;
use crate::error::Result;
use crate::log::deletes::{self, Positions};
use crate::spec::{CommitId, DeleteLink, LineRange, RowId, SegmentId};
use crate::store::Store;
use crate::store::moved::{read_places, row_ids_at};
use crate::store::table::Table;

impl Store {
    /// The same compaction for the branch as it is now, and the table there; None where what it read is
    /// not there any more. `seen` is the table that it was made for.
    pub(super) fn follow(
        &self,
        mut compaction: Compaction,
        seen: &Table,
    ) -> Result<Option<(Compaction, Arc<Table>)>> {
        let head = self.head(&compaction.branch)?;
        let Some(now) = head.table_by_id(compaction.table)? else { return Ok(None) };
        if !compaction.fits(&now) {
            return Ok(None);
        }
        let tip = now.version().and_then(|v| v.deletes);
        let links = deletes::since(&self.shared.log.read()?, tip, compaction.deletes)?;
        let Some(links) = links else { return Ok(None) };
        let in_segments = gone_from_segments(&compaction, seen, &now)?;
        let before = &seen.deletes.rows;
        let changed = now.deletes.rows.iter().filter(|(row, end)| before.get(*row) != Some(end));
        let mut wanted: HashSet<RowId> = changed.map(|(row, _)| *row).collect();
        wanted.extend(in_segments.keys());
        let mut places = HashMap::new();
        for (meta, entry) in &compaction.added {
            let file = self.open_segment(meta)?;
            let dead = compaction.dead_in(meta.id);
            read_places(&file, seen.schema(), entry, Some(&dead), &wanted, &mut places)?;
        }
        let ends = ends_of(&links, &in_segments)?;
        let mut dead: BTreeMap<CommitId, Positions> = BTreeMap::new();
        for (row, place) in places {
            if in_segments.contains_key(&row) || now.hides(row, place.commit) {
                let end = ends.get(&row).copied().unwrap_or(head.commit());
                let positions = dead.entry(end).or_default();
                positions.entry(place.segment).or_default().insert(place.position);
            }
        }
        compaction.dead.extend(dead);
        compaction.deletes = tip;
        Ok(Some((compaction, now)))
    }
}

impl Compaction {
    /// Whether everything that was read is still what the table has.
    pub fn fits(&self, now: &Table) -> bool {
        let there: HashSet<SegmentId> = now.segments().iter().map(|s| s.meta.id).collect();
        let reaches = |taken: &LineRange| {
            now.ranges().iter().any(|own| is_start(taken, own) && own.to >= taken.to)
        };
        self.removed.iter().all(|id| there.contains(id)) && self.ranges.iter().all(reaches)
    }

    fn dead_in(&self, segment: SegmentId) -> RoaringBitmap {
        let parts = self.dead.iter().filter_map(|(_, positions)| positions.get(&segment));
        parts.fold(RoaringBitmap::new(), |all, part| all | part)
    }
}

/// Whether a range that was read is what a range of today began as.
pub(in crate::store) fn is_start(taken: &LineRange, own: &LineRange) -> bool {
    (own.line, own.from, own.since) == (taken.line, taken.from, taken.since)
}

/// The rows of the segments read that were deleted since, and where they lay.
fn gone_from_segments(
    compaction: &Compaction,
    seen: &Table,
    now: &Table,
) -> Result<HashMap<RowId, (SegmentId, u32)>> {
    let mut gone = HashMap::new();
    for id in &compaction.removed {
        let deleted = |table: &Table| {
            table.segment(*id).and_then(|s| s.deleted.as_deref().cloned()).unwrap_or_default()
        };
        let fresh = deleted(now) - deleted(seen);
        let Some(segment) = now.segment(*id).filter(|_| !fresh.is_empty()) else { continue };
        let file = now.store().open_segment(&segment.meta)?;
        let rows = row_ids_at(&file, now.schema(), &fresh)?;
        gone.extend(rows.into_iter().zip(fresh.iter().map(|position| (*id, position))));
    }
    Ok(gone)
}

/// The commit that deleted each row, the first one where there were several.
fn ends_of(
    links: &[DeleteLink],
    in_segments: &HashMap<RowId, (SegmentId, u32)>,
) -> Result<HashMap<RowId, CommitId>> {
    let mut ends = HashMap::new();
    for link in links {
        let positions = deletes::positions_of(link)?;
        for (row, (segment, position)) in in_segments {
            if positions.get(segment).is_some_and(|bitmap| bitmap.contains(*position)) {
                ends.entry(*row).or_insert(link.commit);
            }
        }
        for row in &link.rows {
            ends.entry(*row).or_insert(link.commit);
        }
    }
    Ok(ends)
}
