//! What a statement that is no query names, and the version it names it at.
//!
//! Every such statement gets its table here, so that a version is either meant or refused: behind the
//! name (`t@b`, `t FOR VERSION AS OF 2`), among the names (`t.branch_b`), of the session.

use std::sync::Arc;

use datafusion::execution::session_state::SessionState;
use datafusion::sql::sqlparser::ast::ObjectName;

use super::names::{self, Named, borrowed, peel, refuse_second};
use super::query::plan_constant;
use super::scope::Reading;
use super::time_travel::{constant, name_parts, of_ref, snapshot_of};
use crate::error::{Error, ErrorKind, Result};
use crate::parse::TableVersionSpec;
use crate::spec::TableId;
use crate::store::{Relation, Snapshot, Table};

/// A table, view or sequence, as a statement names it.
pub struct Addressed {
    /// As it is there.
    pub relation: Relation,
    /// Where it is.
    pub at: Snapshot,
    /// Who says that it is there.
    pub said_by: SaidBy,
}

/// What a version comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SaidBy {
    /// The statement.
    Statement,
    /// The session, whose branch is the table's own.
    OwnBranch,
    /// Nothing: it is read and written where the session is.
    Nobody,
}

/// What a name stands for, at the version behind it or among its parts; None where nothing has the
/// name there.
///
/// # Errors
/// UndefinedObject, InvalidValue for a version that is not there; UndefinedParameter for one that is a
/// parameter without a value; Syntax for two versions.
pub fn addressed(
    reading: &Reading,
    state: &SessionState,
    name: &ObjectName,
    version: Option<&TableVersionSpec>,
) -> Result<Option<Addressed>> {
    let parts = name_parts(name)?;
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    let Some(spec) = version else { return by_name(reading, &parts) };
    let id = names::table_id(reading, &parts, &reading.snapshot)?;
    let at = snapshot_said(reading, state, id, spec)?;
    if let Some(relation) = there(reading, &parts, &at)? {
        return Ok(Some(Addressed { relation, at, said_by: SaidBy::Statement }));
    }
    if let Some((base, suffix)) = peel(&parts)
        && names::suffix_version(reading, &borrowed(&base), suffix, &reading.snapshot)?.is_some()
    {
        refuse_second(suffix)?;
    }
    Ok(None)
}

/// The table that a statement names, and where it is.
///
/// # Errors
/// As [`addressed`]; UndefinedTable; WrongState for what is no table.
pub fn addressed_table(
    reading: &Reading,
    state: &SessionState,
    name: &ObjectName,
    version: Option<&TableVersionSpec>,
) -> Result<(Arc<Table>, Snapshot)> {
    let parts = name_parts(name)?;
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    let found = addressed(reading, state, name, version)?;
    if let (None, Some(spec)) = (&found, version) {
        let id = names::table_id(reading, &parts, &reading.snapshot)?;
        let at = snapshot_said(reading, state, id, spec)?;
        return Err(names::undefined(reading, &parts, &at));
    }
    table_of(reading, &parts, found).map(|found| (found.0, found.1))
}

/// As [`addressed_table`]; while a parameter without a value says the version, the table is described as
/// the session has it.
///
/// # Errors
/// As [`addressed_table`].
pub fn described_table(
    reading: &Reading,
    state: &SessionState,
    name: &ObjectName,
    version: Option<&TableVersionSpec>,
) -> Result<(Arc<Table>, Snapshot)> {
    match addressed_table(reading, state, name, version) {
        Err(error) if error.kind() == ErrorKind::UndefinedParameter => {
            addressed_table(reading, state, name, None)
        }
        found => found,
    }
}

/// The table of a name that no version follows, and where it is if that is not where the session is.
///
/// # Errors
/// As [`addressed_table`]; WrongState for a table without the session's branch where that is of some
/// tables alone.
pub fn table(reading: &Reading, parts: &[&str]) -> Result<(Arc<Table>, Option<Snapshot>)> {
    let found = by_name(reading, parts)?;
    let (table, at, said_by) = table_of(reading, parts, found)?;
    if said_by != SaidBy::Nobody {
        return Ok((table, Some(at)));
    }
    match &reading.table_branch {
        None => Ok((table, None)),
        Some(branch) => Err(without_branch(&table.schema().name, branch)),
    }
}

/// The error of a write to a table that has no branch of the session's.
pub fn without_branch(table: &str, branch: &str) -> Error {
    Error::new(ErrorKind::WrongState, format!("table \"{table}\" has no branch \"{branch}\""))
        .hint("the session's branch is of other tables alone: RESET branch, or name another")
}

/// The snapshot that a clause names for a table, which may have branches and tags of its own.
///
/// # Errors
/// UndefinedObject, InvalidValue; UndefinedParameter for a parameter without a value.
pub fn snapshot_said(
    reading: &Reading,
    state: &SessionState,
    table: Option<TableId>,
    spec: &TableVersionSpec,
) -> Result<Snapshot> {
    let reading = match spec.within_name() {
        Some(label) => &reading.at(of_ref(&reading.snapshot, table, None, label)?),
        None => reading,
    };
    let expr = plan_constant(reading, state, &spec.value)?;
    let value = constant(reading, state, expr)?.ok_or_else(|| {
        Error::new(ErrorKind::UndefinedParameter, "the version is a parameter without a value")
    })?;
    snapshot_of(reading, &reading.snapshot, table, spec, &value)
}

fn by_name(reading: &Reading, parts: &[&str]) -> Result<Option<Addressed>> {
    if let Some(relation) = there(reading, parts, &reading.snapshot)? {
        return Ok(Some(match names::own_branch(reading, relation.id())? {
            Some(at) => {
                let relation = at.relation_by_id(relation.id())?.unwrap_or(relation);
                Addressed { relation, at, said_by: SaidBy::OwnBranch }
            }
            None => {
                let (at, said_by) = (reading.snapshot.clone(), SaidBy::Nobody);
                Addressed { relation, at, said_by }
            }
        }));
    }
    let Some((base, suffix)) = peel(parts) else { return Ok(None) };
    let base = borrowed(&base);
    let Some(at) = names::suffix_version(reading, &base, suffix, &reading.snapshot)? else {
        return Ok(None);
    };
    let relation = there(reading, &base, &at)?;
    Ok(relation.map(|relation| Addressed { relation, at, said_by: SaidBy::Statement }))
}

fn there(reading: &Reading, parts: &[&str], at: &Snapshot) -> Result<Option<Relation>> {
    match names::relation(reading, parts, at)? {
        Some(found) => Ok(Some(found)),
        None => names::any_relation(reading, parts, at),
    }
}

fn table_of(
    reading: &Reading,
    parts: &[&str],
    found: Option<Addressed>,
) -> Result<(Arc<Table>, Snapshot, SaidBy)> {
    let Some(Addressed { relation, at, said_by }) = found else {
        let what = match names::resolve(reading, parts, None)? {
            Named::Metadata(..) => "a table about a table",
            Named::System(_) => "a system table",
            Named::Table(..) | Named::View(..) => {
                return Err(names::undefined(reading, parts, &reading.snapshot));
            }
        };
        return Err(not_a_table(&parts.join("."), what));
    };
    match relation {
        Relation::Table(table) => Ok((table, at, said_by)),
        Relation::View(view) => Err(not_a_table(&view.name, "a view")),
        Relation::Sequence(sequence) => Err(names::no_rows(&sequence)),
    }
}

fn not_a_table(name: &str, what: &str) -> Error {
    Error::new(ErrorKind::WrongState, format!("\"{name}\" is {what} and cannot be written"))
        .hint("name a table")
}
