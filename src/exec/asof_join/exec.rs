//! The plan node: what it requires of its inputs, what it promises, how it is shown.

use std::fmt;
use std::sync::Arc;

use arrow::compute::SortOptions;
use arrow::datatypes::{FieldRef, Fields, Schema, SchemaRef};
use arrow::util::display::array_value_to_string;
use datafusion::common::stats::{ColumnStatistics, Precision};
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{Result, Statistics, internal_err};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::equivalence::{EquivalenceProperties, ProjectionMapping};
use datafusion::physical_expr::expressions::{Column, Literal};
use datafusion::physical_expr::{
    Distribution, LexOrdering, OrderingRequirements, Partitioning, PhysicalExpr, PhysicalSortExpr,
};
use datafusion::physical_plan::execution_plan::{Boundedness, CardinalityEffect, EmissionType};
use datafusion::physical_plan::metrics::{ExecutionPlanMetricsSet, MetricsSet};
use datafusion::physical_plan::projection::{
    EmbeddedProjection, ProjectionExec, try_embed_projection,
};
use datafusion::physical_plan::statistics::{ChildStats, StatisticsArgs};
use datafusion::physical_plan::{
    ChildrenPropertiesMode, DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties,
    InputDistributionRequirements, PlanProperties, ReplaceChildrenOptions, apply_expression_roots,
};

use futures::FutureExt;

use super::condition::{AsofCondition, Kind, Tolerance};
use super::gather::Output;
use super::hash::{self, Held, LookUp, Once};
use super::metrics::AsofMetrics;
use super::residual::Residual;
use super::sides::Sides;
use super::stream;

type Expr = Arc<dyn PhysicalExpr>;

/// What the names of tie columns begin with that the right input has for this join alone; EXPLAIN
/// shows them without.
pub const TIE_PREFIX: &str = "tie:";

/// How rows are found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// Both inputs are sorted and partitioned alike, and merged as they come.
    Stream,
    /// The right input is held, and left rows are looked up as they come.
    Hash,
}

/// ASOF JOIN of any two inputs. See the header of this room for its contracts.
#[derive(Clone, Debug)]
pub struct AsofJoinExec {
    left: Arc<dyn ExecutionPlan>,
    right: Arc<dyn ExecutionPlan>,
    condition: Arc<AsofCondition>,
    how: How,
    /// What [`How::Hash`] holds.
    held: Arc<Once>,
    /// Columns of the output among those of the left and then the right input.
    projection: Vec<usize>,
    left_order: LexOrdering,
    right_order: LexOrdering,
    metrics: ExecutionPlanMetricsSet,
    properties: Arc<PlanProperties>,
}

impl AsofJoinExec {
    /// A join whose output is `projection`: columns of the left and then the right input.
    pub fn try_new(
        left: Arc<dyn ExecutionPlan>,
        right: Arc<dyn ExecutionPlan>,
        condition: Arc<AsofCondition>,
        how: How,
        projection: Vec<usize>,
    ) -> Result<Self> {
        for key in &condition.on {
            let (l, r) =
                (key.left.data_type(&left.schema())?, key.right.data_type(&right.schema())?);
            if l != r {
                return internal_err!("asof join keys of types {l} and {r}");
            }
        }
        let left_keys = condition.on.iter().map(|key| &key.left);
        let right_keys = condition.on.iter().map(|key| &key.right);
        let (left_times, right_times): (Vec<_>, Vec<_>) =
            condition.match_on.iter().map(|(l, r)| (l, r)).unzip();
        let descending = condition.comparison.is_forward();
        let left_order = ordering(left_keys, left_times, &[], descending)?;
        let right_order = ordering(right_keys, right_times, &condition.ties, descending)?;
        let properties = Arc::new(properties(&left, &right, condition.kind, &projection)?);
        let metrics = ExecutionPlanMetricsSet::new();
        Ok(AsofJoinExec {
            left,
            right,
            condition,
            how,
            held: Arc::default(),
            projection,
            left_order,
            right_order,
            metrics,
            properties,
        })
    }

    /// What decides the matches.
    pub fn condition(&self) -> &AsofCondition {
        &self.condition
    }

