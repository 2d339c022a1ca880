//! Rows outside segments, wherever they lie at the moment of reading: in the log, or in the file that
//! a stretch of their line was folded into.
//!
//! A version says only which commits of which lines count. Where their rows lie is asked when they are
//! read, and answered whole: a reader is told of a chunk or of its file, never of both or neither. A
//! scan that was planned goes on with the files it was told of ([`Folded`]); their readers' guard keeps
//! them.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use arrow::array::{BooleanBufferBuilder, RecordBatch, UInt64Array};
use arrow::buffer::BooleanBuffer;
use parking_lot::RwLock;

use super::Store;
use super::table::{Table, TableSegment, UNCOMMITTED, internal, stored_schema};
use crate::error::Result;
use crate::log::deletes::Deletes;
use crate::log::folds::{self, Stretch};
use crate::log::{Records, Space, key};
use crate::segment::{Projection, RowVisibility, ScanRequest};
use crate::spec::{
    CommitId, LineId, LineRange, RowId, SegmentEntry, SegmentId, SegmentMeta, TableId, TableSchema,
};

/// The folded stretches of every line, as the log has them; the committer keeps them so.
pub(super) struct Folds(RwLock<Lines>);

/// The stretches of each table on each line, oldest first.
type Lines = HashMap<(TableId, LineId), Arc<Vec<Stretch>>>;

impl Folds {
    pub fn read(records: &impl Records) -> Result<Folds> {
        let mut lines: HashMap<(TableId, LineId), Vec<Stretch>> = HashMap::new();
        for (table, line, stretch) in folds::all(records)? {
            lines.entry((table, line)).or_default().push(stretch);
        }
        let lines = lines.into_iter().map(|(at, stretches)| (at, Arc::new(stretches)));
        Ok(Folds(RwLock::new(lines.collect())))
    }

    pub fn of_line(&self, table: TableId, line: LineId) -> Arc<Vec<Stretch>> {
        self.0.read().get(&(table, line)).cloned().unwrap_or_default()
    }

    pub fn set(&self, table: TableId, line: LineId, stretches: Vec<Stretch>) {
        let mut lines = self.0.write();
        match stretches.is_empty() {
            true => drop(lines.remove(&(table, line))),
            false => drop(lines.insert((table, line), Arc::new(stretches))),
        }
    }
}

/// Which rows of a folded file one version of a table has.
#[derive(Debug)]
struct InRange {
    from: CommitId,
    to: CommitId,
    deletes: Arc<Deletes>,
}

impl RowVisibility for InRange {
    fn visible(&self, commits: &UInt64Array, row_ids: &UInt64Array) -> BooleanBuffer {
        let mut visible = BooleanBufferBuilder::new(commits.len());
        for (commit, row) in commits.values().iter().zip(row_ids.values()) {
            let commit = CommitId(*commit);
            let counts = (self.from..=self.to).contains(&commit);
            visible.append(counts && !self.deletes.hides(RowId(*row), commit));
        }
        visible.finish()
    }
}

/// Some rows by name.
#[derive(Debug)]
struct Named(HashSet<(CommitId, RowId)>);

impl RowVisibility for Named {
    fn visible(&self, commits: &UInt64Array, row_ids: &UInt64Array) -> BooleanBuffer {
        let names = commits.values().iter().zip(row_ids.values());
        let asked =
            |(commit, row): (&u64, &u64)| self.0.contains(&(CommitId(*commit), RowId(*row)));
        names.map(asked).collect()
    }
}

/// The folded files of one table at one version, as they were when somebody asked.
#[derive(Clone, Debug, Default)]
pub struct Folded {
    /// The files, as segments of which only some rows count.
    pub files: Vec<TableSegment>,
    /// The parts of the table's ranges that the files cover.
    covered: Vec<LineRange>,
}

/// Where the rows of one range lie.
pub(super) struct Lay {
    /// The parts of the range that lie in files.
    pub folded: Vec<(LineRange, Stretch)>,
    /// The rows that lie in the log, dead ones too.
    pub rows: Vec<RecordBatch>,
}

impl Store {
    /// Finds the rows of a range: all that its folded parts do not cover come with the answer.
    pub(super) fn lay(&self, table: &Table, range: &LineRange) -> Result<Lay> {
        self.lay_as(table, &table.schema, range)
    }

    fn lay_as(&self, table: &Table, schema: &Arc<TableSchema>, range: &LineRange) -> Result<Lay> {
        let owner = table.lines_of;
        let known = self.shared.folds.of_line(owner, range.line);
        let (folded, gaps) = split(range, &known);
        if let Some(rows) = self.known_rows(owner, schema, &gaps) {
            return Ok(Lay { folded, rows });
        }
        // The log may be ahead of what is kept of it: both answers come from one view of it.
        let view = self.shared.log.read()?;
        let (folded, gaps) = split(range, &folds::of_line(&view, owner, range.line)?);
        let mut rows = Vec::new();
        for gap in &gaps {
            rows.extend(self.inline_run(&view, owner, schema, gap)?);
        }
        Ok(Lay { folded, rows })
    }

