//! Integers, and the two-digit writing that dates and numbers share.

use super::{invalid, shown, trim};
use crate::error::{Error, ErrorKind, Result};

const PAIRS: &[u8; 200] = b"0001020304050607080910111213141516171819\
2021222324252627282930313233343536373839\
4041424344454647484950515253545556575859\
6061626364656667686970717273747576777879\
8081828384858687888990919293949596979899";

/// Two digits of a number below 100.
pub(super) fn write_pair(value: u32, out: &mut Vec<u8>) {
    let at = value as usize * 2;
    out.extend_from_slice(&PAIRS[at..at + 2]);
}

pub(super) fn write_u64(mut value: u64, out: &mut Vec<u8>) {
    let mut digits = [0u8; 20];
    let mut start = digits.len();
    while value >= 100 {
        let at = (value % 100) as usize * 2;
        value /= 100;
        start -= 2;
        digits[start..start + 2].copy_from_slice(&PAIRS[at..at + 2]);
    }
    if value >= 10 {
        start -= 2;
        digits[start..start + 2].copy_from_slice(&PAIRS[value as usize * 2..][..2]);
    } else {
        start -= 1;
        digits[start] = b'0' + value as u8;
    }
    out.extend_from_slice(&digits[start..]);
}

pub(super) fn write_i64(value: i64, out: &mut Vec<u8>) {
    if value < 0 {
        out.push(b'-');
    }
    write_u64(value.unsigned_abs(), out);
}

/// A bigint. InvalidText or OutOfRange.
pub fn parse_int8(text: &[u8]) -> Result<i64> {
    parse(text, "bigint")
}

/// An integer of the width of `T`.
pub(super) fn parse<T: TryFrom<i64>>(text: &[u8], type_name: &str) -> Result<T> {
    let trimmed = trim(text);
    let (negative, digits) = match trimmed {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        rest => (false, rest),
    };
    if digits.is_empty() {
        return Err(invalid(type_name, text));
    }
    let mut sum = Some(0i64);
    for &b in digits {
        let digit = b.wrapping_sub(b'0');
        if digit > 9 {
            return Err(invalid(type_name, text));
        }
        // Summed below zero, where there is room for one more.
        sum = sum.and_then(|s| s.checked_mul(10)?.checked_sub(digit.into()));
    }
    let value = if negative { sum } else { sum.and_then(i64::checked_neg) };
    value.and_then(|v| T::try_from(v).ok()).ok_or_else(|| {
        let message = format!("value \"{}\" is out of range for type {type_name}", shown(text));
        Error::new(ErrorKind::OutOfRange, message)
    })
}
