//! Functions that make much of little: a short text and a number ask for gigabytes, and so does a text
//! doubled forty times. Nothing can stop a call in its middle, so what it will make is reckoned before.

mod concat;
mod reckon;

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use datafusion::common::exec_err;
use datafusion::error::{DataFusionError, Result as DataFusionResult};
use datafusion::functions::{core, encoding, string, unicode};
use datafusion::functions_nested as nested;
use datafusion::logical_expr::{ScalarFunctionArgs, ScalarUDF};

pub(super) use self::reckon::Numbers;
use super::changed::{Change, changed};
use super::folding::is_folding;
use crate::error::{Error, ErrorKind};

pub(super) use concat::TEXT_CONCAT;

/// The largest value: no message could carry a larger one.
const VALUE_BYTES_MAX: u64 = 64 << 20;
/// The largest value that is computed while a statement is planned: a plan is copied many times.
const FOLDED_BYTES_MAX: u64 = 64 << 10;

/// The functions of this file. One call makes at most so many bytes for all rows of a batch.
pub fn functions(call_bytes_max: u64) -> Vec<ScalarUDF> {
    let bounded =
        |function: Arc<ScalarUDF>, reckon| changed(function, Bounded { reckon, call_bytes_max });
    vec![
        bounded(string::repeat(), reckon::times),
        bounded(unicode::lpad(), reckon::length),
        bounded(unicode::rpad(), reckon::length),
        bounded(string::replace(), reckon::replaced),
        bounded(string::concat(), reckon::sum),
        bounded(string::concat_ws(), reckon::joined),
        bounded(core::overlay(), reckon::sum),
        bounded(encoding::encode(), reckon::doubled),
        bounded(nested::repeat::array_repeat_udf(), reckon::times),
        bounded(nested::resize::array_resize_udf(), reckon::resized),
        bounded(nested::concat::array_concat_udf(), reckon::sum),
        bounded(nested::string::array_to_string_udf(), reckon::listed),
        bounded(nested::range::range_udf(), reckon::series),
        bounded(nested::range::gen_series_udf(), reckon::series),
    ]
}

/// What `||` between texts calls.
pub fn text_concat(call_bytes_max: u64) -> ScalarUDF {
    let function = Arc::new(ScalarUDF::from(concat::TextConcat::new()));
    changed(function, Bounded { reckon: reckon::sum, call_bytes_max })
}

/// What `ARRAY[…]` calls.
pub fn make_array(call_bytes_max: u64) -> ScalarUDF {
    let function = nested::make_array::make_array_udf();
    changed(function, Bounded { reckon: reckon::sum, call_bytes_max })
}

/// How many bytes a call makes for each row, at most.
type Reckon = fn(&ScalarFunctionArgs) -> DataFusionResult<Numbers>;

/// The result may be much longer than the arguments.
#[derive(Debug)]
struct Bounded {
    reckon: Reckon,
    call_bytes_max: u64,
}

/// A function is bounded in one way.
impl PartialEq for Bounded {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Bounded {}

impl Hash for Bounded {
    fn hash<H: Hasher>(&self, _: &mut H) {}
}

impl Change for Bounded {
    fn before(&self, args: &ScalarFunctionArgs) -> DataFusionResult<()> {
        check(&(self.reckon)(args)?, args.number_rows, self.call_bytes_max)
    }
}

/// # Errors
/// LimitExceeded, as PostgreSQL's for a gigabyte.
pub(super) fn check(bytes: &Numbers, rows: usize, call_bytes_max: u64) -> DataFusionResult<()> {
    let (largest, all) = match bytes {
        Numbers::One(bytes) if is_folding() && *bytes > FOLDED_BYTES_MAX => {
            return exec_err!("left for the statement to compute");
        }
        // Whoever takes the constant may spread it over the rows.
        Numbers::One(bytes) => (*bytes, bytes.saturating_mul(rows as u64)),
        Numbers::Each(_) => (0..rows).fold((0, 0_u64), |(largest, all), row| {
            let bytes = bytes.at(row);
            (bytes.max(largest), all.saturating_add(bytes))
        }),
    };
    let error = Error::new(ErrorKind::LimitExceeded, "requested length too large");
    let error = if largest > VALUE_BYTES_MAX {
        error.detail(format!("the longest value is of {VALUE_BYTES_MAX} bytes"))
    } else if all > call_bytes_max {
        error
            .detail(format!("{rows} rows at once would make {all} bytes of {call_bytes_max}"))
            .hint("SET datafusion.execution.batch_size = 256, or start with a larger --memory")
    } else {
        return Ok(());
    };
    Err(DataFusionError::External(Box::new(error)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_too_long_is_refused() {
        let fits = |bytes: &Numbers, rows| check(bytes, rows, 256 << 20).is_ok();
        assert!(fits(&Numbers::One(VALUE_BYTES_MAX), 4));
        assert!(!fits(&Numbers::One(VALUE_BYTES_MAX), 5));
        assert!(!fits(&Numbers::One(VALUE_BYTES_MAX + 1), 1));
        let mega = || Numbers::Each(vec![1 << 20; 8192]);
        assert!(fits(&mega(), 256));
        assert!(!fits(&mega(), 257));
        assert!(!fits(&Numbers::Each(vec![u64::MAX; 2]), 2));
    }
}
