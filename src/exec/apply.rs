//! A sub-plan run for each row of an input: the sub-select that no join can say.
//!
//! The sub-plan sees values of the row. Rows with the same values share one run, as far as its result
//! is short enough to keep.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions, UInt64Array, new_null_array};
use arrow::compute::{cast, concat, concat_batches, take};
use arrow::datatypes::{Field, Schema, SchemaRef};
use async_trait::async_trait;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{Result, ScalarValue, internal_err};
use datafusion::error::DataFusionError;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    ChildrenPropertiesMode, DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties,
    ReplaceChildrenOptions, execute_stream,
};
use futures::StreamExt;

use crate::activity::CancelToken;
use crate::error::{Error, ErrorKind};

/// Results of more rows are not kept.
const KEPT_ROWS_MAX: usize = 64;
/// Nor are wider ones.
const KEPT_BYTES_MAX: usize = 16 << 10;
/// So many results are kept at a time.
const KEPT_MAX: usize = 1024;

/// What an apply shows for a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ApplyKind {
    /// The row beside each row of the sub-plan.
    Inner,
    /// The same; beside NULLs where there is none.
    Left,
    /// The row beside the only value of the sub-plan, or NULL.
    Value,
    /// The row, and whether the sub-plan has any.
    Exists,
}

/// What is run.
#[async_trait]
pub trait Subplan: fmt::Debug + Send + Sync {
    /// The plan for values, which come in the order the operator was given them in; it ends soon
    /// after the token is cancelled.
    ///
    /// # Errors
    /// Whatever planning gives.
    async fn with(
        &self,
        values: &[ScalarValue],
        cancel: Option<&CancelToken>,
    ) -> Result<Arc<dyn ExecutionPlan>>;
}

/// The operator.
#[derive(Clone, Debug)]
pub struct ApplyExec {
    input: Arc<dyn ExecutionPlan>,
    outer: Vec<Arc<dyn PhysicalExpr>>,
    subplan: Arc<dyn Subplan>,
    kind: ApplyKind,
    shown: SchemaRef,
    schema: SchemaRef,
    cancel: Option<CancelToken>,
    properties: Arc<PlanProperties>,
}

impl ApplyExec {
    /// `shown` are the columns behind those of the input.
    pub fn new(
        input: Arc<dyn ExecutionPlan>,
        outer: Vec<Arc<dyn PhysicalExpr>>,
        subplan: Arc<dyn Subplan>,
        kind: ApplyKind,
        shown: &Schema,
    ) -> ApplyExec {
        let fields: Vec<_> =
            input.schema().fields().iter().chain(shown.fields()).cloned().collect();
        let schema = Arc::new(Schema::new(fields));
        let of_input = input.properties();
        let properties = Arc::new(PlanProperties::new(
            EquivalenceProperties::new(Arc::clone(&schema)),
            of_input.output_partitioning().clone(),
            of_input.emission_type,
            of_input.boundedness,
        ));
        let shown = Arc::new(shown.clone());
        ApplyExec { input, outer, subplan, kind, shown, schema, cancel: None, properties }
    }

    /// The same, whose sub-plans end soon after the token is cancelled.
    #[must_use]
    pub fn until(&self, cancel: &CancelToken) -> ApplyExec {
        ApplyExec { cancel: Some(cancel.clone()), ..self.clone() }
    }
}

impl DisplayAs for ApplyExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let outer: Vec<_> = self.outer.iter().map(|expr| expr.to_string()).collect();
        write!(f, "ApplyExec: {:?}, outer=[{}]", self.kind, outer.join(", "))
    }
}

impl ExecutionPlan for ApplyExec {
    fn name(&self) -> &str {
        "ApplyExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn apply_expressions(
        &self,
        visit: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        for expr in &self.outer {
            if visit(expr)? == TreeNodeRecursion::Stop {
                return Ok(TreeNodeRecursion::Stop);
            }
        }
        Ok(TreeNodeRecursion::Continue)
    }

