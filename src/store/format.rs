//! FORMAT: which database this is, who wrote it, and who may open it.
//!
//! ```text
//! asofdb
//! id 3f0c…            128 bits of its own
//! written-by 0.1.0
//! format 1            of everything in the folder
//! readable-from 1     the oldest program format that may open it
//! ```

use std::path::Path;

use super::collect::TRASH_DIR;
use crate::error::{Error, ErrorKind, Result};
use crate::log;
use crate::segment::{SEGMENTS_DIR, TMP_DIR};
use crate::vfs::Vfs;

const FILE: &str = "FORMAT";
/// FORMAT before it has its name: there from the first step of making a folder to the last, so that a crash
/// leaves none or a whole one.
const UNFINISHED: &str = "FORMAT.new";
const MAGIC: &str = "asofdb";
/// The folders of a data folder.
pub(super) const FOLDERS: [&str; 3] = [SEGMENTS_DIR, TMP_DIR, TRASH_DIR];

/// The format this program writes.
pub(super) const FORMAT: u64 = 1;

/// Whether a folder is a database's, or was to become one.
pub(super) fn is_in(folder: &Path) -> bool {
    [FILE, UNFINISHED, "LOCK"].iter().any(|name| folder.join(name).is_file())
}

/// Verifies the folder's format. Where the folder is new, or was never finished, it is begun: FORMAT comes
/// last, by [`finish`], so that a folder that has it has a log.
///
/// # Errors
/// DataDirectory where the folder is not ours, or newer than this program; Corrupt where FORMAT is damaged or
/// the log is gone.
pub(super) fn begin(vfs: &Vfs) -> Result<()> {
    if vfs.exists(FILE)? {
        read(vfs)?;
        if !vfs.exists(log::FILE)? || vfs.len(log::FILE)? == 0 {
            let message = format!("the log of the data folder, {}, is missing or empty", log::FILE);
            return Err(Error::new(ErrorKind::Corrupt, message)
                .hint("restore the folder from a backup; nothing in it was touched"));
        }
        return Ok(());
    }
    refuse_foreign(vfs)?;
    match vfs.exists(UNFINISHED)? {
        // Nobody was ever told of what it holds.
        true if vfs.exists(log::FILE)? => vfs.remove(log::FILE)?,
        true => {}
        false => drop(vfs.create_new(UNFINISHED)?),
    }
    vfs.sync_dir(".")
}

/// Writes FORMAT where the folder has none yet.
pub(super) fn finish(vfs: &Vfs, id: u128) -> Result<()> {
    if vfs.exists(FILE)? {
        return Ok(());
    }
    let version = env!("CARGO_PKG_VERSION");
    let text = format!(
        "{MAGIC}\nid {id:032x}\nwritten-by {version}\nformat {FORMAT}\nreadable-from {FORMAT}\n"
    );
    let file = vfs.open_write(UNFINISHED)?;
    file.set_len(0)?;
    file.write_at(0, text.as_bytes())?;
    file.sync_all()?;
    vfs.rename_new(UNFINISHED, FILE)?;
    vfs.sync_dir(".")
}

/// Leaves a folder that holds other things as it is.
///
/// # Errors
/// DataDirectory.
pub(super) fn refuse_foreign(vfs: &Vfs) -> Result<()> {
    if vfs.exists(FILE)? {
        return Ok(());
    }
    let (files, folders) = vfs.list(".")?;
    let begun = files.iter().any(|name| name == UNFINISHED);
    let is_ours = |name: &str| {
        name == "LOCK"
            || begun && (name == UNFINISHED || name == log::FILE || FOLDERS.contains(&name))
    };
    if let Some(name) = files.iter().chain(&folders).find(|name| !is_ours(name)) {
        return Err(Error::new(
            ErrorKind::DataDirectory,
            format!(
                "\"{}\" is not a data folder of AsofDB: it has \"{name}\" but no {FILE}",
                vfs.root().display()
            ),
        )
        .hint("name a new or empty folder"));
    }
    Ok(())
}

fn read(vfs: &Vfs) -> Result<()> {
    let bytes = vfs.open_read(FILE)?.bytes_at(0, vfs.len(FILE)?.min(4096) as usize)?;
    let text = String::from_utf8_lossy(&bytes);
    let field =
        |name: &str| text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    let oldest = field("readable-from").and_then(|n| n.parse::<u64>().ok());
    match (text.lines().next(), oldest) {
        (Some(MAGIC), Some(oldest)) if oldest <= FORMAT => Ok(()),
        (Some(MAGIC), Some(oldest)) => Err(Error::new(
            ErrorKind::DataDirectory,
            format!(
                "the folder needs a program of format {oldest} or newer; this one, {}, is of format {FORMAT}",
                env!("CARGO_PKG_VERSION")
            ),
        )
        .hint(format!("open it with AsofDB {} or newer", field("written-by").unwrap_or("?")))),
        _ => Err(Error::new(ErrorKind::Corrupt, format!("{FILE} of the data folder is damaged"))
            .hint("restore the folder from a backup")),
    }
}
