//! The plan node: what it promises, how it is shown.

use std::fmt;
use std::sync::Arc;

use arrow::datatypes::{FieldRef, Schema, SchemaRef};
use datafusion::common::stats::{ColumnStatistics, Precision};
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{Result, Statistics, internal_err};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::equivalence::{EquivalenceProperties, ProjectionMapping};
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_plan::execution_plan::{CardinalityEffect, EmissionType};
use datafusion::physical_plan::metrics::{ExecutionPlanMetricsSet, MetricsSet};
use datafusion::physical_plan::projection::{
    EmbeddedProjection, ProjectionExec, try_embed_projection,
};
use datafusion::physical_plan::statistics::{ChildStats, StatisticsArgs, StatisticsContext};
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties, PlanProperties,
    ReplaceChildrenOptions, apply_expression_roots,
};

use super::metrics::SearchMetrics;
use super::spine::Spine;
use super::stream::{self, Run};
use super::view::{Mode, View};
use crate::exec::asof_join::{AsofCondition, Tolerance};

/// A column of the output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shown {
    /// Of the left input.
    Left(usize),
    /// Of one view, by its place among those the view shows.
    Right { view: usize, column: usize },
}

/// ASOF JOIN of one input with tables in clustering order. See the header of this room.
#[derive(Debug)]
pub struct AsofSearchExec {
    left: Arc<dyn ExecutionPlan>,
    views: Vec<Arc<View>>,
    columns: Vec<Shown>,
    metrics: ExecutionPlanMetricsSet,
    properties: Arc<PlanProperties>,
    run: Run,
}

impl AsofSearchExec {
    /// The join, where its right input is a table that is clustered by the keys and the time; None
    /// where it is not. `projection` are columns of the left and then the right input.
    ///
    /// Where the left input is such a join itself, and the condition asks nothing of what that one
    /// found, both become one: the labels are collected and sorted once.
    pub fn over(
        left: &Arc<dyn ExecutionPlan>,
        right: &Arc<dyn ExecutionPlan>,
        condition: &Arc<AsofCondition>,
        projection: &[usize],
        mode: Mode,
    ) -> Result<Option<Self>> {
        let (schema, right_schema) = (left.schema(), right.schema());
        let width = schema.fields().len();
        let of_right = projection.iter().filter_map(|column| column.checked_sub(width));
        let wanted: Vec<usize> = of_right.collect();
        let spine = Spine::of(left, condition)?;
        let condition = &spine.condition;
        let Some(view) = View::of(&spine.left.schema(), right, condition, &wanted, mode)? else {
            return Ok(None);
        };
        let mut next = 0;
        let (mut columns, mut fields): (Vec<Shown>, Vec<FieldRef>) = (Vec::new(), Vec::new());
        for &column in projection {
            match column.checked_sub(width) {
                None => {
                    columns.push(spine.columns[column]);
                    fields.push(Arc::clone(&schema.fields()[column]));
                }
                Some(column) => {
                    columns.push(Shown::Right { view: spine.views.len(), column: next });
                    next += 1;
                    let field = right_schema.field(column).clone();
                    let nullable = field.is_nullable() || view.is_outer();
                    fields.push(Arc::new(field.with_nullable(nullable)));
                }
            }
        }
        let mut metadata = right_schema.metadata().clone();
        metadata.extend(schema.metadata().clone());
        let schema = Arc::new(Schema::new_with_metadata(fields, metadata));
        let mut views = spine.views;
        views.push(Arc::new(view));
        AsofSearchExec::try_new(spine.left, views, columns, schema).map(Some)
    }

    fn try_new(
        left: Arc<dyn ExecutionPlan>,
        views: Vec<Arc<View>>,
        columns: Vec<Shown>,
        schema: SchemaRef,
    ) -> Result<Self> {
        let properties = Arc::new(properties(&left, &columns, &schema)?);
        let (metrics, run) = (ExecutionPlanMetricsSet::new(), Run::default());
        Ok(AsofSearchExec { left, views, columns, metrics, properties, run })
    }

    pub(super) fn parts(&self) -> (&Arc<dyn ExecutionPlan>, &[Arc<View>], &[Shown]) {
        (&self.left, &self.views, &self.columns)
    }

