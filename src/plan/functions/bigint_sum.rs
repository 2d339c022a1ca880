//! `sum` of integers that tells when it does not fit: DataFusion's goes on from the other end.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, BooleanArray, Int64Array};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Decimal128Type, Field, FieldRef};
use datafusion::common::ScalarValue;
use datafusion::error::{DataFusionError, Result as DataFusionResult};
use datafusion::functions_aggregate::sum::sum_udaf;
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::AggregateOrderSensitivity;
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, EmitTo, GroupsAccumulator, ReversedUDAF,
    SetMonotonicity, Signature,
};

use crate::error::{Error, ErrorKind};

/// What bigints are added as: a sum of 10^19 of them fits.
const WIDE: DataType = DataType::Decimal128(38, 0);

/// `sum` in place of DataFusion's, which does the adding.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct BigintSum {
    sum: Arc<AggregateUDF>,
}

impl BigintSum {
    pub fn new() -> BigintSum {
        BigintSum { sum: sum_udaf() }
    }
}

fn is_bigint(field: &FieldRef) -> bool {
    *field.data_type() == DataType::Int64
}

fn wide(field: &Field) -> FieldRef {
    Arc::new(field.clone().with_data_type(WIDE))
}

/// The arguments of a sum of wide numbers.
fn widened<T>(args: AccumulatorArgs<'_>, make: impl FnOnce(AccumulatorArgs<'_>) -> T) -> T {
    let fields: Vec<FieldRef> = args.expr_fields.iter().map(|field| wide(field)).collect();
    make(AccumulatorArgs { return_field: wide(&args.return_field), expr_fields: &fields, ..args })
}

fn out_of_range() -> DataFusionError {
    let error = Error::new(ErrorKind::OutOfRange, "bigint out of range")
        .hint("write sum(x::numeric) for a sum of more than 18 digits");
    DataFusionError::External(Box::new(error))
}

impl AggregateUDFImpl for BigintSum {
    fn name(&self) -> &str {
        self.sum.name()
    }

    fn signature(&self) -> &Signature {
        self.sum.signature()
    }

    fn return_type(&self, types: &[DataType]) -> DataFusionResult<DataType> {
        self.sum.return_type(types)
    }

    fn state_fields(&self, args: StateFieldsArgs<'_>) -> DataFusionResult<Vec<FieldRef>> {
        if !is_bigint(&args.return_field) {
            return self.sum.state_fields(args);
        }
        let inputs: Vec<FieldRef> = args.input_fields.iter().map(|field| wide(field)).collect();
        let return_field = wide(&args.return_field);
        self.sum.state_fields(StateFieldsArgs { return_field, input_fields: &inputs, ..args })
    }

    fn accumulator(&self, args: AccumulatorArgs<'_>) -> DataFusionResult<Box<dyn Accumulator>> {
        match is_bigint(&args.return_field) {
            true => Ok(Box::new(Checked(widened(args, |args| self.sum.accumulator(args))?))),
            false => self.sum.accumulator(args),
        }
    }

    fn groups_accumulator_supported(&self, args: AccumulatorArgs<'_>) -> bool {
        self.sum.groups_accumulator_supported(args)
    }

    fn create_groups_accumulator(
        &self,
        args: AccumulatorArgs<'_>,
    ) -> DataFusionResult<Box<dyn GroupsAccumulator>> {
        if !is_bigint(&args.return_field) {
            return self.sum.create_groups_accumulator(args);
        }
        let sums = widened(args, |args| self.sum.create_groups_accumulator(args))?;
        Ok(Box::new(CheckedGroups(sums)))
    }

    fn create_sliding_accumulator(
        &self,
        args: AccumulatorArgs<'_>,
    ) -> DataFusionResult<Box<dyn Accumulator>> {
        if !is_bigint(&args.return_field) {
            return self.sum.create_sliding_accumulator(args);
        }
        let sum = widened(args, |args| self.sum.create_sliding_accumulator(args))?;
        Ok(Box::new(Checked(sum)))
    }

    fn reverse_expr(&self) -> ReversedUDAF {
        ReversedUDAF::Identical
    }

    fn order_sensitivity(&self) -> AggregateOrderSensitivity {
        AggregateOrderSensitivity::Insensitive
    }

    fn set_monotonicity(&self, data_type: &DataType) -> SetMonotonicity {
        self.sum.inner().set_monotonicity(data_type)
    }
}

/// One sum.
#[derive(Debug)]
struct Checked(Box<dyn Accumulator>);

fn widen(values: &[ArrayRef]) -> DataFusionResult<Vec<ArrayRef>> {
    values.iter().map(|values| Ok(cast(values, &WIDE)?)).collect()
}

impl Accumulator for Checked {
    fn update_batch(&mut self, values: &[ArrayRef]) -> DataFusionResult<()> {
        self.0.update_batch(&widen(values)?)
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> DataFusionResult<()> {
        self.0.retract_batch(&widen(values)?)
    }

    fn supports_retract_batch(&self) -> bool {
        self.0.supports_retract_batch()
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> DataFusionResult<()> {
        self.0.merge_batch(states)
    }

    fn state(&mut self) -> DataFusionResult<Vec<ScalarValue>> {
        self.0.state()
    }

    fn evaluate(&mut self) -> DataFusionResult<ScalarValue> {
        match self.0.evaluate()? {
            ScalarValue::Decimal128(Some(sum), _, _) => {
                let sum = i64::try_from(sum).map_err(|_| out_of_range())?;
                Ok(ScalarValue::Int64(Some(sum)))
            }
            _ => Ok(ScalarValue::Int64(None)),
        }
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.0.size()
    }
}

/// The sums of groups.
struct CheckedGroups(Box<dyn GroupsAccumulator>);

impl GroupsAccumulator for CheckedGroups {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        group_indices: &[usize],
        opt_filter: Option<&BooleanArray>,
        total_num_groups: usize,
    ) -> DataFusionResult<()> {
        self.0.update_batch(&widen(values)?, group_indices, opt_filter, total_num_groups)
    }

    fn evaluate(&mut self, emit_to: EmitTo) -> DataFusionResult<ArrayRef> {
        let sums = self.0.evaluate(emit_to)?;
        let sums = sums.as_primitive::<Decimal128Type>();
        let narrow = |sum: Option<i128>| sum.map(i64::try_from).transpose();
        let sums: Result<Int64Array, _> = sums.iter().map(narrow).collect();
        Ok(Arc::new(sums.map_err(|_| out_of_range())?))
    }

    fn state(&mut self, emit_to: EmitTo) -> DataFusionResult<Vec<ArrayRef>> {
        self.0.state(emit_to)
    }

    fn merge_batch(
        &mut self,
        values: &[ArrayRef],
        group_indices: &[usize],
        total_num_groups: usize,
    ) -> DataFusionResult<()> {
        self.0.merge_batch(values, group_indices, total_num_groups)
    }

    fn convert_to_state(
        &self,
        values: &[ArrayRef],
        opt_filter: Option<&BooleanArray>,
    ) -> DataFusionResult<Vec<ArrayRef>> {
        self.0.convert_to_state(&widen(values)?, opt_filter)
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.0.size()
    }
}
