//! Numbers as text, by PostgreSQL's pictures: what `to_char(number, text)` writes.

use super::number_picture::{Anchor, Picture, Piece};
use super::row_function::check_length;
use crate::error::Result;

/// A number in decimal digits, without leading zeros but for one before the point.
pub(super) struct Digits {
    pub(super) negative: bool,
    pub(super) whole: String,
    pub(super) fraction: String,
}

impl Digits {
    /// Reads what PostgreSQL writes for a number; None for NaN and the infinities.
    pub(super) fn of(text: &str) -> Option<Digits> {
        let (negative, text) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let (mantissa, exponent) = match text.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, exponent.parse::<i64>().ok()?),
            None => (text, 0),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let digits = format!("{whole}{fraction}");
        if digits.is_empty() || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
            return None;
        }
        let point = whole.len() as i64 + exponent;
        let (whole, fraction) = match usize::try_from(point) {
            Ok(point) if point <= digits.len() => {
                (digits[..point].to_owned(), digits[point..].to_owned())
            }
            Ok(point) => (format!("{digits:0<point$}"), String::new()),
            Err(_) => {
                let zeros = "0".repeat(point.unsigned_abs() as usize);
                (String::new(), format!("{zeros}{digits}"))
            }
        };
        Some(Digits { negative, whole: plain(&whole), fraction })
    }

    /// Times a power of ten, then rounded to so many digits behind the point, halves away from zero.
    pub(super) fn rounded(mut self, shift: usize, places: usize) -> Digits {
        let moved: String = (0..shift).map(|at| digit(&self.fraction, at)).collect();
        self.fraction = self.fraction.get(shift..).unwrap_or_default().to_owned();
        self.whole.push_str(&moved);
        let up = self.fraction.as_bytes().get(places).is_some_and(|digit| *digit >= b'5');
        let kept: String = (0..places).map(|at| digit(&self.fraction, at)).collect();
        let mut digits = format!("0{}{kept}", self.whole).into_bytes();
        if up {
            for digit in digits.iter_mut().rev() {
                match *digit {
                    b'9' => *digit = b'0',
                    _ => {
                        *digit += 1;
                        break;
                    }
                }
            }
        }
        let point = digits.len() - places;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let (whole, fraction) = (plain(&text(&digits[..point])), text(&digits[point..]));
        let is_zero = whole.bytes().chain(fraction.bytes()).all(|digit| digit == b'0');
        Digits { negative: self.negative && !is_zero, whole, fraction }
    }
}

fn digit(digits: &str, at: usize) -> char {
    digits.as_bytes().get(at).map_or('0', |digit| char::from(*digit))
}

fn plain(whole: &str) -> String {
    let digits = whole.trim_start_matches('0');
    if digits.is_empty() { "0".to_owned() } else { digits.to_owned() }
}

/// `to_char`: a number, as its text, by a picture.
///
/// # Errors
/// Syntax for a picture that is none; LimitExceeded.
pub fn format_number(number: &str, picture: &str) -> Result<String> {
    check_length(picture.len())?;
    let picture = Picture::parse(picture)?;
    let Some(digits) = Digits::of(number) else {
        return Ok(special(number, &picture));
    };
    if let Some(is_upper) = picture.roman {
        let roman = roman(&digits.rounded(0, 0));
        let roman = if is_upper { roman } else { roman.to_lowercase() };
        return Ok(if picture.is_tight { roman } else { format!("{roman:>15}") });
    }
    if picture.scientific {
        return Ok(scientific(&digits, picture.fraction));
    }
    let rounded = digits.rounded(picture.shift, picture.fraction);
    Ok(Writer::new(&picture, &rounded).write())
}

/// NaN and the infinities fit no digits.
fn special(number: &str, picture: &Picture) -> String {
    let hashes = |count: usize| "#".repeat(count);
    match picture.roman {
        Some(_) => format!("{:>15}", hashes(15)),
        None if number == "NaN" && !picture.has_point => format!(" {number:>0$}", picture.whole),
        None => match picture.has_point {
            true => format!(" {}.{}", hashes(picture.whole), hashes(picture.fraction)),
            false => format!(" {}", hashes(picture.whole)),
        },
    }
}

fn roman(number: &Digits) -> String {
    const VALUES: [(u32, &str); 13] = [
        (1000, "M"),
        (900, "CM"),
        (500, "D"),
        (400, "CD"),
        (100, "C"),
        (90, "XC"),
        (50, "L"),
        (40, "XL"),
        (10, "X"),
        (9, "IX"),
        (5, "V"),
        (4, "IV"),
        (1, "I"),
    ];
    let mut left = match number.whole.parse::<u32>() {
        Ok(value @ 1..=3999) if !number.negative => value,
        _ => return "#".repeat(15),
    };
    let mut out = String::new();
    for (value, letters) in VALUES {
        while left >= value {
            out.push_str(letters);
            left -= value;
        }
    }
    out
}

