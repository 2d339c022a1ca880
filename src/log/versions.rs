//! Table versions: deltas over bases whose pages are shared.

use std::collections::HashSet;

use super::{Records, Space, Transaction, key};
use crate::error::Result;
use crate::spec::{RetiredEntry, SegmentEntry, SegmentId, TableVersion, VersionId};

/// A version further from its base than this many steps becomes a base.
const DEPTH_MAX: u64 = 32;

/// Entries of one page of a base.
const PAGE_ENTRIES: usize = 256;

/// How the segments of a table change from one version to the next.
#[derive(Clone, Debug, Default)]
pub struct SegmentChange {
    /// Segments that come.
    pub added: Vec<SegmentEntry>,
    /// Segments that go.
    pub removed: Vec<SegmentId>,
    /// Segments that go because their last row was deleted.
    pub retired: Vec<RetiredEntry>,
}

/// Reads one version's record.
pub fn get(records: &impl Records, id: VersionId) -> Result<TableVersion> {
    TableVersion::decode(&records.need(Space::Versions, &key([id.0]))?)
}

/// Reads one version's record; None where it has expired.
pub fn find(records: &impl Records, id: VersionId) -> Result<Option<TableVersion>> {
    let found = records.get(Space::Versions, &key([id.0]))?;
    found.map(|bytes| TableVersion::decode(&bytes)).transpose()
}

/// The segments of a version: its base and at most [`DEPTH_MAX`] deltas.
pub fn segments(records: &impl Records, version: &TableVersion) -> Result<Vec<SegmentEntry>> {
    let mut deltas = Vec::new();
    let mut at = version.clone();
    while let Some(previous) = at.previous {
        let next = get(records, previous)?;
        deltas.push(at);
        at = next;
    }
    let mut entries = Vec::new();
    for page in &at.pages {
        entries.extend(page_entries(records, *page)?);
    }
    entries.extend(&at.added);
    for delta in deltas.iter().rev() {
        let gone: HashSet<SegmentId> =
            delta.removed.iter().copied().chain(retired_ids(&delta.retired)).collect();
        entries.retain(|e| !gone.contains(&e.segment));
        entries.extend(&delta.added);
    }
    Ok(entries)
}

/// Turns `next`, whose other fields are set, into a delta on `previous` or into a base, and writes
/// it. `next_id` gives new pages ids.
pub fn put(
    transaction: &Transaction,
    previous: Option<&TableVersion>,
    mut next: TableVersion,
    change: SegmentChange,
    next_id: &mut dyn FnMut() -> u64,
) -> Result<TableVersion> {
    let gone = (change.removed.len() + change.retired.len()) as u64;
    let size = change.added.len() as u64 + gone;
    next.segments = previous.map_or(0, |p| p.segments) + change.added.len() as u64 - gone;
    next.added = change.added;
    next.removed = change.removed;
    next.retired = change.retired;
    if let Some(previous) = previous {
        next.previous = Some(previous.id);
        next.depth = previous.depth + 1;
        next.drift = previous.drift + size;
        if next.depth >= DEPTH_MAX || next.drift > PAGE_ENTRIES as u64 + next.segments / 2 {
            next.pages = rebase(transaction, &next, next_id)?;
            (next.previous, next.depth, next.drift) = (None, 0, 0);
            (next.added, next.removed) = (Vec::new(), Vec::new());
        }
    }
    transaction.put(Space::Versions, &key([next.id.0]), &next.encode())?;
    Ok(next)
}

/// The pages of a new base: those of the old one that still hold, and new ones for the rest.
fn rebase(
    transaction: &Transaction,
    next: &TableVersion,
    next_id: &mut dyn FnMut() -> u64,
) -> Result<Vec<u64>> {
    let living = segments(transaction, next)?;
    let living_ids: HashSet<SegmentId> = living.iter().map(|e| e.segment).collect();
    let mut base = next.clone();
    while let Some(previous) = base.previous {
        base = get(transaction, previous)?;
    }
    let mut pages = Vec::new();
    let mut kept = HashSet::new();
    for page in base.pages {
        let entries = page_entries(transaction, page)?;
        let whole = entries.len() == PAGE_ENTRIES;
        if whole && entries.iter().all(|e| living_ids.contains(&e.segment)) {
            kept.extend(entries.iter().map(|e| e.segment));
            pages.push(page);
        }
    }
    let rest: Vec<SegmentEntry> =
        living.into_iter().filter(|e| !kept.contains(&e.segment)).collect();
    for entries in rest.chunks(PAGE_ENTRIES) {
        let page = next_id();
        transaction.put(Space::Pages, &key([page]), &SegmentEntry::encode_page(entries))?;
        pages.push(page);
    }
    Ok(pages)
}

fn page_entries(records: &impl Records, page: u64) -> Result<Vec<SegmentEntry>> {
    SegmentEntry::decode_page(&records.need(Space::Pages, &key([page]))?)
}

fn retired_ids(retired: &[RetiredEntry]) -> impl Iterator<Item = SegmentId> {
    retired.iter().map(|r| r.entry.segment)
}

#[cfg(test)]
mod tests;
