//! JSON read part by part: json keeps its text and is only checked.

use super::shown;
use crate::error::{Error, ErrorKind, Result};

/// Deeper nesting is refused: each level is a frame on the stack.
const DEPTH_MAX: usize = 1_000;

/// Whether the text is JSON. InvalidText, TooComplex.
pub(in crate::spec) fn validate(text: &str) -> Result<()> {
    read(text, &mut Check)
}

/// Gives the parts of a document to the sink. InvalidText, TooComplex.
pub(super) fn read(text: &str, sink: &mut impl Sink) -> Result<()> {
    Reader { text, at: 0, depth: 0 }.document(sink)
}

/// What is made of the parts of a document as they are read.
pub(super) trait Sink {
    /// The text between the quotes, escapes and all.
    fn string(&mut self, raw: &str) -> Result<()>;
    fn number(&mut self, raw: &str) -> Result<()>;
    fn word(&mut self, word: &'static str);
    fn open_array(&mut self);
    fn next_item(&mut self, first: bool);
    fn close_array(&mut self);
    fn open_object(&mut self);
    fn key(&mut self, raw: &str) -> Result<()>;
    fn close_object(&mut self);
}

struct Reader<'t> {
    text: &'t str,
    at: usize,
    depth: usize,
}

impl<'t> Reader<'t> {
    fn document(&mut self, sink: &mut impl Sink) -> Result<()> {
        self.value(sink)?;
        match self.peek() {
            None => Ok(()),
            Some(_) => Err(self.bad()),
        }
    }

    fn bad(&self) -> Error {
        let rest = &self.text[self.at..];
        let detail = match rest.char_indices().nth(20) {
            _ if rest.is_empty() => "the input string ended unexpectedly".to_owned(),
            Some((end, _)) => format!("token \"{}\" is invalid", &rest[..end]),
            None => format!("token \"{rest}\" is invalid"),
        };
        Error::new(ErrorKind::InvalidText, "invalid input syntax for type json")
            .detail(format!("{detail} in: {}", shown(self.text.as_bytes())))
    }

    /// The next byte that is not blank.
    fn peek(&mut self) -> Option<u8> {
        let rest = &self.text.as_bytes()[self.at..];
        let blank = |b: &u8| matches!(b, b' ' | b'\t' | b'\n' | b'\r');
        self.at += rest.iter().position(|b| !blank(b)).unwrap_or(rest.len());
        self.text.as_bytes().get(self.at).copied()
    }

    fn value(&mut self, sink: &mut impl Sink) -> Result<()> {
        match self.peek() {
            Some(b'"') => sink.string(self.string()?),
            Some(b'-' | b'0'..=b'9') => sink.number(self.number()?),
            Some(b'{') => self.nested(|reader| reader.object(sink)),
            Some(b'[') => self.nested(|reader| reader.array(sink)),
            Some(_) | None => {
                let rest = &self.text[self.at..];
                let word = ["true", "false", "null"].into_iter().find(|w| rest.starts_with(w));
                let word = word.ok_or_else(|| self.bad())?;
                let next = rest.as_bytes().get(word.len());
                if next.is_some_and(|b| b.is_ascii_alphanumeric() || *b == b'_') {
                    return Err(self.bad());
                }
                self.at += word.len();
                sink.word(word);
                Ok(())
            }
        }
    }

    fn nested(&mut self, read: impl FnOnce(&mut Self) -> Result<()>) -> Result<()> {
        if self.depth == DEPTH_MAX {
            let message = format!("json is nested more than {DEPTH_MAX} levels deep");
            return Err(Error::new(ErrorKind::TooComplex, message));
        }
        self.at += 1;
        self.depth += 1;
        read(self)?;
        self.depth -= 1;
        Ok(())
    }

    fn array(&mut self, sink: &mut impl Sink) -> Result<()> {
        sink.open_array();
        if self.peek() == Some(b']') {
            self.at += 1;
            sink.close_array();
            return Ok(());
        }
        sink.next_item(true);
        loop {
            self.value(sink)?;
            match self.peek() {
                Some(b',') => sink.next_item(false),
                Some(b']') => break,
                Some(_) | None => return Err(self.bad()),
            }
            self.at += 1;
        }
        self.at += 1;
        sink.close_array();
        Ok(())
    }

    fn object(&mut self, sink: &mut impl Sink) -> Result<()> {
        sink.open_object();
        let mut first = true;
        loop {
            match self.peek() {
                Some(b'}') if first => break,
                Some(b'"') => sink.key(self.string()?)?,
                Some(_) | None => return Err(self.bad()),
            }
            first = false;
            if self.peek() != Some(b':') {
                return Err(self.bad());
            }
            self.at += 1;
            self.value(sink)?;
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b'}') => break,
                Some(_) | None => return Err(self.bad()),
            }
        }
        self.at += 1;
        sink.close_object();
        Ok(())
    }

    /// The text between quotes. Escapes are checked for their form.
    fn string(&mut self) -> Result<&'t str> {
        let start = self.at + 1;
        let bytes = self.text.as_bytes();
        let mut at = start;
        loop {
            match bytes.get(at) {
                Some(b'"') => break,
                Some(b'\\') => match bytes.get(at + 1) {
                    Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => at += 2,
                    Some(b'u') if code_unit(self.text, at).is_some() => at += 6,
                    Some(_) | None => return Err(self.bad()),
                },
                Some(0..0x20) | None => return Err(self.bad()),
                Some(_) => at += 1,
            }
        }
        self.at = at + 1;
        Ok(&self.text[start..at])
    }

    fn number(&mut self) -> Result<&'t str> {
        let bytes = &self.text.as_bytes()[self.at..];
        let digits = |from: usize| bytes[from..].iter().take_while(|b| b.is_ascii_digit()).count();
        let mut at = usize::from(bytes[0] == b'-');
        at += match bytes.get(at) {
            Some(b'0') => 1,
            _ => digits(at),
        };
        let mut sound = at > usize::from(bytes[0] == b'-');
        if bytes.get(at) == Some(&b'.') {
            let count = digits(at + 1);
            sound &= count > 0;
            at += 1 + count;
        }
        if matches!(bytes.get(at), Some(b'e' | b'E')) {
            at += 1 + usize::from(matches!(bytes.get(at + 1), Some(b'+' | b'-')));
            let count = digits(at.min(bytes.len()));
            sound &= count > 0;
            at += count;
        }
        let next = bytes.get(at);
        if !sound || next.is_some_and(|b| b.is_ascii_alphanumeric() || *b == b'_') {
            return Err(self.bad());
        }
        let raw = &self.text[self.at..self.at + at];
        self.at += at;
        Ok(raw)
    }
}

/// The UTF-16 unit of the `\uXXXX` at a place.
pub(super) fn code_unit(text: &str, at: usize) -> Option<u32> {
    let digits = text.get(at..at + 6)?.strip_prefix("\\u")?;
    let all = digits.bytes().all(|b| b.is_ascii_hexdigit());
    all.then(|| u32::from_str_radix(digits, 16).ok()).flatten()
}

struct Check;

impl Sink for Check {
    fn string(&mut self, _raw: &str) -> Result<()> {
        Ok(())
    }
    fn number(&mut self, _raw: &str) -> Result<()> {
        Ok(())
    }
    fn word(&mut self, _word: &'static str) {}
    fn open_array(&mut self) {}
    fn next_item(&mut self, _first: bool) {}
    fn close_array(&mut self) {}
    fn open_object(&mut self) {}
    fn key(&mut self, _raw: &str) -> Result<()> {
        Ok(())
    }
    fn close_object(&mut self) {}
}
