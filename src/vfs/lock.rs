//! One process per data folder.

use super::file::File;
use super::handle::Vfs;
use crate::error::{Error, ErrorKind, Result};

const NAME: &str = "LOCK";

/// The lock on a data folder, held until it is dropped. The file stays: unlinking it would let two
/// processes lock two files of one name.
pub struct Lock {
    _file: File,
}

impl Lock {
    pub(super) fn take(vfs: &Vfs) -> Result<Lock> {
        let file = vfs.open_write(NAME)?;
        if !file.try_lock()? {
            return Err(in_use(vfs, &file));
        }
        let pid = format!("{}\n", std::process::id());
        file.set_len(0)?;
        file.write_at(0, pid.as_bytes())?;
        Ok(Lock { _file: file })
    }
}

fn in_use(vfs: &Vfs, file: &File) -> Error {
    let mut pid = [0; 20];
    let read = file.read_at(0, &mut pid).unwrap_or(0);
    let pid = String::from_utf8_lossy(&pid[..read]);
    let root = vfs.root().display();
    let by = match pid.trim() {
        "" => "another process".to_owned(),
        pid => format!("pid {pid}"),
    };
    Error::new(ErrorKind::DataDirectory, format!("data directory \"{root}\" is in use by {by}"))
        .hint("stop that process, or give this one another data directory")
}
