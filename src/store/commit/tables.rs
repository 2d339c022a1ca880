//! The tables of a proposal: each one's next version, with what came and what went.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::apply::Batch;
use super::counters::put_row_ids;
use super::proposal::{CatalogWrite, Proposal, TableProposal};
use super::take::{renamed, segments_between, taken_rows};
use crate::error::Result;
use crate::log::versions::{SegmentChange, put as put_version};
use crate::log::{Space, deletes, inline, key};
use crate::spec::{
    CommitId, LineId, LineRange, LinkId, RetiredEntry, SegmentEntry, TableChange, TableVersion,
    VersionId,
};
use crate::store::catalog::{Change, Object};
use crate::store::keys::keys_of;
use crate::store::snapshot::Point;
use crate::store::table::{Table, TableSegment};

impl Batch<'_> {
    #[expect(clippy::type_complexity, reason = "three lists of one walk, used by one caller")]
    pub(super) fn write_tables(
        &mut self,
        proposal: &Proposal,
        head: &Point,
        id: CommitId,
        line: LineId,
    ) -> Result<(Vec<TableChange>, Vec<Change>, Vec<Arc<Table>>)> {
        let (mut changes, mut entries, mut tables) = (Vec::new(), Vec::new(), Vec::new());
        for (table, change) in &proposal.tables {
            let made = proposal.catalog.iter().find_map(|write| match write {
                CatalogWrite::CreateTable(schema) if schema.table == *table => Some(schema),
                _ => None,
            });
            let old = match made {
                Some(_) => None,
                None => self.table(head.root, *table)?,
            };
            let altered = proposal.catalog.iter().rev().find_map(|write| match write {
                CatalogWrite::AlterTable { schema, .. } if schema.table == *table => Some(schema),
                _ => None,
            });
            let from = match (&change.taken, &old, made) {
                (Some(taken), _, _) => {
                    entries.extend(renamed(old.as_deref(), &taken.table));
                    self.take_over(taken, old.as_deref(), id)?
                }
                (None, Some(old), _) => old.as_ref().clone(),
                (None, None, Some(schema)) => Table::empty(self.store.clone(), Arc::clone(schema)),
                (None, None, None) => {
                    unreachable!("a proposal for a table that is gone was refused")
                }
            };
            let from = match altered {
                Some(schema) => from.in_shape(Arc::clone(schema)),
                None => from,
            };
            let next = Arc::new(self.write_table(&from, old.as_deref(), change, (id, line))?);
            let version = next.version().expect("it was just written").id;
            self.tables.insert(version, Arc::clone(&next));
            entries.push(Change::Put(Object::Table(*table, version)));
            changes.push(TableChange {
                table: *table,
                old: old.as_ref().and_then(|old| old.version()).map(|v| v.id),
                new: Some(version),
                added_rows: change.added_rows + taken_rows(change, |taken| taken.added_rows),
                deleted_rows: change.deleted_rows + taken_rows(change, |taken| taken.deleted_rows),
            });
            tables.push(next);
        }
        for write in &proposal.catalog {
            if let CatalogWrite::Drop { id, .. } = write
                && let Some(old) = self.table(head.root, *id)?
            {
                let old_id = old.version().map(|v| v.id);
                changes.push(TableChange {
                    table: *id,
                    old: old_id,
                    new: None,
                    added_rows: 0,
                    deleted_rows: old.row_count(),
                });
            }
        }
        Ok((changes, entries, tables))
    }

    /// Writes one table's next version, `from` with the change, and returns it as it will be read.
    fn write_table(
        &mut self,
        from: &Table,
        old: Option<&Table>,
        change: &TableProposal,
        (id, line): (CommitId, LineId),
    ) -> Result<Table> {
        let start = from.version();
        let mut next = from.clone();
        next.pending = Arc::default();
        next.inline_keys = Arc::default();
        next.rows = from.rows + change.added_rows - change.deleted_rows;
        let mut record = TableVersion {
            id: VersionId(self.store.next_id()),
            // A state that was taken over has dead rows that this branch never showed.
            history: old.and_then(Table::version).map(|v| v.history.clone()).unwrap_or_default(),
            ranges: start.map(|v| v.ranges.clone()).unwrap_or_default(),
            deletes: start.and_then(|v| v.deletes),
            rows: next.rows,
            ..TableVersion::empty(from.id(), from.schema().id)
        };
        let mut segments = match &change.taken {
            Some(_) => segments_between(old, from),
            None => SegmentChange::default(),
        };
        for meta in &change.segments {
            self.transaction.put(Space::Segments, &key([meta.id.0]), &meta.encode())?;
            let entry = SegmentEntry { segment: meta.id, commit: id, since: None };
            segments.added.push(entry);
            let segment =
                TableSegment { meta: Arc::clone(meta), entry, deleted: None, visibility: None };
            Arc::make_mut(&mut next.segments).push(segment);
        }
        self.write_deletes(&mut next, &mut record, change, id)?;
        retire(&mut next, &mut segments, id);
        self.write_inline(from, &mut next, &mut record, change, (id, line))?;
        if !change.segments.is_empty() || change.inline.is_some() || change.taken.is_some() {
            let counter = self.store.row_id_counter(from.id())?.load(Ordering::Acquire);
            put_row_ids(&self.transaction, from.id(), counter)?;
        }
        let (store, previous) = (self.store, old.and_then(Table::version));
        let record =
            put_version(&self.transaction, previous, record, segments, &mut || store.next_id())?;
        next.record = Some(Arc::new(record));
        Ok(next)
    }

    fn write_deletes(
        &mut self,
        next: &mut Table,
        record: &mut TableVersion,
        change: &TableProposal,
        id: CommitId,
    ) -> Result<()> {
        if change.deleted.is_empty() {
            return Ok(());
        }
        let deleted = &change.deleted;
        let after = Arc::make_mut(&mut next.deletes);
        after.add(id, &deleted.rows, &deleted.positions);
        for segment in Arc::make_mut(&mut next.segments) {
            if deleted.positions.contains_key(&segment.meta.id) {
                segment.deleted = after.positions.get(&segment.meta.id).cloned();
            }
        }
        let link = LinkId(self.store.next_id());
        let mut rows = deleted.rows.clone();
        rows.sort_unstable();
        let positions = &deleted.positions;
        deletes::put(&self.transaction, link, record.deletes, id, rows, positions, after)?;
        record.deletes = Some(link);
        Ok(())
    }

    fn write_inline(
        &mut self,
        from: &Table,
        next: &mut Table,
        record: &mut TableVersion,
        change: &TableProposal,
        (id, line): (CommitId, LineId),
    ) -> Result<()> {
        let known = from.inline_keys.get();
        let Some(rows) = &change.inline else {
            if let Some(keys) = known {
                let _ = next.inline_keys.set(keys.clone());
            }
            return Ok(());
        };
        if let Some(keys) = known {
            let mut keys = keys.clone();
            let more = keys_of(from.schema(), std::slice::from_ref(&rows.batch))?;
            keys.insert(&more, &rows.row_ids, id);
            let _ = next.inline_keys.set(keys);
        }
        inline::put(&self.transaction, from.id(), line, id, &rows.encode()?)?;
        match record.ranges.iter_mut().find(|range| range.line == line) {
            Some(range) => range.to = id,
            None => record.ranges.push(LineRange { line, from: id, to: id, since: None }),
        }
        Ok(())
    }
}

/// Segments of which no row lives go to the history list.
fn retire(next: &mut Table, change: &mut SegmentChange, until: CommitId) {
    if next.segments.iter().all(|segment| segment.rows() > 0) {
        return;
    }
    let (living, dead): (Vec<_>, Vec<_>) =
        next.segments.iter().cloned().partition(|segment| segment.rows() > 0);
    next.segments = Arc::new(living);
    for segment in dead {
        // A segment that came and went within one transaction leaves no trace.
        match change.added.iter().position(|added| added.segment == segment.meta.id) {
            Some(added) => drop(change.added.remove(added)),
            None => change.retired.push(RetiredEntry { entry: segment.entry, until }),
        }
    }
}
