//! The operator that reads a table's runs.

use std::fmt;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, RecordBatch, RecordBatchOptions, UInt64Array, new_null_array,
};
use arrow::compute::filter_record_batch;
use arrow::datatypes::{DataType, SchemaRef};
use datafusion::catalog::TableProvider;
use datafusion::common::stats::Precision;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{Result, Statistics, internal_err};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr, PhysicalSortExpr};
use datafusion::physical_plan::coop::cooperative;
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion::physical_plan::metrics::{
    BaselineMetrics, ExecutionPlanMetricsSet, MetricBuilder, MetricsSet,
};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, Partitioning, PlanProperties,
    ReplaceChildrenOptions,
};

use super::filter::PredicateFilter;
use super::provider::{HIDDEN, TableScan, external, hidden_of, shown_columns};
use super::runs::{Piece, chains};
use crate::segment::{Filter, Projection, ScanRequest, sort_batches};
use crate::spec::ColumnId;
use crate::store::{Folded, Table, TableSegment, hidden_columns};

/// Rows a page mostly has.
const PAGE_ROWS: u64 = 8192;

/// What a scan reads.
#[derive(Debug)]
pub(in crate::exec) struct ScanPlan {
    pub table: Arc<Table>,
    /// As EXPLAIN tells it; None where it is the session's own.
    pub version: Option<Arc<str>>,
    /// Of the output.
    pub schema: SchemaRef,
    /// Of every run, over the output.
    pub ordering: Vec<PhysicalSortExpr>,
    /// Output columns, as positions among visible and hidden ones.
    pub projection: Vec<usize>,
    /// The visible ones of them.
    pub columns: Vec<ColumnId>,
    /// The hidden ones of them, as positions in [`HIDDEN`].
    pub hidden: Vec<usize>,
    pub filter: Option<Arc<PredicateFilter>>,
    /// Rows wanted of each run, at most.
    pub limit: Option<usize>,
    pub runs: Vec<Vec<Piece>>,
    /// The files among the runs' segments that hold rows of the log: [`Piece::Inline`] is the rest.
    pub folded: Folded,
    /// Segments that statistics ruled out.
    pub pruned: usize,
}

impl ScanPlan {
    /// The same rows, other columns of the table and the hidden ones behind them.
    pub(in crate::exec) fn showing(&self, projection: Vec<usize>) -> Result<ScanPlan> {
        let all = TableScan::with_hidden(Arc::clone(&self.table)).schema();
        Ok(ScanPlan {
            table: Arc::clone(&self.table),
            version: self.version.clone(),
            schema: Arc::new(all.project(&projection)?),
            ordering: Vec::new(),
            columns: shown_columns(&self.table, &projection),
            hidden: hidden_of(&self.table, &projection),
            projection,
            filter: self.filter.clone(),
            limit: self.limit,
            runs: self.runs.clone(),
            folded: self.folded.clone(),
            pruned: self.pruned,
        })
    }

    /// The segments, in waves: those of one wave follow each other without overlapping.
    pub(in crate::exec) fn waves(&self) -> Result<Vec<Vec<TableSegment>>> {
        let pieces = self.runs.iter().flatten();
        let segments = pieces.filter_map(|piece| match piece {
            Piece::Segment(segment, rows) if rows.start == 0 => Some(segment.clone()),
            _ => None,
        });
        chains(&self.table, segments.collect()).map_err(external)
    }

    /// About how many pages each column has.
    pub(in crate::exec) fn pages(&self) -> usize {
        let pieces = self.runs.iter().flatten();
        let pages = pieces.map(|piece| match piece {
            Piece::Segment(_, rows) => (rows.end - rows.start).div_ceil(PAGE_ROWS),
            Piece::Inline => 0,
        });
        pages.sum::<u64>() as usize
    }

    /// The table, what is read of it and what was ruled out, as EXPLAIN shows it.
    pub(in crate::exec) fn summary(&self) -> String {
        let segments = self.runs.iter().flatten();
        let segments = segments
            .filter(|piece| matches!(piece, Piece::Segment(_, rows) if rows.start == 0))
            .count();
        let (name, pruned) = (&self.table.schema().name, self.pruned);
        let filter = self.filter.as_ref().map(|filter| format!(", filter={filter:?}"));
        let filter = filter.unwrap_or_default();
        let version = self.version.as_ref().map(|version| format!("version={version}, "));
        let version = version.unwrap_or_default();
        format!("{name} ({version}segments={segments}, pruned={pruned}{filter})")
    }

    /// What to ask of a segment for these columns.
    pub(in crate::exec) fn request(
        &self,
        segment: &TableSegment,
        ids: Vec<ColumnId>,
    ) -> ScanRequest {
        let mut projection = Projection::new(Arc::clone(self.table.schema()), ids);
        projection.constant_commit = segment.entry.commit;
        let mut request = ScanRequest::new(projection);
        request.filter = self.filter.clone().map(|filter| filter as Arc<dyn Filter>);
        request.deleted = segment.deleted.clone();
        request.visibility = segment.visibility.clone();
        request
    }

