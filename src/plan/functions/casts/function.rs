//! The function that a cast becomes.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, ListArray, StringViewBuilder};
use arrow::buffer::OffsetBuffer;
use arrow::compute::{CastOptions, cast, cast_with_options};
use arrow::datatypes::{DataType, Date32Type, Field, FieldRef, TimeUnit, TimestampMicrosecondType};
use datafusion::common::{ScalarValue, exec_err};
use datafusion::error::{DataFusionError, Result as DataFusionResult};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility,
};

use crate::error::{Error, ErrorKind, Result};
use crate::plan::functions::SessionFacts;
use crate::spec::Type;
use crate::spec::length::{Beyond, fit, is_limited};
use crate::spec::text::{TextBuilder, TextFormatter, TextOptions};

/// From text to a type, from a type to text, from one clock to another, or between days and times.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Way {
    Read(Type),
    Write(Type),
    /// From an instant to what the clocks of the session's zone show at it.
    Local,
    /// The other way.
    Instant,
    /// From a day to the midnight it begins with, on the same clocks, or from a time to its day.
    Clock,
    /// From a type to text of a limited length.
    Fit(Type, Type),
    /// Each item of an array so.
    Items(Box<Way>),
}

/// Whether Arrow stores text so.
pub fn is_text(storage: &DataType) -> bool {
    matches!(storage, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View)
}

/// The type of a field whose values are read or written as a whole; None for storage that only
/// DataFusion's own functions use.
pub fn type_of(field: &Field) -> Option<Type> {
    match field.data_type() {
        DataType::FixedSizeBinary(16) => Some(Type::Uuid),
        DataType::Null
        | DataType::FixedSizeBinary(_)
        | DataType::Dictionary(_, _)
        | DataType::RunEndEncoded(_, _)
        | DataType::Map(_, _) => None,
        _ => Type::of_field(field),
    }
}

/// What a cast between the fields does; None where it is left to Arrow.
pub fn way(from: &Field, to: &Field) -> Option<Way> {
    if let DataType::Duration(_) = to.data_type() {
        return None;
    }
    if let (Some(from), Some(to)) = (item_of(from), item_of(to)) {
        return way(&from, &to).map(|items| Way::Items(Box::new(items)));
    }
    let (source, target) = (type_of(from)?, type_of(to)?);
    match (&source, &target) {
        (Type::Timestamptz, Type::Timestamp | Type::Date | Type::Time) => return Some(Way::Local),
        (Type::Timestamp | Type::Date, Type::Timestamptz) => return Some(Way::Instant),
        (Type::Date, Type::Timestamp) | (Type::Timestamp, Type::Date) => return Some(Way::Clock),
        _ => {}
    }
    if source != target && is_text(to.data_type()) && is_limited(&target) {
        return Some(Way::Fit(source, target));
    }
    match (is_text(from.data_type()), is_text(to.data_type())) {
        (true, false) => Some(Way::Read(target)),
        (false, true) if !from.data_type().is_integer() => Some(Way::Write(source)),
        (true, true) if source != target && matches!(target, Type::Json | Type::Jsonb) => {
            Some(Way::Read(target))
        }
        _ => None,
    }
}

fn item_of(array: &Field) -> Option<Field> {
    match (array.data_type(), Type::of_field(array)) {
        (DataType::List(_), Some(Type::Array(item))) => Some(item.field("item", true)),
        _ => None,
    }
}

/// A cast that goes by the session's settings.
#[derive(Debug)]
pub struct SessionCast {
    way: Way,
    /// Of the result, without a name.
    field: FieldRef,
    /// NULL instead of an error.
    lenient: bool,
    signature: Signature,
    facts: Arc<SessionFacts>,
}

/// What stands below a cast from a day to a time or back.
pub fn below_clock(expr: &Expr) -> Option<&Expr> {
    let Expr::ScalarFunction(call) = expr else { return None };
    let cast = call.func.inner().downcast_ref::<SessionCast>()?;
    call.args.first().filter(|_| cast.way == Way::Clock)
}

// Plans do not cross sessions, so the facts are the same.
impl PartialEq for SessionCast {
    fn eq(&self, other: &Self) -> bool {
        (&self.way, &self.field, self.lenient) == (&other.way, &other.field, other.lenient)
    }
}

impl Eq for SessionCast {}

impl Hash for SessionCast {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (&self.way, &self.field, self.lenient).hash(state);
    }
}

impl SessionCast {
    /// A cast whose result is of this field's type and metadata.
    pub fn new(way: Way, to: &Field, lenient: bool, facts: &Arc<SessionFacts>) -> Self {
        let signature = Signature::any(1, volatility(&way));
        let field = Arc::new(to.clone().with_name("").with_nullable(true));
        SessionCast { way, field, lenient, signature, facts: Arc::clone(facts) }
    }

