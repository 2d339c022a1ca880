//! A compaction in the committer's order: other files, the same rows.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::Answer;
use super::apply::Batch;
use crate::error::{Error, ErrorKind, Result};
use crate::log::deletes::Positions;
use crate::log::versions::{SegmentChange, put as put_version};
use crate::log::{Space, ancestry, deletes, key, refs};
use crate::spec::{
    Commit, CommitId, CommitKind, LineRange, LinkId, Ref, ReflogAction, ReflogEntry, RetiredEntry,
    TableChange, TableVersion, VersionId,
};
use crate::store::catalog::{self, Change, Object};
use crate::store::compact::{Compaction, is_start};
use crate::store::snapshot::Point;
use crate::store::table::{Table, TableSegment};

impl Batch<'_> {
    /// Stale where rows were deleted that the compaction does not know of, or what it read is gone.
    pub(super) fn compact(&mut self, compaction: &Compaction) -> Result<Result<Answer>> {
        let (target, head) = match self.branch(&compaction.branch)? {
            Ok(found) => found,
            Err(refused) => return Ok(Err(refused)),
        };
        let Some(old) = self.table(head.root, compaction.table)? else {
            let message = "the table was dropped while it was compacted";
            return Ok(Err(Error::new(ErrorKind::UndefinedTable, message)));
        };
        let known = old.version().and_then(|v| v.deletes) == compaction.deletes;
        if !known || !compaction.fits(&old) {
            return Ok(Ok(Answer::Stale));
        }
        let id = self.next_commit();
        let next = Arc::new(self.write_compacted(&old, compaction, id)?);
        let version = next.version().expect("it was just written").id;
        self.take_table(version, &next);
        let change = TableChange {
            table: compaction.table,
            old: old.version().map(|v| v.id),
            new: Some(version),
            added_rows: 0,
            deleted_rows: 0,
        };
        self.commit_upkeep(target, &head, id, vec![change], &[next])?;
        Ok(Ok(Answer::Done(id)))
    }

    /// A commit that no history shows: these tables lie elsewhere.
    fn commit_upkeep(
        &mut self,
        target: Ref,
        head: &Point,
        id: CommitId,
        changes: Vec<TableChange>,
        tables: &[Arc<Table>],
    ) -> Result<()> {
        let line = self.line(head, id, false)?;
        let put = |change: &TableChange| {
            let version = change.new.expect("upkeep drops no table");
            Change::Put(Object::Table(change.table, version))
        };
        let puts: Vec<Change> = changes.iter().map(put).collect();
        let root = self.update_catalog(head.root, &puts)?;
        let parent = ancestry::commit(&self.transaction, head.commit)?;
        let (depth, jump) = ancestry::below(&self.transaction, &parent)?;
        let commit = Commit {
            id,
            parent: Some(parent.id),
            merge_parent: None,
            merged_table: None,
            depth,
            jump,
            joined: parent.joined,
            time_us: self.next_time(),
            kind: CommitKind::Maintain,
            line,
            only: target.table(),
            root,
            changes,
            properties: Vec::new(),
        };
        self.transaction.put(Space::Commits, &key([id.0]), &commit.encode())?;
        let time_us = commit.time_us;
        let moved = ReflogEntry { time_us, action: ReflogAction::Commit, commit: id };
        let name = target.name.clone();
        refs::put(&self.transaction, refs::DATABASE, &Ref { commit: id, ..target }, &moved)?;
        // Without the tables at hand what the parent knew of them must not stand.
        let point = Arc::new(Point::after(head, &commit, tables, tables.is_empty()));
        self.take_head(name, point);
        Ok(())
    }

    /// A branch that moved forward keeps what upkeep did to the tables that it takes over unchanged.
    pub(super) fn carry_upkeep(&mut self, name: &str, old: CommitId, to: &Commit) -> Result<()> {
        let mut at = ancestry::commit(&self.transaction, old)?;
        let newest = at.root;
        let mut tables = BTreeSet::new();
        while at.kind == CommitKind::Maintain {
            tables.extend(at.changes.iter().map(|change| change.table));
            let Some(parent) = at.parent else { break };
            let Some(parent) = ancestry::find(&self.transaction, parent)? else { break };
            at = parent;
        }
        let mut changes = Vec::new();
        for table in tables {
            let version = |root: u64| match catalog::object(&self.transaction, root, table)? {
                Some(Object::Table(_, version)) => Ok(Some(version)),
                _ => Ok::<_, Error>(None),
            };
            let (before, ours, theirs) = (version(at.root)?, version(newest)?, version(to.root)?);
            if before == theirs && ours.is_some() && ours != before {
                let (old, new) = (theirs, ours);
                changes.push(TableChange { table, old, new, added_rows: 0, deleted_rows: 0 });
            }
        }
        if changes.is_empty() {
            return Ok(());
        }
        let Ok((target, head)) = self.branch(name)? else { return Ok(()) };
        let id = self.next_commit();
        self.commit_upkeep(target, &head, id, changes, &[])
    }

    fn write_compacted(
        &mut self,
        old: &Table,
        compaction: &Compaction,
        id: CommitId,
    ) -> Result<Table> {
        let before = old.version().expect("a compacted table has rows");
        let mut next = old.clone();
        // Keys of rows that lie in segments now must not be taken for inline ones.
        next.inline_keys = Arc::default();
        let mut record = TableVersion {
            id: VersionId(self.store.next_id()),
            history: before.history.clone(),
            ranges: rest_of(&before.ranges, compaction),
            deletes: before.deletes,
            rows: before.rows,
            ..TableVersion::empty(before.table, before.schema)
        };
        record.history.retain(|entry| entry.until > compaction.floor);
        for (meta, entry) in &compaction.history {
            self.transaction.put(Space::Segments, &key([meta.id.0]), &meta.encode())?;
            record.history.push(RetiredEntry { ..*entry });
        }
        let segments = Arc::make_mut(&mut next.segments);
        segments.retain(|s| !compaction.removed.contains(&s.meta.id));
        let mut change =
            SegmentChange { removed: compaction.removed.clone(), ..SegmentChange::default() };
        for (meta, entry) in &compaction.added {
            self.transaction.put(Space::Segments, &key([meta.id.0]), &meta.encode())?;
            change.added.push(*entry);
            let meta = Arc::clone(meta);
            segments.push(TableSegment { meta, entry: *entry, deleted: None, visibility: None });
        }
        record.deletes = self.write_chain(&mut next, &record, compaction, id)?;
        let store = self.store;
        let record =
            put_version(&self.transaction, Some(before), record, change, &mut || store.next_id())?;
        next.record = Some(Arc::new(record));
        Ok(next)
    }

    /// The chain goes on with what came meanwhile, at its new places, and a union of what still counts.
    fn write_chain(
        &mut self,
        next: &mut Table,
        record: &TableVersion,
        compaction: &Compaction,
        id: CommitId,
    ) -> Result<Option<LinkId>> {
        let mut tip = record.deletes;
        let after = Arc::make_mut(&mut next.deletes);
        if tip.is_none() && compaction.dead.is_empty() {
            return Ok(None);
        }
        for (commit, positions) in &compaction.dead {
            let link = LinkId(self.store.next_id());
            deletes::put_again(&self.transaction, link, tip, *commit, positions)?;
            after.add(*commit, &[], positions);
            tip = Some(link);
        }
        let segments = Arc::make_mut(&mut next.segments);
        after.positions.retain(|segment, _| segments.iter().any(|s| s.meta.id == *segment));
        for segment in segments {
            segment.deleted = after.positions.get(&segment.meta.id).cloned();
        }
        if record.ranges.iter().all(|range| range.from > compaction.base) {
            after.rows.retain(|_, commit| *commit > compaction.base);
        }
        let link = LinkId(self.store.next_id());
        let nothing = Positions::new();
        deletes::put_union(&self.transaction, link, tip, id, Vec::new(), &nothing, after)?;
        Ok(Some(link))
    }
}

/// What came to the table's ranges since they were read.
fn rest_of(now: &[LineRange], compaction: &Compaction) -> Vec<LineRange> {
    let rest = |range: &LineRange| match compaction.ranges.iter().find(|t| is_start(t, range)) {
        None => Some(*range),
        Some(taken) if range.to > taken.to => {
            Some(LineRange { from: CommitId(taken.to.0 + 1), ..*range })
        }
        Some(_) => None,
    };
    now.iter().filter_map(rest).collect()
}
