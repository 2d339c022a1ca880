//! Which commit lies behind which, in O(log n) steps.
//!
//! Each commit knows its parent and one ancestor much further back (a skew-binary jump: the depth it
//! leaps is 1, 3, 7, 15 …), so climbing to a depth never walks a long branch step by step.

use std::collections::BTreeMap;

use super::{Records, Space, key};
use crate::error::Result;
use crate::spec::{Commit, CommitId};

/// Reads one commit.
pub fn commit(records: &impl Records, id: CommitId) -> Result<Commit> {
    Commit::decode(&records.need(Space::Commits, &key([id.0]))?)
}

/// The depth and the jump of a commit whose parent this is.
pub fn below(records: &impl Records, parent: &Commit) -> Result<(u64, Option<CommitId>)> {
    let depth = parent.depth + 1;
    let Some(jump) = parent.jump else { return Ok((depth, Some(parent.id))) };
    let near = commit(records, jump)?;
    let far = match near.jump {
        Some(id) => commit(records, id)?,
        None => return Ok((depth, Some(parent.id))),
    };
    let even = parent.depth - near.depth == near.depth - far.depth;
    Ok((depth, Some(if even { far.id } else { parent.id })))
}

/// The ancestor of `from` at this depth, `from` itself included.
fn climb(records: &impl Records, from: Commit, depth: u64) -> Result<Commit> {
    let mut at = from;
    while at.depth > depth {
        let jump = at.jump.map(|id| commit(records, id)).transpose()?;
        at = match (jump, at.parent) {
            (Some(jump), _) if jump.depth >= depth => jump,
            (_, Some(parent)) => commit(records, parent)?,
            (_, None) => break,
        };
    }
    Ok(at)
}

/// Whether `old` is `new` or lies behind it along first parents.
pub fn is_ancestor(records: &impl Records, old: CommitId, new: CommitId) -> Result<bool> {
    if old == new {
        return Ok(true);
    }
    let depth = commit(records, old)?.depth;
    Ok(climb(records, commit(records, new)?, depth)?.id == old)
}

/// The commit where the histories of two commits part; None where they share none.
pub fn common(records: &impl Records, a: CommitId, b: CommitId) -> Result<Option<CommitId>> {
    let (a, b) = (commit(records, a)?, commit(records, b)?);
    let depth = a.depth.min(b.depth);
    let (mut a, mut b) = (climb(records, a, depth)?, climb(records, b, depth)?);
    while a.id != b.id {
        // Equal depths have equal jump lengths, so both sides leap together.
        let (next_a, next_b) = match (a.jump, b.jump) {
            (Some(x), Some(y)) if x != y => (x, y),
            _ => match (a.parent, b.parent) {
                (Some(x), Some(y)) => (x, y),
                _ => return Ok(None),
            },
        };
        (a, b) = (commit(records, next_a)?, commit(records, next_b)?);
    }
    Ok(Some(a.id))
}

/// The newest commit that both histories hold, merged ones included; None where they share none.
/// Ids grow from parent to child, so walking both from the newest down meets it first.
pub fn merge_base(records: &impl Records, a: CommitId, b: CommitId) -> Result<Option<CommitId>> {
    let mut open: BTreeMap<CommitId, u8> = BTreeMap::new();
    *open.entry(a).or_default() |= 1;
    *open.entry(b).or_default() |= 2;
    while let Some((id, sides)) = open.pop_last() {
        if sides == 3 {
            return Ok(Some(id));
        }
        let at = commit(records, id)?;
        for parent in [at.parent, at.merge_parent].into_iter().flatten() {
            *open.entry(parent).or_default() |= sides;
        }
    }
    Ok(None)
}

/// The `n`-th commit before this one that history shows, upkeep left out.
pub fn nth_before(records: &impl Records, from: CommitId, n: u64) -> Result<Option<CommitId>> {
    let mut at = commit(records, from)?;
    let mut left = n;
    loop {
        let hidden = at.kind == crate::spec::CommitKind::Maintain;
        if left == 0 && !hidden {
            return Ok(Some(at.id));
        }
        left -= u64::from(!hidden && left > 0);
        match at.parent {
            Some(parent) => at = commit(records, parent)?,
            None => return Ok(None),
        }
    }
}

/// The newest commit at or behind this one that was visible at a time (µs since 1970-01-01 UTC).
/// Times grow along a history, so the jumps serve here as well.
pub fn at_time(records: &impl Records, from: CommitId, time_us: i64) -> Result<Option<CommitId>> {
    let mut at = commit(records, from)?;
    while at.time_us > time_us {
        let jump = at.jump.map(|id| commit(records, id)).transpose()?;
        at = match (jump, at.parent) {
            (Some(jump), _) if jump.time_us > time_us => jump,
            (_, Some(parent)) => commit(records, parent)?,
            (_, None) => return Ok(None),
        };
    }
    Ok(Some(at.id))
}

/// The first commit of a history.
pub fn first(records: &impl Records, from: CommitId) -> Result<Commit> {
    climb(records, commit(records, from)?, 0)
}