    fn replace_children(
        self: Arc<Self>,
        mut children: Vec<Arc<dyn ExecutionPlan>>,
        _: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let Some(input) = children.pop() else { return internal_err!("ApplyExec needs an input") };
        let (outer, subplan) = (self.outer.clone(), Arc::clone(&self.subplan));
        let exec = ApplyExec::new(input, outer, subplan, self.kind, &self.shown);
        Ok(Arc::new(ApplyExec { cancel: self.cancel.clone(), ..exec }))
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let options = ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute);
        self.replace_children(children, options)
    }

    fn execute(
        &self,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        let applying = Applying {
            input: self.input.execute(partition, Arc::clone(&context))?,
            outer: self.outer.clone(),
            kind: self.kind,
            shown: Arc::clone(&self.shown),
            schema: Arc::clone(&self.schema),
            batch_rows: context.session_config().batch_size(),
            runs: Runs { subplan: Arc::clone(&self.subplan), cancel: self.cancel.clone(), context },
            at: None,
            kept: HashMap::new(),
            ready: VecDeque::new(),
            pieces: Vec::new(),
            waiting: 0,
        };
        let rows = futures::stream::try_unfold(applying, async |mut applying| {
            let batch = applying.next().await?;
            Ok(batch.map(|batch| (batch, applying)))
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.schema), rows)))
    }
}

/// One batch of the input, on the way through.
struct At {
    batch: RecordBatch,
    outer: Vec<ArrayRef>,
    row: usize,
    /// The sub-plan of this row, and whether it showed a row already.
    running: Option<(SendableRecordBatchStream, bool)>,
}

/// Rows of the sub-plan for one row of the input; None stands for a row of NULLs.
struct Piece {
    row: usize,
    rows: Option<RecordBatch>,
}

struct Applying {
    input: SendableRecordBatchStream,
    outer: Vec<Arc<dyn PhysicalExpr>>,
    kind: ApplyKind,
    shown: SchemaRef,
    schema: SchemaRef,
    batch_rows: usize,
    runs: Runs,
    at: Option<At>,
    /// Short results by what they are for.
    kept: HashMap<Vec<ScalarValue>, RecordBatch>,
    ready: VecDeque<RecordBatch>,
    pieces: Vec<Piece>,
    /// Rows in `pieces`.
    waiting: usize,
}

impl Applying {
    async fn next(&mut self) -> Result<Option<RecordBatch>> {
        loop {
            if let Some(batch) = self.ready.pop_front() {
                return Ok(Some(batch));
            }
            let Some(mut at) = self.at.take() else {
                match self.input.next().await.transpose()? {
                    Some(batch) => self.at = Some(self.enter(batch)?),
                    None => return Ok(None),
                }
                continue;
            };
            let more = match self.kind {
                ApplyKind::Inner | ApplyKind::Left => self.step(&mut at).await?,
                ApplyKind::Value | ApplyKind::Exists => self.all_values(&mut at).await?,
            };
            if !more || self.waiting >= self.batch_rows {
                self.flush(&at)?;
            }
            self.at = more.then_some(at);
        }
    }

    fn enter(&self, batch: RecordBatch) -> Result<At> {
        let rows = batch.num_rows();
        let outer = self.outer.iter().map(|expr| expr.evaluate(&batch)?.into_array(rows));
        Ok(At { outer: outer.collect::<Result<_>>()?, batch, row: 0, running: None })
    }

    /// Goes on with the relation of a row; false at the end of the batch.
    async fn step(&mut self, at: &mut At) -> Result<bool> {
        if let Some((running, shown)) = &mut at.running {
            match running.next().await.transpose()? {
                Some(rows) if rows.num_rows() == 0 => {}
                Some(rows) => {
                    *shown = true;
                    self.waiting += rows.num_rows();
                    self.pieces.push(Piece { row: at.row, rows: Some(rows) });
                }
                None => {
                    if !*shown {
                        self.missing(at.row);
                    }
                    at.running = None;
                    at.row += 1;
                }
            }
            return Ok(true);
        }
        if at.row == at.batch.num_rows() {
            return Ok(false);
        }
        let values = values(&at.outer, at.row)?;
        if let Some(rows) = self.kept.get(&values) {
            match rows.num_rows() {
                0 => self.missing(at.row),
                rows_shown => {
                    self.waiting += rows_shown;
                    self.pieces.push(Piece { row: at.row, rows: Some(rows.clone()) });
                }
            }
            at.row += 1;
            return Ok(true);
        }
        at.running = self.begin(values).await?.map(|running| (running, false));
        Ok(true)
    }

    fn missing(&mut self, row: usize) {
        if self.kind == ApplyKind::Left {
            self.waiting += 1;
            self.pieces.push(Piece { row, rows: None });
        }
    }

