//! Floating-point arithmetic that tells where it leaves the range, as PostgreSQL's does: DataFusion's
//! goes on with an infinity, or with zero.

use arrow::array::{ArrayRef, AsArray, Datum};
use arrow::compute::cast;
use arrow::compute::kernels::numeric::{add_wrapping, div, mul_wrapping, sub_wrapping};
use arrow::datatypes::{DataType, Float64Type};
use arrow::error::ArrowError;
use datafusion::common::DFSchema;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::Transformed;
use datafusion::common::{ScalarValue, exec_err, plan_err};
use datafusion::error::{DataFusionError, Result as DataFusionResult};
use datafusion::logical_expr::{
    BinaryExpr, ColumnarValue, Expr, ExprSchemable, LogicalPlan, Operator, ScalarFunctionArgs,
    ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use datafusion::optimizer::AnalyzerRule;

use crate::error::{Error, ErrorKind, Result};
use crate::plan::expressions::rewrite_expressions;

/// Runs after type coercion: both operands are of one type then.
#[derive(Debug)]
pub struct CheckFloats;

impl AnalyzerRule for CheckFloats {
    fn name(&self) -> &str {
        "check_floats"
    }

    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> DataFusionResult<LogicalPlan> {
        let rewritten = plan.transform_up_with_subqueries(|plan| match plan {
            // Nodes of our own know operators by their form.
            LogicalPlan::Extension(_) => Ok(Transformed::no(plan)),
            plan => rewrite_expressions(plan, |expr, schema| Ok(checked(expr, schema))),
        });
        Ok(rewritten?.data)
    }
}

fn checked(expr: Expr, schema: &DFSchema) -> Transformed<Expr> {
    let Expr::BinaryExpr(BinaryExpr { left, op, right }) = &expr else {
        return Transformed::no(expr);
    };
    let is_arithmetic =
        matches!(op, Operator::Plus | Operator::Minus | Operator::Multiply | Operator::Divide);
    let is_float = |side: &Expr| match side.get_type(schema) {
        Ok(of @ (DataType::Float32 | DataType::Float64)) => Some(of),
        _ => None,
    };
    if !is_arithmetic || is_float(left).is_none() || is_float(left) != is_float(right) {
        return Transformed::no(expr);
    }
    let function = ScalarUDF::new_from_impl(CheckedFloat::new(*op));
    Transformed::yes(function.call(vec![left.as_ref().clone(), right.as_ref().clone()]))
}

/// `left op right` of two floats of one type.
#[derive(Debug, PartialEq, Eq, Hash)]
struct CheckedFloat {
    op: Operator,
    signature: Signature,
}

impl CheckedFloat {
    fn new(op: Operator) -> CheckedFloat {
        CheckedFloat { op, signature: Signature::any(2, Volatility::Immutable) }
    }

    fn compute(&self, left: &dyn Datum, right: &dyn Datum) -> Result<ArrayRef, ArrowError> {
        match self.op {
            Operator::Plus => add_wrapping(left, right),
            Operator::Minus => sub_wrapping(left, right),
            Operator::Multiply => mul_wrapping(left, right),
            _ => div(left, right),
        }
    }

    /// Rows are looked at one by one only where a result could be wrong.
    fn check(&self, result: &ArrayRef, left: &ColumnarValue, right: &ColumnarValue) -> Result<()> {
        let scales = matches!(self.op, Operator::Multiply | Operator::Divide);
        let wide = doubles(result)?;
        let values = wide.as_primitive::<Float64Type>();
        let is_odd = |value: f64| !value.is_finite() || scales && value == 0.0;
        if !values.values().iter().copied().any(is_odd) {
            return Ok(());
        }
        let (left, right) = (operand(left)?, operand(right)?);
        let at = |side: &ArrayRef, row: usize| {
            let side = side.as_primitive::<Float64Type>();
            side.value(if side.len() == 1 { 0 } else { row })
        };
        for (row, value) in values.iter().enumerate() {
            match value {
                Some(value) if is_odd(value) => {
                    self.judge(value, at(&left, row), at(&right, row))?
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn judge(&self, value: f64, left: f64, right: f64) -> Result<()> {
        let out_of_range = |what: &str| {
            Err(Error::new(ErrorKind::OutOfRange, format!("value out of range: {what}")))
        };
        let divides = self.op == Operator::Divide;
        if divides && right == 0.0 && !left.is_nan() {
            return Err(Error::new(ErrorKind::DivisionByZero, "division by zero"));
        }
        if value.is_infinite() && left.is_finite() && right.is_finite() {
            return out_of_range("overflow");
        }
        let vanished = value == 0.0 && left != 0.0;
        match self.op {
            Operator::Multiply if vanished && right != 0.0 => out_of_range("underflow"),
            Operator::Divide if vanished && right.is_finite() => out_of_range("underflow"),
            _ => Ok(()),
        }
    }
}

fn doubles(values: &ArrayRef) -> Result<ArrayRef> {
    cast(values, &DataType::Float64).map_err(crate::fault::of_arrow)
}

/// All rows, or one for all of them.
fn operand(value: &ColumnarValue) -> Result<ArrayRef> {
    let values = match value {
        ColumnarValue::Array(values) => values.clone(),
        ColumnarValue::Scalar(value) => value.to_array().map_err(crate::fault::of_datafusion)?,
    };
    doubles(&values)
}

impl ScalarUDFImpl for CheckedFloat {
    fn name(&self) -> &str {
        match self.op {
            Operator::Plus => "float_add",
            Operator::Minus => "float_subtract",
            Operator::Multiply => "float_multiply",
            _ => "float_divide",
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
        let result = match (left, right) {
            (Array(left), Array(right)) => self.compute(left, right)?,
            (Array(left), Scalar(right)) => self.compute(left, &right.to_scalar()?)?,
            (Scalar(left), Array(right)) => self.compute(&left.to_scalar()?, right)?,
            (Scalar(left), Scalar(right)) => {
                self.compute(&left.to_scalar()?, &right.to_scalar()?)?
            }
        };
        self.check(&result, left, right).map_err(|e| DataFusionError::External(Box::new(e)))?;
        match (left, right) {
            (Scalar(_), Scalar(_)) => ScalarValue::try_from_array(&result, 0).map(Scalar),
            _ => Ok(Array(result)),
        }
    }
}
