//! Texts in messages, and the blanks around them.

use crate::error::{Error, ErrorKind};

/// The text as a message shows it: readable, and of bounded length.
pub(super) fn shown(text: &[u8]) -> String {
    const CHARACTERS_MAX: usize = 200;
    let text = String::from_utf8_lossy(text);
    match text.char_indices().nth(CHARACTERS_MAX) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.into_owned(),
    }
}

/// The refusal of a text that is not a value of the type.
pub(super) fn invalid(type_name: &str, text: &[u8]) -> Error {
    let message = format!("invalid input syntax for type {type_name}: \"{}\"", shown(text));
    Error::new(ErrorKind::InvalidText, message)
}

/// The text without the white space around it, as C's isspace sees it.
pub(super) fn trim(text: &[u8]) -> &[u8] {
    let blank = |b: &u8| matches!(b, b' ' | b'\t'..=b'\r');
    let start = text.iter().position(|b| !blank(b)).unwrap_or(text.len());
    let end = text.iter().rposition(|b| !blank(b)).map_or(start, |last| last + 1);
    &text[start..end]
}