fn scientific(number: &Digits, places: usize) -> String {
    let all = format!("{}{}", number.whole, number.fraction);
    let first = all.bytes().position(|digit| digit != b'0');
    let mut exponent = match first {
        Some(first) => number.whole.len() as i64 - 1 - first as i64,
        None => 0,
    };
    let first = first.unwrap_or(0);
    let mantissa = Digits {
        negative: number.negative,
        whole: all[first..=first].to_owned(),
        fraction: all[first + 1..].to_owned(),
    };
    let mut mantissa = mantissa.rounded(0, places);
    if mantissa.whole.len() > 1 {
        exponent += 1;
        mantissa.fraction = "0".repeat(places);
    }
    let sign = if number.negative { '-' } else { ' ' };
    let point = if places > 0 { "." } else { "" };
    let (whole, fraction) = (&mantissa.whole[..1], &mantissa.fraction);
    let exponent_sign = if exponent < 0 { '-' } else { '+' };
    format!("{sign}{whole}{point}{fraction}e{exponent_sign}{:02}", exponent.abs())
}

/// A number on its way into its picture.
struct Writer<'a> {
    picture: &'a Picture,
    negative: bool,
    /// The digits with their point, or `#` in the place of all of them.
    number: Vec<u8>,
    /// The next of them.
    next: usize,
    /// Places of the picture that come before the number, and those that were filled.
    blanks: usize,
    filled: usize,
    /// Places in all, sign included where it takes one.
    places: usize,
    /// The last of `number` that a tight picture shows.
    last: Option<usize>,
    anchor: Option<Anchor>,
    brackets: bool,
    sign_written: bool,
    /// Whether a digit was written by the piece before.
    in_number: bool,
    out: String,
}

