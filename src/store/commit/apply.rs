//! One batch of the committer: its working copies of heads and tables, and what it writes.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::Answer;
use super::counters::{Counters, line_tip, put_line_tip};
use super::proposal::Proposal;
use super::validate::Verdict;
use crate::error::{Error, ErrorKind, Result};
use crate::log::floors::Floor;
use crate::log::{Space, Transaction, ancestry, key, refs};
use crate::spec::{
    Commit, CommitId, CommitKind, LineId, Ref, RefKind, ReflogAction, ReflogEntry, TableChange,
    TableId, VersionId, ref_table,
};
use crate::store::Store;
use crate::store::catalog::{self, Change, Object};
use crate::store::collect::Wait;
use crate::store::refs::check_unprotected;
use crate::store::sequence::{Standing, write_restart};
use crate::store::snapshot::{Point, Relation};
use crate::store::table::Table;

pub(super) struct Batch<'a> {
    pub(super) store: &'a Store,
    pub(super) transaction: Transaction,
    counters: &'a mut Counters,
    /// Counters as they were, should the batch come to nothing.
    before: Counters,
    /// Branches that this batch moved or made; None for those it dropped.
    pub(super) heads: HashMap<String, Option<Arc<Point>>>,
    /// Tables that this batch changed.
    pub(super) tables: HashMap<VersionId, Arc<Table>>,
    /// Whether there is more to make durable than commits and refs.
    pub(super) changed: bool,
    /// Lines whose rows moved to other files.
    pub(super) moved_rows: Vec<(TableId, LineId)>,
    /// Files that nothing names any more.
    pub(super) let_go: Vec<(u64, Wait)>,
    /// Floors that were raised.
    pub(super) raised: Vec<Floor>,
    /// Sequences that count anew, and the counts they go on from.
    restarted: Vec<(TableId, TableId, Standing)>,
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
            restarted: Vec::new(),
        })
    }

    /// The outer error is of the batch, the inner one of this proposal, which then changed nothing.
    pub fn commit(&mut self, proposal: Proposal) -> Result<Result<Answer>> {
        let (target, head) = match self.branch(&proposal.branch)? {
            Ok(found) => found,
            Err(refused) => return Ok(Err(refused)),
        };
        // It may be protected since the transaction began to write it.
        if proposal.merged.is_none()
            && let Err(refused) = check_unprotected(&target, "written")
        {
            return Ok(Err(refused));
        }
        match self.judge(&proposal, &head) {
            Ok(Verdict::Stands) => {}
            Ok(Verdict::Stale) => return Ok(Ok(Answer::Stale)),
            Err(refused) if refused.kind() == ErrorKind::Corrupt => return Err(refused),
            Err(refused) => return Ok(Err(refused)),
        }
        let going = self.refs_that_go(&proposal)?;
        for target in &going {
            if let Err(refused) = check_unprotected(target, "dropped with its table") {
                return Ok(Err(refused));
            }
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
        for (sequence, apart) in &proposal.restarted {
            let Some(standing) = self.store.counted_apart(*apart) else { continue };
            write_restart(&self.transaction, *sequence, standing)?;
            self.restarted.push((*sequence, *apart, standing));
        }
        for target in &going {
            self.remove_ref(target, commit.time_us)?;
        }
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
        for (sequence, apart, standing) in self.restarted {
            shared.restart(sequence, apart, standing);
        }
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
            let message = format!("tag \"{}\" cannot be written", crate::spec::ref_label(name));
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

    /// What a name stands for at the head of a proposal's branch; of a branch of one table only that
    /// table's versions are kept.
    pub(super) fn named(
        &self,
        proposal: &Proposal,
        head: &Point,
        namespace: &str,
        name: &str,
    ) -> Result<Option<Relation>> {
        let only = ref_table(&proposal.branch);
        let counts = |id| Ok(only.is_none_or(|only| only == id));
        self.store.named(&self.transaction, head.root, namespace, name, counts)
    }

    pub(super) fn line(&mut self, head: &Point, id: CommitId, new: bool) -> Result<LineId> {
        let tip = line_tip(&self.transaction, head.line)?;
        let on = tip == head.commit && !new;
        let line = if on { head.line } else { LineId(self.store.next_id()) };
        put_line_tip(&self.transaction, line, id)?;
        Ok(line)
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
            merge_parent: proposal.merged.map(|(commit, _)| commit),
            merged_table: proposal.merged.and_then(|(_, table)| table),
            depth,
            jump,
            joined: proposal.merged.map_or(parent.joined, |_| Some(id)),
            time_us: self.next_time(),
            kind: kind_of(proposal, &changes),
            line,
            only: ref_table(&proposal.branch),
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
        if let Err(refused) = self.check_kept(name, to)? {
            return Ok(Err(refused));
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
