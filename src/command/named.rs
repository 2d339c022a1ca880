//! What a statement that writes names: looked for in its own transaction, so that a version that is not
//! the branch it writes is refused and never ignored.

use std::sync::Arc;

use datafusion::execution::session_state::SessionState;
use datafusion::sql::sqlparser::ast::ObjectName;

use super::Writing;
use crate::error::{Error, ErrorKind, Result};
use crate::parse::{TableVersionSpec, Target};
use crate::plan::names::{self, Named};
use crate::plan::time_travel::name_parts;
use crate::plan::{Reading, addressed, addressed_table};
use crate::spec::ref_label;
use crate::store::{Relation, Snapshot, Table};

impl Writing<'_> {
    /// What a target stands for in the transaction; None where nothing has the name there.
    ///
    /// # Errors
    /// NotSupported where it is of another branch; UndefinedObject and the like for a version that is
    /// not there.
    pub fn named(&self, target: &Target) -> Result<Option<Relation>> {
        let written = self.transaction.snapshot();
        let reading = self.reading.at(written.clone());
        let version = target.version.as_ref();
        let Some(found) = addressed(&reading, self.state, &target.name, version)? else {
            return Ok(None);
        };
        check_written(&written, &found.at)?;
        Ok(Some(found.relation))
    }

    /// The table that a target names in the transaction.
    ///
    /// # Errors
    /// As [`Writing::named`]; UndefinedTable; WrongState for what is no table.
    pub fn named_table(&self, target: &Target) -> Result<Arc<Table>> {
        let reading = self.reading.at(self.transaction.snapshot());
        written_table(&reading, self.state, &target.name, target.version.as_ref())
    }
}

/// The table that a statement writes; `reading` is at its transaction's snapshot.
///
/// # Errors
/// As [`Writing::named_table`].
pub fn written_table(
    reading: &Reading,
    state: &SessionState,
    name: &ObjectName,
    version: Option<&TableVersionSpec>,
) -> Result<Arc<Table>> {
    let (table, at) = addressed_table(reading, state, name, version)?;
    check_written(&reading.snapshot, &at)?;
    Ok(table)
}

/// # Errors
/// NotSupported where a name leads to another branch than the one that is written.
fn check_written(written: &Snapshot, at: &Snapshot) -> Result<()> {
    if written.reference() == at.reference() {
        return Ok(());
    }
    let label = |of: &Snapshot| of.reference().map(|(name, _)| ref_label(name).to_owned());
    let message = match (label(written), label(at)) {
        (Some(one), Some(other)) => {
            format!("one statement writes one branch, not \"{one}\" and \"{other}\"")
        }
        _ => "one statement writes one branch".to_owned(),
    };
    Err(Error::new(ErrorKind::NotSupported, message)
        .hint("make it several statements; a transaction, too, writes one branch"))
}

/// A name as an error shows it.
pub(super) fn shown(name: &ObjectName) -> Result<String> {
    Ok(name_parts(name)?.join("."))
}

/// The error for what is not there.
pub(super) fn undefined(name: &ObjectName) -> Result<Error> {
    let message = format!("relation \"{}\" does not exist", shown(name)?);
    Ok(Error::new(ErrorKind::UndefinedTable, message))
}

/// Whether a name is of a system table or of a table about a table.
pub(super) fn is_made_up(reading: &Reading, name: &ObjectName) -> Result<bool> {
    let parts = name_parts(name)?;
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    Ok(matches!(names::resolve(reading, &parts, None), Ok(Named::Metadata(..) | Named::System(_))))
}
