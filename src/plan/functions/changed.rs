//! DataFusion's functions with something about them changed.

use std::fmt;
use std::hash::Hash;
use std::sync::Arc;

use arrow::datatypes::{DataType, FieldRef};
use datafusion::error::Result as DataFusionResult;
use datafusion::logical_expr::simplify::{ExprSimplifyResult, SimplifyContext};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
};

/// What is changed.
pub(super) trait Change: fmt::Debug + PartialEq + Eq + Hash + Send + Sync + 'static {
    /// The types the function takes for arguments of these.
    ///
    /// # Errors
    /// Whatever the function gives.
    fn coerce(&self, function: &ScalarUDF, types: &[DataType]) -> DataFusionResult<Vec<DataType>> {
        function.coerce_types(types)
    }

    /// Looks at the arguments of a call.
    ///
    /// # Errors
    /// What speaks against it.
    fn before(&self, _: &ScalarFunctionArgs) -> DataFusionResult<()> {
        Ok(())
    }

    /// Looks at what a call with these arguments gave, or makes something else of it; `rows` is how many rows
    /// arrays among them have.
    ///
    /// # Errors
    /// What speaks against it.
    fn after(
        &self,
        result: ColumnarValue,
        _args: &[ColumnarValue],
        _rows: usize,
    ) -> DataFusionResult<ColumnarValue> {
        Ok(result)
    }
}

/// The function, changed.
pub(super) fn changed(function: Arc<ScalarUDF>, change: impl Change) -> ScalarUDF {
    ScalarUDF::from(Changed { function, change })
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Changed<C> {
    function: Arc<ScalarUDF>,
    change: C,
}

impl<C: Change> ScalarUDFImpl for Changed<C> {
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
        self.change.coerce(&self.function, types)
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

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> DataFusionResult<ColumnarValue> {
        self.change.before(&args)?;
        let (operands, rows) = (args.args.clone(), args.number_rows);
        let result = self.function.invoke_with_args(args)?;
        self.change.after(result, &operands, rows)
    }
}
