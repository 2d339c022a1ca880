//! Conditions over both sides that are not keys, time or tolerance: the nearest right row for which
//! they hold is the match, so the merge walks back through the rows it has passed.

use std::fmt;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, RecordBatch, RecordBatchOptions, UInt32Array,
};
use arrow::compute::{interleave, take};
use arrow::datatypes::{Field, Schema, SchemaRef};
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::common::{DataFusionError, Result};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::utils::collect_columns;

use super::sides::LeftRows;
use super::window::{Position, Window};

/// Pairs evaluated at once.
const PAIRS_MAX: usize = 8192;

/// A condition over the columns of both inputs.
#[derive(Clone, Debug)]
pub struct Residual {
    expr: Arc<dyn PhysicalExpr>,
    /// Columns of the left and then the right input, in the order the expression has them.
    columns: Vec<usize>,
    left_width: usize,
    schema: SchemaRef,
}

/// A left row that waits for its match: `next` is the nearest row not yet tried, `start` the first
/// row of the key.
pub(super) struct Pending {
    pub(super) row: usize,
    pub(super) next: Option<Position>,
    pub(super) start: Position,
}

/// What one left row tries in one round: `candidates` rows of the pairs.
struct Attempt {
    pending: Pending,
    candidates: usize,
}

impl Residual {
    /// `expr` is over `schema`: the columns of the left input, then those of the right.
    pub fn try_new(
        expr: Arc<dyn PhysicalExpr>,
        schema: &Schema,
        left_width: usize,
    ) -> Result<Self> {
        let mut columns: Vec<usize> = collect_columns(&expr).iter().map(Column::index).collect();
        columns.sort_unstable();
        let fields = columns.iter().map(|&c| schema.field(c).clone().with_nullable(true));
        let schema = Arc::new(Schema::new(fields.collect::<Vec<Field>>()));
        let expr = expr
            .transform_up(|node| {
                let Some(column) = node.downcast_ref::<Column>() else {
                    return Ok(Transformed::no(node));
                };
                let index = columns.binary_search(&column.index()).map_err(|_| {
                    DataFusionError::Internal("a column that was not collected".to_owned())
                })?;
                Ok(Transformed::yes(Arc::new(Column::new(column.name(), index)) as _))
            })
            .data()?;
        Ok(Residual { expr, columns, left_width, schema })
    }

    pub(super) fn expr(&self) -> &Arc<dyn PhysicalExpr> {
        &self.expr
    }

    /// Finds the match of every pending row; `near` says whether a row is within the tolerance, and
    /// rows behind one that is not are not tried.
    pub(super) fn settle(
        &self,
        of: &LeftRows,
        window: &Window,
        mut pending: Vec<Pending>,
        near: impl Fn(usize, Position) -> bool,
        mut decide: impl FnMut(usize, Option<Position>),
    ) -> Result<usize> {
        let left = &of.rows.batch;
        let (mut width, mut tried) = (1, 0);
        while !pending.is_empty() {
            let mut attempts = Vec::new();
            let (mut lefts, mut rights) = (Vec::new(), Vec::new());
            let mut later = Vec::new();
            for mut row in pending {
                if rights.len() >= PAIRS_MAX {
                    later.push(row);
                    continue;
                }
                let before = rights.len();
                while let Some(position) = row.next.filter(|_| rights.len() - before < width) {
                    if !near(row.row, position) {
                        row.next = None;
                        break;
                    }
                    lefts.push(row.row as u32);
                    rights.push(position);
                    let before = (position > row.start).then(|| window.before(position)).flatten();
                    row.next =
                        before.and_then(|at| of.known_before(row.row, window, at, row.start));
                }
                attempts.push(Attempt { pending: row, candidates: rights.len() - before });
            }
            tried += rights.len();
            if rights.is_empty() {
                attempts.into_iter().for_each(|attempt| decide(attempt.pending.row, None));
                pending = later;
                continue;
            }
            let holds = self.evaluate(left, window, lefts, &rights)?;
            let mut from = 0;
            for Attempt { pending, candidates } in attempts {
                let mut tested = from..from + candidates;
                from += candidates;
                match tested.find(|&pair| holds.is_valid(pair) && holds.value(pair)) {
                    Some(pair) => decide(pending.row, Some(rights[pair])),
                    None if pending.next.is_none() => decide(pending.row, None),
                    None => later.push(pending),
                }
            }
            pending = later;
            width = (width * 4).min(PAIRS_MAX);
        }
        Ok(tried)
    }

    fn evaluate(
        &self,
        left: &RecordBatch,
        window: &Window,
        lefts: Vec<u32>,
        rights: &[Position],
    ) -> Result<BooleanArray> {
        let lefts = UInt32Array::from(lefts);
        let slot = |batch| window.slot(batch).expect("rows of the key stay pinned");
        let picks: Vec<_> = rights.iter().map(|p| (slot(p.batch), p.row)).collect();
        let columns = self.columns.iter().map(|&column| {
            Ok(match column.checked_sub(self.left_width) {
                None => take(left.column(column), &lefts, None)?,
                Some(right) => {
                    let sources: Vec<&dyn Array> =
                        window.batches().map(|b| b.column(right).as_ref()).collect();
                    interleave(&sources, &picks)?
                }
            })
        });
        let columns = columns.collect::<Result<Vec<ArrayRef>>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(rights.len()));
        let schema = SchemaRef::clone(&self.schema);
        let batch = RecordBatch::try_new_with_options(schema, columns, &options)?;
        let holds = self.expr.evaluate(&batch)?.into_array(rights.len())?;
        Ok(holds.as_boolean().clone())
    }
}

impl fmt::Display for Residual {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.expr.fmt(f)
    }
}
