//! Texts within the length of their type: varchar(n) and char(n), and arrays of them.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, ListArray, StringViewArray};
use arrow::datatypes::DataType;

use super::Type;
use super::column::check;
use crate::error::Result;

/// What becomes of characters beyond the length that are not blanks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Beyond {
    /// Cut off, as an explicit cast does.
    Cut,
    /// Refused, as a column does.
    Refused,
}

/// Whether values of a type are of a limited length.
pub fn is_limited(of: &Type) -> bool {
    match of {
        Type::Varchar(Some(_)) | Type::Char(_) => true,
        Type::Array(item) => is_limited(item),
        _ => false,
    }
}

/// Values as a type stores them: within its length, those of char(n) without trailing blanks. `values`
/// are of `Type::arrow()`; the same array comes back where nothing changes.
///
/// # Errors
/// StringTooLong, if it is refused.
pub fn fit(of: &Type, values: &ArrayRef, beyond: Beyond) -> Result<ArrayRef> {
    match of {
        Type::Varchar(Some(_)) | Type::Char(_) => texts(of, values, beyond),
        Type::Array(item) if is_limited(item) => {
            let lists = values.as_list::<i32>();
            let DataType::List(field) = lists.data_type() else {
                return Ok(Arc::clone(values));
            };
            let items = fit(item, lists.values(), beyond)?;
            let (offsets, nulls) = (lists.offsets().clone(), lists.nulls().cloned());
            Ok(Arc::new(ListArray::new(Arc::clone(field), offsets, items, nulls)))
        }
        _ => Ok(Arc::clone(values)),
    }
}

fn texts(of: &Type, values: &ArrayRef, beyond: Beyond) -> Result<ArrayRef> {
    let texts = values.as_string_view();
    let mut changed = false;
    let mut fitted = Vec::with_capacity(texts.len());
    for text in texts {
        let fits = text.map(|text| one(of, text, beyond)).transpose()?;
        changed |= fits.map(str::len) != text.map(str::len);
        fitted.push(fits);
    }
    Ok(match changed {
        true => Arc::new(fitted.into_iter().collect::<StringViewArray>()),
        false => Arc::clone(values),
    })
}

fn one<'t>(of: &Type, text: &'t str, beyond: Beyond) -> Result<&'t str> {
    let within = |limit: u32| match (beyond, text.len() <= limit as usize) {
        (Beyond::Cut, false) => match text.char_indices().nth(limit as usize) {
            Some((end, _)) => &text[..end],
            None => text,
        },
        _ => text,
    };
    match of {
        Type::Varchar(Some(limit)) => check::varchar(within(*limit), *limit),
        Type::Char(limit) => check::char(within(*limit), *limit),
        _ => Ok(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fitted(of: &Type, text: &str, beyond: Beyond) -> Result<String> {
        let values: ArrayRef = Arc::new(StringViewArray::from(vec![Some(text), None]));
        let fitted = fit(of, &values, beyond)?;
        assert!(fitted.is_null(1));
        Ok(fitted.as_string_view().value(0).to_owned())
    }

    #[test]
    fn blanks_are_cut_and_characters_only_where_asked() {
        let (varchar, char) = (Type::Varchar(Some(2)), Type::Char(2));
        for (of, text, cut, kept) in [
            (&varchar, "äbc", "äb", None),
            (&varchar, "a    ", "a ", Some("a ")),
            (&char, "abc", "ab", None),
            (&char, "a    ", "a", Some("a")),
            (&Type::Varchar(None), "abc ", "abc ", Some("abc ")),
        ] {
            assert_eq!(fitted(of, text, Beyond::Cut).unwrap(), cut);
            assert_eq!(fitted(of, text, Beyond::Refused).ok().as_deref(), kept);
        }
    }
}
