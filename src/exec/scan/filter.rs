//! A plan's condition as the reader wants it: over column ids, for statistics and for rows.

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, BooleanArray, RecordBatch, RecordBatchOptions, UInt64Array};
use arrow::datatypes::SchemaRef;
use datafusion::common::pruning::PruningStatistics;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, ScalarValue};
use datafusion::physical_expr::{PhysicalExpr, conjunction, split_conjunction};
use datafusion::physical_optimizer::pruning::{PruningPredicate, PruningPredicateBuilder};

use crate::error::Result;
use crate::fault;
use crate::segment::{ContainerStatistics, Filter};
use crate::spec::ColumnId;

/// Columns, constants and operators that statistics are asked for, at most; and conditions beside one
/// another.
const ASKED_NODES_MAX: usize = 512;
const ASKED_PARTS_MAX: usize = 64;

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
        let pruning = short(&predicate).and_then(|short| {
            PruningPredicateBuilder::new()
                .with_file_schema(Arc::clone(&schema))
                .try_build(short)
                .ok()
                .filter(|pruning| !pruning.always_true())
        });
        PredicateFilter { predicate, schema, columns, pruning }
    }
}

/// What of a condition statistics are asked for. The work to make a question of it grows with the square
/// of its length, and a long one is seldom decided: such parts of it are left to the rows.
fn short(predicate: &Arc<dyn PhysicalExpr>) -> Option<Arc<dyn PhysicalExpr>> {
    let mut nodes = 0;
    let parts = split_conjunction(predicate).into_iter().filter(|part| {
        let before = nodes;
        // What is visited of a part that is too long counts for nothing.
        let counted = part.apply(|_| {
            nodes += 1;
            Ok(match nodes > ASKED_NODES_MAX {
                true => TreeNodeRecursion::Stop,
                false => TreeNodeRecursion::Continue,
            })
        });
        let fits = counted.is_ok() && nodes <= ASKED_NODES_MAX;
        if !fits {
            nodes = before;
        }
        fits
    });
    let parts: Vec<_> = parts.take(ASKED_PARTS_MAX).map(Arc::clone).collect();
    (!parts.is_empty()).then(|| conjunction(parts))
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
        // What is true of every row reads no column.
        let rows = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        let batch = RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &rows)
            .map_err(fault::of_arrow)?;
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
