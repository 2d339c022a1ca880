//! A client's parameters as values of the statement's types.
//!
//! The client declares a type, or leaves it open; the statement wants one, perhaps another (psycopg
//! sends small integers as int2). A value is read as what was declared and then cast, so that numeric
//! for bigint works as it does in an expression. Integers come in any width of 2, 4 and 8 bytes.

use bytes::Bytes;
use datafusion::common::ScalarValue;

use super::reply::Format;
use super::rows::Formats;
use crate::error::{Error, ErrorKind, Result};
use crate::fault;
use crate::spec::Type;
use crate::spec::binary::BinaryBuilder;
use crate::spec::text::{TextBuilder, TextOptions};

/// The type a parameter is sent in, and the type the statement takes it in.
#[derive(Clone, Debug)]
pub(super) struct ParameterType {
    pub(super) sent: Type,
    pub(super) taken: Type,
}

/// All parameters of one Bind.
///
/// # Errors
/// `Protocol` for counts that do not fit, else those of [`value`].
pub(super) fn values(
    sent: &[Option<Bytes>],
    formats: &Formats,
    types: &[ParameterType],
    options: &TextOptions,
) -> Result<Vec<ScalarValue>> {
    if !formats.fit(sent.len()) {
        return Err(Error::new(
            ErrorKind::Protocol,
            format!("bind message has {} formats for {} parameters", formats.len(), sent.len()),
        ));
    }
    if sent.len() != types.len() {
        return Err(Error::new(
            ErrorKind::Protocol,
            format!(
                "bind message supplies {} parameters, but the prepared statement requires {}",
                sent.len(),
                types.len()
            ),
        ));
    }
    let each = sent.iter().zip(types).enumerate();
    each.map(|(position, (bytes, data_type))| {
        value(bytes.as_deref(), formats.at(position), data_type, options).map_err(|error| {
            match error.detail_text() {
                Some(_) => error,
                None => error.detail(format!("parameter ${}", position + 1)),
            }
        })
    })
    .collect()
}

/// One parameter.
///
/// # Errors
/// Those of the type's text and binary form, and of the cast where the types differ.
fn value(
    bytes: Option<&[u8]>,
    format: Format,
    data_type: &ParameterType,
    options: &TextOptions,
) -> Result<ScalarValue> {
    let Some(bytes) = bytes else {
        return ScalarValue::try_from(&data_type.taken.arrow()).map_err(fault::of_datafusion);
    };
    let value = match format {
        Format::Text => of_text(bytes, &data_type.sent, options)?,
        Format::Binary => of_binary(bytes, &data_type.sent)?,
    };
    let taken = data_type.taken.arrow();
    match value.data_type() == taken {
        true => Ok(value),
        false => value.cast_to(&taken).map_err(fault::of_datafusion),
    }
}

fn of_text(bytes: &[u8], data_type: &Type, options: &TextOptions) -> Result<ScalarValue> {
    if bytes.contains(&0) {
        return Err(Error::new(ErrorKind::InvalidEncoding, "a text parameter holds a zero byte"));
    }
    let mut builder = TextBuilder::new(data_type, options);
    builder.append(bytes)?;
    ScalarValue::try_from_array(&builder.finish(), 0).map_err(fault::of_datafusion)
}

fn of_binary(bytes: &[u8], data_type: &Type) -> Result<ScalarValue> {
    let data_type = match (data_type, bytes.len()) {
        (Type::Int2 | Type::Int4 | Type::Int8, 2) => &Type::Int2,
        (Type::Int2 | Type::Int4 | Type::Int8, 4) => &Type::Int4,
        (Type::Int2 | Type::Int4 | Type::Int8, 8) => &Type::Int8,
        (Type::Array(item), _) if is_integer(item) => &Type::Array(Box::new(item_sent(bytes))),
        (other, _) => other,
    };
    let mut builder = BinaryBuilder::new(data_type);
    builder.append(bytes)?;
    ScalarValue::try_from_array(&builder.finish(), 0).map_err(fault::of_datafusion)
}

fn is_integer(of: &Type) -> bool {
    matches!(of, Type::Int2 | Type::Int4 | Type::Int8)
}

/// The type that the items of an array of integers say they have, in the array's third word.
fn item_sent(bytes: &[u8]) -> Type {
    let word = bytes.get(8..12).and_then(|word| word.try_into().ok());
    match word.map(u32::from_be_bytes) {
        Some(21) => Type::Int2,
        Some(20) => Type::Int8,
        _ => Type::Int4,
    }
}
