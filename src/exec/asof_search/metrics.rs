//! What EXPLAIN ANALYZE shows of a search.

use datafusion::physical_plan::metrics::{Count, ExecutionPlanMetricsSet, MetricBuilder, Time};

use super::segment::Nearest;

#[derive(Clone, Debug)]
pub(super) struct SearchMetrics {
    /// Labels read.
    pub left_rows: Count,
    /// Keys that the labels have; of several views that ask for the same ones, once.
    pub distinct_keys: Count,
    /// Labels that got a row, and that got none; each view counts its own.
    pub matched: Count,
    pub unmatched: Count,
    /// Labels without a row because a key or the time is NULL.
    pub null_key_rows: Count,
    /// Labels whose nearest row lies beyond the tolerance.
    pub tolerance_rejected: Count,
    pub segments_total: Count,
    /// Segments in which no label could have a row any more.
    pub segments_skipped: Count,
    /// Pages of keys and times that were read, those of the same files that were not, and the rows read.
    pub pages_read: Count,
    pub pages_pruned: Count,
    pub right_rows: Count,
    /// Labels that were looked up one by one, in each segment.
    pub seeks: Count,
    pub time_sort: Time,
    pub time_match: Time,
    pub time_fetch: Time,
    pub time_gather: Time,
}

impl SearchMetrics {
    pub(super) fn new(metrics: &ExecutionPlanMetricsSet) -> Self {
        let counter = |name| MetricBuilder::new(metrics).counter(name, 0);
        let timer = |name| MetricBuilder::new(metrics).subset_time(name, 0);
        SearchMetrics {
            left_rows: counter("left_rows"),
            distinct_keys: counter("distinct_keys"),
            matched: counter("matched"),
            unmatched: counter("unmatched"),
            null_key_rows: counter("null_key_rows"),
            tolerance_rejected: counter("tolerance_rejected"),
            segments_total: counter("segments_total"),
            segments_skipped: counter("segments_skipped"),
            pages_read: counter("pages_read"),
            pages_pruned: counter("pages_pruned"),
            right_rows: counter("right_rows"),
            seeks: counter("seeks"),
            time_sort: timer("time_sort"),
            time_match: timer("time_match"),
            time_fetch: timer("time_fetch"),
            time_gather: timer("time_gather"),
        }
    }

    pub(super) fn note(&self, nearest: &Nearest) {
        self.pages_read.add(nearest.pages_read);
        self.right_rows.add(nearest.rows_read);
        self.seeks.add(nearest.seeks);
    }
}
