//! A quoted text beside values of another type is of that type: `coalesce(ts, '2025-01-01')`,
//! `ARRAY[date '2025-01-01', '2025-01-02']`, VALUES.

use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::error::Result as DataFusionResult;
use datafusion::functions::core::coalesce;
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

use super::changed::{Change, changed};
use super::long_value;
use super::numbers::unscaled;

/// `asofdb_alike(text, sample)`: the text as a value of the sample's type.
pub const ALIKE: &str = "asofdb_alike";

/// The functions of this file. One call makes at most so many bytes for all rows of a batch.
pub fn functions(call_bytes_max: u64) -> Vec<ScalarUDF> {
    vec![
        changed(coalesce(), TextFitsIn),
        make_array(call_bytes_max),
        ScalarUDF::from(Alike { signature: Signature::user_defined(Volatility::Immutable) }),
    ]
}

/// `ARRAY[…]`.
pub fn make_array(call_bytes_max: u64) -> ScalarUDF {
    changed(Arc::new(long_value::make_array(call_bytes_max)), TextFitsIn)
}

/// All arguments are of one type.
#[derive(Debug, PartialEq, Eq, Hash)]
struct TextFitsIn;

impl Change for TextFitsIn {
    fn coerce(&self, function: &ScalarUDF, types: &[DataType]) -> DataFusionResult<Vec<DataType>> {
        function.coerce_types(types).or_else(|error| {
            let typed: Vec<DataType> =
                types.iter().filter(|t| !t.is_string() && !t.is_null()).cloned().collect();
            match function.coerce_types(&typed)?.first() {
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
        let like = match types.last() {
            Some(DataType::List(item)) => {
                let item = item.as_ref().clone();
                let of = unscaled(item.data_type());
                DataType::List(Arc::new(item.with_data_type(of)))
            }
            Some(of) => unscaled(of),
            None => DataType::Null,
        };
        Ok(vec![like; types.len()])
    }

    fn return_type(&self, types: &[DataType]) -> DataFusionResult<DataType> {
        Ok(types.last().cloned().unwrap_or(DataType::Null))
    }

    fn invoke_with_args(&self, mut args: ScalarFunctionArgs) -> DataFusionResult<ColumnarValue> {
        Ok(args.args.swap_remove(0))
    }
}
