//! The order of values: NULL first, text by bytes, -0.0 as 0.0, NaN last.

use std::cmp::Ordering;

use arrow::array::{Array, ArrayRef, AsArray, make_comparator};
use arrow::compute::{SortOptions, cast};
use arrow::datatypes::{DataType, Float64Type};

use crate::error::{Error, ErrorKind, Result};
use crate::spec::key::float_bits;

/// Compares a row of one array with a row of another.
pub(super) type Compare = Box<dyn Fn(usize, usize) -> Ordering + Send + Sync>;

/// Compares the rows of two arrays of one type.
pub(super) fn comparator(left: &ArrayRef, right: &ArrayRef) -> Result<Compare> {
    let error = |e| Error::new(ErrorKind::Internal, "values cannot be compared").caused_by(e);
    if matches!(left.data_type(), DataType::Float32 | DataType::Float64) {
        let left = float_keys(left).map_err(error)?;
        let right = float_keys(right).map_err(error)?;
        return Ok(Box::new(move |l, r| left[l].cmp(&right[r])));
    }
    let options = SortOptions { descending: false, nulls_first: true };
    make_comparator(left, right, options).map_err(error)
}

/// Arrow orders floats by their bits, where -0.0 is not 0.0 and a NaN may come first.
fn float_keys(array: &ArrayRef) -> Result<Vec<Option<u64>>, arrow::error::ArrowError> {
    let array = cast(array, &DataType::Float64)?;
    let floats = array.as_primitive::<Float64Type>();
    Ok(floats.iter().map(|v| v.map(float_bits)).collect())
}
