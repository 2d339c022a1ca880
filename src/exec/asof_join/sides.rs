//! How both sides of a join are read: the values they are compared by, which left rows can match, and how
//! far a match may lie.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BooleanArray, RecordBatch};
use arrow::buffer::NullBuffer;
use arrow::compute::{filter_record_batch, not};
use arrow::datatypes::{DataType, Schema};
use datafusion::common::Result;
use datafusion::physical_expr::PhysicalExpr;

use super::condition::{AsofCondition, Tolerance};
use super::encode::{Encoder, Lane, instant};
use super::metrics::AsofMetrics;
use super::window::{Encoded, Position, Window};
use crate::exec::eligible::{eligible, holds, known};

type Expr<'a> = &'a Arc<dyn PhysicalExpr>;

/// A condition, and what its keys and times are compared as.
pub(super) struct Sides {
    pub(super) condition: Arc<AsofCondition>,
    keys: Encoder,
    times: Encoder,
    /// Whether the extreme values of a time mean infinity.
    infinite: bool,
}

/// A left batch as it is compared.
pub(super) struct LeftRows {
    pub(super) rows: Encoded,
    /// Rows that can match: no NULL where it forbids a match, and the left condition true.
    eligible: Option<BooleanArray>,
    /// The tolerance of each row where it is an expression; NULL admits nothing.
    bounds: Option<(Lane, Option<NullBuffer>)>,
    /// What each row knows of, where the join has KNOWN AT; NULL knows nothing.
    moments: Option<Vec<Option<i64>>>,
}

impl Sides {
    pub(super) fn try_new(
        condition: Arc<AsofCondition>,
        left: &Schema,
        right: &Schema,
    ) -> Result<Self> {
        let keys = condition.on.iter().map(|key| key.left.data_type(left));
        let keys = keys.collect::<Result<Vec<DataType>>>()?;
        let null_equal = condition.on.iter().any(|key| key.null_equal);
        let times =
            condition.match_on.iter().map(|(l, r)| Ok((l.data_type(left)?, r.data_type(right)?)));
        let times = times.collect::<Result<Vec<_>>>()?;
        let infinite = times.iter().all(|(l, r)| instant(l) && instant(r));
        let forward = condition.comparison.is_forward();
        let (keys, times) =
            (Encoder::for_keys(&keys, null_equal)?, Encoder::for_times(&times, forward)?);
        Ok(Sides { condition, keys, times, infinite })
    }

    pub(super) fn left(&self, batch: RecordBatch, metrics: &AsofMetrics) -> Result<LeftRows> {
        metrics.left_rows.add(batch.num_rows());
        let condition = &self.condition;
        let keys: Vec<_> = condition.on.iter().map(|key| &key.left).collect();
        let times: Vec<_> = condition.match_on.iter().map(|(left, _)| left).collect();
        let rows = self.encode(batch, &keys, &times)?;
        let eligible = self.eligible(&rows.batch, metrics)?;
        let bounds = match &condition.tolerance {
            Some(Tolerance::Bound { expr, .. }) => {
                let bounds = evaluate(&[expr], &rows.batch)?;
                Some((self.times.encode(&bounds)?, bounds[0].logical_nulls()))
            }
            Some(Tolerance::Distance { .. }) | None => None,
        };
        let moments = match &condition.known {
            Some(known) => Some(known.moments(&evaluate(&[&known.at], &rows.batch)?[0])?),
            None => None,
        };
        Ok(LeftRows { rows, eligible, bounds, moments })
    }

    /// The right rows that can be a match, and those that the right condition rules out.
    pub(super) fn candidates(&self, batch: RecordBatch) -> Result<(RecordBatch, RecordBatch)> {
        let Some(condition) = &self.condition.right_condition else {
            let none = batch.slice(0, 0);
            return Ok((batch, none));
        };
        let holds = holds(&evaluate(&[condition], &batch)?[0]);
        let ruled_out = filter_record_batch(&batch, &not(&holds)?)?;
        Ok((filter_record_batch(&batch, &holds)?, ruled_out))
    }

    pub(super) fn right(&self, batch: RecordBatch) -> Result<Encoded> {
        let keys: Vec<_> = self.condition.on.iter().map(|key| &key.right).collect();
        let times: Vec<_> = self.condition.match_on.iter().map(|(_, right)| right).collect();
        let mut right = self.encode(batch, &keys, &times)?;
        if let Some(known) = &self.condition.known {
            let exprs: Vec<_> = std::iter::once(&known.from).chain(&known.until).collect();
            let columns = evaluate(&exprs, &right.batch)?;
            right.periods = Some(known.periods(&columns[0], columns.get(1))?);
        }
        Ok(right)
    }

    fn encode(&self, batch: RecordBatch, keys: &[Expr<'_>], times: &[Expr<'_>]) -> Result<Encoded> {
        let keys = self.keys.encode(&evaluate(keys, &batch)?)?;
        let times = self.times.encode(&evaluate(times, &batch)?)?;
        Ok(Encoded { batch, keys, times, periods: None })
    }

    fn eligible(&self, batch: &RecordBatch, metrics: &AsofMetrics) -> Result<Option<BooleanArray>> {
        let condition = &self.condition;
        let required = condition.on.iter().filter(|key| !key.null_equal).map(|key| &key.left);
        let required = required.chain(condition.match_on.iter().map(|(left, _)| left));
        let known = known(&evaluate(&required.collect::<Vec<_>>(), batch)?);
        metrics.null_key_rows.add(known.as_ref().map_or(0, NullBuffer::null_count));
        let condition = match &condition.left_condition {
            Some(condition) => Some(evaluate(&[condition], batch)?.remove(0)),
            None => None,
        };
        Ok(eligible(known, condition.as_ref())?)
    }

    /// Whether a right row lies within the tolerance of a left one.
    pub(super) fn is_near(&self, left: &LeftRows, row: usize, right: &Encoded, at: usize) -> bool {
        match &self.condition.tolerance {
            None => true,
            Some(tolerance @ Tolerance::Distance { .. }) => {
                let distance = left.rows.times.distance(row, &right.times, at, self.infinite);
                distance.is_some_and(|distance| tolerance.admits(distance))
            }
            Some(Tolerance::Bound { inclusive, .. }) => {
                let (bounds, nulls) = left.bounds.as_ref().expect("a bound was evaluated");
                let order = bounds.compare(row, &right.times, at);
                let known = nulls.as_ref().is_none_or(|nulls| nulls.is_valid(row));
                known && (order.is_lt() || *inclusive && order.is_eq())
            }
        }
    }
}

impl LeftRows {
    pub(super) fn is_eligible(&self, row: usize) -> bool {
        self.eligible.as_ref().is_none_or(|eligible| eligible.value(row))
    }

    /// The nearest right row at or before `position`, and not before `start`, that a row knows of.
    pub(super) fn known_before(
        &self,
        row: usize,
        window: &Window,
        position: Position,
        start: Position,
    ) -> Option<Position> {
        match &self.moments {
            None => Some(position),
            Some(moments) => window.known_before(position, start, moments[row]?),
        }
    }
}

fn evaluate(exprs: &[Expr<'_>], batch: &RecordBatch) -> Result<Vec<ArrayRef>> {
    exprs.iter().map(|expr| expr.evaluate(batch)?.into_array(batch.num_rows())).collect()
}
