//! Text as numbers, by PostgreSQL's pictures: `to_number(text, text)`.

use std::sync::Arc;

use arrow::array::{Array, AsArray, Decimal128Builder};
use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::exec_err;
use datafusion::error::{DataFusionError, Result as DataFusionResult};
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
    Volatility,
};

use super::number_format::Digits;
use super::number_picture::{Picture, Piece};
use crate::error::{Error, ErrorKind, Result};

/// The function of this file.
pub fn functions() -> Vec<ScalarUDF> {
    let signature = Signature::exact(vec![DataType::Utf8View; 2], Volatility::Immutable);
    vec![ScalarUDF::new_from_impl(ToNumber { signature })]
}

/// The digits of a text where a picture has them, as a numeric reads them.
///
/// # Errors
/// Syntax for a picture that is none, InvalidText where there are no digits.
fn read_number(text: &str, picture: &Picture) -> Result<String> {
    if picture.roman.is_some() || picture.scientific {
        let what = if picture.scientific { "EEEE" } else { "RN" };
        let message = format!("\"{what}\" not supported for input");
        return Err(Error::new(ErrorKind::NotSupported, message));
    }
    let mut rest = text.trim_start();
    let (mut number, mut negative) = (String::new(), false);
    let mut sign = |rest: &mut &str| {
        if let Some(c @ ('-' | '+' | '<')) = rest.chars().next() {
            negative |= c != '+';
            *rest = &rest[1..];
        }
    };
    for piece in &picture.pieces {
        match piece {
            Piece::Digit | Piece::Zero | Piece::Point => {
                rest = rest.trim_start();
                if number.is_empty() {
                    sign(&mut rest);
                    rest = rest.trim_start();
                }
                match rest.chars().next() {
                    Some('.') if picture.has_point && !number.contains('.') => number.push('.'),
                    Some(c) if c.is_ascii_digit() && *piece != Piece::Point => number.push(c),
                    _ => continue,
                }
                rest = &rest[1..];
            }
            Piece::Group => rest = rest.strip_prefix(',').unwrap_or(rest),
            Piece::Minus | Piece::Plus | Piece::Sign => sign(&mut rest),
            Piece::Currency => rest = without(rest, 1),
            Piece::Text(text) => rest = without(rest, text.chars().count()),
            Piece::Ordinal(_) => rest = without(rest, 2),
        }
    }
    if picture.anchored.is_some() {
        sign(&mut rest);
    }
    if !number.bytes().any(|digit| digit.is_ascii_digit()) {
        let message = format!("invalid input syntax for type numeric: \"{text}\"");
        return Err(Error::new(ErrorKind::InvalidText, message));
    }
    Ok(format!("{}{number}", if negative { "-" } else { "" }))
}

/// The text without so many characters at its beginning that are no part of a number.
fn without(text: &str, count: usize) -> &str {
    let is_data = |c: char| c.is_ascii_digit() || matches!(c, '.' | ',' | '+' | '-' | '<');
    let end = text.char_indices().take(count).find(|(_, c)| is_data(*c)).map(|(at, _)| at);
    let all = || text.char_indices().nth(count).map_or(text.len(), |(at, _)| at);
    &text[end.unwrap_or_else(all)..]
}

/// `to_number`: a numeric with as many digits behind the point as the picture has.
#[derive(Debug, PartialEq, Eq, Hash)]
struct ToNumber {
    signature: Signature,
}

impl ScalarUDFImpl for ToNumber {
    fn name(&self) -> &str {
        "to_number"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> DataFusionResult<DataType> {
        Ok(DataType::Decimal128(38, 10))
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> DataFusionResult<FieldRef> {
        let picture = args.scalar_arguments.get(1).copied().flatten();
        let picture = picture.and_then(|picture| picture.try_as_str().flatten());
        let scale = match picture.map(Picture::parse) {
            Some(Ok(picture)) => (picture.fraction + picture.shift).min(37) as i8,
            _ => 10,
        };
        Ok(Arc::new(Field::new(self.name(), DataType::Decimal128(38, scale), true)))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> DataFusionResult<ColumnarValue> {
        let [texts, pictures] = args.args.as_slice() else {
            return exec_err!("to_number takes a text and a picture");
        };
        let (texts, pictures) =
            (texts.to_array(args.number_rows)?, pictures.to_array(args.number_rows)?);
        let (texts, pictures) = (texts.as_string_view(), pictures.as_string_view());
        let mut last: Option<(&str, Picture)> = None;
        let DataType::Decimal128(_, scale) = *args.return_field.data_type() else {
            return exec_err!("to_number makes a numeric");
        };
        let external = |error: Error| DataFusionError::External(Box::new(error));
        let of = args.return_field.data_type().clone();
        let mut numbers = Decimal128Builder::with_capacity(texts.len()).with_data_type(of);
        for (text, picture) in texts.iter().zip(pictures) {
            let (Some(text), Some(of)) = (text, picture) else {
                numbers.append_null();
                continue;
            };
            if last.as_ref().is_none_or(|(known, _)| *known != of) {
                last = Some((of, Picture::parse(of).map_err(external)?));
            }
            let Some((_, picture)) = &last else { continue };
            let number = read_number(text, picture).map_err(external)?;
            numbers.append_value(unscaled(&number, picture.shift, scale).map_err(external)?);
        }
        Ok(ColumnarValue::Array(Arc::new(numbers.finish())))
    }
}

/// A number over ten to the power of `shift`, without its point, at a scale.
fn unscaled(number: &str, shift: usize, scale: i8) -> Result<i128> {
    let exponent = format!("{number}e-{shift}");
    let digits = Digits::of(&exponent).map(|digits| digits.rounded(0, scale.max(0) as usize));
    let value = digits.and_then(|digits| {
        let value: i128 = format!("{}{}", digits.whole, digits.fraction).parse().ok()?;
        Some(if digits.negative { -value } else { value })
    });
    value.ok_or_else(|| Error::new(ErrorKind::OutOfRange, "numeric field overflow"))
}
