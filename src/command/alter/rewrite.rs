//! Every row written again under a new shape: an UPDATE of the whole table.

use std::sync::Arc;

use arrow::array::{Array, AsArray, RecordBatch, UInt64Array};
use arrow::compute::cast;
use arrow::datatypes::UInt64Type;

use super::Alteration;
use super::verify::{quoted, quoted_table};
use crate::command::rules;
use crate::command::write::check_lengths;
use crate::error::Result;
use crate::exec::scan::HIDDEN;
use crate::fault;
use crate::plan::names::ROWS_CATALOG;
use crate::spec::{RowId, SegmentId, TableSchema};
use crate::store::RowRefs;

impl Alteration<'_, '_> {
    /// Takes the table to a shape in which each column is the value of a text over the columns of
    /// today. Rows keep their ids.
    pub(super) async fn rewrite(&mut self, schema: TableSchema, values: &[String]) -> Result<()> {
        let hidden = HIDDEN.iter().map(|name| quoted(name));
        let items: Vec<String> = values.iter().cloned().chain(hidden).collect();
        let from = format!("{}.{}", quoted(ROWS_CATALOG), quoted_table(self.schema()));
        let found = self.rows(&format!("SELECT {} FROM {from}", items.join(", "))).await?;
        let width = values.len();
        let mut gone = RowRefs::default();
        found.iter().for_each(|batch| places(batch, width, &mut gone));
        if !gone.is_empty() {
            self.writing.transaction.delete(&self.table, &gone)?;
        }
        self.change(true, |next| {
            *next = schema;
            Ok(())
        })?;
        let schema = Arc::clone(self.schema());
        let mut load = rules::load(&self.writing.reading, self.writing.state, &self.table)?;
        for batch in &found {
            let columns = schema.columns.iter().zip(batch.columns());
            let columns = columns.map(|(column, values)| {
                let field = column.data_type.field(&column.name, true);
                Ok((Arc::new(field), cast(values, &column.data_type.arrow())?))
            });
            let columns: Result<Vec<_>, arrow::error::ArrowError> = columns.collect();
            let (fields, arrays): (Vec<_>, Vec<_>) =
                columns.map_err(fault::of_arrow)?.into_iter().unzip();
            let shape = Arc::new(arrow::datatypes::Schema::new(fields));
            let rows = RecordBatch::try_new(shape, arrays).map_err(fault::of_arrow)?;
            check_lengths(&schema, &rows)?;
            let ids = batch.column(width + 1).as_primitive::<UInt64Type>().clone();
            load.push_versions(&rows, ids)?;
        }
        let loaded = load.finish()?;
        if loaded.rows > 0 {
            self.writing.transaction.insert(&self.table, loaded)?;
        }
        self.refresh()
    }
}

/// The places of rows from their hidden columns, which begin at `first`.
fn places(batch: &RecordBatch, first: usize, found: &mut RowRefs) {
    let column = |i: usize| -> &UInt64Array { batch.column(first + i).as_primitive() };
    let (ids, segments, positions) = (column(1), column(2), column(3));
    for row in 0..batch.num_rows() {
        if segments.is_null(row) {
            found.rows.push(RowId(ids.value(row)));
        } else {
            let bitmap = found.positions.entry(SegmentId(segments.value(row))).or_default();
            bitmap.insert(positions.value(row) as u32);
        }
    }
}
