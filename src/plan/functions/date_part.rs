//! `year(ts)`, `month(ts)` …: other dialects' spellings of `date_part('year', ts)`, which they become.

use arrow::datatypes::DataType;
use datafusion::common::ScalarValue;
use datafusion::error::Result as DataFusionResult;
use datafusion::functions::datetime::date_part;
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::simplify::{ExprSimplifyResult, SimplifyContext};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility, lit,
};

/// Our name, and `date_part`'s.
const PARTS: [(&str, &str); 11] = [
    ("year", "year"),
    ("quarter", "quarter"),
    ("month", "month"),
    ("week", "week"),
    ("day", "day"),
    ("dayofmonth", "day"),
    ("dayofweek", "dow"),
    ("dayofyear", "doy"),
    ("hour", "hour"),
    ("minute", "minute"),
    ("second", "second"),
];

/// The functions of this file.
pub fn functions() -> Vec<ScalarUDF> {
    PARTS.iter().map(|(name, part)| ScalarUDF::from(DatePart::new(name, part))).collect()
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct DatePart {
    name: &'static str,
    part: &'static str,
    signature: Signature,
}

impl DatePart {
    fn new(name: &'static str, part: &'static str) -> Self {
        DatePart { name, part, signature: Signature::any(1, Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for DatePart {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> DataFusionResult<DataType> {
        Ok(DataType::Int32)
    }

    fn simplify(
        &self,
        mut args: Vec<Expr>,
        _: &SimplifyContext,
    ) -> DataFusionResult<ExprSimplifyResult> {
        args.insert(0, lit(self.part));
        let call = ScalarFunction::new_udf(date_part(), args);
        Ok(ExprSimplifyResult::Simplified(Expr::ScalarFunction(call)))
    }

    fn invoke_with_args(&self, mut args: ScalarFunctionArgs) -> DataFusionResult<ColumnarValue> {
        let part = ScalarValue::Utf8(Some(self.part.to_owned()));
        args.args.insert(0, ColumnarValue::Scalar(part));
        date_part().inner().invoke_with_args(args)
    }
}
