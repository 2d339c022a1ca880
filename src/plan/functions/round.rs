//! `round(double precision)`, whose halves go to the even neighbour; DataFusion's go away from zero,
//! as those of numeric do.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray};
use arrow::datatypes::{DataType, Float64Type};
use datafusion::common::exec_err;
use datafusion::error::Result as DataFusionResult;
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

/// `round(x)` of what is surely a float is a call of this.
pub const ROUND_EVEN: &str = "asofdb_round_even";

/// The function of this file.
pub fn function() -> ScalarUDF {
    let round = datafusion::functions::math::round();
    let signature = Signature::user_defined(Volatility::Immutable);
    ScalarUDF::new_from_impl(RoundEven { round, signature })
}

/// Everything but a double is left to DataFusion's.
#[derive(Debug, PartialEq, Eq, Hash)]
struct RoundEven {
    round: Arc<ScalarUDF>,
    signature: Signature,
}

impl ScalarUDFImpl for RoundEven {
    fn name(&self) -> &str {
        ROUND_EVEN
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> DataFusionResult<Vec<DataType>> {
        // Whole numbers become doubles in PostgreSQL too; what is no number is for the other to refuse.
        Ok(match types {
            [DataType::Decimal128(_, _)] => types.to_vec(),
            [of] if of.is_numeric() || of.is_null() => vec![DataType::Float64],
            [of] if of.is_string() => vec![DataType::Float64],
            _ => types.to_vec(),
        })
    }

    fn return_type(&self, types: &[DataType]) -> DataFusionResult<DataType> {
        match types {
            [DataType::Float64] => Ok(DataType::Float64),
            types => self.round.return_type(types),
        }
    }

    fn return_field_from_args(
        &self,
        args: datafusion::logical_expr::ReturnFieldArgs<'_>,
    ) -> DataFusionResult<arrow::datatypes::FieldRef> {
        match args.arg_fields {
            [field] if *field.data_type() == DataType::Float64 => Ok(Arc::clone(field)),
            _ => self.round.return_field_from_args(args),
        }
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> DataFusionResult<ColumnarValue> {
        match args.args.as_slice() {
            [ColumnarValue::Array(values)] if *values.data_type() == DataType::Float64 => {
                let values = values.as_primitive::<Float64Type>();
                let rounded: ArrayRef =
                    Arc::new(values.unary::<_, Float64Type>(f64::round_ties_even));
                Ok(ColumnarValue::Array(rounded))
            }
            [ColumnarValue::Scalar(datafusion::common::ScalarValue::Float64(value))] => {
                let rounded = value.map(f64::round_ties_even);
                Ok(ColumnarValue::Scalar(datafusion::common::ScalarValue::Float64(rounded)))
            }
            [_] => self.round.invoke_with_args(args),
            _ => exec_err!("round takes one argument"),
        }
    }
}
