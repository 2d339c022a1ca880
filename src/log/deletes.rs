//! Deletion chains: what each commit deleted, linked, with a union now and then.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use imbl::HashMap;
use roaring::RoaringBitmap;

use super::{Records, Space, Transaction, key};
use crate::error::{Error, ErrorKind, Result};
use crate::spec::{CommitId, DeleteLink, DeleteUnion, LinkId, RowId, SegmentId};

/// A chain is read back at most this many links to its last union.
const DEPTH_MAX: u64 = 32;

/// Everything deleted up to one link. The maps share structure: the next commit's copy is cheap.
#[derive(Clone, Debug, Default)]
pub struct Deletes {
    /// Rows of inline batches and folded files: versions with a smaller `_commit` are hidden.
    pub rows: HashMap<RowId, CommitId>,
    /// Positions in segments.
    pub positions: HashMap<SegmentId, Arc<RoaringBitmap>>,
}

impl Deletes {
    /// Whether this version of a row is hidden.
    pub fn hides(&self, row: RowId, commit: CommitId) -> bool {
        self.rows.get(&row).is_some_and(|deleted| commit < *deleted)
    }

    /// Adds what one commit deleted.
    pub fn add(&mut self, commit: CommitId, rows: &[RowId], positions: &Positions) {
        for row in rows {
            let deleted = self.rows.entry(*row).or_insert(commit);
            *deleted = commit.max(*deleted);
        }
        for (segment, bitmap) in positions {
            *Arc::make_mut(self.positions.entry(*segment).or_default()) |= bitmap;
        }
    }
}

/// Positions that one commit deletes, a bitmap a segment.
pub type Positions = BTreeMap<SegmentId, RoaringBitmap>;

/// Everything deleted up to and including this link.
pub fn load(records: &impl Records, tip: LinkId) -> Result<Deletes> {
    let mut links = Vec::new();
    let mut at = Some(tip);
    while let Some(id) = at {
        let link = DeleteLink::decode(&records.need(Space::Links, &key([id.0]))?)?;
        at = if link.union.is_some() { None } else { link.parent };
        links.push(link);
    }
    let mut deletes = Deletes::default();
    for link in links.iter().rev() {
        match &link.union {
            Some(union) => deletes = unite(union)?,
            None => deletes.add(link.commit, &link.rows, &bitmaps(&link.positions)?),
        }
    }
    Ok(deletes)
}

/// One link; None where it has expired.
pub fn find(records: &impl Records, id: LinkId) -> Result<Option<DeleteLink>> {
    let found = records.get(Space::Links, &key([id.0]))?;
    found.map(|bytes| DeleteLink::decode(&bytes)).transpose()
}

/// The links of a chain from its tip down, oldest first: those behind a union of this commit or an
/// older one are left out, and those that have expired.
pub fn history(records: &impl Records, tip: LinkId, floor: CommitId) -> Result<Vec<DeleteLink>> {
    let mut links = Vec::new();
    let mut at = Some(tip);
    while let Some(id) = at {
        let Some(link) = find(records, id)? else { break };
        // Links behind a union are all older than it, also where upkeep wrote some again.
        let is_last = link.union.is_some() && link.commit <= floor;
        at = if is_last { None } else { link.parent };
        links.push(link);
    }
    links.reverse();
    Ok(links)
}

/// The links that were put on a chain since `stop` was its tip, oldest first; None where the chain
/// does not lead there.
pub fn since(
    records: &impl Records,
    tip: Option<LinkId>,
    stop: Option<LinkId>,
) -> Result<Option<Vec<DeleteLink>>> {
    let mut links = Vec::new();
    let mut at = tip;
    while at != stop {
        let Some(id) = at else { return Ok(None) };
        let Some(link) = find(records, id)? else { return Ok(None) };
        at = link.parent;
        links.push(link);
    }
    links.reverse();
    Ok(Some(links))
}

