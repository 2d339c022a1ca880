//! What a value must satisfy to be stored, whatever form it came in.

use crate::error::{Error, ErrorKind, Result};

/// The first instant: 4714-11-24 BC, µs since 1970.
pub(in crate::spec) const TIMESTAMP_MIN: i64 = -210_866_803_200_000_000;
/// The first day: 4714-11-24 BC, days since 1970.
pub(in crate::spec) const DATE_MIN: i32 = -2_440_588;
/// The last day: 5874897-12-31, days since 1970.
pub(in crate::spec) const DATE_MAX: i32 = 2_145_042_905;
/// µs of a day; a time may be as large as this: 24:00:00.
pub(in crate::spec) const DAY_US: i64 = 86_400_000_000;

/// 10 to the power of the index.
pub(in crate::spec) const POWERS_OF_TEN: [i128; 39] = {
    let mut powers = [1i128; 39];
    let mut i = 1;
    while i < 39 {
        powers[i] = powers[i - 1] * 10;
        i += 1;
    }
    powers
};

/// Text as UTF-8 without NUL characters; else InvalidEncoding.
pub(in crate::spec) fn utf8(bytes: &[u8]) -> Result<&str> {
    let bad = match std::str::from_utf8(bytes) {
        Ok(text) if memchr::memchr(0, bytes).is_none() => return Ok(text),
        Ok(_) => &[0][..],
        Err(e) => {
            let rest = &bytes[e.valid_up_to()..];
            &rest[..rest.len().min(e.error_len().unwrap_or(rest.len()).max(1))]
        }
    };
    let bad: Vec<String> = bad.iter().map(|b| format!("0x{b:02x}")).collect();
    let message = format!("invalid byte sequence for encoding \"UTF8\": {}", bad.join(" "));
    Err(Error::new(ErrorKind::InvalidEncoding, message))
}

/// The text within `limit` characters. Only spaces may be cut off; else StringTooLong.
pub(in crate::spec) fn length<'t>(text: &'t str, limit: u32, type_name: &str) -> Result<&'t str> {
    let limit = limit as usize;
    if text.len() <= limit {
        return Ok(text);
    }
    let Some((end, _)) = text.char_indices().nth(limit) else { return Ok(text) };
    if text[end..].bytes().all(|b| b == b' ') {
        return Ok(&text[..end]);
    }
    let message = format!("value too long for type {type_name}({limit})");
    Err(Error::new(ErrorKind::StringTooLong, message))
}

/// The text of a varchar(n).
pub(in crate::spec) fn varchar(text: &str, limit: u32) -> Result<&str> {
    length(text, limit, "character varying")
}

/// The text of a char(n), without its padding.
pub(in crate::spec) fn char(text: &str, limit: u32) -> Result<&str> {
    Ok(length(text, limit, "character")?.trim_end_matches(' '))
}

/// An unscaled number that fits its precision; None stands for one beyond 128 bits. OutOfRange.
pub(in crate::spec) fn precision(unscaled: Option<i128>, precision: u8, scale: i8) -> Result<i128> {
    let limit = POWERS_OF_TEN[precision.min(38) as usize];
    match unscaled {
        Some(value) if -limit < value && value < limit => Ok(value),
        Some(_) | None => {
            let most = i16::from(precision) - i16::from(scale);
            Err(Error::new(ErrorKind::OutOfRange, "numeric field overflow").detail(format!(
                "a field with precision {precision}, scale {scale} must round to an absolute \
                 value less than 10^{most}"
            )))
        }
    }
}

/// A timestamp within the range; ±infinity is. DatetimeOutOfRange, as for one that overflowed (None).
pub(in crate::spec) fn timestamp(micros: Option<i64>) -> Result<i64> {
    match micros {
        Some(micros) if micros >= TIMESTAMP_MIN || micros == i64::MIN => Ok(micros),
        Some(_) | None => Err(Error::new(ErrorKind::DatetimeOutOfRange, "timestamp out of range")),
    }
}

/// A date within the range; ±infinity is. DatetimeOutOfRange, as for one that overflowed (None).
pub(in crate::spec) fn date(days: Option<i32>) -> Result<i32> {
    match days {
        Some(days @ (DATE_MIN..=DATE_MAX | i32::MIN | i32::MAX)) => Ok(days),
        Some(_) | None => Err(Error::new(ErrorKind::DatetimeOutOfRange, "date out of range")),
    }
}

/// Nanoseconds, as an interval stores its time. DatetimeOutOfRange.
pub(in crate::spec) fn interval_nanos(micros: i64) -> Result<i64> {
    micros.checked_mul(1_000).ok_or_else(|| {
        Error::new(ErrorKind::DatetimeOutOfRange, "interval out of range")
            .hint("the time part of an interval holds up to 292 years; use months or days")
    })
}

/// The refusal of numeric values that decimal storage has no room for.
pub(in crate::spec) fn numeric_special(value: &str) -> Error {
    Error::new(ErrorKind::NotSupported, format!("numeric cannot hold \"{value}\" here"))
        .hint("use double precision for columns with NaN or infinity")
}
