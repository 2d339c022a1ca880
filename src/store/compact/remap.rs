//! Deletes that came while a compaction was writing, found again in its files.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::Compaction;
use crate::error::Result;
use crate::log::deletes::{self, Positions};
use crate::spec::{CommitId, DeleteLink, RowId, SegmentId, SegmentMeta};
use crate::store::Store;
use crate::store::moved::{Place, read_places, row_ids_at};
use crate::store::table::Table;

impl Store {
    /// The same compaction for the branch as it is now; None where what it read is not there any more.
    pub(super) fn follow(
        &self,
        mut compaction: Compaction,
        read: &Table,
    ) -> Result<Option<Compaction>> {
        self.shared.vfs.point("compact.remap")?;
        let head = self.head(&compaction.branch)?;
        let Some(now) = head.table_by_id(compaction.table)? else { return Ok(None) };
        if !compaction.fits(&now) {
            return Ok(None);
        }
        let tip = now.version().and_then(|v| v.deletes);
        let links = deletes::since(&self.shared.log.read()?, tip, compaction.deletes)?;
        let Some(links) = links else { return Ok(None) };
        let mut gone: Vec<(CommitId, Vec<RowId>)> = Vec::new();
        for link in &links {
            gone.push((link.commit, rows_of(link, &compaction, read)?));
        }
        let wanted: HashSet<RowId> = gone.iter().flat_map(|(_, rows)| rows).copied().collect();
        let mut places = HashMap::new();
        for (meta, entry) in &compaction.added {
            let file = self.open_segment(meta)?;
            let dead = compaction.dead_in(meta.id);
            read_places(&file, read.schema(), entry, Some(&dead), &wanted, &mut places)?;
        }
        for (commit, rows) in gone {
            let positions = take_older(&mut places, &rows, commit);
            if !positions.is_empty() {
                compaction.dead.push((commit, positions));
            }
        }
        compaction.deletes = tip;
        Ok(Some(compaction))
    }
}

impl Compaction {
    /// Whether everything that was read is still what the table has.
    pub fn fits(&self, now: &Table) -> bool {
        let there: HashSet<SegmentId> = now.segments().iter().map(|s| s.meta.id).collect();
        let reaches = |range: &crate::spec::LineRange| {
            let own = now.ranges().iter().find(|own| own.line == range.line);
            own.is_some_and(|own| {
                own.from == range.from && own.to >= range.to && own.since == range.since
            })
        };
        self.removed.iter().all(|id| there.contains(id)) && self.ranges.iter().all(reaches)
    }

    fn dead_in(&self, segment: SegmentId) -> roaring::RoaringBitmap {
        let parts = self.dead.iter().filter_map(|(_, positions)| positions.get(&segment));
        parts.fold(roaring::RoaringBitmap::new(), |all, part| all | part)
    }
}

/// The rows that a link deletes, as far as a compaction may have moved them.
fn rows_of(link: &DeleteLink, compaction: &Compaction, read: &Table) -> Result<Vec<RowId>> {
    let mut rows = link.rows.clone();
    for (segment, bitmap) in deletes::positions_of(link)? {
        let old = read.segment(segment).filter(|_| compaction.removed.contains(&segment));
        if let Some(old) = old {
            let meta: &Arc<SegmentMeta> = &old.meta;
            let file = read.store().open_segment(meta)?;
            rows.extend(row_ids_at(&file, read.schema(), &bitmap)?);
        }
    }
    Ok(rows)
}

/// The places of those of the rows that an older commit made, which are then dead.
fn take_older(
    places: &mut HashMap<RowId, Place>,
    rows: &[RowId],
    commit: CommitId,
) -> Positions {
    let mut positions = Positions::new();
    for row in rows {
        if let Some(place) = places.get(row).copied().filter(|place| place.commit < commit) {
            places.remove(row);
            positions.entry(place.segment).or_default().insert(place.position);
        }
    }
    positions
}
