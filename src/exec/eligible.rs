//! Which rows of a batch can meet another: those that have all that is compared, and for which their own
//! condition holds.

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray};
use arrow::buffer::NullBuffer;
use arrow::compute::{and, prep_null_mask_filter};
use arrow::error::ArrowError;

/// The rows that have a value in every column; None where all have.
pub fn known<'a>(columns: impl IntoIterator<Item = &'a ArrayRef>) -> Option<NullBuffer> {
    columns.into_iter().fold(None, |nulls, column| {
        NullBuffer::union(nulls.as_ref(), column.logical_nulls().as_ref())
    })
}

/// The rows for which a condition is true: NULL counts as false.
pub fn holds(condition: &ArrayRef) -> BooleanArray {
    let condition = condition.as_boolean();
    match condition.null_count() {
        0 => condition.clone(),
        _ => prep_null_mask_filter(condition),
    }
}

/// The rows of both; None where all are.
///
/// # Errors
/// None for columns of one length.
pub fn eligible(
    known: Option<NullBuffer>,
    condition: Option<&ArrayRef>,
) -> Result<Option<BooleanArray>, ArrowError> {
    let known = known.map(|known| BooleanArray::new(known.into_inner(), None));
    Ok(match (known, condition.map(holds)) {
        (Some(known), Some(holds)) => Some(and(&known, &holds)?),
        (known, holds) => known.or(holds),
    })
}
