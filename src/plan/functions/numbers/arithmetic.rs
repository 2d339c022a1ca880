//! Operators of two numbers of one type whose result may not fit it.

use std::fmt;
use std::hash::Hash;
use std::marker::PhantomData;

use arrow::array::{ArrayRef, Datum};
use arrow::datatypes::DataType;
use arrow::error::ArrowError;
use datafusion::common::{ScalarValue, exec_err, plan_err};
use datafusion::error::{DataFusionError, Result as DataFusionResult};
use datafusion::logical_expr::{
    ColumnarValue, Expr, Operator, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
    Volatility,
};

use crate::error::{Error, Result};

/// How numbers of one kind are reckoned with.
pub(super) trait Arithmetic: fmt::Debug + Eq + Hash + Send + Sync + 'static {
    /// What EXPLAIN calls the operator.
    fn name(op: Operator) -> &'static str;

    /// The results, row by row.
    fn compute(op: Operator, left: &dyn Datum, right: &dyn Datum) -> Result<ArrayRef, ArrowError>;

    /// What a failed computation is called.
    fn refused(error: ArrowError, of: &DataType) -> DataFusionError;

    /// Refuses results that were computed and are no answer.
    fn check(
        op: Operator,
        result: &ArrayRef,
        left: &ColumnarValue,
        right: &ColumnarValue,
    ) -> Result<()>;
}

/// `left op right`, refused where the result leaves the type.
pub(super) fn checked<A: Arithmetic>(op: Operator, left: Expr, right: Expr) -> Expr {
    let signature = Signature::any(2, Volatility::Immutable);
    let function = Checked { op, signature, kind: PhantomData::<fn(A)> };
    ScalarUDF::new_from_impl(function).call(vec![left, right])
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Checked<A> {
    op: Operator,
    signature: Signature,
    kind: PhantomData<fn(A)>,
}

impl<A: Arithmetic> ScalarUDFImpl for Checked<A> {
    fn name(&self) -> &str {
        A::name(self.op)
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
        let result = match (left, right) {
            (Array(left), Array(right)) => A::compute(self.op, left, right),
            (Array(left), Scalar(right)) => A::compute(self.op, left, &right.to_scalar()?),
            (Scalar(left), Array(right)) => A::compute(self.op, &left.to_scalar()?, right),
            (Scalar(left), Scalar(right)) => {
                A::compute(self.op, &left.to_scalar()?, &right.to_scalar()?)
            }
        };
        let result = result.map_err(|error| A::refused(error, &left.data_type()))?;
        A::check(self.op, &result, left, right).map_err(external)?;
        match (left, right) {
            (Scalar(_), Scalar(_)) => ScalarValue::try_from_array(&result, 0).map(Scalar),
            _ => Ok(Array(result)),
        }
    }
}

pub(super) fn external(error: Error) -> DataFusionError {
    DataFusionError::External(Box::new(error))
}
