//! Fields of a line in text format: between delimiters, with backslash escapes.

/// Calls `each` with every field: None is NULL. Stops at the first error.
pub(super) fn fields<E>(
    line: &[u8],
    special: bool,
    (delimiter, null): (u8, &[u8]),
    scratch: &mut Vec<u8>,
    mut each: impl FnMut(Option<&[u8]>) -> Result<(), E>,
) -> Result<(), E> {
    let mut rest = line;
    loop {
        let end = match special {
            true => escaped_end(rest, delimiter),
            false => memchr::memchr(delimiter, rest).unwrap_or(rest.len()),
        };
        let raw = &rest[..end];
        if raw == null {
            each(None)?;
        } else if special && memchr::memchr(b'\\', raw).is_some() {
            unescape(raw, scratch);
            each(Some(scratch))?;
        } else {
            each(Some(raw))?;
        }
        if end == rest.len() {
            return Ok(());
        }
        rest = &rest[end + 1..];
    }
}

/// Where the first delimiter is that no backslash stands before.
fn escaped_end(text: &[u8], delimiter: u8) -> usize {
    let mut at = 0;
    while let Some(step) = memchr::memchr2(delimiter, b'\\', &text[at..]) {
        at += step;
        if text[at] == delimiter {
            return at;
        }
        at = (at + 2).min(text.len());
    }
    text.len()
}

fn unescape(raw: &[u8], value: &mut Vec<u8>) {
    value.clear();
    let mut rest = raw;
    while let Some(at) = memchr::memchr(b'\\', rest) {
        value.extend_from_slice(&rest[..at]);
        let Some((&escape, tail)) = rest[at + 1..].split_first() else {
            // A backslash at the very end of the input stands for itself.
            value.push(b'\\');
            return;
        };
        let (byte, used) = match escape {
            b'b' => (8, 0),
            b'f' => (12, 0),
            b'n' => (b'\n', 0),
            b'r' => (b'\r', 0),
            b't' => (b'\t', 0),
            b'v' => (11, 0),
            b'0'..=b'7' => number(escape - b'0', tail, 8, 2),
            b'x' if tail.first().is_some_and(u8::is_ascii_hexdigit) => number(0, tail, 16, 2),
            other => (other, 0),
        };
        value.push(byte);
        rest = &tail[used..];
    }
    value.extend_from_slice(rest);
}

/// A number that begins with `value` and goes on for up to `most` digits: its low byte and how many
/// digits there were.
fn number(value: u8, digits: &[u8], base: u32, most: usize) -> (u8, usize) {
    let mut value = u32::from(value);
    let mut used = 0;
    while used < most {
        let digit = digits.get(used).and_then(|&b| char::from(b).to_digit(base));
        let Some(digit) = digit else { break };
        value = value * base + digit;
        used += 1;
    }
    (value as u8, used)
}
