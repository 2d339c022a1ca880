//! Parts of a JSON document, found in its text: the members of an object, the items of an array.
//!
//! The text must be JSON, as every value of json and jsonb is.

use super::json::validate;
use super::jsonb::{unescape, write_string};
use crate::error::Result;

/// A value within a document, as it stands in its text.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct JsonPart<'t>(&'t str);

/// What a value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JsonKind {
    Object,
    Array,
    String,
    Number,
    Boolean,
    Null,
}

impl JsonKind {
    /// As `jsonb_typeof` says it.
    pub fn as_str(self) -> &'static str {
        match self {
            JsonKind::Object => "object",
            JsonKind::Array => "array",
            JsonKind::String => "string",
            JsonKind::Number => "number",
            JsonKind::Boolean => "boolean",
            JsonKind::Null => "null",
        }
    }
}

impl<'t> JsonPart<'t> {
    /// A whole document.
    ///
    /// # Errors
    /// InvalidText, TooComplex.
    pub fn document(text: &'t str) -> Result<JsonPart<'t>> {
        validate(text)?;
        Ok(JsonPart(text.trim_matches(is_blank)))
    }

    /// The value's own text.
    pub fn text(self) -> &'t str {
        self.0
    }

    /// What the value is.
    pub fn kind(self) -> JsonKind {
        match self.0.as_bytes().first() {
            Some(b'{') => JsonKind::Object,
            Some(b'[') => JsonKind::Array,
            Some(b'"') => JsonKind::String,
            Some(b't' | b'f') => JsonKind::Boolean,
            Some(b'n') => JsonKind::Null,
            _ => JsonKind::Number,
        }
    }

    /// As `->>` gives it: a string without its quotes, NULL for null.
    ///
    /// # Errors
    /// InvalidText for an escape that is no character.
    pub fn unquoted(self) -> Result<Option<String>> {
        match self.kind() {
            JsonKind::Null => Ok(None),
            JsonKind::String => unescape(&self.0[1..self.0.len() - 1]).map(Some),
            _ => Ok(Some(self.0.to_owned())),
        }
    }

    /// The items of an array; none of anything else.
    pub fn items(self) -> Vec<JsonPart<'t>> {
        match self.kind() {
            JsonKind::Array => self.children().into_iter().map(|(_, item)| item).collect(),
            _ => Vec::new(),
        }
    }

    /// The members of an object with their keys; none of anything else.
    ///
    /// # Errors
    /// InvalidText for an escape that is no character.
    pub fn members(self) -> Result<Vec<(String, JsonPart<'t>)>> {
        if self.kind() != JsonKind::Object {
            return Ok(Vec::new());
        }
        let member = |(key, value): (&str, JsonPart<'t>)| Ok((unescape(key)?, value));
        self.children().into_iter().map(member).collect()
    }

    /// The member of an object; of equal keys the last.
    ///
    /// # Errors
    /// As [`JsonPart::members`].
    pub fn member(self, key: &str) -> Result<Option<JsonPart<'t>>> {
        Ok(self.members()?.into_iter().rev().find(|(name, _)| name == key).map(|(_, value)| value))
    }

    /// The item of an array, from 0, or from the end where it is negative.
    pub fn item(self, index: i64) -> Option<JsonPart<'t>> {
        let items = self.items();
        let at = match index {
            0.. => usize::try_from(index).ok()?,
            _ => items.len().checked_sub(usize::try_from(index.unsigned_abs()).ok()?)?,
        };
        items.get(at).copied()
    }

    /// What a path of keys and numbers of items leads to.
    ///
    /// # Errors
    /// As [`JsonPart::members`].
    pub fn at<'p>(self, path: impl IntoIterator<Item = &'p str>) -> Result<Option<JsonPart<'t>>> {
        let mut part = self;
        for step in path {
            let next = match part.kind() {
                JsonKind::Array => step.trim().parse().ok().and_then(|index| part.item(index)),
                _ => part.member(step)?,
            };
            match next {
                Some(next) => part = next,
                None => return Ok(None),
            }
        }
        Ok(Some(part))
    }

    /// `@>`.
    ///
    /// # Errors
    /// As [`JsonPart::members`].
    pub fn contains(self, other: JsonPart<'_>) -> Result<bool> {
        let is_scalar = !matches!(other.kind(), JsonKind::Object | JsonKind::Array);
        if self.kind() == JsonKind::Array && is_scalar {
            return self.any_item(|item| item.equals(other));
        }
        self.holds(other)
    }

    fn holds(self, other: JsonPart<'_>) -> Result<bool> {
        match (self.kind(), other.kind()) {
            (JsonKind::Object, JsonKind::Object) => {
                for (key, value) in other.members()? {
                    let held = match self.member(&key)? {
                        Some(own) => own.holds(value)?,
                        None => false,
                    };
                    if !held {
                        return Ok(false);
                    }
                }
                Ok(true)
            }
            (JsonKind::Array, JsonKind::Array) => {
                for wanted in other.items() {
                    if !self.any_item(|item| item.holds(wanted))? {
                        return Ok(false);
                    }
                }
                Ok(true)
            }
            _ => self.equals(other),
        }
    }

    fn any_item(self, holds: impl Fn(JsonPart<'t>) -> Result<bool>) -> Result<bool> {
        for item in self.items() {
            if holds(item)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Of scalars: strings by their characters, numbers by their value.
    fn equals(self, other: JsonPart<'_>) -> Result<bool> {
        Ok(match (self.kind(), other.kind()) {
            (JsonKind::String, JsonKind::String) => self.unquoted()? == other.unquoted()?,
            (JsonKind::Number, JsonKind::Number) => significant(self.0) == significant(other.0),
            (own, others) => own == others && self.0 == other.0,
        })
    }

    /// What stands directly inside, with the raw text of its key in an object.
    fn children(self) -> Vec<(&'t str, JsonPart<'t>)> {
        let inside = &self.0[1..self.0.len() - 1];
        let mut children = Vec::new();
        let mut rest = inside.trim_start_matches(is_blank);
        while !rest.is_empty() {
            let mut key = "";
            if self.kind() == JsonKind::Object {
                let end = length(rest);
                key = &rest[1..end - 1];
                let colon = rest[end..].find(':').map_or(rest.len(), |at| end + at + 1);
                rest = rest[colon..].trim_start_matches(is_blank);
            }
            let end = length(rest);
            children.push((key, JsonPart(&rest[..end])));
            rest = rest[end..].trim_start_matches(|c| is_blank(c) || c == ',');
        }
        children
    }
}

/// A text as a JSON string.
pub fn json_quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    write_string(text, &mut quoted);
    quoted
}

fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\r')
}

