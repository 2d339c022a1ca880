//! The labels that one part of the right side is asked for: all of them, or those not settled yet.

use std::sync::Arc;

use super::labels::Sorted;
use super::segment::Hit;
use super::sweep::Row;

/// Sorted labels, or some of them.
#[derive(Clone)]
pub(super) struct Asked {
    pub sorted: Arc<Sorted>,
    picked: Option<Arc<Picked>>,
}

struct Picked {
    keys: Vec<i64>,
    times: Vec<i64>,
    labels: Vec<u32>,
}

impl Asked {
    pub(super) fn all(sorted: &Arc<Sorted>) -> Asked {
        Asked { sorted: Arc::clone(sorted), picked: None }
    }

    /// Those for which `wanted` holds.
    pub(super) fn only(sorted: &Arc<Sorted>, wanted: impl Fn(u32) -> bool) -> Asked {
        let labels: Vec<u32> =
            (0..sorted.order.keys.len() as u32).filter(|at| wanted(*at)).collect();
        if labels.len() == sorted.order.keys.len() {
            return Asked::all(sorted);
        }
        let keys = labels.iter().map(|at| sorted.order.keys[*at as usize]).collect();
        let times = labels.iter().map(|at| sorted.order.times[*at as usize]).collect();
        Asked { sorted: Arc::clone(sorted), picked: Some(Arc::new(Picked { keys, times, labels })) }
    }

    pub(super) fn keys(&self) -> &[i64] {
        self.picked.as_ref().map_or(&self.sorted.order.keys, |picked| &picked.keys)
    }

    pub(super) fn times(&self) -> &[i64] {
        self.picked.as_ref().map_or(&self.sorted.order.times, |picked| &picked.times)
    }

    /// That one of them has this row; it is named by its place among all sorted labels.
    pub(super) fn hit(&self, at: usize, row: Row) -> Hit {
        let label = self.picked.as_ref().map_or(at as u32, |picked| picked.labels[at]);
        Hit { label, position: row.position, time: row.time }
    }
}
