//! Times made of their parts: `make_date`, `make_time`, `make_timestamp`, `make_timestamptz` and
//! `make_interval`.

use std::sync::Arc;

use chrono::{Datelike, NaiveDate};
use datafusion::logical_expr::ScalarUDF;

use super::SessionFacts;
use super::row_function::{Row, RowFunction};
use crate::error::{Error, ErrorKind, Result};
use crate::plan::pg_catalog::cell::Cell;
use crate::spec::text::NamedZone;

const DAY_US: i64 = 86_400_000_000;

/// The functions of this file.
pub fn functions(facts: &Arc<SessionFacts>) -> Vec<ScalarUDF> {
    let facts = Arc::clone(facts);
    let zoned = move |row: &Row<'_>| -> Result<Cell> {
        let zone = match row.text(6) {
            Some(name) => NamedZone::parse(name)?,
            None => facts.text_options().zone(),
        };
        Ok(zone.utc_us(timestamp(row)?).into())
    };
    let plain = [
        RowFunction::new("make_date", &["iii"], "date", |row| Ok((day(row)?).into())),
        RowFunction::new("make_time", &["iif"], "time", |row| Ok(time(row, 0)?.into())),
        RowFunction::new("make_timestamp", &["iiiiif"], "timestamp", |row| {
            Ok(timestamp(row)?.into())
        }),
        RowFunction::new("asofdb_make_interval", &["iiiiiif"], "interval", interval),
    ];
    let zoned = RowFunction::new("make_timestamptz", &["iiiiif", "iiiiift"], "timestamptz", zoned);
    let plain = plain.into_iter().map(RowFunction::immutable);
    plain.chain([zoned]).map(ScalarUDF::from).collect()
}

fn out_of_range(message: String) -> Error {
    Error::new(ErrorKind::DatetimeOutOfRange, message)
}

fn part(row: &Row<'_>, at: usize) -> i64 {
    row.int(at).unwrap_or_default()
}

/// Days since 1970 of year, month and day. A negative year is before Christ; there is no year 0.
fn day(row: &Row<'_>) -> Result<i64> {
    let [year, month, day] = [0, 1, 2].map(|at| part(row, at));
    let civil = |year: i64| {
        let year = i32::try_from(if year < 0 { year + 1 } else { year }).ok()?;
        NaiveDate::from_ymd_opt(year, u32::try_from(month).ok()?, u32::try_from(day).ok()?)
    };
    let found = if year == 0 { None } else { civil(year) };
    let found = found.ok_or_else(|| {
        out_of_range(format!("date field value out of range: {year}-{month:02}-{day:02}"))
    })?;
    let epoch = NaiveDate::from_ymd_opt(1970, 1, 1).map_or(0, |day| day.num_days_from_ce());
    Ok(i64::from(found.num_days_from_ce() - epoch))
}

/// µs since midnight of hour, minute and second; 24:00:00 is one.
fn time(row: &Row<'_>, first: usize) -> Result<i64> {
    let (hour, minute) = (part(row, first), part(row, first + 1));
    let second = row.float(first + 2).unwrap_or_default();
    let micros = (second * 1e6).round();
    let fits = (0..=24).contains(&hour)
        && (0..60).contains(&minute)
        && (0.0..=60e6).contains(&micros)
        && (hour < 24 || minute == 0 && micros == 0.0);
    match fits {
        true => Ok((hour * 60 + minute) * 60_000_000 + micros as i64),
        false => Err(out_of_range(format!(
            "time field value out of range: {hour}:{minute:02}:{}{second}",
            if second < 10.0 { "0" } else { "" }
        ))),
    }
}

fn timestamp(row: &Row<'_>) -> Result<i64> {
    let micros = day(row)?.checked_mul(DAY_US).zip(time(row, 3).map(Some)?);
    let micros = micros.and_then(|(day, time)| day.checked_add(time));
    micros.ok_or_else(|| out_of_range("timestamp out of range".to_owned()))
}

fn interval(row: &Row<'_>) -> Result<Cell> {
    let refused = || out_of_range("interval out of range".to_owned());
    let [years, months, weeks, days, hours, minutes] = [0, 1, 2, 3, 4, 5].map(|at| part(row, at));
    let seconds = row.float(6).unwrap_or_default();
    let months = years.checked_mul(12).and_then(|of_years| of_years.checked_add(months));
    let days = weeks.checked_mul(7).and_then(|of_weeks| of_weeks.checked_add(days));
    let micros = (seconds * 1e6).round();
    if !micros.is_finite() || micros.abs() > 9e15 {
        return Err(refused());
    }
    let nanos = hours
        .checked_mul(60)
        .and_then(|of_hours| of_hours.checked_add(minutes)?.checked_mul(60_000_000))
        .and_then(|of_minutes| of_minutes.checked_add(micros as i64)?.checked_mul(1_000));
    let (Some(months), Some(days), Some(nanos)) = (months, days, nanos) else {
        return Err(refused());
    };
    match (i32::try_from(months), i32::try_from(days)) {
        (Ok(months), Ok(days)) => Ok(Cell::Interval(months, days, nanos)),
        _ => Err(refused()),
    }
}
