//! The key filter beside a segment: blocked bloom filters over whole encoded keys.
//!
//! ```text
//! "ADBKEYS1" | header bytes u32 LE | header record | zeros to a multiple of 64 | blocks of 64 bytes
//! ```
//! The header (a record of [`crate::spec::codec`]) lists the filters: the key's columns, how each is
//! encoded, how many keys, where its blocks are. A key sets one bit in each of the eight 64-bit words
//! of one block, so that a probe reads one cache line; 12 bits a key give about one false answer in
//! two hundred.

use std::sync::Arc;

use twox_hash::XxHash3_128;

use super::blocks::{Blocks, damaged};
use super::cache::Cache;
use crate::error::{Error, ErrorKind, Result};
use crate::spec::codec::{Reader, Writer};
use crate::spec::key::{Form, form};
use crate::spec::segment::CHECKSUM_BLOCK_BYTES;
use crate::spec::{ColumnId, SegmentId, TableSchema};

const MAGIC: &[u8; 8] = b"ADBKEYS1";
const VERSION: u8 = 1;
const BITS_PER_KEY: u64 = 12;
const BLOCK_BYTES: u64 = 64;
/// Odd multipliers that take eight independent bit numbers from one 32-bit half of the hash; the
/// same that Parquet's own split block filters use.
const SALT: [u32; 8] = [
    0x47b6_137b,
    0x4497_4d91,
    0x8824_ad5b,
    0xa2b7_289d,
    0x7054_95c7,
    0x2df1_424b,
    0x9efc_4947,
    0x5c6b_fb31,
];

/// Where one filter is in its file, and which keys it knows.
#[derive(Clone, Debug, PartialEq)]
struct Entry {
    columns: Vec<ColumnId>,
    forms: Vec<Form>,
    keys: u64,
    first_block: u64,
    blocks: u64,
}

/// Gathers the keys of one segment.
pub(super) struct KeyFilterBuilder {
    columns: Vec<ColumnId>,
    forms: Vec<Form>,
    hashes: Vec<u64>,
}

impl KeyFilterBuilder {
    /// A filter over keys of these columns of the table.
    pub fn new(schema: &TableSchema, columns: &[ColumnId]) -> Result<KeyFilterBuilder> {
        let forms = forms(schema, columns).ok_or_else(|| {
            let name = &schema.name;
            Error::new(ErrorKind::Internal, format!("the key of table \"{name}\" has no order"))
        })?;
        Ok(KeyFilterBuilder { columns: columns.to_vec(), forms, hashes: Vec::new() })
    }

    /// Adds one encoded key.
    pub fn add(&mut self, key: &[u8]) {
        self.hashes.push(hash(key));
    }
}

/// The bytes of a file of filters.
pub(super) fn key_file(filters: Vec<KeyFilterBuilder>) -> Vec<u8> {
    let entry = |filter: &KeyFilterBuilder| {
        let keys = filter.hashes.len() as u64;
        let blocks = (keys * BITS_PER_KEY).div_ceil(BLOCK_BYTES * 8).max(1);
        let (columns, forms) = (filter.columns.clone(), filter.forms.clone());
        Entry { columns, forms, keys, first_block: 0, blocks }
    };
    let mut entries: Vec<Entry> = filters.iter().map(entry).collect();
    // Where the blocks are is part of the header, which comes before them: a place later makes it
    // longer, seldom, and then once.
    let mut first = 0;
    loop {
        let mut next = first;
        for entry in &mut entries {
            entry.first_block = next;
            next += entry.blocks;
        }
        let needed = (12 + write_header(&entries).len() as u64).div_ceil(BLOCK_BYTES);
        if needed <= first {
            break;
        }
        first = needed;
    }
    let header = write_header(&entries);
    let end = entries.last().map_or(first, |entry| entry.first_block + entry.blocks);
    let mut out = vec![0; (end * BLOCK_BYTES) as usize];
    out[..8].copy_from_slice(MAGIC);
    out[8..12].copy_from_slice(&(header.len() as u32).to_le_bytes());
    out[12..12 + header.len()].copy_from_slice(&header);
    for (filter, entry) in filters.iter().zip(&entries) {
        let start = (entry.first_block * BLOCK_BYTES) as usize;
        for &hash in &filter.hashes {
            let block = start + (block_of(hash, entry.blocks) * BLOCK_BYTES) as usize;
            for (word, bit) in bits_of(hash).into_iter().enumerate() {
                out[block + word * 8 + (bit / 8) as usize] |= 1 << (bit % 8);
            }
        }
    }
    out
}

/// A filter over the keys of one segment.
pub struct KeyFilter {
    file: Arc<KeyFile>,
    entry: Entry,
}

impl KeyFilter {
    /// Whether a row with this encoded key may be in the segment, deleted rows included; false is
    /// certain.
    pub fn may_contain(&self, key: &[u8]) -> Result<bool> {
        let hash = hash(key);
        let block = self.entry.first_block + block_of(hash, self.entry.blocks);
        let block = self.file.block(block)?;
        let set = |(word, bit): (usize, u32)| block[word * 8 + (bit / 8) as usize] >> (bit % 8) & 1;
        Ok(bits_of(hash).into_iter().enumerate().all(|at| set(at) == 1))
    }