    /// The rows that are in no segment, in the order of a run.
    pub(in crate::exec) fn loose(&self) -> Result<Vec<RecordBatch>> {
        let has_some = self.runs.iter().flatten().any(|piece| matches!(piece, Piece::Inline));
        if has_some { inline(self) } else { Ok(Vec::new()) }
    }
}

/// Reads one table at one version; a partition is a run in clustering order.
#[derive(Clone, Debug)]
pub struct SegmentScanExec {
    plan: Arc<ScanPlan>,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

impl SegmentScanExec {
    /// What it reads.
    pub(in crate::exec) fn plan(&self) -> &Arc<ScanPlan> {
        &self.plan
    }

    pub(super) fn try_new(plan: ScanPlan) -> Result<SegmentScanExec> {
        let equivalence = match plan.ordering.is_empty() {
            true => EquivalenceProperties::new(Arc::clone(&plan.schema)),
            false => EquivalenceProperties::new_with_orderings(
                Arc::clone(&plan.schema),
                [plan.ordering.clone()],
            ),
        };
        let properties = PlanProperties::new(
            equivalence,
            Partitioning::UnknownPartitioning(plan.runs.len()),
            EmissionType::Incremental,
            Boundedness::Bounded,
        );
        Ok(SegmentScanExec {
            plan: Arc::new(plan),
            properties: Arc::new(properties),
            metrics: ExecutionPlanMetricsSet::new(),
        })
    }
}

impl DisplayAs for SegmentScanExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plan = &self.plan;
        let segments: usize = plan
            .runs
            .iter()
            .flatten()
            .filter(|piece| matches!(piece, Piece::Segment(_, rows) if rows.start == 0))
            .count();
        let columns: Vec<&str> = plan.schema.fields().iter().map(|f| f.name().as_str()).collect();
        write!(f, "SegmentScanExec: table={}", plan.table.schema().name)?;
        if let Some(version) = &plan.version {
            write!(f, ", version={version}")?;
        }
        write!(
            f,
            ", columns=[{}], segments={segments}, pruned={}, runs={}",
            columns.join(", "),
            plan.pruned,
            plan.runs.len()
        )?;
        if let Some(filter) = &plan.filter {
            write!(f, ", filter={filter:?}")?;
        }
        if let Some(limit) = plan.limit {
            write!(f, ", limit={limit}")?;
        }
        Ok(())
    }
}

impl ExecutionPlan for SegmentScanExec {
    fn name(&self) -> &str {
        "SegmentScanExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        Vec::new()
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn replace_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
        _: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        if children.is_empty() { Ok(self) } else { internal_err!("a scan has no inputs") }
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        if children.is_empty() { Ok(self) } else { internal_err!("a scan has no inputs") }
    }

    fn execute(
        &self,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        let metrics = BaselineMetrics::new(&self.metrics, partition);
        let bytes = MetricBuilder::new(&self.metrics).counter("bytes_decoded", partition);
        let batch_rows = context.session_config().batch_size();
        let mut rows = RunRows::new(Arc::clone(&self.plan), partition, batch_rows);
        let batches = std::iter::from_fn(move || {
            let timer = metrics.elapsed_compute().timer();
            let batch = rows.next_batch().transpose();
            timer.done();
            if let Some(Ok(batch)) = &batch {
                metrics.record_output(batch.num_rows());
                bytes.add(batch.get_array_memory_size());
            }
            batch
        });
        let stream = futures::stream::iter(batches);
        let schema = Arc::clone(&self.plan.schema);
        Ok(Box::pin(cooperative(RecordBatchStreamAdapter::new(schema, stream))))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }

    fn partition_statistics(&self, partition: Option<usize>) -> Result<Arc<Statistics>> {
        let mut statistics = Statistics::new_unknown(&self.plan.schema);
        let whole = partition.is_none() && self.plan.limit.is_none();
        if whole && self.plan.filter.is_none() {
            statistics.num_rows = Precision::Exact(self.plan.table.row_count() as usize);
        } else if whole {
            statistics.num_rows = Precision::Inexact(self.plan.table.row_count() as usize / 5);
        }
        Ok(Arc::new(statistics))
    }

    fn supports_limit_pushdown(&self) -> bool {
        false
    }
}

/// Where one run's reading stands.
struct RunRows {
    plan: Arc<ScanPlan>,
    run: usize,
    next_piece: usize,
    batch_rows: usize,
    left: usize,
    current: Option<Box<dyn Iterator<Item = Result<RecordBatch>> + Send>>,
}

impl RunRows {
    fn new(plan: Arc<ScanPlan>, run: usize, batch_rows: usize) -> RunRows {
        let left = plan.limit.unwrap_or(usize::MAX);
        RunRows { plan, run, next_piece: 0, batch_rows, left, current: None }
    }

