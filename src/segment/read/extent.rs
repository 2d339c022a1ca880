//! Where keys may lie, by the page index alone: no page is decoded.

use std::cmp::Ordering;
use std::ops::Range;

use arrow::array::ArrayRef;

use super::super::columns::{convert, keeps_order};
use super::rank::Search;
use super::{Segment, Side};
use crate::error::Result;
use crate::spec::{ColumnId, TableSchema};

impl Segment {
    /// How many pages each column has.
    pub fn pages(&self) -> u64 {
        self.layout.pages()
    }

    /// Whether bounds and order of the file hold for a column in the type it is shown in.
    pub fn is_ordered_as(&self, schema: &TableSchema, id: ColumnId) -> Result<bool> {
        let (Some(file), Some(shown)) = (self.file_column(id)?, schema.column(id)) else {
            return Ok(false);
        };
        Ok(keeps_order(self.layout.columns[file].field.data_type(), &shown.data_type.arrow()))
    }

    /// For each key, the pages that may have rows with it; empty only where none has. `keys` are
    /// arrays of `schema`'s types for the first columns of the file's order.
    pub fn pages_of(&self, schema: &TableSchema, keys: &[ArrayRef]) -> Result<Vec<Range<u64>>> {
        let search = Search::new(self, schema, keys)?;
        let rows = keys.first().map_or(0, |key| key.len());
        Ok((0..rows).map(|key| self.pages_of_one(&search, key)).collect())
    }

    /// Pages between the last that certainly ends before the key and the first that certainly begins
    /// behind it. What is not known of a page in between makes the range wider, never narrower.
    fn pages_of_one(&self, search: &Search<'_>, key: usize) -> Range<u64> {
        let is_before = |page: u64| search.last_row(page as usize, key) == Some(Ordering::Less);
        let start = first(0..self.pages(), |page| !is_before(page));
        let is_behind = |page: u64| search.page_is_after(page, key, Side::After);
        start..first(start..self.pages(), is_behind)
    }

    /// The least and the greatest value of a column in each page, one row a page, as `schema` shows
    /// them; NULL where unknown. None where the file has no bounds of it.
    pub fn page_limits(
        &self,
        schema: &TableSchema,
        id: ColumnId,
    ) -> Result<Option<(ArrayRef, ArrayRef)>> {
        if !self.is_ordered_as(schema, id)? {
            return Ok(None);
        }
        let (Some(file), Some(column)) = (self.file_column(id)?, schema.column(id)) else {
            return Ok(None);
        };
        let (bounds, shown) = (self.page_bounds(file)?, column.data_type.arrow());
        Ok(Some((convert(&bounds.min, &shown)?, convert(&bounds.max, &shown)?)))
    }
}

/// The first page for which `holds`, which does not hold before and holds from there on.
fn first(pages: Range<u64>, holds: impl Fn(u64) -> bool) -> u64 {
    let (mut low, mut high) = (pages.start, pages.end);
    while low < high {
        let middle = low + (high - low) / 2;
        if holds(middle) { high = middle } else { low = middle + 1 }
    }
    low
}
