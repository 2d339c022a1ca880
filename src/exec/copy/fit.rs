//! A column of a file that knows its own types, as values of the table's type.

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::compute::{CastOptions, cast, cast_with_options};
use arrow::datatypes::DataType;

use crate::error::Result;
use crate::fault;
use crate::spec::Type;
use crate::spec::text::{TextBuilder, TextOptions};

/// Text is read as the type's text, anything else cast.
///
/// # Errors
/// Whatever a value that does not fit gives: none becomes NULL.
pub fn fit(values: &ArrayRef, to: &Type, options: &TextOptions) -> Result<ArrayRef> {
    let storage = to.arrow();
    if !values.data_type().is_string() || storage.is_string() {
        let strict = CastOptions { safe: false, ..CastOptions::default() };
        return cast_with_options(values, &storage, &strict).map_err(fault::of_arrow);
    }
    let texts = cast(values, &DataType::Utf8View).map_err(fault::of_arrow)?;
    let mut built = TextBuilder::new(to, options);
    for text in texts.as_string_view() {
        match text {
            Some(text) => built.append(text.as_bytes())?,
            None => built.append_null(),
        }
    }
    Ok(built.finish())
}
