//! Rows by the order of the file.
//!
//! The bounds of a page's first order column are those of its first and last row. Where they are
//! equal, so are all values between, and the same holds for the next column, and so on: the page index
//! gives the first row of a page up to the first column that varies in it, and the last row likewise.
//! Mostly that decides; else the page is decoded.

use std::cmp::Ordering;
use std::ops::Range;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef};

use super::super::columns::{convert, keeps_order};
use super::super::order::{Compare, comparator};
use super::bounds::PageBounds;
use super::{Segment, Side};
use crate::error::{Error, ErrorKind, Result};
use crate::spec::{Column, ColumnId, TableSchema};

impl Segment {
    /// For each key, how many rows of the file come before it: rows less than it
    /// ([`Side::Before`]), or not greater ([`Side::After`]). `keys` are arrays of `schema`'s types
    /// for the first `keys.len()` columns of the file's order ([`crate::spec::SegmentMeta::order`]);
    /// any prefix will do. Sorted keys are fastest. Deleted rows count.
    pub fn rank(&self, schema: &TableSchema, keys: &[ArrayRef], side: Side) -> Result<Vec<u64>> {
        let mut search = Search::new(self, schema, keys)?;
        (0..search.keys).map(|key| search.rank(key, side)).collect()
    }

    /// For each key, the positions of the rows that have it; empty where there are none.
    pub fn find(&self, schema: &TableSchema, keys: &[ArrayRef]) -> Result<Vec<Range<u64>>> {
        let mut search = Search::new(self, schema, keys)?;
        (0..search.keys).map(|key| search.find(key)).collect()
    }
}

/// A search for several keys of one shape.
pub(super) struct Search<'a> {
    segment: &'a Segment,
    columns: Vec<SearchColumn>,
    keys: usize,
    /// The page decoded last: sorted keys mostly need it again.
    page: Option<(u64, Vec<Compare>)>,
}

/// One column of the keys. The comparators take a page's or a row's number, then a key's.
struct SearchColumn {
    file: usize,
    key: ArrayRef,
    bounds: Arc<PageBounds>,
    min: Compare,
    max: Compare,
}

