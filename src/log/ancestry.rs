//! Which commit lies behind which, in O(log n) steps.
//!
//! Each commit knows its parent and one ancestor much further back (a skew-binary jump: the depth it
//! leaps is 1, 3, 7, 15 …), so climbing to a depth never walks a long branch step by step.

use std::collections::{BTreeMap, HashMap};

use super::{Records, Space, key};
use crate::error::Result;
use crate::spec::{Commit, CommitId, CommitKind, TableId};

/// Reads one commit.
pub fn commit(records: &impl Records, id: CommitId) -> Result<Commit> {
    Commit::decode(&records.need(Space::Commits, &key([id.0]))?)
}

/// Reads one commit; None where it has expired.
pub fn find(records: &impl Records, id: CommitId) -> Result<Option<Commit>> {
    records.get(Space::Commits, &key([id.0]))?.map(|bytes| Commit::decode(&bytes)).transpose()
}

fn find_some(records: &impl Records, id: Option<CommitId>) -> Result<Option<Commit>> {
    id.map_or(Ok(None), |id| find(records, id))
}

/// The depth and the jump of a commit whose parent this is. Behind an expired commit the jumps begin
/// anew.
pub fn below(records: &impl Records, parent: &Commit) -> Result<(u64, Option<CommitId>)> {
    let depth = parent.depth + 1;
    let Some(near) = find_some(records, parent.jump)? else { return Ok((depth, Some(parent.id))) };
    let Some(far) = find_some(records, near.jump)? else { return Ok((depth, Some(parent.id))) };
    let even = parent.depth - near.depth == near.depth - far.depth;
    Ok((depth, Some(if even { far.id } else { parent.id })))
}

/// The ancestor of `from` at this depth, `from` itself included; the oldest one there is where that
/// has expired.
fn climb(records: &impl Records, from: Commit, depth: u64) -> Result<Commit> {
    let mut at = from;
    while at.depth > depth {
        let jump = find_some(records, at.jump)?.filter(|jump| jump.depth >= depth);
        at = match jump {
            Some(jump) => jump,
            None => match find_some(records, at.parent)? {
                Some(parent) => parent,
                None => break,
            },
        };
    }
    Ok(at)
}

/// The ancestor of a commit at a depth, itself included; the oldest one there is where that has expired.
pub fn at_depth(records: &impl Records, from: Commit, depth: u64) -> Result<Commit> {
    climb(records, from, depth)
}

/// The ancestor of `from` whose parent is `old`; `from` where `old` is it.
pub fn child_of(records: &impl Records, from: Commit, old: CommitId) -> Result<Commit> {
    let depth = commit(records, old)?.depth + 1;
    climb(records, from, depth)
}

/// Whether `old` is `new` or lies behind it along first parents.
pub fn is_ancestor(records: &impl Records, old: CommitId, new: CommitId) -> Result<bool> {
    if old == new {
        return Ok(true);
    }
    let depth = commit(records, old)?.depth;
    Ok(climb(records, commit(records, new)?, depth)?.id == old)
}

/// The commit where the histories of two commits part; None where they share none that has not
/// expired.
pub fn common(records: &impl Records, a: CommitId, b: CommitId) -> Result<Option<CommitId>> {
    let (a, b) = (commit(records, a)?, commit(records, b)?);
    let depth = a.depth.min(b.depth);
    let (mut a, mut b) = (climb(records, a, depth)?, climb(records, b, depth)?);
    while a.id != b.id {
        // Jumps that lead to different commits of one depth leap together; others may leap past what
        // is sought.
        let leap = match (find_some(records, a.jump)?, find_some(records, b.jump)?) {
            (Some(x), Some(y)) if x.id != y.id && x.depth == y.depth => Some((x, y)),
            _ => None,
        };
        let step = match leap {
            Some(leap) => Some(leap),
            None => find_some(records, a.parent)?.zip(find_some(records, b.parent)?),
        };
        match step {
            Some(next) => (a, b) = next,
            None => return Ok(None),
        }
    }
    Ok(Some(a.id))
}

/// The newest commit at or behind this one that is not upkeep: the one whose rows it has.
pub fn content(records: &impl Records, from: CommitId) -> Result<CommitId> {
    let mut at = commit(records, from)?;
    while at.kind == CommitKind::Maintain {
        match find_some(records, at.parent)? {
            Some(parent) => at = parent,
            None => break,
        }
    }
    Ok(at.id)
}

/// The newest commit that both histories hold, merged ones included; None where they share none
/// that has not expired. `of`: what was joined of this table alone counts too.
pub fn merge_base(
    records: &impl Records,
    a: CommitId,
    b: CommitId,
    of: Option<TableId>,
) -> Result<Option<CommitId>> {
    Ok(shared(records, (a, b), of, 0)?.into_iter().max())
}

