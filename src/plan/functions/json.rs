//! json and jsonb: what their operators and the usual functions give.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanBuilder, Int32Builder, ListBuilder, StringViewBuilder,
};
use arrow::datatypes::{DataType, FieldRef, Int64Type};
use datafusion::common::ScalarValue;
use datafusion::error::{DataFusionError, Result as DataFusionResult};
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
    Volatility,
};

use super::json_change;
use crate::error::{Error, ErrorKind, Result};
use crate::spec::Type;
use crate::spec::text::{JsonKind, JsonPart};

/// The functions of this file.
pub fn functions() -> Vec<ScalarUDF> {
    FUNCTIONS.iter().map(|known| ScalarUDF::new_from_impl(JsonFunction::new(known))).collect()
}

/// The function by which an operator is planned; None for an operator that json has not.
pub fn operator(symbol: &str) -> Option<ScalarUDF> {
    let name = match symbol {
        "->" => "asofdb_json_get",
        "->>" => "asofdb_json_get_text",
        "#>" => "asofdb_json_at",
        "#>>" => "asofdb_json_at_text",
        "@>" => "asofdb_json_contains",
        "<@" => "asofdb_json_contained",
        "?" => "jsonb_exists",
        "?|" => "jsonb_exists_any",
        "?&" => "jsonb_exists_all",
        "||" => "asofdb_jsonb_concat",
        "-" => "asofdb_jsonb_without",
        _ => return None,
    };
    let known = FUNCTIONS.iter().find(|known| known.name == name)?;
    Some(ScalarUDF::new_from_impl(JsonFunction::new(known)))
}

/// Whether an operator is jsonb's alone.
pub fn is_change(symbol: &str) -> bool {
    matches!(symbol, "||" | "-")
}

/// Whether the values of a field are json or jsonb.
pub fn is_json(field: &arrow::datatypes::Field) -> bool {
    matches!(Type::of_field(field), Some(Type::Json | Type::Jsonb))
}

/// What a function gives for one row.
enum Found {
    Nothing,
    Json(String),
    Text(String),
    Bool(bool),
    Int(i32),
    Texts(Vec<Option<String>>),
}

/// What it gives for all rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Returns {
    /// The type of the first argument.
    Same,
    SameList,
    Text,
    TextList,
    Bool,
    Int,
}

struct Known {
    name: &'static str,
    /// How many arguments; the last of several may stand any number of times.
    arguments: usize,
    is_variadic: bool,
    returns: Returns,
    body: fn(JsonPart<'_>, &Arguments<'_>) -> Result<Found>,
}

const fn known(
    name: &'static str,
    arguments: usize,
    returns: Returns,
    body: fn(JsonPart<'_>, &Arguments<'_>) -> Result<Found>,
) -> Known {
    Known { name, arguments, is_variadic: false, returns, body }
}

const fn variadic(
    name: &'static str,
    returns: Returns,
    body: fn(JsonPart<'_>, &Arguments<'_>) -> Result<Found>,
) -> Known {
    Known { name, arguments: 2, is_variadic: true, returns, body }
}