    /// Runs the sub-plan; None where its result was short and is kept now.
    async fn begin(
        &mut self,
        values: Vec<ScalarValue>,
    ) -> Result<Option<SendableRecordBatchStream>> {
        let mut running = self.runs.start(&values).await?;
        let schema = running.schema();
        let (mut first, mut rows) = (Vec::new(), 0);
        while let Some(batch) = running.next().await.transpose()? {
            rows += batch.num_rows();
            first.push(batch);
            if rows > KEPT_ROWS_MAX {
                let seen = futures::stream::iter(first.into_iter().map(Ok));
                let all = seen.chain(running);
                return Ok(Some(Box::pin(RecordBatchStreamAdapter::new(schema, all))));
            }
        }
        if self.kept.len() >= KEPT_MAX {
            self.kept.clear();
        }
        let all = concat_batches(&schema, &first)?;
        if all.get_array_memory_size() > KEPT_BYTES_MAX {
            let all = futures::stream::once(std::future::ready(Ok(all)));
            return Ok(Some(Box::pin(RecordBatchStreamAdapter::new(schema, all))));
        }
        self.kept.insert(values, all);
        Ok(None)
    }

    /// The values of all rows of a batch.
    async fn all_values(&mut self, at: &mut At) -> Result<bool> {
        let mut column = Vec::with_capacity(at.batch.num_rows());
        let mut known: HashMap<Vec<ScalarValue>, ScalarValue> = HashMap::new();
        for row in 0..at.batch.num_rows() {
            let values = values(&at.outer, row)?;
            let value = match known.get(&values) {
                Some(value) => value.clone(),
                None => {
                    let value = self.runs.value(&values, self.kind, self.shown.field(0)).await?;
                    known.insert(values, value.clone());
                    value
                }
            };
            column.push(value);
        }
        let mut columns = at.batch.columns().to_vec();
        if !column.is_empty() {
            columns.push(ScalarValue::iter_to_array(column)?);
            self.ready.push_back(RecordBatch::try_new(Arc::clone(&self.schema), columns)?);
        }
        Ok(false)
    }

    /// Makes a batch of what waits.
    fn flush(&mut self, at: &At) -> Result<()> {
        if self.pieces.is_empty() {
            return Ok(());
        }
        let rows = std::mem::take(&mut self.waiting);
        let pieces = std::mem::take(&mut self.pieces);
        let of_input = pieces.iter().flat_map(|piece| {
            let count = piece.rows.as_ref().map_or(1, RecordBatch::num_rows);
            std::iter::repeat_n(piece.row as u64, count)
        });
        let of_input = UInt64Array::from_iter_values(of_input);
        let input = at.batch.columns().iter();
        let mut columns: Vec<ArrayRef> =
            input.map(|column| take(column, &of_input, None)).collect::<Result<_, _>>()?;
        for (i, field) in self.shown.fields().iter().enumerate() {
            let parts = pieces.iter().map(|piece| match &piece.rows {
                Some(rows) => cast(rows.column(i), field.data_type()),
                None => Ok(new_null_array(field.data_type(), 1)),
            });
            let parts = parts.collect::<Result<Vec<_>, _>>()?;
            let parts: Vec<_> = parts.iter().map(AsRef::as_ref).collect();
            columns.push(concat(&parts)?);
        }
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        let schema = Arc::clone(&self.schema);
        self.ready.push_back(RecordBatch::try_new_with_options(schema, columns, &options)?);
        Ok(())
    }
}

/// How the sub-plan is run.
struct Runs {
    subplan: Arc<dyn Subplan>,
    cancel: Option<CancelToken>,
    context: Arc<TaskContext>,
}

impl Runs {
    async fn start(&self, values: &[ScalarValue]) -> Result<SendableRecordBatchStream> {
        let plan = self.subplan.with(values, self.cancel.as_ref()).await?;
        execute_stream(plan, Arc::clone(&self.context))
    }

    async fn value(
        &self,
        values: &[ScalarValue],
        kind: ApplyKind,
        field: &Field,
    ) -> Result<ScalarValue> {
        let mut running = self.start(values).await?;
        let mut value = None;
        while let Some(batch) = running.next().await.transpose()? {
            for row in 0..batch.num_rows() {
                if kind == ApplyKind::Exists {
                    return Ok(ScalarValue::from(true));
                }
                if value.is_some() {
                    return Err(twice());
                }
                let found = ScalarValue::try_from_array(batch.column(0), row)?;
                value = Some(found.cast_to(field.data_type())?);
            }
        }
        match (value, kind) {
            (Some(value), _) => Ok(value),
            (None, ApplyKind::Exists) => Ok(ScalarValue::from(false)),
            (None, _) => ScalarValue::try_from(field.data_type()),
        }
    }
}

fn values(columns: &[ArrayRef], row: usize) -> Result<Vec<ScalarValue>> {
    columns.iter().map(|column| ScalarValue::try_from_array(column, row)).collect()
}

fn twice() -> DataFusionError {
    let message = "more than one row returned by a subquery used as an expression";
    DataFusionError::External(Box::new(Error::new(ErrorKind::Cardinality, message)))
}