    /// How many keys were put in.
    pub fn keys(&self) -> u64 {
        self.entry.keys
    }
}

/// An open file of key filters.
pub(super) struct KeyFile {
    segment: SegmentId,
    blocks: Arc<Blocks>,
    cache: Arc<Cache>,
    entries: Vec<Entry>,
}

impl KeyFile {
    /// Reads and checks the header.
    pub fn open(
        segment: SegmentId,
        blocks: Arc<Blocks>,
        cache: Arc<Cache>,
    ) -> Result<Arc<KeyFile>> {
        let wrong = || damaged(blocks.name(), "is not a key filter");
        if blocks.bytes() < 12 {
            return Err(wrong());
        }
        let start = blocks.read(0, 12)?;
        if start[..8] != MAGIC[..] {
            return Err(wrong());
        }
        let length = u32::from_le_bytes([start[8], start[9], start[10], start[11]]);
        let entries = read_header(&blocks.read(12, length as usize)?)?;
        let end = |e: &Entry| (e.first_block + e.blocks) * BLOCK_BYTES;
        if entries.iter().any(|e| e.blocks == 0 || end(e) > blocks.bytes()) {
            return Err(wrong());
        }
        Ok(Arc::new(KeyFile { segment, blocks, cache, entries }))
    }

    /// The filter over keys of these columns, if there is one whose keys were encoded as the columns
    /// are encoded today.
    pub fn filter(
        self: &Arc<Self>,
        schema: &TableSchema,
        columns: &[ColumnId],
    ) -> Option<KeyFilter> {
        let forms = forms(schema, columns)?;
        let found = |e: &&Entry| e.columns == columns && e.forms == forms;
        let entry = self.entries.iter().find(found)?.clone();
        Some(KeyFilter { file: self.clone(), entry })
    }

    /// Reads and verifies every byte.
    pub fn verify(&self) -> Result<()> {
        self.blocks.verify_all()
    }

    fn block(&self, block: u64) -> Result<[u8; BLOCK_BYTES as usize]> {
        let offset = block * BLOCK_BYTES;
        let chunk = offset / CHECKSUM_BLOCK_BYTES;
        let start = chunk * CHECKSUM_BLOCK_BYTES;
        let bytes = self.cache.block((self.segment, chunk), || {
            let length = CHECKSUM_BLOCK_BYTES.min(self.blocks.bytes() - start);
            self.blocks.read(start, length as usize)
        })?;
        let at = (offset - start) as usize;
        Ok(*bytes[at..].first_chunk().expect("blocks lie inside the file, and inside one chunk"))
    }
}

fn forms(schema: &TableSchema, columns: &[ColumnId]) -> Option<Vec<Form>> {
    columns.iter().map(|id| form(&schema.column(*id)?.data_type)).collect()
}

fn hash(key: &[u8]) -> u64 {
    XxHash3_128::oneshot(key) as u64
}

/// The upper half of the hash picks the block.
fn block_of(hash: u64, blocks: u64) -> u64 {
    ((hash >> 32) * blocks) >> 32
}

/// The lower half picks a bit in each of the block's words.
fn bits_of(hash: u64) -> [u32; 8] {
    SALT.map(|salt| (hash as u32).wrapping_mul(salt) >> 26)
}

fn write_header(entries: &[Entry]) -> Vec<u8> {
    let mut w = Writer::new(VERSION);
    w.list(entries, |w, e| {
        w.list(&e.columns, |w, id| w.u64(id.0));
        w.list(&e.forms, |w, form| match form {
            Form::Bool => w.u8(0),
            Form::Int => w.u8(1),
            Form::Float => w.u8(2),
            Form::Text => w.u8(3),
            Form::Decimal(scale) => {
                w.u8(4);
                w.i64((*scale).into());
            }
            Form::Date => w.u8(5),
            Form::Time => w.u8(6),
            Form::Timestamp => w.u8(7),
            Form::Timestamptz => w.u8(8),
            Form::Bytea => w.u8(9),
            Form::Uuid => w.u8(10),
        });
        w.u64(e.keys);
        w.u64(e.first_block);
        w.u64(e.blocks);
    });
    w.finish()
}

fn read_header(bytes: &[u8]) -> Result<Vec<Entry>> {
    let mut r = Reader::open_version(bytes, "key filter", VERSION)?;
    r.list(|r| {
        Ok(Entry {
            columns: r.list(|r| Ok(ColumnId(r.u64()?)))?,
            forms: r.list(|r| {
                Ok(match r.u8()? {
                    0 => Form::Bool,
                    1 => Form::Int,
                    2 => Form::Float,
                    3 => Form::Text,
                    4 => Form::Decimal(
                        i8::try_from(r.i64()?)
                            .map_err(|_| r.corrupt("has a scale out of range"))?,
                    ),
                    5 => Form::Date,
                    6 => Form::Time,
                    7 => Form::Timestamp,
                    8 => Form::Timestamptz,
                    9 => Form::Bytea,
                    10 => Form::Uuid,
                    _ => return Err(r.corrupt("has a key of an unknown form")),
                })
            })?,
            keys: r.u64()?,
            first_block: r.u64()?,
            blocks: r.u64()?,
        })
    })
}
