//! The clock as the session tells it: `now()`, `clock_timestamp()`, `current_date`, `age()`.
//!
//! `now` and `current_timestamp` replace DataFusion's: its own is the start of the query, PostgreSQL's
//! the start of the transaction.

use std::sync::Arc;

use chrono::{DateTime, Datelike, NaiveDateTime, TimeZone};
use datafusion::logical_expr::ScalarUDF;

use super::facts::{SessionFacts, Times};
use super::row_function::RowFunction;
use crate::error::{Error, ErrorKind, Result};
use crate::plan::pg_catalog::cell::Cell;

const DAY_US: i64 = 86_400_000_000;

/// The functions of this file.
pub fn functions(facts: &Arc<SessionFacts>) -> Vec<ScalarUDF> {
    let instant = |name, read: fn(Times) -> i64| {
        let facts = Arc::clone(facts);
        RowFunction::new(name, &[""], "timestamptz", move |_| Ok(read(facts.hooks.times()).into()))
    };
    let local = |name, returns, read: fn(i64) -> i64| {
        let facts = Arc::clone(facts);
        RowFunction::new(name, &[""], returns, move |_| {
            Ok(read(local_us(&facts, facts.hooks.times().transaction_us)?).into())
        })
    };
    let clock = Arc::clone(facts);
    let age_facts = Arc::clone(facts);
    let all = vec![
        instant("now", |t| t.transaction_us),
        instant("current_timestamp", |t| t.transaction_us),
        instant("transaction_timestamp", |t| t.transaction_us),
        instant("statement_timestamp", |t| t.statement_us),
        instant("clock_timestamp", |t| t.clock_us).volatile(),
        local("localtimestamp", "timestamp", |us| us),
        local("current_date", "date", |us| us.div_euclid(DAY_US)),
        local("today", "date", |us| us.div_euclid(DAY_US)),
        RowFunction::new("timeofday", &[""], "text", move |_| {
            let now = utc(clock.hooks.times().clock_us)?.and_utc();
            let zoned = now.with_timezone(&clock.time_zone());
            Ok(zoned.format("%a %b %d %H:%M:%S%.6f %Y %Z").to_string().into())
        })
        .volatile(),
        RowFunction::new("age", &["m", "mm"], "interval", move |row| {
            let Some((first, zoned)) = row.timestamp(0) else { return Ok(Cell::Null) };
            match row.timestamp(1) {
                Some((second, _)) => age(first, second),
                None => {
                    let today = local_us(&age_facts, age_facts.hooks.times().transaction_us)?;
                    let since = if zoned { local_us(&age_facts, first)? } else { first };
                    age(today.div_euclid(DAY_US) * DAY_US, since)
                }
            }
        }),
    ];
    all.into_iter().map(ScalarUDF::from).collect()
}

/// A civil time of µs since 1970-01-01.
///
/// # Errors
/// `DatetimeOutOfRange` beyond the years we can count, infinities among them.
pub fn utc(us: i64) -> Result<NaiveDateTime> {
    DateTime::from_timestamp_micros(us)
        .map(|t| t.naive_utc())
        .ok_or_else(|| Error::new(ErrorKind::DatetimeOutOfRange, "timestamp out of range"))
}

/// The civil time in the session's zone, in µs as if it were UTC.
fn local_us(facts: &SessionFacts, us: i64) -> Result<i64> {
    let local = facts.time_zone().from_utc_datetime(&utc(us)?).naive_local();
    Ok(local.and_utc().timestamp_micros())
}

/// Years, months, days and time between two civil times, as a person counts them: whole months
/// first, then days of the earlier month.
fn age(later: i64, earlier: i64) -> Result<Cell> {
    if later < earlier {
        return Ok(match age(earlier, later)? {
            Cell::Interval(months, days, nanos) => Cell::Interval(-months, -days, -nanos),
            other => other,
        });
    }
    let (to, from) = (utc(later)?, utc(earlier)?);
    let mut months = (to.year() - from.year()) * 12 + to.month() as i32 - from.month() as i32;
    let mut days = to.day() as i32 - from.day() as i32;
    let mut us = later.rem_euclid(DAY_US) - earlier.rem_euclid(DAY_US);
    if us < 0 {
        us += DAY_US;
        days -= 1;
    }
    if days < 0 {
        days += days_in_month(from);
        months -= 1;
    }
    Ok(Cell::Interval(months, days, us * 1000))
}

fn days_in_month(of: NaiveDateTime) -> i32 {
    match of.month() {
        2 if of.date().with_ordinal(366).is_some() => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn us(text: &str) -> i64 {
        let time = NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S").expect("a time");
        time.and_utc().timestamp_micros()
    }

    #[test]
    fn ages_are_counted_in_months_and_days() {
        let cases = [
            ("2001-04-10 00:00:00", "1957-06-13 00:00:00", (525, 27, 0)),
            ("2024-03-01 00:00:00", "2024-02-29 12:00:00", (0, 0, 43_200)),
            ("2024-03-31 00:00:00", "2024-02-29 00:00:00", (1, 2, 0)),
            ("2023-03-01 00:00:00", "2023-01-31 00:00:00", (1, 1, 0)),
        ];
        for (to, from, (months, days, seconds)) in cases {
            let expected = Cell::Interval(months, days, seconds * 1_000_000_000);
            assert_eq!(age(us(to), us(from)).expect("in range"), expected, "{to} - {from}");
            let Cell::Interval(m, d, n) = age(us(from), us(to)).expect("in range") else {
                panic!("an interval");
            };
            assert_eq!(Cell::Interval(-m, -d, -n), expected);
        }
    }
}
