//! The seam between the handle and what is under it: the real file system, or a test's.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::path::Path;

use rustix::fs::{
    AtFlags, CWD, FallocateFlags, FileType, FlockOperation, Mode, OFlags, RenameFlags, ResolveFlags,
};
use rustix::io::Errno;

/// How a file is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Open {
    /// An existing file, for reading.
    Read,
    /// An existing or a new file, for reading and writing.
    ReadWrite,
    /// A new file, for reading and writing; it must not exist.
    CreateNew,
}

/// One entry of a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub name: String,
    pub is_dir: bool,
}

/// A file system below one folder. Names are relative and checked already.
pub(super) trait Disk: Send + Sync {
    fn open(&self, name: &str, how: Open) -> io::Result<Box<dyn DiskFile>>;
    fn rename_new(&self, from: &str, to: &str) -> io::Result<()>;
    fn remove(&self, name: &str) -> io::Result<()>;
    fn remove_dir(&self, name: &str) -> io::Result<()>;
    fn make_dir(&self, name: &str) -> io::Result<()>;
    fn sync_dir(&self, name: &str) -> io::Result<()>;
    fn list(&self, name: &str) -> io::Result<Vec<Entry>>;
    fn len(&self, name: &str) -> io::Result<u64>;
    fn modified_us(&self, name: &str) -> io::Result<i64>;
    fn free_bytes(&self) -> io::Result<u64>;
}

/// An open file of a [`Disk`].
pub(super) trait DiskFile: Send + Sync {
    fn read_at(&self, offset: u64, out: &mut [u8]) -> io::Result<usize>;
    fn write_at(&self, offset: u64, data: &[u8]) -> io::Result<usize>;
    fn len(&self) -> io::Result<u64>;
    fn set_len(&self, bytes: u64) -> io::Result<()>;
    fn reserve(&self, bytes: u64) -> io::Result<()>;
    fn sync_all(&self) -> io::Result<()>;
    fn sync_data(&self) -> io::Result<()>;
    fn try_lock(&self) -> io::Result<bool>;
}

/// The operating system's files below one folder, reached through its descriptor so that the folder
/// may be moved while it is open.
pub(super) struct RealDisk {
    root: OwnedFd,
}

const PRIVATE_FILE: Mode = Mode::from_raw_mode(0o600);
const PRIVATE_DIR: Mode = Mode::from_raw_mode(0o700);

impl RealDisk {
    /// Opens a folder, and makes it where it is missing.
    pub fn open(path: &Path) -> io::Result<RealDisk> {
        match rustix::fs::mkdir(path, PRIVATE_DIR) {
            Ok(()) => sync_parent(path)?,
            Err(Errno::EXIST) => {}
            Err(errno) => return Err(errno.into()),
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(RealDisk { root: rustix::fs::openat(CWD, path, flags, Mode::empty())? })
    }

    /// Opens a name below the root without following any symbolic link on the way.
    fn open_fd(&self, name: &str, flags: OFlags) -> io::Result<OwnedFd> {
        let flags = flags | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let mode = if flags.contains(OFlags::CREATE) { PRIVATE_FILE } else { Mode::empty() };
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
        match rustix::fs::openat2(&self.root, name, flags, mode, resolve) {
            // Old kernels and some sandboxes do not have the call.
            Err(Errno::NOSYS | Errno::PERM) => {
                Ok(rustix::fs::openat(&self.root, name, flags, mode)?)
            }
            other => Ok(other?),
        }
    }
}

/// A new folder's name is durable only when its parent is synced.
fn sync_parent(path: &Path) -> io::Result<()> {
    let parent = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    Ok(rustix::fs::fsync(rustix::fs::open(parent, flags, Mode::empty())?)?)
}

impl Disk for RealDisk {
    fn open(&self, name: &str, how: Open) -> io::Result<Box<dyn DiskFile>> {
        let flags = match how {
            Open::Read => OFlags::RDONLY,
            Open::ReadWrite => OFlags::RDWR | OFlags::CREATE,
            Open::CreateNew => OFlags::RDWR | OFlags::CREATE | OFlags::EXCL,
        };
        Ok(Box::new(File::from(self.open_fd(name, flags)?)))
    }

