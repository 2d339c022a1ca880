//! What every written row goes through: computed columns, then CHECK. One function, whatever statement
//! writes.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{Field, Schema, SchemaRef};
use datafusion::execution::session_state::SessionState;

use super::write::check_lengths;
use crate::error::{Error, ErrorKind, Result};
use crate::fault;
use crate::plan::Reading;
use crate::plan::rows::RowExpression;
use crate::spec::{Generated, TableSchema};
use crate::store::{Load, RowRule, Table, failing_row};

/// Begins to gather rows for a table, under its rules.
///
/// # Errors
/// Whatever planning the rules gives.
pub fn load(reading: &Reading, state: &SessionState, table: &Table) -> Result<Load> {
    Ok(Load::new(table).with_rule(rule(reading, state, table.schema())?))
}

/// The rule of a table; None where rows are stored as they come.
///
/// # Errors
/// Whatever planning its expressions gives.
pub fn rule(
    reading: &Reading,
    state: &SessionState,
    schema: &Arc<TableSchema>,
) -> Result<Option<RowRule>> {
    let mut computed = Vec::new();
    for (at, column) in schema.columns.iter().enumerate() {
        if let Some(Generated::Stored(text)) = &column.generated {
            let what = "column generation expression";
            computed.push((at, RowExpression::plan(reading, state, schema, text, what)?));
        }
    }
    let mut checks = Vec::new();
    for check in schema.checks.iter().filter(|check| check.enforced) {
        let text = &check.text;
        let condition = RowExpression::plan(reading, state, schema, text, "check constraint")?;
        checks.push((check.name.clone(), condition));
    }
    if computed.is_empty() && checks.is_empty() {
        return Ok(None);
    }
    let rules = Rules { schema: Arc::clone(schema), nullable: nullable(schema), computed, checks };
    Ok(Some(Box::new(move |rows| rules.apply(rows))))
}

struct Rules {
    schema: Arc<TableSchema>,
    /// Its columns, each nullable: NOT NULL is asked after the rules.
    nullable: SchemaRef,
    computed: Vec<(usize, RowExpression)>,
    checks: Vec<(String, RowExpression)>,
}

impl Rules {
    fn apply(&self, rows: RecordBatch) -> Result<RecordBatch> {
        let rows = self.compute(rows)?;
        for (name, condition) in &self.checks {
            if let Some(row) = first_false(&condition.values(&rows)?) {
                return Err(Error::new(
                    ErrorKind::CheckViolation,
                    format!(
                        "new row for relation \"{}\" violates check constraint \"{name}\"",
                        self.schema.name
                    ),
                )
                .detail(failing_row(&rows, row)));
            }
        }
        Ok(rows)
    }

    fn compute(&self, rows: RecordBatch) -> Result<RecordBatch> {
        if self.computed.is_empty() {
            return Ok(rows);
        }
        let mut columns: Vec<ArrayRef> = rows.columns().to_vec();
        for (at, expression) in &self.computed {
            let storage = self.schema.columns[*at].data_type.arrow();
            columns[*at] = cast(&expression.values(&rows)?, &storage).map_err(fault::of_arrow)?;
        }
        let rows = RecordBatch::try_new(Arc::clone(&self.nullable), columns);
        let rows = rows.map_err(fault::of_arrow)?;
        check_lengths(&self.schema, &rows)?;
        Ok(rows)
    }
}

fn nullable(schema: &TableSchema) -> SchemaRef {
    let fields: Vec<Field> =
        schema.columns.iter().map(|c| c.data_type.field(&c.name, true)).collect();
    Arc::new(Schema::new(fields))
}

/// NULL is not false.
fn first_false(values: &ArrayRef) -> Option<usize> {
    let values = values.as_boolean();
    (0..values.len()).find(|row| values.is_valid(*row) && !values.value(*row))
}