const FUNCTIONS: [Known; 25] = [
    known("asofdb_json_get", 2, Returns::Same, |json, args| args.step(json).map(whole)),
    known("asofdb_json_get_text", 2, Returns::Text, |json, args| text(args.step(json)?)),
    known("asofdb_json_at", 2, Returns::Same, |json, args| args.path(json).map(whole)),
    known("asofdb_json_at_text", 2, Returns::Text, |json, args| text(args.path(json)?)),
    known("asofdb_json_contains", 2, Returns::Bool, |json, args| {
        json.contains(args.document(1)?).map(Found::Bool)
    }),
    known("asofdb_json_contained", 2, Returns::Bool, |json, args| {
        args.document(1)?.contains(json).map(Found::Bool)
    }),
    known("jsonb_exists", 2, Returns::Bool, |json, args| {
        exists(json, args.text(1).unwrap_or_default()).map(Found::Bool)
    }),
    known("jsonb_exists_any", 2, Returns::Bool, |json, args| {
        let found = args.texts(1).into_iter().map(|key| exists(json, &key));
        Ok(Found::Bool(found.collect::<Result<Vec<_>>>()?.contains(&true)))
    }),
    known("jsonb_exists_all", 2, Returns::Bool, |json, args| {
        let found = args.texts(1).into_iter().map(|key| exists(json, &key));
        Ok(Found::Bool(!found.collect::<Result<Vec<_>>>()?.contains(&false)))
    }),
    known("asofdb_jsonb_concat", 2, Returns::Same, |json, args| {
        json_change::concat(json, args.document(1)?).map(Found::Json)
    }),
    known("asofdb_jsonb_without", 2, Returns::Same, |json, args| {
        let rest = match args.columns[1].as_primitive_opt::<Int64Type>() {
            Some(places) => json_change::without_item(json, places.value(args.row)),
            None => json_change::without_key(json, args.text(1).unwrap_or_default()),
        };
        rest.map(Found::Json)
    }),
    known("json_array_length", 1, Returns::Int, length),
    known("jsonb_array_length", 1, Returns::Int, length),
    known("json_typeof", 1, Returns::Text, type_of),
    known("jsonb_typeof", 1, Returns::Text, type_of),
    variadic("json_extract_path", Returns::Same, |json, args| args.steps(json).map(whole)),
    variadic("jsonb_extract_path", Returns::Same, |json, args| args.steps(json).map(whole)),
    variadic("json_extract_path_text", Returns::Text, |json, args| text(args.steps(json)?)),
    variadic("jsonb_extract_path_text", Returns::Text, |json, args| text(args.steps(json)?)),
    known("json_array_elements", 1, Returns::SameList, elements),
    known("jsonb_array_elements", 1, Returns::SameList, elements),
    known("json_array_elements_text", 1, Returns::TextList, element_texts),
    known("jsonb_array_elements_text", 1, Returns::TextList, element_texts),
    known("json_object_keys", 1, Returns::TextList, keys),
    known("jsonb_object_keys", 1, Returns::TextList, keys),
];

fn whole(part: Option<JsonPart<'_>>) -> Found {
    part.map_or(Found::Nothing, |part| Found::Json(part.text().to_owned()))
}

fn text(part: Option<JsonPart<'_>>) -> Result<Found> {
    let text = part.map(JsonPart::unquoted).transpose()?.flatten();
    Ok(text.map_or(Found::Nothing, Found::Text))
}

/// A key of an object, a string among the items of an array, or the string itself.
fn exists(json: JsonPart<'_>, key: &str) -> Result<bool> {
    let is_key = |part: JsonPart<'_>| {
        Ok(part.kind() == JsonKind::String && part.unquoted()?.as_deref() == Some(key))
    };
    match json.kind() {
        JsonKind::Object => Ok(json.member(key)?.is_some()),
        JsonKind::Array => {
            Ok(json.items().into_iter().map(is_key).collect::<Result<Vec<_>>>()?.contains(&true))
        }
        _ => is_key(json),
    }
}

fn length(json: JsonPart<'_>, _: &Arguments<'_>) -> Result<Found> {
    let items = items(json, "get array length of")?;
    Ok(i32::try_from(items.len()).map_or(Found::Nothing, Found::Int))
}

fn items<'t>(json: JsonPart<'t>, what: &str) -> Result<Vec<JsonPart<'t>>> {
    match json.kind() {
        JsonKind::Array => Ok(json.items()),
        JsonKind::Object if what.starts_with("get") => {
            Err(Error::new(ErrorKind::InvalidValue, format!("cannot {what} a non-array")))
        }
        JsonKind::Object => {
            Err(Error::new(ErrorKind::InvalidValue, format!("cannot {what} an object")))
        }
        _ => Err(Error::new(ErrorKind::InvalidValue, format!("cannot {what} a scalar"))),
    }
}

fn type_of(json: JsonPart<'_>, _: &Arguments<'_>) -> Result<Found> {
    Ok(Found::Text(json.kind().as_str().to_owned()))
}