    fn next_batch(&mut self) -> Result<Option<RecordBatch>> {
        loop {
            if self.left == 0 {
                return Ok(None);
            }
            match self.current.as_mut().and_then(Iterator::next).transpose()? {
                Some(batch) if batch.num_rows() == 0 => {}
                Some(batch) => {
                    let batch = batch.slice(0, batch.num_rows().min(self.left));
                    self.left -= batch.num_rows();
                    return Ok(Some(batch));
                }
                None => {
                    let plan = Arc::clone(&self.plan);
                    let Some(piece) = plan.runs[self.run].get(self.next_piece) else {
                        return Ok(None);
                    };
                    self.next_piece += 1;
                    self.current = Some(match piece {
                        Piece::Segment(..) => self.open_segment(piece)?,
                        Piece::Inline => Box::new(inline(&self.plan)?.into_iter().map(Ok)),
                    });
                }
            }
        }
    }

    fn open_segment(
        &self,
        piece: &Piece,
    ) -> Result<Box<dyn Iterator<Item = Result<RecordBatch>> + Send>> {
        let Piece::Segment(segment, rows) = piece else { unreachable!("asked for a segment") };
        let plan = Arc::clone(&self.plan);
        let file = plan.table.store().open_segment(&segment.meta).map_err(external)?;
        let wants = |name: usize| plan.hidden.contains(&name);
        let mut request = plan.request(segment, plan.columns.clone());
        let projection = &mut request.projection;
        (projection.commit, projection.row_id, projection.position) =
            (wants(0), wants(1), wants(3));
        request.rows = Some(rows.clone());
        request.batch_rows = self.batch_rows;
        request.limit = plan.limit;
        let scan = file.scan(request).map_err(external)?;
        let id = segment.visibility.is_none().then_some(segment.meta.id.0);
        Ok(Box::new(scan.map(move |batch| arrange(&plan, &batch.map_err(external)?, id))))
    }
}

/// The reader's columns (visible, then commit, row id and position as asked) as the plan's. A row of a
/// folded file is found by its id, so it shows no place.
fn arrange(plan: &ScanPlan, batch: &RecordBatch, segment: Option<u64>) -> Result<RecordBatch> {
    let rows = batch.num_rows();
    let visible = plan.table.schema().columns.len();
    let mut shown = 0;
    let mut columns: Vec<ArrayRef> = Vec::with_capacity(plan.projection.len());
    let behind = |hidden: usize| {
        let before = [0, 1, 3].iter().filter(|h| **h < hidden && plan.hidden.contains(h)).count();
        plan.columns.len() + before
    };
    for at in &plan.projection {
        columns.push(match at.checked_sub(visible) {
            None => {
                shown += 1;
                Arc::clone(batch.column(shown - 1))
            }
            Some(2 | 3) if segment.is_none() => new_null_array(&DataType::UInt64, rows),
            Some(2) => Arc::new(UInt64Array::from_value(segment.unwrap_or_default(), rows)),
            Some(hidden) => Arc::clone(batch.column(behind(hidden))),
        });
    }
    finish(plan, columns, rows)
}

/// The inline rows in the order of the run, filtered and projected.
fn inline(plan: &ScanPlan) -> Result<Vec<RecordBatch>> {
    let schema = plan.table.schema();
    let stored = plan.table.loose_rows(&plan.folded).map_err(external)?;
    let visible = schema.columns.len();
    let mut batches = Vec::new();
    for batch in sort_batches(schema, stored).map_err(external)? {
        let batch = match &plan.filter {
            Some(filter) => filter_record_batch(&batch, &keep(filter, plan, &batch)?)?,
            None => batch,
        };
        let rows = batch.num_rows();
        let (commits, ids) = hidden_columns(&batch);
        let column = |at: &usize| -> ArrayRef {
            match at.checked_sub(visible).map(|hidden| HIDDEN[hidden]) {
                None => Arc::clone(batch.column(*at)),
                Some(crate::store::COMMIT) => Arc::new(commits.clone()),
                Some(crate::store::ROW_ID) => Arc::new(ids.clone()),
                Some(_) => new_null_array(&DataType::UInt64, rows),
            }
        };
        let columns = plan.projection.iter().map(column).collect();
        batches.push(finish(plan, columns, rows)?);
    }
    Ok(batches)
}

fn keep(filter: &PredicateFilter, plan: &ScanPlan, batch: &RecordBatch) -> Result<BooleanArray> {
    let schema = plan.table.schema();
    let used: Vec<usize> = filter.columns().iter().filter_map(|id| schema.position(*id)).collect();
    filter.keep(&batch.project(&used)?).map_err(external)
}

fn finish(plan: &ScanPlan, columns: Vec<ArrayRef>, rows: usize) -> Result<RecordBatch> {
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    Ok(RecordBatch::try_new_with_options(Arc::clone(&plan.schema), columns, &options)?)
}
