//! One process per data folder.

use std::time::Duration;

use super::file::File;
use super::handle::Vfs;
use crate::error::{Error, ErrorKind, Result};

const NAME: &str = "LOCK";

/// What this process itself still holds is let go soon: work that was cancelled ends when it next
/// asks, and may outlive the database's handle by that long.
const OWN_WAITS: u32 = 1000;
const OWN_WAIT: Duration = Duration::from_millis(5);

/// The lock on a data folder, held until it is dropped. The file stays: unlinking it would let two
/// processes lock two files of one name.
pub struct Lock {
    _file: File,
}

impl Lock {
    pub(super) fn take(vfs: &Vfs) -> Result<Lock> {
        let file = vfs.open_write(NAME)?;
        let own = std::process::id().to_string();
        let mut waits = 0..OWN_WAITS;
        while !file.try_lock()? {
            if holder(&file) != own || waits.next().is_none() {
                return Err(in_use(vfs, &file));
            }
            std::thread::sleep(OWN_WAIT);
        }
        let pid = format!("{own}\n");
        file.set_len(0)?;
        file.write_at(0, pid.as_bytes())?;
        Ok(Lock { _file: file })
    }
}

/// The process id in the file.
fn holder(file: &File) -> String {
    let mut pid = [0; 20];
    let read = file.read_at(0, &mut pid).unwrap_or(0);
    String::from_utf8_lossy(&pid[..read]).trim().to_owned()
}

fn in_use(vfs: &Vfs, file: &File) -> Error {
    let root = vfs.root().display();
    let by = match holder(file).as_str() {
        "" => "another process".to_owned(),
        pid => format!("pid {pid}"),
    };
    Error::new(ErrorKind::DataDirectory, format!("data directory \"{root}\" is in use by {by}"))
        .hint("stop that process, or give this one another data directory")
}
