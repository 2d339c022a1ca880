//! What is searched: the segments of a table and the rows that are in none, and their rows by place.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, RecordBatch, RecordBatchOptions, UInt64Array};
use arrow::compute::{concat_batches, take_record_batch};
use arrow::datatypes::{SchemaRef, UInt64Type};
use datafusion::common::Result;
use roaring::RoaringBitmap;

use super::asked::Asked;
use super::keys::Keys;
use super::segment::{Nearest, Segment, push};
use super::sweep::{Found, Probes, Sweep};
use super::view::View;
use crate::exec::scan::external;
use crate::segment::{Projection, ScanRequest};
use crate::spec::{ColumnId, TableSchema, Value};
use crate::store::TableSegment;

/// The right side as it is searched.
pub(super) struct Sources {
    view: Arc<View>,
    /// Segments that follow each other without overlapping stand in one wave, by number.
    pub waves: Vec<Vec<u32>>,
    segments: Vec<TableSegment>,
    /// Rows in no segment: keys, time, the columns shown, those that break ties.
    loose: RecordBatch,
}

/// The source that loose rows have instead of a segment's number.
pub(super) const LOOSE: u32 = u32::MAX;

impl Sources {
    pub(super) fn of(view: &Arc<View>) -> Result<Sources> {
        let (mut segments, mut waves) = (Vec::new(), Vec::new());
        for wave in view.scan.waves()? {
            let first = segments.len() as u32;
            segments.extend(wave);
            waves.push((first..segments.len() as u32).collect());
        }
        let sources = Sources { view: Arc::clone(view), waves, segments, loose: loose(view)? };
        Ok(sources.nearest_first())
    }

    /// Waves whose times reach farthest in the direction of the search come first: behind them, labels
    /// that have a row need look no further.
    fn nearest_first(mut self) -> Sources {
        let forward = self.view.direction().forward;
        let mut waves = std::mem::take(&mut self.waves);
        waves.sort_by_key(|wave| {
            let reach = self.reach(wave);
            if forward { reach } else { !reach }
        });
        self.waves = waves;
        self
    }

    /// How far towards the labels a wave's rows may lie.
    fn reach(&self, wave: &[u32]) -> i64 {
        let forward = self.view.direction().forward;
        let limits = wave.iter().map(|segment| {
            let segment = &self.segments[*segment as usize];
            let statistics = segment.meta.statistics_of(self.view.time);
            let statistics = statistics.filter(|_| self.is_of_todays_type(segment));
            let limit =
                statistics.and_then(|s| if forward { s.min.as_ref() } else { s.max.as_ref() });
            match (limit, forward) {
                (Some(Value::Int(limit)), _) => *limit,
                (_, true) => i64::MIN,
                (_, false) => i64::MAX,
            }
        });
        if forward { limits.min().unwrap_or(i64::MAX) } else { limits.max().unwrap_or(i64::MIN) }
    }

    /// Whether the bounds of a file's times, which are in the type it was written in, compare with
    /// times as they are now.
    fn is_of_todays_type(&self, segment: &TableSegment) -> bool {
        let (now, time) = (self.view.schema(), self.view.time);
        let written = self.view.scan.table.store().table_schema(segment.meta.schema);
        let of = |schema: &TableSchema| schema.column(time).map(|c| c.data_type.arrow());
        segment.meta.schema == now.id || written.is_ok_and(|written| of(&written) == of(now))
    }

    /// How far towards the labels rows of this wave and those behind it may lie; None behind the last.
    pub(super) fn reach_from(&self, wave: usize) -> Option<i64> {
        let rest = self.waves.get(wave..)?;
        let reaches = rest.iter().map(|wave| self.reach(wave));
        if self.view.direction().forward { reaches.min() } else { reaches.max() }
    }

    pub(super) fn open(&self, segment: u32, how: &Keys) -> Result<Segment> {
        Segment::open(&self.view, &self.segments[segment as usize], how)
    }

    pub(super) fn segment_count(&self) -> usize {
        self.segments.len()
    }

    pub(super) fn loose_rows(&self) -> usize {
        self.loose.num_rows()
    }

    /// Searches the rows that are in no segment.
    pub(super) fn search_loose(&self, asked: &Asked) -> Result<Nearest> {
        let keys = self.view.keys.len();
        let mut nearest = Nearest { rows_read: self.loose.num_rows(), ..Nearest::default() };
        let hits = &mut nearest.hits;
        let decide = |at: usize, found: Found| {
            hits.extend(found.row.map(|row| asked.hit(at, row)));
        };
        let probes = Probes { keys: asked.keys(), times: asked.times() };
        let mut sweep = Sweep::new(probes, self.view.direction(), decide);
        push(&asked.sorted.how, &self.loose, keys, Some(0), &mut sweep)?;
        sweep.finish();
        Ok(nearest)
    }

