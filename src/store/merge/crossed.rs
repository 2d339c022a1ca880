//! Histories that took each other over before either knew: they have several newest commits in common, and
//! each lacks what the others brought. What counts as the common past is then what all of them together
//! are: an object or row is as the one base has it that changed it since these parted.

use std::collections::HashMap;
use std::sync::Arc;

use super::Pick;
use super::Store;
use super::diff::{Diff, Place, Version, diff, of_row};
use super::objects::object_at;
use super::rows::{Row, Sides, is_changed};
use crate::error::Result;
use crate::log::ancestry;
use crate::spec::{CommitId, TableId};
use crate::store::snapshot::Snapshot;
use crate::store::table::Table;

/// The bases beside the newest.
pub(super) struct Crossed {
    pub others: Vec<Snapshot>,
    /// Where the newest and they part; None where that has expired.
    root: Option<Snapshot>,
    of: Option<TableId>,
}

impl Store {
    /// The bases of two histories beside the newest; None where there are no others.
    pub(super) fn crossed(
        &self,
        newest: CommitId,
        (ours, theirs): (CommitId, CommitId),
        of: Option<TableId>,
    ) -> Result<Option<Crossed>> {
        let view = self.shared.log.read()?;
        let bases = ancestry::merge_bases(&view, ours, theirs, of)?;
        let [first, second, ..] = bases.as_slice() else { return Ok(None) };
        if *first != newest {
            return Ok(None);
        }
        // Expiry keeps those of whole branches; of one table they are looked at while they are shown.
        let mut others = Vec::new();
        for base in &bases[1..] {
            if of.is_none_or(|of| self.shows_table(*base, of).unwrap_or(false)) {
                others.push(self.begins_merge(*base)?);
            }
        }
        if others.is_empty() {
            return Ok(None);
        }
        let root = ancestry::merge_base(&view, *first, *second, of)?;
        let root = root.map(|root| self.begins_merge(root)).transpose()?;
        Ok(Some(Crossed { others, root, of }))
    }
}

impl Crossed {
    /// The base that says what an object was: of those that changed it since they parted the newest.
    pub fn base_of<'a>(&'a self, id: TableId, newest: &'a Snapshot) -> Result<&'a Snapshot> {
        let at = |snapshot: &Snapshot| object_at(snapshot, id);
        let root = self.root.as_ref().map(at).transpose()?.flatten();
        for base in std::iter::once(newest).chain(&self.others) {
            if at(base)? != root {
                return Ok(base);
            }
        }
        Ok(newest)
    }

    /// The states of a table at the other bases, where they are none that is known already.
    pub fn states(&self, base: &Table) -> Result<Vec<(Arc<Table>, CommitId)>> {
        let mut states: Vec<(Arc<Table>, CommitId)> = Vec::new();
        for other in &self.others {
            let Some(table) = other.table_by_id(base.id())? else { continue };
            let version = |table: &Table| table.version().map(|version| version.id);
            let known = states.iter().any(|(state, _)| version(state) == version(&table));
            if !known && version(base) != version(&table) {
                states.push((table, other.commit()));
            }
        }
        Ok(states)
    }

    /// Decides anew about rows that the bases do not agree on.
    pub fn decide(
        &self,
        sides: &Sides<'_>,
        (base, states): (CommitId, &[(Arc<Table>, CommitId)]),
        rows: &mut [Row],
        contested: &mut Vec<usize>,
    ) -> Result<()> {
        let mut before: Vec<Known> = rows.iter().map(|row| Known::Is(row.base, base)).collect();
        let mut past = Past { of: self.of, store: sides.ours.store(), known: HashMap::new() };
        for (state, since) in states {
            let changes = diff(state, sides.ours, *since)?;
            for (row, known) in rows.iter().zip(&mut before) {
                *known = past.later(*known, version_at(row, &changes), *since)?;
            }
        }
        for (at, (row, known)) in rows.iter_mut().zip(before).enumerate() {
            let (ours, theirs) = match known {
                Known::Is(version, _) if !is_changed(version, row.base) => continue,
                Known::Is(version, _) => {
                    (is_changed(version, row.ours), is_changed(version, row.theirs))
                }
                Known::Differs => (true, true),
            };
            row.pick = if theirs && !ours { Pick::Theirs } else { Pick::Ours };
            row.rebased = true;
            contested.retain(|contested| *contested != at);
            if ours && theirs && !row.is_agreed() {
                contested.push(at);
            }
        }
        contested.sort_unstable();
        Ok(())
    }
}

/// The version of a row in a state, by how our state differs from it.
fn version_at(row: &Row, changes: &Diff) -> Option<Version> {
    let id = [row.base, row.ours, row.theirs].into_iter().flatten().next()?.row;
    if let Some(gone) = of_row(&changes.gone, id) {
        return Some(gone);
    }
    let is_fresh = |version: Version| {
        let Place::At(segment, _) = version.place else { return false };
        changes.fresh.iter().any(|fresh| fresh.meta.id == segment)
    };
    match of_row(&changes.came, id) {
        Some(_) => None,
        None => row.ours.filter(|ours| !is_fresh(*ours)),
    }
}

/// What a row was in the common past.
#[derive(Clone, Copy)]
enum Known {
    /// This version, or none, as a base has it.
    Is(Option<Version>, CommitId),
    /// Two bases changed it, each without the other.
    Differs,
}

/// What a version's commit says of where it was.
struct Past<'a> {
    of: Option<TableId>,
    store: &'a Store,
    known: HashMap<(CommitId, CommitId), bool>,
}

impl Past<'_> {
    /// Of a row in two bases the version that the other base's history has not seen yet.
    fn later(&mut self, one: Known, there: Option<Version>, since: CommitId) -> Result<Known> {
        let (Known::Is(here, base), other) = (one, Known::Is(there, since)) else { return Ok(one) };
        Ok(match (here, there) {
            (Some(a), Some(b)) if a.commit == b.commit => one,
            (Some(a), Some(_)) if self.knew(since, a.commit)? => other,
            (Some(_), Some(b)) if self.knew(base, b.commit)? => one,
            (Some(_), Some(_)) => Known::Differs,
            // A version that the side without it knew was deleted there.
            (Some(a), None) if self.knew(since, a.commit)? => other,
            (None, Some(b)) if !self.knew(base, b.commit)? => other,
            (Some(_) | None, None) | (None, Some(_)) => one,
        })
    }

    fn knew(&mut self, base: CommitId, commit: CommitId) -> Result<bool> {
        if let Some(known) = self.known.get(&(base, commit)) {
            return Ok(*known);
        }
        let view = self.store.shared.log.read()?;
        // What has expired is older than where they part.
        let knew = ancestry::find(&view, commit)?.is_none()
            || ancestry::is_behind_of(&view, commit, base, self.of)?;
        self.known.insert((base, commit), knew);
        Ok(knew)
    }
}
