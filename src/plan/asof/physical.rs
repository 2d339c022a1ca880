//! Node → operator.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use arrow::array::{RecordBatch, RecordBatchOptions};
use arrow::datatypes::{DataType, Schema};
use arrow::util::display::array_value_to_string;
use async_trait::async_trait;
use datafusion::catalog::Session;
use datafusion::common::{DFSchema, Result, ScalarValue};
use datafusion::execution::context::QueryPlanner;
use datafusion::execution::memory_pool::MemoryLimit;
use datafusion::logical_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion::logical_expr::{Expr, ExprSchemable, LogicalPlan, UserDefinedLogicalNode};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::filter::FilterExec;
use datafusion::physical_plan::statistics::{StatisticsArgs, StatisticsContext};
use datafusion::physical_planner::{DefaultPhysicalPlanner, ExtensionPlanner, PhysicalPlanner};

use super::external;
use super::node::{AsofJoinNode, ToleranceExpr};
use crate::error::{Error, ErrorKind};
use crate::exec::asof_join::{
    AsofCondition, AsofJoinExec, AsofKey, How, Known, Residual, Tolerance, unit_nanos,
};
use crate::exec::asof_search::{AsofSearchExec, Mode};

/// A query planner that knows extension nodes.
pub struct ExtensionQueryPlanner {
    planners: Vec<Arc<dyn ExtensionPlanner + Send + Sync>>,
}

impl ExtensionQueryPlanner {
    /// DataFusion's planner with these for the nodes it does not know.
    pub fn new(planners: Vec<Arc<dyn ExtensionPlanner + Send + Sync>>) -> Self {
        ExtensionQueryPlanner { planners }
    }
}

impl fmt::Debug for ExtensionQueryPlanner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ExtensionQueryPlanner({} planners)", self.planners.len())
    }
}

#[async_trait]
impl QueryPlanner for ExtensionQueryPlanner {
    async fn create_physical_plan(
        &self,
        plan: &LogicalPlan,
        session: &dyn Session,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let planner = DefaultPhysicalPlanner::with_extension_planners(self.planners.clone());
        planner.create_physical_plan(plan, session).await
    }
}

/// Which operator answers an ASOF join: `SET asof_mode`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AsofMode {
    /// Whichever touches fewest bytes.
    #[default]
    Auto,
    /// Each label is looked up in the files.
    Seek,
    /// Sorted labels go once through the files.
    Merge,
    /// The right side is held, and left rows are looked up by a table of its keys.
    Hash,
    /// The same, where a condition over both sides has to be tried row by row.
    Loop,
    /// Both sides are sorted, and merged as they come.
    Stream,
}

/// Says which mode the session asks for, each time a join is planned.
pub trait AsofModes: Send + Sync {
    /// The mode.
    fn asof_mode(&self) -> AsofMode;
}

/// Always this one.
impl AsofModes for AsofMode {
    fn asof_mode(&self) -> AsofMode {
        *self
    }
}

impl FromStr for AsofMode {
    type Err = Error;

    fn from_str(name: &str) -> crate::error::Result<Self> {
        match name.to_ascii_lowercase().as_str() {
            "auto" => Ok(AsofMode::Auto),
            "seek" => Ok(AsofMode::Seek),
            "merge" => Ok(AsofMode::Merge),
            "hash" => Ok(AsofMode::Hash),
            "loop" => Ok(AsofMode::Loop),
            "stream" => Ok(AsofMode::Stream),
            _ => {
                let message = format!("invalid value for parameter \"asof_mode\": \"{name}\"");
                let error = Error::new(ErrorKind::InvalidValue, message);
                Err(error.hint("one of auto, seek, merge, hash, loop, stream"))
            }
        }
    }
}

/// Plans [`AsofJoinNode`]s.
pub struct AsofExtensionPlanner(pub Arc<dyn AsofModes>);

