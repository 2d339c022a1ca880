//! Functions of doubles whose results leave the range: PostgreSQL refuses them, where DataFusion goes on with
//! infinity or zero.

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float64Type};
use datafusion::error::{DataFusionError, Result as DataFusionResult};
use datafusion::functions::math;
use datafusion::logical_expr::{ColumnarValue, ScalarUDF};

use super::changed::{Change, changed};
use crate::error::{Error, ErrorKind};

/// The functions of this file.
pub(super) fn functions() -> Vec<ScalarUDF> {
    vec![changed(math::exp(), InRange), changed(math::power(), InRange)]
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct InRange;

impl Change for InRange {
    fn after(
        &self,
        result: ColumnarValue,
        args: &[ColumnarValue],
        rows: usize,
    ) -> DataFusionResult<ColumnarValue> {
        if !result.data_type().is_floating() {
            return Ok(result);
        }
        let rows = if matches!(result, ColumnarValue::Scalar(_)) { 1 } else { rows };
        let results = doubles(&result, rows)?;
        let results = results.as_primitive::<Float64Type>();
        let is_odd = |value: &f64| value.is_infinite() || *value == 0.0;
        if !results.values().iter().any(is_odd) {
            return Ok(result);
        }
        let args =
            args.iter().map(|arg| doubles(arg, rows)).collect::<DataFusionResult<Vec<_>>>()?;
        for row in (0..rows).filter(|row| results.is_valid(*row)) {
            let mut args = args.iter().map(|arg| arg.as_primitive::<Float64Type>().value(row));
            let lost = match results.value(row) {
                value if value.is_infinite() && args.clone().all(f64::is_finite) => "overflow",
                // Zero to a power is zero.
                0.0 if args.clone().all(f64::is_finite) && is_lost(&mut args) => "underflow",
                _ => continue,
            };
            let message = format!("value out of range: {lost}");
            let error = Error::new(ErrorKind::OutOfRange, message);
            return Err(DataFusionError::External(Box::new(error)));
        }
        Ok(result)
    }
}

/// Whether a zero of these arguments is one that is too small: of exp every one, of power that of no zero.
fn is_lost(args: &mut dyn Iterator<Item = f64>) -> bool {
    match (args.next(), args.next()) {
        (Some(base), Some(_)) => base != 0.0,
        _ => true,
    }
}

fn doubles(value: &ColumnarValue, rows: usize) -> DataFusionResult<ArrayRef> {
    Ok(cast(&value.to_array(rows)?, &DataType::Float64)?)
}
