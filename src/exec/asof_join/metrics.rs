//! What EXPLAIN ANALYZE shows of an ASOF join.

use datafusion::physical_plan::metrics::{
    BaselineMetrics, Count, ExecutionPlanMetricsSet, Gauge, MetricBuilder, Time,
};

pub(super) struct AsofMetrics {
    pub(super) baseline: BaselineMetrics,
    /// Left rows read.
    pub(super) left_rows: Count,
    /// Right rows read.
    pub(super) right_rows: Count,
    /// Left rows that got a right row.
    pub(super) matched: Count,
    /// Left rows that got none.
    pub(super) unmatched: Count,
    /// Right rows that came out because no left row got them.
    pub(super) right_unmatched: Count,
    /// Left rows without a match because a key or the time is NULL.
    pub(super) null_key_rows: Count,
    /// Left rows whose nearest right row lies beyond the tolerance.
    pub(super) tolerance_rejected: Count,
    /// Pairs that the residual condition was evaluated on.
    pub(super) residual_pairs: Count,
    /// The most bytes held at once.
    pub(super) build_mem_used: Gauge,
    pub(super) time_match: Time,
    pub(super) time_gather: Time,
}

impl AsofMetrics {
    pub(super) fn new(metrics: &ExecutionPlanMetricsSet, partition: usize) -> Self {
        let counter = |name| MetricBuilder::new(metrics).counter(name, partition);
        let timer = |name| MetricBuilder::new(metrics).subset_time(name, partition);
        AsofMetrics {
            baseline: BaselineMetrics::new(metrics, partition),
            left_rows: counter("left_rows"),
            right_rows: counter("right_rows"),
            matched: counter("matched"),
            unmatched: counter("unmatched"),
            right_unmatched: counter("right_unmatched"),
            null_key_rows: counter("null_key_rows"),
            tolerance_rejected: counter("tolerance_rejected"),
            residual_pairs: counter("residual_pairs"),
            build_mem_used: MetricBuilder::new(metrics).gauge("build_mem_used", partition),
            time_match: timer("time_match"),
            time_gather: timer("time_gather"),
        }
    }
}
