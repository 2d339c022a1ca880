//! `asofdb_single_value(x)`: the value of the only row, NULL of none, an error of more. It is what
//! `pg_catalog::rewrite` makes of a sub-select in the place of a value, which DataFusion plans only
//! with an aggregate.

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{DataType, Field, FieldRef, Int64Type};
use datafusion::common::{ScalarValue, internal_err};
use datafusion::error::{DataFusionError, Result as DataFusionResult};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::{Accumulator, AggregateUDFImpl, Signature, Volatility};
use std::sync::Arc;

use crate::error::{Error, ErrorKind};

/// The aggregate.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct SingleValue {
    signature: Signature,
}

impl SingleValue {
    /// It takes one argument of any type.
    pub fn new() -> Self {
        SingleValue { signature: Signature::any(1, Volatility::Immutable) }
    }
}

impl AggregateUDFImpl for SingleValue {
    fn name(&self) -> &str {
        "asofdb_single_value"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, types: &[DataType]) -> DataFusionResult<DataType> {
        match types {
            [of] => Ok(of.clone()),
            _ => internal_err!("asofdb_single_value takes one argument"),
        }
    }

    fn return_field(&self, fields: &[FieldRef]) -> DataFusionResult<FieldRef> {
        match fields {
            [of] => Ok(Arc::new(of.as_ref().clone().with_name(self.name()).with_nullable(true))),
            _ => internal_err!("asofdb_single_value takes one argument"),
        }
    }

    fn accumulator(&self, args: AccumulatorArgs<'_>) -> DataFusionResult<Box<dyn Accumulator>> {
        let value = ScalarValue::try_from(args.return_field.data_type())?;
        Ok(Box::new(OneRow { value, rows: 0 }))
    }

    fn state_fields(&self, args: StateFieldsArgs<'_>) -> DataFusionResult<Vec<FieldRef>> {
        let value = args.return_field.as_ref().clone().with_name(format!("{}[value]", args.name));
        let rows = Field::new(format!("{}[rows]", args.name), DataType::Int64, false);
        Ok(vec![Arc::new(value), Arc::new(rows)])
    }
}

#[derive(Debug)]
struct OneRow {
    value: ScalarValue,
    rows: i64,
}

impl OneRow {
    fn add(
        &mut self,
        rows: i64,
        value: impl FnOnce() -> DataFusionResult<ScalarValue>,
    ) -> DataFusionResult<()> {
        self.rows += rows;
        if self.rows > 1 {
            return Err(DataFusionError::External(Box::new(Error::new(
                ErrorKind::Cardinality,
                "more than one row returned by a subquery used as an expression",
            ))));
        }
        if rows == 1 {
            self.value = value()?;
        }
        Ok(())
    }
}

impl Accumulator for OneRow {
    fn update_batch(&mut self, values: &[ArrayRef]) -> DataFusionResult<()> {
        let [values] = values else {
            return internal_err!("asofdb_single_value takes one argument");
        };
        self.add(values.len() as i64, || ScalarValue::try_from_array(values, 0))
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> DataFusionResult<()> {
        let [values, rows] = states else {
            return internal_err!("asofdb_single_value has two state columns");
        };
        for (at, rows) in rows.as_primitive::<Int64Type>().values().iter().enumerate() {
            self.add(*rows, || ScalarValue::try_from_array(values, at))?;
        }
        Ok(())
    }

    fn state(&mut self) -> DataFusionResult<Vec<ScalarValue>> {
        Ok(vec![self.value.clone(), ScalarValue::Int64(Some(self.rows))])
    }

    fn evaluate(&mut self) -> DataFusionResult<ScalarValue> {
        Ok(self.value.clone())
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.value.size() - size_of_val(&self.value)
    }
}
