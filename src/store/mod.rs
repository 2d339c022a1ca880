//! Versioned tables: the log and the segments put together.
//!
//! ```text
//!  Transaction ──► commit queue ──► committer: validate, one log transaction, publish ──► Snapshot
//! ```
//! A [`Snapshot`] is a value: the database as of one commit, with an open transaction's changes on
//! top where there is one. Nothing below it asks what is current. All changes go through one
//! committer thread ([`commit`]), so they are visible only after they are durable, in one order.
//!
//! The room plans no SQL: it enforces keys and NOT NULL, and leaves CHECK and DEFAULT to its callers.
//! Start reading at [`Snapshot`], then [`Transaction`], then [`commit`].

mod catalog;
mod changes;
mod check;
mod collect;
mod commit;
mod compact;
mod define;
mod expire;
mod floors;
mod fold;
mod folded;
mod format;
mod inline;
mod keys;
mod lineage;
mod load;
mod lookup;
mod merge;
mod moved;
mod open;
mod orphans;
mod owned;
mod past;
mod probe;
mod readers;
mod refs;
mod replaced;
mod resolve;
mod sequence;
mod shown;
mod snapshot;
mod table;
mod temporary;
mod transaction;

use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use parking_lot::{Mutex, RwLock};
use quick_cache::Weighter;
use quick_cache::sync::Cache;

pub use catalog::DEFAULT_NAMESPACE;
pub use changes::{RowBatches, RowDifference, RowShape, RowSources};
pub use check::Problem;
pub use compact::{CompactOptions, CompactReport};
pub use expire::{ExpireOptions, ExpireReport};
pub use fold::FoldReport;
pub use folded::Folded;
pub use inline::InlineBatch;
pub use keys::KeyBatch;
pub use lineage::{Behind, TableHistory, TableStep};
pub use load::{KeyCheck, Load, Loaded, check_not_null, failing_row};
pub use merge::{Changed, Conflict, Joining, Merged, NewRules, Prefer, Settled};
pub use past::{FORWARD_PROPERTY, TableAhead};
pub use probe::Place;
pub use refs::{Advance, NewRef, check_unprotected};
pub use replaced::{HoldsForAny, Replaced};
pub use resolve::{Version, show_time};
pub use snapshot::{Relation, Snapshot};
pub use table::{
    COMMIT, POSITION, ROW_ID, SEGMENT, Table, TableSegment, hidden_columns, stored_schema,
};
pub use temporary::{ON_COMMIT, TEMPORARY_NAMESPACE, Temporary};
pub use transaction::{CommitOptions, RowRefs, Transaction};

use crate::clock::Clock;
use crate::error::Result;
use crate::log::{Log, Records};
use crate::segment::{self, SEGMENTS_DIR, Segment};
use crate::spec::{SchemaId, SegmentId, SegmentMeta, Sequence, TableId, TableSchema, VersionId};
use crate::vfs::{Lock, Vfs};

/// The branch that exists from the start.
pub const MAIN: &str = "main";

/// Decoded inline rows kept in memory.
const INLINE_RUN_BYTES: u64 = 64 << 20;

/// Decoded pages of look-ups kept in memory.
const PAGE_CACHE_BYTES: u64 = 64 << 20;

/// Blocks of key filters kept in memory.
const KEY_CACHE_BYTES: u64 = 64 << 20;

/// Open files, footers and page indexes kept in memory.
const OPEN_SEGMENTS: usize = 512;

/// How the store is opened.
#[derive(Clone, Debug)]
pub struct StoreOptions {
    /// Where time is read.
    pub clock: Clock,
    /// Rows that a load gathers before it sorts and writes them: bytes of memory.
    pub load_bytes: usize,
    /// Rows of one commit below which, and below a megabyte, they are kept in the log.
    pub inline_rows: usize,
}

/// The tables of one data folder. Cheap to clone; the folder is released with the last clone.
#[derive(Clone)]
pub struct Store {
    shared: Arc<Shared>,
}

