//! PostgreSQL's text form of every [`Type`](super::Type), both directions, a column at a time.
//!
//! What is written is what psql would show under DateStyle ISO, IntervalStyle postgres and
//! bytea_output hex; what is read is what PostgreSQL reads. Refused on purpose: numeric NaN and
//! infinity, which decimal storage cannot hold. Words that need a clock (`now`, `today`) count from the
//! moment that the options bring. Bytes come in, not strings: every form checks its own.
//!
//! Columns: [`TextFormatter`] and [`TextBuilder`]. Single values: the `parse_…` functions. Start
//! reading at [`mod@format`] and [`build`]; each other file is one family of types.

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
mod json_parts;
pub(in crate::spec) mod jsonb;
mod moment;
mod numeric;
mod options;
mod shown;
#[cfg(test)]
mod tests;
mod zone;

pub use build::TextBuilder;
pub use bytes::parse_bool;
pub use datetime::{parse_date, parse_time, parse_timestamp, parse_timestamptz};
pub use float::parse_float8;
pub use format::{TextFormatter, value_text};
pub use integer::parse_int8;
pub use interval::parse_interval;
pub use json_parts::{JsonKind, JsonPart, json_quoted};
pub use jsonb::normalise as jsonb_text;
pub use options::{DateOrder, TextOptions};
pub use zone::{NamedZone, parse_time_zone};

use shown::{invalid, shown, trim};
