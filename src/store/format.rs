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

use crate::error::{Error, ErrorKind, Result};
use crate::vfs::Vfs;

const FILE: &str = "FORMAT";
/// FORMAT before it has its name, so that a crash leaves none or a whole one.
const UNFINISHED: &str = "FORMAT.new";
const MAGIC: &str = "asofdb";

/// The format this program writes.
pub(super) const FORMAT: u64 = 1;

/// Whether a folder is a database's, or was to become one.
pub(super) fn is_in(folder: &Path) -> bool {
    [FILE, UNFINISHED, "LOCK"].iter().any(|name| folder.join(name).is_file())
}

/// Verifies the folder's format, and writes it where the folder is new.
///
/// # Errors
/// DataDirectory where the folder is not ours, or newer than this program.
pub(super) fn open(vfs: &Vfs, id: u128) -> Result<()> {
    if vfs.exists(FILE)? {
        return read(vfs);
    }
    refuse_foreign(vfs)?;
    let version = env!("CARGO_PKG_VERSION");
    let text = format!(
        "{MAGIC}\nid {id:032x}\nwritten-by {version}\nformat {FORMAT}\nreadable-from {FORMAT}\n"
    );
    if vfs.exists(UNFINISHED)? {
        vfs.remove(UNFINISHED)?;
    }
    let file = vfs.create_new(UNFINISHED)?;
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
    let foreign: Vec<&String> =
        files.iter().filter(|name| !["LOCK", UNFINISHED].contains(&name.as_str())).collect();
    if let Some(name) = foreign.first().copied().or(folders.first()) {
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
