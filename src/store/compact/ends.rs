//! When rows ended: the commit that hid each dead row version.

use std::collections::HashMap;

use roaring::RoaringBitmap;

use crate::error::Result;
use crate::log::deletes;
use crate::spec::{CommitId, RowId, SegmentId};
use crate::store::table::Table;

/// Stands for a row that lives.
pub(super) const LIVES: u64 = 0;

/// Stands for an end that nobody can ask about any more.
pub(super) const FORGOTTEN: u64 = u64::MAX;

/// What a table's deletion chain says of every row.
pub(super) struct Ends {
    /// For each segment what each commit deleted, oldest first.
    positions: HashMap<SegmentId, Vec<(CommitId, RoaringBitmap)>>,
    /// The commits that deleted a row outside segments, oldest first.
    rows: HashMap<RowId, Vec<CommitId>>,
}

impl Ends {
    /// Reads the chain of a table, down to the floor.
    pub fn of(table: &Table, floor: CommitId) -> Result<Ends> {
        let mut ends = Ends { positions: HashMap::new(), rows: HashMap::new() };
        let Some(tip) = table.version().and_then(|v| v.deletes) else { return Ok(ends) };
        let view = table.store().shared.log.read()?;
        for link in deletes::history(&view, tip, floor)? {
            for (segment, bitmap) in deletes::positions_of(&link)? {
                ends.positions.entry(segment).or_default().push((link.commit, bitmap));
            }
            for row in link.rows {
                ends.rows.entry(row).or_default().push(link.commit);
            }
        }
        for commits in ends.rows.values_mut() {
            commits.sort_unstable();
        }
        Ok(ends)
    }

    /// The end of a row of a segment that is known to be dead.
    pub fn of_position(&self, segment: SegmentId, position: u32) -> u64 {
        let known = self.positions.get(&segment).into_iter().flatten();
        let first =
            known.filter(|(_, bitmap)| bitmap.contains(position)).map(|(commit, _)| commit.0);
        first.min().unwrap_or(FORGOTTEN)
    }

    /// The end of a row version outside segments that is known to be dead.
    pub fn of_row(&self, row: RowId, commit: CommitId) -> u64 {
        let known = self.rows.get(&row).into_iter().flatten();
        known.filter(|end| **end > commit).map(|end| end.0).min().unwrap_or(FORGOTTEN)
    }
}
