//! Bytes of a published file, each block verified before its first use.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::{Buf, Bytes};
use parquet::errors::{ParquetError, Result as ParquetResult};
use parquet::file::reader::{ChunkReader, Length};
use twox_hash::XxHash3_128;

use crate::error::{Error, ErrorKind, Result};
use crate::spec::FileChecksums;
use crate::spec::segment::CHECKSUM_BLOCK_BYTES;
use crate::vfs::{File, Vfs};

/// A published file and which of its blocks this process has verified.
pub(super) struct Blocks {
    name: String,
    file: File,
    checksums: FileChecksums,
    verified: Vec<AtomicU64>,
}

impl Blocks {
    /// Opens a file that the log says is there, with this length and these checksums.
    pub fn open(vfs: &Vfs, name: String, checksums: FileChecksums) -> Result<Arc<Blocks>> {
        let file = vfs.open_read(&name).map_err(|e| match e.kind() {
            ErrorKind::UndefinedFile => damaged(&name, "is missing").caused_by(e),
            _ => e,
        })?;
        let bytes = file.len()?;
        if bytes != checksums.bytes {
            let expected = checksums.bytes;
            return Err(damaged(&name, &format!("has {bytes} bytes instead of {expected}")));
        }
        let words = checksums.blocks.len().div_ceil(64);
        let verified = (0..words).map(|_| AtomicU64::new(0)).collect();
        Ok(Arc::new(Blocks { name, file, checksums, verified }))
    }

    /// The file's name below the data folder.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The file's length.
    pub fn bytes(&self) -> u64 {
        self.checksums.bytes
    }

    /// Reads bytes; blocks that this process has not seen yet are read whole and verified.
    pub fn read(&self, offset: u64, length: usize) -> Result<Bytes> {
        let end = offset + length as u64;
        if end > self.bytes() {
            return Err(damaged(
                &self.name,
                &format!("is shorter than byte {end}, which it names"),
            ));
        }
        if length == 0 {
            return Ok(Bytes::new());
        }
        let first = offset / CHECKSUM_BLOCK_BYTES;
        let last = (end - 1) / CHECKSUM_BLOCK_BYTES;
        if (first..=last).all(|block| self.is_verified(block)) {
            return self.file.bytes_at(offset, length);
        }
        let start = first * CHECKSUM_BLOCK_BYTES;
        let stop = ((last + 1) * CHECKSUM_BLOCK_BYTES).min(self.bytes());
        let all = self.file.bytes_at(start, (stop - start) as usize)?;
        for (block, data) in (first..).zip(all.chunks(CHECKSUM_BLOCK_BYTES as usize)) {
            self.verify(block, data)?;
        }
        let from = (offset - start) as usize;
        Ok(all.slice(from..from + length))
    }

    /// Reads and verifies every byte, the whole-file hash included, whatever was verified before.
    pub fn verify_all(&self) -> Result<()> {
        let mut hash = XxHash3_128::new();
        let mut offset = 0;
        for block in 0..self.checksums.blocks.len() as u64 {
            let length = CHECKSUM_BLOCK_BYTES.min(self.bytes() - offset);
            let data = self.file.bytes_at(offset, length as usize)?;
            self.verify(block, &data)?;
            hash.write(&data);
            offset += length;
        }
        match hash.finish_128() == self.checksums.hash {
            true => Ok(()),
            false => Err(damaged(&self.name, "does not match its hash")),
        }
    }

    fn is_verified(&self, block: u64) -> bool {
        let word = self.verified.get((block / 64) as usize);
        word.is_some_and(|w| w.load(Ordering::Relaxed) >> (block % 64) & 1 == 1)
    }

    fn verify(&self, block: u64, data: &[u8]) -> Result<()> {
        let expected = self.checksums.blocks.get(block as usize);
        if expected != Some(&crc32c::crc32c(data)) {
            let offset = block * CHECKSUM_BLOCK_BYTES;
            return Err(damaged(&self.name, &format!("is damaged in the block at byte {offset}")));
        }
        self.verified[(block / 64) as usize].fetch_or(1 << (block % 64), Ordering::Relaxed);
        Ok(())
    }
}

/// The error of a file whose bytes are not what was written.
pub(super) fn damaged(name: &str, why: &str) -> Error {
    Error::new(ErrorKind::Corrupt, format!("file \"{name}\" {why}"))
        .hint("run asofdb check, and restore the file from a backup")
}

/// What Parquet's reader reads from.
pub(super) struct BlockReader(pub Arc<Blocks>);

impl Length for BlockReader {
    fn len(&self) -> u64 {
        self.0.bytes()
    }
}

impl ChunkReader for BlockReader {
    type T = bytes::buf::Reader<Bytes>;

    fn get_read(&self, start: u64) -> ParquetResult<Self::T> {
        let length = self.0.bytes().saturating_sub(start) as usize;
        Ok(self.get_bytes(start, length)?.reader())
    }

    fn get_bytes(&self, start: u64, length: usize) -> ParquetResult<Bytes> {
        self.0.read(start, length).map_err(|e| ParquetError::External(Box::new(e)))
    }
}

/// An error of Parquet's while a file was read: ours where it travelled through, else the file is not
/// what we write.
pub(super) fn parquet_error(name: &str, error: ParquetError) -> Error {
    ours(error).unwrap_or_else(|e| damaged(name, "cannot be decoded").caused_by(e))
}

/// An error of Parquet's while a file was written: ours where it travelled through.
pub(super) fn write_error(name: &str, error: ParquetError) -> Error {
    let what = || format!("file \"{name}\" cannot be encoded");
    ours(error).unwrap_or_else(|e| Error::new(ErrorKind::Internal, what()).caused_by(e))
}

fn ours(error: ParquetError) -> Result<Error, ParquetError> {
    let ParquetError::External(cause) = error else { return Err(error) };
    let cause = match cause.downcast::<Error>() {
        Ok(ours) => return Ok(*ours),
        Err(cause) => cause,
    };
    match cause.downcast::<std::io::Error>() {
        Ok(io) => io.downcast::<Error>().map_err(|io| ParquetError::External(Box::new(io))),
        Err(cause) => Err(ParquetError::External(cause)),
    }
}