#[async_trait]
impl ExtensionPlanner for AsofExtensionPlanner {
    async fn plan_extension(
        &self,
        planner: &dyn PhysicalPlanner,
        node: &dyn UserDefinedLogicalNode,
        _logical_inputs: &[&LogicalPlan],
        physical_inputs: &[Arc<dyn ExecutionPlan>],
        session: &dyn Session,
        context: &PhysicalPlanningContext,
    ) -> Result<Option<Arc<dyn ExecutionPlan>>> {
        let Some(node) = node.as_any().downcast_ref::<AsofJoinNode>() else { return Ok(None) };
        let exprs = Exprs { planner, session, context };
        let condition = exprs.condition(node)?;
        let left_width = node.left.schema().fields().len();
        let shown = node.shown().into_iter().map(|column| left_width + column);
        let projection: Vec<usize> = (0..left_width).chain(shown).collect();
        let [left, right] = [0, 1].map(|input| Arc::clone(&physical_inputs[input]));
        let memory_bytes = match session.runtime_env().memory_pool.memory_limit() {
            MemoryLimit::Finite(bytes) => bytes,
            MemoryLimit::Infinite | MemoryLimit::Unknown => usize::MAX,
        };
        let condition = Arc::new(condition);
        let sides = Sides { left, right, condition, projection, memory_bytes };
        let joined = sides.plan(self.0.asof_mode())?;
        Ok(Some(match &node.output_filter {
            Some(filter) => {
                Arc::new(FilterExec::try_new(exprs.expr(filter, node.schema())?, joined)?)
            }
            None => joined,
        }))
    }
}

/// A join on its way to an operator.
struct Sides {
    left: Arc<dyn ExecutionPlan>,
    right: Arc<dyn ExecutionPlan>,
    condition: Arc<AsofCondition>,
    projection: Vec<usize>,
    /// What the statement may hold.
    memory_bytes: usize,
}

impl Sides {
    fn plan(self, mode: AsofMode) -> Result<Arc<dyn ExecutionPlan>> {
        let residual = self.condition.residual.is_some();
        match mode {
            AsofMode::Auto => self.choose(),
            AsofMode::Seek => self.search(Mode::Seek)?.ok_or_else(|| external(unserved(mode))),
            AsofMode::Merge => self.search(Mode::Merge)?.ok_or_else(|| external(unserved(mode))),
            AsofMode::Hash if !residual => self.join(How::Hash),
            AsofMode::Loop if residual => self.join(How::Hash),
            AsofMode::Hash | AsofMode::Loop => Err(external(unserved(mode))),
            AsofMode::Stream => self.join(How::Stream),
        }
    }

    /// The fewest bytes: a small right side is held, and left rows go by; a table in order is searched;
    /// of anything else both sides are sorted.
    fn choose(self) -> Result<Arc<dyn ExecutionPlan>> {
        let (left, right) = (rows_of(&self.left), rows_of(&self.right));
        let is_small = right.is_some_and(|right| {
            let bytes = right.saturating_mul(held_row_bytes(&self.right.schema()));
            right <= HELD_ROWS_MAX && bytes <= self.memory_bytes / HELD_PART
        });
        let is_beside = matches!((left, right), (Some(l), Some(r)) if r.saturating_mul(8) <= l);
        if is_small && is_beside {
            return self.join(How::Hash);
        }
        if let Some(search) = self.search(Mode::Auto)? {
            return Ok(search);
        }
        self.join(if is_small { How::Hash } else { How::Stream })
    }

    fn search(&self, mode: Mode) -> Result<Option<Arc<dyn ExecutionPlan>>> {
        if self.condition.known.is_some() {
            // Row versions do not lie in files in an order.
            return Ok(None);
        }
        let (condition, projection) = (&self.condition, &self.projection);
        let search = AsofSearchExec::over(&self.left, &self.right, condition, projection, mode)?;
        Ok(search.map(|search| Arc::new(search) as _))
    }

