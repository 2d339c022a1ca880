//! `text || text`, as a function, so that it can be bounded like the others.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, StringViewArray, StringViewBuilder};
use arrow::compute::kernels::concat_elements::concat_elements_dyn;
use arrow::datatypes::DataType;
use datafusion::common::{ScalarValue, plan_err};
use datafusion::error::Result as DataFusionResult;
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility,
};

/// The name of `||` between texts.
pub(in crate::plan::functions) const TEXT_CONCAT: &str = "asofdb_text_concat";

/// The texts, one after the other; NULL where one of them is. A chain of `||` is one call: each of many
/// nested ones would be named, typed and copied anew.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct TextConcat {
    signature: Signature,
}

impl TextConcat {
    pub(super) fn new() -> TextConcat {
        TextConcat { signature: Signature::user_defined(Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for TextConcat {
    fn name(&self) -> &str {
        TEXT_CONCAT
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> DataFusionResult<Vec<DataType>> {
        match types {
            [DataType::Utf8, DataType::Utf8] => Ok(types.to_vec()),
            [_, _, ..] => Ok(vec![DataType::Utf8View; types.len()]),
            _ => plan_err!("|| takes two texts"),
        }
    }

    fn return_type(&self, types: &[DataType]) -> DataFusionResult<DataType> {
        match types {
            [of, _, ..] => Ok(of.clone()),
            _ => plan_err!("|| takes two texts"),
        }
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> DataFusionResult<ColumnarValue> {
        let constant = args.args.iter().all(|value| matches!(value, ColumnarValue::Scalar(_)));
        let rows = if constant { 1 } else { args.number_rows };
        let columns: Vec<ArrayRef> =
            args.args.iter().map(|value| value.to_array(rows)).collect::<DataFusionResult<_>>()?;
        let texts = match columns.as_slice() {
            [left, right] => concat_elements_dyn(left, right)?,
            columns => Arc::new(joined(columns, rows)),
        };
        match constant {
            true => ScalarValue::try_from_array(&texts, 0).map(ColumnarValue::Scalar),
            false => Ok(ColumnarValue::Array(texts)),
        }
    }
}

fn joined(columns: &[ArrayRef], rows: usize) -> StringViewArray {
    let columns: Vec<&StringViewArray> = columns.iter().map(|c| c.as_string_view()).collect();
    let mut texts = StringViewBuilder::with_capacity(rows);
    let mut text = String::new();
    for row in 0..rows {
        if columns.iter().any(|column| column.is_null(row)) {
            texts.append_null();
            continue;
        }
        text.clear();
        columns.iter().for_each(|column| text.push_str(column.value(row)));
        texts.append_value(&text);
    }
    texts.finish()
}
