//! `t AT TIME ZONE z`, which is `timezone(z, t)`: the clocks of a zone at an instant, and the instant
//! at which they show a time.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, TimestampMicrosecondBuilder};
use arrow::datatypes::{DataType, TimeUnit, TimestampMicrosecondType};
use datafusion::common::{ScalarValue, exec_err, plan_err};
use datafusion::error::{DataFusionError, Result as DataFusionResult};
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

use crate::error::Result;
use crate::spec::text::NamedZone;

/// `timezone`.
pub fn function() -> ScalarUDF {
    let signature = Signature::user_defined(Volatility::Immutable);
    ScalarUDF::new_from_impl(AtTimeZone { signature })
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct AtTimeZone {
    signature: Signature,
}

const LOCAL: DataType = DataType::Timestamp(TimeUnit::Microsecond, None);

fn instant() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
}

fn shift(zones: &ArrayRef, times: &ArrayRef) -> Result<ArrayRef> {
    let of_instant = matches!(times.data_type(), DataType::Timestamp(_, Some(_)));
    let result = if of_instant { LOCAL } else { instant() };
    let zones = zones.as_string_view();
    let times = times.as_primitive::<TimestampMicrosecondType>();
    let mut shifted =
        TimestampMicrosecondBuilder::with_capacity(times.len()).with_data_type(result);
    let mut last: Option<(&str, NamedZone)> = None;
    for (name, time) in zones.iter().zip(times) {
        let (Some(name), Some(time)) = (name, time) else {
            shifted.append_null();
            continue;
        };
        let zone = match last {
            Some((known, zone)) if known == name => zone,
            _ => NamedZone::parse(name)?,
        };
        last = Some((name, zone));
        shifted.append_value(if of_instant { zone.local_us(time) } else { zone.utc_us(time) });
    }
    Ok(Arc::new(shifted.finish()))
}

impl ScalarUDFImpl for AtTimeZone {
    fn name(&self) -> &str {
        "timezone"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> DataFusionResult<Vec<DataType>> {
        let [zone, time] = types else {
            return plan_err!("No function matches timezone of {} arguments", types.len());
        };
        if !zone.is_string() && !zone.is_null() {
            return plan_err!("No function matches timezone({zone}, {time})");
        }
        let time = match time {
            DataType::Timestamp(_, None) => LOCAL,
            DataType::Timestamp(_, Some(_)) | DataType::Date32 | DataType::Null => instant(),
            text if text.is_string() => instant(),
            other => return plan_err!("No function matches timezone({zone}, {other})"),
        };
        Ok(vec![DataType::Utf8View, time])
    }

    fn return_type(&self, types: &[DataType]) -> DataFusionResult<DataType> {
        match types {
            [_, DataType::Timestamp(_, None)] => Ok(instant()),
            _ => Ok(LOCAL),
        }
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> DataFusionResult<ColumnarValue> {
        let constant = args.args.iter().all(|a| matches!(a, ColumnarValue::Scalar(_)));
        let columns = ColumnarValue::values_to_arrays(&args.args)?;
        let [zones, times] = columns.as_slice() else {
            return exec_err!("timezone takes a zone and a time");
        };
        let shifted = shift(zones, times).map_err(|e| DataFusionError::External(Box::new(e)))?;
        Ok(match constant {
            true => ColumnarValue::Scalar(ScalarValue::try_from_array(&shifted, 0)?),
            false => ColumnarValue::Array(shifted),
        })
    }
}
