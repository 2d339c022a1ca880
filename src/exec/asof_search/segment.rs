//! Searching one segment for the nearest rows of sorted labels.
//!
//! Many labels: every page between the first and the last key is read once ([`Segment::merge`], cut
//! into pieces that are searched side by side). Few: each label names the page or two in which its
//! row must be, and those are read ([`Segment::seek`]). Where deletes or a filter left no row there, the
//! search goes on, page by page in growing steps, in the direction that nearest rows lie.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, RecordBatch};
use arrow::compute::filter;
use arrow::datatypes::UInt64Type;
use datafusion::common::Result;
use roaring::RoaringBitmap;

use super::asked::Asked;
use super::keys::{Keys, codes, without_nulls};
use super::pages::{Limits, first_look};
use super::sweep::{Found, Positions, Probes, Row, Rows, Sweep};
use super::view::View;
use crate::exec::eligible::known;
use crate::exec::prefix::first_not;
use crate::exec::scan::external;
use crate::segment::{self, ScanRequest};
use crate::spec::ColumnId;
use crate::store::TableSegment;

/// Pages between two moments at which a search lets others run.
const PAGES_PER_TURN: usize = 16;

/// One file of the right side, open.
pub(super) struct Segment {
    view: Arc<View>,
    segment: TableSegment,
    pub(super) file: Arc<segment::Segment>,
    /// Bounds of the one key, where it is compared by value.
    keys: Option<Limits>,
    times: Limits,
}

/// What a search found, in the order of the labels asked for.
#[derive(Default)]
pub(super) struct Nearest {
    pub hits: Vec<Hit>,
    pub pages_read: usize,
    pub rows_read: usize,
    /// Labels looked up one by one.
    pub seeks: usize,
}

/// A label, and the time and the position of its nearest row.
#[derive(Clone, Copy)]
pub(super) struct Hit {
    pub label: u32,
    pub position: u32,
    pub time: i64,
}

/// A label whose row is looked for.
struct Ask {
    /// Its place among those asked for.
    at: usize,
    /// The pages that may have its key, and those of them to look into now.
    key: Range<u32>,
    look: Range<u32>,
    /// The best row so far, which rows in the next pages may tie with.
    held: Option<Row>,
    step: u32,
}

impl Segment {
    pub(super) fn open(view: &Arc<View>, segment: &TableSegment, how: &Keys) -> Result<Segment> {
        let file = view.scan.table.store().open_segment(&segment.meta).map_err(external)?;
        let keys = match (how, view.keys.as_slice()) {
            (Keys::Value, [key]) => Some(Limits::of(&file, view.schema(), *key)?),
            _ => None,
        };
        let times = Limits::of(&file, view.schema(), view.time)?;
        Ok(Segment { view: Arc::clone(view), segment: segment.clone(), file, keys, times })
    }

    fn page_rows(&self) -> u64 {
        self.file.page_rows()
    }

    fn page_of(&self, row: Row) -> u32 {
        (u64::from(row.position) / self.page_rows()) as u32
    }

    /// Which of the labels may have their key here.
    pub(super) fn range(&self, asked: &Asked) -> Range<usize> {
        let Some(limits) = &self.keys else { return 0..asked.keys().len() };
        let (min, max) = (limits.min.iter().min(), limits.max.iter().max());
        let start = asked.keys().partition_point(|key| Some(key) < min);
        start..asked.keys().partition_point(|key| Some(key) <= max)
    }

    /// For each of the labels, the pages that may have its key; sorted labels repeat theirs.
    fn key_pages(&self, asked: &Asked, at: &[usize]) -> Result<Vec<Range<u32>>> {
        let keys = asked.keys();
        let whole = 0..self.file.pages() as u32;
        match (&self.keys, &asked.sorted.how) {
            (Some(limits), _) => Ok(at.iter().map(|at| limits.pages_of(keys[*at])).collect()),
            (None, Keys::Ranked(ranks)) => {
                let mut distinct: Vec<u32> = at.iter().map(|at| keys[*at] as u32).collect();
                distinct.dedup();
                let there = self
                    .file
                    .pages_of(self.view.schema(), &ranks.pick(&distinct)?)
                    .map_err(external)?;
                let of = |at: &usize| {
                    let n = distinct.partition_point(|rank| i64::from(*rank) < keys[*at]);
                    there[n].start as u32..there[n].end as u32
                };
                Ok(at.iter().map(of).collect())
            }
            (None, _) => Ok(vec![whole; at.len()]),
        }
    }