/// How many more stretches are looked at for bases beside the newest. Those of branches that took each
/// other over lie near; what lies further is not worth the reads.
const FURTHER_MAX: usize = 1000;

/// The commits that both histories hold and of which none lies behind another, the newest first: several
/// where each side took the other over before either knew.
pub fn merge_bases(
    records: &impl Records,
    a: CommitId,
    b: CommitId,
    of: Option<TableId>,
) -> Result<Vec<CommitId>> {
    let mut found = shared(records, (a, b), of, FURTHER_MAX)?;
    found.sort_unstable();
    found.dedup();
    let mut bases: Vec<CommitId> = Vec::new();
    for candidate in found.into_iter().rev() {
        let mut is_behind = false;
        for base in &bases {
            is_behind |= is_behind_of(records, candidate, *base, of)?;
        }
        if !is_behind {
            bases.push(candidate);
        }
    }
    Ok(bases)
}

/// Whether `old` lies behind `new`, merged histories included.
pub fn is_behind_of(
    records: &impl Records,
    old: CommitId,
    new: CommitId,
    of: Option<TableId>,
) -> Result<bool> {
    Ok(merge_base(records, old, new, of)? == Some(old))
}

/// Commits that both histories hold, the newest of them and all that lie behind no other among them.
///
/// A history is stretches of first parents, each from its top down to the next commit that joined another
/// one, where two more begin. Of two stretches that end at the same commit the jumps find where they
/// meet, and no others meet; so this costs what was joined, not how many commits lie between.
fn shared(
    records: &impl Records,
    (a, b): (CommitId, CommitId),
    of: Option<TableId>,
    mut further: usize,
) -> Result<Vec<CommitId>> {
    // Which sides a top is of; what lies behind a commit that was found is of no more interest.
    const BEHIND: u8 = 4;
    let mut tops: BTreeMap<CommitId, u8> = BTreeMap::new();
    *tops.entry(a).or_default() |= 1;
    *tops.entry(b).or_default() |= 2;
    let mut stretches: HashMap<Option<CommitId>, Vec<(CommitId, u8)>> = HashMap::new();
    let mut found: Vec<CommitId> = Vec::new();
    while let Some((top, sides)) = tops.pop_last() {
        // Ids grow from parent to child: what is left lies behind what was found, or beside it.
        if found.iter().any(|found| *found >= top) {
            if further == 0 {
                break;
            }
            further -= 1;
        }
        if sides >= 3 {
            found.extend((sides == 3).then_some(top));
            continue;
        }
        let Some(at) = find(records, top)? else { continue };
        let known = stretches.entry(at.joined).or_default();
        let mut meets = false;
        for (other, _) in known.iter().filter(|(_, side)| *side != sides) {
            found.extend(common(records, top, *other)?);
            meets = true;
        }
        known.push((top, sides));
        if let Some(joint) = find_some(records, at.joined)? {
            for parent in joint.parents_of(of) {
                *tops.entry(parent).or_default() |= if meets { 3 | BEHIND } else { sides };
            }
        }
    }
    Ok(found)
}

/// The `n`-th commit before this one that history shows, upkeep left out.
pub fn nth_before(records: &impl Records, from: CommitId, n: u64) -> Result<Option<CommitId>> {
    let mut at = commit(records, from)?;
    let mut left = n;
    loop {
        let hidden = at.kind == CommitKind::Maintain;
        if left == 0 && !hidden {
            return Ok(Some(at.id));
        }
        left -= u64::from(!hidden && left > 0);
        match find_some(records, at.parent)? {
            Some(parent) => at = parent,
            None => return Ok(None),
        }
    }
}

/// The newest commit at or behind this one that was visible at a time (µs since 1970-01-01 UTC); None
/// where that has expired. Times grow along a history, so the jumps serve here as well.
pub fn at_time(records: &impl Records, from: CommitId, time_us: i64) -> Result<Option<CommitId>> {
    let mut at = commit(records, from)?;
    while at.time_us > time_us {
        let jump = find_some(records, at.jump)?.filter(|jump| jump.time_us > time_us);
        at = match jump {
            Some(jump) => jump,
            None => match find_some(records, at.parent)? {
                Some(parent) => parent,
                None => return Ok(None),
            },
        };
    }
    Ok(Some(at.id))
}

/// The first commit of a history that has not expired.
pub fn first(records: &impl Records, from: CommitId) -> Result<Commit> {
    climb(records, commit(records, from)?, 0)
}

#[cfg(test)]
mod tests;
