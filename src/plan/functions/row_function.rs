//! Functions that compute one value from the values of one row: how they are declared, typed and run.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{
    DataType, FieldRef, Float64Type, Int64Type, TimeUnit, TimestampMicrosecondType,
};
use datafusion::common::{ScalarValue, plan_err};
use datafusion::error::{DataFusionError, Result as DataFusionResult};
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility,
};

use super::casts::type_of;
use crate::error::{Error, ErrorKind, Result};
use crate::plan::pg_catalog::cell::{self, Cell};
use crate::plan::pg_catalog::relation::field;
use crate::spec::text::{TextFormatter, TextOptions};

type Body = dyn Fn(&Row<'_>) -> Result<Cell> + Send + Sync;

/// A function of one row.
///
/// `shapes` are its argument lists, one letter an argument: `t` text, `n` a name or an oid, `i`
/// integer, `f` floating-point, `b` boolean, `m` timestamp of either kind, `z` timestamptz, `a`
/// anything, `x` timestamp, or a number as its text; a last `*` repeats the letter before it.
pub struct RowFunction {
    name: &'static str,
    shapes: &'static [&'static str],
    returns: &'static str,
    /// Whether NULL for any argument makes NULL without a call.
    strict: bool,
    signature: Signature,
    body: Arc<Body>,
}

impl RowFunction {
    /// A strict, stable function that returns PostgreSQL's type `returns` (a `typname`).
    pub fn new(
        name: &'static str,
        shapes: &'static [&'static str],
        returns: &'static str,
        body: impl Fn(&Row<'_>) -> Result<Cell> + Send + Sync + 'static,
    ) -> Self {
        let signature = Signature::user_defined(Volatility::Stable);
        RowFunction { name, shapes, returns, strict: true, signature, body: Arc::new(body) }
    }

    /// Called with NULLs too.
    pub fn with_nulls(mut self) -> Self {
        self.strict = false;
        self
    }

    /// Never folded, computed for each row.
    pub fn volatile(mut self) -> Self {
        self.signature = Signature::user_defined(Volatility::Volatile);
        self
    }

    /// Depends on its arguments only.
    pub fn immutable(mut self) -> Self {
        self.signature = Signature::user_defined(Volatility::Immutable);
        self
    }

    fn shape(&self, count: usize) -> Option<&'static str> {
        let fits = |shape: &&&str| match shape.strip_suffix('*') {
            Some(fixed) => count >= fixed.len(),
            None => count == shape.len(),
        };
        self.shapes.iter().find(fits).copied()
    }

    fn evaluate(
        &self,
        columns: &[ArrayRef],
        fields: &[FieldRef],
        rows: usize,
    ) -> DataFusionResult<ArrayRef> {
        let external = |error| DataFusionError::External(Box::new(error));
        let mut cells = Vec::with_capacity(rows);
        let mut bytes = 0;
        for row in 0..rows {
            let row = Row { columns, fields, row };
            let cell = match self.strict && (0..columns.len()).any(|i| row.is_null(i)) {
                true => Cell::Null,
                false => (self.body)(&row).map_err(external)?,
            };
            if let Cell::Text(text) = &cell {
                bytes += text.len();
                check_length(bytes).map_err(external)?;
            }
            cells.push(cell);
        }
        let of = field("", self.returns);
        cell::array(of.data_type(), &cells).map_err(|e| DataFusionError::External(Box::new(e)))
    }
}

impl fmt::Debug for RowFunction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RowFunction").field("name", &self.name).finish_non_exhaustive()
    }
}

// Names are unique within a session, and plans do not cross sessions.
impl PartialEq for RowFunction {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for RowFunction {}

impl Hash for RowFunction {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name.hash(state);
    }
}

impl ScalarUDFImpl for RowFunction {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> DataFusionResult<DataType> {
        Ok(field("", self.returns).data_type().clone())
    }

    fn return_field_from_args(&self, _: ReturnFieldArgs<'_>) -> DataFusionResult<FieldRef> {
        Ok(Arc::new(field(self.name, self.returns)))
    }

