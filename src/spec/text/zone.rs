//! Time zones: their offsets at an instant and at a local time, their names and abbreviations.

use chrono::{DateTime, Offset, TimeZone};
use chrono_tz::{TZ_VARIANTS, Tz};

use super::calendar::{date_of, days_in_month, days_of};
use crate::error::{Error, ErrorKind, Result};

const DAY_S: i64 = 86_400;

/// A zone that a timestamp may name.
#[derive(Clone, Copy)]
pub(super) enum Zone {
    Named(Tz),
    /// Seconds ahead of UTC.
    Fixed(i32),
}

/// A zone by the name SET TimeZone takes, in any case of letters. InvalidValue.
pub fn parse_time_zone(name: &str) -> Result<Tz> {
    find(name).ok_or_else(|| {
        let message = format!("invalid value for parameter \"TimeZone\": \"{name}\"");
        Error::new(ErrorKind::InvalidValue, message)
            .hint("use a name of the IANA database, such as Europe/Berlin or UTC")
    })
}

fn find(name: &str) -> Option<Tz> {
    let exact = name.parse().ok();
    exact.or_else(|| TZ_VARIANTS.into_iter().find(|tz| tz.name().eq_ignore_ascii_case(name)))
}

/// A zone named in a timestamp: an abbreviation or a full name. InvalidValue.
pub(super) fn named(name: &str) -> Result<Zone> {
    let lower = name.to_ascii_lowercase();
    if let Some((_, hours_x4)) = ABBREVIATIONS.iter().find(|(word, _)| *word == lower) {
        return Ok(Zone::Fixed(hours_x4 * 900));
    }
    find(name).map(Zone::Named).ok_or_else(|| {
        let name = super::shown(name.as_bytes());
        Error::new(ErrorKind::InvalidValue, format!("time zone \"{name}\" not recognized"))
    })
}

/// PostgreSQL's usual abbreviations that are one offset always, in quarters of an hour.
const ABBREVIATIONS: [(&str, i32); 41] = [
    ("z", 0),
    ("zulu", 0),
    ("utc", 0),
    ("gmt", 0),
    ("ut", 0),
    ("wet", 0),
    ("est", -20),
    ("edt", -16),
    ("cst", -24),
    ("cdt", -20),
    ("mst", -28),
    ("mdt", -24),
    ("pst", -32),
    ("pdt", -28),
    ("akst", -36),
    ("akdt", -32),
    ("hst", -40),
    ("ast", -16),
    ("adt", -12),
    ("nst", -14),
    ("ndt", -10),
    ("bst", 4),
    ("nzdt", 52),
    ("cet", 4),
    ("met", 4),
    ("cest", 8),
    ("mest", 8),
    ("eet", 8),
    ("eest", 12),
    ("ist", 8),
    ("idt", 12),
    ("sast", 8),
    ("pkt", 20),
    ("sgt", 32),
    ("hkt", 32),
    ("awst", 32),
    ("jst", 36),
    ("kst", 36),
    ("aest", 40),
    ("aedt", 44),
    ("nzst", 48),
];

/// The zone of AT TIME ZONE.
#[derive(Clone, Copy)]
pub struct NamedZone(Zone);

const SECOND_US: i64 = 1_000_000;

impl From<Tz> for NamedZone {
    fn from(tz: Tz) -> NamedZone {
        NamedZone(Zone::Named(tz))
    }
}

impl NamedZone {
    /// By a full name, an abbreviation, or an offset as POSIX counts it: `-2` and `<>-2` are ahead of
    /// UTC.
    ///
    /// # Errors
    /// InvalidValue.
    pub fn parse(name: &str) -> Result<NamedZone> {
        let name = name.trim();
        let behind = name.strip_prefix("<>").unwrap_or(name).parse::<i32>();
        match behind {
            Ok(hours) if hours.abs() <= 24 => Ok(NamedZone(Zone::Fixed(-hours * 3600))),
            _ => named(name).map(NamedZone),
        }
    }

    /// What its clocks show at an instant; both in µs since 1970. Infinities stay.
    pub fn local_us(self, utc_us: i64) -> i64 {
        let offset = match self.0 {
            Zone::Fixed(offset) => offset,
            Zone::Named(tz) => offset_at(tz, utc_us.div_euclid(SECOND_US)),
        };
        shifted(utc_us, i64::from(offset))
    }

    /// The instant at which its clocks show this; both in µs since 1970. Infinities stay.
    pub fn utc_us(self, local_us: i64) -> i64 {
        let offset = offset_of_local(self.0, local_us.div_euclid(SECOND_US));
        shifted(local_us, -i64::from(offset))
    }
}

fn shifted(us: i64, seconds: i64) -> i64 {
    match us {
        i64::MIN | i64::MAX => us,
        us => us.saturating_add(seconds * SECOND_US),
    }
}

/// Seconds that the zone is ahead of UTC at an instant in seconds since 1970.
pub(super) fn offset_at(tz: Tz, utc_s: i64) -> i32 {
    if tz == Tz::UTC {
        return 0;
    }
    let instant = DateTime::from_timestamp(within_tables(utc_s), 0);
    let instant = instant.expect("the tables' years are within chrono's");
    tz.offset_from_utc_datetime(&instant.naive_utc()).fix().local_minus_utc()
}

/// Seconds that the zone is ahead of UTC when its clocks show this time. A time that they skip is
/// read by the offset before; one that they show twice is the second: standard time, as in PostgreSQL.
pub(super) fn offset_of_local(zone: Zone, local_s: i64) -> i32 {
    let tz = match zone {
        Zone::Fixed(offset) => return offset,
        Zone::Named(Tz::UTC) => return 0,
        Zone::Named(tz) => tz,
    };
    let local = DateTime::from_timestamp(within_tables(local_s), 0);
    let local = local.expect("the tables' years are within chrono's").naive_utc();
    match tz.offset_from_local_datetime(&local).latest() {
        Some(offset) => offset.fix().local_minus_utc(),
        // No zone changes twice within a day, and none is further than a day from UTC.
        None => offset_at(tz, local_s - DAY_S),
    }
}

/// The same time in a year that the tables have. Before them a zone has one offset. They end with the 21st century, and rules go by
/// weekday: any year that starts on the same weekday and is as long has the same changes.
fn within_tables(seconds: i64) -> i64 {
    const FIRST: i64 = 2071;
    const END_S: i64 = 4_070_908_800; // 2099-01-01
    const START_S: i64 = -10_000_000_000; // 1653: before any zone changed its clocks
    if seconds < END_S {
        return seconds.max(START_S);
    }
    let days = seconds.div_euclid(DAY_S);
    let (year, _, _) = date_of(days);
    let start = days_of(year, 1, 1);
    let is_alike = |other: &i64| {
        (start - days_of(*other, 1, 1)) % 7 == 0
            && days_in_month(*other, 2) == days_in_month(year, 2)
    };
    let alike = (FIRST..FIRST + 28).find(is_alike).expect("28 years hold every kind of year");
    seconds - (start - days_of(alike, 1, 1)) * DAY_S
}
