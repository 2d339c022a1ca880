//! A quoted text beside values of another type is of that type: `coalesce(ts, '2025-01-01')`,
//! `ARRAY[date '2025-01-01', '2025-01-02']`, VALUES.

use std::sync::Arc;

use arrow::datatypes::{DataType, FieldRef};
use datafusion::error::Result as DataFusionResult;
use datafusion::functions::core::coalesce;
use datafusion::functions_nested::make_array::make_array_udf;
use datafusion::logical_expr::simplify::{ExprSimplifyResult, SimplifyContext};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
    Volatility,
};

/// `asofdb_alike(text, sample)`: the text as a value of the sample's type.
pub const ALIKE: &str = "asofdb_alike";

/// The functions of this file.
pub fn functions() -> Vec<ScalarUDF> {
    vec![
        ScalarUDF::from(TextFitsIn { function: coalesce() }),
        make_array(),
        ScalarUDF::from(Alike { signature: Signature::user_defined(Volatility::Immutable) }),
    ]
}

/// `ARRAY[…]`.
pub fn make_array() -> ScalarUDF {
    ScalarUDF::from(TextFitsIn { function: make_array_udf() })
}

/// A function of DataFusion's whose arguments must be of one type.
#[derive(Debug, PartialEq, Eq, Hash)]
struct TextFitsIn {
    function: Arc<ScalarUDF>,
}

impl ScalarUDFImpl for TextFitsIn {
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

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> DataFusionResult<ColumnarValue> {
        self.function.invoke_with_args(args)
    }

    fn simplify(
        &self,
        args: Vec<Expr>,
        info: &SimplifyContext,
    ) -> DataFusionResult<ExprSimplifyResult> {
        self.function.simplify(args, info)
    }

    fn conditional_arguments<'a>(
        &self,
        args: &'a [Expr],
    ) -> Option<(Vec<&'a Expr>, Vec<&'a Expr>)> {
        self.function.conditional_arguments(args)
    }

    fn short_circuits(&self) -> bool {
        self.function.short_circuits()
    }

    fn coerce_types(&self, types: &[DataType]) -> DataFusionResult<Vec<DataType>> {
        self.function.coerce_types(types).or_else(|error| {
            let typed: Vec<DataType> =
                types.iter().filter(|t| !t.is_string() && !t.is_null()).cloned().collect();
            match self.function.coerce_types(&typed)?.first() {
                Some(common) => Ok(vec![common.clone(); types.len()]),
                None => Err(error),
            }
        })
    }
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Alike {
    signature: Signature,
}

impl ScalarUDFImpl for Alike {
    fn name(&self) -> &str {
        ALIKE
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> DataFusionResult<Vec<DataType>> {
        Ok(vec![types.last().cloned().unwrap_or(DataType::Null); types.len()])
    }

    fn return_type(&self, types: &[DataType]) -> DataFusionResult<DataType> {
        Ok(types.last().cloned().unwrap_or(DataType::Null))
    }

    fn invoke_with_args(&self, mut args: ScalarFunctionArgs) -> DataFusionResult<ColumnarValue> {
        Ok(args.args.swap_remove(0))
    }
}
