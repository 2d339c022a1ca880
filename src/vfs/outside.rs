//! Files that SQL names for COPY: any path the operating system lets this process reach, relative to
//! the working directory. Whether the role may is decided by the caller.

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use super::file::File;
use super::handle::io_error;
use crate::error::{Error, ErrorKind, Result};

/// Opens a file for reading. Folders are refused.
pub fn open(path: &str) -> Result<File> {
    let file = OpenOptions::new().read(true).open(Path::new(path));
    let file = file.map_err(|e| io_error("could not open file", path, e))?;
    let meta = file.metadata().map_err(|e| io_error("could not stat file", path, e))?;
    if meta.is_dir() {
        return Err(Error::new(ErrorKind::Io, format!("\"{path}\" is a directory")));
    }
    Ok(File::new(path, Box::new(file)))
}

/// Makes a file, or empties the one of that name; readable by everyone, as COPY does elsewhere.
pub fn create(path: &str) -> Result<File> {
    let mut options = OpenOptions::new();
    let file = options.write(true).create(true).truncate(true).mode(0o644).open(Path::new(path));
    let file = file.map_err(|e| io_error("could not open file", path, e))?;
    Ok(File::new(path, Box::new(file)))
}
