//! Which pages of one segment may hold the nearest row of a label, by the page index alone.
//!
//! ```text
//! key 7 lies in pages 3..8      3: … 6 6 7 | 4: 7 7 7 | 5: 7 7 7 | 6: 7 7 7 | 7: 7 7 8 …
//! inner pages hold that key only, so their bounds of time are those of its rows
//! ```

use std::ops::Range;

use arrow::array::{Array, ArrayRef};
use datafusion::common::Result;

use super::keys::codes;
use super::sweep::Direction;
use crate::exec::scan::external;
use crate::segment::Segment;
use crate::spec::{ColumnId, TableSchema};

/// Least and greatest value of each page as integers; where unknown, the widest.
pub(super) struct Limits {
    pub min: Vec<i64>,
    pub max: Vec<i64>,
    /// Whether they are known of every page.
    pub known: bool,
}

impl Limits {
    pub(super) fn of(segment: &Segment, schema: &TableSchema, id: ColumnId) -> Result<Limits> {
        let pages = segment.pages() as usize;
        let limits = segment.page_limits(schema, id).map_err(external)?;
        let Some((min, max)) = limits else {
            let (min, max) = (vec![i64::MIN; pages], vec![i64::MAX; pages]);
            return Ok(Limits { min, max, known: false });
        };
        let known = min.logical_null_count() + max.logical_null_count() == 0;
        Ok(Limits { min: known_or(&min, i64::MIN)?, max: known_or(&max, i64::MAX)?, known })
    }

    /// The pages that may hold a value: the column leads the order of the file.
    pub(super) fn pages_of(&self, value: i64) -> Range<u32> {
        let start = self.max.partition_point(|max| *max < value);
        let end = start + self.min[start..].partition_point(|min| *min <= value);
        start as u32..end as u32
    }
}

fn known_or(bounds: &ArrayRef, unknown: i64) -> Result<Vec<i64>> {
    let values = codes(bounds)?;
    let known = bounds.logical_nulls();
    let or = |(page, value): (usize, &i64)| match &known {
        Some(known) if known.is_null(page) => unknown,
        _ => *value,
    };
    Ok(values.iter().enumerate().map(or).collect())
}

/// The pages to look into first for a label of this time, whose key's rows lie in `pages`: not empty
/// and part of them. The nearest row is there, or on the side that the direction goes on to, unless
/// deletes and filters left none.
pub(super) fn first_look(
    times: &Limits,
    pages: Range<u32>,
    time: i64,
    direction: Direction,
) -> Range<u32> {
    let (first, last) = (pages.start, pages.end - 1);
    if last - first < 2 || !times.known {
        return pages;
    }
    // Pages of that key alone, and between them times ascend.
    let inner = first as usize + 1..last as usize;
    if direction.forward {
        let reach = &times.max[inner.clone()];
        let at = (inner.start + reach.partition_point(|max| *max < time)) as u32;
        // In front of the first inner page is the key's first page, which may reach the time too.
        let start = if at == first + 1 { first } else { at };
        return start..(at + 1).min(pages.end);
    }
    let starts = &times.min[inner.clone()];
    let at = (inner.start + starts.partition_point(|min| *min <= time)) as u32;
    // `at` is the first page that begins behind the time, or the key's last page.
    let end = if at == last { pages.end } else { at };
    let passes_last = at == last && times.max[last as usize - 1] > time;
    let end = if passes_last { last } else { end };
    (end.saturating_sub(if at == last && !passes_last { 2 } else { 1 })).max(first)..end
}

#[cfg(test)]
mod tests {
    use super::*;

    fn times() -> Limits {
        // Pages of one key: 0 is mixed, 1..4 are its own, 4 is mixed.
        Limits { min: vec![0, 10, 20, 30, 5], max: vec![90, 19, 29, 39, 80], known: true }
    }

    #[test]
    fn looks_where_the_last_row_before_must_be() {
        let back = Direction { forward: false, inclusive: true };
        let look = |time| first_look(&times(), 0..5, time, back);
        assert_eq!(look(3), 0..1);
        assert_eq!(look(10), 1..2);
        assert_eq!(look(25), 2..3);
        assert_eq!(look(35), 3..4);
        assert_eq!(look(50), 3..5);
    }

    #[test]
    fn looks_where_the_next_row_must_be() {
        let forward = Direction { forward: true, inclusive: true };
        let look = |time| first_look(&times(), 0..5, time, forward);
        assert_eq!(look(3), 0..2);
        assert_eq!(look(19), 0..2);
        assert_eq!(look(25), 2..3);
        assert_eq!(look(50), 4..5);
    }

    #[test]
    fn a_key_in_two_pages_is_looked_for_in_both() {
        let back = Direction { forward: false, inclusive: true };
        assert_eq!(first_look(&times(), 1..3, 12, back), 1..3);
        assert_eq!(first_look(&times(), 2..3, 12, back), 2..3);
    }
}