fn elements(json: JsonPart<'_>, _: &Arguments<'_>) -> Result<Found> {
    let items = items(json, "extract elements from")?;
    Ok(Found::Texts(items.into_iter().map(|item| Some(item.text().to_owned())).collect()))
}

fn element_texts(json: JsonPart<'_>, _: &Arguments<'_>) -> Result<Found> {
    let items = items(json, "extract elements from")?.into_iter().map(JsonPart::unquoted);
    items.collect::<Result<_>>().map(Found::Texts)
}

fn keys(json: JsonPart<'_>, _: &Arguments<'_>) -> Result<Found> {
    if json.kind() != JsonKind::Object {
        let message = format!("cannot call json_object_keys on {}", json.kind().as_str());
        return Err(Error::new(ErrorKind::InvalidValue, message));
    }
    Ok(Found::Texts(json.members()?.into_iter().map(|(key, _)| Some(key)).collect()))
}

/// One row's arguments.
struct Arguments<'a> {
    columns: &'a [ArrayRef],
    row: usize,
}

impl<'a> Arguments<'a> {
    fn text(&self, index: usize) -> Option<&'a str> {
        Some(self.columns.get(index)?.as_string_view_opt()?.value(self.row))
    }

    fn texts(&self, index: usize) -> Vec<String> {
        let list = self.columns.get(index).and_then(|column| column.as_list_opt::<i32>());
        let items = list.map(|list| list.value(self.row));
        let items = items.as_ref().and_then(|items| items.as_string_view_opt());
        items.into_iter().flat_map(|items| items.iter()).flatten().map(str::to_owned).collect()
    }

    fn document(&self, index: usize) -> Result<JsonPart<'a>> {
        JsonPart::document(self.text(index).unwrap_or("null"))
    }

    /// One key, or one number of an item.
    fn step<'t>(&self, json: JsonPart<'t>) -> Result<Option<JsonPart<'t>>> {
        match self.columns[1].as_primitive_opt::<Int64Type>() {
            Some(numbers) => Ok(json.item(numbers.value(self.row))),
            None => json.member(self.text(1).unwrap_or_default()),
        }
    }

    fn path<'t>(&self, json: JsonPart<'t>) -> Result<Option<JsonPart<'t>>> {
        json.at(self.texts(1).iter().map(String::as_str))
    }

    fn steps<'t>(&self, json: JsonPart<'t>) -> Result<Option<JsonPart<'t>>> {
        json.at((1..self.columns.len()).filter_map(|index| self.text(index)))
    }
}

struct JsonFunction {
    known: &'static Known,
    signature: Signature,
}

impl JsonFunction {
    fn new(known: &'static Known) -> JsonFunction {
        JsonFunction { known, signature: Signature::user_defined(Volatility::Immutable) }
    }

    /// Whether its second argument may count items.
    fn takes_place(&self) -> bool {
        let name = self.known.name;
        name.starts_with("asofdb_json_get") || name == "asofdb_jsonb_without"
    }

    fn returned(&self, first: Option<&FieldRef>) -> FieldRef {
        let json = match first.and_then(|field| Type::of_field(field)) {
            Some(Type::Json) => Type::Json,
            Some(Type::Jsonb) => Type::Jsonb,
            _ if self.known.name.starts_with("json_") => Type::Json,
            _ => Type::Jsonb,
        };
        let of = match self.known.returns {
            Returns::Same => json,
            Returns::SameList => Type::Array(Box::new(json)),
            Returns::Text => Type::Text,
            Returns::TextList => Type::Array(Box::new(Type::Text)),
            Returns::Bool => Type::Bool,
            Returns::Int => Type::Int4,
        };
        Arc::new(of.field(self.known.name, true))
    }

    fn found(&self, columns: &[ArrayRef], row: usize) -> Result<Found> {
        if columns.iter().any(|column| column.is_null(row)) {
            return Ok(Found::Nothing);
        }
        let arguments = Arguments { columns, row };
        (self.known.body)(arguments.document(0)?, &arguments)
    }

