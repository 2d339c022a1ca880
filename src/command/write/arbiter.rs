//! Which keys ON CONFLICT is about.

use datafusion::sql::sqlparser::ast::OnConflictAction::DoUpdate;
use datafusion::sql::sqlparser::ast::{ConflictTarget, Ident, ObjectName, OnConflict};

use super::values::check_columns;
use crate::error::{Error, ErrorKind, Result};
use crate::parse::fold;
use crate::plan::time_travel::name_parts;
use crate::spec::{ColumnId, TableSchema};

/// The keys of a clause, as positions among the enforced ones of the table; where it names none, all.
///
/// # Errors
/// InvalidColumnReference where no enforced key is of the columns named; UndefinedObject where none
/// has the name; Syntax where DO UPDATE names none.
pub fn arbiters(schema: &TableSchema, clause: &OnConflict) -> Result<Vec<usize>> {
    match &clause.conflict_target {
        Some(ConflictTarget::Columns(columns)) => of_columns(schema, columns).map(|at| vec![at]),
        Some(ConflictTarget::OnConstraint(name)) => of_name(schema, name).map(|at| vec![at]),
        None if matches!(clause.action, DoUpdate(_)) => {
            let message =
                "ON CONFLICT DO UPDATE requires inference specification or constraint name";
            Err(Error::new(ErrorKind::Syntax, message)
                .hint("name the key's columns: ON CONFLICT (a, b) DO UPDATE …"))
        }
        None => Ok((0..schema.enforced_keys().len()).collect()),
    }
}

fn of_columns(schema: &TableSchema, columns: &[Ident]) -> Result<usize> {
    let mut named: Vec<String> = columns.iter().map(fold).collect();
    named.sort_unstable();
    named.dedup();
    check_columns(schema, &named)?;
    let names = |ids: &[ColumnId]| {
        let columns = ids.iter().filter_map(|id| schema.column(*id));
        let mut names: Vec<String> = columns.map(|column| column.name.clone()).collect();
        names.sort_unstable();
        names
    };
    let enforced = schema.enforced_keys();
    if let Some(at) = enforced.iter().position(|key| names(key.columns) == named) {
        return Ok(at);
    }
    let error = Error::new(
        ErrorKind::InvalidColumnReference,
        "there is no unique or exclusion constraint matching the ON CONFLICT specification",
    );
    let primary = schema.primary_key.iter().map(|key| &key.columns);
    let mut declared = primary.chain(schema.unique.iter().map(|key| &key.columns));
    Err(match declared.any(|key| names(key) == named) {
        true => error.hint("the key is NOT ENFORCED"),
        false => error.hint("name the columns of a PRIMARY KEY or UNIQUE constraint, all of them"),
    })
}

fn of_name(schema: &TableSchema, name: &ObjectName) -> Result<usize> {
    let name = name_parts(name)?.pop().unwrap_or_default();
    let found = schema.enforced_keys().iter().position(|key| key.name == name);
    found.ok_or_else(|| {
        let message = format!("constraint \"{name}\" for table \"{}\" does not exist", schema.name);
        Error::new(ErrorKind::UndefinedObject, message)
    })
}