    fn cast(&self, way: &Way, values: &ArrayRef, to: &DataType) -> Result<ArrayRef> {
        match (way, to) {
            (Way::Read(of), to) if is_limited(of) => {
                let read = self.read(values, &of_any_length(of), to)?;
                fit(of, &read, Beyond::Cut)
            }
            (Way::Read(of), to) => self.read(values, of, to),
            (Way::Write(of), to) => self.write(values, of, to),
            (Way::Fit(from, of), to) => {
                let texts = match is_text(values.data_type()) {
                    true => cast(values, &of.arrow()).map_err(crate::fault::of_arrow)?,
                    false => self.write(values, from, &of.arrow())?,
                };
                let fitted = fit(of, &texts, Beyond::Cut)?;
                cast(&fitted, to).map_err(crate::fault::of_arrow)
            }
            (Way::Local, to) => {
                let zone = self.facts.text_options().zone();
                self.shifted(values, (&instant(), &local()), |us| zone.local_us(us), to)
            }
            (Way::Instant, to) => {
                let zone = self.facts.text_options().zone();
                self.shifted(values, (&local(), &instant()), |us| zone.utc_us(us), to)
            }
            (Way::Clock, to) => self.shifted(values, (&local(), &local()), |us| us, to),
            (Way::Items(items), DataType::List(item)) => {
                let lists = values.as_list::<i32>();
                let (first, last) = (lists.offsets()[0], lists.offsets()[lists.len()]);
                let seen = lists.values().slice(first as usize, (last - first) as usize);
                let seen = self.cast(items, &seen, item.data_type())?;
                let offsets = OffsetBuffer::from_lengths(lists.offsets().lengths());
                let nulls = lists.nulls().cloned();
                let lists = ListArray::try_new(Arc::clone(item), offsets, seen, nulls);
                Ok(Arc::new(lists.map_err(crate::fault::of_arrow)?))
            }
            (Way::Items(_), to) => {
                Err(Error::new(ErrorKind::Internal, format!("the items of a {to} were asked for")))
            }
        }
    }

    fn read(&self, texts: &ArrayRef, of: &Type, to: &DataType) -> Result<ArrayRef> {
        let texts = cast(texts, &DataType::Utf8View).map_err(crate::fault::of_arrow)?;
        let texts = texts.as_string_view();
        let options = self.facts.text_options();
        let read = match self.lenient {
            true => read_or_null(texts.iter(), of, &options),
            false => read_all(texts.iter(), of, &options)?,
        };
        // Units and widths that only DataFusion asks for.
        let strict = CastOptions { safe: self.lenient, ..CastOptions::default() };
        cast_with_options(&read, to, &strict).map_err(crate::fault::of_arrow)
    }

    fn write(&self, values: &ArrayRef, of: &Type, to: &DataType) -> Result<ArrayRef> {
        let options = self.facts.text_options();
        let formatter = TextFormatter::new(of, values.as_ref(), &options)?;
        let mut texts = StringViewBuilder::with_capacity(values.len());
        let mut text = Vec::new();
        for row in 0..values.len() {
            if formatter.is_null(row) {
                texts.append_null();
                continue;
            }
            text.clear();
            formatter.write(row, &mut text);
            let text = std::str::from_utf8(&text).map_err(|e| {
                Error::new(ErrorKind::Internal, format!("text of a {of} is not UTF-8")).caused_by(e)
            })?;
            texts.append_value(match (of, text) {
                // The cast is a function of its own in PostgreSQL, not the type's output.
                (Type::Bool, "t") => "true",
                (Type::Bool, _) => "false",
                (_, text) => text,
            });
        }
        let texts: ArrayRef = Arc::new(texts.finish());
        cast(&texts, to).map_err(crate::fault::of_arrow)
    }

    /// Times in µs, each moved, on the way from one type to another.
    fn shifted(
        &self,
        values: &ArrayRef,
        (from, via): (&DataType, &DataType),
        shift: impl Fn(i64) -> i64,
        to: &DataType,
    ) -> Result<ArrayRef> {
        let strict = CastOptions { safe: self.lenient, ..CastOptions::default() };
        let of_arrow = crate::fault::of_arrow;
        let times: ArrayRef = match values.as_primitive_opt::<Date32Type>() {
            Some(days) if self.lenient => {
                Arc::new(days.unary_opt::<_, TimestampMicrosecondType>(|day| midnight_us(day).ok()))
            }
            Some(days) => Arc::new(days.try_unary::<_, TimestampMicrosecondType, _>(midnight_us)?),
            None => cast_with_options(values, from, &strict).map_err(of_arrow)?,
        };
        let times = times.as_primitive::<TimestampMicrosecondType>();
        let times = times.unary::<_, TimestampMicrosecondType>(shift).with_data_type(via.clone());
        match to {
            DataType::Date32 => Ok(Arc::new(times.unary::<_, Date32Type>(day_of))),
            to => cast_with_options(&times, to, &strict).map_err(of_arrow),
        }
    }
}

