//! `+`, `-` and `*` of two integers of one type.

use arrow::array::{ArrayRef, Datum};
use arrow::compute::kernels::numeric::{add, mul, sub};
use arrow::datatypes::DataType;
use arrow::error::ArrowError;
use datafusion::common::{ScalarValue, exec_err, plan_err};
use datafusion::error::{DataFusionError, Result as DataFusionResult};
use datafusion::logical_expr::{
    ColumnarValue, Expr, Operator, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility,
};

use crate::error::{Error, ErrorKind};
use crate::spec::Type;

/// Refuses what does not fit its type.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct CheckedInteger {
    op: Operator,
    signature: Signature,
}

impl CheckedInteger {
    pub(super) fn new(op: Operator) -> CheckedInteger {
        CheckedInteger { op, signature: Signature::any(2, Volatility::Immutable) }
    }

    fn compute(&self, left: &dyn Datum, right: &dyn Datum) -> Result<ArrayRef, ArrowError> {
        match self.op {
            Operator::Plus => add(left, right),
            Operator::Minus => sub(left, right),
            _ => mul(left, right),
        }
    }
}

fn refused(error: ArrowError, of: &DataType) -> DataFusionError {
    let ArrowError::ArithmeticOverflow(_) = error else { return error.into() };
    let name = match of {
        DataType::Int16 => Type::Int2,
        DataType::Int32 => Type::Int4,
        _ => Type::Int8,
    };
    let error = Error::new(ErrorKind::OutOfRange, format!("{name} out of range"));
    DataFusionError::External(Box::new(error))
}

impl ScalarUDFImpl for CheckedInteger {
    fn name(&self) -> &str {
        match self.op {
            Operator::Plus => "integer_add",
            Operator::Minus => "integer_subtract",
            _ => "integer_multiply",
        }
    }

    fn display_name(&self, args: &[Expr]) -> DataFusionResult<String> {
        match args {
            [left, right] => Ok(format!("{left} {} {right}", self.op)),
            _ => plan_err!("{} takes two arguments", self.name()),
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, types: &[DataType]) -> DataFusionResult<DataType> {
        match types {
            [of, _] => Ok(of.clone()),
            _ => plan_err!("{} takes two arguments", self.name()),
        }
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> DataFusionResult<ColumnarValue> {
        use ColumnarValue::{Array, Scalar};
        let [left, right] = args.args.as_slice() else {
            return exec_err!("{} takes two arguments", self.name());
        };
        let computed = match (left, right) {
            (Array(left), Array(right)) => self.compute(left, right),
            (Array(left), Scalar(right)) => self.compute(left, &right.to_scalar()?),
            (Scalar(left), Array(right)) => self.compute(&left.to_scalar()?, right),
            (Scalar(left), Scalar(right)) => self.compute(&left.to_scalar()?, &right.to_scalar()?),
        };
        let of = left.data_type();
        let computed = computed.map_err(|error| refused(error, &of))?;
        match (left, right) {
            (Scalar(_), Scalar(_)) => ScalarValue::try_from_array(&computed, 0).map(Scalar),
            _ => Ok(Array(computed)),
        }
    }
}
