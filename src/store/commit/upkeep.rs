//! Upkeep in the committer's order: rows that move, and what is forgotten. None of it changes which rows
//! there are.

use super::Answer;
use super::apply::Batch;
use crate::error::{Error, ErrorKind, Result};
use crate::log::folds::{self, Stretch};
use crate::log::{Records, Space, inline, key};
use crate::spec::LineRange;
use crate::store::collect;
use crate::store::compact::Compaction;
use crate::store::fold::Fold;

/// A step of upkeep, prepared by whoever asks for it.
pub(in crate::store) enum Upkeep {
    /// A file took over inline batches, or smaller files.
    Fold(Box<Fold>),
    /// Other files took over a table's rows.
    Compact(Box<Compaction>),
    /// These files are gone.
    Collected(Vec<u64>),
}

impl Batch<'_> {
    pub fn upkeep(&mut self, upkeep: Upkeep) -> Result<Result<Answer>> {
        self.changed |= !matches!(upkeep, Upkeep::Compact(_));
        match upkeep {
            Upkeep::Fold(fold) => self.fold(&fold)?,
            Upkeep::Compact(compaction) => return self.compact(&compaction),
            Upkeep::Collected(segments) => collect::forget(&self.transaction, segments)?,
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
                    self.let_go(old.segment.0)?;
                }
            }
        }
        folds::put(&self.transaction, *table, *line, stretch)?;
        self.moved_rows.push((*table, *line));
        Ok(())
    }

    /// A file that no record of the log names from now on.
    pub(super) fn let_go(&mut self, segment: u64) -> Result<()> {
        let at = key([segment]);
        let Some(bytes) = self.transaction.get(Space::Segments, &at)? else {
            let message = format!("segment {segment} was forgotten twice");
            return Err(Error::new(ErrorKind::Internal, message));
        };
        self.transaction.put(Space::Collect, &at, &bytes)?;
        self.transaction.remove(Space::Segments, &at)?;
        self.let_go.push(segment);
        Ok(())
    }

    /// After the batch is durable: memory follows the log.
    pub(super) fn publish_moves(
        store: &crate::store::Store,
        moved: &[(crate::spec::TableId, crate::spec::LineId)],
    ) -> Result<()> {
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
