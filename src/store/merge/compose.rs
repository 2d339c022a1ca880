//! The merged state: ours, with what stands from theirs.
//!
//! Nothing is copied: segments and stretches of lines are taken over whole, and what of them does not
//! stand is hidden. A row of which that cannot be said, because histories were turned back on both
//! sides, is left out and answered, to be written again under its id.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use roaring::RoaringBitmap;

use super::Pick;
use super::diff::{Diff, Place, Version, on_line, ranges_of};
use super::keys::Hidden;
use super::ranges::{joined, without};
use super::rows::{Row, Sides};
use crate::error::Result;
use crate::log::deletes::Deletes;
use crate::spec::{CommitId, LineRange, RowId, SegmentEntry, SegmentId, TableSchema, TableVersion};
use crate::store::table::{Table, TableSegment, UNCOMMITTED};

/// A merged table, not yet committed.
pub(super) struct Composed {
    pub table: Table,
    pub added_rows: u64,
    pub deleted_rows: u64,
    /// Versions that have to be written again, and whose table they are read from.
    pub rewritten: Vec<(Pick, Version)>,
}

/// A state that is in no record yet.
pub(super) fn unwritten(
    table: &Table,
    schema: &Arc<TableSchema>,
    ranges: Vec<LineRange>,
) -> TableVersion {
    let known = table.version();
    TableVersion {
        ranges,
        deletes: known.and_then(|version| version.deletes),
        rows: table.row_count(),
        segments: table.segments().len() as u64,
        ..TableVersion::empty(schema.table, schema.id)
    }
}

/// Puts the state together.
pub(super) fn compose(
    sides: &Sides<'_>,
    theirs: &Diff,
    rows: &[Row],
    hidden: &Hidden,
) -> Result<Composed> {
    let mut work = Work {
        segments: sides.ours.segments().to_vec(),
        deletes: sides.ours.deletes.as_ref().clone(),
        added: 0,
        deleted: 0,
    };
    let mut wanted: BTreeMap<SegmentId, RoaringBitmap> = BTreeMap::new();
    for row in rows.iter().filter(|row| row.pick == Pick::Theirs && !row.is_agreed()) {
        work.change(row, &mut wanted);
    }
    work.take_segments(sides, theirs, wanted);
    for (segment, positions) in hidden {
        work.hide(*segment, positions);
    }
    let taken =
        without(&without(ranges_of(sides.theirs), ranges_of(sides.base)), ranges_of(sides.ours));
    let taken: Vec<LineRange> =
        taken.into_iter().map(|range| LineRange { since: Some(UNCOMMITTED), ..range }).collect();
    let rewritten = work.settle_lines(sides, rows, &taken)?;
    let ranges = joined([ranges_of(sides.ours), taken.as_slice()].concat());
    work.finish(sides, ranges, rewritten)
}

struct Work {
    segments: Vec<TableSegment>,
    deletes: Deletes,
    added: u64,
    deleted: u64,
}

impl Work {
    /// Their version of a row stands: ours goes from its segment, theirs comes in its own.
    fn change(&mut self, row: &Row, wanted: &mut BTreeMap<SegmentId, RoaringBitmap>) {
        if let Some(ours) = row.ours {
            self.deleted += 1;
            if let Place::At(segment, at) = ours.place {
                *self.deleted_of(segment) |= RoaringBitmap::from([at]);
            }
        }
        if let Some(theirs) = row.theirs {
            self.added += 1;
            if let Place::At(segment, at) = theirs.place {
                wanted.entry(segment).or_default().insert(at);
            }
        }
    }

    fn deleted_of(&mut self, segment: SegmentId) -> &mut RoaringBitmap {
        Arc::make_mut(self.deletes.positions.entry(segment).or_default())
    }

    fn take_segments(
        &mut self,
        sides: &Sides<'_>,
        theirs: &Diff,
        wanted: BTreeMap<SegmentId, RoaringBitmap>,
    ) {
        for (id, positions) in wanted {
            if self.segments.iter().any(|segment| segment.meta.id == id) {
                *self.deleted_of(id) -= positions;
                continue;
            }
            let segment = sides.theirs.segment(id).expect("it was listed from there");
            let mut rest = RoaringBitmap::new();
            rest.insert_range(0..segment.meta.rows as u32);
            *self.deleted_of(id) = rest - positions;
            self.segments.push(taken(segment));
        }
        for segment in &theirs.fresh {
            self.added += segment.rows();
            if let Some(deleted) = &segment.deleted {
                *self.deleted_of(segment.meta.id) = deleted.as_ref().clone();
            }
            self.segments.push(taken(segment));
        }
    }

    /// Rows of segments that lost their key to the other side.
    fn hide(&mut self, segment: SegmentId, positions: &RoaringBitmap) {
        let own = self.segments.iter().find(|s| s.meta.id == segment);
        match own.is_some_and(|s| s.entry.since == Some(UNCOMMITTED)) {
            true => self.added -= positions.len(),
            false => self.deleted += positions.len(),
        }
        *self.deleted_of(segment) |= positions;
    }

