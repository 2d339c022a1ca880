//! What the text of values depends on besides their types.

use super::zone::NamedZone;

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
    /// The moment that `now` and the days beside it are told from, µs since 1970-01-01 UTC; None where
    /// there is none, and these words are no times.
    pub now_us: Option<i64>,
}

impl TextOptions {
    /// The session's zone, to move times by.
    pub fn zone(&self) -> NamedZone {
        NamedZone::from(self.time_zone)
    }
}

impl Default for TextOptions {
    fn default() -> TextOptions {
        TextOptions {
            time_zone: chrono_tz::Tz::UTC,
            extra_float_digits: 1,
            date_order: DateOrder::Mdy,
            now_us: None,
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
