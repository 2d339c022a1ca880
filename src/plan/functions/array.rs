//! Arrays: `array_length`, `array_upper`, `array_lower`, subscripts, and the empty array that `ARRAY(SELECT …)` makes
//! of no rows.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Int32Array, ListArray, StructArray};
use arrow::buffer::OffsetBuffer;
use arrow::compute::kernels::cmp::eq;
use arrow::compute::nullif;
use arrow::datatypes::{DataType, Field, Fields};
use datafusion::common::{ScalarValue, exec_err};
use datafusion::error::Result as DataFusionResult;
use datafusion::functions_nested::length::array_length_udf;
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

use super::changed::{Change, changed};
use super::row_function::{Row, RowFunction};
use crate::plan::pg_catalog::cell::Cell;

/// The functions of this file.
pub fn functions() -> Vec<ScalarUDF> {
    let length = |row: &Row<'_>| match row.int(1) {
        Some(1) => row.items(0).map(|items| items.len() as i64).filter(|n| *n > 0),
        _ => None,
    };
    let all = [
        RowFunction::new("array_upper", &["ai"], "int4", move |row| Ok(length(row).into())),
        RowFunction::new("array_lower", &["ai"], "int4", move |row| {
            Ok(length(row).map(|_| 1i64).into())
        }),
        // generate_subscripts(a, n) is unnest() of this.
        RowFunction::new("asofdb_subscripts", &["ai", "aib"], "_int4", move |row| {
            let count = length(row).unwrap_or(0);
            let reversed = row.bool(2) == Some(true);
            let numbers = 1..=count;
            Ok(Cell::Ints(if reversed { numbers.rev().collect() } else { numbers.collect() }))
        }),
    ];
    let mut all: Vec<ScalarUDF> =
        all.into_iter().map(RowFunction::immutable).map(ScalarUDF::from).collect();
    all.push(changed(array_length_udf(), NoneForEmpty));
    all.push(ScalarUDF::new_from_impl(EmptyForNull::new()));
    all.push(ScalarUDF::new_from_impl(ExpandArray::new()));
    all
}

/// An empty array has no dimension, and no length in it.
#[derive(Debug, PartialEq, Eq, Hash)]
struct NoneForEmpty;

impl Change for NoneForEmpty {
    fn after(
        &self,
        lengths: ColumnarValue,
        _: &[ColumnarValue],
        _: usize,
    ) -> DataFusionResult<ColumnarValue> {
        let without_zero = |lengths: &ArrayRef| -> DataFusionResult<ArrayRef> {
            let zero = ScalarValue::new_zero(lengths.data_type())?.to_scalar()?;
            Ok(nullif(lengths, &eq(lengths, &zero)?)?)
        };
        Ok(match lengths {
            ColumnarValue::Array(lengths) => ColumnarValue::Array(without_zero(&lengths)?),
            ColumnarValue::Scalar(length) => {
                let length = without_zero(&length.to_array()?)?;
                ColumnarValue::Scalar(ScalarValue::try_from_array(&length, 0)?)
            }
        })
    }
}

/// `information_schema._pg_expandarray(vector)` before `unnest`: each item with its number, from 1.
#[derive(Debug, PartialEq, Eq, Hash)]
struct ExpandArray {
    signature: Signature,
}

impl ExpandArray {
    fn new() -> Self {
        ExpandArray { signature: Signature::any(1, Volatility::Immutable) }
    }

    fn item(of: &DataType) -> DataFusionResult<Fields> {
        let DataType::List(item) = of else {
            return exec_err!("function _pg_expandarray({of}) does not exist");
        };
        let x = Field::new("x", item.data_type().clone(), true);
        Ok(Fields::from(vec![x, Field::new("n", DataType::Int32, true)]))
    }
}

impl ScalarUDFImpl for ExpandArray {
    fn name(&self) -> &str {
        "_pg_expandarray"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, types: &[DataType]) -> DataFusionResult<DataType> {
        let item = ExpandArray::item(types.first().unwrap_or(&DataType::Null))?;
        Ok(DataType::List(Arc::new(Field::new("item", DataType::Struct(item), true))))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> DataFusionResult<ColumnarValue> {
        let rows = args.number_rows;
        let Some(lists) = args.args.into_iter().next() else {
            return exec_err!("_pg_expandarray takes an array");
        };
        let lists = lists.into_array(rows)?;
        let fields = ExpandArray::item(lists.data_type())?;
        let lists = lists.as_list::<i32>();
        let start = lists.offsets()[0] as usize;
        let end = lists.offsets()[lists.len()] as usize;
        let items = lists.values().slice(start, end - start);
        let lengths: Vec<usize> =
            (0..lists.len()).map(|i| lists.value_length(i) as usize).collect();
        let numbers = Int32Array::from_iter_values(lengths.iter().flat_map(|n| 1..=*n as i32));
        let pairs = StructArray::try_new(fields.clone(), vec![items, Arc::new(numbers)], None)?;
        let item = Arc::new(Field::new("item", DataType::Struct(fields), true));
        let offsets = OffsetBuffer::from_lengths(lengths);
        let pairs = ListArray::try_new(item, offsets, Arc::new(pairs), lists.nulls().cloned())?;
        Ok(ColumnarValue::Array(Arc::new(pairs)))
    }
}

/// `asofdb_rows(array_agg(x))`: no rows make an empty array, where the aggregate makes NULL.
#[derive(Debug, PartialEq, Eq, Hash)]
struct EmptyForNull {
    signature: Signature,
}

impl EmptyForNull {
    fn new() -> Self {
        EmptyForNull { signature: Signature::any(1, Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for EmptyForNull {
    fn name(&self) -> &str {
        "asofdb_rows"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, types: &[DataType]) -> DataFusionResult<DataType> {
        match types {
            [of @ DataType::List(_)] => Ok(of.clone()),
            _ => Ok(DataType::List(Arc::new(Field::new("item", DataType::Utf8View, true)))),
        }
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> DataFusionResult<ColumnarValue> {
        let rows = args.number_rows;
        let values = args.args.into_iter().next().map(|a| a.into_array(rows)).transpose()?;
        let Some(values) = values else {
            return exec_err!("asofdb_rows takes an array");
        };
        let DataType::List(item) = args.return_field.data_type() else {
            return exec_err!("asofdb_rows returns an array");
        };
        let lists = match values.as_list_opt::<i32>() {
            // A null's slot has no items: array_agg's offsets do not move for it.
            Some(lists) => {
                let lengths: Vec<usize> = (0..lists.len())
                    .map(|i| if lists.is_null(i) { 0 } else { lists.value_length(i) as usize })
                    .collect();
                let taken: Vec<_> = (0..lists.len())
                    .filter(|i| lists.is_valid(*i))
                    .map(|i| lists.value(i))
                    .collect();
                let taken: Vec<&dyn Array> = taken.iter().map(AsRef::as_ref).collect();
                let items = match taken.is_empty() {
                    true => arrow::array::new_empty_array(item.data_type()),
                    false => arrow::compute::concat(&taken)?,
                };
                ListArray::try_new(
                    Arc::clone(item),
                    OffsetBuffer::from_lengths(lengths),
                    items,
                    None,
                )?
            }
            None => {
                let items = arrow::array::new_empty_array(item.data_type());
                let offsets = OffsetBuffer::from_lengths(vec![0; rows]);
                ListArray::try_new(Arc::clone(item), offsets, items, None)?
            }
        };
        Ok(ColumnarValue::Array(Arc::new(lists)))
    }
}
