//! What the log knows of one immutable Parquet file: enough to find it, verify it, prune it and
//! give its rows their identity without opening it.

use super::codec::{Reader, Writer};
use super::ids::{ColumnId, RowId, SchemaId, SegmentId, TableId};
use super::value::Value;
use crate::error::Result;

/// Bytes covered by one checksum of [`FileChecksums`].
pub const CHECKSUM_BLOCK_BYTES: u64 = 64 << 10;

/// How the rows of a file got their `_row_id`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RowIds {
    /// The row at position p has id first + p.
    Sequential(RowId),
    /// The file has a `_row_id` column.
    Stored,
}

/// The checksums of one file, made while it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileChecksums {
    /// The file's length.
    pub bytes: u64,
    /// xxh3-128 of the whole file.
    pub hash: u128,
    /// crc32c of each [`CHECKSUM_BLOCK_BYTES`]; the last block may be short.
    pub blocks: Vec<u32>,
}

/// What is known of one column of a file.
#[derive(Clone, Debug, PartialEq)]
pub struct ColumnStatistics {
    /// The column.
    pub column: ColumnId,
    /// How many rows are NULL.
    pub nulls: u64,
    /// A lower bound of the values (NaN counts as the greatest); None where all are NULL.
    pub min: Option<Value>,
    /// An upper bound of the values; None where all are NULL.
    pub max: Option<Value>,
    /// Whether the bounds are values that occur, not truncated ones.
    pub exact: bool,
}

/// One immutable Parquet file of a table.
#[derive(Clone, Debug, PartialEq)]
pub struct SegmentMeta {
    /// Its id, also the second half of its file name.
    pub id: SegmentId,
    /// The writer's epoch, the first half of its file name.
    pub epoch: u64,
    /// The table.
    pub table: TableId,
    /// The shape its columns were written in.
    pub schema: SchemaId,
    /// How many rows, deleted ones included.
    pub rows: u64,
    /// The columns its rows are sorted by; `_commit` and `_row_id` follow.
    pub order: Vec<ColumnId>,
    /// Where `_row_id` comes from.
    pub row_ids: RowIds,
    /// Whether rows carry `_commit` in a column; else the manifest entry says it for all.
    pub commit_stored: bool,
    /// The Parquet file.
    pub file: FileChecksums,
    /// The key filter beside it, for tables with a primary key.
    pub keys: Option<FileChecksums>,
    /// One entry a column that has an order.
    pub statistics: Vec<ColumnStatistics>,
}

impl SegmentMeta {
    /// The Parquet file's name in the folder of segments.
    pub fn file_name(&self) -> String {
        format!("e{}-{}.parquet", self.epoch, self.id)
    }

    /// The key filter's name beside it.
    pub fn keys_name(&self) -> String {
        format!("e{}-{}.keys", self.epoch, self.id)
    }

    /// The statistics of one column, if it has an order and existed when the file was written.
    pub fn statistics_of(&self, column: ColumnId) -> Option<&ColumnStatistics> {
        self.statistics.iter().find(|s| s.column == column)
    }

    /// The record of this file.
    pub fn encode(&self) -> Vec<u8> {
        let mut w = Writer::new(1);
        w.u64(self.id.0);
        w.u64(self.epoch);
        w.u64(self.table.0);
        w.u64(self.schema.0);
        w.u64(self.rows);
        w.list(&self.order, |w, id| w.u64(id.0));
        let first = match self.row_ids {
            RowIds::Sequential(first) => Some(first.0),
            RowIds::Stored => None,
        };
        w.option(first, Writer::u64);
        w.bool(self.commit_stored);
        self.file.write(&mut w);
        w.option(self.keys.as_ref(), |w, keys| keys.write(w));
        w.list(&self.statistics, |w, s| {
            w.u64(s.column.0);
            w.u64(s.nulls);
            w.option(s.min.as_ref(), |w, v| v.write(w));
            w.option(s.max.as_ref(), |w, v| v.write(w));
            w.bool(s.exact);
        });
        w.finish()
    }

    /// The file of a record.
    pub fn decode(bytes: &[u8]) -> Result<SegmentMeta> {
        let mut r = Reader::open_version(bytes, "segment", 1)?;
        Ok(SegmentMeta {
            id: SegmentId(r.u64()?),
            epoch: r.u64()?,
            table: TableId(r.u64()?),
            schema: SchemaId(r.u64()?),
            rows: r.u64()?,
            order: r.list(|r| Ok(ColumnId(r.u64()?)))?,
            row_ids: match r.option(Reader::u64)? {
                Some(first) => RowIds::Sequential(RowId(first)),
                None => RowIds::Stored,
            },
            commit_stored: r.bool()?,
            file: FileChecksums::read(&mut r)?,
            keys: r.option(FileChecksums::read)?,
            statistics: r.list(|r| {
                Ok(ColumnStatistics {
                    column: ColumnId(r.u64()?),
                    nulls: r.u64()?,
                    min: r.option(Value::read)?,
                    max: r.option(Value::read)?,
                    exact: r.bool()?,
                })
            })?,
        })
    }
}

impl FileChecksums {
    fn write(&self, w: &mut Writer) {
        w.u64(self.bytes);
        w.bytes(&self.hash.to_le_bytes());
        w.list(&self.blocks, |w, crc| w.u64((*crc).into()));
    }

    fn read(r: &mut Reader<'_>) -> Result<FileChecksums> {
        Ok(FileChecksums {
            bytes: r.u64()?,
            hash: {
                let raw: Result<[u8; 16], _> = r.bytes()?.try_into();
                u128::from_le_bytes(raw.map_err(|_| r.corrupt("holds a hash of a wrong length"))?)
            },
            blocks: r.list(|r| {
                u32::try_from(r.u64()?).map_err(|_| r.corrupt("holds a checksum out of range"))
            })?,
        })
    }
}
