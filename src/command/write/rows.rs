//! Which rows of a table a statement has taken out so far: bits, not lists.

use std::collections::BTreeMap;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, UInt64Array};
use arrow::datatypes::UInt64Type;
use roaring::{RoaringBitmap, RoaringTreemap};

use crate::spec::{RowId, SegmentId};
use crate::store::{Place, RowRefs};

/// Rows that are to go.
#[derive(Default)]
pub struct Gone {
    rows: RoaringTreemap,
    positions: BTreeMap<SegmentId, RoaringBitmap>,
}

impl Gone {
    /// Takes rows from their hidden columns; true for those that were not taken before.
    pub fn take(&mut self, hidden: &[ArrayRef]) -> BooleanArray {
        let column = |i: usize| -> &UInt64Array { hidden[i].as_primitive::<UInt64Type>() };
        let (ids, segments, positions) = (column(1), column(2), column(3));
        let first = |row: usize| {
            if segments.is_null(row) {
                return self.rows.insert(ids.value(row));
            }
            let segment = SegmentId(segments.value(row));
            self.positions.entry(segment).or_default().insert(positions.value(row) as u32)
        };
        (0..ids.len()).map(first).map(Some).collect()
    }

    /// Takes one row; whether it was not taken before.
    pub fn take_place(&mut self, place: Place) -> bool {
        match place {
            Place::Inline(_, row) => self.rows.insert(row.0),
            Place::Segment(segment, position) => {
                self.positions.entry(segment).or_default().insert(position as u32)
            }
        }
    }

    /// Whether a row was taken.
    pub fn has(&self, place: Place) -> bool {
        match place {
            Place::Inline(_, row) => self.rows.contains(row.0),
            Place::Segment(segment, position) => {
                self.positions.get(&segment).is_some_and(|rows| rows.contains(position as u32))
            }
        }
    }

    /// As the transaction wants them.
    pub fn refs(self) -> RowRefs {
        RowRefs { rows: self.rows.iter().map(RowId).collect(), positions: self.positions }
    }
}