    fn coerce_types(&self, types: &[DataType]) -> DataFusionResult<Vec<DataType>> {
        let Some(shape) = self.shape(types.len()) else {
            return plan_err!("function {} does not take {} arguments", self.name, types.len());
        };
        let letters = shape.trim_end_matches('*').chars();
        let last = shape.trim_end_matches('*').chars().last();
        let letters = letters.chain(std::iter::repeat(last.unwrap_or('a')));
        types.iter().zip(letters).map(|(of, letter)| coerce(self.name, letter, of)).collect()
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> DataFusionResult<ColumnarValue> {
        let constant = args.args.iter().all(|a| matches!(a, ColumnarValue::Scalar(_)));
        let once = constant && self.signature.volatility != Volatility::Volatile;
        let rows = if once { 1 } else { args.number_rows };
        let columns: Vec<ArrayRef> =
            args.args.into_iter().map(|a| a.into_array(rows)).collect::<DataFusionResult<_>>()?;
        let values = self.evaluate(&columns, &args.arg_fields, rows)?;
        Ok(match once {
            true => ColumnarValue::Scalar(ScalarValue::try_from_array(&values, 0)?),
            false => ColumnarValue::Array(values),
        })
    }
}

fn coerce(name: &str, letter: char, of: &DataType) -> DataFusionResult<DataType> {
    let microseconds = |zone| DataType::Timestamp(TimeUnit::Microsecond, zone);
    Ok(match letter {
        't' => DataType::Utf8View,
        'n' if of.is_integer() => DataType::Int64,
        'n' => DataType::Utf8View,
        'i' => DataType::Int64,
        'b' => DataType::Boolean,
        'f' => DataType::Float64,
        'x' if of.is_numeric() => DataType::Utf8View,
        'z' => microseconds(Some("UTC".into())),
        'm' | 'x' => match of {
            DataType::Timestamp(_, None) | DataType::Date32 | DataType::Date64 => {
                microseconds(None)
            }
            DataType::Timestamp(_, Some(_))
            | DataType::Utf8
            | DataType::Utf8View
            | DataType::LargeUtf8
            | DataType::Null => microseconds(Some("UTC".into())),
            other => return plan_err!("function {name}({other}) does not exist"),
        },
        _ => of.clone(),
    })
}

/// What the rows of one batch make, and what one of them makes.
const TEXT_BYTES_MAX: usize = 64 << 20;

/// # Errors
/// LimitExceeded, as PostgreSQL's for a gigabyte.
pub fn check_length(bytes: usize) -> Result<()> {
    if bytes <= TEXT_BYTES_MAX {
        return Ok(());
    }
    let error = Error::new(ErrorKind::LimitExceeded, "requested length too large");
    Err(error.detail(format!("texts of a call are of {TEXT_BYTES_MAX} bytes at most")))
}

/// One row of arguments, already of the types their letters say. A getter gives None for NULL, and
/// for an argument that was not given.
pub struct Row<'a> {
    columns: &'a [ArrayRef],
    fields: &'a [FieldRef],
    row: usize,
}

impl Row<'_> {
    /// How many arguments there are.
    pub fn len(&self) -> usize {
        self.columns.len()
    }

    /// Whether an argument is NULL.
    pub fn is_null(&self, index: usize) -> bool {
        self.columns[index].is_null(self.row)
    }

    fn column(&self, index: usize) -> Option<&ArrayRef> {
        self.columns.get(index).filter(|column| column.is_valid(self.row))
    }

    /// Of `t`, and of `n` where it is a name.
    pub fn text(&self, index: usize) -> Option<&str> {
        Some(self.column(index)?.as_string_view_opt()?.value(self.row))
    }

    /// Of `i`, and of `n` where it is an oid.
    pub fn int(&self, index: usize) -> Option<i64> {
        Some(self.column(index)?.as_primitive_opt::<Int64Type>()?.value(self.row))
    }

    /// Of `f`.
    pub fn float(&self, index: usize) -> Option<f64> {
        Some(self.column(index)?.as_primitive_opt::<Float64Type>()?.value(self.row))
    }

    /// Of `b`.
    pub fn bool(&self, index: usize) -> Option<bool> {
        Some(self.column(index)?.as_boolean_opt()?.value(self.row))
    }

    /// Of `m` and `z`: µs, and whether they are UTC rather than of no zone.
    pub fn timestamp(&self, index: usize) -> Option<(i64, bool)> {
        let column = self.column(index)?;
        let has_zone = matches!(column.data_type(), DataType::Timestamp(_, Some(_)));
        Some((column.as_primitive_opt::<TimestampMicrosecondType>()?.value(self.row), has_zone))
    }

    /// Of `a`: the value's text, as a client sees it.
    pub fn shown(&self, index: usize, options: &TextOptions) -> Result<Option<String>> {
        let of = self.fields.get(index).and_then(|field| type_of(field));
        match (self.column(index), of) {
            (None, _) => Ok(None),
            (Some(column), Some(of)) => {
                let mut text = Vec::new();
                TextFormatter::new(&of, column.as_ref(), options)?.write(self.row, &mut text);
                Ok(Some(String::from_utf8_lossy(&text).into_owned()))
            }
            (Some(column), None) => arrow::util::display::array_value_to_string(column, self.row)
                .map(Some)
                .map_err(|e| Error::new(ErrorKind::Internal, e.to_string())),
        }
    }

    /// Of `a`: the text that it is, where it is one.
    pub fn written(&self, index: usize) -> Option<&str> {
        let column = self.column(index)?;
        match column.data_type() {
            DataType::Utf8View => Some(column.as_string_view().value(self.row)),
            DataType::Utf8 => Some(column.as_string::<i32>().value(self.row)),
            DataType::LargeUtf8 => Some(column.as_string::<i64>().value(self.row)),
            _ => None,
        }
    }

    /// Of `a`: its type.
    pub fn data_type(&self, index: usize) -> &DataType {
        self.columns[index].data_type()
    }

    /// Of `a`: its type with what more is known of it.
    pub fn field(&self, index: usize) -> &FieldRef {
        &self.fields[index]
    }

    /// Of `a`: its values, and where in them this row is.
    pub fn values(&self, index: usize) -> (&ArrayRef, usize) {
        (&self.columns[index], self.row)
    }

    /// Of `a` where it is an array: its items.
    pub fn items(&self, index: usize) -> Option<ArrayRef> {
        Some(self.column(index)?.as_list_opt::<i32>()?.value(self.row))
    }
}
