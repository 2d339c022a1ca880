//! The rules of a table: columns that are computed, conditions that are checked. The gate that every
//! written row passes asks them.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::compute::cast;
use datafusion::execution::session_state::SessionState;

use crate::error::{Error, ErrorKind, ObjectNames, Result};
use crate::fault;
use crate::plan::Reading;
use crate::plan::rows::RowExpression;
use crate::spec::{Generated, TableSchema};
use crate::store::failing_row;

/// The rules of one table, planned.
pub struct Rules {
    schema: Arc<TableSchema>,
    /// Positions and values.
    computed: Vec<(usize, RowExpression)>,
    /// Names and conditions.
    checks: Vec<(String, RowExpression)>,
}

impl Rules {
    /// The rules of a table.
    ///
    /// # Errors
    /// Whatever planning its expressions gives.
    pub fn new(
        reading: &Reading,
        state: &SessionState,
        schema: &Arc<TableSchema>,
    ) -> Result<Rules> {
        let mut rules =
            Rules { schema: Arc::clone(schema), computed: Vec::new(), checks: Vec::new() };
        for (at, column) in schema.columns.iter().enumerate() {
            if let Some(Generated::Stored(text)) = &column.generated {
                let what = "column generation expression";
                let value = RowExpression::plan(reading, state, schema, text, what)?;
                rules.computed.push((at, value));
            }
        }
        for check in schema.checks.iter().filter(|check| check.enforced) {
            let text = &check.text;
            let condition = RowExpression::plan(reading, state, schema, text, "check constraint")?;
            rules.checks.push((check.name.clone(), condition));
        }
        Ok(rules)
    }

    /// The rows with their computed columns.
    ///
    /// # Errors
    /// Whatever evaluating gives.
    pub fn compute(&self, rows: RecordBatch) -> Result<RecordBatch> {
        if self.computed.is_empty() {
            return Ok(rows);
        }
        let mut columns: Vec<ArrayRef> = rows.columns().to_vec();
        for (at, value) in &self.computed {
            let storage = self.schema.columns[*at].data_type.arrow();
            columns[*at] = cast(&value.values(&rows)?, &storage).map_err(fault::of_arrow)?;
        }
        RecordBatch::try_new(rows.schema(), columns).map_err(fault::of_arrow)
    }

    /// Asks every condition; NULL is not false.
    ///
    /// # Errors
    /// CheckViolation; whatever evaluating gives.
    pub fn check(&self, rows: &RecordBatch) -> Result<()> {
        for (name, condition) in &self.checks {
            if let Some(row) = first_false(&condition.values(rows)?) {
                let table = &self.schema.name;
                let message = format!(
                    "new row for relation \"{table}\" violates check constraint \"{name}\""
                );
                return Err(Error::new(ErrorKind::CheckViolation, message)
                    .detail(failing_row(rows, row))
                    .about(ObjectNames {
                        schema: Some(self.schema.namespace.clone()),
                        table: Some(table.clone()),
                        column: None,
                        constraint: Some(name.clone()),
                    }));
            }
        }
        Ok(())
    }
}

fn first_false(values: &ArrayRef) -> Option<usize> {
    let values = values.as_boolean_opt()?;
    (0..values.len()).find(|row| values.is_valid(*row) && !values.value(*row))
}
