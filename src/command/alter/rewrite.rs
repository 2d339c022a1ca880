//! Every row written again under a new shape: an UPDATE of the whole table.

use std::sync::Arc;

use arrow::array::{Array, AsArray, RecordBatch, UInt64Array};
use arrow::compute::cast;
use arrow::datatypes::UInt64Type;

use datafusion::sql::sqlparser::ast::SetExpr;

use super::Alteration;
use crate::command::run;
use crate::command::verify::quoted;
use crate::command::write::gate::Gate;
use crate::command::write::target::Target;
use crate::error::Result;
use crate::exec::scan::HIDDEN;
use crate::fault;
use crate::parse;
use crate::plan::{Selecting, plan_selecting};
use crate::spec::{RowId, SegmentId, TableSchema};
use crate::store::{Load, RowRefs};

impl Alteration<'_, '_> {
    /// Takes the table to a shape in which each column is the value of a text over the columns of
    /// today. Rows keep their ids.
    pub(super) async fn rewrite(&mut self, schema: TableSchema, values: &[String]) -> Result<()> {
        let found = self.rows_with_places(values).await?;
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
        let gate = Gate::new(&self.writing.reading, self.writing.state, &self.table)?;
        let mut load = Load::new(&self.table);
        for batch in &found {
            let columns = schema.columns.iter().zip(batch.columns());
            let columns = columns.map(|(column, values)| cast(values, &column.data_type.arrow()));
            let columns = columns.collect::<Result<_, _>>().map_err(fault::of_arrow)?;
            let ids = batch.column(width + 1).as_primitive::<UInt64Type>().clone();
            load.push_versions(&gate.admit(columns)?, ids)?;
        }
        let loaded = load.finish()?;
        if loaded.rows > 0 {
            self.writing.transaction.insert(&self.table, loaded)?;
        }
        self.refresh()
    }

    /// The values over every row, and where each row lies.
    async fn rows_with_places(&self, values: &[String]) -> Result<Vec<RecordBatch>> {
        let hidden = HIDDEN.iter().map(|name| quoted(name));
        let items: Vec<String> = values.iter().cloned().chain(hidden).collect();
        let mut query = parse::query(&format!("SELECT {} FROM t", items.join(", ")))?;
        let SetExpr::Select(select) = query.body.as_mut() else {
            unreachable!("the text above is a SELECT")
        };
        let items = std::mem::take(&mut select.projection);
        let alias = self.schema().name.clone();
        let rows = Target::here(Arc::clone(&self.table), alias).rows()?;
        let (from, given) = (vec![rows.factor()?], vec![rows]);
        let selecting = Selecting { given, from, items, named: true, ..Selecting::default() };
        let (reading, state) = (&self.writing.reading, self.writing.state);
        let planned = plan_selecting(reading, state, selecting)?;
        run::collect(reading, state, planned.plan).await
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
