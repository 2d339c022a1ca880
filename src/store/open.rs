//! Opening a data folder: lock, format, log, a new epoch, and what a crash left behind.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64};

use parking_lot::{Mutex, RwLock};
use quick_cache::sync::Cache;

use super::collect::{self, TRASH_DIR};
use super::commit::{self, Counters};
use super::floors::Floors;
use super::folded::Folds;
use super::snapshot::{Heads, Point};
use super::{INLINE_RUN_BYTES, MAIN, OPEN_SEGMENTS, RunBytes, Shared, Store, StoreOptions, format};
use crate::error::Result;
use crate::log::{Log, Records, Space, Transaction, ancestry, key, refs};
use crate::segment::{self, SEGMENTS_DIR, TMP_DIR};
use crate::spec::{
    Commit, CommitId, CommitKind, LineId, Ref, RefKind, ReflogAction, ReflogEntry, Retention,
};
use crate::vfs::Vfs;

impl Store {
    /// Whether a folder is a database's, or was to become one.
    pub fn is_in(folder: &Path) -> bool {
        format::is_in(folder)
    }

    /// Opens a data folder, or makes it.
    ///
    /// # Errors
    /// DataDirectory where another process has it, or it is not ours or too new; Corrupt; Io.
    pub fn open(path: &Path, options: StoreOptions) -> Result<Store> {
        let vfs = Vfs::open(path)?;
        format::refuse_foreign(&vfs)?;
        vfs.point("op.lock")?;
        let lock = vfs.lock()?;
        let now_us = options.clock.now_us();
        vfs.point("op.format")?;
        format::begin(&vfs)?;
        for folder in format::FOLDERS {
            vfs.make_dir(folder)?;
        }
        vfs.point("op.redb")?;
        let log = Log::open(&vfs)?;
        vfs.point("op.epoch")?;
        let epoch = begin_epoch(&log, now_us)?;
        format::finish(&vfs, database_id(path, now_us))?;
        vfs.point("op.tmp")?;
        empty(&vfs, TMP_DIR)?;
        empty(&vfs, TRASH_DIR)?;
        vfs.point("op.collect")?;
        collect::finish(&vfs, &log)?;
        vfs.point("op.orphan")?;
        remove_orphans(&vfs, &log, epoch)?;
        let view = log.read()?;
        let counters = Counters::read(&view)?;
        let next_id = commit::next_id(&view)?;
        let heads = heads(&view)?;
        let folds = Folds::read(&view)?;
        let floors = Floors::read(&view)?;
        drop(view);
        let (queue, intake) = commit::queue();
        let shared = Arc::new(Shared {
            vfs,
            log,
            options,
            epoch,
            next_id: AtomicU64::new(next_id),
            row_ids: Mutex::default(),
            heads: RwLock::new(heads),
            sequences: Mutex::default(),
            sequence_definitions: Mutex::default(),
            last_commit_us: AtomicI64::new(counters.last_time_us),
            as_of_served_us: AtomicI64::new(0),
            in_flight: RwLock::new(()),
            turnstile: tokio::sync::RwLock::new(()),
            points: Cache::new(4096),
            tables: Cache::new(1024),
            schemas: Cache::new(4096),
            inline_runs: Cache::with_weighter(1024, INLINE_RUN_BYTES, RunBytes),
            folds,
            floors: RwLock::new(Arc::new(floors)),
            readers: Arc::default(),
            collecting: Mutex::default(),
            published: Mutex::default(),
            folding: tokio::sync::Mutex::new(()),
            compacting: tokio::sync::Mutex::new(()),
            expiring: tokio::sync::Mutex::new(()),
            segments: Cache::new(OPEN_SEGMENTS),
            pages: segment::Cache::new(super::PAGE_CACHE_BYTES, super::KEY_CACHE_BYTES),
            queue,
            _lock: lock,
        });
        commit::start(&shared, intake, counters)?;
        Ok(Store { shared })
    }
}

/// Counts this run, durably, before it makes any file; the first run makes the first commit too.
fn begin_epoch(log: &Log, now_us: i64) -> Result<u64> {
    let transaction = log.write()?;
    let epoch = commit::next_epoch(&transaction)?;
    if refs::get(&transaction, refs::DATABASE, MAIN)?.is_none() {
        make_main(&transaction, now_us)?;
    }
    transaction.commit()?;
    Ok(epoch)
}

fn make_main(transaction: &Transaction, time_us: i64) -> Result<()> {
    let (id, line, ref_id) = (CommitId(1), LineId(1), 2);
    let first = Commit {
        id,
        parent: None,
        merge_parent: None,
        merged_table: None,
        depth: 0,
        jump: None,
        joined: None,
        time_us,
        kind: CommitKind::Schema,
        line,
        only: None,
        root: 0,
        changes: Vec::new(),
        properties: Vec::new(),
    };
    transaction.put(Space::Commits, &key([id.0]), &first.encode())?;
    let main = Ref {
        id: ref_id,
        name: MAIN.into(),
        kind: RefKind::Branch,
        commit: id,
        created_us: time_us,
        retention: Retention::default(),
        protected: false,
    };
    let moved = ReflogEntry { time_us, action: ReflogAction::Create, commit: id };
    refs::put(transaction, refs::DATABASE, &main, &moved)?;
    commit::put_line_tip(transaction, line, id)?;
    Counters { next_commit: id.0 + 1, last_time_us: time_us }.write(transaction, ref_id + 1)
}

fn heads(records: &impl Records) -> Result<Heads> {
    let mut heads = Heads::new();
    for found in refs::list(records, refs::DATABASE)? {
        if found.kind == RefKind::Branch {
            let point = Point::of(&ancestry::commit(records, found.commit)?);
            heads.insert(found.name, Arc::new(point));
        }
    }
    Ok(heads)
}

fn empty(vfs: &Vfs, folder: &str) -> Result<()> {
    let (files, folders) = vfs.list(folder)?;
    for name in files {
        vfs.remove(&format!("{folder}/{name}"))?;
    }
    for name in folders {
        vfs.remove_dir_all(&format!("{folder}/{name}"))?;
    }
    Ok(())
}

/// A file of an earlier run that no record names was never part of a commit. Names we did not make
/// are left alone.
fn remove_orphans(vfs: &Vfs, log: &Log, epoch: u64) -> Result<()> {
    let view = log.read()?;
    for name in vfs.list(SEGMENTS_DIR)?.0 {
        let Some((file_epoch, id)) = parse_name(&name) else {
            tracing::warn!(name, "a file in the folder of segments is not ours; it is left alone");
            continue;
        };
        if file_epoch < epoch && view.get(Space::Segments, &key([id]))?.is_none() {
            vfs.remove(&format!("{SEGMENTS_DIR}/{name}"))?;
        }
    }
    Ok(())
}

/// The epoch and the id in a segment's file name.
pub(super) fn parse_name(name: &str) -> Option<(u64, u64)> {
    let stem = name.strip_suffix(".parquet").or_else(|| name.strip_suffix(".keys"))?;
    let (epoch, id) = stem.strip_prefix('e')?.split_once('-')?;
    Some((epoch.parse().ok()?, id.parse().ok()?))
}

/// Tells folders apart; not a secret, so time, process and place are enough.
fn database_id(path: &Path, now_us: i64) -> u128 {
    let seed = format!("{}|{now_us}|{}", path.display(), std::process::id());
    twox_hash::XxHash3_128::oneshot(seed.as_bytes())
}
