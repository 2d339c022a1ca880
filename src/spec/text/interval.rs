//! Intervals from text: `1 year 2 mons -3 days 04:05:06`, `1-2`, `1.5h ago`, `P1Y2M3DT4H5M6S`.

use arrow::datatypes::IntervalMonthDayNano;

use super::date_words::{Field, Fields, fraction_micros};
use super::{shown, trim};
use crate::error::{Error, ErrorKind, Result};
use crate::spec::column::check::{self, DAY_US};

/// An interval; its time part is nanoseconds that are a multiple of 1000.
///
/// # Errors
/// InvalidDatetime, DatetimeOutOfRange.
pub fn parse_interval(text: &[u8]) -> Result<IntervalMonthDayNano> {
    let trimmed = trim(text);
    let words = std::str::from_utf8(trimmed).map_err(|_| refusal(Fault::Form, text))?;
    let sum = match words.strip_prefix(['P', 'p']) {
        Some(rest) => iso(rest),
        None => verbose(words),
    };
    let sum = sum.map_err(|fault| refusal(fault, text))?;
    let micros = i64::try_from(sum.micros).map_err(|_| refusal(Fault::Range, text))?;
    let [months, days] = [sum.months, sum.days].map(i32::try_from);
    Ok(IntervalMonthDayNano {
        months: months.map_err(|_| refusal(Fault::Range, text))?,
        days: days.map_err(|_| refusal(Fault::Range, text))?,
        nanoseconds: check::interval_nanos(micros)?,
    })
}

enum Fault {
    Form,
    Range,
}

fn refusal(fault: Fault, text: &[u8]) -> Error {
    let text = shown(text);
    match fault {
        Fault::Form => {
            let message = format!("invalid input syntax for type interval: \"{text}\"");
            Error::new(ErrorKind::InvalidDatetime, message)
        }
        Fault::Range => {
            let message = format!("interval field value out of range: \"{text}\"");
            Error::new(ErrorKind::DatetimeOutOfRange, message)
        }
    }
}

/// Wide enough that no sum of the few fields a text may have overflows.
#[derive(Default)]
struct Sum {
    months: i64,
    days: i64,
    micros: i128,
    /// One bit per unit that was given: none may be given twice.
    seen: u32,
}

#[derive(Clone, Copy, PartialEq)]
enum Unit {
    Microsecond,
    Millisecond,
    Second,
    Minute,
    Hour,
    Day,
    Week,
    Month,
    Year,
    Decade,
    Century,
    Millennium,
}

/// A decimal number: its whole part, and its fraction of the same sign.
#[derive(Clone, Copy)]
struct Number {
    whole: i64,
    fraction: f64,
}

impl Number {
    fn parse(text: &str) -> Result<Number, Fault> {
        let (negative, digits) = match text.as_bytes().first() {
            Some(b'-') => (true, &text[1..]),
            Some(b'+') => (false, &text[1..]),
            _ => (false, text),
        };
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        let is_number = |t: &str| t.bytes().all(|b| b.is_ascii_digit());
        if !is_number(whole) || !is_number(fraction) || whole.len() + fraction.len() == 0 {
            return Err(Fault::Form);
        }
        let sign = if negative { -1 } else { 1 };
        let whole: i64 = match whole {
            "" => 0,
            _ => whole.parse().map_err(|_| Fault::Range)?,
        };
        let fraction: f64 = match fraction {
            "" => 0.0,
            _ => format!("0.{fraction}").parse().map_err(|_| Fault::Form)?,
        };
        Ok(Number { whole: whole * sign, fraction: fraction * sign as f64 })
    }
}

impl Sum {
    fn add(&mut self, number: Number, unit: Unit) -> Result<(), Fault> {
        let bit = 1 << unit as u32;
        if self.seen & bit != 0 {
            return Err(Fault::Form);
        }
        self.seen |= bit;
        match unit {
            Unit::Microsecond => self.add_time(number, 1),
            Unit::Millisecond => self.add_time(number, 1_000),
            Unit::Second => self.add_time(number, 1_000_000),
            Unit::Minute => self.add_time(number, 60_000_000),
            Unit::Hour => self.add_time(number, 3_600_000_000),
            Unit::Day => {
                self.days = sum(self.days, number.whole, 1)?;
                self.add_micros(number.fraction, DAY_US);
            }
            Unit::Week => {
                self.days = sum(self.days, number.whole, 7)?;
                self.add_days(number.fraction, 7.0);
            }
            Unit::Month => {
                self.months = sum(self.months, number.whole, 1)?;
                self.add_days(number.fraction, 30.0);
            }
            Unit::Year => self.add_months(number, 12)?,
            Unit::Decade => self.add_months(number, 120)?,
            Unit::Century => self.add_months(number, 1_200)?,
            Unit::Millennium => self.add_months(number, 12_000)?,
        }
        Ok(())
    }