    /// The file of a stretch that somebody was told of.
    fn folded_meta(&self, id: SegmentId) -> Result<Arc<SegmentMeta>> {
        if let Some(segment) = self.shared.segments.get(&id) {
            return Ok(Arc::clone(segment.meta()));
        }
        let view = self.shared.log.read()?;
        let bytes = match view.get(Space::Segments, &key([id.0]))? {
            Some(bytes) => bytes,
            // It was replaced meanwhile, and stays as long as there is somebody it was told to.
            None => view.need(Space::Collect, &key([id.0]))?,
        };
        Ok(Arc::new(SegmentMeta::decode(&bytes)?))
    }
}

impl Table {
    /// The folded files that hold rows of this version now.
    pub fn folded(&self) -> Result<Folded> {
        self.folded_since(CommitId(0))
    }

    /// The folded files with rows that were committed after a commit.
    pub(super) fn folded_since(&self, since: CommitId) -> Result<Folded> {
        let mut found = Folded::default();
        for range in self.ranges() {
            let range = LineRange { from: range.from.max(CommitId(since.0 + 1)), ..*range };
            let known = self.store.shared.folds.of_line(self.lines_of, range.line);
            for (part, stretch) in split(&range, &known).0 {
                found.files.push(self.folded_file(&part, &stretch)?);
                found.covered.push(part);
            }
        }
        Ok(found)
    }

    /// Whether rows that were committed after a commit lie in folded files.
    pub(super) fn is_folded_since(&self, since: CommitId) -> bool {
        self.ranges().iter().any(|range| {
            let known = self.store.shared.folds.of_line(self.lines_of, range.line);
            known.iter().any(|s| s.from <= range.to && s.to >= range.from && s.to > since)
        })
    }

    /// A part of a folded file as this version has it.
    fn folded_file(&self, part: &LineRange, stretch: &Stretch) -> Result<TableSegment> {
        self.part_of(part, stretch, Arc::clone(&self.deletes))
    }

    /// A part of a folded file with its dead rows.
    pub(super) fn whole_part(&self, part: &LineRange, stretch: &Stretch) -> Result<TableSegment> {
        self.part_of(part, stretch, Arc::default())
    }

    fn part_of(
        &self,
        part: &LineRange,
        stretch: &Stretch,
        deletes: Arc<Deletes>,
    ) -> Result<TableSegment> {
        let meta = self.store.folded_meta(stretch.segment)?;
        let entry = SegmentEntry { segment: meta.id, commit: stretch.to, since: part.since };
        let visibility = Arc::new(InRange { from: part.from, to: part.to, deletes });
        Ok(TableSegment { meta, entry, deleted: None, visibility: Some(visibility) })
    }

    pub(super) fn ranges(&self) -> &[LineRange] {
        self.record.as_ref().map_or(&[], |record| &record.ranges)
    }

    /// The living rows that lie neither in segments nor in these files, in no promised order.
    pub fn loose_rows(&self, told: &Folded) -> Result<Vec<RecordBatch>> {
        let mut batches = Vec::new();
        for range in self.ranges() {
            // Parts of other ranges of the line may stand between those of this one.
            let mut told: Vec<LineRange> = told.covered.clone();
            told.sort_unstable_by_key(|part| part.from);
            for gap in without(range, &told) {
                let lay = self.store.lay(self, &gap)?;
                batches.extend(lay.rows);
                for (part, stretch) in &lay.folded {
                    let file = self.folded_file(part, stretch)?;
                    batches.extend(self.rows_of_file(&self.schema, &file)?);
                }
            }
        }
        self.with_pending(batches)
    }

    /// The living rows that lie in the log, and those of an open transaction.
    pub(super) fn unfolded_rows(&self) -> Result<Vec<RecordBatch>> {
        let mut batches = Vec::new();
        for range in self.ranges() {
            batches.extend(self.store.lay(self, range)?.rows);
        }
        self.with_pending(batches)
    }

    /// The same by these records, of which memory need not know yet, and is told nothing.
    pub(super) fn unfolded_rows_in(&self, records: &impl Records) -> Result<Vec<RecordBatch>> {
        let mut batches = Vec::new();
        for range in self.ranges() {
            let folded = folds::of_line(records, self.lines_of, range.line)?;
            for gap in split(range, &folded).1 {
                let known =
                    self.store.known_rows(self.lines_of, &self.schema, std::slice::from_ref(&gap));
                batches.extend(match known {
                    Some(rows) => rows,
                    None => self.store.read_inline(records, self.lines_of, &self.schema, &gap)?,
                });
            }
        }
        self.with_pending(batches)
    }

