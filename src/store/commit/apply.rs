//! One batch of the committer: its working copies of heads and tables, and what it writes.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::Answer;
use super::counters::{Counters, line_tip, put_line_tip, put_row_ids};
use super::proposal::{CatalogWrite, Proposal, TableProposal};
use super::take::{renamed, segments_between, taken_rows};
use super::validate::{Verdict, judge, same_rows, same_shape};
use crate::error::{Error, ErrorKind, Result};
use crate::log::floors::Floor;
use crate::log::versions::{SegmentChange, put as put_version};
use crate::log::{Space, Transaction, ancestry, deletes, inline, key, refs};
use crate::spec::{
    Commit, CommitId, CommitKind, LineId, LineRange, LinkId, Ref, RefKind, ReflogAction,
    ReflogEntry, RetiredEntry, SchemaId, SegmentEntry, TableChange, TableId, TableVersion,
    VersionId, View,
};
use crate::store::Store;
use crate::store::catalog::{self, Change, Object};
use crate::store::collect::Wait;
use crate::store::keys::keys_of;
use crate::store::refs::check_unprotected;
use crate::store::snapshot::Point;
use crate::store::table::{Table, TableSegment};

pub(super) struct Batch<'a> {
    pub(super) store: &'a Store,
    pub(super) transaction: Transaction,
    counters: &'a mut Counters,
    /// Counters as they were, should the batch come to nothing.
    before: Counters,
    /// Branches that this batch moved or made; None for those it dropped.
    pub(super) heads: HashMap<String, Option<Arc<Point>>>,
    /// Tables that this batch changed.
    tables: HashMap<VersionId, Arc<Table>>,
    /// Whether there is more to make durable than commits and refs.
    pub(super) changed: bool,
    /// Lines whose rows moved to other files.
    pub(super) moved_rows: Vec<(TableId, LineId)>,
    /// Files that nothing names any more.
    pub(super) let_go: Vec<(u64, Wait)>,
    /// Floors that were raised.
    pub(super) raised: Vec<Floor>,
}