/// The rows of inline batches that were deleted after one link and up to another; None where the
/// first does not lie behind the second, or what lies between has expired.
pub fn rows_since(
    records: &impl Records,
    tip: Option<LinkId>,
    stop: Option<LinkId>,
) -> Result<Option<HashSet<RowId>>> {
    let links = since(records, tip, stop)?;
    Ok(links.map(|links| links.into_iter().flat_map(|link| link.rows).collect()))
}

/// The positions of a link.
pub fn positions_of(link: &DeleteLink) -> Result<Positions> {
    bitmaps(&link.positions)
}

/// Writes a link that adds positions which an older commit deleted, at the place they lie in now.
pub fn put_again(
    transaction: &Transaction,
    id: LinkId,
    parent: Option<LinkId>,
    commit: CommitId,
    positions: &Positions,
) -> Result<()> {
    let positions = positions.iter().map(|(id, bitmap)| (*id, serialise(bitmap))).collect();
    let link = DeleteLink { parent, commit, rows: Vec::new(), positions, depth: 0, union: None };
    transaction.put(Space::Links, &key([id.0]), &link.encode())
}

/// Writes the link of one commit; `after` is everything deleted including it.
pub fn put(
    transaction: &Transaction,
    id: LinkId,
    parent: Option<LinkId>,
    commit: CommitId,
    rows: Vec<RowId>,
    positions: &Positions,
    after: &Deletes,
) -> Result<()> {
    let before = match parent {
        Some(parent) => {
            let bytes = transaction.need(Space::Links, &key([parent.0]))?;
            Some(DeleteLink::decode(&bytes)?)
        }
        None => None,
    };
    let depth = before.map_or(0, |link| link.depth + 1);
    let deep = depth >= DEPTH_MAX;
    let link = DeleteLink {
        parent,
        commit,
        rows,
        positions: positions.iter().map(|(id, bitmap)| (*id, serialise(bitmap))).collect(),
        depth: if deep { 0 } else { depth },
        union: deep.then(|| write_down(after)),
    };
    transaction.put(Space::Links, &key([id.0]), &link.encode())
}

/// Writes a link that says all that is hidden up to it, `after`: what it hides itself need not go
/// by the link's own commit.
pub fn put_union(
    transaction: &Transaction,
    id: LinkId,
    parent: Option<LinkId>,
    commit: CommitId,
    rows: Vec<RowId>,
    positions: &Positions,
    after: &Deletes,
) -> Result<()> {
    let link = DeleteLink {
        parent,
        commit,
        rows,
        positions: positions.iter().map(|(id, bitmap)| (*id, serialise(bitmap))).collect(),
        depth: 0,
        union: Some(write_down(after)),
    };
    transaction.put(Space::Links, &key([id.0]), &link.encode())
}

fn write_down(deletes: &Deletes) -> DeleteUnion {
    let mut rows: Vec<_> = deletes.rows.iter().map(|(row, commit)| (*row, *commit)).collect();
    rows.sort_unstable();
    let mut positions: Vec<_> =
        deletes.positions.iter().map(|(id, bitmap)| (*id, serialise(bitmap))).collect();
    positions.sort_unstable();
    DeleteUnion { rows, positions }
}

fn unite(union: &DeleteUnion) -> Result<Deletes> {
    let positions = bitmaps(&union.positions)?;
    Ok(Deletes {
        rows: union.rows.iter().copied().collect(),
        positions: positions.into_iter().map(|(id, bitmap)| (id, Arc::new(bitmap))).collect(),
    })
}

fn bitmaps(positions: &[(SegmentId, Vec<u8>)]) -> Result<Positions> {
    let read = |(id, bytes): &(SegmentId, Vec<u8>)| {
        let bitmap = RoaringBitmap::deserialize_from(bytes.as_slice()).map_err(|cause| {
            Error::new(ErrorKind::Corrupt, format!("a deletion vector of segment {id} is damaged"))
                .caused_by(cause)
        })?;
        Ok((*id, bitmap))
    };
    positions.iter().map(read).collect()
}

fn serialise(bitmap: &RoaringBitmap) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(bitmap.serialized_size());
    bitmap.serialize_into(&mut bytes).expect("a vector takes every byte");
    bytes
}