    /// Looks up each label of the range by the page index.
    pub(super) async fn seek(&self, asked: &Asked, range: Range<usize>) -> Result<Nearest> {
        let at: Vec<usize> = range.collect();
        let direction = self.view.direction();
        let pages = self.key_pages(asked, &at)?;
        let asks = at.into_iter().zip(pages).filter(|(_, key)| !key.is_empty());
        let asks = asks.map(|(at, key)| {
            let look = first_look(&self.times, key.clone(), asked.times()[at], direction);
            Ask { at, key, look, held: None, step: 1 }
        });
        let asks: Vec<Ask> = asks.collect();
        let mut nearest = Nearest { seeks: asks.len(), ..Nearest::default() };
        self.settle(asked, asks, &mut nearest).await?;
        nearest.hits.sort_unstable_by_key(|hit| hit.label);
        Ok(nearest)
    }

    /// Reads all of these pages for the labels of the range.
    pub(super) async fn merge(
        &self,
        asked: &Asked,
        range: Range<usize>,
        pages: Range<u32>,
    ) -> Result<Nearest> {
        let first = range.start;
        let probes =
            Probes { keys: &asked.keys()[range.clone()], times: &asked.times()[range.clone()] };
        let forward = self.view.direction().forward;
        let (mut hits, mut open) = (Vec::with_capacity(range.len()), Vec::new());
        let decide = |at: usize, found: Found| match (found.row, forward) {
            (Some(row), false) => hits.push(asked.hit(first + at, row)),
            (Some(row), true) if found.behind.is_some() => hits.push(asked.hit(first + at, row)),
            (held, _) => open.push((first + at, held)),
        };
        let all: RoaringBitmap = pages.clone().collect();
        let mut nearest = Nearest::default();
        let ends = self.sweep(&asked.sorted.how, probes, all, false, decide, &mut nearest).await?;
        nearest.hits = hits;
        // A label without a row here has one elsewhere only if its key goes on beyond these pages.
        let goes_on = |at: usize| match (ends, forward) {
            (None, _) => true,
            (Some((first_key, _)), false) => asked.keys()[at] <= first_key,
            (Some((_, last_key)), true) => asked.keys()[at] >= last_key,
        };
        open.retain(|(at, held)| held.is_some() || goes_on(*at));
        let at: Vec<usize> = open.iter().map(|(at, _)| *at).collect();
        let mut later = Vec::new();
        for ((at, held), key) in open.into_iter().zip(self.key_pages(asked, &at)?) {
            let look = pages.start.max(key.start)..pages.end.min(key.end);
            // A key of other pages only was never looked for.
            let look = if look.start < look.end { look } else { beside(&key, &pages) };
            let ask = Ask { at, key, look, held, step: 1 };
            later.extend(self.go_on(asked, ask, &mut nearest));
        }
        self.settle(asked, later, &mut nearest).await?;
        nearest.hits.sort_unstable_by_key(|hit| hit.label);
        Ok(nearest)
    }

    /// The next pages for a label that found nothing certain, if there are any.
    fn go_on(&self, asked: &Asked, mut ask: Ask, nearest: &mut Nearest) -> Option<Ask> {
        let step = ask.step;
        ask.step = step.saturating_mul(2);
        let look = match self.view.direction().forward {
            false => ask.look.start.saturating_sub(step).max(ask.key.start)..ask.look.start,
            true => {
                let end = ask.look.end.saturating_add(step).min(ask.key.end);
                let start = match ask.held {
                    Some(row) if ask.look.end < ask.key.end => self.page_of(row),
                    _ => ask.look.end,
                };
                start..end
            }
        };
        if look.start < look.end {
            ask.look = look;
            return Some(ask);
        }
        if let Some(row) = ask.held {
            nearest.hits.push(asked.hit(ask.at, row));
        }
        None
    }

