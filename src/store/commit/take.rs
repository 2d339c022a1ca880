//! States that were made elsewhere: a commit takes them over, stamped with its number.

use std::collections::HashMap;
use std::sync::Arc;

use super::apply::Batch;
use super::proposal::{Proposal, TableProposal, Taken};
use crate::error::Result;
use crate::log::deletes::{self, Positions};
use crate::log::versions::SegmentChange;
use crate::log::{Space, ancestry, inline, key};
use crate::spec::{
    CommitId, LineId, LineRange, LinkId, RowId, SegmentEntry, SegmentId, TableVersion,
};
use crate::store::catalog::{self, Change};
use crate::store::snapshot::{Point, Relation};
use crate::store::table::{Table, UNCOMMITTED};

impl Proposal {
    /// Whether it takes over any state.
    pub fn takes(&self) -> bool {
        self.tables.values().any(|change| change.taken.is_some())
    }

    /// Whether a relation gets another name by the state it takes over.
    pub(super) fn renames(&self, relation: &Relation) -> bool {
        let taken = self.tables.get(&relation.id()).and_then(|change| change.taken.as_ref());
        taken.is_some_and(|taken| {
            let schema = taken.table.schema();
            (schema.namespace.as_str(), schema.name.as_str()) != relation.name()
        })
    }
}

impl Batch<'_> {
    /// Whether the head is no longer what a state was made for: only its maker can make it anew.
    pub(super) fn is_overtaken(&self, proposal: &Proposal, head: &Point) -> Result<bool> {
        if proposal.exact {
            return Ok(true);
        }
        if !proposal.takes() && proposal.merged.is_none() {
            return Ok(false);
        }
        if !ancestry::is_ancestor(&self.transaction, proposal.base, head.commit)? {
            return Ok(true);
        }
        for (id, change) in &proposal.tables {
            let Some(taken) = &change.taken else { continue };
            let there = self.table(head.root, *id)?;
            if there.as_ref().and_then(|table| table.version()).map(|v| v.id) != taken.instead_of {
                return Ok(true);
            }
            let schema = taken.table.schema();
            let (namespace, name) = (&schema.namespace, &schema.name);
            let named = self.named(proposal, head, namespace, name)?;
            if named.is_some_and(|relation| relation.id() != *id) && there.is_some() {
                return Err(catalog::duplicate(&schema.name));
            }
        }
        Ok(false)
    }

    /// Whether the commit must start a line: where a taken state has other ranges on the head's line
    /// than the head, a later batch there would bring back what lies between.
    pub(super) fn needs_line(&self, proposal: &Proposal, head: &Point) -> Result<bool> {
        for (id, change) in &proposal.tables {
            let Some(taken) = &change.taken else { continue };
            let there = self.table(head.root, *id)?;
            if on_line(there.as_deref(), head.line) != on_line(Some(&taken.table), head.line) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The state as the commit begins with it: stamped, with its shape and its deletes written.
    pub(super) fn take_over(
        &mut self,
        taken: &Taken,
        old: Option<&Table>,
        id: CommitId,
    ) -> Result<Table> {
        let mut table = taken.table.as_ref().clone();
        let schema = Arc::clone(&table.schema);
        self.transaction.put(Space::Schemas, &key([schema.id.0]), &schema.encode())?;
        let mut record = table.version().cloned().expect("a taken state has a record");
        for range in &mut record.ranges {
            stamp(&mut range.since, id);
        }
        for segment in Arc::make_mut(&mut table.segments) {
            stamp(&mut segment.entry.since, id);
        }
        if taken.united {
            self.write_union(&table, old, &mut record, id)?;
        }
        if table.lines_of != table.id() {
            let from = table.lines_of;
            for range in &record.ranges {
                inline::copy(&self.transaction, from, table.id(), range)?;
                self.moved_rows.push((table.id(), range.line));
            }
            table.lines_of = table.id();
        }
        table.record = Some(Arc::new(record));
        table.pending = Arc::default();
        table.inline_keys = Arc::default();
        Ok(table)
    }

    /// One link that says all that is hidden: rows that another branch deleted keep the commits
    /// that deleted them, so the union is exact where the link's own number would not be.
    fn write_union(
        &self,
        table: &Table,
        old: Option<&Table>,
        record: &mut TableVersion,
        id: CommitId,
    ) -> Result<()> {
        let before = old.map(|old| old.deletes.as_ref());
        let known = |row: &RowId| before.and_then(|before| before.rows.get(row));
        let after = &table.deletes;
        let mut rows: Vec<RowId> = after
            .rows
            .iter()
            .filter(|(row, commit)| known(row) != Some(commit))
            .map(|(row, _)| *row)
            .collect();
        rows.sort_unstable();
        let mut positions = Positions::new();
        for (segment, bitmap) in &after.positions {
            let known = before.and_then(|before| before.positions.get(segment));
            let new = known.map_or_else(|| bitmap.as_ref().clone(), |known| &**bitmap - &**known);
            if !new.is_empty() {
                positions.insert(*segment, new);
            }
        }
        let link = LinkId(self.store.next_id());
        let parent = old.and_then(Table::version).and_then(|version| version.deletes);
        deletes::put_union(&self.transaction, link, parent, id, rows, &positions, after)?;
        record.deletes = Some(link);
        Ok(())
    }
}

fn stamp(since: &mut Option<CommitId>, id: CommitId) {
    if *since == Some(UNCOMMITTED) {
        *since = Some(id);
    }
}

fn on_line(table: Option<&Table>, line: LineId) -> Vec<LineRange> {
    let ranges = table.and_then(Table::version).map(|version| version.ranges.iter());
    ranges.into_iter().flatten().filter(|range| range.line == line).copied().collect()
}

/// The rows that a taken state counts for the history.
pub(super) fn taken_rows(change: &TableProposal, count: impl Fn(&Taken) -> u64) -> u64 {
    change.taken.as_ref().map_or(0, count)
}

/// The new name, where a state has another than the table had.
pub(super) fn renamed(old: Option<&Table>, new: &Table) -> Vec<Change> {
    let name = |table: &Table| (table.schema.namespace.clone(), table.schema.name.clone());
    match old.map(name) {
        Some(before) if before != name(new) => {
            let after = name(new);
            vec![
                Change::Unname(before.0, before.1, new.id()),
                Change::Name(after.0, after.1, new.id()),
            ]
        }
        _ => Vec::new(),
    }
}

/// How the segments of one state become those of another.
pub(super) fn segments_between(old: Option<&Table>, new: &Table) -> SegmentChange {
    let entries = |table: &Table| -> HashMap<SegmentId, SegmentEntry> {
        table.segments().iter().map(|s| (s.meta.id, s.entry)).collect()
    };
    let before = old.map(entries).unwrap_or_default();
    let after = entries(new);
    let mut change = SegmentChange::default();
    let gone = old.into_iter().flat_map(Table::segments);
    let gone = gone.filter(|s| after.get(&s.meta.id) != Some(&s.entry));
    change.removed = gone.map(|s| s.meta.id).collect();
    let came = new.segments().iter().filter(|s| before.get(&s.meta.id) != Some(&s.entry));
    change.added = came.map(|s| s.entry).collect();
    change
}
