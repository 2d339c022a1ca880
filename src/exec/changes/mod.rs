//! The rows that changed between states of a table.
//!
//! [`ChangeScan`] goes from state to state and shows each step's difference: as changes (what each
//! commit inserted, deleted and updated), as periods (since when and until when each row version was
//! shown), or as one side of one difference. Rows stream; only the names (`_row_id`, `_commit`) of a
//! step that both adds and removes are held, within the statement's memory.
//!
//! A row that has no value of a column's type, because the column was written anew since, is refused and
//! not shown with NULL.
//!
//! Invariant: a row that was only moved, which both states have under one name, is never shown.
//! Start reading at [`walk`].

mod anew;
mod names;
mod provider;
mod summary;
mod walk;

pub use provider::{ChangeScan, Moment, Period, Shown, State};
pub use summary::ChangeSummary;