    fn look_up(
        &self,
        left: SendableRecordBatchStream,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        let (condition, right_schema) = (Arc::clone(&self.condition), self.right.schema());
        let sides = Arc::new(Sides::try_new(condition, &self.left.schema(), &right_schema)?);
        let metrics = AsofMetrics::new(&self.metrics, partition);
        let partitions = self.left.output_partitioning().partition_count();
        let holding = self.held.hold(partitions, || {
            let right = self.right.execute(0, Arc::clone(&context))?;
            let properties = self.right.equivalence_properties();
            let in_order = properties.ordering_satisfy(self.right_order.clone())?;
            let order = (!in_order).then(|| self.right_order.clone());
            let metrics = AsofMetrics::new(&self.metrics, partition);
            let (sides, context) = (Arc::clone(&sides), Arc::clone(&context));
            Ok(Held::read(right, order, sides, partitions, context, metrics).boxed())
        })?;
        let (schema, kind) = (self.schema(), self.condition.kind);
        let projection = self.projection.clone();
        let output = Output { schema, kind, projection, right_schema };
        let batch_rows = context.session_config().batch_size();
        Ok(hash::join(LookUp { left, holding, sides, output, metrics, batch_rows }))
    }

    fn has_full_width(&self) -> bool {
        let of_right = if self.condition.kind.shows_right() { self.right_width() } else { 0 };
        self.projection.len() == self.left.schema().fields().len() + of_right
    }

    fn right_width(&self) -> usize {
        self.right.schema().fields().len()
    }
}

fn ordering<'a>(
    keys: impl Iterator<Item = &'a Expr>,
    times: Vec<&'a Expr>,
    ties: &'a [Expr],
    descending: bool,
) -> Result<LexOrdering> {
    let sort = |descending, nulls_first| {
        let options = SortOptions { descending, nulls_first };
        move |expr: &Expr| PhysicalSortExpr::new(Arc::clone(expr), options)
    };
    let exprs = keys.map(sort(false, false));
    let exprs = exprs.chain(times.into_iter().map(sort(descending, false)));
    match LexOrdering::new(exprs.chain(ties.iter().map(sort(false, true)))) {
        Some(ordering) => Ok(ordering),
        None => internal_err!("asof join without a match condition"),
    }
}

/// Columns of both inputs, those of a side nullable where a row of the other may come out without it.
fn joined_schema(left: &Schema, right: &Schema, kind: Kind) -> SchemaRef {
    let side = |fields: &Fields, nullable: bool| -> Vec<FieldRef> {
        let fields = fields.iter().map(|field| match nullable {
            true => Arc::new(field.as_ref().clone().with_nullable(true)),
            false => Arc::clone(field),
        });
        fields.collect()
    };
    let mut fields = side(left.fields(), kind.keeps_right());
    fields.extend(side(right.fields(), !kind.drops_unmatched()));
    let mut metadata = right.metadata().clone();
    metadata.extend(left.metadata().clone());
    Arc::new(Schema::new_with_metadata(fields, metadata))
}

/// Each left row appears at most once and in order, so what holds of the left input alone, its
/// order, equalities and partitioning, holds of the output; but not where right rows without one
/// come out among them.
fn properties(
    left: &Arc<dyn ExecutionPlan>,
    right: &Arc<dyn ExecutionPlan>,
    kind: Kind,
    projection: &[usize],
) -> Result<PlanProperties> {
    let schema = joined_schema(&left.schema(), &right.schema(), kind);
    if kind.keeps_right() {
        let equivalences = EquivalenceProperties::new(Arc::new(schema.project(projection)?));
        let partitions = left.output_partitioning().partition_count();
        return Ok(PlanProperties::new(
            equivalences,
            Partitioning::UnknownPartitioning(partitions),
            EmissionType::Both,
            boundedness(left, right),
        ));
    }
    let of_left = left.equivalence_properties();
    let mut equivalences = EquivalenceProperties::new(Arc::clone(&schema));
    equivalences.add_equivalence_group(of_left.eq_group().clone())?;
    equivalences.add_orderings(of_left.oeq_class().iter().cloned());
    let mapping = ProjectionMapping::from_indices(projection, &schema)?;
    let output = Arc::new(schema.project(projection)?);
    let partitioning = left.output_partitioning().project(&mapping, &equivalences);
    Ok(PlanProperties::new(
        equivalences.project(&mapping, output),
        partitioning,
        EmissionType::Incremental,
        boundedness(left, right),
    ))
}

/// The output ends with the left input, but only if the right one lets the cursor pass.
fn boundedness(left: &Arc<dyn ExecutionPlan>, right: &Arc<dyn ExecutionPlan>) -> Boundedness {
    match left.boundedness() {
        Boundedness::Bounded => right.boundedness(),
        unbounded => unbounded,
    }
}