    /// The columns that break ties, of the rows at these positions of one source, which ascend.
    pub(super) fn ties(&self, source: u32, positions: &[u64]) -> Result<Vec<ArrayRef>> {
        let ids = tie_ids(&self.view);
        if source == LOOSE {
            let from = self.view.keys.len() + 1 + self.view.shown.len();
            let positions = UInt64Array::from(positions.to_vec());
            let rows = take_record_batch(&self.loose, &positions)?;
            return Ok(rows.columns()[from..].to_vec());
        }
        let segment = &self.segments[source as usize];
        let mut projection = Projection::new(Arc::clone(self.view.schema()), ids);
        projection.constant_commit = segment.entry.commit;
        (projection.commit, projection.row_id) = (true, true);
        let file = self.view.scan.table.store().open_segment(&segment.meta).map_err(external)?;
        let rows = file.take(&projection, positions).map_err(external)?;
        Ok(rows.columns().to_vec())
    }

    /// The schema of the rows shown.
    pub(super) fn shown_schema(&self) -> Result<SchemaRef> {
        Projection::new(Arc::clone(self.view.schema()), shown_ids(&self.view))
            .arrow()
            .map_err(external)
    }

    /// The shown columns of the rows at these positions of one source, which ascend; in parts.
    pub(super) async fn shown(&self, source: u32, positions: &[u32]) -> Result<Vec<RecordBatch>> {
        let schema = self.shown_schema()?;
        let options = RecordBatchOptions::new().with_row_count(Some(positions.len()));
        if schema.fields().is_empty() {
            let rows = RecordBatch::try_new_with_options(schema, Vec::new(), &options)?;
            return Ok(vec![rows]);
        }
        if source == LOOSE {
            let from = self.view.keys.len() + 1;
            let positions = UInt64Array::from_iter_values(positions.iter().map(|p| u64::from(*p)));
            let rows = take_record_batch(&self.loose, &positions)?;
            let columns = rows.columns()[from..from + self.view.shown.len()].to_vec();
            return Ok(vec![RecordBatch::try_new_with_options(schema, columns, &options)?]);
        }
        let segment = &self.segments[source as usize];
        let file = self.view.scan.table.store().open_segment(&segment.meta).map_err(external)?;
        let page_rows = file.page_rows();
        let page_of = |position: &u32| (u64::from(*position) / page_rows) as u32;
        let pages = positions.chunk_by(|a, b| page_of(a) == page_of(b));
        let pages: RoaringBitmap = pages.map(|rows| page_of(&rows[0])).collect();
        let mut request = ScanRequest::new(Projection {
            constant_commit: segment.entry.commit,
            position: true,
            ..Projection::new(Arc::clone(self.view.schema()), shown_ids(&self.view))
        });
        request.batch_rows = page_rows as usize;
        // Few rows a page: others will ask for the same pages.
        request.cached = (positions.len() as u64) < pages.len() * 8;
        let (first, last) = (pages.min().unwrap_or(0), pages.max().unwrap_or(0));
        request.rows = Some(u64::from(first) * page_rows..(u64::from(last) + 1) * page_rows);
        request.pages = Some(Arc::new(pages));
        let (mut parts, mut next) = (Vec::new(), 0);
        for (n, batch) in file.scan(request).map_err(external)?.enumerate() {
            let batch = batch.map_err(external)?;
            let width = batch.num_columns() - 1;
            let at = batch.column(width).as_primitive::<UInt64Type>();
            let (first, last) = (at.value(0), at.value(at.len() - 1));
            let end = next + positions[next..].partition_point(|p| u64::from(*p) <= last);
            let rows = positions[next..end].iter().map(|p| u64::from(*p) - first);
            let rows = UInt64Array::from_iter_values(rows);
            next = end;
            let columns: Vec<usize> = (0..width).collect();
            let part = take_record_batch(&batch.project(&columns)?, &rows)?;
            parts.push(part.with_schema(Arc::clone(&schema))?);
            if n % 16 == 15 {
                tokio::task::yield_now().await;
            }
        }
        Ok(parts)
    }
}

fn shown_ids(view: &View) -> Vec<ColumnId> {
    view.shown.iter().map(|at| view.schema().columns[*at].id).collect()
}

fn tie_ids(view: &View) -> Vec<ColumnId> {
    view.schema().ties.clone()
}

fn loose(view: &View) -> Result<RecordBatch> {
    let schema = view.schema();
    let position = |id: &ColumnId| schema.position(*id).expect("the table has its own columns");
    let mut columns: Vec<usize> = view.keys.iter().map(position).collect();
    columns.push(position(&view.time));
    columns.extend(&view.shown);
    columns.extend(tie_ids(view).iter().map(position));
    let visible = schema.columns.len();
    columns.extend([visible, visible + 1]);
    let scan = view.scan.showing(columns)?;
    Ok(concat_batches(&scan.schema, &scan.loose()?)?)
}
