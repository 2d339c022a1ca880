//! `to_char(timestamp, text)` with PostgreSQL's patterns; of numbers, see [`super::number_format`].

use std::fmt::Write;
use std::sync::Arc;

use chrono::{Datelike, NaiveDateTime, Offset, TimeZone, Timelike};
use chrono_tz::{OffsetName, Tz};
use datafusion::logical_expr::ScalarUDF;

use super::clock::utc;
use super::facts::SessionFacts;
use super::number_format::format_number;
use super::row_function::RowFunction;
use crate::plan::pg_catalog::cell::Cell;

/// The function of this file.
pub fn functions(facts: &Arc<SessionFacts>) -> Vec<ScalarUDF> {
    let facts = Arc::clone(facts);
    let to_char = RowFunction::new("to_char", &["xt"], "text", move |row| {
        if let (Some(number), Some(picture)) = (row.text(0), row.text(1)) {
            return format_number(number, picture).map(Cell::from);
        }
        let (Some((us, zoned)), Some(pattern)) = (row.timestamp(0), row.text(1)) else {
            return Ok(Cell::Null);
        };
        let time = utc(us)?;
        Ok(match zoned {
            true => Moment::zoned(time, facts.time_zone()),
            false => Moment { time, zone: String::new(), offset_seconds: None },
        }
        .format(pattern)
        .into())
    });
    vec![to_char.into()]
}

/// A civil time and what is known of its zone.
struct Moment {
    time: NaiveDateTime,
    zone: String,
    offset_seconds: Option<i32>,
}

/// The patterns, longest first among those that begin alike.
const PATTERNS: [&str; 53] = [
    "A.M.", "P.M.", "a.m.", "p.m.", "AM", "PM", "am", "pm", "B.C.", "A.D.", "BC", "AD", "bc", "ad",
    "CC", "DAY", "Day", "day", "DDD", "DD", "DY", "Dy", "dy", "D", "FF1", "FF2", "FF3", "FF4",
    "FF5", "FF6", "HH24", "HH12", "HH", "IDDD", "ID", "IW", "IYYY", "J", "MI", "MM", "MONTH",
    "Month", "month", "MON", "Mon", "mon", "MS", "OF", "Q", "SSSSS", "SSSS", "SS", "TZ",
];
const MORE_PATTERNS: [&str; 9] = ["US", "WW", "W", "Y,YYY", "YYYY", "YYY", "YY", "Y", "tz"];

impl Moment {
    fn zoned(time: NaiveDateTime, zone: Tz) -> Moment {
        let local = zone.from_utc_datetime(&time);
        Moment {
            time: local.naive_local(),
            zone: local.offset().abbreviation().unwrap_or_default().to_owned(),
            offset_seconds: Some(local.offset().fix().local_minus_utc()),
        }
    }

    fn format(&self, pattern: &str) -> String {
        let mut out = String::new();
        let mut rest = pattern;
        let mut trimmed = false;
        while !rest.is_empty() {
            if let Some(after) = rest.strip_prefix("FM") {
                (rest, trimmed) = (after, true);
                continue;
            }
            if let Some(quoted) = rest.strip_prefix('"') {
                let end = quoted.find('"').unwrap_or(quoted.len());
                out.push_str(&quoted[..end]);
                rest = quoted.get(end + 1..).unwrap_or_default();
                continue;
            }
            let mut known = PATTERNS.iter().chain(&MORE_PATTERNS);
            let Some(found) = known.find(|p| rest.starts_with(**p)) else {
                let c = rest.chars().next().expect("the rest is not empty");
                out.push(c);
                rest = &rest[c.len_utf8()..];
                continue;
            };
            rest = &rest[found.len()..];
            let mut text = self.field(found);
            if trimmed {
                text = trim(&text).to_owned();
            }
            for suffix in ["TH", "th"] {
                if let Some(after) = rest.strip_prefix(suffix) {
                    rest = after;
                    text.push_str(&ordinal(&text, suffix == "TH"));
                }
            }
            out.push_str(&text);
            trimmed = false;
        }
        out
    }

