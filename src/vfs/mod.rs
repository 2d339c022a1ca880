//! The only opener of files: the data folder behind one handle, with fail points and faults.
//!
//! [`Vfs`] is rooted at the data folder; every name is relative to it (`segments/e1-7.parquet`), has
//! no `..`, and no symbolic link on its way is followed. Folders are made 0700, files 0600. The
//! operating system's refusals become [`crate::error::ErrorKind::Io`], a full disk `DiskFull`, a
//! missing file `UndefinedFile`, each naming the file.
//!
//! Nothing is durable until it is synced, and a name not until its folder is. A failed sync is
//! never retried here: the kernel may have forgotten the data and marked it clean.
//!
//! Files that SQL names for COPY live in [`outside`], apart from the database's own; what the system
//! says of this process is [`resident_bytes`]. Tests put
//! [`Faults`] between the handle and the disk, and arm [`points`] by name. Start reading at
//! [`Vfs`].

mod disk;
mod faults;
mod file;
mod handle;
mod lock;
pub mod outside;
pub mod points;
mod resident;

pub use faults::Faults;
pub use file::{Append, File, FileReader};
pub use handle::Vfs;
pub use lock::Lock;
pub use resident::resident_bytes;

#[cfg(test)]
mod tests;