impl DisplayAs for AsofJoinExec {
    fn fmt_as(&self, t: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let on = list(self.condition.on.iter().map(|key| {
            let equals = if key.null_equal { "IS NOT DISTINCT FROM" } else { "=" };
            format!("({} {equals} {})", name(&key.left), name(&key.right))
        }));
        let symbol = self.condition.comparison.symbol();
        let times = self.condition.match_on.iter();
        let times = list(times.map(|(l, r)| format!("{} {symbol} {}", name(l), name(r))));
        if matches!(t, DisplayFormatType::TreeRender) {
            return writeln!(f, "kind={:?}\non={on}\nmatch={times}", self.condition.kind);
        }
        let kind = self.condition.kind;
        let mode = match (self.how, &self.condition.residual) {
            (How::Stream, _) => "Stream",
            (How::Hash, None) => "Hash",
            (How::Hash, Some(_)) => "Loop",
        };
        write!(f, "AsofJoinExec: mode={mode}, kind={kind:?}, on=[{on}], match=[{times}]")?;
        if let Some(tolerance) = &self.condition.tolerance {
            write!(f, ", tolerance={tolerance}")?;
        }
        if let Some(condition) = &self.condition.left_condition {
            write!(f, ", left_condition={condition}")?;
        }
        if let Some(condition) = &self.condition.right_condition {
            write!(f, ", right_condition={condition}")?;
        }
        if let Some(residual) = &self.condition.residual {
            write!(f, ", residual={residual}")?;
        }
        if let Some(known) = &self.condition.known {
            write!(f, ", known_at={}", name(&known.at))?;
        }
        write!(f, ", tie=[{}]", list(self.condition.ties.iter().map(name)))?;
        if !self.has_full_width() {
            let schema = self.schema();
            let names = schema.fields().iter().map(|field| field.name().clone());
            write!(f, ", projection=[{}]", list(names))?;
        }
        Ok(())
    }
}

fn list(items: impl Iterator<Item = String>) -> String {
    items.collect::<Vec<_>>().join(", ")
}

/// A column by its bare name, a constant as it is written, anything else as it prints.
fn name(expr: &Expr) -> String {
    if let Some(column) = expr.downcast_ref::<Column>() {
        return column.name().trim_start_matches(TIE_PREFIX).to_owned();
    }
    let constant = expr.downcast_ref::<Literal>().and_then(|of| of.value().to_array().ok());
    let written = constant.and_then(|array| array_value_to_string(&array, 0).ok());
    written.unwrap_or_else(|| expr.to_string())
}

impl ExecutionPlan for AsofJoinExec {
    fn name(&self) -> &str {
        "AsofJoinExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn input_distribution_requirements(&self) -> InputDistributionRequirements {
        if self.how == How::Hash {
            let sides = vec![Distribution::UnspecifiedDistribution, Distribution::SinglePartition];
            return InputDistributionRequirements::new(sides);
        }
        if self.condition.on.is_empty() {
            return InputDistributionRequirements::new(vec![Distribution::SinglePartition; 2]);
        }
        let keys = self.condition.on.iter();
        let (left, right) = keys.map(|key| (Arc::clone(&key.left), Arc::clone(&key.right))).unzip();
        InputDistributionRequirements::co_partitioned(vec![
            Distribution::KeyPartitioned(left),
            Distribution::KeyPartitioned(right),
        ])
    }

    fn required_input_ordering(&self) -> Vec<Option<OrderingRequirements>> {
        if self.how == How::Hash {
            return vec![None, None];
        }
        vec![
            Some(OrderingRequirements::from(self.left_order.clone())),
            Some(OrderingRequirements::from(self.right_order.clone())),
        ]
    }

