//! What a caller says about the rows it wants: a condition on columns, and on rows' identity.

use std::fmt::Debug;
use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, UInt64Array};
use arrow::buffer::BooleanBuffer;
use arrow::record_batch::RecordBatch;

use crate::error::Result;
use crate::spec::{ColumnId, SegmentMeta, TableSchema, Value};

/// A condition that a scan applies, first to statistics, then row by row.
pub trait Filter: Debug + Send + Sync {
    /// The columns it reads.
    fn columns(&self) -> &[ColumnId];

    /// For each container, whether a row in it may pass; true where that is not known.
    fn may_match(&self, statistics: &ContainerStatistics) -> Result<Vec<bool>>;

    /// For each row, whether it passes; NULL means no. `batch` has exactly [`Filter::columns`], in
    /// their order.
    fn keep(&self, batch: &RecordBatch) -> Result<BooleanArray>;
}

/// Which row versions a reader may see, where that depends on the row's identity: commits of a
/// folded file's range, deletes by row id.
pub trait RowVisibility: Debug + Send + Sync {
    /// For each row, given its `_commit` and its `_row_id`, whether it is there.
    fn visible(&self, commits: &UInt64Array, row_ids: &UInt64Array) -> BooleanBuffer;
}

/// Bounds of columns in each of several containers of rows: pages of a file, or whole files.
#[derive(Clone, Debug, Default)]
pub struct ContainerStatistics {
    rows: Vec<u64>,
    columns: Vec<(ColumnId, Bounds)>,
}

#[derive(Clone, Debug)]
struct Bounds {
    min: ArrayRef,
    max: ArrayRef,
    nulls: ArrayRef,
}

impl ContainerStatistics {
    /// Containers of this many rows each, nothing known of their columns.
    pub fn new(rows: Vec<u64>) -> Self {
        ContainerStatistics { rows, columns: Vec::new() }
    }

    /// Adds what is known of one column: per container a lower and an upper bound of the values
    /// that are not NULL (in the column's Arrow type; NULL where unknown), and the count of NULLs
    /// (`UInt64`; NULL where unknown). NaN counts as the greatest value.
    pub fn with(mut self, column: ColumnId, min: ArrayRef, max: ArrayRef, nulls: ArrayRef) -> Self {
        self.columns.push((column, Bounds { min, max, nulls }));
        self
    }

    /// Whole files as containers, with the bounds that the log has of them.
    pub fn of_segments(
        segments: &[&SegmentMeta],
        schema: &TableSchema,
        columns: &[ColumnId],
    ) -> Result<Self> {
        let mut statistics = Self::new(segments.iter().map(|s| s.rows).collect());
        for column in columns.iter().filter_map(|&id| schema.column(id)) {
            // A value written under an older type is not comparable with today's in general.
            let of = |s: &&SegmentMeta| {
                let same = s.schema == schema.id || column.data_type.is_ordered();
                s.statistics_of(column.id).filter(|_| same).cloned()
            };
            let known: Vec<_> = segments.iter().map(of).collect();
            let pick = |f: fn(&crate::spec::ColumnStatistics) -> Option<Value>| -> Vec<_> {
                known.iter().map(|s| s.as_ref().and_then(f)).collect()
            };
            let min = Value::array(&pick(|s| s.min.clone()), &column.data_type);
            let max = Value::array(&pick(|s| s.max.clone()), &column.data_type);
            let (Ok(min), Ok(max)) = (min, max) else { continue };
            let nulls: UInt64Array = known.iter().map(|s| s.as_ref().map(|s| s.nulls)).collect();
            statistics = statistics.with(column.id, min, max, Arc::new(nulls));
        }
        Ok(statistics)
    }

    /// How many rows each container has.
    pub fn rows(&self) -> &[u64] {
        &self.rows
    }

    /// Lower bounds, one a container; None where nothing is known of the column.
    pub fn min(&self, column: ColumnId) -> Option<ArrayRef> {
        self.bounds(column).map(|b| b.min.clone())
    }

    /// Upper bounds, one a container; None where nothing is known of the column.
    pub fn max(&self, column: ColumnId) -> Option<ArrayRef> {
        self.bounds(column).map(|b| b.max.clone())
    }

    /// Counts of NULLs, one a container; None where nothing is known of the column.
    pub fn nulls(&self, column: ColumnId) -> Option<ArrayRef> {
        self.bounds(column).map(|b| b.nulls.clone())
    }

    fn bounds(&self, column: ColumnId) -> Option<&Bounds> {
        self.columns.iter().find(|(id, _)| *id == column).map(|(_, bounds)| bounds)
    }
}
