//! From sorted labels to the rows they get: wave after wave of segments, each in pieces that are
//! searched side by side, then the shown columns of the winners.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use datafusion::common::Result;
use datafusion::common::runtime::JoinSet;
use datafusion::error::DataFusionError;
use futures::FutureExt;
use futures::future::BoxFuture;
use parking_lot::Mutex;

use super::asked::Asked;
use super::labels::{Bounds, Labels, Sorted};
use super::metrics::SearchMetrics;
use super::segment::{Nearest, Segment};
use super::source::{LOOSE, Sources};
use super::view::{Mode, View};
use super::winners::Winners;
use crate::exec::asof_join::Tolerance;

/// Rows fetched by one job at least.
const FETCH_ROWS: usize = 32_768;
/// Labels looked up by one job at least.
const SEEK_LABELS: usize = 64;
/// Jobs for each worker: enough that no worker waits long for the last one.
const JOBS_PER_WORKER: usize = 4;
/// Labels are looked up one by one where that reads at most so many hundredths of the pages.
const SEEK_PERCENT: usize = 30;

/// The rows that labels get.
pub(super) struct Matched {
    /// For each label, by place, its row in `rows`; [`NO_ROW`] where it has none.
    pub slots: Vec<u32>,
    pub rows: RecordBatch,
}

/// The slot of a label without a row.
pub(super) const NO_ROW: u32 = u32::MAX;

type Job<T> = BoxFuture<'static, Result<T>>;

/// Finds each label's row of one view.
pub(super) async fn search(
    view: Arc<View>,
    labels: &Labels,
    sorted: Arc<Sorted>,
    workers: usize,
    metrics: &SearchMetrics,
) -> Result<Matched> {
    let bounds = labels.bounds(&view)?;
    metrics.null_key_rows.add(sorted.nulls);
    let sources = Arc::new(Sources::of(&view)?);
    let mut winners = Winners::new(sorted.order.keys.len(), view.direction());
    let timer = metrics.time_match.timer();
    if !sorted.order.keys.is_empty() {
        find(&view, &sorted, &sources, &mut winners, workers, metrics).await?;
        if !view.shown.is_empty() {
            winners.break_ties(&sources)?;
        }
    }
    reject_far(&view, &sorted, bounds.as_ref(), &mut winners, metrics);
    timer.done();
    let timer = metrics.time_fetch.timer();
    let matched = fetch(&sources, &sorted, winners, labels.rows, workers).await;
    timer.done();
    matched
}

async fn find(
    view: &Arc<View>,
    sorted: &Arc<Sorted>,
    sources: &Arc<Sources>,
    winners: &mut Winners,
    workers: usize,
    metrics: &SearchMetrics,
) -> Result<()> {
    metrics.segments_total.add(sources.segment_count());
    if sources.loose_rows() > 0 {
        let nearest = sources.search_loose(&Asked::all(sorted))?;
        metrics.note(&nearest);
        winners.offer(LOOSE, &nearest);
    }
    for (n, wave) in sources.waves.iter().enumerate() {
        let reach = sources.reach_from(n).expect("the wave itself reaches somewhere");
        let asked = match n == 0 && sources.loose_rows() == 0 {
            true => Asked::all(sorted),
            false => Asked::only(sorted, |label| !winners.is_settled(label, reach)),
        };
        let (mut jobs, mut pages) = (Vec::new(), 0);
        for number in wave {
            if asked.keys().is_empty() {
                metrics.segments_skipped.add(1);
                continue;
            }
            let segment = Arc::new(sources.open(*number, &sorted.how)?);
            let range = segment.range(&asked);
            if range.is_empty() {
                metrics.segments_skipped.add(1);
                continue;
            }
            pages += segment.file.pages() as usize;
            jobs.extend(jobs_in(view, *number, &segment, &asked, range, workers)?);
        }
        for (number, nearest) in run(jobs, workers).await? {
            metrics.note(&nearest);
            pages = pages.saturating_sub(nearest.pages_read);
            winners.offer(number, &nearest);
        }
        metrics.pages_pruned.add(pages);
    }
    Ok(())
}

