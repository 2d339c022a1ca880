//! real and double precision: the shortest text that reads back as the same number.

use std::io::Write;

use super::integer::write_u64;
use super::{invalid, shown, trim};
use crate::error::{Error, ErrorKind, Result};

/// How a width of float is shown: PostgreSQL leaves fixed point where C's printf would.
struct Form {
    /// Significant digits under extra_float_digits = 0.
    digits: i32,
    /// The first decimal exponent shown with an `e`.
    exponent_from: i32,
}

const FLOAT4: Form = Form { digits: 6, exponent_from: 6 };
const FLOAT8: Form = Form { digits: 15, exponent_from: 15 };

/// A double precision number. InvalidText or OutOfRange.
pub fn parse_float8(text: &[u8]) -> Result<f64> {
    let value = parse::<f64>(text, "double precision")?;
    match is_lost(value == 0.0, value.is_infinite(), text) {
        true => Err(out_of_range(text, "double precision")),
        false => Ok(value),
    }
}

pub(super) fn parse_float4(text: &[u8]) -> Result<f32> {
    let value = parse::<f32>(text, "real")?;
    match is_lost(value == 0.0, value.is_infinite(), text) {
        true => Err(out_of_range(text, "real")),
        false => Ok(value),
    }
}

fn parse<T: std::str::FromStr>(text: &[u8], type_name: &str) -> Result<T> {
    let number = std::str::from_utf8(trim(text)).ok().and_then(|t| t.parse().ok());
    number.ok_or_else(|| invalid(type_name, text))
}

/// Whether a number became zero or infinite without its text saying so.
fn is_lost(zero: bool, infinite: bool, text: &[u8]) -> bool {
    let mantissa = || text.iter().take_while(|b| !matches!(b, b'e' | b'E'));
    match (zero, infinite) {
        (false, false) => false,
        (true, _) => mantissa().any(|b| matches!(b, b'1'..=b'9')),
        (_, true) => text.iter().any(u8::is_ascii_digit),
    }
}

fn out_of_range(text: &[u8], type_name: &str) -> Error {
    let message = format!("\"{}\" is out of range for type {type_name}", shown(text));
    Error::new(ErrorKind::OutOfRange, message)
}

pub(super) fn write_f64(value: f64, extra_float_digits: i32, out: &mut Vec<u8>) {
    if write_special(value, out) {
        return;
    }
    if extra_float_digits <= 0 {
        return write_rounded(value, &FLOAT8, extra_float_digits, out);
    }
    let reads_back = |short: f64| short == value.abs();
    if !write_short(value, 1e15, reads_back, out) {
        let rounded = |places| {
            let text = format!("{value:.places$e}");
            (text.parse() == Ok(value)).then_some(text)
        };
        write_shortest(format!("{value:e}"), bits64(value), &FLOAT8, rounded, out);
    }
}

pub(super) fn write_f32(value: f32, extra_float_digits: i32, out: &mut Vec<u8>) {
    if write_special(value.into(), out) {
        return;
    }
    if extra_float_digits <= 0 {
        return write_rounded(value.into(), &FLOAT4, extra_float_digits, out);
    }
    let reads_back = |short: f64| short as f32 == value.abs();
    if !write_short(value.into(), 1e6, reads_back, out) {
        let rounded = |places| {
            let text = format!("{value:.places$e}");
            (text.parse() == Ok(value)).then_some(text)
        };
        write_shortest(format!("{value:e}"), bits32(value), &FLOAT4, rounded, out);
    }
}

fn write_special(value: f64, out: &mut Vec<u8>) -> bool {
    let text: &[u8] = match value {
        v if v.is_nan() => b"NaN",
        f64::INFINITY => b"Infinity",
        f64::NEG_INFINITY => b"-Infinity",
        v if v == 0.0 && v.is_sign_negative() => b"-0",
        0.0 => b"0",
        _ => return false,
    };
    out.extend_from_slice(text);
    true
}

/// Writes a number that is a few decimals long, as measured things are; false where it is not.
///
/// A number of at most 15 digits (real: 6) has no other text that short, so the first count of
/// decimals that reads back is the shortest. Both n and 10^k are exact: n / 10^k rounds once, and the
/// second rounding to real is of a quotient that cannot be so near to a middle as to change it.
fn write_short(
    value: f64,
    limit: f64,
    reads_back: impl Fn(f64) -> bool,
    out: &mut Vec<u8>,
) -> bool {
    let magnitude = value.abs();
    if !(1e-4..limit).contains(&magnitude) {
        return false;
    }
    let mut unit = 1.0;
    for decimals in 0..8u32 {
        let scaled = (magnitude * unit).round();
        if scaled >= limit {
            return false;
        }
        if reads_back(scaled / unit) {
            if value < 0.0 {
                out.push(b'-');
            }
            let (number, unit) = (scaled as u64, 10u64.pow(decimals));
            write_u64(number / unit, out);
            if decimals > 0 {
                // A one before the decimals keeps their leading zeros; the point takes its place.
                let point = out.len();
                write_u64(unit + number % unit, out);
                out[point] = b'.';
            }
            return true;
        }
        unit *= 10.0;
    }
    false
}

/// The odd significand × 2 ± 1 (the middle to the next number) and its power of two.
type Middle = [(u64, i32); 2];