    fn add_time(&mut self, number: Number, unit_us: i64) {
        self.micros += i128::from(number.whole) * i128::from(unit_us);
        self.add_micros(number.fraction, unit_us);
    }

    /// A fraction of years is whole months, rounded.
    fn add_months(&mut self, number: Number, unit: i64) -> Result<(), Fault> {
        let fraction = (number.fraction * unit as f64).round_ties_even() as i64;
        self.months = sum(self.months, number.whole, unit)?;
        self.months = sum(self.months, fraction, 1)?;
        Ok(())
    }

    /// A fraction of months or weeks is whole days, and time of the rest.
    fn add_days(&mut self, fraction: f64, unit_days: f64) {
        let days = fraction * unit_days;
        self.days += days.trunc() as i64;
        self.add_micros(days - days.trunc(), DAY_US);
    }

    fn add_micros(&mut self, fraction: f64, unit_us: i64) {
        let micros = fraction * unit_us as f64;
        let rest = micros - micros.trunc();
        let carry = i128::from(rest > 0.5) - i128::from(rest < -0.5);
        self.micros += micros.trunc() as i128 + carry;
    }

    /// `04:05:06.789` and `04:05`; `05:06.789` is minutes and seconds.
    fn add_clock(&mut self, text: &str, negative: bool) -> Result<(), Fault> {
        const CLOCK: u32 =
            1 << Unit::Second as u32 | 1 << Unit::Minute as u32 | 1 << Unit::Hour as u32;
        if self.seen & CLOCK != 0 {
            return Err(Fault::Form);
        }
        self.seen |= CLOCK;
        let (whole, fraction) = match text.split_once('.') {
            Some((whole, fraction)) => (whole, Some(fraction)),
            None => (text, None),
        };
        let mut numbers = Vec::with_capacity(3);
        for part in whole.split(':') {
            let number = part.parse::<i64>().map_err(|e| match e.kind() {
                std::num::IntErrorKind::PosOverflow => Fault::Range,
                _ => Fault::Form,
            });
            numbers.push(number?);
        }
        let (hours, minutes, seconds) = match numbers[..] {
            [hours, minutes, seconds] => (hours, minutes, seconds),
            [minutes, seconds] if fraction.is_some() => (0, minutes, seconds),
            [hours, minutes] => (hours, minutes, 0),
            _ => return Err(Fault::Form),
        };
        if minutes > 59 || seconds > 60 {
            return Err(Fault::Range);
        }
        let fraction = fraction_micros(fraction.unwrap_or("")).ok_or(Fault::Form)?;
        let seconds = i128::from(hours) * 3_600 + i128::from(minutes * 60 + seconds);
        let micros = seconds * 1_000_000 + i128::from(fraction);
        self.micros += if negative { -micros } else { micros };
        Ok(())
    }

    /// `1-2`: years and months.
    fn add_years_months(&mut self, text: &str, negative: bool) -> Result<(), Fault> {
        let (years, months) = text.split_once('-').ok_or(Fault::Form)?;
        let (years, months) = (Number::parse(years)?, Number::parse(months)?);
        if months.whole > 11 || years.fraction != 0.0 || months.fraction != 0.0 {
            return Err(Fault::Range);
        }
        let sign = if negative { -1 } else { 1 };
        self.add(Number { whole: years.whole * sign, fraction: 0.0 }, Unit::Year)?;
        self.add(Number { whole: months.whole * sign, fraction: 0.0 }, Unit::Month)
    }

    fn negate(&mut self) {
        self.months = -self.months;
        self.days = -self.days;
        self.micros = -self.micros;
    }
}

fn sum(so_far: i64, value: i64, unit: i64) -> Result<i64, Fault> {
    value.checked_mul(unit).and_then(|v| so_far.checked_add(v)).ok_or(Fault::Range)
}

