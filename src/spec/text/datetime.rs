//! Dates, times and timestamps from text: ISO 8601 at speed, and everything else PostgreSQL reads.

use super::calendar::{days_in_month, days_of};
use super::moment::{Moment, Reading, invalid};
use super::zone::{self, Zone};
use super::{TextOptions, shown, trim};
use crate::error::{Error, ErrorKind, Result};
use crate::spec::column::check::{self, DAY_US};

/// A date, in days since 1970-01-01; a time after it is ignored.
///
/// # Errors
/// InvalidDatetime, DatetimeOutOfRange; InvalidValue for an unknown zone.
pub fn parse_date(text: &[u8], options: &TextOptions) -> Result<i32> {
    let moment = moment(text, "date", options)?;
    match (moment.special, moment.days) {
        (Some(i64::MAX), _) => Ok(i32::MAX),
        (Some(i64::MIN), _) => Ok(i32::MIN),
        (Some(_), _) => Ok(0),
        (None, Some(days)) => check::date(i32::try_from(days).ok().filter(|&d| d != i32::MAX))
            .map_err(|_| beyond("date", text)),
        (None, None) => Err(invalid("date", text)),
    }
}

/// A time of day, in µs; a date before it and a zone behind it are ignored.
///
/// # Errors
/// As for [`parse_date`].
pub fn parse_time(text: &[u8], options: &TextOptions) -> Result<i64> {
    let moment = moment(text, "time", options)?;
    // Without a date a named zone has no offset to ignore.
    let undated = moment.days.is_none() && matches!(moment.zone, Some(Zone::Named(_)));
    match (moment.special, moment.micros) {
        (None, Some(micros)) if !undated => Ok(micros),
        (Some(_), _) | (None, _) => Err(invalid("time", text)),
    }
}

/// A timestamp without time zone, in µs since 1970-01-01; a zone is ignored.
///
/// # Errors
/// As for [`parse_date`].
pub fn parse_timestamp(text: &[u8], options: &TextOptions) -> Result<i64> {
    let moment = moment(text, "timestamp", options)?;
    match moment.special {
        Some(special) => Ok(special),
        None => instant(&moment, 0, "timestamp", text),
    }
}

/// A timestamp with time zone, in µs since 1970-01-01 UTC. Without a zone it is one of the session's;
/// a local time that a change of clocks skips or repeats is read by standard time.
///
/// # Errors
/// As for [`parse_date`].
pub fn parse_timestamptz(text: &[u8], options: &TextOptions) -> Result<i64> {
    const NAME: &str = "timestamp with time zone";
    let moment = moment(text, NAME, options)?;
    if let Some(special) = moment.special {
        return Ok(special);
    }
    let zone = moment.zone.unwrap_or(Zone::Named(options.time_zone));
    let offset = match (zone, moment.days) {
        (Zone::Fixed(offset), _) => offset,
        (Zone::Named(_), Some(days)) if (check::DATE_MIN.into()..110_000_000).contains(&days) => {
            let local = days * 86_400 + moment.micros.unwrap_or(0).div_euclid(1_000_000);
            zone::offset_of_local(zone, local)
        }
        (Zone::Named(_), _) => 0,
    };
    instant(&moment, offset, "timestamp", text)
}

fn instant(moment: &Moment, offset: i32, type_name: &str, text: &[u8]) -> Result<i64> {
    let Some(days) = moment.days else { return Err(invalid(type_name, text)) };
    let time = moment.micros.unwrap_or(0) - i64::from(offset) * 1_000_000;
    let micros = days.checked_mul(DAY_US).and_then(|day| day.checked_add(time));
    let micros = micros.filter(|&sum| sum != i64::MAX && sum != i64::MIN);
    check::timestamp(micros).map_err(|_| beyond(type_name, text))
}

fn beyond(type_name: &str, text: &[u8]) -> Error {
    let message = format!("{type_name} out of range: \"{}\"", shown(text));
    Error::new(ErrorKind::DatetimeOutOfRange, message)
}

fn moment(text: &[u8], type_name: &str, options: &TextOptions) -> Result<Moment> {
    let text = trim(text);
    match iso(text) {
        Some(moment) => Ok(moment),
        None => Reading::new(text, type_name, options).read(),
    }
}

/// `yyyy-mm-dd[ Thh:mm:ss[.ffffff]][Z|+hh[:mm]]`, all in range; else None and the long way.
fn iso(text: &[u8]) -> Option<Moment> {
    let pair = |at: usize| {
        let (high, low) = (text.get(at)?.wrapping_sub(b'0'), text.get(at + 1)?.wrapping_sub(b'0'));
        (high <= 9 && low <= 9).then(|| u32::from(high) * 10 + u32::from(low))
    };
    let is = |at: usize, wanted: u8| text.get(at) == Some(&wanted);
    let (year, month, day) = (pair(0)? * 100 + pair(2)?, pair(5)?, pair(8)?);
    let year = i64::from(year);
    let in_range = year > 0 && (1..=12).contains(&month) && day > 0;
    if !in_range || !is(4, b'-') || !is(7, b'-') || day > days_in_month(year, month) {
        return None;
    }
    let mut moment = Moment { days: Some(days_of(year, month, day)), ..Moment::default() };
    if text.len() == 10 {
        return Some(moment);
    }
    let (hour, minute, second) = (pair(11)?, pair(14)?, pair(17)?);
    let joined = (is(10, b' ') || is(10, b'T')) && is(13, b':') && is(16, b':');
    if !joined || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let mut end = 19;
    let mut fraction = 0;
    if is(19, b'.') {
        let digits = text[20..].iter().take_while(|b| b.is_ascii_digit()).count();
        if digits > 6 {
            return None;
        }
        fraction = text[20..20 + digits].iter().fold(0, |sum, b| sum * 10 + i64::from(b - b'0'));
        fraction *= 10i64.pow(6 - digits as u32);
        end = 20 + digits;
    }
    moment.micros = Some(i64::from(hour * 3_600 + minute * 60 + second) * 1_000_000 + fraction);
    moment.zone = match &text[end..] {
        [] => None,
        [b'Z'] => Some(Zone::Fixed(0)),
        [b'+' | b'-', _, _] | [b'+' | b'-', _, _, b':', _, _] => {
            let (hours, minutes) =
                (pair(end + 1)?, if is(end + 3, b':') { pair(end + 4)? } else { 0 });
            let offset = (hours * 3_600 + minutes * 60) as i32;
            let valid = hours <= 15 && minutes <= 59;
            valid.then_some(Zone::Fixed(if text[end] == b'-' { -offset } else { offset }))?.into()
        }
        _ => return None,
    };
    Some(moment)
}
