//! The bytes of a record: a version byte, fields, and a crc32c over both.
//!
//! ```text
//! +---------+----------------------------------------------+-----------------+
//! | version | fields: LEB128 integers, length-tagged bytes | crc32c, 4 B LE  |
//! +---------+----------------------------------------------+-----------------+
//! ```
//! The checksum is ours because the log's own pages are not verified when they are read.

use crate::error::{Error, ErrorKind, Result};

/// Builds one record.
pub struct Writer(Vec<u8>);

impl Writer {
    /// Starts a record of this format version.
    pub fn new(version: u8) -> Self {
        Writer(vec![version])
    }

    /// One byte.
    pub fn u8(&mut self, value: u8) {
        self.0.push(value);
    }

    /// A truth value, in one byte.
    pub fn bool(&mut self, value: bool) {
        self.0.push(value.into());
    }

    /// An unsigned integer, small ones short.
    pub fn u64(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }

    /// A signed integer, small magnitudes short.
    pub fn i64(&mut self, value: i64) {
        self.u64(((value << 1) ^ (value >> 63)) as u64);
    }

    /// Bytes with their length before them.
    pub fn bytes(&mut self, value: &[u8]) {
        self.u64(value.len() as u64);
        self.0.extend_from_slice(value);
    }

    /// Text with its length before it.
    pub fn str(&mut self, value: &str) {
        self.bytes(value.as_bytes());
    }

    /// Whether there is a value, then the value.
    pub fn option<T>(&mut self, value: Option<T>, write: impl FnOnce(&mut Self, T)) {
        self.bool(value.is_some());
        if let Some(value) = value {
            write(self, value);
        }
    }

    /// How many values there are, then the values.
    pub fn list<T>(&mut self, values: &[T], mut write: impl FnMut(&mut Self, &T)) {
        self.u64(values.len() as u64);
        for value in values {
            write(self, value);
        }
    }

    /// Closes the record with its checksum.
    pub fn finish(mut self) -> Vec<u8> {
        let crc = crc32c::crc32c(&self.0);
        self.0.extend_from_slice(&crc.to_le_bytes());
        self.0
    }
}

/// Reads one record back. Every failure is [`ErrorKind::Corrupt`].
pub struct Reader<'a> {
    rest: &'a [u8],
    what: &'static str,
}

impl<'a> Reader<'a> {
    /// Verifies the checksum and returns the record's format version. `what` names the record in
    /// errors.
    pub fn open(bytes: &'a [u8], what: &'static str) -> Result<(u8, Self)> {
        let Some((body, crc)) = bytes.split_last_chunk::<4>() else {
            return Err(corrupt(what, "is shorter than its checksum"));
        };
        if crc32c::crc32c(body) != u32::from_le_bytes(*crc) {
            return Err(corrupt(what, "does not match its checksum"));
        }
        match body.split_first() {
            Some((&version, rest)) => Ok((version, Reader { rest, what })),
            None => Err(corrupt(what, "is empty")),
        }
    }

    /// Opens a record of which this program knows exactly one format version.
    pub fn open_version(bytes: &'a [u8], what: &'static str, version: u8) -> Result<Self> {
        match Self::open(bytes, what)? {
            (found, reader) if found == version => Ok(reader),
            (found, _) => Err(Error::new(
                ErrorKind::DataDirectory,
                format!("{what} is of format {found}; this program reads format {version}"),
            )
            .hint("open the folder with the version of AsofDB that wrote it")),
        }
    }

    /// One byte.
    pub fn u8(&mut self) -> Result<u8> {
        let (&value, rest) = self.rest.split_first().ok_or_else(|| self.short())?;
        self.rest = rest;
        Ok(value)
    }

    /// A truth value.
    pub fn bool(&mut self) -> Result<bool> {
        match self.u8()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(corrupt(self.what, "holds a truth value that is neither")),
        }
    }

    /// An unsigned integer.
    pub fn u64(&mut self) -> Result<u64> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.u8()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(corrupt(self.what, "holds an integer that does not end"))
    }

    /// A signed integer.
    pub fn i64(&mut self) -> Result<i64> {
        let raw = self.u64()?;
        Ok((raw >> 1) as i64 ^ -((raw & 1) as i64))
    }

    /// Bytes.
    pub fn bytes(&mut self) -> Result<&'a [u8]> {
        let length = self.u64()? as usize;
        if length > self.rest.len() {
            return Err(self.short());
        }
        let (value, rest) = self.rest.split_at(length);
        self.rest = rest;
        Ok(value)
    }

    /// Text.
    pub fn str(&mut self) -> Result<String> {
        let bytes = self.bytes()?;
        let text = std::str::from_utf8(bytes);
        text.map(str::to_owned).map_err(|_| corrupt(self.what, "holds text that is not UTF-8"))
    }

    /// A value that may be absent.
    pub fn option<T>(&mut self, read: impl FnOnce(&mut Self) -> Result<T>) -> Result<Option<T>> {
        if self.bool()? { read(self).map(Some) } else { Ok(None) }
    }

    /// A list of values.
    pub fn list<T>(&mut self, mut read: impl FnMut(&mut Self) -> Result<T>) -> Result<Vec<T>> {
        let count = self.u64()? as usize;
        // A list holds at least a byte a value, so a rotten count cannot reserve the machine.
        let mut values = Vec::with_capacity(count.min(self.rest.len()));
        for _ in 0..count {
            values.push(read(self)?);
        }
        Ok(values)
    }

    /// The bytes not read yet.
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// An error that says which record is wrong.
    pub fn corrupt(&self, why: &str) -> Error {
        corrupt(self.what, why)
    }

    fn short(&self) -> Error {
        corrupt(self.what, "ends in the middle of a field")
    }
}

fn corrupt(what: &str, why: &str) -> Error {
    Error::new(ErrorKind::Corrupt, format!("{what} {why}"))
        .hint("run asofdb check, and restore the folder from a backup")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_and_bytes_come_back() {
        let mut w = Writer::new(3);
        for v in [0, 1, 127, 128, u64::MAX] {
            w.u64(v);
        }
        for v in [0, -1, i64::MIN, i64::MAX] {
            w.i64(v);
        }
        w.str("grüße");
        w.option(None::<u64>, Writer::u64);
        let bytes = w.finish();
        let (version, mut r) = Reader::open(&bytes, "record").unwrap();
        assert_eq!(version, 3);
        for v in [0, 1, 127, 128, u64::MAX] {
            assert_eq!(r.u64().unwrap(), v);
        }
        for v in [0, -1, i64::MIN, i64::MAX] {
            assert_eq!(r.i64().unwrap(), v);
        }
        assert_eq!(r.str().unwrap(), "grüße");
        assert_eq!(r.option(Reader::u64).unwrap(), None);
        assert!(r.u8().is_err());
    }

    #[test]
    fn every_flipped_bit_is_noticed() {
        let mut w = Writer::new(1);
        w.str("a record");
        let bytes = w.finish();
        for bit in 0..bytes.len() * 8 {
            let mut rotten = bytes.clone();
            rotten[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Reader::open(&rotten, "record").err().unwrap().kind(), ErrorKind::Corrupt);
        }
    }
}