    fn join(self, how: How) -> Result<Arc<dyn ExecutionPlan>> {
        let Sides { left, right, condition, projection, .. } = self;
        Ok(Arc::new(AsofJoinExec::try_new(left, right, condition, how, projection)?))
    }
}

/// Rows of a right side that is held without a second thought.
const HELD_ROWS_MAX: usize = 2_000_000;
/// A right side that is held may take such a part of the statement's memory: the left side and what stands
/// above the join need some too.
const HELD_PART: usize = 2;

/// About what a row of a held right side takes while it is put in order: as it comes, put together, and
/// sorted, and its place in the table of keys.
fn held_row_bytes(schema: &Schema) -> usize {
    const TEXT: usize = 32;
    const PLACE: usize = 80;
    let width = |of: &DataType| of.primitive_width().unwrap_or(TEXT);
    3 * schema.fields().iter().map(|field| width(field.data_type())).sum::<usize>() + PLACE
}

/// How many rows a plan has, as far as it is known before it runs.
fn rows_of(plan: &Arc<dyn ExecutionPlan>) -> Option<usize> {
    let statistics = StatisticsContext::default().compute(plan.as_ref(), &StatisticsArgs::new());
    statistics.ok()?.num_rows.get_value().copied()
}

fn unserved(mode: AsofMode) -> Error {
    let name = format!("{mode:?}").to_lowercase();
    let message = format!("asof_mode {name} cannot serve this join");
    let needs = match mode {
        AsofMode::Hash => "the join has a condition over both sides, which is mode loop's",
        AsofMode::Loop => "the join has no condition over both sides but keys, time and tolerance",
        _ => {
            "it needs a table on the right that is clustered by the keys and then the time, no \
             condition over both sides, no KNOWN AT, and a kind other than RIGHT and FULL"
        }
    };
    Error::new(ErrorKind::NotSupported, message).hint(format!("{needs}; SET asof_mode = auto"))
}

/// Turns the expressions of one node into physical ones.
struct Exprs<'a> {
    planner: &'a dyn PhysicalPlanner,
    session: &'a dyn Session,
    context: &'a PhysicalPlanningContext,
}

type Physical = Arc<dyn PhysicalExpr>;

