//! jsonb: JSON rewritten as PostgreSQL shows it. Of equal keys the last is kept, keys are sorted by
//! length and then by bytes, separators are `", "` and `": "`, numbers are as numeric shows them, and no
//! escape is written that is not needed.

use super::json::{Sink, code_unit, read};
use crate::error::{Error, ErrorKind, Result};

/// More digits than these on either side of a number's point are refused, as in numeric.
const WHOLE_DIGITS_MAX: i64 = 131_072;
const FRACTION_DIGITS_MAX: i64 = 16_383;

/// The text of a jsonb.
///
/// # Errors
/// InvalidText, TooComplex; OutOfRange for a number beyond numeric.
pub fn normalise(text: &str) -> Result<String> {
    let mut out =
        Normal { text: String::with_capacity(text.len() + text.len() / 8), open: Vec::new() };
    read(text, &mut out)?;
    Ok(out.text)
}

struct Normal {
    text: String,
    /// Of each open object: where it began, and of each member its key and where its value began.
    open: Vec<(usize, Vec<(String, usize)>)>,
}

impl Sink for Normal {
    fn string(&mut self, raw: &str) -> Result<()> {
        let value = unescape(raw)?;
        write_string(&value, &mut self.text);
        Ok(())
    }

    fn number(&mut self, raw: &str) -> Result<()> {
        write_number(raw, &mut self.text)
    }

    fn word(&mut self, word: &'static str) {
        self.text.push_str(word);
    }

    fn open_array(&mut self) {
        self.text.push('[');
    }

    fn next_item(&mut self, first: bool) {
        if !first {
            self.text.push_str(", ");
        }
    }

    fn close_array(&mut self) {
        self.text.push(']');
    }

    fn open_object(&mut self) {
        self.open.push((self.text.len(), Vec::new()));
    }

    fn key(&mut self, raw: &str) -> Result<()> {
        let place = self.text.len();
        let (_, members) = self.open.last_mut().expect("keys stand in an open object");
        members.push((unescape(raw)?, place));
        Ok(())
    }

    fn close_object(&mut self) {
        let (start, members) = self.open.pop().expect("an object closes after it opened");
        let values = self.text.split_off(start);
        let ends = members.iter().skip(1).map(|(_, place)| place - start);
        let ends: Vec<usize> = ends.chain([values.len()]).collect();
        let mut members: Vec<_> = members.into_iter().zip(ends).collect();
        // A stable sort: of equal keys the last stays last, and is the one kept.
        members.sort_by(|((a, _), _), ((b, _), _)| (a.len(), a).cmp(&(b.len(), b)));
        self.text.push('{');
        for (i, ((key, place), end)) in members.iter().enumerate() {
            if members.get(i + 1).is_some_and(|((next, _), _)| next == key) {
                continue;
            }
            if self.text.len() > start + 1 {
                self.text.push_str(", ");
            }
            write_string(key, &mut self.text);
            self.text.push_str(": ");
            self.text.push_str(&values[place - start..*end]);
        }
        self.text.push('}');
    }
}

pub(super) fn unescape(raw: &str) -> Result<String> {
    let mut value = String::with_capacity(raw.len());
    let mut at = 0;
    while let Some(step) = memchr::memchr(b'\\', &raw.as_bytes()[at..]) {
        value.push_str(&raw[at..at + step]);
        at += step;
        match raw.as_bytes()[at + 1] {
            b'b' => value.push('\u{8}'),
            b'f' => value.push('\u{c}'),
            b'n' => value.push('\n'),
            b'r' => value.push('\r'),
            b't' => value.push('\t'),
            b'u' => {
                let (character, units) = unicode(raw, at)?;
                value.push(character);
                at += 6 * units;
                continue;
            }
            other => value.push(other as char),
        }
        at += 2;
    }
    value.push_str(&raw[at..]);
    Ok(value)
}

/// The character at a `\u`, and of how many units it is. Half a pair and NUL are refused.
fn unicode(raw: &str, at: usize) -> Result<(char, usize)> {
    let bad = |detail: &str| {
        Error::new(ErrorKind::InvalidText, "invalid input syntax for type json").detail(detail)
    };
    let first = code_unit(raw, at).expect("the reader has checked the escape");
    match first {
        0 => Err(Error::new(ErrorKind::InvalidText, "unsupported Unicode escape sequence")
            .detail("\\u0000 cannot be converted to text")),
        0xD800..0xDC00 => {
            let second = code_unit(raw, at + 6).filter(|unit| (0xDC00..0xE000).contains(unit));
            let low = second.ok_or_else(|| bad("unicode low surrogate must follow a high one"))?;
            let code = 0x10000 + ((first - 0xD800) << 10) + (low - 0xDC00);
            let character = char::from_u32(code).expect("a pair of surrogates is a character");
            Ok((character, 2))
        }
        _ => match char::from_u32(first) {
            Some(character) => Ok((character, 1)),
            None => Err(bad("unicode low surrogate must follow a high one")),
        },
    }
}

pub(super) fn write_string(value: &str, out: &mut String) {
    out.push('"');
    for c in value.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\0'..' ' => out.push_str(&format!("\\u{:04x}", c as u32)),
            _ => out.push(c),
        }
    }
    out.push('"');
}

/// A number as numeric shows it: without exponent, with the decimals it was written with.
fn write_number(raw: &str, out: &mut String) -> Result<()> {
    let (negative, digits) = match raw.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, raw),
    };
    let (mantissa, exponent) = digits.split_once(['e', 'E']).unwrap_or((digits, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let beyond = || Error::new(ErrorKind::OutOfRange, "value overflows numeric format");
    let exponent: i64 = exponent.parse().map_err(|_| beyond())?;
    let point = whole.len() as i64 + exponent.clamp(-1_000_000, 1_000_000);
    let decimals = fraction.len() as i64 - exponent.clamp(-1_000_000, 1_000_000);
    if point > WHOLE_DIGITS_MAX || decimals > FRACTION_DIGITS_MAX {
        return Err(beyond());
    }
    let digits = [whole, fraction].concat();
    let zero = digits.bytes().all(|b| b == b'0');
    if negative && !zero {
        out.push('-');
    }
    let digit = |place: i64| usize::try_from(place).ok().and_then(|p| digits.as_bytes().get(p));
    let mut push = |place| out.push(digit(place).map_or('0', |&b| b as char));
    let first = (0..point).find(|&p| digit(p).is_some_and(|&b| b != b'0'));
    match first {
        Some(first) => (first..point).for_each(&mut push),
        None => push(-1),
    }
    if decimals > 0 {
        out.push('.');
        let mut push = |place| out.push(digit(place).map_or('0', |&b| b as char));
        (point..point + decimals).for_each(&mut push);
    }
    Ok(())
}