impl<'a> Writer<'a> {
    fn new(picture: &'a Picture, digits: &Digits) -> Writer<'a> {
        let places = picture.whole + picture.shift;
        let overflows = digits.whole.len() > places;
        let mut number = match overflows {
            true => vec![b'#'; places],
            false => digits.whole.clone().into_bytes(),
        };
        let blanks = places - number.len();
        if picture.fraction > 0 || overflows {
            number.push(b'.');
            match overflows {
                true => number.extend(vec![b'#'; picture.fraction]),
                false => number.extend(digits.fraction.bytes()),
            }
        }
        let separate = picture.has_plus || picture.has_minus;
        let anchor = match picture.anchored {
            // `999S` is behind all digits.
            Some(_) if picture.before_sign == picture.whole => Some(Anchor::After),
            anchor => anchor,
        };
        let tight_plus = !digits.negative && picture.is_tight && picture.anchored.is_none();
        let sign_written = match separate {
            true => picture.has_minus,
            false => tight_plus,
        };
        let mut writer = Writer {
            picture,
            negative: digits.negative,
            last: last_shown(picture, &number, blanks),
            number,
            next: 0,
            blanks,
            filled: 0,
            places: places + picture.fraction - 1.min(places + picture.fraction),
            anchor,
            brackets: picture.brackets && (separate || digits.negative || !picture.is_tight),
            sign_written,
            in_number: false,
            out: String::new(),
        };
        if !writer.sign_written && blanks == 0 {
            writer.places += 1;
        }
        writer
    }

    fn write(mut self) -> String {
        let sign = if self.negative { '-' } else { '+' };
        let tight = self.picture.is_tight;
        for piece in &self.picture.pieces {
            match piece {
                Piece::Digit | Piece::Zero | Piece::Point => self.place(*piece == Piece::Zero),
                Piece::Group if self.in_number => self.out.push(','),
                Piece::Minus if self.negative => self.out.push('-'),
                Piece::Plus if !self.negative => self.out.push('+'),
                Piece::Group | Piece::Minus | Piece::Plus if tight => {}
                Piece::Group | Piece::Minus | Piece::Plus | Piece::Currency => self.out.push(' '),
                Piece::Sign => self.out.push(sign),
                Piece::Ordinal(is_upper) => self.ordinal(*is_upper),
                Piece::Text(text) => self.out.push_str(text),
            }
        }
        self.out
    }

    fn is_at_point(&self, at: Option<usize>) -> bool {
        at.is_some_and(|at| self.number.get(at) == Some(&b'.'))
    }

    /// The zero before the point of `9.9`, which is a blank.
    fn is_blank_zero(&self) -> bool {
        self.picture.first_zero.is_none()
            && self.next == 0
            && self.number.first() == Some(&b'0')
            && self.picture.fraction > 0
    }

    /// One digit, blank or point.
    fn place(&mut self, is_zero: bool) {
        self.in_number = false;
        let from_zero = self.picture.first_zero.is_some_and(|first| first <= self.filled);
        let begins = self.filled >= self.blanks || self.picture.first_zero == Some(self.filled);
        if !self.sign_written && begins && (!self.is_blank_zero() || self.is_at_point(self.last)) {
            self.sign_before();
        }
        if self.filled < self.blanks {
            match from_zero {
                true => {
                    self.out.push('0');
                    self.in_number = true;
                }
                false if !self.picture.is_tight => self.out.push(' '),
                false => {}
            }
        } else {
            self.digit(is_zero);
        }
        let point = usize::from(self.picture.has_point);
        let mut end = self.places + usize::from(self.blanks > 0) + point;
        if self.last == Some(self.next) {
            end = self.filled;
        }
        if self.filled + 1 == end {
            self.sign_after();
        }
        self.filled += 1;
    }

    fn digit(&mut self, is_zero: bool) {
        match self.number.get(self.next) {
            Some(b'.') => self.out.push('.'),
            Some(_) if self.last.is_some_and(|last| self.next > last) && !is_zero => {}
            Some(_) if self.is_blank_zero() => match self.picture.is_tight {
                false => self.out.push(' '),
                // `FM9.9` of 0 is `0.`
                true if self.is_at_point(self.last) => self.out.push('0'),
                true => {}
            },
            Some(digit) => {
                self.out.push(char::from(*digit));
                self.in_number = true;
            }
            None => return,
        }
        self.next += 1;
    }

    fn sign_before(&mut self) {
        let (negative, tight) = (self.negative, self.picture.is_tight);
        match (self.anchor, negative) {
            (Some(Anchor::Before), true) => self.out.push('-'),
            (Some(Anchor::Before), false) => self.out.push('+'),
            (Some(Anchor::After), _) => return,
            (None, true) if self.brackets => self.out.push('<'),
            (None, true) => self.out.push('-'),
            (None, false) if self.brackets || !tight => self.out.push(' '),
            (None, false) => {}
        }
        self.sign_written = true;
    }

    fn sign_after(&mut self) {
        match (self.anchor, self.negative) {
            (Some(Anchor::After), true) => self.out.push('-'),
            (Some(Anchor::After), false) => self.out.push('+'),
            (None, true) if self.brackets && self.sign_written => self.out.push('>'),
            (None, false) if self.brackets && self.sign_written => self.out.push(' '),
            _ => {}
        }
    }

    fn ordinal(&mut self, is_upper: bool) {
        if self.negative || self.picture.has_point || self.number.first() == Some(&b'#') {
            return;
        }
        let teens = self.number.len() > 1 && self.number[self.number.len() - 2] == b'1';
        let ending = match self.number.last() {
            Some(b'1') if !teens => "st",
            Some(b'2') if !teens => "nd",
            Some(b'3') if !teens => "rd",
            _ => "th",
        };
        match is_upper {
            true => self.out.push_str(&ending.to_uppercase()),
            false => self.out.push_str(ending),
        }
    }
}

/// In a tight picture zeros at the end are not shown, but where a `0` stands.
fn last_shown(picture: &Picture, number: &[u8], blanks: usize) -> Option<usize> {
    if !picture.is_tight || !picture.has_point {
        return None;
    }
    let point = number.iter().position(|digit| *digit == b'.')?;
    let digits = number.iter().enumerate().skip(point + 1);
    let last = digits.filter(|(_, digit)| **digit != b'0').map(|(at, _)| at).next_back();
    let kept = picture.last_zero.saturating_sub(blanks).min(number.len() - 1);
    Some(last.unwrap_or(point).max(if picture.last_zero > blanks { kept } else { 0 }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_are_postgresqls() {
        for (number, picture, text) in [
            ("-125.8", "999D99S", "125.80-"),
            ("-0.1", "99.99", "  -.10"),
            ("12", "FM9990999.9", "0012."),
            ("3148.5", "9G999D999", " 3,148.500"),
            ("-485", "9SG99", "4-85"),
            ("485.8", "\"Pre:\"999\" Post:\" .999", "Pre: 485 Post: .800"),
            ("1e10", "99999999999", " 10000000000"),
            ("1234567", "999", " ###"),
            ("0.0004859", "9.99EEEE", " 4.86e-04"),
        ] {
            assert_eq!(format_number(number, picture).unwrap(), text, "{number} {picture}");
        }
    }
}
