//! A date or time as a row of fields: numbers, words, dates, times, zones. What they mean together
//! is for [`datetime`](super::datetime) and [`interval`](super::interval) to say.

/// One field of the text.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Field<'t> {
    /// Digits, perhaps with a point: `19990108`, `1.5`, `.5`
    Number(&'t str),
    /// Letters: `Jan`, `BC`, `T`, `days`; a zone's full name: `America/New_York`, `EST5EDT`
    Word(&'t str),
    /// Parts between `-`, `/` or `.`: `1999-01-08`, `08-Jan-1999`
    Date(&'t str),
    /// Parts between colons: `04:05:06.789`
    Time(&'t str),
    /// A sign and what follows it: `+05:30`, `-3`
    Signed(&'t str),
}

/// The fields of a text, in order; None where a character has no place.
pub(super) struct Fields<'t> {
    rest: &'t str,
}

impl<'t> Fields<'t> {
    pub(super) fn of(text: &'t str) -> Fields<'t> {
        Fields { rest: text }
    }

    /// The next field; Err at a character that has no place in any.
    pub(super) fn next(&mut self) -> Option<Result<Field<'t>, ()>> {
        self.rest = self.rest.trim_start_matches(|c: char| c.is_ascii_whitespace() || c == ',');
        let bytes = self.rest.as_bytes();
        Some(match bytes.first()? {
            b'0'..=b'9' => Ok(self.numeric()),
            b'.' if bytes.get(1).is_some_and(u8::is_ascii_digit) => {
                let length = 1 + run(&bytes[1..], |b| b.is_ascii_digit());
                Ok(Field::Number(self.take(length)))
            }
            b'+' | b'-' => self.signed(),
            b if b.is_ascii_alphabetic() => Ok(self.word()),
            _ => Err(()),
        })
    }

    fn take(&mut self, length: usize) -> &'t str {
        let (field, rest) = self.rest.split_at(length);
        self.rest = rest;
        field
    }

    fn numeric(&mut self) -> Field<'t> {
        let bytes = self.rest.as_bytes();
        let digits = run(bytes, |b| b.is_ascii_digit());
        let follows = |at: usize, wanted: fn(&u8) -> bool| bytes.get(at).is_some_and(wanted);
        match bytes.get(digits) {
            Some(b':') => {
                let length = run(bytes, |b| b.is_ascii_digit() || b == b':' || b == b'.');
                Field::Time(self.take(length))
            }
            Some(b'-' | b'/') if follows(digits + 1, u8::is_ascii_alphanumeric) => {
                Field::Date(self.take(date_length(bytes, bytes[digits])))
            }
            Some(b'.') => {
                let fraction = run(&bytes[digits + 1..], |b| b.is_ascii_digit());
                let end = digits + 1 + fraction;
                if fraction > 0 && bytes.get(end) == Some(&b'.') {
                    let length = run(bytes, |b| b.is_ascii_digit() || b == b'.');
                    return Field::Date(self.take(length));
                }
                Field::Number(self.take(end))
            }
            Some(_) | None => Field::Number(self.take(digits)),
        }
    }

    fn signed(&mut self) -> Result<Field<'t>, ()> {
        let bytes = self.rest.as_bytes();
        let blank = run(&bytes[1..], |b| b == b' ');
        match bytes.get(1 + blank) {
            Some(b'0'..=b'9' | b'.') => {
                let belongs = |b: u8| b.is_ascii_digit() || matches!(b, b':' | b'.' | b'-');
                let length = run(&bytes[1 + blank..], belongs);
                Ok(Field::Signed(self.take(1 + blank + length)))
            }
            Some(b) if b.is_ascii_alphabetic() => {
                let letters = run(&bytes[1 + blank..], |b| b.is_ascii_alphabetic());
                Ok(Field::Signed(self.take(1 + blank + letters)))
            }
            Some(_) | None => Err(()),
        }
    }

    fn word(&mut self) -> Field<'t> {
        let bytes = self.rest.as_bytes();
        let letters = run(bytes, |b| b.is_ascii_alphabetic());
        let word = &self.rest[..letters];
        let name = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'/' | b'_' | b'+' | b'-');
        match bytes.get(letters) {
            Some(b'-' | b'/' | b'.') if month(word).is_some() => {
                Field::Date(self.take(date_length(bytes, bytes[letters])))
            }
            Some(b'/' | b'_') => Field::Word(self.take(run(bytes, name))),
            // EST5EDT
            Some(b'0'..=b'9') if letters >= 3 && is_posix(&bytes[letters..]) => {
                Field::Word(self.take(run(bytes, |b| b.is_ascii_alphanumeric())))
            }
            Some(_) | None => Field::Word(self.take(letters)),
        }
    }
}

/// How far a date goes. A letter behind a digit is not of it: the T or Z of `1999-01-08T04:05Z`.
fn date_length(bytes: &[u8], separator: u8) -> usize {
    let mut digit = false;
    run(bytes, |b| {
        let belongs = b.is_ascii_digit() || b == separator || b.is_ascii_alphabetic() && !digit;
        digit = b.is_ascii_digit();
        belongs
    })
}

fn is_posix(tail: &[u8]) -> bool {
    let digits = run(tail, |b| b.is_ascii_digit());
    digits <= 2 && tail.get(digits).is_some_and(u8::is_ascii_alphabetic)
}

fn run(bytes: &[u8], mut belongs: impl FnMut(u8) -> bool) -> usize {
    bytes.iter().position(|&b| !belongs(b)).unwrap_or(bytes.len())
}

/// The number of a month's name or three letters.
pub(super) fn month(word: &str) -> Option<u32> {
    const MONTHS: [&str; 12] = [
        "january",
        "february",
        "march",
        "april",
        "may",
        "june",
        "july",
        "august",
        "september",
        "october",
        "november",
        "december",
    ];
    if word.eq_ignore_ascii_case("sept") {
        return Some(9);
    }
    let at = MONTHS.iter().position(|m| is_name(word, m))?;
    Some(at as u32 + 1)
}

/// Whether a word is the name of a day of the week, which PostgreSQL reads and ignores.
pub(super) fn is_weekday(word: &str) -> bool {
    const DAYS: [&str; 7] =
        ["sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday"];
    let short = ["tues", "weds", "wednes", "thur", "thurs"];
    DAYS.iter().any(|d| is_name(word, d)) || short.iter().any(|d| word.eq_ignore_ascii_case(d))
}

fn is_name(word: &str, name: &str) -> bool {
    word.eq_ignore_ascii_case(name) || word.eq_ignore_ascii_case(&name[..3])
}

/// µs of a fraction's digits, rounded as PostgreSQL rounds: to even on the binary product.
pub(super) fn fraction_micros(digits: &str) -> Option<i64> {
    if !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    if digits.len() <= 6 {
        let value = digits.bytes().fold(0, |sum, b| sum * 10 + i64::from(b - b'0'));
        return Some(value * 10i64.pow(6 - digits.len() as u32));
    }
    let value: f64 = format!("0.{digits}").parse().ok()?;
    Some((value * 1e6).round_ties_even() as i64)
}
