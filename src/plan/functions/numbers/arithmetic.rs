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

/// `left op right`, refused where the result leaves the type. A chain of sums, or of products, is one
/// call: each of many nested ones would be named, typed and copied anew.
pub(super) fn checked<A: Arithmetic>(op: Operator, left: Expr, right: Expr) -> Expr {
    let (ops, args) = match left {
        Expr::ScalarFunction(mut call) if goes_on::<A>(&call.func, op) => {
            call.args.push(right);
            let chain = call.func.inner().downcast_ref::<Checked<A>>();
            let ops = chain.into_iter().flat_map(|chain| chain.ops.iter().copied());
            (ops.chain([op]).collect(), call.args)
        }
        left => (vec![op], vec![left, right]),
    };
    ScalarUDF::new_from_impl(Checked::<A>::new(ops)).call(args)
}

/// Whether a function is a chain that one more operator can go on.
fn goes_on<A: Arithmetic>(function: &ScalarUDF, op: Operator) -> bool {
    let chain = function.inner().downcast_ref::<Checked<A>>();
    chain.is_some_and(|chain| is_sum(chain.ops[0]) == is_sum(op))
}

/// Whether a function is arithmetic of this kind.
pub(super) fn is<A: Arithmetic>(function: &ScalarUDF) -> bool {
    function.inner().downcast_ref::<Checked<A>>().is_some()
}

fn is_sum(op: Operator) -> bool {
    matches!(op, Operator::Plus | Operator::Minus)
}

/// Operators applied from the left: one less than there are operands.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Checked<A> {
    ops: Vec<Operator>,
    signature: Signature,
    kind: PhantomData<fn(A)>,
}

impl<A: Arithmetic> Checked<A> {
    fn new(ops: Vec<Operator>) -> Checked<A> {
        let signature = Signature::any(ops.len() + 1, Volatility::Immutable);
        Checked { ops, signature, kind: PhantomData }
    }

    fn apply(
        op: Operator,
        left: &ColumnarValue,
        right: &ColumnarValue,
    ) -> DataFusionResult<ColumnarValue> {
        use ColumnarValue::{Array, Scalar};
        let result = match (left, right) {
            (Array(left), Array(right)) => A::compute(op, left, right),
            (Array(left), Scalar(right)) => A::compute(op, left, &right.to_scalar()?),
            (Scalar(left), Array(right)) => A::compute(op, &left.to_scalar()?, right),
            (Scalar(left), Scalar(right)) => {
                A::compute(op, &left.to_scalar()?, &right.to_scalar()?)
            }
        };
        let result = result.map_err(|error| A::refused(error, &left.data_type()))?;
        A::check(op, &result, left, right).map_err(external)?;
        match (left, right) {
            (Scalar(_), Scalar(_)) => ScalarValue::try_from_array(&result, 0).map(Scalar),
            _ => Ok(Array(result)),
        }
    }
}

impl<A: Arithmetic> ScalarUDFImpl for Checked<A> {
    fn name(&self) -> &str {
        A::name(self.ops[0])
    }

    fn display_name(&self, args: &[Expr]) -> DataFusionResult<String> {
        let [first, rest @ ..] = args else { return plan_err!("{} takes numbers", self.name()) };
        let mut shown = first.to_string();
        for (op, next) in self.ops.iter().zip(rest) {
            shown.push_str(&format!(" {op} {next}"));
        }
        Ok(shown)
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, types: &[DataType]) -> DataFusionResult<DataType> {
        match types {
            [of, ..] => Ok(of.clone()),
            [] => plan_err!("{} takes numbers", self.name()),
        }
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> DataFusionResult<ColumnarValue> {
        let mut operands = args.args.into_iter();
        let Some(mut result) = operands.next() else {
            return exec_err!("{} takes numbers", self.name());
        };
        for (op, next) in self.ops.iter().zip(operands) {
            result = Checked::<A>::apply(*op, &result, &next)?;
        }
        Ok(result)
    }
}

pub(super) fn external(error: Error) -> DataFusionError {
    DataFusionError::External(Box::new(error))
}
