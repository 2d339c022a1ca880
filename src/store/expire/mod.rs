//! Expiry: what retention does not keep is forgotten.
//!
//! The first transaction raises the floor, and from then on what lies below is refused (72000). What only
//! the expired versions reached is found by marking everything that can still be read ([`mark`]) and
//! forgotten in slices, commits first, so that a crash leaves records that nothing names and never names
//! without records; the next run finds those as well. Files go when the transaction that forgets them is
//! durable.
//!
//! Heads, tags, what each branch showed since its floor, and the commits of open snapshots stay. So does,
//! unread by anyone, what merging living branches needs: the state where two of them part, and the records
//! of the commits since.

mod keep;
mod mark;

pub(super) use self::keep::{joints, kept_commits};
pub(super) use self::mark::segment_of;
use self::mark::{Dead, Live};
use super::Store;
use super::commit::{Request, Upkeep};
use super::fold::blocking;
use super::refs::unknown;
use crate::error::Result;
use crate::log::floors::{ALL_TABLES, Floor};
use crate::log::{Records, ancestry, refs};
use crate::spec::{Commit, CommitId, Ref, RefKind, TableId};

const DAY_US: i64 = 24 * 60 * 60 * 1_000_000;
/// A branch keeps what it showed in this time …
const KEPT_US: i64 = 30 * DAY_US;
/// … but at least so many commits …
const KEPT_LEAST: u64 = 100;
/// … and at most so many.
const KEPT_MOST: u64 = 1_000_000;

/// Records that one transaction forgets.
const SLICE: usize = 10_000;

/// What may go.
#[derive(Clone, Debug, Default)]
pub struct ExpireOptions {
    /// Only this table; None: the whole database.
    pub table: Option<TableId>,
    /// Only on this branch; None: every branch, by what it keeps of itself.
    pub branch: Option<String>,
    /// Commits from before this time go (µs since 1970-01-01 UTC); None: 30 days ago.
    pub older_than_us: Option<i64>,
    /// But so many commits stay; None: 1 where a time is said, else 100.
    pub retain_last: Option<u64>,
}

/// What went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ExpireReport {
    /// Segments and folded files.
    pub data_files: u64,
    /// Links of deletion chains.
    pub delete_links: u64,
    /// Table versions and their pages.
    pub versions: u64,
    /// Commits.
    pub commits: u64,
}

impl Store {
    /// Raises floors and forgets what lies below them.
    ///
    /// # Errors
    /// UndefinedObject for the branch; Io, Corrupt.
    pub async fn expire(&self, options: &ExpireOptions) -> Result<ExpireReport> {
        let _alone = self.shared.expiring.lock().await;
        self.shared.vfs.point("expire.floor")?;
        let raised = self.floors_to_raise(options)?;
        if !raised.is_empty() {
            self.submit(Request::Upkeep(Upkeep::Raise(raised))).await?;
        }
        let store = self.clone();
        let dead = blocking(move || store.dead()).await?;
        let report = dead.report();
        for slice in dead.slices(SLICE) {
            self.shared.vfs.point("expire.slice")?;
            self.submit(Request::Upkeep(Upkeep::Forget(slice))).await?;
        }
        self.collect().await?;
        Ok(report)
    }

    fn dead(&self) -> Result<Dead> {
        self.shared.vfs.point("expire.mark")?;
        let floors = self.shared.floors.read().clone();
        let view = self.shared.log.read()?;
        // Asked after the view was opened: a reader whose tag was dropped since is in it or here.
        let readers = self.shared.readers.commits();
        let live = Live::mark(&view, &floors, &readers)?;
        live.dead(&view, &floors)
    }

    /// The floors that rise; they never fall.
    fn floors_to_raise(&self, options: &ExpireOptions) -> Result<Vec<Floor>> {
        let view = self.shared.log.read()?;
        let floors = self.shared.floors.read().clone();
        let table = options.table.unwrap_or(ALL_TABLES);
        let mut raised = Vec::new();
        for target in self.branches_of(&view, options)? {
            let oldest = self.oldest_kept(&view, &target, options)?;
            let is_first = oldest.parent.is_none();
            let old = floors.of(target.id, table).map_or(CommitId(0), |floor| floor.commit);
            if !is_first && oldest.id > old {
                raised.push(Floor {
                    reference: target.id,
                    table,
                    commit: oldest.id,
                    time_us: oldest.time_us,
                });
            }
        }
        Ok(raised)
    }

    fn branches_of(&self, records: &impl Records, options: &ExpireOptions) -> Result<Vec<Ref>> {
        let mut branches = refs::list(records, refs::DATABASE)?;
        branches.retain(|target| target.kind == RefKind::Branch);
        if let Some(name) = &options.branch {
            branches.retain(|target| target.name == *name);
            if branches.is_empty() {
                return Err(unknown(RefKind::Branch, name));
            }
        }
        Ok(branches)
    }

    /// The oldest commit that a branch keeps.
    fn oldest_kept(
        &self,
        records: &impl Records,
        target: &Ref,
        options: &ExpireOptions,
    ) -> Result<Commit> {
        let head = ancestry::commit(records, target.commit)?;
        let by_time = match options.older_than_us {
            // Whoever says a time means the commits from before it, though one was current then.
            Some(time_us) => match ancestry::at_time(records, head.id, time_us - 1)? {
                Some(last) => Some(ancestry::child_of(records, head.clone(), last)?),
                None => None,
            },
            None => {
                let time_us = self.clock().now_us() - KEPT_US;
                let then = ancestry::at_time(records, head.id, time_us)?;
                then.map(|id| ancestry::commit(records, id)).transpose()?
            }
        };
        let least = match (options.retain_last, options.older_than_us) {
            (Some(count), _) => count.max(1),
            (None, Some(_)) => 1,
            (None, None) => KEPT_LEAST,
        };
        let by_count = ancestry::nth_before(records, head.id, least - 1)?;
        let (Some(by_time), Some(by_count)) = (by_time, by_count) else {
            return most(records, head.clone(), ancestry::first(records, head.id)?);
        };
        let oldest = by_time.id.min(by_count);
        let shown = ancestry::content(records, oldest)?;
        most(records, head, ancestry::commit(records, shown)?)
    }
}

/// The oldest kept commit, where a branch keeps no more than it may.
fn most(records: &impl Records, head: Commit, oldest: Commit) -> Result<Commit> {
    match head.depth - oldest.depth >= KEPT_MOST {
        true => {
            let depth = head.depth + 1 - KEPT_MOST;
            ancestry::at_depth(records, head, depth)
        }
        false => Ok(oldest),
    }
}
