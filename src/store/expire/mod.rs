//! Expiry: what retention does not keep is forgotten.
//!
//! The first transaction raises the floor, and from then on what lies below is refused (72000). What only
//! the expired versions reached is found by marking everything that can still be read ([`mark`]) and
//! forgotten in slices, commits first, so that a crash leaves records that nothing names and never names
//! without records; the next run finds those as well. Files go when the transaction that forgets them is
//! durable.
//!
//! Heads, tags, what each branch showed since its floor, and the commits of open snapshots stay; a ref
//! whose own age has come goes first ([`aged`]). Where a floor comes to lie, by what the ref, the table or
//! the statement says, is worked out in [`floor`].
//!
//! Unread by anyone, what merging living branches needs stays as well: the state where two of them part, and
//! the records of the commits since.

mod aged;
mod floor;
mod keep;
mod mark;

pub(super) use self::keep::{Kept, begins_merges};
pub(super) use self::mark::segment_of;
use self::mark::{Dead, Live};
use super::Store;
use super::commit::{Request, Upkeep};
use super::fold::blocking;
use crate::error::Result;
use crate::spec::TableId;

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
    /// Branches and tags whose age had come.
    pub refs: u64,
}

impl Store {
    /// Raises floors and forgets what lies below them.
    ///
    /// # Errors
    /// UndefinedObject for the branch; Io, Corrupt.
    pub async fn expire(&self, options: &ExpireOptions) -> Result<ExpireReport> {
        let _alone = self.shared.expiring.lock().await;
        self.shared.vfs.point("expire.floor")?;
        let refs = self.drop_aged(options.table).await?;
        let raised = self.floors_to_raise(options)?;
        if !raised.is_empty() {
            self.submit(Request::Upkeep(Upkeep::Raise(raised))).await?;
        }
        let store = self.clone();
        let dead = blocking(move || store.dead()).await?;
        let report = ExpireReport { refs, ..dead.report() };
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
}