fn of_any_length(of: &Type) -> Type {
    match of {
        Type::Array(item) => Type::Array(Box::new(of_any_length(item))),
        _ => Type::Text,
    }
}

fn local() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, None)
}

fn instant() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
}

const DAY_US: i64 = 86_400_000_000;

/// Infinities stay; days are counted farther than microseconds.
fn midnight_us(day: i32) -> Result<i64> {
    match day {
        i32::MIN => Ok(i64::MIN),
        i32::MAX => Ok(i64::MAX),
        day => i64::from(day).checked_mul(DAY_US).ok_or_else(|| {
            Error::new(ErrorKind::DatetimeOutOfRange, "date out of range for timestamp")
        }),
    }
}

/// Infinities stay; all other times are within the days that 32 bits count.
fn day_of(us: i64) -> i32 {
    match us {
        i64::MIN => i32::MIN,
        i64::MAX => i32::MAX,
        us => us.div_euclid(DAY_US) as i32,
    }
}

/// What the session's settings change may not be computed before the session runs it.
fn volatility(way: &Way) -> Volatility {
    let of = match way {
        Way::Read(Type::Array(item)) | Way::Write(Type::Array(item)) => item.as_ref(),
        Way::Read(of) | Way::Write(of) | Way::Fit(of, _) => of,
        Way::Items(items) => return volatility(items),
        Way::Local | Way::Instant => return Volatility::Stable,
        Way::Clock => return Volatility::Immutable,
    };
    match (way, of) {
        (_, Type::Timestamptz) => Volatility::Stable,
        (Way::Read(_), Type::Date | Type::Timestamp | Type::Time) => Volatility::Stable,
        (Way::Write(_) | Way::Fit(..), Type::Float4 | Type::Float8) => Volatility::Stable,
        _ => Volatility::Immutable,
    }
}

fn read_all<'t>(
    texts: impl Iterator<Item = Option<&'t str>>,
    of: &Type,
    options: &TextOptions,
) -> Result<ArrayRef> {
    let mut column = TextBuilder::new(of, options);
    for text in texts {
        match text {
            Some(text) => column.append(text.as_bytes())?,
            None => column.append_null(),
        }
    }
    Ok(column.finish())
}

fn read_or_null<'t>(
    texts: impl Iterator<Item = Option<&'t str>>,
    of: &Type,
    options: &TextOptions,
) -> ArrayRef {
    // A builder that refused a value is of no further use, so each is tried with one of its own.
    let is_value = |text: &&str| TextBuilder::new(of, options).append(text.as_bytes()).is_ok();
    let mut column = TextBuilder::new(of, options);
    for text in texts {
        match text.filter(is_value) {
            Some(text) => column.append(text.as_bytes()).expect("the same text was read before"),
            None => column.append_null(),
        }
    }
    column.finish()
}

impl ScalarUDFImpl for SessionCast {
    fn name(&self) -> &str {
        match self.way {
            Way::Read(_) => "cast_from_text",
            Way::Write(_) => "cast_to_text",
            Way::Fit(..) => "cast_to_length",
            Way::Items(_) => "cast_items",
            Way::Local => "cast_to_local",
            Way::Instant => "cast_to_instant",
            Way::Clock => "cast_to_clock",
        }
    }

    fn display_name(&self, args: &[Expr]) -> DataFusionResult<String> {
        let args: Vec<String> = args.iter().map(ToString::to_string).collect();
        let to = Type::of_field(&self.field).unwrap_or(Type::Text);
        let word = if self.lenient { "TRY_CAST" } else { "CAST" };
        Ok(format!("{word}({} AS {to})", args.join(", ")))
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> DataFusionResult<DataType> {
        Ok(self.field.data_type().clone())
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> DataFusionResult<FieldRef> {
        let nullable = self.lenient || args.arg_fields.iter().any(|field| field.is_nullable());
        Ok(Arc::new(self.field.as_ref().clone().with_nullable(nullable)))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> DataFusionResult<ColumnarValue> {
        let [value] = args.args.as_slice() else {
            return exec_err!("{} takes one argument", self.name());
        };
        let constant = matches!(value, ColumnarValue::Scalar(_));
        let rows = if constant { 1 } else { args.number_rows };
        let values = value.to_array(rows)?;
        let result = self.cast(&self.way, &values, self.field.data_type());
        let result = result.map_err(|e| DataFusionError::External(Box::new(e)))?;
        Ok(match constant {
            true => ColumnarValue::Scalar(ScalarValue::try_from_array(&result, 0)?),
            false => ColumnarValue::Array(result),
        })
    }
}
