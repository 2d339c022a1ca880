//! Upkeep in the committer's order: rows that move, and what is forgotten. None of it changes which rows
//! there are.

use super::Answer;
use super::apply::Batch;
use crate::error::{Error, ErrorKind, Result};
use crate::log::floors::{self, ALL_TABLES, Floor};
use crate::log::folds::{self, Stretch};
use crate::log::{Records, Space, ancestry, inline, key, refs};
use crate::spec::{CommitId, LineId, LineRange, Ref, RefKind, TableId, ref_table};
use crate::store::catalog::{self, Object};
use crate::store::collect::{self, Wait};
use crate::store::compact::Compaction;
use crate::store::floors::{Floors, is_about};
use crate::store::fold::Fold;
use crate::store::{Store, expire};

/// A step of upkeep, prepared by whoever asks for it.
pub(in crate::store) enum Upkeep {
    /// A file took over inline batches, or smaller files.
    Fold(Box<Fold>),
    /// Other files took over a table's rows.
    Compact(Box<Compaction>),
    /// These files are gone.
    Collected(Vec<u64>),
    /// What lies below cannot be read any more.
    Raise(Vec<Floor>),
    /// Nothing reaches these records.
    Forget(Vec<(Space, Vec<u8>)>),
}

impl Batch<'_> {
    pub fn upkeep(&mut self, upkeep: Upkeep) -> Result<Result<Answer>> {
        self.changed |= !matches!(upkeep, Upkeep::Compact(_));
        match upkeep {
            Upkeep::Fold(fold) => self.fold(&fold)?,
            Upkeep::Compact(compaction) => return self.compact(&compaction),
            Upkeep::Collected(segments) => collect::forget(&self.transaction, segments)?,
            Upkeep::Raise(floors) => self.raise(floors)?,
            Upkeep::Forget(records) => self.forget(&records)?,
        }
        Ok(Ok(Answer::Noted))
    }

    fn fold(&mut self, fold: &Fold) -> Result<()> {
        let Fold { table, line, stretch, meta, replaced } = fold;
        self.transaction.put(Space::Segments, &key([meta.id.0]), &meta.encode())?;
        match replaced.is_empty() {
            true => {
                let Stretch { from, to, .. } = *stretch;
                let range = LineRange { line: *line, from, to, since: None };
                inline::remove(&self.transaction, *table, &range)?;
            }
            false => {
                for old in replaced {
                    folds::remove(&self.transaction, *table, *line, old)?;
                }
                // The clone of a table names the same files.
                let named = folds::all(&self.transaction)?;
                for old in replaced {
                    if !named.iter().any(|(_, _, other)| other.segment == old.segment) {
                        self.let_go(old.segment.0, Wait::ForReaders)?;
                    }
                }
            }
        }
        folds::put(&self.transaction, *table, *line, stretch)?;
        self.moved_rows.push((*table, *line));
        Ok(())
    }

    /// A file that no record of the log names from now on.
    fn let_go(&mut self, segment: u64, wait: Wait) -> Result<()> {
        let at = key([segment]);
        // A file that was folded into another is listed already.
        let Some(bytes) = self.transaction.get(Space::Segments, &at)? else { return Ok(()) };
        self.transaction.put(Space::Collect, &at, &bytes)?;
        self.transaction.remove(Space::Segments, &at)?;
        self.let_go.push((segment, wait));
        Ok(())
    }

    fn raise(&mut self, raised: Vec<Floor>) -> Result<()> {
        raised.iter().try_for_each(|floor| floors::put(&self.transaction, floor))?;
        self.raised.extend(raised);
        Ok(())
    }

    fn forget(&mut self, records: &[(Space, Vec<u8>)]) -> Result<()> {
        for (space, at) in records {
            match space {
                // Open snapshots were asked what they need, so nobody was told of it.
                Space::Segments => self.let_go(expire::segment_of(at)?, Wait::No)?,
                _ => self.transaction.remove(*space, at)?,
            }
            if *space == Space::Folds {
                let (table, line, _, _) = folds::parts(at)?;
                self.moved_rows.push((table, line));
            }
        }
        Ok(())
    }

    /// A new branch shows what the branch it comes from shows; one that comes from nowhere, what it is.
    pub(super) fn start_floors(&mut self, made: &Ref) -> Result<()> {
        let floors = self.floors();
        if floors.is_empty() {
            return Ok(());
        }
        let (reference, at) = (made.id, made.commit);
        let table = made.table().unwrap_or(ALL_TABLES);
        let mut from = None;
        for target in refs::list(&self.transaction, refs::DATABASE)? {
            let reaches = target.kind == RefKind::Branch
                && target.id != reference
                && is_about(&target, table)
                && floors.of(target.id, table).is_none_or(|floor| floor.commit <= at)
                && ancestry::is_ancestor(&self.transaction, at, target.commit)?;
            if reaches {
                from = Some(target.id);
                break;
            }
        }
        let raised: Vec<Floor> = match (from, made.table()) {
            (Some(from), None) => {
                floors.of_ref(from).map(|floor| Floor { reference, ..*floor }).collect()
            }
            (Some(from), Some(table)) => {
                let floor = floors.of(from, table);
                floor.map(|floor| Floor { reference, table, ..floor }).into_iter().collect()
            }
            (None, _) => {
                let time_us = ancestry::commit(&self.transaction, at)?.time_us;
                vec![Floor { reference, table, commit: at, time_us }]
            }
        };
        self.raise(raised)
    }

    /// The floors, those that this batch raised included.
    pub(super) fn floors(&self) -> Floors {
        let mut floors = self.store.shared.floors.read().as_ref().clone();
        self.raised.iter().for_each(|floor| floors.set(*floor));
        floors
    }

    /// Whether a ref may be pointed at a commit: all that it would show can be read there.
    pub(super) fn check_kept(&self, name: &str, at: CommitId) -> Result<Result<()>> {
        let commit = ancestry::find(&self.transaction, at)?;
        let shown = match &commit {
            Some(commit) => self.floors().shown(&self.transaction, commit)?,
            None => None,
        };
        let refused = |kind, message: String| {
            Ok(Err(Error::new(kind, message)
                .hint("a branch or tag of everything stands where every table can be read")))
        };
        let (Some(commit), Some(shows)) = (commit, shown) else {
            return refused(ErrorKind::SnapshotExpired, format!("commit {at} has expired"));
        };
        let is_kept = match ref_table(name) {
            Some(table) => shows.has(table),
            None if commit.only.is_some() => {
                let message = format!("commit {at} was made on a branch of one table alone");
                return refused(ErrorKind::WrongState, message);
            }
            None if shows.is_all() => true,
            None => catalog::objects(&self.transaction, commit.root)?
                .iter()
                .all(|object| !matches!(object, Object::Table(id, _) if !shows.has(*id))),
        };
        if is_kept {
            return Ok(Ok(()));
        }
        let message = format!("not all that commit {at} showed can still be read");
        refused(ErrorKind::SnapshotExpired, message)
    }

    /// After the batch is durable: memory follows the log.
    pub(super) fn publish_moves(store: &Store, moved: &[(TableId, LineId)]) -> Result<()> {
        if moved.is_empty() {
            return Ok(());
        }
        let shared = &store.shared;
        let view = shared.log.read()?;
        for (table, line) in moved {
            shared.folds.set(*table, *line, folds::of_line(&view, *table, *line)?);
            shared.inline_runs.retain(|(t, l, _), _| (t, l) != (table, line));
            // Their maps of inline keys have keys of rows that lie in files now.
            shared.tables.retain(|_, state| state.table_id() != *table);
            shared.heads.read().values().for_each(|point| point.forget(*table));
        }
        Ok(())
    }
}
