//! Chunks to lines. A line ends at the first line end that no backslash escapes (text) or that
//! stands outside quotes (CSV); the first one met decides which kind of line end the input has.

use std::ops::Range;

use super::LINE_BYTES_MAX;
use super::place::broken;
use crate::error::{Error, ErrorKind, Result};

/// How line ends are protected.
#[derive(Clone, Copy)]
pub(super) enum Syntax {
    Text,
    Csv { quote: u8, escape: u8 },
}

#[derive(Clone, Copy, PartialEq)]
enum LineEnd {
    Lf,
    Cr,
    CrLf,
}

/// A line, without its end.
pub(super) struct Line {
    pub(super) range: Range<usize>,
    /// It holds a backslash (text) or a quote (CSV).
    pub(super) special: bool,
}

/// The bytes not yet made rows, and how far they have been scanned.
pub(super) struct Lines {
    bytes: Vec<u8>,
    /// Where the line being scanned begins, and where the scan goes on.
    start: usize,
    at: usize,
    syntax: Syntax,
    line_end: Option<LineEnd>,
    in_quote: bool,
    special: bool,
    /// `\.` was met: nothing after it is data.
    ended: bool,
    /// No more bytes will come.
    finished: bool,
    /// The number of the line last returned, or being scanned where an error is.
    number: u64,
}

/// What the scan met.
enum Met {
    /// The line ends before here; the next begins there.
    Line(usize, usize),
    /// More bytes are needed to tell.
    NeedMore,
    /// Nothing yet: go on.
    Nothing,
}

impl Lines {
    pub(super) fn new(syntax: Syntax) -> Lines {
        Lines {
            bytes: Vec::new(),
            start: 0,
            at: 0,
            syntax,
            line_end: None,
            in_quote: false,
            special: false,
            ended: false,
            finished: false,
            number: 0,
        }
    }

