//! How two states of a table differ, told by row versions.
//!
//! A difference costs what changed: segments that both states have are compared by their deletion
//! vectors, inline rows that both have by the links of the deletion chain that only one has. Rows
//! that were only moved (folded, compacted) show up on both sides with the same name, (`_row_id`,
//! `_commit`): whoever reads takes them out again.

use std::collections::HashSet;
use std::sync::Arc;

use arrow::array::{BooleanArray, RecordBatch};
use arrow::compute::filter_record_batch;
use roaring::RoaringBitmap;

use super::Store;
use super::merge::{within, without};
use super::table::{Table, TableSegment, UNCOMMITTED, hidden_columns, internal};
use crate::error::Result;
use crate::log::deletes::rows_since;
use crate::segment::{Projection, ScanRequest};
use crate::spec::{ColumnId, CommitId, LineRange, RowId, TableSchema, TableVersion, VersionId};

/// Rows taken from a segment by position at a time.
const TAKE_ROWS: usize = 8192;

/// Row versions that one of two states has and the other lacks, moved ones on both sides.
#[derive(Default)]
pub struct RowDifference {
    /// Only in the old state.
    pub removed: RowSources,
    /// Only in the new state.
    pub added: RowSources,
}

/// Where row versions lie.
#[derive(Default)]
pub struct RowSources(Vec<Source>);

enum Source {
    /// The living rows of a segment.
    Whole(TableSegment),
    /// Some rows of a segment.
    Positions(TableSegment, RoaringBitmap),
    /// Stored batches.
    Inline(Vec<RecordBatch>),
}

/// What a reader of row versions wants.
#[derive(Clone)]
pub struct RowShape {
    /// The shape rows are shown in.
    pub schema: Arc<TableSchema>,
    /// Positions among its columns, in the order wanted; `_commit` and `_row_id` follow.
    pub columns: Vec<usize>,
}

/// Batches of the columns asked for, `_commit` and `_row_id`.
pub type RowBatches = Box<dyn Iterator<Item = Result<RecordBatch>> + Send>;

impl RowSources {
    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether every row is known to carry this `_commit`.
    pub fn are_of(&self, commit: CommitId) -> bool {
        self.0.iter().all(|source| match source {
            Source::Whole(segment) | Source::Positions(segment, _) => {
                !segment.meta.commit_stored && segment.entry.commit == commit
            }
            Source::Inline(batches) => batches
                .iter()
                .all(|batch| hidden_columns(batch).0.values().iter().all(|c| *c == commit.0)),
        })
    }

    /// The rows, a source after the other.
    pub fn read(&self, store: &Store, shape: &RowShape) -> Result<RowBatches> {
        let mut parts: Vec<RowBatches> = Vec::with_capacity(self.0.len());
        for source in &self.0 {
            parts.push(source.read(store, shape)?);
        }
        Ok(Box::new(parts.into_iter().flatten()))
    }
}

impl Source {
    fn read(&self, store: &Store, shape: &RowShape) -> Result<RowBatches> {
        let ids: Vec<ColumnId> =
            shape.columns.iter().map(|at| shape.schema.columns[*at].id).collect();
        let projected = |segment: &TableSegment| Projection {
            constant_commit: segment.entry.commit,
            commit: true,
            row_id: true,
            ..Projection::new(Arc::clone(&shape.schema), ids.clone())
        };
        match self {
            Source::Whole(segment) => {
                let mut request = ScanRequest::new(projected(segment));
                request.deleted = segment.deleted.clone();
                Ok(Box::new(store.open_segment(&segment.meta)?.scan(request)?))
            }
            Source::Positions(segment, positions) => {
                let (file, projection) = (store.open_segment(&segment.meta)?, projected(segment));
                let positions: Vec<u64> = positions.iter().map(u64::from).collect();
                let chunks: Vec<Vec<u64>> =
                    positions.chunks(TAKE_ROWS).map(<[u64]>::to_vec).collect();
                Ok(Box::new(chunks.into_iter().map(move |rows| file.take(&projection, &rows))))
            }
            Source::Inline(batches) => {
                let width = shape.schema.columns.len();
                let mut columns = shape.columns.clone();
                columns.extend([width, width + 1]);
                let batches = batches.clone();
                let project = move |batch: RecordBatch| batch.project(&columns).map_err(internal);
                Ok(Box::new(batches.into_iter().map(project)))
            }
        }
    }
}

impl Store {
    /// A table in one of its committed states.
    pub fn table_version(&self, id: VersionId) -> Result<Arc<Table>> {
        self.table_at(&self.shared.log.read()?, id)
    }

    /// What `new` has and `old` lacks, and the other way round, as rows of `schema`. None is a table
    /// that is not there.
    pub fn difference(
        &self,
        schema: &Arc<TableSchema>,
        old: Option<&Table>,
        new: Option<&Table>,
    ) -> Result<RowDifference> {
        let mut found = RowDifference::default();
        compare_segments(old, new, &mut found);
        let pair = InlinePair { store: self, schema, old, new };
        let (removed, added) = pair.compare()?;
        let living = |batches: Vec<RecordBatch>| batches.into_iter().filter(|b| b.num_rows() > 0);
        for (side, batches) in [(&mut found.removed, removed), (&mut found.added, added)] {
            let batches: Vec<RecordBatch> = living(batches).collect();
            if !batches.is_empty() {
                side.0.push(Source::Inline(batches));
            }
        }
        Ok(found)
    }
}

