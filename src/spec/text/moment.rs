//! A date and time from a text in any of PostgreSQL's spellings, field by field.

use super::calendar::{days_in_month, days_of};
use super::date_words::{Field, Fields, fraction_micros, is_weekday, month};
use super::zone::{self, Zone};
use super::{DateOrder, TextOptions, shown};
use crate::error::{Error, ErrorKind, Result};
use crate::spec::column::check::DAY_US;

/// What a text said.
#[derive(Default)]
pub(super) struct Moment {
    pub(super) days: Option<i64>,
    pub(super) micros: Option<i64>,
    pub(super) zone: Option<Zone>,
    /// epoch, infinity, -infinity
    pub(super) special: Option<i64>,
}

/// A text read field by field.
pub(super) struct Reading<'t> {
    text: &'t [u8],
    type_name: &'t str,
    options: &'t TextOptions,
    moment: Moment,
    /// The numbers of a date that are not joined, in order, and its month where a word gave it.
    parts: Vec<&'t str>,
    month: Option<u32>,
    before_christ: Option<bool>,
    afternoon: Option<bool>,
    /// The parts were digits in one piece: year, month, day whatever the order of dates.
    packed: bool,
    /// A `T` was read, so that a number is a time.
    time_follows: bool,
}

impl<'t> Reading<'t> {
    pub(super) fn new(text: &'t [u8], type_name: &'t str, options: &'t TextOptions) -> Reading<'t> {
        Reading {
            text,
            type_name,
            options,
            moment: Moment::default(),
            parts: Vec::new(),
            month: None,
            before_christ: None,
            afternoon: None,
            packed: false,
            time_follows: false,
        }
    }

    fn bad(&self) -> Error {
        invalid(self.type_name, self.text)
    }

    pub(super) fn read(mut self) -> Result<Moment> {
        let text = std::str::from_utf8(self.text).map_err(|_| self.bad())?;
        let mut fields = Fields::of(text);
        let mut count = 0;
        while let Some(field) = fields.next() {
            let field = field.map_err(|()| self.bad())?;
            count += 1;
            // More fields than any date has: PostgreSQL stops at 25 as well.
            if count > 25 || self.moment.special.is_some() {
                return Err(self.bad());
            }
            match field {
                Field::Number(number) => self.number(number)?,
                Field::Word(word) => self.word(word, count == 1)?,
                Field::Date(date) => self.date(date)?,
                Field::Time(time) => self.time(time)?,
                Field::Signed(signed) => self.signed(signed, count == 1)?,
            }
        }
        self.resolve()
    }

    fn number(&mut self, number: &'t str) -> Result<()> {
        let whole = number.split('.').next().unwrap_or(number);
        let has_date = self.parts.len() + usize::from(self.month.is_some()) >= 3;
        let is_time_only = self.type_name == "time" && self.parts.is_empty();
        if self.time_follows || has_date || is_time_only && whole.len() >= 4 {
            return self.packed_time(number);
        }
        match number.len() {
            _ if number.contains('.') => Err(self.bad()),
            8 | 6 if self.parts.is_empty() && self.month.is_none() => {
                let year = number.len() - 4;
                self.parts.extend([&number[..year], &number[year..year + 2], &number[year + 2..]]);
                self.packed = true;
                Ok(())
            }
            _ => {
                self.parts.push(number);
                Ok(())
            }
        }
    }

    /// `040506`, `040506.789` or `0405`.
    fn packed_time(&mut self, number: &str) -> Result<()> {
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        let (hour, rest) = match whole.len() {
            6 | 4 => whole.split_at(2),
            2 if self.time_follows => (whole, ""),
            _ => return Err(self.bad()),
        };
        let (minute, second) = rest.split_at(rest.len().min(2));
        let fraction = fraction_micros(fraction).ok_or_else(|| self.bad())?;
        let [hour, minute, second] = [hour, minute, second].map(|t| t.parse().unwrap_or(0));
        self.set_time(hour, minute, second, fraction)
    }

    fn word(&mut self, word: &'t str, first: bool) -> Result<()> {
        let lower = word.to_ascii_lowercase();
        match lower.as_str() {
            "epoch" if first => self.moment.special = Some(0),
            "infinity" if first => self.moment.special = Some(i64::MAX),
            "bc" | "ad" if self.before_christ.is_none() => {
                self.before_christ = Some(lower == "bc");
            }
            "am" | "pm" if self.afternoon.is_none() => self.afternoon = Some(lower == "pm"),
            "t" if !self.time_follows => self.time_follows = true,
            "at" | "on" => {}
            "now" | "today" | "yesterday" | "tomorrow" if self.options.now_us.is_some() => {
                return self.relative_day(&lower);
            }
            _ => {
                if let Some(month) = month(word) {
                    if self.month.replace(month).is_some() {
                        return Err(self.bad());
                    }
                } else if !is_weekday(word) {
                    return self.named_zone(word, first);
                }
            }
        }
        Ok(())
    }

    /// The moment that the options bring, or a day beside it, in the session's zone.
    fn relative_day(&mut self, word: &str) -> Result<()> {
        let now_us = self.options.now_us.unwrap_or_default();
        let local_us = self.options.zone().local_us(now_us);
        let today = local_us.div_euclid(DAY_US);
        let day = match word {
            "yesterday" => today - 1,
            "tomorrow" => today + 1,
            _ => today,
        };
        if self.moment.days.replace(day).is_some() {
            return Err(self.bad());
        }
        if word == "now" {
            let offset = (local_us - now_us).div_euclid(1_000_000) as i32;
            let known = self.moment.micros.replace(local_us.rem_euclid(DAY_US)).is_some();
            if known || self.moment.zone.replace(Zone::Fixed(offset)).is_some() {
                return Err(self.bad());
            }
        }
        Ok(())
    }

    fn named_zone(&mut self, word: &str, first: bool) -> Result<()> {
        let known = word.contains(['/', '_']) || word.bytes().any(|b| b.is_ascii_digit());
        let zone = match zone::named(word) {
            Ok(zone) => zone,
            Err(e) if known && !first => return Err(e),
            Err(_) => return Err(self.bad()),
        };
        match self.moment.zone.replace(zone) {
            None => Ok(()),
            Some(_) => Err(self.bad()),
        }
    }

    fn signed(&mut self, signed: &str, first: bool) -> Result<()> {
        let (sign, rest) = signed.split_at(1);
        let rest = rest.trim_start();
        if first && rest.eq_ignore_ascii_case("infinity") {
            self.moment.special = Some(if sign == "-" { i64::MIN } else { i64::MAX });
            return Ok(());
        }
        if self.moment.zone.is_some() || first {
            return Err(self.bad());
        }
        let offset = self.offset(rest)?;
        self.moment.zone = Some(Zone::Fixed(if sign == "-" { -offset } else { offset }));
        Ok(())
    }

    /// Seconds of `05`, `0530`, `05:30` or `05:30:15`.
    fn offset(&self, text: &str) -> Result<i32> {
        let mut parts = text.split(':');
        let first = parts.next().unwrap_or("");
        let packed = !text.contains(':') && (3..=4).contains(&first.len());
        let (hours, minutes) = match packed {
            true => first.split_at(first.len() - 2),
            false => (first, parts.next().unwrap_or("0")),
        };
        let seconds = parts.next().unwrap_or("0");
        if hours.len() > 2 || parts.next().is_some() {
            return Err(self.bad());
        }
        let number = |text: &str| text.parse::<i32>().map_err(|_| self.bad());
        let (hours, minutes, seconds) = (number(hours)?, number(minutes)?, number(seconds)?);
        if hours > 15 || minutes > 59 || seconds > 59 {
            let message = format!("time zone displacement out of range: \"{}\"", shown(self.text));
            return Err(Error::new(ErrorKind::DatetimeOutOfRange, message));
        }
        Ok(hours * 3_600 + minutes * 60 + seconds)
    }

    fn date(&mut self, date: &'t str) -> Result<()> {
        let has_date = self.parts.len() + usize::from(self.month.is_some()) >= 3;
        if let (true, Some((time, _))) = (has_date, date.split_once('-')) {
            // After a date this is a time and its zone: `042503-08`.
            self.packed_time(time)?;
            return self.signed(&date[time.len()..], false);
        }
        let separator = date.find(['-', '/', '.']).map(|at| &date[at..at + 1]);
        let parts: Vec<&str> = date.split(separator.unwrap_or("-")).collect();
        if parts.len() != 3 || !self.parts.is_empty() || self.month.is_some() {
            return Err(self.bad());
        }
        for part in parts {
            match month(part) {
                Some(month) if self.month.is_none() => self.month = Some(month),
                _ if part.bytes().all(|b| b.is_ascii_digit()) && !part.is_empty() => {
                    self.parts.push(part);
                }
                _ => return Err(self.bad()),
            }
        }
        Ok(())
    }

    fn time(&mut self, time: &str) -> Result<()> {
        let (whole, fraction) = match time.split_once('.') {
            Some((whole, fraction)) => (whole, Some(fraction)),
            None => (time, None),
        };
        let parts: Vec<&str> = whole.split(':').collect();
        let numbers = parts.iter().map(|part| self.digits(part)).collect::<Result<Vec<i64>>>()?;
        let micros = fraction_micros(fraction.unwrap_or("")).ok_or_else(|| self.bad())?;
        match numbers[..] {
            [hour, minute, second] => self.set_time(hour, minute, second, micros),
            // As PostgreSQL: two parts with a fraction are minutes and seconds.
            [minute, second] if fraction.is_some() => self.set_time(0, minute, second, micros),
            [hour, minute] => self.set_time(hour, minute, 0, 0),
            _ => Err(self.bad()),
        }
    }

    fn digits(&self, text: &str) -> Result<i64> {
        match text.bytes().all(|b| b.is_ascii_digit()) {
            true if text.is_empty() => Err(self.bad()),
            true => text.parse().map_err(|_| field_out_of_range(self.text)),
            false => Err(self.bad()),
        }
    }

    fn set_time(&mut self, hour: i64, minute: i64, second: i64, fraction: i64) -> Result<()> {
        if hour > 24 || minute > 59 || second > 60 {
            return Err(field_out_of_range(self.text));
        }
        let micros = (hour * 3_600 + minute * 60 + second) * 1_000_000 + fraction;
        if micros > DAY_US {
            return Err(field_out_of_range(self.text));
        }
        self.time_follows = false;
        match self.moment.micros.replace(micros) {
            None => Ok(()),
            Some(_) => Err(self.bad()),
        }
    }

    fn resolve(mut self) -> Result<Moment> {
        if self.moment.special.is_some() {
            return Ok(self.moment);
        }
        if self.time_follows {
            return Err(self.bad());
        }
        if let (Some(afternoon), Some(micros)) = (self.afternoon, self.moment.micros) {
            self.moment.micros = Some(self.half_of_day(micros, afternoon)?);
        } else if self.afternoon.is_some() {
            return Err(self.bad());
        }
        if self.month.is_some() || !self.parts.is_empty() {
            if self.moment.days.is_some() {
                return Err(self.bad());
            }
            let (year, month, day) = self.order()?;
            self.moment.days = Some(self.day(year, month, day)?);
        } else if self.before_christ.is_some() {
            return Err(self.bad());
        }
        Ok(self.moment)
    }

    fn half_of_day(&self, micros: i64, afternoon: bool) -> Result<i64> {
        const HALF: i64 = DAY_US / 2;
        const HOUR: i64 = DAY_US / 24;
        match (micros, afternoon) {
            (HALF.., _) if micros >= HALF + HOUR => Err(field_out_of_range(self.text)),
            (HALF.., false) => Ok(micros - HALF),
            (..HALF, true) => Ok(micros + HALF),
            (HALF.., true) | (..HALF, false) => Ok(micros),
        }
    }

    /// Which part is the year, the month and the day. A part of three digits or more is a year.
    fn order(&self) -> Result<(&'t str, u32, &'t str)> {
        let is_year = |part: &str| part.len() >= 3;
        let number = |part: &str| self.digits(part).map(|n| n.min(100) as u32);
        match (self.month, &self.parts[..]) {
            (Some(month), [a, b]) => match is_year(a) || self.year_is_first() && !is_year(b) {
                true => Ok((a, month, b)),
                false => Ok((b, month, a)),
            },
            (None, [a, b, c]) if self.packed || is_year(a) => Ok((a, number(b)?, c)),
            (None, [a, b, c]) => match self.options.date_order {
                DateOrder::Mdy => Ok((c, number(a)?, b)),
                DateOrder::Dmy => Ok((c, number(b)?, a)),
                DateOrder::Ymd => Ok((a, number(b)?, c)),
            },
            _ => Err(self.bad()),
        }
    }

    fn year_is_first(&self) -> bool {
        self.options.date_order == DateOrder::Ymd
    }

    fn day(&self, year_text: &str, month: u32, day: &str) -> Result<i64> {
        let day = self.digits(day)?;
        let year = match (self.digits(year_text)?, self.before_christ) {
            (0, Some(_)) => return Err(field_out_of_range(self.text)),
            (year, Some(true)) => 1 - year,
            (year, _) if year_text.len() <= 2 => match year {
                ..70 => year + 2_000,
                70.. => year + 1_900,
            },
            (0, None) => return Err(field_out_of_range(self.text)),
            (year, _) => year,
        };
        if !(1..=12).contains(&month) || !(1..=31).contains(&day) {
            return Err(field_out_of_range(self.text)
                .hint("perhaps you need a different \"datestyle\" setting"));
        }
        let day = day as u32;
        if day > days_in_month(year, month) {
            return Err(field_out_of_range(self.text));
        }
        // Any year beyond these is out of every range, as these are.
        let year = year.clamp(-10_000, 10_000_000);
        Ok(days_of(year, month, day))
    }
}

/// The refusal of a text that is no date or time.
pub(super) fn invalid(type_name: &str, text: &[u8]) -> Error {
    let message = format!("invalid input syntax for type {type_name}: \"{}\"", shown(text));
    Error::new(ErrorKind::InvalidDatetime, message)
}

fn field_out_of_range(text: &[u8]) -> Error {
    let message = format!("date/time field value out of range: \"{}\"", shown(text));
    Error::new(ErrorKind::DatetimeOutOfRange, message)
}
