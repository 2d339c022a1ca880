//! Whether every row of a table is as a new constraint wants it: asked as a query.

use crate::error::{Error, ErrorKind, Result};
use crate::parse;
use crate::plan::plan_query;
use crate::spec::{EnforcedKey, TableSchema};
use arrow::array::{Array, RecordBatch};
use arrow::util::display::array_value_to_string;

use super::Alteration;
use crate::command::run;

/// A name as a text has it.
pub(super) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A table's name as a text has it.
pub(super) fn quoted_table(schema: &TableSchema) -> String {
    format!("{}.{}", quoted(&schema.namespace), quoted(&schema.name))
}

impl Alteration<'_, '_> {
    /// The rows of a query over the transaction's snapshot.
    pub(super) async fn rows(&self, text: &str) -> Result<Vec<RecordBatch>> {
        let reading = &self.writing.reading;
        let planned = plan_query(reading, self.writing.state, &*parse::query(text)?)?;
        run::collect(reading, self.writing.state, planned.plan).await
    }

    async fn any(&self, condition: &str) -> Result<bool> {
        let table = quoted_table(self.schema());
        let rows = self.rows(&format!("SELECT 1 FROM {table} WHERE {condition} LIMIT 1")).await?;
        Ok(rows.iter().any(|batch| batch.num_rows() > 0))
    }

    /// # Errors
    /// NotNullViolation where a row has NULL in the column.
    pub(super) async fn verify_not_null(&self, column: &str) -> Result<()> {
        if !self.any(&format!("{} IS NULL", quoted(column))).await? {
            return Ok(());
        }
        let table = &self.schema().name;
        let message = format!("column \"{column}\" of relation \"{table}\" contains null values");
        Err(Error::new(ErrorKind::NotNullViolation, message))
    }

    /// # Errors
    /// CheckViolation where the condition is false for a row.
    pub(super) async fn verify_check(&self, name: &str, text: &str) -> Result<()> {
        if !self.any(&format!("NOT ({text})")).await? {
            return Ok(());
        }
        let table = &self.schema().name;
        let message =
            format!("check constraint \"{name}\" of relation \"{table}\" is violated by some row");
        Err(Error::new(ErrorKind::CheckViolation, message))
    }

    /// # Errors
    /// UniqueViolation where two rows have one key.
    pub(super) async fn verify_unique(
        &self,
        schema: &TableSchema,
        key: EnforcedKey<'_>,
    ) -> Result<()> {
        let named = key.columns.iter().filter_map(|id| schema.column(*id));
        let names: Vec<&str> = named.map(|column| column.name.as_str()).collect();
        let list: Vec<String> = names.iter().map(|name| quoted(name)).collect();
        let full: Vec<String> = list.iter().map(|name| format!("{name} IS NOT NULL")).collect();
        let only = match key.nulls_distinct {
            true => format!("WHERE {}", full.join(" AND ")),
            false => String::new(),
        };
        let (table, list) = (quoted_table(self.schema()), list.join(", "));
        let text = format!(
            "SELECT {list} FROM {table} {only} GROUP BY {list} HAVING count(*) > 1 LIMIT 1"
        );
        let rows = self.rows(&text).await?;
        let Some(twice) = rows.iter().find(|batch| batch.num_rows() > 0) else { return Ok(()) };
        let value = |column: &arrow::array::ArrayRef| match column.is_null(0) {
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
