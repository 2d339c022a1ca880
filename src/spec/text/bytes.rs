//! boolean, bytea and uuid.

use super::{invalid, trim};
use crate::error::{Error, ErrorKind, Result};

const HEX: &[u8; 16] = b"0123456789abcdef";

/// A boolean: any beginning of true, false, yes, no, on, off that is not two of them; 1, 0.
/// InvalidText.
pub fn parse_bool(text: &[u8]) -> Result<bool> {
    let word = trim(text);
    let begins = |name: &[u8], least: usize| {
        word.len() >= least
            && word.len() <= name.len()
            && name[..word.len()].eq_ignore_ascii_case(word)
    };
    if word == b"1" || begins(b"true", 1) || begins(b"yes", 1) || begins(b"on", 2) {
        return Ok(true);
    }
    if word == b"0" || begins(b"false", 1) || begins(b"no", 1) || begins(b"off", 2) {
        return Ok(false);
    }
    Err(invalid("boolean", text))
}

pub(super) fn write_bytea(bytes: &[u8], out: &mut Vec<u8>) {
    out.reserve(2 + bytes.len() * 2);
    out.extend_from_slice(b"\\x");
    for &b in bytes {
        out.extend([HEX[usize::from(b >> 4)], HEX[usize::from(b & 15)]]);
    }
}

/// The bytes of bytea in hex (`\x…`) or escape form. InvalidValue for hex, else InvalidText, as in
/// PostgreSQL.
pub(super) fn parse_bytea(text: &[u8]) -> Result<Vec<u8>> {
    match text {
        [b'\\', b'x', hex @ ..] => parse_hex(hex),
        _ => parse_escape(text),
    }
}

fn parse_hex(text: &[u8]) -> Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len() / 2);
    let mut rest = text;
    loop {
        match rest {
            [] => return Ok(bytes),
            [b' ' | b'\n' | b'\t' | b'\r', tail @ ..] => rest = tail,
            [high, low, tail @ ..] => {
                bytes.push(hex_digit(*high)? << 4 | hex_digit(*low)?);
                rest = tail;
            }
            [digit] => {
                hex_digit(*digit)?;
                let message = "invalid hexadecimal data: odd number of digits";
                return Err(Error::new(ErrorKind::InvalidValue, message));
            }
        }
    }
}

fn hex_digit(b: u8) -> Result<u8> {
    let digit = (b as char).to_digit(16).map(|digit| digit as u8);
    digit.ok_or_else(|| {
        let message = format!("invalid hexadecimal digit: \"{}\"", super::shown(&[b]));
        Error::new(ErrorKind::InvalidValue, message)
    })
}

fn parse_escape(text: &[u8]) -> Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    loop {
        match rest {
            [] => return Ok(bytes),
            [b'\\', b'\\', tail @ ..] => {
                bytes.push(b'\\');
                rest = tail;
            }
            [b'\\', a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', tail @ ..] => {
                bytes.push((a - b'0') << 6 | (b - b'0') << 3 | (c - b'0'));
                rest = tail;
            }
            [b'\\', ..] => {
                return Err(Error::new(
                    ErrorKind::InvalidText,
                    "invalid input syntax for type bytea",
                ));
            }
            [b, tail @ ..] => {
                bytes.push(*b);
                rest = tail;
            }
        }
    }
}

pub(super) fn write_uuid(bytes: &[u8], out: &mut Vec<u8>) {
    for (i, &b) in bytes.iter().enumerate() {
        if matches!(i, 4 | 6 | 8 | 10) {
            out.push(b'-');
        }
        out.extend([HEX[usize::from(b >> 4)], HEX[usize::from(b & 15)]]);
    }
}

/// A uuid: 32 hex digits, with braces around them and hyphens after every four if one likes.
pub(super) fn parse_uuid(text: &[u8]) -> Result<[u8; 16]> {
    let wrong = || invalid("uuid", text);
    let mut rest = match text {
        [b'{', inner @ .., b'}'] => inner,
        _ => text,
    };
    let mut uuid = [0u8; 16];
    for (i, byte) in uuid.iter_mut().enumerate() {
        let [high, low, tail @ ..] = rest else { return Err(wrong()) };
        let (high, low) = (hex_digit(*high), hex_digit(*low));
        *byte = high.map_err(|_| wrong())? << 4 | low.map_err(|_| wrong())?;
        rest = match tail {
            [b'-', after @ ..] if i % 2 == 1 && i < 15 => after,
            _ => tail,
        };
    }
    match rest.is_empty() {
        true => Ok(uuid),
        false => Err(wrong()),
    }
}