fn compare_segments(old: Option<&Table>, new: Option<&Table>, found: &mut RowDifference) {
    let (before, after) =
        (old.map_or(&[][..], Table::segments), new.map_or(&[][..], Table::segments));
    let known: std::collections::HashMap<_, _> = after.iter().map(|s| (s.meta.id, s)).collect();
    for segment in before {
        match known.get(&segment.meta.id) {
            None => found.removed.0.push(Source::Whole(segment.clone())),
            Some(now) if same(segment, now) => {}
            Some(now) => {
                let (was, is) = (deleted(segment), deleted(now));
                for (side, positions) in
                    [(&mut found.removed, &is - &was), (&mut found.added, &was - &is)]
                {
                    if !positions.is_empty() {
                        side.0.push(Source::Positions(segment.clone(), positions));
                    }
                }
            }
        }
    }
    let known: HashSet<_> = before.iter().map(|s| s.meta.id).collect();
    let fresh = after.iter().filter(|s| !known.contains(&s.meta.id));
    found.added.0.extend(fresh.cloned().map(Source::Whole));
}

fn same(a: &TableSegment, b: &TableSegment) -> bool {
    match (&a.deleted, &b.deleted) {
        (None, None) => true,
        (Some(a), Some(b)) => Arc::ptr_eq(a, b) || a == b,
        _ => false,
    }
}

fn deleted(segment: &TableSegment) -> RoaringBitmap {
    segment.deleted.as_deref().cloned().unwrap_or_default()
}

/// The inline rows of two states.
struct InlinePair<'a> {
    store: &'a Store,
    schema: &'a Arc<TableSchema>,
    old: Option<&'a Table>,
    new: Option<&'a Table>,
}

type Batches = Vec<RecordBatch>;

impl InlinePair<'_> {
    fn compare(&self) -> Result<(Batches, Batches)> {
        let (was, is) = (ranges(self.old), ranges(self.new));
        let mut removed = self.outside(was, is, self.old)?;
        let mut added = self.outside(is, was, self.new)?;
        if let (Some(old), Some(new)) = (self.old, self.new) {
            let touched = self.touched(old.version(), new.version())?;
            if touched.as_ref().is_none_or(|rows| !rows.is_empty()) {
                for range in within(was, is) {
                    let both = new.rows_of_range(self.schema, &range)?;
                    let touches = |row| touched.as_ref().is_none_or(|rows| rows.contains(&row));
                    removed.extend(keep(&both, |row, commit| {
                        touches(row) && !old.hides(row, commit) && new.hides(row, commit)
                    })?);
                    added.extend(keep(&both, |row, commit| {
                        touches(row) && old.hides(row, commit) && !new.hides(row, commit)
                    })?);
                }
            }
        }
        for (side, table) in [(&mut removed, self.old), (&mut added, self.new)] {
            for rows in table.iter().flat_map(|table| table.pending.iter()) {
                side.push(self.store.stored_batch(self.schema, rows, UNCOMMITTED)?);
            }
        }
        Ok((removed, added))
    }

    /// Living rows of the stretches of `these` that `others` lack.
    fn outside(
        &self,
        these: &[LineRange],
        others: &[LineRange],
        table: Option<&Table>,
    ) -> Result<Batches> {
        let Some(table) = table else { return Ok(Vec::new()) };
        let mut found = Vec::new();
        for stretch in without(these, others) {
            let rows = table.rows_of_range(self.schema, &stretch)?;
            found.extend(keep(&rows, |row, commit| !table.hides(row, commit))?);
        }
        Ok(found)
    }

    /// The rows that only one of the states deleted; None where that takes a look at each.
    fn touched(
        &self,
        old: Option<&TableVersion>,
        new: Option<&TableVersion>,
    ) -> Result<Option<HashSet<RowId>>> {
        let (Some(old), Some(new)) = (old, new) else { return Ok(None) };
        let view = self.store.shared.log.read()?;
        match rows_since(&view, new.deletes, old.deletes)? {
            Some(rows) => Ok(Some(rows)),
            None => rows_since(&view, old.deletes, new.deletes),
        }
    }
}

fn ranges(table: Option<&Table>) -> &[LineRange] {
    table.and_then(Table::version).map_or(&[], |version| &version.ranges)
}

fn keep(batches: &[RecordBatch], wanted: impl Fn(RowId, CommitId) -> bool) -> Result<Batches> {
    let filter = |batch: &RecordBatch| {
        let (commits, rows) = hidden_columns(batch);
        let pairs = rows.values().iter().zip(commits.values());
        let mask: BooleanArray =
            pairs.map(|(row, commit)| Some(wanted(RowId(*row), CommitId(*commit)))).collect();
        match mask.true_count() {
            0 => Ok(None),
            all if all == batch.num_rows() => Ok(Some(batch.clone())),
            _ => filter_record_batch(batch, &mask).map(Some).map_err(internal),
        }
    };
    batches.iter().filter_map(|batch| filter(batch).transpose()).collect()
}