    fn keeps_all(&self) -> bool {
        self.views.iter().all(|view| view.is_outer())
    }
}

/// Each left row appears at most once and in order, so what holds of the left input alone, its order
/// and partitioning, holds of the output.
fn properties(
    left: &Arc<dyn ExecutionPlan>,
    columns: &[Shown],
    schema: &SchemaRef,
) -> Result<PlanProperties> {
    let of_left = left.equivalence_properties();
    let kept = columns.iter().enumerate().filter_map(|(out, column)| match column {
        Shown::Left(column) => Some((*column, out)),
        Shown::Right { .. } => None,
    });
    let input = left.schema();
    let pairs = kept.map(|(column, out)| {
        let from = Arc::new(Column::new(input.field(column).name(), column));
        let to = Arc::new(Column::new(schema.field(out).name(), out));
        (from as Arc<dyn PhysicalExpr>, vec![(to as Arc<dyn PhysicalExpr>, out)].into())
    });
    let mapping: ProjectionMapping = pairs.collect();
    let partitioning = left.output_partitioning().project(&mapping, of_left);
    let equivalences: EquivalenceProperties = of_left.project(&mapping, Arc::clone(schema));
    let (emission, bounded) = (EmissionType::Final, left.boundedness());
    Ok(PlanProperties::new(equivalences, partitioning, emission, bounded))
}

impl DisplayAs for AsofSearchExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AsofSearchExec: ")?;
        for (n, view) in self.views.iter().enumerate() {
            if n > 0 {
                f.write_str("; ")?;
            }
            write!(f, "{}", view.shown_with(self.left_rows()))?;
        }
        if self.columns.iter().any(|column| matches!(column, Shown::Left(_))) {
            f.write_str(", order=left")?;
        }
        Ok(())
    }
}

impl AsofSearchExec {
    fn left_rows(&self) -> Option<usize> {
        let args = StatisticsContext::default();
        let statistics = args.compute(self.left.as_ref(), &StatisticsArgs::new()).ok()?;
        statistics.num_rows.get_value().copied()
    }
}

impl ExecutionPlan for AsofSearchExec {
    fn name(&self) -> &str {
        "AsofSearchExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn maintains_input_order(&self) -> Vec<bool> {
        vec![true]
    }

    /// Rows are gathered by as many as ask for them, but found together: more partitions would only
    /// be sent around.
    fn benefits_from_input_partitioning(&self) -> Vec<bool> {
        vec![false]
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.left]
    }

    fn apply_expressions(
        &self,
        f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        let exprs = self.views.iter().flat_map(|view| {
            let bound = view.condition.tolerance.iter().filter_map(|tolerance| match tolerance {
                Tolerance::Bound { expr, .. } => Some(expr),
                Tolerance::Distance { .. } => None,
            });
            let times = std::iter::once(&view.left_time).chain(bound);
            view.left_keys.iter().chain(times).chain(&view.condition.left_condition)
        });
        apply_expression_roots(exprs, f)
    }

    fn replace_children(
        self: Arc<Self>,
        mut children: Vec<Arc<dyn ExecutionPlan>>,
        _: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let (Some(left), true) = (children.pop(), children.is_empty()) else {
            return internal_err!("an asof search has one input");
        };
        let (views, columns) = (self.views.clone(), self.columns.clone());
        Ok(Arc::new(AsofSearchExec::try_new(left, views, columns, self.schema())?))
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        use datafusion::physical_plan::ChildrenPropertiesMode;
        let options = ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute);
        self.replace_children(children, options)
    }

    fn execute(
        &self,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        let search = stream::Search {
            left: Arc::clone(&self.left),
            views: self.views.clone(),
            columns: self.columns.clone(),
            schema: self.schema(),
            metrics: SearchMetrics::new(&self.metrics),
            context,
        };
        self.run.execute(search, partition)
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }

    fn child_stats_requests(&self, partition: Option<usize>) -> Vec<ChildStats> {
        vec![ChildStats::At(partition)]
    }

    fn statistics_from_inputs(
        &self,
        inputs: &[Arc<Statistics>],
        _args: &StatisticsArgs,
    ) -> Result<Arc<Statistics>> {
        let left = inputs[0].as_ref();
        let exact = self.keeps_all();
        let column = |column: &Shown| match column {
            Shown::Left(column) if exact => left.column_statistics[*column].clone(),
            Shown::Left(column) => left.column_statistics[*column].clone().to_inexact(),
            Shown::Right { .. } => ColumnStatistics::new_unknown(),
        };
        Ok(Arc::new(Statistics {
            num_rows: if exact { left.num_rows } else { left.num_rows.to_inexact() },
            total_byte_size: Precision::Absent,
            column_statistics: self.columns.iter().map(column).collect(),
        }))
    }

    fn cardinality_effect(&self) -> CardinalityEffect {
        if self.keeps_all() { CardinalityEffect::Equal } else { CardinalityEffect::LowerEqual }
    }

    fn try_swapping_with_projection(
        &self,
        projection: &ProjectionExec,
    ) -> Result<Option<Arc<dyn ExecutionPlan>>> {
        try_embed_projection(projection, self)
    }
}

