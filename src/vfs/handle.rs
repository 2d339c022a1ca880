//! The handle over the data folder.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::io::Errno;

use super::disk::{Disk, Open, RealDisk};
use super::faults::{Faults, FaultyDisk};
use super::file::File;
use super::lock::Lock;
use super::points::{Action, Points};
use crate::error::{Error, ErrorKind, Result};

/// The data folder. Clones share it.
#[derive(Clone)]
pub struct Vfs(Arc<Inner>);

struct Inner {
    root: PathBuf,
    disk: Box<dyn Disk>,
    points: Points,
}

impl Vfs {
    /// Opens the folder, and makes it where it is missing. Arms the fail points that the environment
    /// variable `ASOFDB_FAILPOINTS` names.
    pub fn open(root: &Path) -> Result<Vfs> {
        let disk = RealDisk::open(root)
            .map_err(|e| io_error("cannot open data directory", &root.to_string_lossy(), e))?;
        let points = Points::from_env()?;
        Ok(Vfs(Arc::new(Inner { root: root.to_owned(), disk: Box::new(disk), points })))
    }

    /// The folder on a disk that refuses the calls that `faults` says.
    pub fn open_faulty(root: &Path, faults: &Arc<Faults>) -> Result<Vfs> {
        let real = RealDisk::open(root)
            .map_err(|e| io_error("cannot open data directory", &root.to_string_lossy(), e))?;
        let disk = FaultyDisk { disk: Box::new(real), faults: faults.clone() };
        let points = Points::default();
        Ok(Vfs(Arc::new(Inner { root: root.to_owned(), disk: Box::new(disk), points })))
    }

    /// Where the folder is, for messages.
    pub fn root(&self) -> &Path {
        &self.0.root
    }

    /// The fail points of this folder.
    pub fn points(&self) -> &Points {
        &self.0.points
    }

    /// A place where a test may make the work fail. Costs one relaxed load when nothing is armed.
    pub fn point(&self, name: &'static str) -> Result<()> {
        match self.0.points.hit(name) {
            None => Ok(()),
            Some(action) => action.run(name),
        }
    }

    /// A fail point at a write of `data`: `torn(n)` writes the first n bytes, then kills.
    pub fn point_write(&self, name: &'static str, data: &[u8], file: &File, at: u64) -> Result<()> {
        match self.0.points.hit(name) {
            None => Ok(()),
            Some(Action::Torn(bytes)) => {
                file.write_at(at, &data[..bytes.min(data.len())])?;
                Action::Kill.run(name)
            }
            Some(action) => action.run(name),
        }
    }

    /// Opens an existing file for reading.
    pub fn open_read(&self, name: &str) -> Result<File> {
        self.open_file(name, Open::Read)
    }

    /// Opens a file for reading and writing, and makes it where it is missing.
    pub fn open_write(&self, name: &str) -> Result<File> {
        self.open_file(name, Open::ReadWrite)
    }

    /// Makes a file that must not exist.
    pub fn create_new(&self, name: &str) -> Result<File> {
        self.open_file(name, Open::CreateNew)
    }

    fn open_file(&self, name: &str, how: Open) -> Result<File> {
        check_name(name)?;
        match self.0.disk.open(name, how) {
            Ok(file) => Ok(File::new(name, file)),
            Err(e) => Err(io_error("cannot open", name, e)),
        }
    }

    /// Renames a file; a file of the new name is an error. Durable once the folders are synced.
    pub fn rename_new(&self, from: &str, to: &str) -> Result<()> {
        check_name(from)?;
        check_name(to)?;
        self.0.disk.rename_new(from, to).map_err(|e| {
            let what = format!("cannot rename \"{from}\" to");
            io_error(&what, to, e)
        })
    }

    /// Removes a file.
    pub fn remove(&self, name: &str) -> Result<()> {
        check_name(name)?;
        self.0.disk.remove(name).map_err(|e| io_error("cannot remove", name, e))
    }

    /// Removes a folder and everything in it; a missing one is fine.
    pub fn remove_dir_all(&self, name: &str) -> Result<()> {
        let (files, dirs) = match self.list(name) {
            Ok(entries) => entries,
            Err(e) if e.kind() == ErrorKind::UndefinedFile => return Ok(()),
            Err(e) => return Err(e),
        };
        for dir in dirs {
            self.remove_dir_all(&format!("{name}/{dir}"))?;
        }
        for file in files {
            self.remove(&format!("{name}/{file}"))?;
        }
        self.0.disk.remove_dir(name).map_err(|e| io_error("cannot remove", name, e))
    }