/// Whether looking up so many labels reads fewer bytes than all of these pages: each reads one page,
/// or two where the page index does not tell.
pub(super) fn seeks(labels: usize, pages: usize) -> bool {
    (labels + labels / 2).saturating_mul(100) < pages * SEEK_PERCENT
}

/// The searches of one segment, one by one for each label or through all pages.
fn jobs_in(
    view: &View,
    number: u32,
    segment: &Arc<Segment>,
    asked: &Asked,
    range: Range<usize>,
    workers: usize,
) -> Result<Vec<Job<(u32, Nearest)>>> {
    let pages = segment.file.pages() as usize;
    let seeks = match view.mode {
        Mode::Seek => true,
        Mode::Merge => false,
        Mode::Auto => seeks(range.len(), pages),
    };
    if seeks {
        let share = range.len().div_ceil(workers * JOBS_PER_WORKER).max(SEEK_LABELS);
        let starts = range.clone().step_by(share);
        let job = |start: usize| {
            let (segment, asked) = (Arc::clone(segment), asked.clone());
            let part = start..(start + share).min(range.end);
            async move { Ok((number, segment.seek(&asked, part).await?)) }.boxed()
        };
        return Ok(starts.map(job).collect());
    }
    let pieces = segment.pieces(asked, range, workers * JOBS_PER_WORKER)?;
    let job = |(labels, pages): (Range<usize>, Range<u32>)| {
        let (segment, asked) = (Arc::clone(segment), asked.clone());
        async move { Ok((number, segment.merge(&asked, labels, pages).await?)) }.boxed()
    };
    Ok(pieces.into_iter().map(job).collect())
}

/// Runs the jobs, as many at once as there are workers; their results in their order.
async fn run<T: Send + 'static>(jobs: Vec<Job<T>>, workers: usize) -> Result<Vec<T>> {
    let mut results: Vec<Option<T>> = jobs.iter().map(|_| None).collect();
    if workers <= 1 || jobs.len() <= 1 {
        let mut done = Vec::with_capacity(jobs.len());
        for job in jobs {
            done.push(job.await?);
        }
        return Ok(done);
    }
    let queue: Arc<Mutex<VecDeque<_>>> =
        Arc::new(Mutex::new(jobs.into_iter().enumerate().collect()));
    let mut tasks = JoinSet::new();
    for _ in 0..workers {
        let queue = Arc::clone(&queue);
        tasks.spawn(async move {
            let mut done = Vec::new();
            loop {
                let next = queue.lock().pop_front();
                let Some((n, job)) = next else { return Ok::<_, DataFusionError>(done) };
                done.push((n, job.await?));
            }
        });
    }
    while let Some(task) = tasks.join_next().await {
        let done = task.map_err(|e| DataFusionError::ExecutionJoin(Box::new(e)))??;
        done.into_iter().for_each(|(n, result)| results[n] = Some(result));
    }
    Ok(results.into_iter().flatten().collect())
}

/// A nearest row beyond the tolerance is none; a farther one is never taken instead.
fn reject_far(
    view: &View,
    sorted: &Sorted,
    bounds: Option<&Bounds>,
    winners: &mut Winners,
    metrics: &SearchMetrics,
) {
    let Some(tolerance) = &view.condition.tolerance else { return };
    let forward = view.direction().forward;
    let endless = |time: i64| view.has_infinity && (time == i64::MIN || time == i64::MAX);
    for at in 0..sorted.order.keys.len() {
        if winners.place(at).is_none() {
            continue;
        }
        let (label, row) = (sorted.order.times[at], winners.times[at]);
        let near = match tolerance {
            Tolerance::Distance { .. } if label == row => tolerance.admits(0),
            Tolerance::Distance { .. } if endless(label) || endless(row) => false,
            Tolerance::Distance { .. } => tolerance.admits(label.abs_diff(row).into()),
            Tolerance::Bound { inclusive, .. } => {
                let bound = bounds.and_then(|bounds| bounds.of(sorted.order.places[at]));
                bound.is_some_and(|bound| {
                    (*inclusive && row == bound) || if forward { row < bound } else { row > bound }
                })
            }
        };
        if !near {
            winners.reject(at);
            metrics.tolerance_rejected.add(1);
        }
    }
}

