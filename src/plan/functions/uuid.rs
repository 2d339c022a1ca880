//! `gen_random_uuid()`: DataFusion's `uuid()`, as a uuid rather than its text; and `asofdb_uuid(x)`,
//! which `pg_catalog::rewrite` makes of `x::uuid`, for Arrow casts no text to 16 bytes.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, FixedSizeBinaryBuilder};
use arrow::compute::cast;
use arrow::datatypes::{DataType, FieldRef};
use datafusion::common::exec_err;
use datafusion::error::{DataFusionError, Result as DataFusionResult};
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
    Volatility,
};

use crate::error::{Error, ErrorKind};
use crate::spec::Type;

/// The functions of this file.
pub fn functions() -> Vec<ScalarUDF> {
    let random = RandomUuid { signature: Signature::nullary(Volatility::Volatile) };
    let read = ReadUuid { signature: Signature::any(1, Volatility::Immutable) };
    vec![ScalarUDF::new_from_impl(random), ScalarUDF::new_from_impl(read)]
}

/// The sixteen bytes of a uuid's text: hex digits, with hyphens after any four of them, in braces or
/// not.
fn parse(text: &str) -> Result<[u8; 16], Error> {
    let bare = text.trim();
    let bare = bare.strip_prefix('{').and_then(|b| b.strip_suffix('}')).unwrap_or(bare);
    let digits: String = bare.chars().filter(|c| *c != '-').collect();
    let whole = digits.len() == 32 && digits.bytes().all(|b| b.is_ascii_hexdigit());
    match u128::from_str_radix(&digits, 16) {
        Ok(bits) if whole => Ok(bits.to_be_bytes()),
        _ => Err(Error::new(
            ErrorKind::InvalidText,
            format!("invalid input syntax for type uuid: \"{text}\""),
        )),
    }
}

fn parse_all(text: &ArrayRef) -> DataFusionResult<ColumnarValue> {
    let text = cast(text, &DataType::Utf8View)?;
    let mut uuids = FixedSizeBinaryBuilder::with_capacity(text.len(), 16);
    for value in text.as_string_view() {
        match value {
            None => uuids.append_null(),
            Some(value) => {
                let uuid = parse(value).map_err(|e| DataFusionError::External(Box::new(e)))?;
                uuids.append_value(uuid)?;
            }
        }
    }
    Ok(ColumnarValue::Array(Arc::new(uuids.finish())))
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct ReadUuid {
    signature: Signature,
}

impl ScalarUDFImpl for ReadUuid {
    fn name(&self) -> &str {
        "asofdb_uuid"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> DataFusionResult<DataType> {
        Ok(Type::Uuid.arrow())
    }

    fn return_field_from_args(&self, _: ReturnFieldArgs<'_>) -> DataFusionResult<FieldRef> {
        Ok(Arc::new(Type::Uuid.field(self.name(), true)))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> DataFusionResult<ColumnarValue> {
        let rows = args.number_rows;
        let Some(value) = args.args.into_iter().next() else {
            return exec_err!("asofdb_uuid takes one argument");
        };
        let value = value.into_array(rows)?;
        match value.data_type() {
            DataType::FixedSizeBinary(16) => Ok(ColumnarValue::Array(value)),
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View | DataType::Null => {
                parse_all(&value)
            }
            other => exec_err!("cannot cast type {other} to uuid"),
        }
    }
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
        parse_all(&text)
    }
}
