//! One right side: rows of a table in clustering order, and which of them a label gets.

use std::sync::Arc;

use arrow::datatypes::Schema;
use datafusion::common::Result;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::{CastExpr, Column};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::projection::ProjectionExec;

use super::keys::{is_ranked, is_whole};
use super::sweep::Direction;
use crate::exec::asof_join::{AsofCondition, Kind, instant};
use crate::exec::scan::{ScanPlan, SegmentScanExec};
use crate::spec::{ColumnId, TableSchema};

/// How a right side is searched.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// Segment by segment, whichever touches fewer bytes.
    #[default]
    Auto,
    /// Each label is looked up by the page index: few labels, long history.
    Seek,
    /// Every page between the first and the last key is read.
    Merge,
}

/// One right side.
#[derive(Clone, Debug)]
pub(super) struct View {
    pub scan: Arc<ScanPlan>,
    pub condition: Arc<AsofCondition>,
    /// The table's keys, in clustering order, and the expressions over the left input they equal.
    pub keys: Vec<ColumnId>,
    pub left_keys: Vec<Arc<dyn PhysicalExpr>>,
    pub time: ColumnId,
    pub left_time: Arc<dyn PhysicalExpr>,
    /// Columns of the table that the join shows, by position.
    pub shown: Vec<usize>,
    pub mode: Mode,
    /// Whether the extreme values of a time mean infinity.
    pub has_infinity: bool,
}

impl View {
    /// The right input as rows of one table that are clustered by the keys and the time of the
    /// condition; None where it is anything else. `shown` are the columns of it that are wanted.
    pub(super) fn of(
        left: &Schema,
        right: &Arc<dyn ExecutionPlan>,
        condition: &Arc<AsofCondition>,
        shown: &[usize],
        mode: Mode,
    ) -> Result<Option<View>> {
        let is_plain = condition.residual.is_none()
            && condition.match_on.len() == 1
            && condition.on.iter().all(|key| !key.null_equal);
        let Some((scan, columns)) = scan_of(right).filter(|_| is_plain) else { return Ok(None) };
        if scan.limit.is_some() || condition.kind.keeps_right() {
            return Ok(None);
        }
        let visible = scan.table.schema().columns.len();
        let position = |column: usize| {
            let position = columns.get(column).and_then(|at| scan.projection.get(*at));
            position.copied().filter(|position| *position < visible)
        };
        let Some(shown) = shown.iter().map(|c| position(*c)).collect::<Option<Vec<_>>>() else {
            return Ok(None);
        };
        let id = |expr: &Arc<dyn PhysicalExpr>| {
            let (column, is_cast) = column_of(expr)?;
            let column = &scan.table.schema().columns[position(column)?];
            (!is_cast || column.data_type.arrow().is_signed_integer()).then_some(column.id)
        };
        let (left_time, right_time) = &condition.match_on[0];
        let Some(time) = id(right_time) else { return Ok(None) };
        let on = condition.on.iter().map(|key| Some((id(&key.right)?, key)));
        let Some(on) = on.collect::<Option<Vec<_>>>() else { return Ok(None) };
        let Some((time_at, leading)) = scan.table.schema().cluster_by.split_last() else {
            return Ok(None);
        };
        let mut left_keys = Vec::with_capacity(leading.len());
        for id in leading {
            let Some((_, key)) = on.iter().find(|(column, _)| column == id) else {
                return Ok(None);
            };
            left_keys.push(Arc::clone(&key.left));
        }
        let each_once = on.len() == leading.len();
        let time_type = left_time.data_type(left)?;
        let same_type = time_type == right_time.data_type(&right.schema())?;
        let key_types = left_keys.iter().map(|key| key.data_type(left));
        let key_types = key_types.collect::<Result<Vec<_>>>()?;
        let casts = condition.on.iter().any(|key| key.right.downcast_ref::<Column>().is_none());
        let is_compared = match key_types.as_slice() {
            [one] if is_whole(one) => true,
            many => !casts && many.iter().all(is_ranked),
        };
        let fits = each_once && *time_at == time && same_type && is_whole(&time_type);
        if !fits || !is_compared || !is_in_order(&scan)? {
            return Ok(None);
        }
        Ok(Some(View {
            keys: leading.to_vec(),
            left_keys,
            time,
            left_time: Arc::clone(left_time),
            condition: Arc::clone(condition),
            shown,
            mode,
            has_infinity: instant(&time_type),
            scan,
        }))
    }

    pub(super) fn schema(&self) -> &Arc<TableSchema> {
        self.scan.table.schema()
    }

    pub(super) fn direction(&self) -> Direction {
        let comparison = self.condition.comparison;
        Direction { forward: comparison.is_forward(), inclusive: comparison.is_inclusive() }
    }

    /// Whether another view's labels have these keys and times, and may match where these may.
    pub(super) fn asks_as(&self, other: &View) -> bool {
        self.left_keys == other.left_keys
            && self.left_time.eq(&other.left_time)
            && self.condition.left_condition == other.condition.left_condition
    }

    pub(super) fn is_outer(&self) -> bool {
        self.condition.kind == Kind::Left
    }
}

/// The table's scan below renamings and projections, and which of its columns each column is.
fn scan_of(plan: &Arc<dyn ExecutionPlan>) -> Option<(Arc<ScanPlan>, Vec<usize>)> {
    if let Some(scan) = plan.downcast_ref::<SegmentScanExec>() {
        let all = (0..scan.schema().fields().len()).collect();
        return Some((Arc::clone(scan.plan()), all));
    }
    let projection = plan.downcast_ref::<ProjectionExec>()?;
    let (scan, inner) = scan_of(projection.input())?;
    let of = |expr: &Arc<dyn PhysicalExpr>| {
        expr.downcast_ref::<Column>().map(|column| inner[column.index()])
    };
    let columns = projection.expr().iter().map(|shown| of(&shown.expr));
    Some((scan, columns.collect::<Option<_>>()?))
}

/// The column that an expression is, or casts to a wider whole number: its order stays.
fn column_of(expr: &Arc<dyn PhysicalExpr>) -> Option<(usize, bool)> {
    if let Some(column) = expr.downcast_ref::<Column>() {
        return Some((column.index(), false));
    }
    let cast = expr.downcast_ref::<CastExpr>()?;
    let column = cast.expr().downcast_ref::<Column>()?;
    cast.cast_type().is_signed_integer().then(|| (column.index(), true))
}

/// Whether every file is in the order that the table has now, in types that keep it.
fn is_in_order(scan: &ScanPlan) -> Result<bool> {
    let schema = scan.table.schema();
    let order = schema.order();
    let waves = scan.waves()?;
    Ok(waves.iter().flatten().all(|segment| segment.meta.order == order))
}
