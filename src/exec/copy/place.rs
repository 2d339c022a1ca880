//! Where in the input an error was met, as PostgreSQL tells it.

use crate::error::{Error, ErrorKind};

/// How many characters of a value or line are shown.
const SHOWN_CHARACTERS: usize = 100;

/// A row that breaks the format.
pub(super) fn broken(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::BadCopyFormat, message)
}

/// The error, with the table and line: `COPY t, line 3: "a,b"`.
pub(super) fn in_line(error: Error, table: &str, line: u64, text: &[u8]) -> Error {
    add(error, format!("COPY {table}, line {line}: \"{}\"", shown(text)))
}

/// The error, with the table and line where the text of the line is of no use.
pub(super) fn at_line(error: Error, table: &str, line: u64) -> Error {
    add(error, format!("COPY {table}, line {line}"))
}

/// The error, with the column's name and text: `COPY t, line 3, column c: "abc"`.
pub(super) fn in_column(
    error: Error,
    (table, line): (&str, u64),
    column: &str,
    text: Option<&[u8]>,
) -> Error {
    let place = format!("COPY {table}, line {line}, column {column}");
    match text {
        Some(text) => add(error, format!("{place}: \"{}\"", shown(text))),
        None => add(error, place),
    }
}

fn add(error: Error, place: String) -> Error {
    match error.context_text() {
        Some(context) => {
            let context = format!("{context}\n{place}");
            error.context(context)
        }
        None => error.context(place),
    }
}

fn shown(text: &[u8]) -> String {
    // Four bytes a character at most: the rest of a long line is not even decoded.
    let head = String::from_utf8_lossy(&text[..text.len().min(4 * SHOWN_CHARACTERS + 4)]);
    match head.char_indices().nth(SHOWN_CHARACTERS) {
        Some((end, _)) => format!("{}...", &head[..end]),
        None => head.into_owned(),
    }
}