struct Shared {
    vfs: Vfs,
    log: Log,
    options: StoreOptions,
    /// This run's number, in the names of the files it makes.
    epoch: u64,
    /// The next table, column, segment, version …; never used again.
    next_id: AtomicU64,
    /// The next row id of each table that was written to.
    row_ids: Mutex<HashMap<TableId, Arc<AtomicU64>>>,
    heads: RwLock<snapshot::Heads>,
    sequences: sequence::Sequences,
    /// Definitions that were made or read, for statements whose snapshot is older than they are.
    sequence_definitions: Mutex<HashMap<TableId, Arc<Sequence>>>,
    /// The time of the last commit, and of the last AS OF that was answered.
    last_commit_us: AtomicI64,
    as_of_served_us: AtomicI64,
    /// Held for writing from when commits get their times until they are visible.
    in_flight: RwLock<()>,
    /// Held for writing by a request that lost three rounds, so that it wins the fourth.
    turnstile: tokio::sync::RwLock<()>,
    points: Cache<u64, Arc<snapshot::Point>>,
    tables: Cache<VersionId, table::TableState>,
    schemas: Cache<SchemaId, Arc<TableSchema>>,
    inline_runs: Cache<inline::RunKey, Arc<inline::Run>, RunBytes>,
    folds: folded::Folds,
    floors: RwLock<Arc<floors::Floors>>,
    readers: Arc<readers::Readers>,
    /// Files that nothing names, and the era that began when they were let go.
    collecting: Mutex<Vec<(u64, u64)>>,
    /// Segments that this process published, by whoever may still commit them.
    published: Mutex<HashMap<SegmentId, Weak<SegmentMeta>>>,
    /// Held by whoever folds, so that there is one.
    folding: tokio::sync::Mutex<()>,
    /// The same for compactions.
    compacting: tokio::sync::Mutex<()>,
    /// The same for expiry.
    expiring: tokio::sync::Mutex<()>,
    segments: Cache<SegmentId, Arc<Segment>>,
    pages: Arc<segment::Cache>,
    queue: commit::Queue,
    /// Keeps other processes out; released last.
    _lock: Lock,
}

impl Drop for Shared {
    fn drop(&mut self) {
        if let Err(error) = self.return_reserved() {
            tracing::warn!(%error, "sequences keep a gap");
        }
    }
}

#[derive(Clone)]
struct RunBytes;

impl Weighter<inline::RunKey, Arc<inline::Run>> for RunBytes {
    fn weight(&self, _: &inline::RunKey, run: &Arc<inline::Run>) -> u64 {
        run.bytes() as u64
    }
}

impl Store {
    /// A new id for anything that needs one.
    pub fn next_id(&self) -> u64 {
        self.shared.next_id.fetch_add(1, Ordering::Relaxed)
    }

    /// Where this store reads time.
    pub fn clock(&self) -> &Clock {
        &self.shared.options.clock
    }

    /// The files of this store.
    pub fn vfs(&self) -> &Vfs {
        &self.shared.vfs
    }

    /// The first of `count` fresh row ids of a table.
    pub(crate) fn reserve_row_ids(&self, table: TableId, count: u64) -> Result<u64> {
        Ok(self.row_id_counter(table)?.fetch_add(count, Ordering::Relaxed))
    }

    fn row_id_counter(&self, table: TableId) -> Result<Arc<AtomicU64>> {
        if let Some(counter) = self.shared.row_ids.lock().get(&table) {
            return Ok(Arc::clone(counter));
        }
        let next = commit::counter(&self.shared.log.read()?, table)?;
        let mut counters = self.shared.row_ids.lock();
        let counter = counters.entry(table).or_insert_with(|| Arc::new(AtomicU64::new(next)));
        Ok(Arc::clone(counter))
    }

    /// The shape of this id.
    pub fn table_schema(&self, id: SchemaId) -> Result<Arc<TableSchema>> {
        if let Some(schema) = self.shared.schemas.get(&id) {
            return Ok(schema);
        }
        let schema = Arc::new(catalog::schema(&self.shared.log.read()?, id)?);
        self.shared.schemas.insert(id, Arc::clone(&schema));
        Ok(schema)
    }

    /// Keeps a shape that no commit has written yet, so that rows can be read in it.
    fn keep_schema(&self, schema: &Arc<TableSchema>) {
        self.shared.schemas.insert(schema.id, Arc::clone(schema));
    }

    /// The open file of a segment: footer and page index verified.
    pub fn open_segment(&self, meta: &Arc<SegmentMeta>) -> Result<Arc<Segment>> {
        if let Some(segment) = self.shared.segments.get(&meta.id) {
            return Ok(segment);
        }
        let cache = &self.shared.pages;
        let segment = Arc::new(Segment::open(&self.shared.vfs, Arc::clone(meta), cache)?);
        self.shared.segments.insert(meta.id, Arc::clone(&segment));
        Ok(segment)
    }

    fn segment_meta(&self, records: &impl Records, id: SegmentId) -> Result<Arc<SegmentMeta>> {
        use crate::log::{Space, key};
        let bytes = records.need(Space::Segments, &key([id.0]))?;
        Ok(Arc::new(SegmentMeta::decode(&bytes)?))
    }
}
