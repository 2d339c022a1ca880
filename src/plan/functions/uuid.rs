//! `gen_random_uuid()`: DataFusion's `uuid()`, as a uuid rather than its text.

use std::sync::Arc;

use arrow::array::{Array, AsArray, FixedSizeBinaryBuilder};
use arrow::datatypes::{DataType, FieldRef};
use datafusion::common::exec_err;
use datafusion::error::Result as DataFusionResult;
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
    Volatility,
};

use crate::spec::Type;

/// The function of this file.
pub fn function() -> ScalarUDF {
    let signature = Signature::nullary(Volatility::Volatile);
    ScalarUDF::new_from_impl(RandomUuid { signature })
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct RandomUuid {
    signature: Signature,
}

impl ScalarUDFImpl for RandomUuid {
    fn name(&self) -> &str {
        "gen_random_uuid"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> DataFusionResult<DataType> {
        Ok(Type::Uuid.arrow())
    }

    fn return_field_from_args(&self, _: ReturnFieldArgs<'_>) -> DataFusionResult<FieldRef> {
        Ok(Arc::new(Type::Uuid.field(self.name(), false)))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> DataFusionResult<ColumnarValue> {
        let rows = args.number_rows;
        let text = datafusion::functions::string::uuid();
        let text = text.inner().invoke_with_args(args)?.into_array(rows)?;
        let text = text.as_string::<i32>();
        let mut uuids = FixedSizeBinaryBuilder::with_capacity(rows, 16);
        for row in 0..text.len() {
            match u128::from_str_radix(&text.value(row).replace('-', ""), 16) {
                Ok(bits) => uuids.append_value(bits.to_be_bytes())?,
                Err(e) => return exec_err!("uuid() made no uuid: {e}"),
            }
        }
        Ok(ColumnarValue::Array(Arc::new(uuids.finish())))
    }
}
