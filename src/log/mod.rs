//! The metadata log: commits, refs, table versions, inline batches and deletions, in one redb file.
//!
//! The only room that names redb. It stores and finds records; it does not decide what may be
//! committed (that is `store`), and it keeps no state of its own between transactions.
//!
//! Every record is immutable, except refs and counters. Invariants:
//! - every value carries its own checksum ([`crate::spec::codec`]), since redb does not verify pages
//!   on ordinary reads;
//! - a [`View`] lives as short as the resolving of a snapshot: a long one would keep freed pages;
//! - a [`Transaction`] that failed to commit has an unknown outcome, so the process ends.
//!
//! Start reading at [`Space`], the list of what is kept.

pub mod ancestry;
mod backend;
pub mod deletes;
pub mod floors;
pub mod folds;
pub mod inline;
pub mod refs;
pub mod tree;
pub mod versions;

use redb::{Durability, ReadableDatabase, ReadableTable, TableDefinition};

use crate::error::{Error, ErrorKind, Result};
use crate::vfs::Vfs;

/// The log's file in the data folder.
pub const FILE: &str = "catalog.redb";

/// redb's own cache: the records above it are cached decoded, so it stays small.
const CACHE_BYTES: usize = 32 << 20;

/// What is kept, and under which key. Integers in keys are big-endian.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Space {
    /// (scope, name) → [`crate::spec::Ref`]; scope 0 is the database, else a table
    Refs,
    /// (ref id, time µs) → [`crate::spec::ReflogEntry`]
    Reflog,
    /// commit → [`crate::spec::Commit`]
    Commits,
    /// node → a node of a catalog tree ([`tree`])
    Nodes,
    /// version → [`crate::spec::TableVersion`]
    Versions,
    /// page → segments of a base
    Pages,
    /// schema → [`crate::spec::TableSchema`]; view → [`crate::spec::View`]
    Schemas,
    /// segment → [`crate::spec::SegmentMeta`]
    Segments,
    /// (table, line, commit, chunk) → a piece of an inline batch ([`inline`])
    Inline,
    /// (table, line, from, to) → the segment that took over these inline batches ([`folds`])
    Folds,
    /// link → [`crate::spec::DeleteLink`]
    Links,
    /// table → the next row id
    RowIds,
    /// name → the next id, or the last time
    Counters,
    /// pin → what an external reader needs kept
    Pins,
    /// segment → a file that nothing names any more
    Collect,
    /// (ref id, table; 0 for all) → the oldest commit that can still be read there ([`floors`])
    Floors,
}

impl Space {
    const ALL: [Space; 16] = [
        Space::Refs,
        Space::Reflog,
        Space::Commits,
        Space::Nodes,
        Space::Versions,
        Space::Pages,
        Space::Schemas,
        Space::Segments,
        Space::Inline,
        Space::Folds,
        Space::Links,
        Space::RowIds,
        Space::Counters,
        Space::Pins,
        Space::Collect,
        Space::Floors,
    ];

    fn table(self) -> TableDefinition<'static, &'static [u8], &'static [u8]> {
        TableDefinition::new(match self {
            Space::Refs => "refs",
            Space::Reflog => "reflog",
            Space::Commits => "commits",
            Space::Nodes => "nodes",
            Space::Versions => "versions",
            Space::Pages => "pages",
            Space::Schemas => "schemas",
            Space::Segments => "segments",
            Space::Inline => "inline",
            Space::Folds => "folds",
            Space::Links => "links",
            Space::RowIds => "row_ids",
            Space::Counters => "counters",
            Space::Pins => "pins",
            Space::Collect => "collect",
            Space::Floors => "floors",
        })
    }
}

/// A key made of integers, in their order.
pub fn key<const N: usize>(parts: [u64; N]) -> Vec<u8> {
    parts.iter().flat_map(|part| part.to_be_bytes()).collect()
}

/// Hears each key and record of a scan, and says whether to go on.
pub type Visit<'a> = &'a mut dyn FnMut(&[u8], &[u8]) -> Result<bool>;

/// Records that can be read: those of a [`View`], or those of a [`Transaction`] with its own writes.
pub trait Records {
    /// The record under this key.
    fn get(&self, space: Space, key: &[u8]) -> Result<Option<Vec<u8>>>;

    /// The records with `from <= key < to`, ascending; `visit` says whether to go on.
    fn scan(&self, space: Space, from: &[u8], to: &[u8], visit: Visit<'_>) -> Result<()>;

    /// The record with the greatest key in `from <= key < to`.
    fn last(&self, space: Space, from: &[u8], to: &[u8]) -> Result<Option<Vec<u8>>>;

    /// The record under this key, which another record names.
    fn need(&self, space: Space, key: &[u8]) -> Result<Vec<u8>> {
        self.get(space, key)?.ok_or_else(|| {
            Error::new(
                ErrorKind::Corrupt,
                format!("{FILE} lacks the record {key:02x?} of {space:?}, which another names"),
            )
            .hint("run asofdb check, and restore the folder from a backup")
        })
    }
}

/// The open log.
pub struct Log {
    redb: redb::Database,
}

impl Log {
    /// Opens the log of a data folder, and makes it where there is none.
    ///
    /// # Errors
    /// Corrupt where redb finds its file damaged, Io where the file cannot be read or made.
    pub fn open(vfs: &Vfs) -> Result<Log> {
        let backend = backend::Backend::open(vfs, FILE)?;
        let mut builder = redb::Builder::new();
        builder.set_cache_size(CACHE_BYTES);
        let redb = builder.create_with_backend(backend).map_err(foreign)?;
        vfs.sync_dir(".")?;
        let log = Log { redb };
        let transaction = log.write()?;
        for space in Space::ALL {
            transaction.redb.open_table(space.table()).map_err(foreign)?;
        }
        transaction.commit()?;
        Ok(log)
    }

