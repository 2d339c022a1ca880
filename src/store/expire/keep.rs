//! The commits that stay: the rule of [`crate::store::floors`], for all commits at once, and below the
//! floors what merging living branches needs.

use std::collections::{BTreeMap, HashSet};

use roaring::RoaringBitmap;

use crate::error::Result;
use crate::log::{Records, Space, ancestry, key, refs};
use crate::spec::{Commit, CommitId, RefKind, TableId};
use crate::store::floors::{Floors, stations};

/// Every commit that can be read, of all tables or of one, those of open snapshots, and the bases.
pub(in crate::store) fn kept_commits(
    records: &impl Records,
    floors: &Floors,
    table: TableId,
    readers: &[CommitId],
    joints: &Joints,
) -> Result<HashSet<CommitId>> {
    let mut kept: HashSet<CommitId> = readers.iter().copied().collect();
    kept.extend(&joints.bases);
    let highest = floors.highest(table);
    records.scan(Space::Commits, &key([highest.0]), &[0xff; 9], &mut |_, value| {
        kept.insert(Commit::decode(value)?.id);
        Ok(true)
    })?;
    for target in refs::list(records, refs::DATABASE)? {
        kept.insert(target.commit);
        if target.kind == RefKind::Tag {
            continue;
        }
        let floor = floors.of(target.id, table);
        let lowest = floor.map_or(CommitId(0), |floor| floor.commit);
        let mut at = Some(target.commit).filter(|id| *id >= lowest);
        while let Some(id) = at {
            let Some(commit) = ancestry::find(records, id)? else { break };
            kept.insert(id);
            at = commit.parent.filter(|parent| *parent >= lowest);
        }
        kept.extend(stations(records, target.id, floor.map_or(0, |floor| floor.time_us))?);
    }
    Ok(kept)
}

/// Where the branches hang together.
#[derive(Default)]
pub(in crate::store) struct Joints {
    /// The merge base of every two branches: the state that a merge begins with.
    pub bases: HashSet<CommitId>,
    /// The commits from the heads down to these: only their records are needed, to find the base and to
    /// know which tables changed since.
    pub between: HashSet<CommitId>,
}

/// Walks all branches at once, the newest commit first: of two branches, the first commit that both
/// reach is their base, as in [`ancestry::merge_base`].
pub(in crate::store) fn joints(records: &impl Records) -> Result<Joints> {
    let mut branches = refs::list(records, refs::DATABASE)?;
    branches.retain(|target| target.kind == RefKind::Branch);
    let all = branches.len() as u64;
    let mut found = Joints::default();
    let mut open: BTreeMap<CommitId, RoaringBitmap> = BTreeMap::new();
    // For each branch the branches whose base with it is found; itself is one.
    let mut met: Vec<RoaringBitmap> = Vec::with_capacity(branches.len());
    for (branch, target) in (0..).zip(&branches) {
        open.entry(target.commit).or_default().insert(branch);
        met.push(RoaringBitmap::from([branch]));
    }
    while let Some((id, here)) = open.pop_last() {
        if met.iter().all(|known| known.len() == all) {
            break;
        }
        found.between.insert(id);
        for branch in &here {
            let known = &mut met[branch as usize];
            if !here.is_subset(known) {
                found.bases.insert(id);
                *known |= &here;
            }
        }
        let Some(commit) = ancestry::find(records, id)? else { continue };
        for parent in [commit.parent, commit.merge_parent].into_iter().flatten() {
            *open.entry(parent).or_default() |= &here;
        }
    }
    Ok(found)
}
