//! redb's file, opened by the room that opens all files.

use std::fmt;
use std::io;

use redb::StorageBackend;

use crate::error::{Error, Result};
use crate::vfs::{File, Vfs};

/// One file of the data folder as redb wants it. The folder's own lock keeps other processes out, so
/// redb needs none of its own.
pub(super) struct Backend(File);

impl fmt::Debug for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Backend").field(&self.0.name()).finish()
    }
}

impl Backend {
    pub(super) fn open(vfs: &Vfs, name: &str) -> Result<Backend> {
        let file = if vfs.exists(name)? { vfs.open_write(name)? } else { vfs.create_new(name)? };
        Ok(Backend(file))
    }
}

fn to_io(error: Error) -> io::Error {
    io::Error::other(error)
}

impl StorageBackend for Backend {
    fn len(&self) -> Result<u64, io::Error> {
        self.0.len().map_err(to_io)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> Result<(), io::Error> {
        self.0.read_exact_at(offset, out).map_err(to_io)
    }

    fn set_len(&self, len: u64) -> Result<(), io::Error> {
        let grows = len > self.0.len().map_err(to_io)?;
        self.0.set_len(len).map_err(to_io)?;
        // A sparse file would meet the full disk in the middle of a commit.
        if grows { self.0.reserve(len).map_err(to_io) } else { Ok(()) }
    }

    fn sync_data(&self) -> Result<(), io::Error> {
        self.0.sync_data().map_err(to_io)
    }

    fn write(&self, offset: u64, data: &[u8]) -> Result<(), io::Error> {
        self.0.write_at(offset, data).map_err(to_io)
    }
}
