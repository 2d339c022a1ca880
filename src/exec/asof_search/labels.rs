//! The labels that are searched for together: their rows as they came, and their keys and times as
//! sorted integers.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch};
use arrow::buffer::{NullBuffer, ScalarBuffer};
use datafusion::common::Result;
use datafusion::physical_expr::PhysicalExpr;

use super::keys::{Keys, codes};
use super::sort::{Columns, InOrder, sort};
use super::view::View;
use crate::exec::asof_join::Tolerance;
use crate::exec::eligible::{eligible, known};

/// Some rows of the left input.
pub(super) struct Labels {
    pub batches: Vec<RecordBatch>,
    pub rows: usize,
}

/// The labels that can match, in the order of their keys and times.
pub(super) struct Sorted {
    pub how: Keys,
    pub order: InOrder,
    /// Labels left out: a key or the time is NULL.
    pub nulls: usize,
}

/// The farthest time that each label admits, where that is an expression; by place.
pub(super) struct Bounds {
    times: ScalarBuffer<i64>,
    known: Option<NullBuffer>,
}

impl Labels {
    pub(super) fn new(batches: Vec<RecordBatch>) -> Labels {
        let rows = batches.iter().map(RecordBatch::num_rows).sum();
        Labels { batches, rows }
    }

    fn column(&self, expr: &Arc<dyn PhysicalExpr>) -> Result<Vec<ArrayRef>> {
        let of = |batch: &RecordBatch| expr.evaluate(batch)?.into_array(batch.num_rows());
        self.batches.iter().map(of).collect()
    }

    pub(super) async fn sorted(&self, view: &View, workers: usize) -> Result<Sorted> {
        let mut keys: Vec<Vec<ArrayRef>> = vec![Vec::new(); self.batches.len()];
        for key in &view.left_keys {
            for (columns, array) in keys.iter_mut().zip(self.column(key)?) {
                columns.push(array);
            }
        }
        let times = self.column(&view.left_time)?;
        let (how, mut codes_of_keys) = Keys::of_labels(&keys)?;
        let condition = match &view.condition.left_condition {
            Some(condition) => Some(self.column(condition)?),
            None => None,
        };
        let (mut columns, mut nulls) = (Vec::with_capacity(times.len()), 0);
        for (at, time) in times.iter().enumerate() {
            let known = known(keys[at].iter().chain([time]));
            nulls += known.as_ref().map_or(0, NullBuffer::null_count);
            let condition = condition.as_ref().map(|condition| &condition[at]);
            columns.push(Columns {
                keys: codes_of_keys.get_mut(at).map(std::mem::take),
                times: codes(time)?,
                eligible: eligible(known, condition)?,
            });
        }
        Ok(Sorted { how, order: sort(columns, workers).await?, nulls })
    }

    pub(super) fn bounds(&self, view: &View) -> Result<Option<Bounds>> {
        let Some(Tolerance::Bound { expr, .. }) = &view.condition.tolerance else {
            return Ok(None);
        };
        let columns = self.column(expr)?;
        let columns: Vec<&dyn Array> = columns.iter().map(AsRef::as_ref).collect();
        let all = arrow::compute::concat(&columns)?;
        Ok(Some(Bounds { times: codes(&all)?, known: all.logical_nulls() }))
    }
}

impl Bounds {
    /// The bound of the label at this place; None where it is NULL, which admits nothing.
    pub(super) fn of(&self, place: u32) -> Option<i64> {
        let place = place as usize;
        let known = self.known.as_ref().is_none_or(|known| known.is_valid(place));
        known.then(|| self.times[place])
    }
}
