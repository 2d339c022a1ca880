//! numeric: number of digits, weight of the first, sign, scale shown, then digits in base 10000.

use super::build::wrong;
use crate::error::Result;
use crate::spec::column::Decimals;
use crate::spec::column::check::{self, POWERS_OF_TEN};

const NEGATIVE: u16 = 0x4000;
const NAN: u16 = 0xC000;
const INFINITY: u16 = 0xD000;
const MINUS_INFINITY: u16 = 0xF000;

pub(super) fn write(decimals: &Decimals<'_>, row: usize, out: &mut Vec<u8>) {
    let scale = decimals.scale();
    match decimals.get(row) {
        Some(value) => write_small(value, scale, out),
        None => {
            let (digits, negative) = decimals.wide(row);
            let digits = digits.bytes().map(|b| b - b'0').collect::<Vec<u8>>();
            write_digits(&digits, negative, scale, out);
        }
    }
}

fn write_small(value: i128, scale: i8, out: &mut Vec<u8>) {
    let mut rest = value.unsigned_abs();
    let mut digits = [0u8; 39];
    let mut start = digits.len();
    while rest > 0 {
        start -= 1;
        digits[start] = (rest % 10) as u8;
        rest /= 10;
    }
    write_digits(&digits[start..], value < 0, scale, out);
}

/// Writes decimal digits, the last of which stands at 10^−scale.
fn write_digits(digits: &[u8], negative: bool, scale: i8, out: &mut Vec<u8>) {
    // Groups of four are counted from the decimal point, so the last one may need zeros behind it.
    let behind = i32::from(scale).rem_euclid(4);
    let zeros = if behind == 0 { 0 } else { 4 - behind as usize };
    let total = digits.len() + zeros;
    let lead = (4 - total % 4) % 4;
    let group = |g: usize| {
        (0..4).fold(0u16, |sum, i| {
            let at = (g * 4 + i).checked_sub(lead).and_then(|at| digits.get(at));
            sum * 10 + u16::from(at.copied().unwrap_or(0))
        })
    };
    let groups = (total + lead) / 4;
    let first = (0..groups).find(|&g| group(g) != 0).unwrap_or(groups);
    let last = (first..groups).rev().find(|&g| group(g) != 0).map_or(first, |g| g + 1);
    let groups_behind = (i32::from(scale) + zeros as i32) / 4;
    let weight = match first == last {
        true => 0,
        false => groups as i32 - 1 - groups_behind - first as i32,
    };
    let sign = if negative && first != last { NEGATIVE } else { 0 };
    out.extend(((last - first) as u16).to_be_bytes());
    out.extend((weight as i16).to_be_bytes());
    out.extend(sign.to_be_bytes());
    out.extend(i16::from(scale.max(0)).to_be_bytes());
    for g in first..last {
        out.extend(group(g).to_be_bytes());
    }
}

/// The unscaled value at (precision, scale), rounded half away from zero.
pub(super) fn read(bytes: &[u8], precision: u8, scale: i8) -> Result<i128> {
    let word = |i: usize| {
        let pair = bytes.get(i * 2..i * 2 + 2).ok_or_else(|| wrong("numeric", bytes))?;
        Ok::<_, crate::error::Error>(u16::from_be_bytes([pair[0], pair[1]]))
    };
    let (count, weight, sign) = (word(0)? as usize, word(1)? as i16, word(2)?);
    match sign {
        0 | NEGATIVE if bytes.len() == 8 + count * 2 => {}
        NAN => return Err(check::numeric_special("NaN")),
        INFINITY => return Err(check::numeric_special("Infinity")),
        MINUS_INFINITY => return Err(check::numeric_special("-Infinity")),
        _ => return Err(wrong("numeric", bytes)),
    }
    let mut sum = Some(0i128);
    for i in 0..count {
        let digit = word(4 + i)?;
        if digit > 9999 {
            return Err(wrong("numeric", bytes));
        }
        let exponent = 4 * (i64::from(weight) - i as i64) + i64::from(scale);
        sum = add(sum, digit.into(), exponent);
    }
    let value = check::precision(sum, precision, scale)?;
    Ok(if sign == NEGATIVE { -value } else { value })
}

/// sum + digit × 10^exponent, where a negative exponent cuts the digit off, rounding half up.
fn add(sum: Option<i128>, digit: i128, exponent: i64) -> Option<i128> {
    match exponent {
        _ if digit == 0 => sum,
        0..=38 => sum?.checked_add(digit.checked_mul(POWERS_OF_TEN[exponent as usize])?),
        39.. => None,
        // Five more than a half would be below the last place: only the first digit cut counts.
        -4..=-1 => {
            let unit = POWERS_OF_TEN[-exponent as usize];
            sum?.checked_add(digit / unit + i128::from(digit % unit >= unit / 2))
        }
        ..=-5 => sum,
    }
}
