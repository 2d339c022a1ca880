//! Whether every row of a table is as a constraint wants it: asked as a query.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch};
use arrow::util::display::array_value_to_string;
use datafusion::execution::session_state::SessionState;

use super::run;
use crate::error::{Error, ErrorKind, Result};
use crate::parse;
use crate::plan::{Reading, plan_query};
use crate::spec::{EnforcedKey, TableSchema};
use crate::store::{NewRules, Table};

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
    /// Holds the rows of a merged table to what only one side demanded of them. NULLs are looked for in
    /// the rows: a plan would believe the shape.
    ///
    /// # Errors
    /// NotNullViolation, CheckViolation, UniqueViolation.
    pub async fn merged(&self, table: &Table, rules: &NewRules) -> Result<()> {
        for name in &rules.not_null {
            if let Some((_, column)) = self.schema.column_named(name)
                && table.has_null(column.id)?
            {
                return Err(self.has_nulls(name));
            }
        }
        for check in self.schema.checks.iter().filter(|check| rules.checks.contains(&check.name)) {
            if check.enforced && check.valid {
                self.check(&check.name, &check.text).await?;
            }
        }
        for key in self.schema.enforced_keys() {
            if rules.keys.iter().any(|name| name == key.name) {
                self.unique(self.schema, key).await?;
            }
        }
        Ok(())
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

    async fn any(&self, condition: &str) -> Result<bool> {
        let table = quoted_table(self.schema);
        let rows = self.rows(&format!("SELECT 1 FROM {table} WHERE {condition} LIMIT 1")).await?;
        Ok(rows.iter().any(|batch| batch.num_rows() > 0))
    }

    /// # Errors
    /// NotNullViolation where a row has NULL in the column.
    pub async fn not_null(&self, column: &str) -> Result<()> {
        if !self.any(&format!("{} IS NULL", quoted(column))).await? {
            return Ok(());
        }
        Err(self.has_nulls(column))
    }

    /// # Errors
    /// CheckViolation where the condition is false for a row.
    pub async fn check(&self, name: &str, text: &str) -> Result<()> {
        if !self.any(&format!("NOT ({text})")).await? {
            return Ok(());
        }
        let table = &self.schema.name;
        let message =
            format!("check constraint \"{name}\" of relation \"{table}\" is violated by some row");
        Err(Error::new(ErrorKind::CheckViolation, message))
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
        let value = |column: &ArrayRef| match column.is_null(0) {
            true => "null".to_owned(),
            false => array_value_to_string(column, 0).unwrap_or_default(),
        };
        let values: Vec<String> = twice.columns().iter().map(value).collect();
        let (names, values) = (names.join(", "), values.join(", "));
        let message = format!("could not create unique index \"{}\"", key.name);
        Err(Error::new(ErrorKind::UniqueViolation, message)
            .detail(format!("Key ({names})=({values}) is duplicated.")))
    }
}
