//! Constraints from what was written: their names, their columns, what they may be.

use std::collections::BTreeSet;

use arrow::datatypes::DataType;
use datafusion::execution::session_state::SessionState;

use super::table::ordered;
use crate::error::{Error, ErrorKind, Result};
use crate::parse::{self, KeySpec};
use crate::plan::Reading;
use crate::plan::rows::RowExpression;
use crate::spec::{Check, PrimaryKey, TableSchema, UniqueKey};

/// Adds PRIMARY KEY to a shape: its columns become NOT NULL.
///
/// # Errors
/// UndefinedColumn, InvalidDefinition, DuplicateObject.
pub fn add_primary_key(schema: &mut TableSchema, key: &KeySpec) -> Result<()> {
    if schema.primary_key.is_some() {
        let message =
            format!("multiple primary keys for table \"{}\" are not allowed", schema.name);
        return Err(Error::new(ErrorKind::InvalidDefinition, message));
    }
    let columns = ordered(&schema.columns, &key.columns, "PRIMARY KEY")?;
    let name = name(schema, key.name.as_ref(), &[], "pkey")?;
    for column in &mut schema.columns {
        column.not_null |= columns.contains(&column.id);
    }
    schema.primary_key = Some(PrimaryKey { name, columns, enforced: key.enforced });
    Ok(())
}

/// Adds UNIQUE to a shape.
///
/// # Errors
/// UndefinedColumn, InvalidDefinition, DuplicateObject.
pub fn add_unique(schema: &mut TableSchema, key: &KeySpec) -> Result<()> {
    let columns = ordered(&schema.columns, &key.columns, "UNIQUE")?;
    let names: Vec<&str> = key.columns.iter().map(String::as_str).collect();
    let name = name(schema, key.name.as_ref(), &names, "key")?;
    schema.unique.push(UniqueKey {
        name,
        columns,
        enforced: key.enforced,
        nulls_distinct: !key.nulls_not_distinct,
    });
    Ok(())
}

/// Adds CHECK to a shape.
///
/// # Errors
/// UndefinedColumn, DuplicateObject; DatatypeMismatch where it is not a condition.
pub fn add_check(
    reading: &Reading,
    state: &SessionState,
    schema: &mut TableSchema,
    check: &parse::Check,
) -> Result<()> {
    let condition = RowExpression::plan(reading, state, schema, &check.text, "check constraint")?;
    if !matches!(condition.data_type(), DataType::Boolean | DataType::Null) {
        let found = crate::spec::Type::of_storage(condition.data_type());
        let found = found.map_or_else(|| condition.data_type().to_string(), |t| t.to_string());
        let message = format!("argument of CHECK must be type boolean, not type {found}");
        return Err(Error::new(ErrorKind::DatatypeMismatch, message));
    }
    let named: BTreeSet<String> =
        parse::mentions(&check.text)?.into_iter().map(|(_, name)| name).collect();
    let named: Vec<&str> = named.iter().map(String::as_str).collect();
    // As in PostgreSQL, the column is in the name where there is only one.
    let of = if named.len() == 1 { named.as_slice() } else { &[] };
    let name = name(schema, check.name.as_ref(), of, "check")?;
    let (text, enforced, valid) = (check.text.clone(), check.enforced, check.valid);
    schema.checks.push(Check { name, text, enforced, valid });
    Ok(())
}

/// The name that was given, else PostgreSQL's: table, columns and kind, and a number where that is
/// taken.
fn name(
    schema: &TableSchema,
    given: Option<&String>,
    columns: &[&str],
    kind: &str,
) -> Result<String> {
    let taken = |name: &str| schema.constraint_names().any(|other| other == name);
    if let Some(name) = given {
        return match taken(name) {
            false => Ok(name.clone()),
            true => {
                let table = &schema.name;
                let message =
                    format!("constraint \"{name}\" for relation \"{table}\" already exists");
                Err(Error::new(ErrorKind::DuplicateObject, message))
            }
        };
    }
    let parts: Vec<&str> =
        [schema.name.as_str()].into_iter().chain(columns.iter().copied()).chain([kind]).collect();
    let plain = parts.join("_");
    let numbered = (1..).map(|n| format!("{plain}{n}"));
    let mut names = [plain.clone()].into_iter().chain(numbered);
    Ok(names.find(|name| !taken(name)).expect("numbers do not end"))
}
