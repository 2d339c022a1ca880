//! An open file: positional reads and writes, and a sequential writer over one.

use std::io;
use std::sync::Arc;

use bytes::Bytes;

use super::disk::DiskFile;
use super::handle::io_error;
use crate::error::{Error, ErrorKind, Result};

/// An open file, read and written by position. Clones share it.
#[derive(Clone)]
pub struct File {
    name: Arc<str>,
    inner: Arc<dyn DiskFile>,
}

impl File {
    pub(super) fn new(name: &str, inner: Box<dyn DiskFile>) -> File {
        File { name: name.into(), inner: inner.into() }
    }

    /// The name it was opened by, for messages.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The same file, by another name in messages.
    pub fn called(&self, name: &str) -> File {
        File { name: name.into(), inner: Arc::clone(&self.inner) }
    }

    /// Its length in bytes.
    pub fn len(&self) -> Result<u64> {
        self.inner.len().map_err(|e| io_error("cannot stat", &self.name, e))
    }

    /// Whether it has no bytes.
    pub fn is_empty(&self) -> Result<bool> {
        Ok(self.len()? == 0)
    }

    /// Reads up to `out.len()` bytes; fewer only at the end of the file. Returns how many.
    pub fn read_at(&self, offset: u64, out: &mut [u8]) -> Result<usize> {
        let mut filled = 0;
        while filled < out.len() {
            match self.inner.read_at(offset + filled as u64, &mut out[filled..]) {
                Ok(0) => break,
                Ok(n) => filled += n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(io_error("cannot read", &self.name, e)),
            }
        }
        Ok(filled)
    }

    /// Reads exactly `out.len()` bytes; a file that ends earlier is [`ErrorKind::Corrupt`].
    pub fn read_exact_at(&self, offset: u64, out: &mut [u8]) -> Result<()> {
        let read = self.read_at(offset, out)?;
        if read == out.len() {
            return Ok(());
        }
        let end = offset + read as u64;
        Err(Error::new(ErrorKind::Corrupt, format!("file \"{}\" ends at byte {end}", self.name)))
    }

    /// Reads exactly this many bytes.
    pub fn bytes_at(&self, offset: u64, bytes: usize) -> Result<Bytes> {
        let mut out = vec![0; bytes];
        self.read_exact_at(offset, &mut out)?;
        Ok(out.into())
    }

    /// Writes all of `data`.
    pub fn write_at(&self, offset: u64, data: &[u8]) -> Result<()> {
        let mut done = 0;
        while done < data.len() {
            match self.inner.write_at(offset + done as u64, &data[done..]) {
                Ok(0) => {
                    let e = io::Error::from(io::ErrorKind::WriteZero);
                    return Err(io_error("cannot write", &self.name, e));
                }
                Ok(n) => done += n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(io_error("cannot write", &self.name, e)),
            }
        }
        Ok(())
    }

    /// Cuts the file, or extends it with zeros; gives back space reserved beyond the length.
    pub fn set_len(&self, bytes: u64) -> Result<()> {
        self.inner.set_len(bytes).map_err(|e| io_error("cannot resize", &self.name, e))
    }

    /// Reserves disk space for the first `bytes` bytes without changing the length. Does nothing
    /// where the file system cannot.
    pub fn reserve(&self, bytes: u64) -> Result<()> {
        self.inner.reserve(bytes).map_err(|e| io_error("cannot reserve space for", &self.name, e))
    }

    /// Makes data and length durable.
    pub fn sync_data(&self) -> Result<()> {
        self.inner.sync_data().map_err(|e| io_error("cannot sync", &self.name, e))
    }

    /// Makes data and everything the file system knows of the file durable.
    pub fn sync_all(&self) -> Result<()> {
        self.inner.sync_all().map_err(|e| io_error("cannot sync", &self.name, e))
    }

    /// A sequential reader from the start.
    pub fn reader(&self) -> FileReader {
        FileReader { file: self.clone(), offset: 0 }
    }

    /// A sequential writer from the start.
    pub fn append(&self) -> Append {
        Append { file: self.clone(), offset: 0 }
    }

    pub(super) fn try_lock(&self) -> Result<bool> {
        self.inner.try_lock().map_err(|e| io_error("cannot lock", &self.name, e))
    }
}

/// Reads a file from its start to its end. Wrap it in a buffer.
pub struct FileReader {
    file: File,
    offset: u64,
}

impl io::Read for FileReader {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read_at(self.offset, out).map_err(io::Error::other)?;
        self.offset += read as u64;
        Ok(read)
    }
}

/// Writes a file from its start. Unbuffered: every call is a write of the operating system.
pub struct Append {
    file: File,
    offset: u64,
}

impl Append {
    /// Writes all of `data` behind what was written.
    pub fn write(&mut self, data: &[u8]) -> Result<()> {
        self.file.write_at(self.offset, data)?;
        self.offset += data.len() as u64;
        Ok(())
    }

    /// How many bytes were written.
    pub fn written(&self) -> u64 {
        self.offset
    }

    /// The file.
    pub fn file(&self) -> &File {
        &self.file
    }
}

impl io::Write for Append {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        Append::write(self, data).map_err(io::Error::other)?;
        Ok(data.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