    fn field(&self, pattern: &str) -> String {
        let t = &self.time;
        let (year, iso) = (t.year(), t.iso_week());
        let hour12 = if t.hour().is_multiple_of(12) { 12 } else { t.hour() % 12 };
        match pattern {
            "YYYY" => format!("{year:04}"),
            "YYY" => format!("{:03}", year.rem_euclid(1000)),
            "YY" => format!("{:02}", year.rem_euclid(100)),
            "Y" => year.rem_euclid(10).to_string(),
            "Y,YYY" => format!("{},{:03}", year.div_euclid(1000), year.rem_euclid(1000)),
            "CC" => format!("{:02}", (year + 99).div_euclid(100)),
            "Q" => ((t.month() - 1) / 3 + 1).to_string(),
            "MM" => format!("{:02}", t.month()),
            "DD" => format!("{:02}", t.day()),
            "DDD" => format!("{:03}", t.ordinal()),
            "D" => (t.weekday().num_days_from_sunday() + 1).to_string(),
            "ID" => t.weekday().number_from_monday().to_string(),
            "IDDD" => format!("{:03}", (iso.week() - 1) * 7 + t.weekday().number_from_monday()),
            "IW" => format!("{:02}", iso.week()),
            "IYYY" => format!("{:04}", iso.year()),
            "WW" => format!("{:02}", (t.ordinal() - 1) / 7 + 1),
            "W" => ((t.day() - 1) / 7 + 1).to_string(),
            "J" => (i64::from(t.date().num_days_from_ce()) + 1_721_425).to_string(),
            "HH24" => format!("{:02}", t.hour()),
            "HH12" | "HH" => format!("{hour12:02}"),
            "MI" => format!("{:02}", t.minute()),
            "SS" => format!("{:02}", t.second()),
            "SSSS" | "SSSSS" => t.num_seconds_from_midnight().to_string(),
            "MS" => format!("{:03}", t.nanosecond() / 1_000_000),
            "US" => format!("{:06}", t.nanosecond() / 1000),
            "TZ" => self.zone.to_uppercase(),
            "tz" => self.zone.to_lowercase(),
            "OF" => self.offset(),
            other => self.word(other),
        }
    }

    /// Names, in the case of the pattern; those of months and days are as wide as the longest.
    fn word(&self, pattern: &str) -> String {
        let (text, padded) = match pattern.to_lowercase().as_str() {
            "month" => (self.time.format("%B").to_string(), true),
            "mon" => (self.time.format("%b").to_string(), false),
            "day" => (self.time.format("%A").to_string(), true),
            "dy" => (self.time.format("%a").to_string(), false),
            "am" | "pm" => (if self.time.hour() < 12 { "Am" } else { "Pm" }.to_owned(), false),
            "a.m." | "p.m." => {
                (if self.time.hour() < 12 { "A.m." } else { "P.m." }.to_owned(), false)
            }
            "bc" | "ad" => (if self.time.year() < 1 { "Bc" } else { "Ad" }.to_owned(), false),
            "b.c." | "a.d." => {
                (if self.time.year() < 1 { "B.c." } else { "A.d." }.to_owned(), false)
            }
            fraction => return self.fraction(fraction),
        };
        let text = if pattern == pattern.to_uppercase() {
            text.to_uppercase()
        } else if pattern == pattern.to_lowercase() {
            text.to_lowercase()
        } else {
            text
        };
        if padded { format!("{text:<9}") } else { text }
    }

    /// `ff1` … `ff6`: that many digits of the second's fraction.
    fn fraction(&self, pattern: &str) -> String {
        let digits: usize = pattern.trim_start_matches("ff").parse().unwrap_or(0);
        let us = format!("{:06}", self.time.nanosecond() / 1000);
        us[..digits.min(6)].to_owned()
    }

    fn offset(&self) -> String {
        let Some(seconds) = self.offset_seconds else {
            return "+00".to_owned();
        };
        let sign = if seconds < 0 { '-' } else { '+' };
        let minutes = seconds.abs() / 60;
        let mut out = format!("{sign}{:02}", minutes / 60);
        if minutes % 60 != 0 {
            write!(out, ":{:02}", minutes % 60).expect("a string takes every write");
        }
        out
    }
}

/// FM: no leading zeros, no trailing spaces.
fn trim(text: &str) -> &str {
    let text = text.trim_end();
    match text.trim_start_matches('0') {
        "" if !text.is_empty() => "0",
        stripped if stripped.len() < text.len() => stripped,
        _ => text,
    }
}

fn ordinal(number: &str, upper: bool) -> String {
    let n: u64 = number.trim().parse().unwrap_or(0);
    let suffix = match (n % 10, n % 100) {
        (_, 11..=13) => "th",
        (1, _) => "st",
        (2, _) => "nd",
        (3, _) => "rd",
        _ => "th",
    };
    if upper { suffix.to_uppercase() } else { suffix.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_read_like_postgres() {
        let time =
            NaiveDateTime::parse_from_str("2024-02-05 15:04:09.012345", "%Y-%m-%d %H:%M:%S%.f");
        let moment = Moment::zoned(time.expect("a time"), Tz::UTC);
        for (pattern, text) in [
            ("YYYY-MM-DD HH24:MI:SS", "2024-02-05 15:04:09"),
            ("FMMM/FMDD/YY HH12:MI AM", "2/5/24 03:04 PM"),
            ("Day, DDth Month YYYY", "Monday   , 05th February  2024"),
            ("FMDay, FMDDth FMMonth YYYY", "Monday, 5th February 2024"),
            ("MON Dy DDD IW IYYY-IDDD Q W WW", "FEB Mon 036 06 2024-036 1 1 06"),
            ("HH24:MI:SS.MS US FF3 SSSS", "15:04:09.012 012345 012 54249"),
            ("\"year\" Y,YYY CC J TZ OF a.m.", "year 2,024 21 2460346 UTC +00 p.m."),
        ] {
            assert_eq!(moment.format(pattern), text, "{pattern}");
        }
    }
}