impl EmbeddedProjection for AsofSearchExec {
    fn with_projection(&self, projection: Option<Vec<usize>>) -> Result<Self> {
        let width = self.columns.len();
        let wanted = projection.unwrap_or_else(|| (0..width).collect());
        let schema = Arc::new(self.schema().project(&wanted)?);
        let mut views: Vec<View> = self.views.iter().map(|view| view.as_ref().clone()).collect();
        views.iter_mut().for_each(|view| view.shown.clear());
        let mut columns = Vec::with_capacity(wanted.len());
        for out in wanted {
            columns.push(match self.columns[out] {
                Shown::Right { view, column } => {
                    views[view].shown.push(self.views[view].shown[column]);
                    Shown::Right { view, column: views[view].shown.len() - 1 }
                }
                left => left,
            });
        }
        // A view of which nothing is shown, and that drops no label, need not be searched.
        let needed = |view: &View| !view.is_outer() || !view.shown.is_empty();
        let before = |at: usize| views[..at].iter().filter(|view| needed(view)).count();
        for column in &mut columns {
            if let Shown::Right { view, .. } = column {
                *view = before(*view);
            }
        }
        let views = views.into_iter().filter(needed).map(Arc::new).collect();
        AsofSearchExec::try_new(Arc::clone(&self.left), views, columns, schema)
    }
}

impl View {
    /// As EXPLAIN shows it, for about so many labels.
    fn shown_with(&self, labels: Option<usize>) -> String {
        let condition = &self.condition;
        let symbol = condition.comparison.symbol();
        let name = |expr: &Arc<dyn PhysicalExpr>| match expr.downcast_ref::<Column>() {
            Some(column) => column.name().to_owned(),
            None => expr.to_string(),
        };
        let column = |id| self.schema().column(id).map_or_else(String::new, |c| c.name.clone());
        let on = self.left_keys.iter().zip(&self.keys);
        let on: Vec<_> = on.map(|(l, id)| format!("({} = {})", name(l), column(*id))).collect();
        let (mode, kind, on) = (self.mode_for(labels), condition.kind, on.join(", "));
        let times = format!("{} {symbol} {}", name(&self.left_time), column(self.time));
        let mut text = format!("mode={mode:?}, kind={kind:?}, on=[{on}], match=[{times}]");
        if let Some(tolerance) = &condition.tolerance {
            text += &format!(", tolerance={tolerance}");
        }
        if let Some(left) = &condition.left_condition {
            text += &format!(", left_condition={left}");
        }
        let ties = self.schema().ties.iter().map(|id| column(*id));
        let ties: Vec<_> = ties.chain(["_commit".to_owned(), "_row_id".to_owned()]).collect();
        text += &format!(", tie=[{}], right={}", ties.join(", "), self.scan.summary());
        text
    }

    /// What [`Mode::Auto`] will come to, as far as it can be told before the labels are counted.
    fn mode_for(&self, labels: Option<usize>) -> Mode {
        match (self.mode, labels) {
            (Mode::Auto, Some(labels)) if super::search::seeks(labels, self.scan.pages()) => {
                Mode::Seek
            }
            (Mode::Auto, _) => Mode::Merge,
            (forced, _) => forced,
        }
    }
}
