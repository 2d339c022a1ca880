//! Statements that put rows in place of others: INSERT OVERWRITE, INSERT … REPLACE WHERE.
//!
//! Two of them over one range delete nothing of each other's, so that both sets of rows would stay, as no
//! order of the two leaves them. So whoever replaces rows must have seen all that came into the range.

use std::sync::Arc;

use arrow::array::RecordBatch;

use super::keys::conflict;
use super::merge::rows_since;
use super::table::Table;
use crate::error::Result;
use crate::spec::{CommitId, TableSchema};

/// Whether a condition holds for any of some rows.
pub type HoldsForAny = Arc<dyn Fn(&RecordBatch) -> Result<bool> + Send + Sync>;

/// The rows in place of which others come.
#[derive(Clone)]
pub enum Replaced {
    /// All of a table.
    All,
    /// Those that a condition holds for.
    Where {
        /// The columns of the rows that it is asked of.
        schema: Arc<TableSchema>,
        /// The condition.
        holds: HoldsForAny,
    },
}

/// # Errors
/// Conflict where rows came between the two states, of which the older is as of `since`, that belong to
/// what is replaced.
pub(super) fn check_replaced(
    replaced: &[Replaced],
    old: &Table,
    new: &Table,
    since: CommitId,
) -> Result<()> {
    if old.version().map(|v| v.id) == new.version().map(|v| v.id) {
        return Ok(());
    }
    for range in replaced {
        let mut came = false;
        let schema = match range {
            Replaced::All => new.schema(),
            Replaced::Where { schema, .. } => schema,
        };
        rows_since(old, new, since, schema, |rows| {
            came |= match range {
                Replaced::All => rows.num_rows() > 0,
                Replaced::Where { holds, .. } => holds(rows)?,
            };
            Ok(!came)
        })?;
        if came {
            return Err(conflict(&new.schema().name));
        }
    }
    Ok(())
}
