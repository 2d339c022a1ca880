//! The gate: what every row must hold before it is part of a table, whichever statement brings it.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::datatypes::{Field, Schema, SchemaRef};
use datafusion::execution::session_state::SessionState;

use crate::command::rules::Rules;
use crate::error::Result;
use crate::fault;
use crate::plan::Reading;
use crate::spec::TableSchema;
use crate::spec::length::{Beyond, fit, is_limited};
use crate::store::{Table, check_not_null};

/// The rules of one table, made once a statement.
pub struct Gate {
    schema: Arc<TableSchema>,
    /// Nullable throughout: NULLs are refused with their own error.
    arrow: SchemaRef,
    rules: Rules,
}

impl Gate {
    /// The gate of a table.
    ///
    /// # Errors
    /// Whatever planning the table's rules gives.
    pub fn new(reading: &Reading, state: &SessionState, table: &Table) -> Result<Gate> {
        let schema = Arc::clone(table.schema());
        let rules = Rules::new(reading, state, &schema)?;
        Ok(Gate { arrow: nullable(&schema), schema, rules })
    }

    /// Rows that were let in long ago, as the same batch.
    ///
    /// # Errors
    /// Internal where the columns are not the table's.
    pub fn unchecked(schema: &TableSchema, columns: Vec<ArrayRef>) -> Result<RecordBatch> {
        RecordBatch::try_new(nullable(schema), columns).map_err(fault::of_arrow)
    }

    /// Lets rows in: the table's columns in its order and types. Every batch that any statement
    /// writes passes here, new rows and new versions alike, before keys are looked at.
    ///
    /// # Errors
    /// StringTooLong, NotNullViolation, CheckViolation.
    pub fn admit(&self, columns: Vec<ArrayRef>) -> Result<RecordBatch> {
        let rows = RecordBatch::try_new(Arc::clone(&self.arrow), columns);
        let rows = self.rules.compute(rows.map_err(fault::of_arrow)?)?;
        let rows = within_lengths(&self.schema, rows)?;
        check_not_null(&self.schema, &rows)?;
        self.rules.check(&rows)?;
        Ok(rows)
    }
}

fn nullable(schema: &TableSchema) -> SchemaRef {
    let fields = schema.columns.iter().map(|c| c.data_type.field(&c.name, true));
    Arc::new(Schema::new(fields.collect::<Vec<Field>>()))
}

/// The rows as they are stored: blanks beyond the length of a varchar(n) do no harm, those of char(n)
/// are not kept.
///
/// # Errors
/// StringTooLong.
pub fn within_lengths(schema: &TableSchema, batch: RecordBatch) -> Result<RecordBatch> {
    if !schema.columns.iter().any(|column| is_limited(&column.data_type)) {
        return Ok(batch);
    }
    let fitted = schema.columns.iter().zip(batch.columns()).map(|(column, array)| {
        fit(&column.data_type, array, Beyond::Refused)
            .map_err(|error| error.detail(format!("column \"{}\"", column.name)))
    });
    let fitted = fitted.collect::<Result<Vec<_>>>()?;
    RecordBatch::try_new(batch.schema(), fitted).map_err(fault::of_arrow)
}
