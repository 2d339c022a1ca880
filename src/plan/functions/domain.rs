//! Functions of floats that PostgreSQL has no answer for everywhere: a logarithm of nothing, a root of a
//! negative number. DataFusion's answer there is NaN or an infinity.

use std::sync::Arc;

use arrow::array::AsArray;
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float64Type};
use datafusion::error::{DataFusionError, Result as DataFusionResult};
use datafusion::functions::math;
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF};

use super::changed::{Change, changed};
use crate::error::{Error, ErrorKind};

/// The functions of this file.
pub fn functions() -> Vec<ScalarUDF> {
    let within = |function: Arc<ScalarUDF>, domain| changed(function, Within(domain));
    vec![
        within(math::ln(), Domain::Positive),
        within(math::log(), Domain::Positive),
        within(math::log10(), Domain::Positive),
        within(math::log2(), Domain::Positive),
        within(math::sqrt(), Domain::NotNegative),
        within(math::acos(), Domain::Unit),
        within(math::asin(), Domain::Unit),
    ]
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Domain {
    Positive,
    NotNegative,
    Unit,
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Within(Domain);

impl Change for Within {
    fn before(&self, args: &ScalarFunctionArgs) -> DataFusionResult<()> {
        for arg in &args.args {
            let values = match arg {
                ColumnarValue::Array(values) => Arc::clone(values),
                ColumnarValue::Scalar(value) => value.to_array()?,
            };
            let values = cast(&values, &DataType::Float64)?;
            let outside = values.as_primitive::<Float64Type>().iter().flatten();
            if let Some(error) = outside.filter_map(|value| self.0.refusal(value)).next() {
                return Err(DataFusionError::External(Box::new(error)));
            }
        }
        Ok(())
    }
}

impl Domain {
    fn refusal(self, value: f64) -> Option<Error> {
        let (kind, message) = match self {
            Domain::Positive if value == 0.0 => {
                (ErrorKind::InvalidLogarithm, "cannot take logarithm of zero")
            }
            Domain::Positive if value < 0.0 => {
                (ErrorKind::InvalidLogarithm, "cannot take logarithm of a negative number")
            }
            Domain::NotNegative if value < 0.0 => {
                (ErrorKind::InvalidPower, "cannot take square root of a negative number")
            }
            Domain::Unit if !(value.is_nan() || (-1.0..=1.0).contains(&value)) => {
                (ErrorKind::OutOfRange, "input is out of range")
            }
            _ => return None,
        };
        Some(Error::new(kind, message))
    }
}
