//! numeric with a fixed scale, as unscaled 128-bit integers.

use super::integer::write_u64;
use super::{invalid, trim};
use crate::error::Result;
use crate::spec::column::Decimals;
use crate::spec::column::check::{self, POWERS_OF_TEN};

pub(super) fn write(decimals: &Decimals<'_>, row: usize, out: &mut Vec<u8>) {
    let scale = decimals.scale();
    match decimals.get(row) {
        Some(value) => write_small(value, scale, out),
        None => {
            let (digits, negative) = decimals.wide(row);
            if negative {
                out.push(b'-');
            }
            write_digits(digits.as_bytes(), scale, out);
        }
    }
}

fn write_small(value: i128, scale: i8, out: &mut Vec<u8>) {
    if value < 0 {
        out.push(b'-');
    }
    let magnitude = value.unsigned_abs();
    match u64::try_from(magnitude) {
        Ok(magnitude) if (0..19).contains(&scale) => {
            let unit = 10u64.pow(scale as u32);
            write_u64(magnitude / unit, out);
            if scale > 0 {
                // A one before the decimals keeps their leading zeros; the point takes its place.
                let point = out.len();
                write_u64(unit + magnitude % unit, out);
                out[point] = b'.';
            }
        }
        Ok(_) | Err(_) => write_digits(magnitude.to_string().as_bytes(), scale, out),
    }
}

fn write_digits(digits: &[u8], scale: i8, out: &mut Vec<u8>) {
    if scale <= 0 {
        out.extend_from_slice(digits);
        if digits != b"0" {
            out.resize(out.len() + usize::from(scale.unsigned_abs()), b'0');
        }
        return;
    }
    let scale = scale as usize;
    let whole = digits.len().saturating_sub(scale);
    out.extend_from_slice(if whole == 0 { b"0" } else { &digits[..whole] });
    out.push(b'.');
    out.resize(out.len() + scale.saturating_sub(digits.len()), b'0');
    out.extend_from_slice(&digits[whole..]);
}

/// The unscaled value at (precision, scale), rounded half away from zero. InvalidText, OutOfRange.
pub(super) fn parse(text: &[u8], precision: u8, scale: i8) -> Result<i128> {
    let trimmed = trim(text);
    let (negative, unsigned) = match trimmed {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        rest => (false, rest),
    };
    let Some((digits, exponent)) = split_exponent(unsigned) else {
        return Err(special(unsigned).unwrap_or_else(|| invalid("numeric", text)));
    };
    let whole = memchr::memchr(b'.', digits).unwrap_or(digits.len());
    // The exponent that the first digit has in the unscaled number.
    let mut place = (whole as i64 - 1).saturating_add(exponent).saturating_add(scale.into());
    let mut sum = Some(0i128);
    let mut seen = false;
    for (at, &b) in digits.iter().enumerate() {
        let digit = b.wrapping_sub(b'0');
        if digit > 9 {
            if at == whole {
                continue;
            }
            return Err(invalid("numeric", text));
        }
        seen = true;
        sum = match place {
            0.. => sum.and_then(|s| s.checked_mul(10)?.checked_add(digit.into())),
            -1 => sum.and_then(|s| s.checked_add(i128::from(digit >= 5))),
            ..=-2 => sum,
        };
        place = place.saturating_sub(1);
    }
    if !seen {
        return Err(invalid("numeric", text));
    }
    let zeros = place.saturating_add(1);
    if zeros > 0 && sum != Some(0) {
        let power = usize::try_from(zeros).ok().and_then(|zeros| POWERS_OF_TEN.get(zeros));
        sum = sum.zip(power).and_then(|(sum, power)| sum.checked_mul(*power));
    }
    let value = check::precision(sum, precision, scale)?;
    Ok(if negative { -value } else { value })
}

/// The digits before an `e` and the number after it; None where either is malformed.
fn split_exponent(text: &[u8]) -> Option<(&[u8], i64)> {
    let Some(at) = memchr::memchr2(b'e', b'E', text) else {
        return text.iter().any(u8::is_ascii_digit).then_some((text, 0));
    };
    let (digits, exponent) = (&text[..at], &text[at + 1..]);
    let (negative, exponent) = match exponent {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        rest => (false, rest),
    };
    if exponent.is_empty() || !exponent.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let value = exponent.iter().fold(0i64, |sum, b| {
        sum.saturating_mul(10).saturating_add(i64::from(b - b'0')).min(1_000_000)
    });
    Some((digits, if negative { -value } else { value }))
}

fn special(unsigned: &[u8]) -> Option<crate::error::Error> {
    ["NaN", "Infinity", "inf"]
        .into_iter()
        .find(|name| unsigned.eq_ignore_ascii_case(name.as_bytes()))
        .map(check::numeric_special)
}
