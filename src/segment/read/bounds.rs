//! Bounds of pages, from the page index.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, UInt64Array, new_null_array};
use arrow::datatypes::DataType;

use super::super::blocks::parquet_error;
use super::super::columns::{convert, keeps_order};
use super::super::filter::ContainerStatistics;
use super::{Projection, Segment};
use crate::error::{Error, ErrorKind, Result};
use crate::spec::{ColumnId, Type, Value};

/// Bounds of one column, one row a page of the file, in the file's type.
pub(super) struct PageBounds {
    /// A lower bound of the values; NULL where unknown.
    pub min: ArrayRef,
    /// An upper bound of the values; NULL where unknown.
    pub max: ArrayRef,
    /// How many values are NULL.
    pub nulls: UInt64Array,
    /// Whether known bounds are values of the page.
    pub exact: bool,
}

impl Segment {
    /// The bounds of a column of the file.
    pub(super) fn page_bounds(&self, column: usize) -> Result<Arc<PageBounds>> {
        if let Some(bounds) = self.bounds[column].get() {
            return Ok(bounds.clone());
        }
        let bounds = Arc::new(self.read_bounds(column)?);
        Ok(self.bounds[column].get_or_init(|| bounds).clone())
    }

    fn read_bounds(&self, column: usize) -> Result<PageBounds> {
        let file = &self.layout.columns[column];
        let metadata = &self.layout.metadata;
        let groups: Vec<usize> = (0..metadata.num_row_groups()).collect();
        let (Some(bounds), Some(offsets)) = (metadata.column_index(), metadata.offset_index())
        else {
            let name = &self.layout.name;
            return Err(Error::new(
                ErrorKind::Corrupt,
                format!("file \"{name}\" has no page index"),
            ));
        };
        let error = |e| parquet_error(&self.layout.name, e);
        let converter = self.layout.converter(file)?;
        let nan = self.has_nan(file.id);
        let max = match nan {
            // Parquet leaves NaN out of its bounds, and it is the greatest.
            true => new_null_array(file.field.data_type(), self.layout.pages() as usize),
            false => converter.data_page_maxes(bounds, offsets, &groups).map_err(error)?,
        };
        Ok(PageBounds {
            min: converter.data_page_mins(bounds, offsets, &groups).map_err(error)?,
            max,
            nulls: converter.data_page_null_counts(bounds, offsets, &groups).map_err(error)?,
            exact: !file.long && !nan,
        })
    }

    fn has_nan(&self, id: i32) -> bool {
        let statistics =
            u64::try_from(id).ok().and_then(|id| self.meta.statistics_of(ColumnId(id)));
        matches!(statistics.and_then(|s| s.max.as_ref()), Some(Value::Float(max)) if max.is_nan())
    }

    /// What is known of the filter's columns in some pages, as `projection` shows them.
    pub(super) fn statistics(
        &self,
        projection: &Projection,
        columns: &[ColumnId],
        pages: Range<u64>,
    ) -> Result<ContainerStatistics> {
        let rows = pages.clone().map(|page| self.layout.rows_of(page)).collect();
        let mut statistics = ContainerStatistics::new(rows);
        let (start, length) = (pages.start as usize, (pages.end - pages.start) as usize);
        for &id in columns {
            let shown = &projection.column(id)?.data_type;
            let Some(column) = self.file_column(id)? else { continue };
            let stored = self.layout.columns[column].field.data_type();
            if !has_bounds(shown, stored) {
                continue;
            }
            let bounds = self.page_bounds(column)?;
            let part = |array: &ArrayRef| convert(&array.slice(start, length), &shown.arrow());
            let nulls = Arc::new(bounds.nulls.slice(start, length));
            statistics = statistics.with(id, part(&bounds.min)?, part(&bounds.max)?, nulls);
        }
        Ok(statistics)
    }
}

/// Whether bounds of the stored type are bounds of the shown one.
fn has_bounds(shown: &Type, stored: &DataType) -> bool {
    shown.is_ordered() && keeps_order(stored, &shown.arrow())
}