impl<'a> Search<'a> {
    pub(super) fn new(
        segment: &'a Segment,
        schema: &TableSchema,
        keys: &[ArrayRef],
    ) -> Result<Search<'a>> {
        let order = &segment.meta.order;
        if keys.is_empty() || keys.len() > order.len() {
            let what = "keys must be of the first columns of the segment's order";
            return Err(Error::new(ErrorKind::Internal, what));
        }
        let column = |(id, key): (&ColumnId, &ArrayRef)| {
            let column = schema.column(*id).ok_or_else(|| lacks(*id))?;
            SearchColumn::new(segment, column, key)
        };
        let columns: Vec<SearchColumn> =
            order.iter().zip(keys).map(column).collect::<Result<_>>()?;
        Ok(Search { segment, columns, keys: keys[0].len(), page: None })
    }

    fn find(&mut self, key: usize) -> Result<Range<u64>> {
        let start = self.rank(key, Side::Before)?;
        if start == self.segment.layout.rows || self.compare_row(start, key)?.is_ne() {
            return Ok(start..start);
        }
        Ok(start..self.rank(key, Side::After)?)
    }

    fn rank(&mut self, key: usize, side: Side) -> Result<u64> {
        // The first page whose last row does not come before the place searched.
        let (mut low, mut high) = (0, self.segment.layout.pages());
        while low < high {
            let middle = low + (high - low) / 2;
            if self.page_is_before(middle, key, side)? { low = middle + 1 } else { high = middle }
        }
        let start = (low * self.segment.layout.page_rows).min(self.segment.layout.rows);
        if low == self.segment.layout.pages() || self.page_is_after(low, key, side) {
            return Ok(start);
        }
        let (mut first, mut end) = (0, self.segment.layout.rows_of(low));
        while first < end {
            let middle = first + (end - first) / 2;
            let order = self.compare_row(start + middle, key)?;
            if is_before(order, side) { first = middle + 1 } else { end = middle }
        }
        Ok(start + first)
    }

    /// Whether the last row of a page comes before the place searched.
    fn page_is_before(&mut self, page: u64, key: usize, side: Side) -> Result<bool> {
        match self.last_row(page as usize, key) {
            Some(order) => Ok(is_before(order, side)),
            None => {
                let last = page * self.segment.layout.page_rows + self.segment.layout.rows_of(page);
                Ok(is_before(self.compare_row(last - 1, key)?, side))
            }
        }
    }

    /// How the last row of a page compares with a key, as far as the page index knows.
    pub(super) fn last_row(&self, page: usize, key: usize) -> Option<Ordering> {
        for (i, column) in self.columns.iter().enumerate() {
            let (min, max) = column.compare(page, key)?;
            match (min, max) {
                (_, Ordering::Less) => return Some(Ordering::Less),
                (Ordering::Greater, _) => return Some(Ordering::Greater),
                _ if !column.bounds.exact => return None,
                (_, Ordering::Greater) => return Some(Ordering::Greater),
                (Ordering::Equal, Ordering::Equal) => {}
                // The last row has the key's value here; what follows it there is not known.
                _ if i + 1 == self.columns.len() => return Some(Ordering::Equal),
                _ => return None,
            }
        }
        Some(Ordering::Equal)
    }

    /// Whether the page index tells that the first row of a page does not come before the place
    /// searched.
    pub(super) fn page_is_after(&self, page: u64, key: usize, side: Side) -> bool {
        for column in &self.columns {
            match column.compare(page as usize, key) {
                Some((Ordering::Greater, _)) => return true,
                Some((Ordering::Equal, Ordering::Equal)) if column.bounds.exact => {}
                _ => return false,
            }
        }
        !is_before(Ordering::Equal, side)
    }

    /// How a row compares with a key. Decodes the row's page.
    fn compare_row(&mut self, position: u64, key: usize) -> Result<Ordering> {
        let page = position / self.segment.layout.page_rows;
        let row = (position % self.segment.layout.page_rows) as usize;
        if self.page.as_ref().is_none_or(|(decoded, _)| *decoded != page) {
            let of = |column: &SearchColumn| column.comparator(self.segment, page);
            let compare: Vec<Compare> = self.columns.iter().map(of).collect::<Result<_>>()?;
            self.page = Some((page, compare));
        }
        let (_, compare) = self.page.as_ref().expect("decoded above");
        let orders = compare.iter().map(|compare| compare(row, key));
        Ok(orders.fold(Ordering::Equal, Ordering::then))
    }
}

/// Whether a row that compares so with a key comes before the place searched.
fn is_before(order: Ordering, side: Side) -> bool {
    match side {
        Side::Before => order.is_lt(),
        Side::After => order.is_le(),
    }
}

impl SearchColumn {
    fn new(segment: &Segment, column: &Column, key: &ArrayRef) -> Result<SearchColumn> {
        let file = segment.file_column(column.id)?.ok_or_else(|| lacks(column.id))?;
        let shown = column.data_type.arrow();
        if !keeps_order(segment.layout.columns[file].field.data_type(), &shown) {
            let what = format!("column \"{}\" is stored in another order", column.name);
            return Err(Error::new(ErrorKind::Internal, what));
        }
        let bounds = segment.page_bounds(file)?;
        let key = convert(key, &shown)?;
        let min = comparator(&convert(&bounds.min, &shown)?, &key)?;
        let max = comparator(&convert(&bounds.max, &shown)?, &key)?;
        Ok(SearchColumn { file, key, bounds, min, max })
    }

    /// How the bounds of a page compare with a key; None where they are unknown or leave out NULLs.
    fn compare(&self, page: usize, key: usize) -> Option<(Ordering, Ordering)> {
        let PageBounds { min, max, nulls, .. } = self.bounds.as_ref();
        let known = min.is_valid(page) && max.is_valid(page);
        let no_nulls = nulls.is_valid(page) && nulls.value(page) == 0;
        (known && no_nulls).then(|| ((self.min)(page, key), (self.max)(page, key)))
    }

    fn comparator(&self, segment: &Segment, page: u64) -> Result<Compare> {
        let values = convert(&segment.page(self.file, page)?, self.key.data_type())?;
        comparator(&values, &self.key)
    }
}

fn lacks(column: ColumnId) -> Error {
    Error::new(ErrorKind::Internal, format!("order column {column} is not in the segment"))
}
