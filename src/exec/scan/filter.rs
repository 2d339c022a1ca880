//! A plan's condition as the reader wants it: over column ids, for statistics and for rows.

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, BooleanArray, RecordBatch, UInt64Array};
use arrow::datatypes::SchemaRef;
use datafusion::common::pruning::PruningStatistics;
use datafusion::common::{Column, ScalarValue};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_optimizer::pruning::{PruningPredicate, PruningPredicateBuilder};

use crate::error::Result;
use crate::fault;
use crate::segment::{ContainerStatistics, Filter};
use crate::spec::ColumnId;

/// A boolean expression over some columns of a table.
pub struct PredicateFilter {
    predicate: Arc<dyn PhysicalExpr>,
    schema: SchemaRef,
    columns: Vec<ColumnId>,
    pruning: Option<PruningPredicate>,
}

impl PredicateFilter {
    /// `predicate` is over `schema`, whose columns are `columns` in this order.
    pub fn new(
        predicate: Arc<dyn PhysicalExpr>,
        schema: SchemaRef,
        columns: Vec<ColumnId>,
    ) -> PredicateFilter {
        // What cannot be decided from statistics is decided row by row.
        let pruning = PruningPredicateBuilder::new()
            .with_file_schema(Arc::clone(&schema))
            .try_build(Arc::clone(&predicate));
        let pruning = pruning.ok().filter(|pruning| !pruning.always_true());
        PredicateFilter { predicate, schema, columns, pruning }
    }
}

impl Filter for PredicateFilter {
    fn columns(&self) -> &[ColumnId] {
        &self.columns
    }

    fn may_match(&self, statistics: &ContainerStatistics) -> Result<Vec<bool>> {
        let Some(pruning) = &self.pruning else { return Ok(vec![true; statistics.rows().len()]) };
        pruning.prune(&Known { filter: self, statistics }).map_err(fault::of_datafusion)
    }

    fn keep(&self, batch: &RecordBatch) -> Result<BooleanArray> {
        // The reader's batches are nullable throughout; the expression was made for the table's.
        let columns: Vec<ArrayRef> = batch.columns().to_vec();
        let batch =
            RecordBatch::try_new(Arc::clone(&self.schema), columns).map_err(fault::of_arrow)?;
        let value = self.predicate.evaluate(&batch).map_err(fault::of_datafusion)?;
        let array = value.into_array(batch.num_rows()).map_err(fault::of_datafusion)?;
        Ok(array.as_boolean().clone())
    }
}

impl fmt::Debug for PredicateFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.predicate)
    }
}

struct Known<'a> {
    filter: &'a PredicateFilter,
    statistics: &'a ContainerStatistics,
}

impl Known<'_> {
    fn id(&self, column: &Column) -> Option<ColumnId> {
        let at = self.filter.schema.index_of(&column.name).ok()?;
        self.filter.columns.get(at).copied()
    }
}

impl PruningStatistics for Known<'_> {
    fn min_values(&self, column: &Column) -> Option<ArrayRef> {
        self.statistics.min(self.id(column)?)
    }

    fn max_values(&self, column: &Column) -> Option<ArrayRef> {
        self.statistics.max(self.id(column)?)
    }

    fn num_containers(&self) -> usize {
        self.statistics.rows().len()
    }

    fn null_counts(&self, column: &Column) -> Option<ArrayRef> {
        self.statistics.nulls(self.id(column)?)
    }

    fn row_counts(&self) -> Option<ArrayRef> {
        let rows = self.statistics.rows().iter().copied();
        Some(Arc::new(UInt64Array::from_iter_values(rows)))
    }

    fn contained(&self, _: &Column, _: &HashSet<ScalarValue>) -> Option<BooleanArray> {
        None
    }
}
