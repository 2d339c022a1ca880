//! Whether every row of a table is as a constraint wants it: asked as a query.

use std::sync::Arc;

use arrow::array::RecordBatch;
use datafusion::execution::session_state::SessionState;

use super::run;
use crate::error::{Error, ErrorKind, Result};
use crate::parse;
use crate::plan::{Reading, plan_query};
use crate::spec::text::value_text;
use crate::spec::{EnforcedKey, TableSchema};
use crate::store::{NewRules, Table, failing_row};

/// The rows that are looked at: those of a table, under its name, in what a statement sees.
#[derive(Clone, Copy)]
pub struct Verify<'a> {
    /// What is seen.
    pub reading: &'a Reading,
    /// To plan and run with.
    pub state: &'a Arc<SessionState>,
    /// The table's shape there.
    pub schema: &'a TableSchema,
}

/// A name as a text has it.
pub fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A table's name as a text has it.
pub fn quoted_table(schema: &TableSchema) -> String {
    format!("{}.{}", quoted(&schema.namespace), quoted(&schema.name))
}

impl Verify<'_> {
    /// The columns of a merged table that refuse NULL and have one, each with a row. It is looked for in
    /// the rows: a plan would believe the shape.
    ///
    /// # Errors
    /// Those of reading the rows.
    pub fn nulls(&self, table: &Table, rules: &NewRules) -> Result<Vec<Error>> {
        let mut violated = Vec::new();
        for name in &rules.not_null {
            if let Some((_, column)) = self.schema.column_named(name)
                && let Some(row) = table.row_with_null(column.id)?
            {
                violated.push(self.has_nulls(name).detail(failing_row(&row, 0)));
            }
        }
        Ok(violated)
    }

    /// The checks and keys that the rows of a merged table violate, each with a row.
    ///
    /// # Errors
    /// Those of reading the rows.
    pub async fn broken(&self, rules: &NewRules) -> Result<Vec<Error>> {
        let mut violated = Vec::new();
        for check in self.schema.checks.iter().filter(|check| rules.checks.contains(&check.name)) {
            if check.enforced && check.valid {
                violated
                    .extend(violation(&check.name, self.check(&check.name, &check.text).await)?);
            }
        }
        for key in self.schema.enforced_keys() {
            if rules.keys.iter().any(|name| name == key.name) {
                violated.extend(violation(key.name, self.unique(self.schema, key).await)?);
            }
        }
        Ok(violated)
    }

    fn has_nulls(&self, column: &str) -> Error {
        let table = &self.schema.name;
        let message = format!("column \"{column}\" of relation \"{table}\" contains null values");
        Error::new(ErrorKind::NotNullViolation, message)
    }

    async fn rows(&self, text: &str) -> Result<Vec<RecordBatch>> {
        let planned = plan_query(self.reading, self.state, &*parse::query(text)?)?;
        run::collect(self.reading, self.state, planned.plan).await
    }

    /// A row for which the condition is true.
    async fn any(&self, condition: &str) -> Result<Option<RecordBatch>> {
        let table = quoted_table(self.schema);
        let rows = self.rows(&format!("SELECT * FROM {table} WHERE {condition} LIMIT 1")).await?;
        Ok(rows.into_iter().find(|batch| batch.num_rows() > 0))
    }

    /// # Errors
    /// NotNullViolation where a row has NULL in the column.
    pub async fn not_null(&self, column: &str) -> Result<()> {
        match self.any(&format!("{} IS NULL", quoted(column))).await? {
            Some(row) => Err(self.has_nulls(column).detail(failing_row(&row, 0))),
            None => Ok(()),
        }
    }

    /// # Errors
    /// CheckViolation where the condition is false for a row.
    pub async fn check(&self, name: &str, text: &str) -> Result<()> {
        let Some(row) = self.any(&format!("NOT ({text})")).await? else { return Ok(()) };
        let table = &self.schema.name;
        let message =
            format!("check constraint \"{name}\" of relation \"{table}\" is violated by some row");
        Err(Error::new(ErrorKind::CheckViolation, message).detail(failing_row(&row, 0)))
    }

    /// # Errors
    /// UniqueViolation where two rows have one key.
    pub async fn unique(&self, schema: &TableSchema, key: EnforcedKey<'_>) -> Result<()> {
        let named = key.columns.iter().filter_map(|id| schema.column(*id));
        let names: Vec<&str> = named.map(|column| column.name.as_str()).collect();
        let list: Vec<String> = names.iter().map(|name| quoted(name)).collect();
        let full: Vec<String> = list.iter().map(|name| format!("{name} IS NOT NULL")).collect();
        let only = match key.nulls_distinct {
            true => format!("WHERE {}", full.join(" AND ")),
            false => String::new(),
        };
        let (table, list) = (quoted_table(self.schema), list.join(", "));
        let text = format!(
            "SELECT {list} FROM {table} {only} GROUP BY {list} HAVING count(*) > 1 LIMIT 1"
        );
        let rows = self.rows(&text).await?;
        let Some(twice) = rows.iter().find(|batch| batch.num_rows() > 0) else { return Ok(()) };
        let types = key.columns.iter().filter_map(|id| schema.column(*id)).map(|c| &c.data_type);
        let mut values = Vec::new();
        for (data_type, column) in types.zip(twice.columns()) {
            let value = value_text(data_type, column.as_ref(), 0)?;
            values.push(value.unwrap_or_else(|| "null".to_owned()));
        }
        let (names, values) = (names.join(", "), values.join(", "));
        let message = format!("could not create unique index \"{}\"", key.name);
        Err(Error::new(ErrorKind::UniqueViolation, message)
            .detail(format!("Key ({names})=({values}) is duplicated.")))
    }
}

/// What was found to be violated; an error of another kind stays one.
fn violation(constraint: &str, held: Result<()>) -> Result<Option<Error>> {
    let Err(error) = held else { return Ok(None) };
    match error.kind() {
        ErrorKind::CheckViolation | ErrorKind::UniqueViolation => Ok(Some(error)),
        // The other side dropped or renamed a column that the condition names.
        ErrorKind::UndefinedColumn => {
            let why = error.message();
            let message =
                format!("constraint \"{constraint}\" does not fit the merged table: {why}");
            Ok(Some(Error::new(ErrorKind::MergeConflict, message)))
        }
        _ => Err(error),
    }
}