impl Exprs<'_> {
    fn expr(&self, expr: &Expr, schema: &DFSchema) -> Result<Physical> {
        self.planner.create_physical_expr(expr, schema, self.session, self.context)
    }

    fn condition(&self, node: &AsofJoinNode) -> Result<AsofCondition> {
        let (left, right) = (node.left.schema(), node.right.schema());
        let on = node.on.iter().map(|on| {
            let (left, right) = (self.expr(&on.left, left)?, self.expr(&on.right, right)?);
            Ok(AsofKey { left, right, null_equal: on.null_equal })
        });
        let pairs = node.match_condition.pairs.iter();
        let pairs = pairs.map(|(l, r)| Ok((self.expr(l, left)?, self.expr(r, right)?)));
        let residual = match &node.residual {
            Some(residual) => {
                let schema = left.join(right)?;
                let expr = self.expr(residual, &schema)?;
                Some(Residual::try_new(expr, schema.as_arrow(), left.fields().len())?)
            }
            None => None,
        };
        Ok(AsofCondition {
            kind: node.kind,
            on: on.collect::<Result<_>>()?,
            match_on: pairs.collect::<Result<_>>()?,
            comparison: node.match_condition.comparison,
            tolerance: match &node.tolerance {
                Some(tolerance) => Some(self.tolerance(tolerance, node)?),
                None => None,
            },
            left_condition: match &node.left_condition {
                Some(condition) => Some(self.expr(condition, left)?),
                None => None,
            },
            right_condition: match &node.right_condition {
                Some(condition) => Some(self.expr(condition, right)?),
                None => None,
            },
            residual,
            known: match &node.known {
                Some(known) => Some(Known {
                    at: self.expr(&known.at, left)?,
                    from: self.expr(&known.from, right)?,
                    until: known.until.as_ref().map(|e| self.expr(e, right)).transpose()?,
                    floor: known.floor.clone(),
                }),
                None => None,
            },
            ties: node.ties.iter().map(|tie| self.expr(tie, right)).collect::<Result<_>>()?,
        })
    }

    /// A distance where the constant is one of the time's lane, else the bound as an expression: so
    /// months, which are no fixed distance, are calendar arithmetic.
    fn tolerance(&self, tolerance: &ToleranceExpr, node: &AsofJoinNode) -> Result<Tolerance> {
        let (left, right) = &node.match_condition.pairs[0];
        let types = (left.get_type(node.left.schema())?, right.get_type(node.right.schema())?);
        let mut distance_text = None;
        if let Some(distance) = &tolerance.distance {
            let value = self.constant(distance)?;
            let text = array_value_to_string(&value.to_array()?, 0)?;
            let text = format!("{}{text}", if tolerance.inclusive { "" } else { "< " });
            if let Some((amount, unit)) = fixed(&value, &types) {
                // Never beyond: down to whole steps, and one less where the bound is excluded.
                let steps = match tolerance.inclusive {
                    true => amount.div_euclid(unit),
                    false => (amount - 1).div_euclid(unit),
                };
                return Ok(Tolerance::Distance { steps, text });
            }
            distance_text = Some(text);
        }
        let expr = self.expr(&tolerance.bound, node.left.schema())?;
        let inclusive = tolerance.inclusive;
        Ok(Tolerance::Bound { expr, inclusive, distance: distance_text })
    }

    fn constant(&self, expr: &Expr) -> Result<ScalarValue> {
        let expr = self.expr(expr, &DFSchema::empty())?;
        let options = RecordBatchOptions::new().with_row_count(Some(1));
        let row = RecordBatch::try_new_with_options(Arc::new(Schema::empty()), vec![], &options)?;
        ScalarValue::try_from_array(&expr.evaluate(&row)?.into_array(1)?, 0)
    }
}

/// The constant, and one step of the time's lane, in one unit.
fn fixed(value: &ScalarValue, (left, right): &(DataType, DataType)) -> Option<(i128, i128)> {
    let nanos = unit_nanos(left, right);
    match (value, nanos) {
        (ScalarValue::IntervalMonthDayNano(Some(span)), Some(unit)) if span.months == 0 => {
            let day = 86_400_000_000_000;
            Some((i128::from(span.days) * day + i128::from(span.nanoseconds), unit))
        }
        (ScalarValue::IntervalDayTime(Some(span)), Some(unit)) => {
            let (day, milli) = (86_400_000_000_000, 1_000_000);
            Some((i128::from(span.days) * day + i128::from(span.milliseconds) * milli, unit))
        }
        (ScalarValue::DurationSecond(Some(v)), Some(unit)) => {
            Some((i128::from(*v) * 1_000_000_000, unit))
        }
        (ScalarValue::DurationMillisecond(Some(v)), Some(unit)) => {
            Some((i128::from(*v) * 1_000_000, unit))
        }
        (ScalarValue::DurationMicrosecond(Some(v)), Some(unit)) => {
            Some((i128::from(*v) * 1_000, unit))
        }
        (ScalarValue::DurationNanosecond(Some(v)), Some(unit)) => Some((i128::from(*v), unit)),
        (number, None) if left == right && left.is_integer() => whole(number).map(|v| (v, 1)),
        (number, Some(_)) if left == right && *left == DataType::Date32 => {
            whole(number).map(|v| (v, 1))
        }
        _ => None,
    }
}

fn whole(value: &ScalarValue) -> Option<i128> {
    match value.cast_to(&DataType::Int64).ok()? {
        ScalarValue::Int64(Some(v)) if value.data_type().is_integer() => Some(v.into()),
        _ => None,
    }
}