/// The rows of one source that some labels get.
struct Picked {
    source: u32,
    /// A row's position and the place of a label that gets it, by position.
    rows: Vec<(u32, u32)>,
}

impl Picked {
    fn of(sorted: &Sorted, winners: &Winners, labels: Range<usize>) -> Vec<Picked> {
        let mut of_sources: BTreeMap<u32, Vec<(u32, u32)>> = BTreeMap::new();
        let (mut source, mut rows) = (LOOSE, Vec::with_capacity(labels.len()));
        for at in labels {
            let Some(winner) = winners.place(at) else { continue };
            if winner.source != source {
                of_sources.entry(source).or_default().append(&mut rows);
                source = winner.source;
            }
            rows.push((winner.position, sorted.order.places[at]));
        }
        of_sources.entry(source).or_default().append(&mut rows);
        let picked = of_sources.into_iter().filter(|(_, rows)| !rows.is_empty());
        let in_order = |(source, mut rows): (u32, Vec<(u32, u32)>)| {
            if !rows.is_sorted_by_key(|(position, _)| *position) {
                rows.sort_unstable();
            }
            Picked { source, rows }
        };
        picked.map(in_order).collect()
    }

    /// The positions, each once.
    fn positions(&self) -> Vec<u32> {
        let mut positions: Vec<u32> = self.rows.iter().map(|(position, _)| *position).collect();
        positions.dedup();
        positions
    }

    /// Says of each label where its row will be, where this one's begin at `first`.
    fn tell(&self, slots: &[AtomicU32], first: u32) {
        let (mut slot, mut last) = (first, self.rows.first().map(|(position, _)| *position));
        for (position, place) in &self.rows {
            if last != Some(*position) {
                (slot, last) = (slot + 1, Some(*position));
            }
            slots[*place as usize].store(slot, Ordering::Relaxed);
        }
    }
}

/// Reads the winners' shown columns, for pieces of the labels side by side; in each piece a row once.
async fn fetch(
    sources: &Arc<Sources>,
    sorted: &Arc<Sorted>,
    winners: Winners,
    labels: usize,
    workers: usize,
) -> Result<Matched> {
    let winners = Arc::new(winners);
    let all = sorted.order.keys.len();
    let share = all.div_ceil(workers * JOBS_PER_WORKER).max(FETCH_ROWS);
    let picks = (0..all).step_by(share).map(|start| {
        let (sorted, winners) = (Arc::clone(sorted), Arc::clone(&winners));
        let part = start..(start + share).min(all);
        async move {
            let picked = Picked::of(&sorted, &winners, part);
            let of = |picked: Picked| (picked.positions(), picked);
            Ok(picked.into_iter().map(of).collect::<Vec<_>>())
        }
        .boxed()
    });
    let picked = run(picks.collect(), workers).await?;
    drop(winners);
    let slots: Arc<Vec<AtomicU32>> =
        Arc::new(std::iter::repeat_with(|| AtomicU32::new(NO_ROW)).take(labels).collect());
    let (mut jobs, mut next) = (Vec::new(), 0_u32);
    for (positions, picked) in picked.into_iter().flatten() {
        let (sources, slots, first) = (Arc::clone(sources), Arc::clone(&slots), next);
        next += positions.len() as u32;
        jobs.push(
            async move {
                picked.tell(&slots, first);
                sources.shown(picked.source, &positions).await
            }
            .boxed(),
        );
    }
    let parts: Vec<RecordBatch> = run(jobs, workers).await?.into_iter().flatten().collect();
    let rows = match <[RecordBatch; 1]>::try_from(parts) {
        Ok([one]) => one,
        Err(parts) => concat_batches(&sources.shown_schema()?, &parts)?,
    };
    let slots = Arc::try_unwrap(slots).expect("the jobs that shared them are done");
    Ok(Matched { slots: slots.into_iter().map(AtomicU32::into_inner).collect(), rows })
}