    /// Makes a folder, and its parents, where they are missing; syncs the parent of each new one.
    pub fn make_dir(&self, name: &str) -> Result<()> {
        check_name(name)?;
        if let Some((parent, _)) = name.rsplit_once('/') {
            self.make_dir(parent)?;
        }
        match self.0.disk.make_dir(name) {
            Ok(()) => self.sync_dir(name.rsplit_once('/').map_or(".", |(parent, _)| parent)),
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            Err(e) => Err(io_error("cannot make folder", name, e)),
        }
    }

    /// Makes the names in a folder durable; `.` is the data folder.
    pub fn sync_dir(&self, name: &str) -> Result<()> {
        if name != "." {
            check_name(name)?;
        }
        self.0.disk.sync_dir(name).map_err(|e| io_error("cannot sync folder", name, e))
    }

    /// The names in a folder, sorted: files, then folders. `.` is the data folder.
    pub fn list(&self, name: &str) -> Result<(Vec<String>, Vec<String>)> {
        if name != "." {
            check_name(name)?;
        }
        let entries = self.0.disk.list(name).map_err(|e| io_error("cannot list", name, e))?;
        let (dirs, files): (Vec<_>, Vec<_>) = entries.into_iter().partition(|e| e.is_dir);
        let names = |entries: Vec<super::disk::Entry>| entries.into_iter().map(|e| e.name);
        Ok((names(files).collect(), names(dirs).collect()))
    }

    /// The length of a file in bytes, without opening it.
    pub fn len(&self, name: &str) -> Result<u64> {
        check_name(name)?;
        self.0.disk.len(name).map_err(|e| io_error("cannot stat", name, e))
    }

    /// When a file was last written: µs since 1970-01-01 UTC, by the machine's clock.
    pub fn modified_us(&self, name: &str) -> Result<i64> {
        check_name(name)?;
        self.0.disk.modified_us(name).map_err(|e| io_error("cannot stat", name, e))
    }

    /// Whether there is a file or folder of this name.
    pub fn exists(&self, name: &str) -> Result<bool> {
        match self.len(name) {
            Ok(_) => Ok(true),
            Err(e) if e.kind() == ErrorKind::UndefinedFile => Ok(false),
            Err(e) => Err(e),
        }
    }

    /// Bytes that an ordinary user may still write to the folder's file system.
    pub fn free_bytes(&self) -> Result<u64> {
        self.0.disk.free_bytes().map_err(|e| io_error("cannot measure free space of", ".", e))
    }

    /// Takes the folder for this process until the lock is dropped.
    pub fn lock(&self) -> Result<Lock> {
        Lock::take(self)
    }
}

/// Names are relative, stay below the root, and have no empty, `.` or `..` parts.
fn check_name(name: &str) -> Result<()> {
    let bad = |part: &str| part.is_empty() || part == "." || part == "..";
    if name.contains('\0') || name.split('/').any(bad) {
        return Err(Error::new(
            ErrorKind::InvalidName,
            format!("\"{}\" is not a name inside the data directory", name.escape_debug()),
        ));
    }
    Ok(())
}

/// The error of a refused call, naming the file.
pub(super) fn io_error(what: &str, name: &str, error: io::Error) -> Error {
    // An error of ours that travelled through std::io comes back as itself.
    if error.get_ref().is_some_and(|e| e.is::<Error>()) {
        let inner = error.into_inner().expect("checked above");
        return *inner.downcast::<Error>().expect("checked above");
    }
    let errno = error.raw_os_error().map(Errno::from_raw_os_error);
    let kind = match errno {
        Some(Errno::NOSPC | Errno::DQUOT) => ErrorKind::DiskFull,
        Some(Errno::NOENT) => ErrorKind::UndefinedFile,
        _ => ErrorKind::Io,
    };
    let error = Error::new(kind, format!("{what} \"{name}\"")).caused_by(error);
    match kind {
        ErrorKind::DiskFull => error.hint("free some disk space, then try again"),
        _ => error,
    }
}