    fn column(&self, columns: &[ArrayRef], rows: usize, field: &FieldRef) -> Result<ArrayRef> {
        let mut found = Vec::with_capacity(rows);
        for row in 0..rows {
            found.push(self.found(columns, row)?);
        }
        Ok(match self.known.returns {
            Returns::Same | Returns::Text => {
                let mut texts = StringViewBuilder::with_capacity(rows);
                for found in found {
                    match found {
                        Found::Json(text) | Found::Text(text) => texts.append_value(text),
                        _ => texts.append_null(),
                    }
                }
                Arc::new(texts.finish())
            }
            Returns::SameList | Returns::TextList => lists(found, field),
            Returns::Bool => {
                let mut bools = BooleanBuilder::with_capacity(rows);
                for found in found {
                    bools.append_option(if let Found::Bool(v) = found { Some(v) } else { None });
                }
                Arc::new(bools.finish())
            }
            Returns::Int => {
                let mut ints = Int32Builder::with_capacity(rows);
                for found in found {
                    ints.append_option(if let Found::Int(v) = found { Some(v) } else { None });
                }
                Arc::new(ints.finish())
            }
        })
    }
}

fn lists(found: Vec<Found>, field: &FieldRef) -> ArrayRef {
    let mut lists = ListBuilder::new(StringViewBuilder::new());
    if let DataType::List(item) = field.data_type() {
        lists = lists.with_field(Arc::clone(item));
    }
    for found in found {
        match found {
            Found::Texts(texts) => {
                texts.into_iter().for_each(|text| lists.values().append_option(text));
                lists.append(true);
            }
            _ => lists.append(false),
        }
    }
    Arc::new(lists.finish())
}

impl fmt::Debug for JsonFunction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JsonFunction").field("name", &self.known.name).finish_non_exhaustive()
    }
}

// Names are unique among them.
impl PartialEq for JsonFunction {
    fn eq(&self, other: &Self) -> bool {
        self.known.name == other.known.name
    }
}

impl Eq for JsonFunction {}

impl Hash for JsonFunction {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.known.name.hash(state);
    }
}

impl ScalarUDFImpl for JsonFunction {
    fn name(&self) -> &str {
        self.known.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> DataFusionResult<Vec<DataType>> {
        let fits = match self.known.is_variadic {
            true => types.len() >= self.known.arguments,
            false => types.len() == self.known.arguments,
        };
        let is_text = |of: &DataType| of.is_string() || of.is_null();
        if !fits || types.first().is_none_or(|of| !is_text(of)) {
            let message = format!("function {} of these arguments does not exist", self.name());
            let error = Error::new(ErrorKind::UndefinedFunction, message);
            return Err(DataFusionError::External(Box::new(error)));
        }
        let list = || DataType::new_list(DataType::Utf8View, true);
        let wants_list = self.name().starts_with("asofdb_json_at")
            || matches!(self.name(), "jsonb_exists_any" | "jsonb_exists_all");
        let coerced = types.iter().enumerate().map(|(at, of)| match of {
            _ if at == 1 && wants_list => list(),
            of if at == 1 && of.is_integer() && self.takes_place() => DataType::Int64,
            _ => DataType::Utf8View,
        });
        Ok(coerced.collect())
    }

    fn return_type(&self, _: &[DataType]) -> DataFusionResult<DataType> {
        Ok(self.returned(None).data_type().clone())
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> DataFusionResult<FieldRef> {
        Ok(self.returned(args.arg_fields.first()))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> DataFusionResult<ColumnarValue> {
        let constant = args.args.iter().all(|a| matches!(a, ColumnarValue::Scalar(_)));
        let rows = if constant { 1 } else { args.number_rows };
        let columns: Vec<ArrayRef> =
            args.args.into_iter().map(|a| a.into_array(rows)).collect::<DataFusionResult<_>>()?;
        let column = self.column(&columns, rows, &args.return_field);
        let column = column.map_err(|e| DataFusionError::External(Box::new(e)))?;
        Ok(match constant {
            true => ColumnarValue::Scalar(ScalarValue::try_from_array(&column, 0)?),
            false => ColumnarValue::Array(column),
        })
    }
}
