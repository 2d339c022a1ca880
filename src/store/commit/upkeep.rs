//! Upkeep in the committer's order: rows that move, and what is forgotten. None of it changes which rows
//! there are.

use super::Answer;
use super::apply::Batch;
use crate::error::Result;
use crate::log::floors::{self, ALL_TABLES, Floor};
use crate::log::folds::{self, Stretch};
use crate::log::{Records, Space, ancestry, inline, key, refs};
use crate::spec::{CommitId, LineId, LineRange, RefKind, TableId};
use crate::store::collect::{self, Wait};
use crate::store::compact::Compaction;
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
    pub(super) fn start_floors(&mut self, reference: u64, at: CommitId) -> Result<()> {
        let mut floors = self.store.shared.floors.read().as_ref().clone();
        self.raised.iter().for_each(|floor| floors.set(*floor));
        if floors.is_empty() {
            return Ok(());
        }
        let mut from = None;
        for target in refs::list(&self.transaction, refs::DATABASE)? {
            let reaches = target.kind == RefKind::Branch
                && target.id != reference
                && floors.of(target.id, ALL_TABLES).is_none_or(|floor| floor.commit <= at)
                && ancestry::is_ancestor(&self.transaction, at, target.commit)?;
            if reaches {
                from = Some(target.id);
                break;
            }
        }
        let raised: Vec<Floor> = match from {
            Some(from) => floors.of_ref(from).map(|f| Floor { reference, ..*f }).collect(),
            None => {
                let commit = ancestry::commit(&self.transaction, at)?;
                let (table, time_us) = (ALL_TABLES, commit.time_us);
                vec![Floor { reference, table, commit: at, time_us }]
            }
        };
        self.raise(raised)
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
