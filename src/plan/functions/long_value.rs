//! Functions that make much of little: a short text and a number ask for gigabytes. Nothing can stop
//! a call in its middle, so what it will make is reckoned before.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::{Array, AsArray};
use arrow::compute::cast;
use arrow::compute::kernels::length::length;
use arrow::datatypes::{DataType, FieldRef, Int64Type};
use datafusion::common::ScalarValue;
use datafusion::error::{DataFusionError, Result as DataFusionResult};
use datafusion::functions::{string, unicode};
use datafusion::functions_nested::repeat::array_repeat_udf;
use datafusion::logical_expr::simplify::{ExprSimplifyResult, SimplifyContext};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
};

use crate::error::{Error, ErrorKind};

/// The largest value: no message could carry a larger one.
const VALUE_BYTES_MAX: u64 = 64 << 20;
/// What one call may make for all rows of a batch.
const BATCH_BYTES_MAX: u64 = 256 << 20;

/// The functions of this file.
pub fn functions() -> Vec<ScalarUDF> {
    let bounded = |function: Arc<ScalarUDF>, unit| ScalarUDF::from(Bounded { function, unit });
    vec![
        bounded(string::repeat(), Unit::FirstArgument),
        bounded(unicode::lpad(), Unit::Byte),
        bounded(unicode::rpad(), Unit::Byte),
        bounded(array_repeat_udf(), Unit::FirstArgument),
    ]
}

/// What the second argument counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Unit {
    Byte,
    FirstArgument,
}

/// A function of DataFusion's whose second argument says how long the result is.
#[derive(Debug)]
struct Bounded {
    function: Arc<ScalarUDF>,
    unit: Unit,
}

impl PartialEq for Bounded {
    fn eq(&self, other: &Self) -> bool {
        self.function == other.function
    }
}

impl Eq for Bounded {}

impl Hash for Bounded {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.function.hash(state);
    }
}

impl ScalarUDFImpl for Bounded {
    fn name(&self) -> &str {
        self.function.name()
    }

    fn aliases(&self) -> &[String] {
        self.function.aliases()
    }

    fn signature(&self) -> &Signature {
        self.function.signature()
    }

    fn return_type(&self, types: &[DataType]) -> DataFusionResult<DataType> {
        self.function.return_type(types)
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> DataFusionResult<FieldRef> {
        self.function.return_field_from_args(args)
    }

    fn coerce_types(&self, types: &[DataType]) -> DataFusionResult<Vec<DataType>> {
        self.function.coerce_types(types)
    }

    fn simplify(
        &self,
        args: Vec<Expr>,
        info: &SimplifyContext,
    ) -> DataFusionResult<ExprSimplifyResult> {
        self.function.simplify(args, info)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> DataFusionResult<ColumnarValue> {
        if let [first, count, ..] = args.args.as_slice() {
            let unit = match self.unit {
                Unit::Byte => Numbers::One(1),
                Unit::FirstArgument => sizes(first)?,
            };
            check(&unit, &counts(count)?, args.number_rows)?;
        }
        self.function.invoke_with_args(args)
    }
}

/// A number a row.
enum Numbers {
    One(u64),
    Each(Vec<u64>),
}

impl Numbers {
    fn at(&self, row: usize) -> u64 {
        match self {
            Numbers::One(number) => *number,
            Numbers::Each(numbers) => numbers.get(row).copied().unwrap_or(0),
        }
    }
}

/// # Errors
/// LimitExceeded, as PostgreSQL's for a gigabyte.
fn check(unit: &Numbers, count: &Numbers, rows: usize) -> DataFusionResult<()> {
    // Of constants one value is made, however many rows there are.
    let rows = match (unit, count) {
        (Numbers::One(_), Numbers::One(_)) => 1,
        _ => rows,
    };
    let mut sum = 0_u64;
    for row in 0..rows {
        let bytes = unit.at(row).saturating_mul(count.at(row));
        sum = sum.saturating_add(bytes);
        if bytes > VALUE_BYTES_MAX || sum > BATCH_BYTES_MAX {
            let error = Error::new(ErrorKind::LimitExceeded, "requested length too large")
                .detail(format!("the longest value is of {VALUE_BYTES_MAX} bytes"));
            return Err(DataFusionError::External(Box::new(error)));
        }
    }
    Ok(())
}

/// Bytes of each value: of a text its own, of anything else what one takes on the average.
fn sizes(values: &ColumnarValue) -> DataFusionResult<Numbers> {
    let array = match values {
        ColumnarValue::Scalar(scalar) => {
            let bytes = match scalar.try_as_str() {
                Some(text) => text.map_or(0, str::len),
                None => scalar.size(),
            };
            return Ok(Numbers::One(bytes as u64));
        }
        ColumnarValue::Array(array) => array,
    };
    match array.data_type() {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => each(length(array)?.as_ref()),
        _ => Ok(Numbers::One((array.get_array_memory_size() / array.len().max(1)) as u64)),
    }
}

fn counts(values: &ColumnarValue) -> DataFusionResult<Numbers> {
    match values {
        ColumnarValue::Scalar(scalar) => match scalar.cast_to(&DataType::Int64)? {
            ScalarValue::Int64(Some(count)) => Ok(Numbers::One(count.max(0).unsigned_abs())),
            _ => Ok(Numbers::One(0)),
        },
        ColumnarValue::Array(array) => each(array.as_ref()),
    }
}

fn each(array: &dyn Array) -> DataFusionResult<Numbers> {
    let numbers = cast(array, &DataType::Int64)?;
    let numbers = numbers.as_primitive::<Int64Type>().iter();
    Ok(Numbers::Each(numbers.map(|n| n.unwrap_or(0).max(0).unsigned_abs()).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_too_long_is_refused() {
        let fits = |unit: &Numbers, count: &Numbers, rows| check(unit, count, rows).is_ok();
        assert!(fits(&Numbers::One(1), &Numbers::One(VALUE_BYTES_MAX), 8192));
        assert!(!fits(&Numbers::One(1), &Numbers::One(VALUE_BYTES_MAX + 1), 1));
        assert!(!fits(&Numbers::One(u64::MAX), &Numbers::One(u64::MAX), 1));
        let mega = || Numbers::Each(vec![1 << 20; 8192]);
        assert!(fits(&mega(), &Numbers::One(1), 256));
        assert!(!fits(&mega(), &Numbers::One(1), 257));
        assert!(!fits(&Numbers::One(1), &mega(), 257));
    }
}
