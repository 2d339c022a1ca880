//! PostgreSQL's text form of every [`Type`](super::Type), both directions, a column at a time.
//!
//! What is written is what psql would show under DateStyle ISO, IntervalStyle postgres and
//! bytea_output hex; what is read is what PostgreSQL reads. Two things are refused on purpose: words
//! that need a clock (`now`, `today`: callers resolve them), and numeric NaN and infinity, which
//! decimal storage cannot hold. Bytes come in, not strings: every form checks its own.
//!
//! Columns: [`TextFormatter`] and [`TextBuilder`]. Single values: the `parse_…` functions. Start
//! reading at [`format`] and [`build`]; each other file is one family of types.

mod array;
mod build;
mod bytes;
mod calendar;
mod date_words;
mod datetime;
mod float;
mod format;
mod integer;
mod interval;
mod interval_format;
pub(in crate::spec) mod json;
mod numeric;
#[cfg(test)]
mod tests;
mod zone;

pub use build::TextBuilder;
pub use bytes::parse_bool;
pub use datetime::{parse_date, parse_time, parse_timestamp, parse_timestamptz};
pub use float::parse_float8;
pub use format::TextFormatter;
pub use integer::parse_int8;
pub use interval::parse_interval;
pub use zone::parse_time_zone;

use crate::error::{Error, ErrorKind};

/// What the text of a value depends on besides its type.
#[derive(Clone, Debug, PartialEq)]
pub struct TextOptions {
    /// The session's TimeZone: in which timestamptz is shown, and read where the text names none.
    pub time_zone: chrono_tz::Tz,
    /// As in PostgreSQL: above 0 the shortest text that reads back the same, else 15 + this many
    /// significant digits (6 + this many for real).
    pub extra_float_digits: i32,
    /// How `01/02/2003` is read.
    pub date_order: DateOrder,
}

impl Default for TextOptions {
    fn default() -> TextOptions {
        TextOptions {
            time_zone: chrono_tz::Tz::UTC,
            extra_float_digits: 1,
            date_order: DateOrder::Mdy,
        }
    }
}

/// The second half of PostgreSQL's DateStyle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DateOrder {
    /// month, day, year
    Mdy,
    /// day, month, year
    Dmy,
    /// year, month, day
    Ymd,
}

/// The text as a message shows it: readable, and of bounded length.
fn shown(text: &[u8]) -> String {
    const CHARACTERS_MAX: usize = 200;
    let text = String::from_utf8_lossy(text);
    match text.char_indices().nth(CHARACTERS_MAX) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.into_owned(),
    }
}

fn invalid(type_name: &str, text: &[u8]) -> Error {
    let message = format!("invalid input syntax for type {type_name}: \"{}\"", shown(text));
    Error::new(ErrorKind::InvalidText, message)
}

/// The text without the white space around it, as C's isspace sees it.
fn trim(text: &[u8]) -> &[u8] {
    let blank = |b: &u8| matches!(b, b' ' | b'\t'..=b'\r');
    let start = text.iter().position(|b| !blank(b)).unwrap_or(text.len());
    let end = text.iter().rposition(|b| !blank(b)).map_or(start, |last| last + 1);
    &text[start..end]
}