fn verbose(text: &str) -> Result<Sum, Fault> {
    let mut sum = Sum::default();
    let mut fields = Fields::of(text.strip_prefix('@').unwrap_or(text));
    // A number waits for its unit: a word, or a clock time, which makes it days.
    let mut waiting: Option<Number> = None;
    let mut ago = false;
    let mut any = false;
    while let Some(field) = fields.next() {
        let field = field.map_err(|()| Fault::Form)?;
        if ago {
            return Err(Fault::Form);
        }
        let (negative, field) = match field {
            Field::Signed(signed) => (signed.starts_with('-'), unsigned(signed)),
            other => (false, other),
        };
        if let Field::Word(word) = field {
            if word.eq_ignore_ascii_case("ago") && any && waiting.is_none() {
                ago = true;
                continue;
            }
            let number = waiting.take().ok_or(Fault::Form)?;
            sum.add(number, unit(word).ok_or(Fault::Form)?)?;
            continue;
        }
        any = true;
        if let (Some(days), Field::Time(_)) = (waiting, &field) {
            sum.add(days, Unit::Day)?;
            waiting = None;
        }
        if waiting.is_some() {
            return Err(Fault::Form);
        }
        match field {
            Field::Number(text) => {
                let number = Number::parse(text)?;
                waiting = Some(match negative {
                    true => Number { whole: -number.whole, fraction: -number.fraction },
                    false => number,
                });
            }
            Field::Time(clock) => sum.add_clock(clock, negative)?,
            Field::Date(months) => sum.add_years_months(months, negative)?,
            Field::Signed(_) | Field::Word(_) => return Err(Fault::Form),
        }
    }
    if let Some(seconds) = waiting {
        sum.add(seconds, Unit::Second)?;
    }
    if !any {
        return Err(Fault::Form);
    }
    if ago {
        sum.negate();
    }
    Ok(sum)
}

/// What follows a sign, as the field it would be without.
fn unsigned(signed: &str) -> Field<'_> {
    let rest = signed[1..].trim_start();
    match rest {
        _ if rest.contains(':') => Field::Time(rest),
        _ if rest.contains('-') => Field::Date(rest),
        _ => Field::Number(rest),
    }
}

fn unit(word: &str) -> Option<Unit> {
    Some(match word.to_ascii_lowercase().as_str() {
        "us" | "usec" | "usecs" | "usecond" | "useconds" | "microsecond" | "microseconds"
        | "microsecon" => Unit::Microsecond,
        "ms" | "msec" | "msecs" | "msecond" | "mseconds" | "millisecond" | "milliseconds"
        | "millisecon" => Unit::Millisecond,
        "s" | "sec" | "secs" | "second" | "seconds" => Unit::Second,
        "m" | "min" | "mins" | "minute" | "minutes" => Unit::Minute,
        "h" | "hr" | "hrs" | "hour" | "hours" => Unit::Hour,
        "d" | "day" | "days" => Unit::Day,
        "w" | "week" | "weeks" => Unit::Week,
        "mon" | "mons" | "month" | "months" => Unit::Month,
        "y" | "yr" | "yrs" | "year" | "years" => Unit::Year,
        "dec" | "decs" | "decade" | "decades" => Unit::Decade,
        "c" | "cent" | "century" | "centuries" => Unit::Century,
        "mil" | "mils" | "millennium" | "millennia" => Unit::Millennium,
        _ => return None,
    })
}

/// ISO 8601 with designators, after its `P`: `1Y2M3W4DT5H6M7.8S`.
fn iso(text: &str) -> Result<Sum, Fault> {
    let mut sum = Sum::default();
    let mut rest = text;
    let mut time = false;
    let mut any = false;
    while !rest.is_empty() {
        if let (false, Some(after)) = (time, rest.strip_prefix('T')) {
            time = true;
            rest = after;
            continue;
        }
        let end = rest.find(|c: char| !matches!(c, '0'..='9' | '.' | '+' | '-'));
        let (number, tail) = rest.split_at(end.ok_or(Fault::Form)?);
        let unit = match (tail.as_bytes()[0], time) {
            (b'Y', false) => Unit::Year,
            (b'M', false) => Unit::Month,
            (b'W', false) => Unit::Week,
            (b'D', false) => Unit::Day,
            (b'H', true) => Unit::Hour,
            (b'M', true) => Unit::Minute,
            (b'S', true) => Unit::Second,
            _ => return Err(Fault::Form),
        };
        sum.add(Number::parse(number)?, unit)?;
        any = true;
        rest = &tail[1..];
    }
    match any {
        true => Ok(sum),
        false => Err(Fault::Form),
    }
}