    /// Looks, and looks on, until every label has its row or has none.
    async fn settle(&self, asked: &Asked, mut asks: Vec<Ask>, nearest: &mut Nearest) -> Result<()> {
        let forward = self.view.direction().forward;
        while !asks.is_empty() {
            let keys: Vec<i64> = asks.iter().map(|ask| asked.keys()[ask.at]).collect();
            let times: Vec<i64> = asks.iter().map(|ask| asked.times()[ask.at]).collect();
            let mut pages = RoaringBitmap::new();
            asks.iter().for_each(|ask| _ = pages.insert_range(ask.look.clone()));
            let mut found: Vec<Option<Found>> = vec![None; asks.len()];
            let decide = |at: usize, of: Found| found[at] = Some(of);
            let probes = Probes { keys: &keys, times: &times };
            self.sweep(&asked.sorted.how, probes, pages, true, decide, nearest).await?;
            let mut later = Vec::new();
            for (mut ask, found) in asks.into_iter().zip(found) {
                let found = found.expect("a finished sweep decided every label");
                let row = found.row.filter(|row| ask.look.contains(&self.page_of(*row)));
                let is_certain = match (row, forward) {
                    (None, _) => false,
                    (Some(_), false) => true,
                    (Some(_), true) => found.behind.is_some_and(|behind| {
                        (u64::from(behind) / self.page_rows()) < u64::from(ask.look.end)
                    }),
                };
                match row {
                    Some(row) if is_certain => nearest.hits.push(asked.hit(ask.at, row)),
                    held => {
                        ask.held = held;
                        later.extend(self.go_on(asked, ask, nearest));
                    }
                }
            }
            asks = later;
        }
        Ok(())
    }

    /// Puts the rows of these pages through a sweep; the keys of the first and the last.
    async fn sweep<F: FnMut(usize, Found) + Send>(
        &self,
        how: &Keys,
        probes: Probes<'_>,
        pages: RoaringBitmap,
        cached: bool,
        decide: F,
        nearest: &mut Nearest,
    ) -> Result<Option<(i64, i64)>> {
        let mut ids: Vec<ColumnId> = self.view.keys.clone();
        ids.push(self.view.time);
        let mut request: ScanRequest = self.view.scan.request(&self.segment, ids);
        let picks =
            request.filter.is_some() || request.deleted.is_some() || request.visibility.is_some();
        request.projection.position = picks;
        request.cached = cached;
        request.batch_rows = self.page_rows() as usize;
        let (first, last) = (pages.min().unwrap_or(0), pages.max().unwrap_or(0));
        let page_rows = self.page_rows();
        request.rows = Some(u64::from(first) * page_rows..(u64::from(last) + 1) * page_rows);
        nearest.pages_read += pages.len() as usize;
        let mut starts = pages.clone().into_iter().map(|page| page * page_rows as u32);
        request.pages = Some(Arc::new(pages));
        let mut sweep = Sweep::new(probes, self.view.direction(), decide);
        for (n, batch) in self.file.scan(request).map_err(external)?.enumerate() {
            let batch = batch.map_err(external)?;
            nearest.rows_read += batch.num_rows();
            let start = if picks { None } else { starts.next() };
            push(how, &batch, self.view.keys.len(), start, &mut sweep)?;
            if sweep.is_done() {
                break;
            }
            if n % PAGES_PER_TURN == PAGES_PER_TURN - 1 {
                tokio::task::yield_now().await;
            }
        }
        sweep.finish();
        Ok(sweep.keys())
    }

