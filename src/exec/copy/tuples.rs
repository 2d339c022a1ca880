//! Chunks to the rows of the binary format: a header, then counts, lengths and values.

use std::ops::Range;

use super::LINE_BYTES_MAX;
use super::place::broken;
use crate::error::{Error, ErrorKind, Result};

/// What every binary COPY begins with.
pub(super) const SIGNATURE: &[u8; 11] = b"PGCOPY\n\xff\r\n\0";
/// The count of fields that ends the rows.
pub(super) const TRAILER: i16 = -1;

#[derive(PartialEq)]
enum State {
    Header,
    Rows,
    /// The trailer was met: nothing may follow.
    Ended,
}

/// The bytes not yet made rows.
pub(super) struct Tuples {
    bytes: Vec<u8>,
    start: usize,
    columns: usize,
    state: State,
    finished: bool,
    /// The number of the row last returned, or being read where an error is.
    number: u64,
}

impl Tuples {
    pub(super) fn new(columns: usize) -> Tuples {
        Tuples {
            bytes: Vec::new(),
            start: 0,
            columns,
            state: State::Header,
            finished: false,
            number: 0,
        }
    }

    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.bytes.drain(..self.start);
        self.start = 0;
        self.bytes.extend_from_slice(bytes);
    }

    pub(super) fn finish(&mut self) {
        self.finished = true;
    }

    pub(super) fn number(&self) -> u64 {
        self.number
    }

    pub(super) fn bytes(&self, range: Range<usize>) -> &[u8] {
        &self.bytes[range]
    }

    /// Fills `fields` with where the next row's values are (None is NULL), and returns the bytes of
    /// the row; None where more bytes are needed, or the input is at its end.
    pub(super) fn next(&mut self, fields: &mut Vec<Option<Range<usize>>>) -> Result<Option<usize>> {
        if self.state == State::Header && !self.header()? {
            return self.wait();
        }
        if self.state == State::Ended {
            return match self.start == self.bytes.len() {
                true => Ok(None),
                false => Err(broken("received copy data after EOF marker")),
            };
        }
        let begin = self.start;
        let mut at = begin;
        let Some(count) = self.take::<2>(&mut at).map(i16::from_be_bytes) else {
            return self.wait();
        };
        if count == TRAILER {
            self.state = State::Ended;
            self.start = at;
            return self.next(fields);
        }
        if usize::try_from(count).ok() != Some(self.columns) {
            self.number += 1;
            let columns = self.columns;
            return Err(broken(format!("row field count is {count}, expected {columns}")));
        }
        fields.clear();
        for _ in 0..count {
            let Some(length) = self.take::<4>(&mut at).map(i32::from_be_bytes) else {
                return self.wait();
            };
            match usize::try_from(length) {
                Ok(length) if at - begin + length > LINE_BYTES_MAX => return Err(self.too_long()),
                Ok(length) if at + length > self.bytes.len() => return self.wait(),
                Ok(length) => {
                    fields.push(Some(at..at + length));
                    at += length;
                }
                Err(_) if length == -1 => fields.push(None),
                Err(_) => {
                    self.number += 1;
                    return Err(broken("invalid field size"));
                }
            }
        }
        self.start = at;
        self.number += 1;
        Ok(Some(at - begin))
    }

    /// More is needed: an error where no more will come and a row has begun.
    fn wait(&mut self) -> Result<Option<usize>> {
        match self.finished && (self.start < self.bytes.len() || self.state == State::Header) {
            true if self.state == State::Header => {
                Err(broken("COPY file signature not recognized"))
            }
            true => {
                self.number += 1;
                Err(broken("unexpected EOF in COPY data"))
            }
            false => Ok(None),
        }
    }

    fn too_long(&mut self) -> Error {
        self.number += 1;
        let message = format!("a row of COPY exceeds {LINE_BYTES_MAX} bytes");
        Error::new(ErrorKind::LimitExceeded, message)
    }

    fn take<const N: usize>(&self, at: &mut usize) -> Option<[u8; N]> {
        let bytes = self.bytes[*at..].first_chunk::<N>()?;
        *at += N;
        Some(*bytes)
    }

    /// Whether the header has been read.
    fn header(&mut self) -> Result<bool> {
        let seen = self.bytes.len().min(SIGNATURE.len());
        if self.bytes[..seen] != SIGNATURE[..seen] {
            return Err(broken("COPY file signature not recognized"));
        }
        let mut at = SIGNATURE.len();
        if self.bytes.len() < at + 8 {
            return Ok(false);
        }
        let (Some(flags), Some(extension)) = (self.take::<4>(&mut at), self.take::<4>(&mut at))
        else {
            return Ok(false);
        };
        let (flags, extension) = (u32::from_be_bytes(flags), i32::from_be_bytes(extension));
        if flags & 1 << 16 != 0 {
            return Err(broken("invalid COPY file header (WITH OIDS)"));
        }
        if flags >> 16 != 0 {
            return Err(broken("unrecognized critical flags in COPY file header"));
        }
        match usize::try_from(extension) {
            Ok(length) if length <= LINE_BYTES_MAX => at += length,
            Ok(_) | Err(_) => return Err(broken("invalid COPY file header (wrong length)")),
        }
        if at > self.bytes.len() {
            return Ok(false);
        }
        self.start = at;
        self.state = State::Rows;
        Ok(true)
    }
}