    fn rename_new(&self, from: &str, to: &str) -> io::Result<()> {
        let root = &self.root;
        match rustix::fs::renameat_with(root, from, root, to, RenameFlags::NOREPLACE) {
            // A file system without the flag: a hard link refuses an existing name as well.
            Err(Errno::INVAL | Errno::NOSYS) => {
                rustix::fs::linkat(root, from, root, to, AtFlags::empty())?;
                Ok(rustix::fs::unlinkat(root, from, AtFlags::empty())?)
            }
            other => Ok(other?),
        }
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        Ok(rustix::fs::unlinkat(&self.root, name, AtFlags::empty())?)
    }

    fn remove_dir(&self, name: &str) -> io::Result<()> {
        Ok(rustix::fs::unlinkat(&self.root, name, AtFlags::REMOVEDIR)?)
    }

    fn make_dir(&self, name: &str) -> io::Result<()> {
        Ok(rustix::fs::mkdirat(&self.root, name, PRIVATE_DIR)?)
    }

    fn sync_dir(&self, name: &str) -> io::Result<()> {
        let dir = self.open_fd(name, OFlags::RDONLY | OFlags::DIRECTORY)?;
        Ok(rustix::fs::fsync(dir)?)
    }

    fn list(&self, name: &str) -> io::Result<Vec<Entry>> {
        let fd = self.open_fd(name, OFlags::RDONLY | OFlags::DIRECTORY)?;
        let mut entries = Vec::new();
        for entry in rustix::fs::Dir::read_from(&fd)? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if name == "." || name == ".." {
                continue;
            }
            let is_dir = match entry.file_type() {
                FileType::Unknown => {
                    let stat =
                        rustix::fs::statat(&fd, entry.file_name(), AtFlags::SYMLINK_NOFOLLOW)?;
                    FileType::from_raw_mode(stat.st_mode) == FileType::Directory
                }
                known => known == FileType::Directory,
            };
            entries.push(Entry { name, is_dir });
        }
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(entries)
    }

    fn len(&self, name: &str) -> io::Result<u64> {
        Ok(rustix::fs::statat(&self.root, name, AtFlags::SYMLINK_NOFOLLOW)?.st_size as u64)
    }

    fn modified_us(&self, name: &str) -> io::Result<i64> {
        let stat = rustix::fs::statat(&self.root, name, AtFlags::SYMLINK_NOFOLLOW)?;
        Ok(stat.st_mtime as i64 * 1_000_000 + stat.st_mtime_nsec as i64 / 1000)
    }

    fn free_bytes(&self) -> io::Result<u64> {
        let stat = rustix::fs::fstatvfs(&self.root)?;
        Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
    }
}

impl DiskFile for File {
    fn read_at(&self, offset: u64, out: &mut [u8]) -> io::Result<usize> {
        FileExt::read_at(self, out, offset)
    }

    fn write_at(&self, offset: u64, data: &[u8]) -> io::Result<usize> {
        FileExt::write_at(self, data, offset)
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    fn set_len(&self, bytes: u64) -> io::Result<()> {
        File::set_len(self, bytes)
    }

    fn reserve(&self, bytes: u64) -> io::Result<()> {
        match rustix::fs::fallocate(self.as_fd(), FallocateFlags::KEEP_SIZE, 0, bytes) {
            // Nothing is promised where the file system cannot: the writes themselves will tell.
            Ok(()) | Err(Errno::OPNOTSUPP | Errno::NOSYS) => Ok(()),
            Err(errno) => Err(errno.into()),
        }
    }

    fn sync_all(&self) -> io::Result<()> {
        File::sync_all(self)
    }

    fn sync_data(&self) -> io::Result<()> {
        File::sync_data(self)
    }

    fn try_lock(&self) -> io::Result<bool> {
        match rustix::fs::flock(self.as_fd(), FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(true),
            Err(Errno::WOULDBLOCK) => Ok(false),
            Err(errno) => Err(errno.into()),
        }
    }
}
