//! Days and µs to and from the proleptic Gregorian calendar, and how they are written. No zones.

use super::integer::{write_pair, write_u64};
use crate::spec::column::check::DAY_US;

/// Days since 1970-01-01 of a date of any year; year 0 is 1 BC.
///
/// Years are counted from March, so that the leap day is the last of a year: the days before a month
/// are then (153 × month + 2) / 5, and 400 years are always 146097 days.
pub(super) fn days_of(year: i64, month: u32, day: u32) -> i64 {
    let (year, month) = match month > 2 {
        true => (year, month - 3),
        false => (year - 1, month + 9),
    };
    let era = year.div_euclid(400);
    let year = year.rem_euclid(400);
    let day_of_year = i64::from((153 * month + 2) / 5 + day - 1);
    era * 146_097 + year * 365 + year / 4 - year / 100 + day_of_year - 719_468
}

/// Year (0 is 1 BC), month and day of days since 1970-01-01.
pub(super) fn date_of(days: i64) -> (i64, u32, u32) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day = days.rem_euclid(146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = (day - (365 * year + year / 4 - year / 100)) as u32;
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let year = era * 400 + year;
    match month < 10 {
        true => (year, month + 3, day),
        false => (year + 1, month - 9, day),
    }
}

pub(super) fn days_in_month(year: i64, month: u32) -> u32 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Writes year-month-day; whether it was before Christ, which is said at the very end.
fn write_day(days: i64, out: &mut Vec<u8>) -> bool {
    let (year, month, day) = date_of(days);
    let before_christ = year <= 0;
    let year = if before_christ { 1 - year } else { year } as u64;
    if year < 10_000 {
        write_pair((year / 100) as u32, out);
        write_pair((year % 100) as u32, out);
    } else {
        write_u64(year, out);
    }
    out.push(b'-');
    write_pair(month, out);
    out.push(b'-');
    write_pair(day, out);
    before_christ
}

fn write_era(before_christ: bool, out: &mut Vec<u8>) {
    if before_christ {
        out.extend_from_slice(b" BC");
    }
}

/// Writes a date.
pub(super) fn write_date(days: i32, out: &mut Vec<u8>) {
    match days {
        i32::MAX => out.extend_from_slice(b"infinity"),
        i32::MIN => out.extend_from_slice(b"-infinity"),
        _ => {
            let before_christ = write_day(days.into(), out);
            write_era(before_christ, out);
        }
    }
}

/// Writes a time of day, 24:00:00 included.
pub(super) fn write_time(micros: i64, out: &mut Vec<u8>) {
    let seconds = micros.div_euclid(1_000_000);
    write_pair((seconds / 3_600).rem_euclid(100) as u32, out);
    write_minutes(seconds, micros.rem_euclid(1_000_000), out);
}

/// Writes `:mm:ss[.ffffff]`, which follows hours of any width.
pub(super) fn write_minutes(seconds: i64, fraction: i64, out: &mut Vec<u8>) {
    out.push(b':');
    write_pair((seconds / 60 % 60) as u32, out);
    out.push(b':');
    write_pair((seconds % 60) as u32, out);
    if fraction > 0 {
        out.push(b'.');
        let fraction = fraction as u32;
        write_pair(fraction / 10_000, out);
        write_pair(fraction / 100 % 100, out);
        write_pair(fraction % 100, out);
        while out.last() == Some(&b'0') {
            out.pop();
        }
    }
}

/// Writes a timestamp; with the seconds that the zone is ahead of UTC where it has one.
pub(super) fn write_timestamp(
    micros: i64,
    offset_at: impl Fn(i64) -> Option<i32>,
    out: &mut Vec<u8>,
) {
    match micros {
        i64::MAX => return out.extend_from_slice(b"infinity"),
        i64::MIN => return out.extend_from_slice(b"-infinity"),
        _ => {}
    }
    let offset = offset_at(micros.div_euclid(1_000_000));
    // Days and the time of day apart: their sum with the offset may exceed 64 bits.
    let time = micros.rem_euclid(DAY_US) + i64::from(offset.unwrap_or(0)) * 1_000_000;
    let days = micros.div_euclid(DAY_US) + time.div_euclid(DAY_US);
    let before_christ = write_day(days, out);
    out.push(b' ');
    write_time(time.rem_euclid(DAY_US), out);
    if let Some(offset) = offset {
        write_offset(offset, out);
    }
    write_era(before_christ, out);
}

fn write_offset(offset: i32, out: &mut Vec<u8>) {
    out.push(if offset < 0 { b'-' } else { b'+' });
    let offset = offset.unsigned_abs();
    write_pair(offset / 3_600, out);
    if !offset.is_multiple_of(3_600) {
        out.push(b':');
        write_pair(offset / 60 % 60, out);
    }
    if !offset.is_multiple_of(60) {
        out.push(b':');
        write_pair(offset % 60, out);
    }
}