impl<'a> Batch<'a> {
    pub fn begin(store: &'a Store, counters: &'a mut Counters) -> Result<Batch<'a>> {
        let transaction = store.shared.log.write()?;
        let before = *counters;
        Ok(Batch {
            store,
            transaction,
            counters,
            before,
            heads: HashMap::new(),
            tables: HashMap::new(),
            changed: false,
            moved_rows: Vec::new(),
            let_go: Vec::new(),
            raised: Vec::new(),
        })
    }

    /// The outer error is of the batch, the inner one of this proposal, which then changed nothing.
    pub fn commit(&mut self, proposal: Proposal) -> Result<Result<Answer>> {
        let (target, head) = match self.branch(&proposal.branch)? {
            Ok(found) => found,
            Err(refused) => return Ok(Err(refused)),
        };
        match self.judge(&proposal, &head) {
            Ok(Verdict::Stands) => {}
            Ok(Verdict::Stale) => return Ok(Ok(Answer::Stale)),
            Err(refused) if refused.kind() == ErrorKind::Corrupt => return Err(refused),
            Err(refused) => return Ok(Err(refused)),
        }
        let id = self.next_commit();
        let line = self.line(&head, id, self.needs_line(&proposal, &head)?)?;
        let (changes, mut entries, tables) = self.write_tables(&proposal, &head, id, line)?;
        entries.extend(self.write_catalog(&proposal.catalog, head.root)?);
        let names_changed = !proposal.catalog.is_empty() || proposal.takes();
        let root = self.update_catalog(head.root, &entries)?;
        let commit = self.record(&proposal, &head, id, line, root, changes)?;
        let moved =
            ReflogEntry { time_us: commit.time_us, action: ReflogAction::Commit, commit: id };
        refs::put(&self.transaction, refs::DATABASE, &Ref { commit: id, ..target }, &moved)?;
        let point = Arc::new(Point::after(&head, &commit, &tables, names_changed));
        self.heads.insert(proposal.branch, Some(point));
        Ok(Ok(Answer::Done(id)))
    }

    /// Makes the batch durable, then visible.
    pub fn finish(self) -> Result<()> {
        let unchanged = !self.changed
            && self.heads.is_empty()
            && self.before.last_time_us == self.counters.last_time_us;
        if unchanged {
            return Ok(());
        }
        self.store.shared.vfs.point("cmt.redb.precommit")?;
        let next_id = self.store.shared.next_id.load(Ordering::Acquire);
        self.counters.write(&self.transaction, next_id)?;
        if let Err(error) = self.transaction.commit() {
            // The commit may be durable or not; only recovery can tell.
            tracing::error!(%error, "the outcome of a commit is unknown, so the process ends");
            std::process::abort();
        }
        let shared = &self.store.shared;
        let _ = shared.vfs.point("cmt.postcommit");
        for (id, table) in self.tables {
            shared.tables.insert(id, table.state());
        }
        shared.last_commit_us.store(self.counters.last_time_us, Ordering::Release);
        let mut heads = shared.heads.write();
        for (name, point) in self.heads {
            match point {
                Some(point) => drop(heads.insert(name, point)),
                None => drop(heads.remove(&name)),
            }
        }
        drop(heads);
        shared.raise_floors(&self.raised);
        Self::publish_moves(self.store, &self.moved_rows)?;
        shared.collect_later(&self.let_go);
        Ok(())
    }

    pub(super) fn next_commit(&mut self) -> CommitId {
        self.counters.next_commit += 1;
        CommitId(self.counters.next_commit - 1)
    }

    pub(super) fn take_table(&mut self, version: VersionId, table: &Arc<Table>) {
        self.tables.insert(version, Arc::clone(table));
    }

    pub(super) fn take_head(&mut self, branch: String, point: Arc<Point>) {
        self.heads.insert(branch, Some(point));
    }

    pub(super) fn branch(&self, name: &str) -> Result<Result<(Ref, Arc<Point>)>> {
        let Some(target) = refs::get(&self.transaction, refs::DATABASE, name)? else {
            return Ok(Err(crate::store::refs::unknown(RefKind::Branch, name)));
        };
        if target.kind == RefKind::Tag {
            let message = format!("tag \"{name}\" cannot be written");
            return Ok(Err(Error::new(ErrorKind::ReadOnly, message)));
        }
        let point = match self.heads.get(name) {
            Some(Some(point)) => Arc::clone(point),
            Some(None) | None => match self.store.shared.heads.read().get(name) {
                Some(point) if point.commit == target.commit => Arc::clone(point),
                _ => Arc::new(Point::of(&ancestry::commit(&self.transaction, target.commit)?)),
            },
        };
        Ok(Ok((target, point)))
    }

    pub(super) fn table(&self, root: u64, id: TableId) -> Result<Option<Arc<Table>>> {
        match catalog::object(&self.transaction, root, id)? {
            Some(Object::Table(_, version)) => match self.tables.get(&version) {
                Some(table) => Ok(Some(Arc::clone(table))),
                None => self.store.table_at(&self.transaction, version).map(Some),
            },
            Some(Object::View(..) | Object::Sequence(..) | Object::Namespace(..)) | None => {
                Ok(None)
            }
        }
    }

    fn judge(&self, proposal: &Proposal, head: &Point) -> Result<Verdict> {
        for (at, write) in proposal.catalog.iter().enumerate() {
            self.judge_names(proposal, (write, &proposal.catalog[..at]), head)?;
        }
        if proposal.base == head.commit {
            return Ok(Verdict::Stands);
        }
        if self.is_overtaken(proposal, head)? {
            return Ok(Verdict::Stale);
        }
        let base = self.store.point(proposal.base)?;
        for (id, change) in &proposal.tables {
            let made = proposal.catalog.iter().any(|write| write.made() == Some(*id));
            if made || change.taken.is_some() {
                continue;
            }
            let table = self.table(head.root, *id)?;
            if let (Some(table), Some(old)) = (&table, self.table(base.root, *id)?) {
                same_shape(&old, table)?;
                // Checked first: what was deleted since is a conflict wherever it lies.
                table.check_living(&change.deleted, proposal.base)?;
                if proposal.verified(*id) {
                    same_rows(&old, table)?;
                }
                if old.is_moved(table, &change.deleted) {
                    return Ok(Verdict::Stale);
                }
            }
            if let Verdict::Stale = judge(proposal, change, table.as_ref())? {
                return Ok(Verdict::Stale);
            }
        }
        Ok(Verdict::Stands)
    }

    /// `before` is what the same proposal did to the catalogue earlier: it may have freed the name.
    fn judge_names(
        &self,
        proposal: &Proposal,
        (write, before): (&CatalogWrite, &[CatalogWrite]),
        head: &Point,
    ) -> Result<()> {
        let gone = match write {
            CatalogWrite::Drop { id, name, .. } => Some((*id, name.as_str())),
            _ => write.alters().map(|id| (id, write.name())),
        };
        if let Some((id, name)) = gone
            && !before.iter().any(|earlier| earlier.made() == Some(id))
            && catalog::object(&self.transaction, head.root, id)?.is_none()
        {
            let message = format!("\"{name}\" was dropped by another transaction");
            return Err(Error::new(ErrorKind::Conflict, message));
        }
        let Some((namespace, name)) = write.takes() else { return Ok(()) };
        let there = self.store.named(&self.transaction, head.root, namespace, name, |_| Ok(()))?;
        let freed = before.iter().any(|earlier| earlier.frees(namespace, name));
        match there.filter(|there| !freed && !proposal.renames(there)) {
            Some(_) => Err(catalog::duplicate(name)),
            None => Ok(()),
        }
    }

    pub(super) fn line(&mut self, head: &Point, id: CommitId, new: bool) -> Result<LineId> {
        let tip = line_tip(&self.transaction, head.line)?;
        let on = tip == head.commit && !new;
        let line = if on { head.line } else { LineId(self.store.next_id()) };
        put_line_tip(&self.transaction, line, id)?;
        Ok(line)
    }

    #[expect(clippy::type_complexity, reason = "three lists of one walk, used by one caller")]
    fn write_tables(
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
            table: from.id(),
            schema: from.schema().id,
            previous: None,
            depth: 0,
            drift: 0,
            pages: Vec::new(),
            added: Vec::new(),
            removed: Vec::new(),
            retired: Vec::new(),
            // A state that was taken over has dead rows that this branch never showed.
            history: old.and_then(Table::version).map(|v| v.history.clone()).unwrap_or_default(),
            ranges: start.map(|v| v.ranges.clone()).unwrap_or_default(),
            deletes: start.and_then(|v| v.deletes),
            rows: next.rows,
            segments: 0,
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

    fn write_catalog(&mut self, writes: &[CatalogWrite], root: u64) -> Result<Vec<Change>> {
        let mut entries = Vec::new();
        for write in writes {
            match write {
                CatalogWrite::CreateTable(schema) => {
                    let at = key([schema.id.0]);
                    self.transaction.put(Space::Schemas, &at, &schema.encode())?;
                    let (namespace, name) = (schema.namespace.clone(), schema.name.clone());
                    entries.push(Change::Name(namespace, name, schema.table));
                }
                CatalogWrite::AlterTable { was, schema, .. } => {
                    let at = key([schema.id.0]);
                    self.transaction.put(Space::Schemas, &at, &schema.encode())?;
                    rename(&mut entries, write, was, schema.table);
                }
                CatalogWrite::CreateView(view) => {
                    let record = self.write_view(view)?;
                    entries.push(Change::Put(Object::View(view.id, record)));
                    let (namespace, name) = (view.namespace.clone(), view.name.clone());
                    entries.push(Change::Name(namespace, name, view.id));
                }
                CatalogWrite::AlterView { was, view } => {
                    let record = self.write_view(view)?;
                    entries.push(Change::Put(Object::View(view.id, record)));
                    rename(&mut entries, write, was, view.id);
                }
                CatalogWrite::CreateSequence(sequence) => {
                    let record = self.write_record(&sequence.encode())?;
                    entries.push(Change::Put(Object::Sequence(sequence.id, record)));
                    let (namespace, name) = (sequence.namespace.clone(), sequence.name.clone());
                    entries.push(Change::Name(namespace, name, sequence.id));
                }
                CatalogWrite::AlterSequence { was, sequence } => {
                    let record = self.write_record(&sequence.encode())?;
                    entries.push(Change::Put(Object::Sequence(sequence.id, record)));
                    rename(&mut entries, write, was, sequence.id);
                }
                CatalogWrite::CreateNamespace(name) => {
                    let id = TableId(self.store.next_id());
                    let namespace = View { id, namespace: name.clone(), ..View::default() };
                    let record = self.write_view(&namespace)?;
                    entries.push(Change::Put(Object::Namespace(id, record)));
                }
                CatalogWrite::DropNamespace(name) => {
                    if let Some(id) = catalog::namespace(&self.transaction, root, name)? {
                        entries.push(Change::Remove(id));
                    }
                }
                CatalogWrite::Drop { id, namespace, name } => {
                    entries.push(Change::Unname(namespace.clone(), name.clone(), *id));
                    entries.push(Change::Remove(*id));
                }
            }
        }
        Ok(entries)
    }

    fn write_view(&self, view: &View) -> Result<SchemaId> {
        self.write_record(&view.encode())
    }

    fn write_record(&self, bytes: &[u8]) -> Result<SchemaId> {
        let record = SchemaId(self.store.next_id());
        self.transaction.put(Space::Schemas, &key([record.0]), bytes)?;
        Ok(record)
    }

    pub(super) fn update_catalog(&self, root: u64, entries: &[Change]) -> Result<u64> {
        catalog::update(&self.transaction, root, entries, &mut || self.store.next_id())
    }

    fn record(
        &mut self,
        proposal: &Proposal,
        head: &Point,
        id: CommitId,
        line: LineId,
        root: u64,
        changes: Vec<TableChange>,
    ) -> Result<Commit> {
        let parent = ancestry::commit(&self.transaction, head.commit)?;
        let (depth, jump) = ancestry::below(&self.transaction, &parent)?;
        let commit = Commit {
            id,
            parent: Some(parent.id),
            merge_parent: proposal.merged,
            depth,
            jump,
            time_us: self.next_time(),
            kind: kind_of(proposal, &changes),
            line,
            root,
            changes,
            properties: proposal.properties.clone(),
        };
        self.transaction.put(Space::Commits, &key([id.0]), &commit.encode())?;
        Ok(commit)
    }

    /// Later than every commit and than every time that an AS OF was answered for.
    pub(super) fn next_time(&mut self) -> i64 {
        let served = self.store.shared.as_of_served_us.load(Ordering::Acquire);
        let now = self.store.clock().now_us();
        self.counters.last_time_us = now.max(self.counters.last_time_us + 1).max(served + 1);
        self.counters.last_time_us
    }

    pub(super) fn move_ref(
        &mut self,
        name: &str,
        from: CommitId,
        to: CommitId,
        action: ReflogAction,
    ) -> Result<Result<Answer>> {
        let (target, _) = match self.branch(name)? {
            Ok(found) => found,
            Err(refused) => return Ok(Err(refused)),
        };
        if action == ReflogAction::Reset
            && let Err(refused) = check_unprotected(&target, "moved back")
        {
            return Ok(Err(refused));
        }
        let content = |commit| ancestry::content(&self.transaction, commit);
        if target.commit != from && content(target.commit)? != content(from)? {
            return Ok(Ok(Answer::Stale));
        }
        let old = target.commit;
        let commit = ancestry::commit(&self.transaction, to)?;
        let moved = ReflogEntry { time_us: self.next_time(), action, commit: to };
        refs::put(&self.transaction, refs::DATABASE, &Ref { commit: to, ..target }, &moved)?;
        self.heads.insert(name.to_owned(), Some(Arc::new(Point::of(&commit))));
        if action == ReflogAction::FastForward {
            self.carry_upkeep(name, old, &commit)?;
        }
        Ok(Ok(Answer::Done(to)))
    }
}

fn rename(
    entries: &mut Vec<Change>,
    write: &CatalogWrite,
    (namespace, name): &(String, String),
    id: TableId,
) {
    if let Some((new_namespace, new_name)) = write.takes() {
        entries.push(Change::Unname(namespace.clone(), name.clone(), id));
        entries.push(Change::Name(new_namespace.to_owned(), new_name.to_owned(), id));
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

fn kind_of(proposal: &Proposal, changes: &[TableChange]) -> CommitKind {
    if proposal.merged.is_some() {
        return CommitKind::Merge;
    }
    let added = changes.iter().any(|change| change.added_rows > 0);
    let deleted = changes.iter().any(|change| change.deleted_rows > 0);
    match (proposal.catalog.is_empty(), added, deleted) {
        (false, _, _) => CommitKind::Schema,
        (true, true, false) => CommitKind::Append,
        (true, false, true) => CommitKind::Delete,
        (true, _, _) => CommitKind::Overwrite,
    }
}