    fn with_pending(&self, mut batches: Vec<RecordBatch>) -> Result<Vec<RecordBatch>> {
        for rows in self.pending.iter() {
            batches.push(self.store.stored_batch(&self.schema, rows, UNCOMMITTED)?);
        }
        let living = batches.into_iter().map(|batch| self.living(batch));
        living.filter(|b| !matches!(b, Ok(b) if b.num_rows() == 0)).collect()
    }

    /// Every row of a range, dead ones too, in a shape, wherever they lie.
    pub(super) fn rows_of_range(
        &self,
        schema: &Arc<TableSchema>,
        range: &LineRange,
    ) -> Result<Vec<RecordBatch>> {
        let lay = self.store.lay_as(self, schema, range)?;
        let mut batches = lay.rows;
        for (part, stretch) in &lay.folded {
            batches.extend(self.rows_of_file(schema, &self.whole_part(part, stretch)?)?);
        }
        Ok(batches)
    }

    /// Some rows of folded files, dead ones too, by name.
    pub(super) fn rows_in_files(
        &self,
        names: HashSet<(CommitId, RowId)>,
    ) -> Result<Vec<RecordBatch>> {
        let named: Arc<dyn RowVisibility> = Arc::new(Named(names));
        let mut batches = Vec::new();
        for mut file in self.folded()?.files {
            file.visibility = Some(Arc::clone(&named));
            batches.extend(self.rows_of_file(&self.schema, &file)?);
        }
        Ok(batches)
    }

    fn rows_of_file(
        &self,
        schema: &Arc<TableSchema>,
        file: &TableSegment,
    ) -> Result<Vec<RecordBatch>> {
        let columns = schema.columns.iter().map(|c| c.id).collect();
        let mut projection = Projection::new(Arc::clone(schema), columns);
        (projection.commit, projection.row_id) = (true, true);
        let mut request = ScanRequest::new(projection);
        request.visibility = file.visibility.clone();
        let shape = stored_schema(schema);
        let scan = self.store.open_segment(&file.meta)?.scan(request)?;
        let restored = |batch: Result<RecordBatch>| {
            RecordBatch::try_new(Arc::clone(&shape), batch?.columns().to_vec()).map_err(internal)
        };
        scan.map(restored).collect()
    }
}

/// The parts of a range that stretches cover, and those that they leave.
pub(super) fn split(
    range: &LineRange,
    stretches: &[Stretch],
) -> (Vec<(LineRange, Stretch)>, Vec<LineRange>) {
    let mut folded = Vec::new();
    for stretch in stretches {
        let (from, to) = (range.from.max(stretch.from), range.to.min(stretch.to));
        if from <= to {
            folded.push((LineRange { from, to, ..*range }, *stretch));
        }
    }
    let covered: Vec<LineRange> = folded.iter().map(|(part, _)| *part).collect();
    let gaps = without(range, &covered);
    (folded, gaps)
}

/// What others leave of a range, in order; those of its line ascend.
pub(super) fn without(range: &LineRange, others: &[LineRange]) -> Vec<LineRange> {
    let mut gaps = Vec::new();
    let mut from = range.from;
    let meets = |other: &&LineRange| {
        other.line == range.line && other.from <= range.to && other.to >= range.from
    };
    for other in others.iter().filter(meets) {
        if from < other.from {
            gaps.push(LineRange { from, to: CommitId(other.from.0 - 1), ..*range });
        }
        from = from.max(CommitId(other.to.0 + 1));
    }
    if from <= range.to {
        gaps.push(LineRange { from, ..*range });
    }
    gaps
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stretches_and_gaps_make_the_range() {
        let range = |from, to| LineRange {
            line: LineId(1),
            from: CommitId(from),
            to: CommitId(to),
            since: None,
        };
        let stretch =
            |from, to| Stretch { from: CommitId(from), to: CommitId(to), segment: SegmentId(from) };
        let cases: [(_, &[Stretch], &[_], &[_]); 5] = [
            (range(3, 9), &[], &[], &[range(3, 9)]),
            (range(3, 9), &[stretch(0, 2)], &[], &[range(3, 9)]),
            (range(3, 9), &[stretch(0, 9)], &[range(3, 9)], &[]),
            (
                range(3, 9),
                &[stretch(0, 4), stretch(5, 6)],
                &[range(3, 4), range(5, 6)],
                &[range(7, 9)],
            ),
            (range(3, 9), &[stretch(5, 6)], &[range(5, 6)], &[range(3, 4), range(7, 9)]),
        ];
        for (range, stretches, parts, gaps) in cases {
            let (folded, left) = split(&range, stretches);
            let found: Vec<LineRange> = folded.iter().map(|(part, _)| *part).collect();
            assert_eq!((found.as_slice(), left.as_slice()), (parts, gaps), "{stretches:?}");
        }
    }
}
