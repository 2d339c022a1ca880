//! A column of a file that knows its own types, as values of the type it has.

use std::sync::Arc;

use arrow::array::{ArrayRef, StringViewBuilder};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::DataType;

use crate::error::{Error, ErrorKind, Result};
use crate::fault;
use crate::spec::text::{TextFormatter, TextOptions};
use crate::spec::{Type, foreign};

/// The values as `Type::arrow()` stores them, where `of` is what [`foreign::type_of`] takes them as; a map is
/// the text of a JSON object.
///
/// # Errors
/// Whatever a value that is none of the type gives: none becomes NULL.
pub fn fit(values: &ArrayRef, of: &Type, options: &TextOptions) -> Result<ArrayRef> {
    let storage = of.arrow();
    let fitted = match values.data_type() {
        DataType::Map(_, _) => written(values, of, options)?,
        found if *found == storage => Arc::clone(values),
        _ => {
            let strict = CastOptions { safe: false, ..CastOptions::default() };
            cast_with_options(values, &storage, &strict).map_err(fault::of_arrow)?
        }
    };
    foreign::check(of, fitted.as_ref())?;
    Ok(fitted)
}

fn written(values: &ArrayRef, of: &Type, options: &TextOptions) -> Result<ArrayRef> {
    let formatter = TextFormatter::new(of, values.as_ref(), options)?;
    let mut texts = StringViewBuilder::with_capacity(values.len());
    let mut text = Vec::new();
    for row in 0..values.len() {
        if formatter.is_null(row) {
            texts.append_null();
            continue;
        }
        text.clear();
        formatter.write(row, &mut text);
        texts.append_value(std::str::from_utf8(&text).map_err(|cause| {
            Error::new(ErrorKind::Internal, format!("text of a {of} is not UTF-8")).caused_by(cause)
        })?);
    }
    Ok(Arc::new(texts.finish()))
}
