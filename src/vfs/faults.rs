//! A disk that refuses one call, for tests that fail every call of a piece of work in turn.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::disk::{Disk, DiskFile, Entry, Open};

/// Counts the calls to the disk and refuses one of them. Shared between a test and its
/// [`super::Vfs`].
#[derive(Debug)]
pub struct Faults {
    calls: AtomicU64,
    fail_at: u64,
    errno: i32,
}

impl Faults {
    /// Refuses the `fail_at`-th call, counted from 1, with this errno; 0 refuses none.
    pub fn new(fail_at: u64, errno: i32) -> Arc<Faults> {
        Arc::new(Faults { calls: AtomicU64::new(0), fail_at, errno })
    }

    /// How many calls there were.
    pub fn calls(&self) -> u64 {
        self.calls.load(Ordering::SeqCst)
    }

    fn call(&self) -> io::Result<()> {
        match self.calls.fetch_add(1, Ordering::SeqCst) + 1 == self.fail_at {
            true => Err(io::Error::from_raw_os_error(self.errno)),
            false => Ok(()),
        }
    }
}

pub(super) struct FaultyDisk {
    pub disk: Box<dyn Disk>,
    pub faults: Arc<Faults>,
}

struct FaultyFile {
    file: Box<dyn DiskFile>,
    faults: Arc<Faults>,
}

impl Disk for FaultyDisk {
    fn open(&self, name: &str, how: Open) -> io::Result<Box<dyn DiskFile>> {
        self.faults.call()?;
        let file = self.disk.open(name, how)?;
        Ok(Box::new(FaultyFile { file, faults: self.faults.clone() }))
    }

    fn rename_new(&self, from: &str, to: &str) -> io::Result<()> {
        self.faults.call()?;
        self.disk.rename_new(from, to)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.faults.call()?;
        self.disk.remove(name)
    }

    fn remove_dir(&self, name: &str) -> io::Result<()> {
        self.faults.call()?;
        self.disk.remove_dir(name)
    }

    fn make_dir(&self, name: &str) -> io::Result<()> {
        self.faults.call()?;
        self.disk.make_dir(name)
    }

    fn sync_dir(&self, name: &str) -> io::Result<()> {
        self.faults.call()?;
        self.disk.sync_dir(name)
    }

    fn list(&self, name: &str) -> io::Result<Vec<Entry>> {
        self.faults.call()?;
        self.disk.list(name)
    }

    fn len(&self, name: &str) -> io::Result<u64> {
        self.faults.call()?;
        self.disk.len(name)
    }

    fn modified_us(&self, name: &str) -> io::Result<i64> {
        self.faults.call()?;
        self.disk.modified_us(name)
    }

    fn free_bytes(&self) -> io::Result<u64> {
        self.faults.call()?;
        self.disk.free_bytes()
    }
}

impl DiskFile for FaultyFile {
    fn read_at(&self, offset: u64, out: &mut [u8]) -> io::Result<usize> {
        self.faults.call()?;
        self.file.read_at(offset, out)
    }

    fn write_at(&self, offset: u64, data: &[u8]) -> io::Result<usize> {
        self.faults.call()?;
        self.file.write_at(offset, data)
    }

    fn len(&self) -> io::Result<u64> {
        self.faults.call()?;
        self.file.len()
    }

    fn set_len(&self, bytes: u64) -> io::Result<()> {
        self.faults.call()?;
        self.file.set_len(bytes)
    }

    fn reserve(&self, bytes: u64) -> io::Result<()> {
        self.faults.call()?;
        self.file.reserve(bytes)
    }

    fn sync_all(&self) -> io::Result<()> {
        self.faults.call()?;
        self.file.sync_all()
    }

    fn sync_data(&self) -> io::Result<()> {
        self.faults.call()?;
        self.file.sync_data()
    }

    fn try_lock(&self) -> io::Result<bool> {
        self.faults.call()?;
        self.file.try_lock()
    }
}
