//! Arrays: `{1,NULL,"a \"b\""}`, and arrays of arrays as braces within braces.

use super::{TextOptions, build, format, shown, trim};
use crate::error::{Error, ErrorKind, Result};
use crate::spec::Type;
use crate::spec::column::{Items, ItemsBuilder};

pub(super) fn write(items: &Items<'_>, row: usize, options: &TextOptions, out: &mut Vec<u8>) {
    out.push(b'{');
    for (i, place) in items.range(row).enumerate() {
        if i > 0 {
            out.push(b',');
        }
        if items.is_null(place) {
            out.extend_from_slice(b"NULL");
            continue;
        }
        let start = out.len();
        format::write(&items.column, place, options, out);
        if !matches!(items.item, Type::Array(_)) && needs_quotes(&out[start..]) {
            quote(start, out);
        }
    }
    out.push(b'}');
}

fn needs_quotes(item: &[u8]) -> bool {
    let special = |b: &u8| matches!(b, b'"' | b'\\' | b'{' | b'}' | b',' | b' ' | b'\t'..=b'\r');
    item.is_empty() || item.eq_ignore_ascii_case(b"null") || item.iter().any(special)
}

/// Puts what stands after `start` in quotes.
fn quote(start: usize, out: &mut Vec<u8>) {
    let item = out.split_off(start);
    out.push(b'"');
    for b in item {
        if matches!(b, b'"' | b'\\') {
            out.push(b'\\');
        }
        out.push(b);
    }
    out.push(b'"');
}

/// Appends the array that the text is. InvalidText for its form; else what its items refuse.
pub(super) fn append(array: &mut ItemsBuilder, text: &[u8], options: &TextOptions) -> Result<()> {
    let body = skip_bounds(trim(text)).ok_or_else(|| malformed(text))?;
    let inner = match body {
        [b'{', inner @ .., b'}'] => inner,
        _ => return Err(malformed(text)),
    };
    let mut rest = trim(inner);
    let mut item = Vec::new();
    while !rest.is_empty() {
        array.check_room()?;
        let nested = rest[0] == b'{';
        let read = match nested {
            true => nested_item(rest, &mut item),
            false => read_item(rest, &mut item),
        };
        let (quoted, tail) = read.ok_or_else(|| malformed(text))?;
        if nested && !matches!(array.item_type, Type::Array(_)) {
            let message = format!("an array of arrays does not fit type {}[]", array.item_type);
            return Err(Error::new(ErrorKind::NotSupported, message));
        }
        match !quoted && item.eq_ignore_ascii_case(b"null") {
            true => array.item.append_null(),
            false => build::append(&mut array.item, &item, options)?,
        }
        rest = match tail {
            [] => break,
            [b',', after @ ..] if !trim(after).is_empty() => trim(after),
            _ => return Err(malformed(text)),
        };
    }
    array.close(true);
    Ok(())
}

fn malformed(text: &[u8]) -> Error {
    let message = format!("malformed array literal: \"{}\"", shown(text));
    Error::new(ErrorKind::InvalidText, message)
}

/// What follows bounds such as `[1:3]=`, which are not kept.
fn skip_bounds(text: &[u8]) -> Option<&[u8]> {
    if text.first() != Some(&b'[') {
        return Some(text);
    }
    let end = memchr::memchr(b'=', text)?;
    let bounds = text[..end].iter();
    let known = |b: &u8| b.is_ascii_digit() || matches!(b, b'[' | b']' | b':' | b'-' | b'+' | b' ');
    bounds.into_iter().all(known).then(|| trim(&text[end + 1..]))
}

/// Reads one item into `item`: whether it was quoted, and what follows it.
fn read_item<'t>(text: &'t [u8], item: &mut Vec<u8>) -> Option<(bool, &'t [u8])> {
    item.clear();
    if text[0] == b'"' {
        let mut at = 1;
        loop {
            match text.get(at)? {
                b'"' => return Some((true, trim(&text[at + 1..]))),
                b'\\' => {
                    item.push(*text.get(at + 1)?);
                    at += 2;
                }
                b => {
                    item.push(*b);
                    at += 1;
                }
            }
        }
    }
    let mut at = 0;
    let mut escaped = false;
    // Blanks at the end are not part of an item, unless they were escaped.
    let mut kept = 0;
    while let Some(&b) = text.get(at) {
        match b {
            b',' => break,
            b'"' | b'{' | b'}' => return None,
            b'\\' => {
                at += 1;
                item.push(*text.get(at)?);
                escaped = true;
                kept = item.len();
            }
            _ => {
                item.push(b);
                if !trim(&[b]).is_empty() {
                    kept = item.len();
                }
            }
        }
        at += 1;
    }
    item.truncate(kept);
    (!item.is_empty()).then_some((escaped, &text[at..]))
}

/// Copies one `{…}` with its braces into `item`.
fn nested_item<'t>(text: &'t [u8], item: &mut Vec<u8>) -> Option<(bool, &'t [u8])> {
    let mut depth = 0;
    let mut quoted = false;
    let mut at = 0;
    while let Some(&b) = text.get(at) {
        match b {
            b'\\' => at += 1,
            b'"' => quoted = !quoted,
            b'{' if !quoted => depth += 1,
            b'}' if !quoted => depth -= 1,
            _ => {}
        }
        at += 1;
        if depth == 0 {
            item.clear();
            item.extend_from_slice(&text[..at]);
            return Some((true, trim(&text[at..])));
        }
    }
    None
}
