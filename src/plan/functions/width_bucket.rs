//! `width_bucket`: which of several ranges a value is in.

use arrow::array::{Array, ArrayRef, make_comparator};
use arrow::compute::{SortOptions, cast};
use datafusion::logical_expr::ScalarUDF;

use super::row_function::{Row, RowFunction};
use crate::error::{Error, ErrorKind, Result};
use crate::exec::prefix::first_not;
use crate::fault;
use crate::plan::pg_catalog::cell::Cell;

/// The function of this file.
pub fn functions() -> Vec<ScalarUDF> {
    let body = |row: &Row<'_>| match row.len() {
        2 => among(row),
        _ => even(row),
    };
    vec![RowFunction::new("width_bucket", &["fffi", "aa"], "int4", body).immutable().into()]
}

fn invalid(message: &str) -> Error {
    Error::new(ErrorKind::InvalidValue, message)
}

/// Ranges of one width between two bounds, counted from 1; 0 is before the first bound.
fn even(row: &Row<'_>) -> Result<Cell> {
    let [value, low, high] = [0, 1, 2].map(|at| row.float(at).unwrap_or(f64::NAN));
    let count = row.int(3).unwrap_or_default();
    if count <= 0 || count > i64::from(i32::MAX) - 1 {
        return Err(invalid("count must be greater than zero"));
    }
    if value.is_nan() || low.is_nan() || high.is_nan() {
        return Err(invalid("operand, lower bound, and upper bound cannot be NaN"));
    }
    if low.is_infinite() || high.is_infinite() {
        return Err(invalid("lower and upper bounds must be finite"));
    }
    if low == high {
        return Err(invalid("lower bound cannot equal upper bound"));
    }
    // A descending range is the same with all signs turned.
    let (value, low, high) = if low < high { (value, low, high) } else { (-value, -low, -high) };
    Ok(match () {
        () if value < low => 0,
        () if value >= high => count + 1,
        () => ((value - low) / (high - low) * count as f64).floor() as i64 + 1,
    }
    .into())
}

/// How many of ascending thresholds a value has reached.
fn among(row: &Row<'_>) -> Result<Cell> {
    let Some(thresholds) = row.items(1) else {
        return Err(invalid("thresholds must be an array"));
    };
    if thresholds.null_count() > 0 {
        return Err(Error::new(ErrorKind::InvalidValue, "thresholds array must not contain NULLs"));
    }
    let (values, at) = row.values(0);
    let value: ArrayRef =
        cast(&values.slice(at, 1), thresholds.data_type()).map_err(fault::of_arrow)?;
    let compare = make_comparator(&thresholds, &value, SortOptions::default());
    let compare = compare.map_err(fault::of_arrow)?;
    let reached = first_not(0..thresholds.len(), |at| compare(at, 0).is_le());
    Ok((reached as i64).into())
}