    /// A view of the last durable state; drop it before anything that takes time.
    pub fn read(&self) -> Result<View> {
        Ok(View { redb: self.redb.begin_read().map_err(foreign)? })
    }

    /// Begins to write; waits for the transaction before.
    pub fn write(&self) -> Result<Transaction> {
        let mut redb = self.redb.begin_write().map_err(foreign)?;
        redb.set_durability(Durability::Immediate).map_err(foreign)?;
        // Two-phase, so that rot in the newest page is an error and never a silent step back; and
        // the file opens in constant time after a crash.
        redb.set_quick_repair(true);
        Ok(Transaction { redb })
    }
}

/// The log at one moment.
pub struct View {
    redb: redb::ReadTransaction,
}

impl Records for View {
    fn get(&self, space: Space, key: &[u8]) -> Result<Option<Vec<u8>>> {
        let table = self.redb.open_table(space.table()).map_err(foreign)?;
        get(&table, key)
    }

    fn scan(&self, space: Space, from: &[u8], to: &[u8], visit: Visit<'_>) -> Result<()> {
        let table = self.redb.open_table(space.table()).map_err(foreign)?;
        scan(&table, from, to, visit)
    }

    fn last(&self, space: Space, from: &[u8], to: &[u8]) -> Result<Option<Vec<u8>>> {
        let table = self.redb.open_table(space.table()).map_err(foreign)?;
        last(&table, from, to)
    }
}

/// A change of the log: all of it becomes durable, or none.
pub struct Transaction {
    redb: redb::WriteTransaction,
}

impl Transaction {
    /// Writes a record, in the place of one under the same key.
    pub fn put(&self, space: Space, key: &[u8], value: &[u8]) -> Result<()> {
        let mut table = self.redb.open_table(space.table()).map_err(foreign)?;
        table.insert(key, value).map_err(foreign)?;
        Ok(())
    }

    /// Removes a record.
    pub fn remove(&self, space: Space, key: &[u8]) -> Result<()> {
        let mut table = self.redb.open_table(space.table()).map_err(foreign)?;
        table.remove(key).map_err(foreign)?;
        Ok(())
    }

    /// Durable when it returns. After an error nobody knows whether it is: the caller must not go
    /// on with this log.
    pub fn commit(self) -> Result<()> {
        self.redb.commit().map_err(foreign)
    }
}

impl Records for Transaction {
    fn get(&self, space: Space, key: &[u8]) -> Result<Option<Vec<u8>>> {
        let table = self.redb.open_table(space.table()).map_err(foreign)?;
        get(&table, key)
    }

    fn scan(&self, space: Space, from: &[u8], to: &[u8], visit: Visit<'_>) -> Result<()> {
        let table = self.redb.open_table(space.table()).map_err(foreign)?;
        scan(&table, from, to, visit)
    }

    fn last(&self, space: Space, from: &[u8], to: &[u8]) -> Result<Option<Vec<u8>>> {
        let table = self.redb.open_table(space.table()).map_err(foreign)?;
        last(&table, from, to)
    }
}

type Bytes = &'static [u8];

fn get(table: &impl ReadableTable<Bytes, Bytes>, key: &[u8]) -> Result<Option<Vec<u8>>> {
    Ok(table.get(key).map_err(foreign)?.map(|value| value.value().to_vec()))
}

fn scan(
    table: &impl ReadableTable<Bytes, Bytes>,
    from: &[u8],
    to: &[u8],
    visit: Visit<'_>,
) -> Result<()> {
    for record in table.range::<&[u8]>(from..to).map_err(foreign)? {
        let (key, value) = record.map_err(foreign)?;
        if !visit(key.value(), value.value())? {
            break;
        }
    }
    Ok(())
}

fn last(
    table: &impl ReadableTable<Bytes, Bytes>,
    from: &[u8],
    to: &[u8],
) -> Result<Option<Vec<u8>>> {
    let mut range = table.range::<&[u8]>(from..to).map_err(foreign)?;
    let record = range.next_back().transpose().map_err(foreign)?;
    Ok(record.map(|(_, value)| value.value().to_vec()))
}

fn foreign(error: impl Into<redb::Error>) -> Error {
    let error = error.into();
    let kind = match &error {
        redb::Error::Corrupted(_) => ErrorKind::Corrupt,
        redb::Error::Io(io) if io.kind() == std::io::ErrorKind::StorageFull => ErrorKind::DiskFull,
        _ => ErrorKind::Io,
    };
    Error::new(kind, format!("the metadata log {FILE} failed")).caused_by(error)
}