    /// Cuts the labels of a range into about `parts` pieces, each with the pages that have its keys;
    /// a cut inside a key is made where a page has that key alone.
    pub(super) fn pieces(
        &self,
        asked: &Asked,
        range: Range<usize>,
        parts: usize,
    ) -> Result<Vec<(Range<usize>, Range<u32>)>> {
        let whole = 0..self.file.pages() as u32;
        let (Some(limits), false) = (&self.keys, range.is_empty()) else {
            return Ok(vec![(range, whole)]);
        };
        let (keys, times) = (asked.keys(), asked.times());
        let first = limits.pages_of(keys[range.start]).start;
        let end = limits.pages_of(keys[range.end - 1]).end.max(first);
        let share = (end - first).div_ceil(parts.max(1) as u32).max(1);
        let direction = self.view.direction();
        let mut pieces = Vec::new();
        let (mut from, mut page) = (range.start, first);
        for cut in (first..end).step_by(share as usize).skip(1) {
            let (at, before) = (cut as usize, cut as usize - 1);
            let alone = |page: usize| limits.min[page] == limits.max[page];
            let key = limits.min[at];
            let (to, last) = if !direction.forward && alone(at) {
                let is_earlier = |at: usize| {
                    let (label, start) =
                        ((keys[at], times[at]), (key, self.times.min[cut as usize]));
                    if direction.inclusive { label < start } else { label <= start }
                };
                (first_not(from..range.end, is_earlier), cut)
            } else if direction.forward && alone(before) {
                let end = (limits.max[before], self.times.max[before]);
                let is_earlier = |at: usize| {
                    let label = (keys[at], times[at]);
                    if direction.inclusive { label <= end } else { label < end }
                };
                (first_not(from..range.end, is_earlier), cut)
            } else {
                (first_not(from..range.end, |at| keys[at] <= key), cut + 1)
            };
            pieces.push((from..to, page..last));
            (from, page) = (to, cut);
        }
        pieces.push((from..range.end, page..end));
        pieces.retain(|(labels, _)| !labels.is_empty());
        Ok(pieces)
    }
}

/// An empty look at the side of a key's pages from which the search goes on into them.
fn beside(key: &Range<u32>, pages: &Range<u32>) -> Range<u32> {
    let at = if key.start >= pages.end { key.start } else { key.end };
    at..at
}

/// Hands a batch (keys, time, and the position where `start` does not say it) to a sweep.
pub(super) fn push<F: FnMut(usize, Found)>(
    how: &Keys,
    batch: &RecordBatch,
    keys: usize,
    start: Option<u32>,
    sweep: &mut Sweep<'_, F>,
) -> Result<()> {
    let nulls = known(&batch.columns()[..=keys]);
    // Positions stand behind the time: in the batch, or listed below.
    let width = keys + 1 + usize::from(start.is_none());
    let mut columns: Vec<ArrayRef> = batch.columns()[..width].to_vec();
    let mut listed = start.is_none();
    let drops = nulls.as_ref().is_some_and(|nulls| nulls.null_count() > 0);
    let list = |columns: &mut Vec<ArrayRef>, rows: usize| {
        if let Some(start) = start {
            let positions = (0..rows as u64).map(|row| u64::from(start) + row);
            columns.push(Arc::new(arrow::array::UInt64Array::from_iter_values(positions)));
        }
    };
    if drops {
        list(&mut columns, batch.num_rows());
        listed = true;
        columns = without_nulls(&columns, nulls.as_ref())?.unwrap_or(columns);
    }
    let coded = how.of_rows(&columns[..keys], columns[keys].len())?;
    if let Some(kept) = &coded.kept {
        if !listed {
            list(&mut columns, batch.num_rows());
            listed = true;
        }
        columns = columns.iter().map(|column| filter(column, kept)).collect::<Result<_, _>>()?;
    }
    let times = codes(&columns[keys])?;
    let positions = match listed {
        true => Positions::Listed(columns[keys + 1].as_primitive::<UInt64Type>().values()),
        false => Positions::From(start.expect("listed otherwise")),
    };
    sweep.push(Rows { keys: &coded.keys, times: &times, positions });
    Ok(())
}
