//! A file on its way from the folder of temporary files to its final name.

use std::io;
use std::sync::Arc;

use twox_hash::XxHash3_128;

use super::super::blocks::Blocks;
use super::super::{SEGMENTS_DIR, TMP_DIR};
use crate::error::Result;
use crate::spec::FileChecksums;
use crate::spec::segment::CHECKSUM_BLOCK_BYTES;
use crate::vfs::{File, Vfs};

/// A name that is removed again unless the file behind it is published.
struct Litter {
    vfs: Vfs,
    /// Where the file is now, below the data folder.
    path: String,
    keep: bool,
}

impl Drop for Litter {
    fn drop(&mut self) {
        if !self.keep {
            // What cannot be removed now is an orphan of a known epoch, removed at the next open.
            let _ = self.vfs.remove(&self.path);
        }
    }
}

/// A file that is being written, hashed block by block on the way.
pub(super) struct Unpublished {
    litter: Litter,
    name: String,
    file: File,
    block: Vec<u8>,
    written: u64,
    hash: XxHash3_128,
    blocks: Vec<u32>,
}

impl Unpublished {
    /// Makes the file, and reserves space for it.
    pub fn create(vfs: &Vfs, name: &str, expected_bytes: u64) -> Result<Unpublished> {
        vfs.point("seg.create")?;
        let path = format!("{TMP_DIR}/{name}");
        let file = vfs.create_new(&path)?;
        let litter = Litter { vfs: vfs.clone(), path, keep: false };
        vfs.point("seg.fallocate")?;
        if expected_bytes > 0 {
            file.reserve(expected_bytes)?;
        }
        Ok(Unpublished {
            litter,
            name: name.to_owned(),
            file,
            block: Vec::with_capacity(CHECKSUM_BLOCK_BYTES as usize),
            written: 0,
            hash: XxHash3_128::new(),
            blocks: Vec::new(),
        })
    }

    /// Adds bytes.
    pub fn write_all_bytes(&mut self, mut data: &[u8]) -> Result<()> {
        while !data.is_empty() {
            let room = CHECKSUM_BLOCK_BYTES as usize - self.block.len();
            let (now, later) = data.split_at(room.min(data.len()));
            self.block.extend_from_slice(now);
            data = later;
            if self.block.len() == CHECKSUM_BLOCK_BYTES as usize {
                self.write_block()?;
            }
        }
        Ok(())
    }

    fn write_block(&mut self) -> Result<()> {
        self.litter.vfs.point_write("seg.write", &self.block, &self.file, self.written)?;
        self.file.write_at(self.written, &self.block)?;
        self.written += self.block.len() as u64;
        self.hash.write(&self.block);
        self.blocks.push(crc32c::crc32c(&self.block));
        self.block.clear();
        Ok(())
    }

    /// Writes what is left, and gives back what was reserved and not needed.
    pub fn close(mut self) -> Result<Published> {
        if !self.block.is_empty() {
            self.write_block()?;
        }
        self.file.set_len(self.written)?;
        let checksums = FileChecksums {
            bytes: self.written,
            hash: self.hash.finish_128(),
            blocks: self.blocks,
        };
        Ok(Published { litter: self.litter, name: self.name, file: self.file, checksums })
    }
}

impl io::Write for Unpublished {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.write_all_bytes(data).map_err(io::Error::other)?;
        Ok(data.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A whole file that is not yet under its final name.
pub(super) struct Published {
    litter: Litter,
    name: String,
    file: File,
    checksums: FileChecksums,
}

impl Published {
    /// What the file's bytes are.
    pub fn checksums(&self) -> &FileChecksums {
        &self.checksums
    }

    /// Makes the bytes durable. A refusal is final: the kernel may have dropped them.
    pub fn sync(&self) -> Result<()> {
        self.litter.vfs.point("seg.sync")?;
        self.file.sync_all()
    }

    /// The file, opened anew as a reader would.
    pub fn blocks(&self) -> Result<Arc<Blocks>> {
        Blocks::open(&self.litter.vfs, self.litter.path.clone(), self.checksums.clone())
    }

    /// Reads every byte back and compares.
    pub fn read_back(&self) -> Result<()> {
        self.litter.vfs.point("seg.readback")?;
        self.blocks()?.verify_all()
    }
}

/// Gives files their final names, and makes these durable. Where that fails, none of them is left.
pub(super) fn publish(vfs: &Vfs, mut files: Vec<Published>) -> Result<()> {
    for file in &mut files {
        vfs.point("seg.rename")?;
        let path = format!("{SEGMENTS_DIR}/{}", file.name);
        vfs.rename_new(&file.litter.path, &path)?;
        file.litter.path = path;
    }
    vfs.point("seg.dirsync")?;
    vfs.sync_dir(SEGMENTS_DIR)?;
    for file in &mut files {
        file.litter.keep = true;
    }
    Ok(())
}
