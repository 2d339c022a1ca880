//! Which tables of a commit can be read: all of it, all but those that expired earlier than the rest, or
//! only those that are kept longer, for which a branch or tag of their own stands.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::expire::begins_merges;
use super::floors::Floors;
use super::snapshot::Snapshot;
use super::{Store, refs::unknown_ref};
use crate::error::{Error, ErrorKind, Result};
use crate::log::floors::ALL_TABLES;
use crate::log::{Records, ancestry, refs};
use crate::spec::{Commit, CommitId, RefKind, TableId, ref_table};

/// The tables that a snapshot shows.
#[derive(Clone, Debug)]
pub(super) enum Shows {
    AllBut(Arc<[TableId]>),
    Only(Arc<[TableId]>),
}

impl Shows {
    pub fn all() -> Shows {
        Shows::AllBut(Arc::default())
    }

    pub fn is_all(&self) -> bool {
        matches!(self, Shows::AllBut(tables) if tables.is_empty())
    }

    pub fn has(&self, table: TableId) -> bool {
        match self {
            Shows::AllBut(tables) => !tables.contains(&table),
            Shows::Only(tables) => tables.contains(&table),
        }
    }

    /// What a ref shows where it points: a ref of one table that table, any other everything.
    pub fn of_ref(name: &str) -> Shows {
        ref_table(name).map_or_else(Shows::all, |table| Shows::Only([table].into()))
    }
}

impl Floors {
    /// What a commit shows; None: nothing any more.
    pub fn shown(&self, records: &impl Records, commit: &Commit) -> Result<Option<Shows>> {
        if commit.only.is_none() && commit.id >= self.top() {
            return Ok(Some(Shows::all()));
        }
        let mut tables: BTreeSet<TableId> = self.tables().into_iter().collect();
        let is_whole = self.is_readable(records, commit, ALL_TABLES)?;
        if !is_whole {
            tables.extend(commit.only);
            tables.extend(refs::list(records, refs::DATABASE)?.iter().filter_map(|r| r.table()));
        }
        let mut found = Vec::new();
        for table in tables {
            if self.is_readable(records, commit, table)? != is_whole {
                found.push(table);
            }
        }
        Ok(match (is_whole, found.is_empty()) {
            (true, _) => Some(Shows::AllBut(found.into())),
            (false, false) => Some(Shows::Only(found.into())),
            (false, true) => None,
        })
    }
}

impl Store {
    /// What a commit shows, if it is there and shows anything.
    pub(super) fn shown(&self, id: CommitId) -> Result<Option<Shows>> {
        let view = self.shared.log.read()?;
        let Some(commit) = ancestry::find(&view, id)? else { return Ok(None) };
        let floors = Arc::clone(&self.shared.floors.read());
        floors.shown(&view, &commit)
    }

    /// Whether a table can be read as it was at a commit.
    ///
    /// # Errors
    /// Those of reading the log.
    pub fn shows_table(&self, id: CommitId, table: TableId) -> Result<bool> {
        let view = self.shared.log.read()?;
        let Some(commit) = ancestry::find(&view, id)? else { return Ok(false) };
        let floors = Arc::clone(&self.shared.floors.read());
        floors.is_readable(&view, &commit, table)
    }

    /// A snapshot of a commit that can be read.
    ///
    /// # Errors
    /// SnapshotExpired.
    pub(super) fn readable(&self, commit: CommitId, base: &Snapshot) -> Result<Snapshot> {
        // Held first: expiry counts who reads after it raised the floor.
        let guard = self.shared.readers.hold(commit);
        let Some(shows) = self.shown(commit)? else {
            return Err(self.expired(base, &format!("commit {commit} has expired"))?);
        };
        let snapshot = self.snapshot_at(self.point(commit)?, None, shows);
        drop(guard);
        Ok(snapshot)
    }

    /// The database as of a commit that is known to be there.
    pub fn snapshot_of(&self, commit: CommitId) -> Result<Snapshot> {
        let point = self.point(commit)?;
        let shows = self.shown(commit)?.unwrap_or(Shows::Only(Arc::default()));
        Ok(self.snapshot_at(point, None, shows))
    }

    /// The database as of a commit that merges begin with, whether or not it can be read otherwise: expiry
    /// keeps it while both branches live.
    ///
    /// # Errors
    /// Those of reading the log.
    pub(super) fn begins_merge(&self, commit: CommitId) -> Result<Snapshot> {
        let mut snapshot = self.snapshot_of(commit)?;
        let view = self.shared.log.read()?;
        if !snapshot.shows.is_all() && begins_merges(&view, commit)? {
            snapshot.shows = match snapshot.point.only {
                Some(table) => Shows::Only([table].into()),
                None => Shows::all(),
            };
        }
        Ok(snapshot)
    }

    /// The snapshot of a tag, which may be dropped meanwhile.
    pub(super) fn at_tag(&self, name: &str, commit: CommitId) -> Result<Snapshot> {
        let guard = self.shared.readers.hold(commit);
        // It may have been dropped, and its commit expired, before that was held.
        let still = refs::get(&self.shared.log.read()?, refs::DATABASE, name)?;
        let target = still.filter(|now| now.commit == commit).ok_or_else(|| unknown_ref(name))?;
        let named = Some((Arc::from(name), RefKind::Tag));
        let point = self.point(target.commit)?;
        let snapshot = self.snapshot_at(point, named, Shows::of_ref(name));
        drop(guard);
        Ok(snapshot)
    }
}

impl Snapshot {
    /// # Errors
    /// SnapshotExpired where the table's floor lies above this commit; UndefinedObject where the commit
    /// is of another table alone.
    pub(super) fn check_kept(&self, table: TableId) -> Result<()> {
        if self.shows.has(table) {
            return Ok(());
        }
        let commit = self.point.commit;
        if self.point.only.is_some_and(|only| only != table) {
            let message = format!("commit {commit} was made on a branch of another table alone");
            return Err(Error::new(ErrorKind::UndefinedObject, message)
                .hint("SELECT snapshot_id FROM t.snapshots lists the commits of table t"));
        }
        let highest = self.store.shared.floors.read().highest(table);
        let message = format!("the table as it was at commit {commit} has expired");
        Err(Error::new(ErrorKind::SnapshotExpired, message)
            .hint(format!("every commit from {highest} on can be read; tags keep what they name")))
    }
}
