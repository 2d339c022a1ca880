//! `percentile_cont`, `percentile_disc` and `mode`, as PostgreSQL answers them.
//!
//! DataFusion has `percentile_cont` of floats alone, and rounds the place between two values to a
//! millionth. All values of a group are kept until its end; memory counts them.

use std::cmp::Ordering;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, PrimitiveArray};
use arrow::compute::{SortOptions, concat, is_not_null, sort_to_indices, take};
use arrow::datatypes::{
    DataType, DurationMicrosecondType, Field, FieldRef, Float64Type, IntervalMonthDayNanoType,
    IntervalUnit, TimeUnit, UInt32Type,
};
use arrow::record_batch::RecordBatch;
use datafusion::common::{ScalarValue, not_impl_err, plan_err};
use datafusion::error::{DataFusionError, Result as DataFusionResult};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::AggregateOrderSensitivity;
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, ColumnarValue, Signature, Volatility,
};

use super::interval::{between, of_microseconds, order_key};
use crate::error::{Error, ErrorKind};

const SPAN: DataType = DataType::Interval(IntervalUnit::MonthDayNano);

/// The functions of this file.
pub fn functions() -> Vec<AggregateUDF> {
    [Kind::Continuous, Kind::Discrete, Kind::Mode]
        .map(|kind| AggregateUDF::from(OrderedSet::new(kind)))
        .into()
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Kind {
    Continuous,
    Discrete,
    Mode,
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct OrderedSet {
    kind: Kind,
    signature: Signature,
}

impl OrderedSet {
    fn new(kind: Kind) -> OrderedSet {
        OrderedSet { kind, signature: Signature::user_defined(Volatility::Immutable) }
    }

    /// What is kept of the ordered values.
    fn kept(&self, of: &DataType) -> DataFusionResult<DataType> {
        Ok(match (self.kind, of) {
            (Kind::Discrete | Kind::Mode, of) => of.clone(),
            (Kind::Continuous, DataType::Interval(_)) => SPAN,
            (Kind::Continuous, DataType::Duration(_)) => DataType::Duration(TimeUnit::Microsecond),
            (Kind::Continuous, of) if of.is_numeric() || of.is_null() => DataType::Float64,
            (Kind::Continuous, of) => {
                return plan_err!("function percentile_cont({of}) does not exist");
            }
        })
    }
}

impl AggregateUDFImpl for OrderedSet {
    fn name(&self) -> &str {
        match self.kind {
            Kind::Continuous => "percentile_cont",
            Kind::Discrete => "percentile_disc",
            Kind::Mode => "mode",
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    /// The values come first, whatever WITHIN GROUP orders by; then the fraction.
    fn coerce_types(&self, types: &[DataType]) -> DataFusionResult<Vec<DataType>> {
        match (self.kind, types) {
            (Kind::Mode, [of]) => Ok(vec![self.kept(of)?]),
            (Kind::Continuous | Kind::Discrete, [of, fraction]) => {
                let fraction = match fraction {
                    DataType::List(_) | DataType::FixedSizeList(_, _) => list_of(DataType::Float64),
                    _ => DataType::Float64,
                };
                Ok(vec![self.kept(of)?, fraction])
            }
            _ => plan_err!("{} needs WITHIN GROUP (ORDER BY …)", self.name()),
        }
    }

    fn return_type(&self, types: &[DataType]) -> DataFusionResult<DataType> {
        let Some(of) = types.first() else {
            return plan_err!("{} needs WITHIN GROUP (ORDER BY …)", self.name());
        };
        let one = match (self.kind, of) {
            (Kind::Continuous, DataType::Duration(_)) => SPAN,
            _ => of.clone(),
        };
        Ok(match types.get(1) {
            Some(DataType::List(_)) => list_of(one),
            _ => one,
        })
    }

    fn state_fields(&self, args: StateFieldsArgs<'_>) -> DataFusionResult<Vec<FieldRef>> {
        let values = list_of(args.input_fields[0].data_type().clone());
        Ok(vec![Arc::new(Field::new(format!("{}[values]", args.name), values, true))])
    }

    fn accumulator(&self, args: AccumulatorArgs<'_>) -> DataFusionResult<Box<dyn Accumulator>> {
        if args.is_distinct {
            return not_impl_err!("DISTINCT with WITHIN GROUP");
        }
        let (fractions, listed) =
            match args.exprs.get(1) {
                Some(expr) => fractions(&expr.evaluate(&RecordBatch::new_empty(Arc::new(
                    arrow::datatypes::Schema::empty(),
                )))?)?,
                None => (Vec::new(), false),
            };
        Ok(Box::new(Gathered {
            kind: self.kind,
            fractions,
            listed,
            descending: args.order_bys.first().is_some_and(|order| order.options.descending),
            of: args.expr_fields[0].data_type().clone(),
            returns: args.return_field.data_type().clone(),
            values: Vec::new(),
            bytes: 0,
        }))
    }

    fn order_sensitivity(&self) -> AggregateOrderSensitivity {
        AggregateOrderSensitivity::Insensitive
    }

    fn supports_within_group_clause(&self) -> bool {
        true
    }
}

fn list_of(of: DataType) -> DataType {
    DataType::List(Arc::new(Field::new_list_field(of, true)))
}

/// The fractions a constant names, and whether it is an array of them.
fn fractions(constant: &ColumnarValue) -> DataFusionResult<(Vec<Option<f64>>, bool)> {
    let (array, listed) = match constant {
        ColumnarValue::Scalar(ScalarValue::List(list)) if list.is_null(0) => {
            return Ok((vec![], true));
        }
        ColumnarValue::Scalar(ScalarValue::List(list)) => (list.value(0), true),
        ColumnarValue::Scalar(one) => (one.to_array()?, false),
        ColumnarValue::Array(_) => {
            return plan_err!("the fraction of a percentile must be a constant");
        }
    };
    let fractions: Vec<Option<f64>> = array.as_primitive::<Float64Type>().iter().collect();
    for fraction in fractions.iter().flatten() {
        if !(0.0..=1.0).contains(fraction) {
            let message = format!("percentile value {fraction} is not between 0 and 1");
            let error = Error::new(ErrorKind::OutOfRange, message);
            return Err(DataFusionError::External(Box::new(error)));
        }
    }
    Ok((fractions, listed))
}

/// All values of a group.
#[derive(Debug)]
struct Gathered {
    kind: Kind,
    fractions: Vec<Option<f64>>,
    listed: bool,
    descending: bool,
    of: DataType,
    returns: DataType,
    values: Vec<ArrayRef>,
    bytes: usize,
}

impl Gathered {
    fn push(&mut self, values: &ArrayRef) -> DataFusionResult<()> {
        let values = match values.null_count() {
            0 => ArrayRef::clone(values),
            _ => arrow::compute::filter(values, &is_not_null(values)?)?,
        };
        if !values.is_empty() {
            self.bytes += values.to_data().get_slice_memory_size()?;
            self.values.push(values);
        }
        Ok(())
    }

    fn sorted(&self) -> DataFusionResult<ArrayRef> {
        let all: Vec<&dyn Array> = self.values.iter().map(AsRef::as_ref).collect();
        let all = concat(&all)?;
        let places = match all.as_primitive_opt::<IntervalMonthDayNanoType>() {
            // Arrow orders by months, then days, then time.
            Some(spans) => by_length(spans, self.descending),
            None => {
                let options = SortOptions { descending: self.descending, nulls_first: false };
                sort_to_indices(&all, Some(options), None)?
            }
        };
        Ok(take(&all, &places, None)?)
    }

    fn answer(&self, sorted: &ArrayRef, fraction: Option<f64>) -> DataFusionResult<ScalarValue> {
        let Some(fraction) = fraction else { return self.null() };
        let rows = sorted.len();
        if self.kind == Kind::Discrete {
            let place = (fraction * rows as f64).ceil() as usize;
            return ScalarValue::try_from_array(sorted, place.clamp(1, rows) - 1);
        }
        let place = fraction * (rows - 1) as f64;
        let (low, high) = (place.floor() as usize, (place.ceil() as usize).min(rows - 1));
        let part = place - place.floor();
        let spans = |low, high| -> DataFusionResult<ScalarValue> {
            let span = between(low, high, part);
            let span = span.map_err(|error| DataFusionError::External(Box::new(error)))?;
            Ok(ScalarValue::IntervalMonthDayNano(Some(span)))
        };
        if let Some(numbers) = sorted.as_primitive_opt::<Float64Type>() {
            let (low, high) = (numbers.value(low), numbers.value(high));
            // Equal infinities have no difference.
            let between = if low == high { low } else { low + part * (high - low) };
            return Ok(ScalarValue::Float64(Some(between)));
        }
        match sorted.as_primitive_opt::<DurationMicrosecondType>() {
            Some(times) => {
                let [low, high] = [low, high].map(|at| of_microseconds(times.value(at)));
                spans(low, high)
            }
            None => {
                let times = sorted.as_primitive::<IntervalMonthDayNanoType>();
                spans(times.value(low), times.value(high))
            }
        }
    }

    fn one(&self) -> &DataType {
        match &self.returns {
            DataType::List(item) if self.listed => item.data_type(),
            one => one,
        }
    }

    fn null(&self) -> DataFusionResult<ScalarValue> {
        ScalarValue::try_from(self.one())
    }
}

fn by_length(
    spans: &PrimitiveArray<IntervalMonthDayNanoType>,
    descending: bool,
) -> PrimitiveArray<UInt32Type> {
    let keys: Vec<i128> = spans.values().iter().map(|span| order_key(*span)).collect();
    let mut places: Vec<u32> = (0..spans.len() as u32).collect();
    places.sort_by(|a, b| {
        let order: Ordering = keys[*a as usize].cmp(&keys[*b as usize]);
        if descending { order.reverse() } else { order }
    });
    places.into()
}

/// The value that comes most often; of several the first.
fn most_frequent(sorted: &ArrayRef) -> DataFusionResult<ScalarValue> {
    let runs = arrow::compute::partition(std::slice::from_ref(sorted))?.ranges();
    // The last of the longest is what `max_by_key` gives: the first one is wanted.
    let longest = runs.into_iter().rev().max_by_key(std::ops::Range::len);
    ScalarValue::try_from_array(sorted, longest.map_or(0, |run| run.start))
}

impl Accumulator for Gathered {
    fn update_batch(&mut self, values: &[ArrayRef]) -> DataFusionResult<()> {
        self.push(&values[0])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> DataFusionResult<()> {
        let lists = states[0].as_list::<i32>();
        lists.iter().flatten().try_for_each(|values| self.push(&values))
    }

    fn state(&mut self) -> DataFusionResult<Vec<ScalarValue>> {
        let list = match self.values.is_empty() {
            true => ScalarValue::new_list(&[], &self.of, true),
            false => {
                let all: Vec<&dyn Array> = self.values.iter().map(AsRef::as_ref).collect();
                let list = datafusion::common::utils::SingleRowListArrayBuilder::new(concat(&all)?);
                Arc::new(list.build_list_array())
            }
        };
        Ok(vec![ScalarValue::List(list)])
    }

    fn evaluate(&mut self) -> DataFusionResult<ScalarValue> {
        if self.values.is_empty() {
            return ScalarValue::try_from(&self.returns);
        }
        let sorted = self.sorted()?;
        if self.kind == Kind::Mode {
            return most_frequent(&sorted);
        }
        let answer = |fraction: &Option<f64>| self.answer(&sorted, *fraction);
        let answers: Vec<ScalarValue> =
            self.fractions.iter().map(answer).collect::<DataFusionResult<_>>()?;
        match self.listed {
            true => Ok(ScalarValue::List(ScalarValue::new_list(&answers, self.one(), true))),
            false => answers.into_iter().next().map_or_else(|| self.null(), Ok),
        }
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.bytes + self.values.capacity() * size_of::<ArrayRef>()
    }
}
