//! Values as json: `json_build_object`, `json_build_array`, `to_json`, and the same for jsonb; what
//! `json_agg` and `json_object_agg` make of the array that they gather.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, StringViewBuilder};
use arrow::datatypes::{DataType, FieldRef};
use datafusion::common::ScalarValue;
use datafusion::error::{DataFusionError, Result as DataFusionResult};
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
    TypeSignature, Volatility,
};

use super::SessionFacts;
use crate::error::{Error, ErrorKind, Result};
use crate::spec::Type;
use crate::spec::text::{TextBuilder, TextFormatter, TextOptions, json_quoted};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Shape {
    Object,
    Array,
    Value,
    /// `"key" : value`, of which `Members` are made
    Member,
    /// An object of the members in an array
    Members,
    /// An array of the json in an array
    List,
    /// An array of the values in an array
    Items,
}

const FUNCTIONS: [(&str, Shape, Type); 14] = [
    ("json_build_object", Shape::Object, Type::Json),
    ("jsonb_build_object", Shape::Object, Type::Jsonb),
    ("json_build_array", Shape::Array, Type::Json),
    ("jsonb_build_array", Shape::Array, Type::Jsonb),
    ("to_json", Shape::Value, Type::Json),
    ("to_jsonb", Shape::Value, Type::Jsonb),
    ("array_to_json", Shape::Value, Type::Json),
    // What the aggregates `json_agg` and `json_object_agg` are made of.
    ("asofdb_json_list", Shape::List, Type::Json),
    ("asofdb_jsonb_list", Shape::List, Type::Jsonb),
    ("asofdb_json_items", Shape::Items, Type::Json),
    ("asofdb_jsonb_items", Shape::Items, Type::Jsonb),
    ("asofdb_json_member", Shape::Member, Type::Json),
    ("asofdb_json_object", Shape::Members, Type::Json),
    ("asofdb_jsonb_object", Shape::Members, Type::Jsonb),
];

/// The functions of this file.
pub fn functions(facts: &Arc<SessionFacts>) -> Vec<ScalarUDF> {
    let function = |(name, shape, returns): &(&'static str, Shape, Type)| {
        let arities = vec![TypeSignature::Nullary, TypeSignature::VariadicAny];
        ScalarUDF::new_from_impl(Build {
            name,
            shape: *shape,
            returns: returns.clone(),
            // Times are written in the session's zone.
            signature: Signature::one_of(arities, Volatility::Stable),
            facts: Arc::clone(facts),
        })
    };
    FUNCTIONS.iter().map(function).collect()
}

struct Build {
    name: &'static str,
    shape: Shape,
    returns: Type,
    signature: Signature,
    facts: Arc<SessionFacts>,
}

impl Build {
    fn text(&self, values: &[Values], row: usize) -> Result<Option<String>> {
        let each = |values: &Values| values.json(row);
        Ok(Some(match self.shape {
            Shape::Value => match values {
                [value] if value.is_null(row) => return Ok(None),
                [value] => value.json(row)?,
                _ => return Err(invalid(format!("{} takes one argument", self.name))),
            },
            Shape::Member => match values {
                [key, _] if key.is_null(row) => {
                    return Err(invalid("field name must not be null".to_owned()));
                }
                [key, value] => format!("{} : {}", key.key(row)?, value.json(row)?),
                _ => return Err(invalid(format!("{} takes two arguments", self.name))),
            },
            Shape::Members | Shape::List | Shape::Items => match values {
                // An aggregate of no rows.
                [gathered] if gathered.is_null(row) => return Ok(None),
                [gathered] => gathered.gathered(self.shape, row)?,
                _ => return Err(invalid(format!("{} takes one argument", self.name))),
            },
            Shape::Array => {
                format!("[{}]", values.iter().map(each).collect::<Result<Vec<_>>>()?.join(", "))
            }
            Shape::Object => {
                let members = values.chunks(2).map(|pair| match pair {
                    [key, value] => Ok(format!("{} : {}", key.key(row)?, value.json(row)?)),
                    _ => Err(invalid("argument list must have even number of elements".into())),
                });
                format!("{{{}}}", members.collect::<Result<Vec<_>>>()?.join(", "))
            }
        }))
    }
}

fn invalid(message: String) -> Error {
    Error::new(ErrorKind::InvalidValue, message)
}

/// The zone of ISO 8601 has minutes, also where they are none.
fn with_minutes(mut time: String) -> String {
    let is_whole = time.len() > 3
        && time.is_char_boundary(time.len() - 3)
        && time[time.len() - 3..].starts_with(['+', '-'])
        && time.contains('T');
    if is_whole {
        time.push_str(":00");
    }
    time
}

/// A column of values on their way into json.
struct Values {
    array: ArrayRef,
    of: Type,
    options: TextOptions,
}

