//! The names of the rows on both sides of a difference: what was moved, and what was updated.

use std::collections::HashMap;

use arrow::array::RecordBatch;
use datafusion::common::Result;
use datafusion::execution::memory_pool::MemoryReservation;

use crate::exec::scan::external;
use crate::store::{RowDifference, RowShape, RowSources, Store, hidden_columns};

/// About what one entry of a map of names takes.
const NAME_BYTES: usize = 32;

/// Row versions of both sides, `_row_id` to `_commit`: a state has one living version of a row.
#[derive(Default)]
pub(super) struct Names {
    removed: HashMap<u64, u64>,
    added: HashMap<u64, u64>,
}

/// How a row that one side has stands to the other side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// The other side has no version of it.
    Alone,
    /// The other side has another version.
    Updated,
    /// The other side has the same version: it was moved.
    Moved,
}

impl Names {
    /// Reads the names where both sides have rows; else every row stands alone.
    pub fn of(
        difference: &RowDifference,
        store: &Store,
        shape: &RowShape,
        memory: &MemoryReservation,
    ) -> Result<Names> {
        if difference.removed.is_empty() || difference.added.is_empty() {
            return Ok(Names::default());
        }
        let nothing = RowShape { columns: Vec::new(), ..shape.clone() };
        let read = |side: &RowSources| -> Result<HashMap<u64, u64>> {
            let mut names = HashMap::new();
            for batch in side.read(store, &nothing).map_err(external)? {
                let batch = batch.map_err(external)?;
                memory.try_grow(batch.num_rows() * NAME_BYTES)?;
                names.extend(pairs(&batch));
            }
            Ok(names)
        };
        Ok(Names { removed: read(&difference.removed)?, added: read(&difference.added)? })
    }

    pub fn of_removed(&self, row: u64, commit: u64) -> Standing {
        standing(self.added.get(&row), commit)
    }

    pub fn of_added(&self, row: u64, commit: u64) -> Standing {
        standing(self.removed.get(&row), commit)
    }
}

fn standing(other: Option<&u64>, commit: u64) -> Standing {
    match other {
        None => Standing::Alone,
        Some(other) if *other == commit => Standing::Moved,
        Some(_) => Standing::Updated,
    }
}

/// (`_row_id`, `_commit`) of every row.
pub(super) fn pairs(batch: &RecordBatch) -> impl Iterator<Item = (u64, u64)> + '_ {
    let (commits, rows) = hidden_columns(batch);
    rows.values().iter().copied().zip(commits.values().iter().copied())
}