/// Of the value that a text begins with.
fn length(text: &str) -> usize {
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' if in_string => {
                in_string = false;
                if depth == 0 {
                    return at + 1;
                }
            }
            _ if in_string => {}
            b'"' => in_string = true,
            b'{' | b'[' => depth += 1,
            b'}' | b']' if depth == 0 => return at,
            b'}' | b']' => {
                depth -= 1;
                if depth == 0 {
                    return at + 1;
                }
            }
            b',' | b' ' | b'\t' | b'\n' | b'\r' if depth == 0 => return at,
            _ => {}
        }
    }
    text.len()
}

/// A number of a jsonb without the zeros that say nothing.
fn significant(number: &str) -> &str {
    match number.contains('.') {
        true => number.trim_end_matches('0').trim_end_matches('.'),
        false => number,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#" {"a": [1, {"b": "x,\"}"}, [] ], "c" : null, "d":-2.50, "a b": true} "#;

    #[test]
    fn parts_are_found() {
        let document = JsonPart::document(TEXT).unwrap();
        let at = |path: &str| {
            let part = document.at(path.split('/')).unwrap();
            part.map(|part| (part.kind().as_str(), part.text()))
        };
        assert_eq!(at("a/0"), Some(("number", "1")));
        assert_eq!(at("a/1/b"), Some(("string", r#""x,\"}""#)));
        assert_eq!(at("a/-1"), Some(("array", "[]")));
        assert_eq!(at("c"), Some(("null", "null")));
        assert_eq!(at("d"), Some(("number", "-2.50")));
        assert_eq!(at("a b"), Some(("boolean", "true")));
        assert_eq!((at("a/3"), at("d/x"), at("e")), (None, None, None));
        let b = document.at(["a", "1", "b"]).unwrap().unwrap();
        assert_eq!(b.unquoted().unwrap().as_deref(), Some("x,\"}"));
        assert_eq!(document.at([]).unwrap(), Some(document));
    }

    #[test]
    fn containment_is_jsonbs() {
        let contains =
            |a, b| JsonPart::document(a).unwrap().contains(JsonPart::document(b).unwrap()).unwrap();
        assert!(contains(r#"{"a": 1, "b": {"c": [1, 2]}}"#, r#"{"b": {"c": [2]}}"#));
        assert!(contains("[1, [2, 3]]", "[[3]]"));
        assert!(contains("[1.0, 2]", "1"));
        assert!(contains("{}", "{}"));
        assert!(!contains(r#"{"a": 1}"#, r#"{"a": 2}"#));
        assert!(!contains("[[1]]", "1"));
        assert!(!contains("1", "[1]"));
    }
}