impl Values {
    fn is_null(&self, row: usize) -> bool {
        *self.array.data_type() == DataType::Null || self.array.is_null(row)
    }

    fn shown(&self, row: usize) -> Result<String> {
        let mut text = Vec::new();
        TextFormatter::new(&self.of, self.array.as_ref(), &self.options)?.write(row, &mut text);
        String::from_utf8(text).map_err(|_| invalid("text is not UTF-8".to_owned()))
    }

    fn key(&self, row: usize) -> Result<String> {
        match self.is_null(row) {
            true => Err(invalid("null value not allowed for object key".to_owned())),
            false => Ok(json_quoted(&self.shown(row)?)),
        }
    }

    fn json(&self, row: usize) -> Result<String> {
        if self.is_null(row) {
            return Ok("null".to_owned());
        }
        Ok(match &self.of {
            Type::Bool if self.array.as_boolean().value(row) => "true".to_owned(),
            Type::Bool => "false".to_owned(),
            Type::Json | Type::Jsonb => self.shown(row)?,
            Type::Array(item) => return self.items(row, item),
            Type::Timestamp => json_quoted(&self.shown(row)?.replacen(' ', "T", 1)),
            Type::Timestamptz => json_quoted(&with_minutes(self.shown(row)?.replacen(' ', "T", 1))),
            Type::Int2 | Type::Int4 | Type::Int8 | Type::Numeric(..) => self.shown(row)?,
            Type::Float4 | Type::Float8 => {
                let text = self.shown(row)?;
                if text.contains(['N', 'I']) { json_quoted(&text) } else { text }
            }
            _ => json_quoted(&self.shown(row)?),
        })
    }

    fn gathered(&self, shape: Shape, row: usize) -> Result<String> {
        let Type::Array(item) = &self.of else { return self.json(row) };
        let of = if shape == Shape::Items { item.as_ref().clone() } else { Type::Json };
        let Some(list) = self.array.as_list_opt::<i32>() else { return self.shown(row) };
        let items = Values { array: list.value(row), of, options: self.options.clone() };
        let each = (0..items.array.len()).map(|at| items.json(at));
        let items = each.collect::<Result<Vec<_>>>()?.join(", ");
        Ok(match shape {
            Shape::Members => format!("{{ {items} }}"),
            _ => format!("[{items}]"),
        })
    }

    fn items(&self, row: usize, item: &Type) -> Result<String> {
        let Some(list) = self.array.as_list_opt::<i32>() else { return self.shown(row) };
        let items =
            Values { array: list.value(row), of: item.clone(), options: self.options.clone() };
        let each = (0..items.array.len()).map(|at| items.json(at));
        Ok(format!("[{}]", each.collect::<Result<Vec<_>>>()?.join(",")))
    }
}

impl fmt::Debug for Build {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Build").field("name", &self.name).finish_non_exhaustive()
    }
}

// Plans do not cross sessions, so the facts are the same.
impl PartialEq for Build {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for Build {}

impl Hash for Build {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name.hash(state);
    }
}

impl ScalarUDFImpl for Build {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> DataFusionResult<DataType> {
        Ok(DataType::Utf8View)
    }

    fn return_field_from_args(&self, _: ReturnFieldArgs<'_>) -> DataFusionResult<FieldRef> {
        Ok(Arc::new(self.returns.field(self.name, true)))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> DataFusionResult<ColumnarValue> {
        let constant = args.args.iter().all(|a| matches!(a, ColumnarValue::Scalar(_)));
        let rows = if constant { 1 } else { args.number_rows };
        let external = |error| DataFusionError::External(Box::new(error));
        let mut values = Vec::with_capacity(args.args.len());
        for (value, field) in args.args.into_iter().zip(&args.arg_fields) {
            let of = Type::of_field(field).unwrap_or(Type::Text);
            let options = self.facts.text_options();
            values.push(Values { array: value.into_array(rows)?, of, options });
        }
        let mut normal = TextBuilder::new(&Type::Jsonb, &self.facts.text_options());
        let mut texts = StringViewBuilder::with_capacity(rows);
        for row in 0..rows {
            match (self.text(&values, row).map_err(external)?, &self.returns) {
                (None, _) => {
                    normal.append_null();
                    texts.append_null();
                }
                (Some(text), Type::Jsonb) => normal.append(text.as_bytes()).map_err(external)?,
                (Some(text), _) => texts.append_value(text),
            }
        }
        let built: ArrayRef = match &self.returns {
            Type::Jsonb => normal.finish(),
            _ => Arc::new(texts.finish()),
        };
        Ok(match constant {
            true => ColumnarValue::Scalar(ScalarValue::try_from_array(&built, 0)?),
            false => ColumnarValue::Array(built),
        })
    }
}