    /// Says for every row with versions on lines from which commit on it shows; answers those of
    /// which no commit says it.
    fn settle_lines(
        &mut self,
        sides: &Sides<'_>,
        rows: &[Row],
        taken: &[LineRange],
    ) -> Result<Vec<(Pick, Version)>> {
        let on_lines = |version: Option<Version>| {
            version.is_some_and(|version| matches!(version.place, Place::Line(_)))
        };
        let mut asked: HashMap<RowId, Line> = HashMap::new();
        for range in taken {
            on_line(sides.theirs, range, |version| {
                asked.entry(version.row).or_default();
            })?;
        }
        for row in rows {
            let id = [row.base, row.ours, row.theirs].into_iter().flatten().next();
            let Some(id) = id.map(|version| version.row) else { continue };
            let changed = row.pick == Pick::Theirs && !row.is_agreed();
            let known = asked.contains_key(&id);
            if !known && !(changed && (on_lines(row.ours) || on_lines(row.theirs))) {
                continue;
            }
            let stands = if row.pick == Pick::Ours { row.ours } else { row.theirs };
            asked.insert(id, Line { stands, pick: row.pick, listed: true, ..Line::default() });
        }
        self.place(sides, taken, &mut asked)?;
        let mut again = Vec::new();
        for (id, line) in asked {
            self.settle_row(sides, id, &line, &mut again);
        }
        Ok(again)
    }

    /// Finds for every row asked the newest version on the merged lines that does not stand.
    fn place(
        &self,
        sides: &Sides<'_>,
        taken: &[LineRange],
        asked: &mut HashMap<RowId, Line>,
    ) -> Result<()> {
        if asked.is_empty() {
            return Ok(());
        }
        let ours = ranges_of(sides.ours).iter().map(|range| (sides.ours, range, true));
        let all = ours.chain(taken.iter().map(|range| (sides.theirs, range, false)));
        for (table, range, own) in all {
            on_line(table, range, |version| {
                let Some(line) = asked.get_mut(&version.row) else { return };
                // A row that no side changed shows as it does in ours.
                if own && !line.listed && !table.hides(version.row, version.commit) {
                    line.stands = Some(version);
                }
                if line.stands == Some(version) {
                    line.found = true;
                } else {
                    line.others = line.others.max(Some(version.commit));
                }
            })?;
        }
        Ok(())
    }

    fn settle_row(
        &mut self,
        sides: &Sides<'_>,
        id: RowId,
        line: &Line,
        again: &mut Vec<(Pick, Version)>,
    ) {
        let known = |table: &Table| table.deletes.rows.get(&id).copied();
        let said = known(sides.ours).max(known(sides.theirs));
        let least = line.others.map(|commit| CommitId(commit.0 + 1));
        let inline = line.stands.filter(|v| matches!(v.place, Place::Line(_)));
        let Some(stands) = inline else {
            if let Some(from) = said.max(least) {
                self.deletes.rows.insert(id, from);
            }
            return;
        };
        let expressible = line.found && least.is_none_or(|least| least <= stands.commit);
        if !expressible {
            let from = said.max(least).max(Some(CommitId(stands.commit.0 + 1)));
            self.deletes.rows.insert(id, from.expect("at least the last of them"));
            again.push((line.pick, stands));
            return;
        }
        match said.max(least).map(|from| from.min(stands.commit)) {
            Some(from) => self.deletes.rows.insert(id, from),
            None => None,
        };
    }

    fn finish(
        mut self,
        sides: &Sides<'_>,
        ranges: Vec<LineRange>,
        rewritten: Vec<(Pick, Version)>,
    ) -> Result<Composed> {
        for segment in &mut self.segments {
            let deleted = self.deletes.positions.get(&segment.meta.id);
            segment.deleted = deleted.filter(|positions| !positions.is_empty()).cloned();
        }
        let mut table = sides.ours.clone();
        let record = unwritten(sides.ours, sides.schema, ranges);
        table.schema = Arc::clone(sides.schema);
        table.segments = Arc::new(self.segments);
        table.deletes = Arc::new(self.deletes);
        table.inline_keys = Arc::default();
        // What is written again counts when it is: here it goes, or does not come.
        let again = rewritten.len() as u64;
        let back = rewritten.iter().filter(|(pick, _)| *pick == Pick::Ours).count() as u64;
        self.added -= again - back;
        self.deleted += back;
        table.rows = sides.ours.row_count() + self.added - self.deleted;
        table.record = Some(Arc::new(TableVersion { rows: table.rows, ..record }));
        Ok(Composed { table, added_rows: self.added, deleted_rows: self.deleted, rewritten })
    }
}

fn taken(segment: &TableSegment) -> TableSegment {
    let since = Some(UNCOMMITTED);
    TableSegment { entry: SegmentEntry { since, ..segment.entry }, ..segment.clone() }
}

/// What is known of one row's versions on the merged lines.
#[derive(Default)]
struct Line {
    /// The version that shall show, wherever it lies.
    stands: Option<Version>,
    pick: Pick,
    /// Whether a side changed the row.
    listed: bool,
    /// Whether the version that shall show is on the merged lines.
    found: bool,
    /// The newest other version there.
    others: Option<CommitId>,
}