fn bits64(value: f64) -> Middle {
    let bits = value.to_bits();
    let (fraction, exponent) = (bits & ((1 << 52) - 1), (bits >> 52 & 0x7ff) as i32);
    middles(fraction, exponent, 52, 1075)
}

fn bits32(value: f32) -> Middle {
    let bits = value.to_bits();
    let (fraction, exponent) = (bits & ((1 << 23) - 1), (bits >> 23 & 0xff) as i32);
    middles(fraction.into(), exponent, 23, 150)
}

fn middles(fraction: u64, exponent: i32, width: u32, bias: i32) -> Middle {
    let (significand, power) = match exponent {
        0 => (fraction, 1 - bias),
        _ => (fraction | 1 << width, exponent - bias),
    };
    [(significand * 2 - 1, power - 1), (significand * 2 + 1, power - 1)]
}

/// Writes the shortest digits, ties among them to even, but not digits that stand exactly between two
/// numbers: those read back only by the rule for ties, which PostgreSQL does not rely on.
fn write_shortest(
    shortest: String,
    middles: Middle,
    form: &Form,
    rounded: impl Fn(usize) -> Option<String>,
    out: &mut Vec<u8>,
) {
    let (mantissa, _) = shortest.split_once('e').expect("{:e} writes an exponent");
    let places = mantissa.split_once('.').map_or(0, |(_, after)| after.len());
    let sound = |text: &String| !is_middle(text, &middles);
    let text = match is_middle(&shortest, &middles) {
        false => rounded(places).filter(sound).unwrap_or(shortest),
        true => (places..18).filter_map(rounded).find(sound).unwrap_or(shortest),
    };
    let (mantissa, exponent) = text.split_once('e').expect("{:e} writes an exponent");
    let exponent: i32 = exponent.parse().expect("{:e} writes a number as the exponent");
    let (sign, mantissa) = match mantissa.strip_prefix('-') {
        Some(rest) => ("-", rest),
        None => ("", mantissa),
    };
    let digits: Vec<u8> = mantissa.bytes().filter(|&b| b != b'.').collect();
    out.extend_from_slice(sign.as_bytes());
    lay_out(&digits, exponent, form.exponent_from, out);
}

/// Whether digits × 10^e equals one of the middles exactly: compares their odd parts, which decide
/// since the magnitudes are equal already to a few units in the last place.
fn is_middle(text: &str, middles: &Middle) -> bool {
    let Some((mantissa, exponent)) = text.split_once('e') else { return false };
    let decimals = mantissa.split_once('.').map_or(0, |(_, after)| after.len() as i32);
    let digits = mantissa.bytes().filter(u8::is_ascii_digit);
    let digits = digits.fold(0u128, |sum, b| sum * 10 + u128::from(b - b'0'));
    let Ok(exponent) = exponent.parse::<i32>() else { return false };
    let power = exponent - decimals;
    // 5^24 and 5^-25 exceed what 54 bits times a short decimal can meet.
    if digits == 0 || !(-24..24).contains(&power) {
        return false;
    }
    let fives = 5u128.pow(power.unsigned_abs());
    middles.iter().any(|&(odd, two)| {
        let (left, right) = match power >= 0 {
            true => (digits.checked_mul(fives), Some(u128::from(odd))),
            false => (Some(digits), u128::from(odd).checked_mul(fives)),
        };
        let (Some(left), Some(right)) = (left, right) else { return false };
        let twos = left.trailing_zeros() as i32;
        left >> twos == right && twos + power == two
    })
}

/// Digits d.ddd × 10^exponent as C's %g lays them out.
fn lay_out(digits: &[u8], exponent: i32, exponent_from: i32, out: &mut Vec<u8>) {
    if !(-4..exponent_from).contains(&exponent) {
        out.push(digits[0]);
        if digits.len() > 1 {
            out.push(b'.');
            out.extend_from_slice(&digits[1..]);
        }
        out.extend_from_slice(if exponent < 0 { b"e-" } else { b"e+" });
        write!(out, "{:02}", exponent.unsigned_abs()).expect("a Vec takes every byte");
    } else if exponent < 0 {
        out.extend_from_slice(b"0.");
        out.resize(out.len() + (-exponent - 1) as usize, b'0');
        out.extend_from_slice(digits);
    } else {
        let whole = exponent as usize + 1;
        out.extend_from_slice(&digits[..whole.min(digits.len())]);
        if digits.len() > whole {
            out.push(b'.');
            out.extend_from_slice(&digits[whole..]);
        } else {
            out.resize(out.len() + whole - digits.len(), b'0');
        }
    }
}

/// Writes what C's %.*g would.
fn write_rounded(value: f64, form: &Form, extra_float_digits: i32, out: &mut Vec<u8>) {
    let count = (form.digits + extra_float_digits).max(1);
    let text = format!("{:.*e}", count as usize - 1, value.abs());
    let (mantissa, exponent) = text.split_once('e').expect("{:e} writes an exponent");
    let exponent: i32 = exponent.parse().expect("{:e} writes a number as the exponent");
    let mut digits: Vec<u8> = mantissa.bytes().filter(|&b| b != b'.').collect();
    while digits.len() > 1 && digits.last() == Some(&b'0') {
        digits.pop();
    }
    if value < 0.0 {
        out.push(b'-');
    }
    lay_out(&digits, exponent, count, out);
}
