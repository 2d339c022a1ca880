//! The commits that stay: the rule of [`crate::store::floors`], for all commits at once.

use std::collections::HashSet;

use crate::error::Result;
use crate::log::{Records, Space, ancestry, key, refs};
use crate::spec::{Commit, CommitId, RefKind, TableId};
use crate::store::floors::{Floors, stations};

/// Every commit that can be read, of all tables or of one, and those of open snapshots.
pub(in crate::store) fn kept_commits(
    records: &impl Records,
    floors: &Floors,
    table: TableId,
    readers: &[CommitId],
) -> Result<HashSet<CommitId>> {
    let mut kept: HashSet<CommitId> = readers.iter().copied().collect();
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
