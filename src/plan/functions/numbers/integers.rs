//! `+`, `-` and `*` of two integers.

use arrow::array::{ArrayRef, Datum};
use arrow::compute::kernels::numeric::{add, mul, sub};
use arrow::datatypes::DataType;
use arrow::error::ArrowError;
use datafusion::error::DataFusionError;
use datafusion::logical_expr::{ColumnarValue, Operator};

use super::arithmetic::{Arithmetic, external};
use crate::error::{Error, ErrorKind, Result};
use crate::spec::Type;

/// Integers that do not wrap.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct Integers;

impl Arithmetic for Integers {
    fn name(op: Operator) -> &'static str {
        match op {
            Operator::Plus => "integer_add",
            Operator::Minus => "integer_subtract",
            _ => "integer_multiply",
        }
    }

    fn compute(op: Operator, left: &dyn Datum, right: &dyn Datum) -> Result<ArrayRef, ArrowError> {
        match op {
            Operator::Plus => add(left, right),
            Operator::Minus => sub(left, right),
            _ => mul(left, right),
        }
    }

    fn refused(error: ArrowError, of: &DataType) -> DataFusionError {
        let ArrowError::ArithmeticOverflow(_) = error else { return error.into() };
        let name = match of {
            DataType::Int16 => Type::Int2,
            DataType::Int32 => Type::Int4,
            _ => Type::Int8,
        };
        external(Error::new(ErrorKind::OutOfRange, format!("{name} out of range")))
    }

    fn check(_: Operator, _: &ArrayRef, _: &ColumnarValue, _: &ColumnarValue) -> Result<()> {
        Ok(())
    }
}
