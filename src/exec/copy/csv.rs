//! Fields of a line in CSV: between delimiters, with quoted stretches anywhere in them.

/// What a field is told apart by.
#[derive(Clone, Copy)]
pub(super) struct Marks {
    pub(super) delimiter: u8,
    pub(super) quote: u8,
    pub(super) escape: u8,
}

/// Calls `each` with every field and whether any of it was quoted. Stops at the first error.
pub(super) fn fields<E>(
    line: &[u8],
    special: bool,
    marks: Marks,
    scratch: &mut Vec<u8>,
    mut each: impl FnMut(&[u8], bool) -> Result<(), E>,
) -> Result<(), E> {
    let mut rest = line;
    loop {
        let (end, quoted) = match special {
            false => (memchr::memchr(marks.delimiter, rest).unwrap_or(rest.len()), false),
            true => match plain(rest, marks) {
                Some(Plain::Bare(end)) => (end, false),
                Some(Plain::Quoted(end)) => {
                    each(&rest[1..end - 1], true)?;
                    (end, true)
                }
                None => {
                    let end = mixed(rest, marks, scratch);
                    each(scratch, true)?;
                    (end, true)
                }
            },
        };
        if !quoted {
            each(&rest[..end], false)?;
        }
        if end == rest.len() {
            return Ok(());
        }
        rest = &rest[end + 1..];
    }
}

enum Plain {
    /// Without quotes; ends here.
    Bare(usize),
    /// In one pair of quotes without anything to unescape; ends behind the second.
    Quoted(usize),
}

/// A field that is a slice of the line.
fn plain(text: &[u8], marks: Marks) -> Option<Plain> {
    if text.first() != Some(&marks.quote) {
        let end = memchr::memchr2(marks.delimiter, marks.quote, text).unwrap_or(text.len());
        let bare = text.get(end) != Some(&marks.quote);
        return bare.then_some(Plain::Bare(end));
    }
    let end = 1 + memchr::memchr2(marks.quote, marks.escape, &text[1..])?;
    let closes = text[end] == marks.quote;
    let ends = text.get(end + 1).is_none_or(|&b| b == marks.delimiter);
    (closes && ends).then_some(Plain::Quoted(end + 1))
}

/// Unescapes the first field into `value`: where it ends.
fn mixed(text: &[u8], marks: Marks, value: &mut Vec<u8>) -> usize {
    value.clear();
    let mut at = 0;
    let mut in_quote = false;
    while let Some(&b) = text.get(at) {
        let next = text.get(at + 1).copied();
        let protects = in_quote && b == marks.escape;
        match next {
            Some(next) if protects && (next == marks.escape || next == marks.quote) => {
                value.push(next);
                at += 1;
            }
            _ if b == marks.quote => in_quote = !in_quote,
            _ if b == marks.delimiter && !in_quote => return at,
            _ => value.push(b),
        }
        at += 1;
    }
    at
}
