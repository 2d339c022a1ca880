//! The columns of a file that knows its own types, as a table's columns take them: as INSERT … SELECT assigns,
//! with the same casts and the same refusals.

use arrow::array::{ArrayRef, RecordBatch};
use arrow::datatypes::{Field, Schema, SchemaRef};
use datafusion::common::{Column as PlanColumn, DFSchema};
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::Expr;

use super::write::assign::cast_to_column;
use crate::error::{Error, ErrorKind, Result};
use crate::exec::copy::fit;
use crate::fault;
use crate::plan::rows::RowExpression;
use crate::spec::text::TextOptions;
use crate::spec::{Column, Type, foreign};

/// A column of the file on its way to a column of the table.
pub(super) struct Assignment {
    /// Its place in the file.
    at: usize,
    /// The type its values have.
    of: Type,
    /// What it becomes, and over what; None where it stays as it is.
    cast: Option<(RowExpression, SchemaRef)>,
}

impl Assignment {
    /// Plans it.
    ///
    /// # Errors
    /// DatatypeMismatch where INSERT would have no cast.
    pub(super) fn new(
        state: &SessionState,
        (at, field): (usize, &Field),
        column: &Column,
    ) -> Result<Assignment> {
        let Some(of) = foreign::type_of(field.data_type()) else {
            let (name, wanted, found) = (&column.name, &column.data_type, field.data_type());
            let message =
                format!("column \"{name}\" is of type {wanted} but the file's is {found}");
            return Err(Error::new(ErrorKind::DatatypeMismatch, message));
        };
        // The gate cuts and refuses what is too long.
        let is_text = |of: &Type| matches!(of, Type::Text | Type::Varchar(_) | Type::Char(_));
        if of == column.data_type || is_text(&of) && is_text(&column.data_type) {
            return Ok(Assignment { at, of, cast: None });
        }
        let value = Schema::new(vec![of.field(&column.name, true)]);
        let columns = DFSchema::try_from(value.clone()).map_err(fault::of_datafusion)?;
        let value_of = Expr::Column(PlanColumn::new_unqualified(&column.name));
        let expr = cast_to_column(value_of, column, &columns)?;
        let expr = RowExpression::of_planned(state, columns, expr)?;
        Ok(Assignment { at, of, cast: Some((expr, value.into())) })
    }

    /// The column of a batch of the file.
    ///
    /// # Errors
    /// Whatever a value that does not fit gives.
    pub(super) fn values(&self, batch: &RecordBatch, text: &TextOptions) -> Result<ArrayRef> {
        let values = fit(batch.column(self.at), &self.of, text)?;
        let Some((expr, schema)) = &self.cast else { return Ok(values) };
        let rows = RecordBatch::try_new(schema.clone(), vec![values]).map_err(fault::of_arrow)?;
        expr.values(&rows)
    }
}
