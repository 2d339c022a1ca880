//! What can still be read: nothing below a branch's floor, but heads, tags and where a branch stood
//! since.
//!
//! A commit that is not below any floor can be read. Below the highest floor it can be read as long as
//! some ref shows it: as its target, behind a branch's head down to that branch's floor, or in the
//! branch's reflog since the floor's time. Expiry keeps exactly these, and below the floors what merges
//! of living branches begin with, which is not for reading: a commit is refused from the moment that the
//! floor is raised, and not when its records go.
//!
//! A table may have a floor of its own on a branch, above the branch's or below it. A ref of one table
//! shows that table alone; its floor is its table's.

use std::collections::HashSet;
use std::sync::Arc;

use super::resolve::show_time;
use super::snapshot::Snapshot;
use super::{MAIN, Store};
use crate::error::{Error, ErrorKind, Result};
use crate::log::floors::{self, ALL_TABLES, Floor};
use crate::log::{Records, ancestry, refs};
use crate::spec::{Commit, CommitId, Ref, RefKind, TableId, ref_label};

/// All floors of a database.
#[derive(Clone, Debug, Default)]
pub(super) struct Floors(Vec<Floor>);

impl Floors {
    pub fn read(records: &impl Records) -> Result<Floors> {
        floors::all(records).map(Floors)
    }

    /// Every commit of every table from here on can be read.
    pub fn highest(&self, table: TableId) -> CommitId {
        let counts = |floor: &&Floor| floor.table == ALL_TABLES || floor.table == table;
        self.0.iter().filter(counts).map(|floor| floor.commit).max().unwrap_or(CommitId(0))
    }

    /// No floor lies above this commit.
    pub fn top(&self) -> CommitId {
        self.0.iter().map(|floor| floor.commit).max().unwrap_or(CommitId(0))
    }

    /// The floor of a table on a ref: its own, else the ref's.
    pub fn of(&self, reference: u64, table: TableId) -> Option<Floor> {
        let find = |table| self.of_ref(reference).find(|floor| floor.table == table).copied();
        find(table).or_else(|| find(ALL_TABLES))
    }

    /// Below this nothing can be read through a ref.
    pub fn lowest(&self, target: &Ref) -> Option<Floor> {
        match target.table() {
            Some(table) => self.of(target.id, table),
            None => {
                self.of(target.id, ALL_TABLES)?;
                self.of_ref(target.id).min_by_key(|floor| floor.commit).copied()
            }
        }
    }

    /// The floors of one ref alone.
    pub fn of_ref(&self, reference: u64) -> impl Iterator<Item = &Floor> {
        self.0.iter().filter(move |floor| floor.reference == reference)
    }

    /// The tables that have floors of their own.
    pub fn tables(&self) -> HashSet<TableId> {
        self.0.iter().map(|floor| floor.table).filter(|table| *table != ALL_TABLES).collect()
    }

    /// Whether nothing has ever expired.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Takes a floor in the place of the one before.
    pub fn set(&mut self, floor: Floor) {
        self.0.retain(|old| (old.reference, old.table) != (floor.reference, floor.table));
        self.0.push(floor);
    }

    /// Whether a commit, which there is, can be read: of one table, or of [`ALL_TABLES`].
    pub fn is_readable(
        &self,
        records: &impl Records,
        commit: &Commit,
        table: TableId,
    ) -> Result<bool> {
        if commit.only.is_some_and(|only| only != table) {
            return Ok(false);
        }
        if commit.id >= self.highest(table) {
            return Ok(true);
        }
        for target in refs::list(records, refs::DATABASE)? {
            if is_about(&target, table) && self.shows(records, &target, commit.id, table)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn shows(
        &self,
        records: &impl Records,
        target: &Ref,
        commit: CommitId,
        table: TableId,
    ) -> Result<bool> {
        if target.commit == commit {
            return Ok(true);
        }
        if target.kind == RefKind::Tag {
            return Ok(false);
        }
        let floor = self.of(target.id, table);
        let above = floor.is_none_or(|floor| commit >= floor.commit);
        if above && ancestry::is_ancestor(records, commit, target.commit)? {
            return Ok(true);
        }
        let since_us = floor.map_or(0, |floor| floor.time_us);
        Ok(stations(records, target.id, since_us)?.contains(&commit))
    }
}

/// Whether a ref has a say in what of a table is kept, or of [`ALL_TABLES`].
pub(super) fn is_about(target: &Ref, table: TableId) -> bool {
    target.table().is_none_or(|own| own == table)
}

/// Where a ref stood at a time and since then.
pub(super) fn stations(
    records: &impl Records,
    reference: u64,
    since_us: i64,
) -> Result<Vec<CommitId>> {
    let mut found: Vec<CommitId> =
        refs::commit_at(records, reference, since_us)?.into_iter().collect();
    found.extend(refs::moves_since(records, reference, since_us)?.iter().map(|m| m.commit));
    Ok(found)
}

impl super::Shared {
    /// From now on what lies below is refused.
    pub(super) fn raise_floors(&self, raised: &[Floor]) {
        if raised.is_empty() {
            return;
        }
        let mut floors = self.floors.write();
        let mut next = floors.as_ref().clone();
        raised.iter().for_each(|floor| next.set(*floor));
        *floors = Arc::new(next);
    }
}

impl Store {
    /// The error for what has expired, which names the earliest that can be read on the branch.
    pub(super) fn expired(&self, base: &Snapshot, message: &str) -> Result<Error> {
        let name = match base.reference() {
            Some((name, RefKind::Branch)) => name.to_owned(),
            Some((_, RefKind::Tag)) | None => MAIN.to_owned(),
        };
        let earliest = self.earliest(&name, ALL_TABLES)?;
        Ok(Error::new(ErrorKind::SnapshotExpired, message.to_owned()).hint(format!(
            "the earliest that can be read on branch \"{}\" is commit {} of {}; tags keep what they name",
            ref_label(&name),
            earliest.id,
            show_time(earliest.time_us)
        )))
    }

    /// The oldest commit that can be read behind a branch's head.
    pub(super) fn earliest(&self, branch: &str, table: TableId) -> Result<Commit> {
        let view = self.shared.log.read()?;
        let target = refs::get(&view, refs::DATABASE, branch)?
            .ok_or_else(|| super::refs::unknown(RefKind::Branch, branch))?;
        let floor = self.shared.floors.read().of(target.id, table);
        // A branch that was rolled back behind its floor begins at its head.
        let begins = floor.map_or(CommitId(0), |floor| floor.commit);
        let found = match begins <= target.commit && begins > CommitId(0) {
            true => ancestry::find(&view, begins)?,
            false => None,
        };
        match (found, floor) {
            (Some(commit), _) => Ok(commit),
            (None, Some(_)) => ancestry::commit(&view, target.commit),
            (None, None) => ancestry::first(&view, target.commit),
        }
    }
}