    /// The left order is kept where the properties say so. Said here too, DataFusion would push a sort
    /// that stands above the join below it, over the order that the join needs, or would take the
    /// right side's sort for one that a parent makes needless.
    fn maintains_input_order(&self) -> Vec<bool> {
        vec![false, false]
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.left, &self.right]
    }

    fn apply_expressions(
        &self,
        f: &mut dyn FnMut(&Expr) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        let condition = &self.condition;
        let on = condition.on.iter().flat_map(|key| [&key.left, &key.right]);
        let times = condition.match_on.iter().flat_map(|(left, right)| [left, right]);
        let bound = condition.tolerance.iter().filter_map(|tolerance| match tolerance {
            Tolerance::Bound { expr, .. } => Some(expr),
            Tolerance::Distance { .. } => None,
        });
        let residual = condition.residual.iter().map(Residual::expr);
        let of_one_side = condition.left_condition.iter().chain(&condition.right_condition);
        let known = condition.known.iter();
        let known = known.flat_map(|k| [&k.at, &k.from].into_iter().chain(&k.until));
        let exprs = on.chain(times).chain(bound).chain(of_one_side).chain(residual).chain(known);
        apply_expression_roots(exprs, f)
    }

    fn replace_children(
        self: Arc<Self>,
        mut children: Vec<Arc<dyn ExecutionPlan>>,
        options: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let (Some(right), Some(left)) = (children.pop(), children.pop()) else {
            return internal_err!("asof join needs two inputs");
        };
        if options.children_properties == ChildrenPropertiesMode::Keep {
            let (metrics, held) = (ExecutionPlanMetricsSet::new(), Arc::default());
            return Ok(Arc::new(AsofJoinExec { left, right, metrics, held, ..Self::clone(&self) }));
        }
        let (condition, projection) = (Arc::clone(&self.condition), self.projection.clone());
        Ok(Arc::new(AsofJoinExec::try_new(left, right, condition, self.how, projection)?))
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
        let left = self.left.execute(partition, Arc::clone(&context))?;
        if self.how == How::Hash {
            return self.look_up(left, partition, context);
        }
        let right = self.right.execute(partition, Arc::clone(&context))?;
        let inputs = stream::Inputs {
            left,
            right,
            condition: Arc::clone(&self.condition),
            projection: self.projection.clone(),
            schema: self.schema(),
        };
        stream::join(inputs, partition, &self.metrics, &context)
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }

    fn child_stats_requests(&self, partition: Option<usize>) -> Vec<ChildStats> {
        // Of what is held, every partition may have to hand out all.
        let of_right = match (self.condition.kind.keeps_right(), self.how) {
            (false, _) => ChildStats::Skip,
            (true, How::Stream) => ChildStats::At(partition),
            (true, How::Hash) => ChildStats::At(None),
        };
        vec![ChildStats::At(partition), of_right]
    }

    fn statistics_from_inputs(
        &self,
        inputs: &[Arc<Statistics>],
        _args: &StatisticsArgs,
    ) -> Result<Arc<Statistics>> {
        let [left, right] = [0, 1].map(|input| inputs[input].as_ref());
        let mut column_statistics = left.column_statistics.clone();
        column_statistics.extend(vec![ColumnStatistics::new_unknown(); self.right_width()]);
        let (left_rows, right_rows) = (left.num_rows.to_inexact(), right.num_rows.to_inexact());
        let num_rows = match self.condition.kind {
            Kind::Left => left.num_rows,
            Kind::Inner | Kind::Semi | Kind::Anti => left_rows,
            // Each right row at least once, and the more often the more left rows there are.
            Kind::Right => left_rows.max(&right_rows),
            Kind::Full => left_rows.add(&right_rows),
        };
        match self.condition.kind {
            Kind::Left => {}
            Kind::Right | Kind::Full => column_statistics.fill(ColumnStatistics::new_unknown()),
            Kind::Inner | Kind::Semi | Kind::Anti => {
                column_statistics =
                    column_statistics.into_iter().map(ColumnStatistics::to_inexact).collect();
            }
        }
        let total_byte_size = Precision::Absent;
        let statistics = Statistics { num_rows, total_byte_size, column_statistics };
        Ok(Arc::new(statistics.project(Some(&self.projection))))
    }

    fn cardinality_effect(&self) -> CardinalityEffect {
        match self.condition.kind {
            Kind::Left => CardinalityEffect::Equal,
            Kind::Inner | Kind::Semi | Kind::Anti => CardinalityEffect::LowerEqual,
            Kind::Right | Kind::Full => CardinalityEffect::Unknown,
        }
    }

    fn try_swapping_with_projection(
        &self,
        projection: &ProjectionExec,
    ) -> Result<Option<Arc<dyn ExecutionPlan>>> {
        try_embed_projection(projection, self)
    }
}

impl EmbeddedProjection for AsofJoinExec {
    fn with_projection(&self, projection: Option<Vec<usize>>) -> Result<Self> {
        let Some(columns) = projection else { return Ok(self.clone()) };
        let projection = columns.into_iter().map(|column| self.projection[column]).collect();
        let (left, right) = (Arc::clone(&self.left), Arc::clone(&self.right));
        AsofJoinExec::try_new(left, right, Arc::clone(&self.condition), self.how, projection)
    }
}
