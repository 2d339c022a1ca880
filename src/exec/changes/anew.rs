//! Columns that were written anew: rows from before have no value in them.
//!
//! A change of type that computes values makes another column under the old one's name. What it was
//! before is in the rows of then, but not in the shape that changes are shown in, and NULL would be a
//! wrong answer.

use super::provider::{ChangeScan, State};
use crate::error::{Error, ErrorKind, Result};
use crate::spec::{Column, ColumnId, CommitId};

/// Why rows from before a commit cannot be shown.
#[derive(Clone)]
pub(super) struct WrittenAnew {
    table: String,
    column: String,
    by: CommitId,
}

impl WrittenAnew {
    pub fn error(&self) -> Error {
        let WrittenAnew { table, column, by } = self;
        let message = format!(
            "column \"{column}\" of table \"{table}\" was written anew by commit {by}: rows from before \
             have no value of its type"
        );
        Error::new(ErrorKind::NotSupported, message).hint(format!(
            "begin after it (from_exclusive => {by}), leave the column out, or read the rows as they were \
             then: {table} VERSION AS OF …"
        ))
    }
}

impl ChangeScan {
    /// Why rows of a state cannot be shown in these columns of the table; None where they can.
    pub(super) fn unshowable(
        &self,
        state: &State,
        columns: &[usize],
    ) -> Result<Option<WrittenAnew>> {
        let filled = columns.iter().map(|at| &self.table.columns[*at]).filter(|c| c.filled);
        let filled: Vec<&Column> = filled.collect();
        if filled.is_empty() {
            return Ok(None);
        }
        let Some(table) = state.open(&self.store)? else { return Ok(None) };
        for column in filled {
            if table.schema().column(column.id).is_none()
                && let Some(by) = self.written_anew(column.id)?
            {
                let (table, column) = (self.table.name.clone(), column.name.clone());
                return Ok(Some(WrittenAnew { table, column, by }));
            }
        }
        Ok(None)
    }

    /// The commit that put a column in the place of another of its name.
    fn written_anew(&self, column: ColumnId) -> Result<Option<CommitId>> {
        for moment in self.moments.iter() {
            let Some(after) = moment.new.open(&self.store)? else { continue };
            let Some(column) = after.schema().column(column) else { continue };
            let before = moment.old.open(&self.store)?;
            let replaced =
                before.is_some_and(|before| before.schema().column_named(&column.name).is_some());
            return Ok(replaced.then_some(moment.commit));
        }
        Ok(None)
    }
}