    /// Adds bytes behind those not consumed.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        if self.ended {
            return;
        }
        self.bytes.drain(..self.start);
        self.at -= self.start;
        self.start = 0;
        self.bytes.extend_from_slice(bytes);
    }

    /// Says that no more bytes will come.
    pub(super) fn finish(&mut self) {
        self.finished = true;
    }

    pub(super) fn number(&self) -> u64 {
        self.number
    }

    pub(super) fn bytes(&self, range: Range<usize>) -> &[u8] {
        &self.bytes[range]
    }

    /// The next line; None where more bytes are needed, or the input is at its end.
    /// BadCopyFormat, LimitExceeded: the line is then [`Lines::number`].
    pub(super) fn next(&mut self) -> Result<Option<Line>> {
        if self.ended {
            return Ok(None);
        }
        loop {
            let met = match self.syntax {
                Syntax::Text => self.scan_text(),
                Syntax::Csv { quote, escape } => self.scan_csv(quote, escape),
            };
            match met.inspect_err(|_| self.number += 1)? {
                Met::Line(end, next) => return Ok(self.line(end, next)),
                Met::NeedMore if self.finished && self.start < self.bytes.len() => {
                    if self.in_quote {
                        self.number += 1;
                        return Err(broken("unterminated CSV quoted field"));
                    }
                    return Ok(self.line(self.bytes.len(), self.bytes.len()));
                }
                Met::NeedMore if self.bytes.len() - self.start > LINE_BYTES_MAX => {
                    self.number += 1;
                    let message = format!("a line of COPY exceeds {LINE_BYTES_MAX} bytes");
                    return Err(Error::new(ErrorKind::LimitExceeded, message));
                }
                Met::NeedMore => return Ok(None),
                Met::Nothing => {}
            }
        }
    }

    fn line(&mut self, end: usize, next: usize) -> Option<Line> {
        let line = Line { range: self.start..end, special: self.special };
        let text = &self.bytes[line.range.clone()];
        self.number += 1;
        if !line.special && text == b"\\." {
            self.ended = true;
            return None;
        }
        if let (Syntax::Csv { .. }, true) = (self.syntax, line.special) {
            let inner = if self.line_end == Some(LineEnd::Cr) { b'\r' } else { b'\n' };
            self.number += memchr::memchr_iter(inner, text).count() as u64;
        }
        self.start = next;
        self.at = next;
        self.special = false;
        Some(line)
    }

    fn scan_text(&mut self) -> Result<Met> {
        let Some(step) = memchr::memchr3(b'\n', b'\r', b'\\', &self.bytes[self.at..]) else {
            self.at = self.bytes.len();
            return Ok(Met::NeedMore);
        };
        self.at += step;
        if self.bytes[self.at] != b'\\' {
            return self.line_end_at(self.at, "literal", "use \"\\n\" or \"\\r\" for it in data");
        }
        match self.bytes.get(self.at + 1) {
            None if self.finished => {
                self.special = true;
                self.at += 1;
                Ok(Met::Nothing)
            }
            None => Ok(Met::NeedMore),
            Some(b'.') => self.end_marker(),
            Some(_) => {
                self.special = true;
                self.at += 2;
                Ok(Met::Nothing)
            }
        }
    }

    /// `\.`: must be a line of its own.
    fn end_marker(&mut self) -> Result<Met> {
        let follows = self.bytes.get(self.at + 2);
        let alone = match follows {
            None if !self.finished => return Ok(Met::NeedMore),
            None | Some(b'\n' | b'\r') => self.at == self.start,
            Some(_) => false,
        };
        match alone {
            true => {
                // The line is recognised by its text once its end has been found.
                self.at += 2;
                Ok(Met::Nothing)
            }
            false => Err(broken("end-of-copy marker is not alone on its line")),
        }
    }

    fn scan_csv(&mut self, quote: u8, escape: u8) -> Result<Met> {
        let rest = &self.bytes[self.at..];
        let step = match self.in_quote {
            true => memchr::memchr2(quote, escape, rest),
            false => memchr::memchr3(quote, b'\n', b'\r', rest),
        };
        let Some(step) = step else {
            self.at = self.bytes.len();
            return Ok(Met::NeedMore);
        };
        self.at += step;
        let byte = self.bytes[self.at];
        if self.in_quote && byte == escape && escape != quote {
            // It may protect the next byte, which must be there before it can be passed over.
            if self.at + 1 == self.bytes.len() && !self.finished {
                return Ok(Met::NeedMore);
            }
            self.at = (self.at + 2).min(self.bytes.len());
        } else if byte == quote {
            self.in_quote = !self.in_quote;
            self.special = true;
            self.at += 1;
        } else {
            let hint = "use a quoted CSV field for it in data";
            return self.line_end_at(self.at, "unquoted", hint);
        }
        Ok(Met::Nothing)
    }

    /// A line feed or carriage return that nothing protects.
    fn line_end_at(&mut self, at: usize, unprotected: &str, hint: &str) -> Result<Met> {
        let feed_follows = match (self.bytes[at], self.bytes.get(at + 1)) {
            (b'\r', None) if !self.finished => return Ok(Met::NeedMore),
            (b'\r', next) => next == Some(&b'\n'),
            _ => false,
        };
        let found = match (self.bytes[at], feed_follows, self.line_end) {
            (b'\n', _, _) => LineEnd::Lf,
            // Where lines end with a carriage return alone, what follows it is the next line.
            (_, true, None | Some(LineEnd::CrLf)) => LineEnd::CrLf,
            _ => LineEnd::Cr,
        };
        let expected = *self.line_end.get_or_insert(found);
        match found {
            _ if found != expected => {
                let name = if found == LineEnd::Lf { "newline" } else { "carriage return" };
                Err(broken(format!("{unprotected} {name} found in data")).hint(hint))
            }
            LineEnd::CrLf => Ok(Met::Line(at, at + 2)),
            LineEnd::Lf | LineEnd::Cr => Ok(Met::Line(at, at + 1)),
        }
    }
}
