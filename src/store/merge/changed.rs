//! Which tables a history changed since a commit, moves of rows aside.

use std::collections::HashSet;

use crate::error::Result;
use crate::log::{Records, ancestry};
use crate::spec::{CommitId, CommitKind, TableId};

/// Those of some tables that commits after `base` up to `head` changed; None where `head` does not follow
/// `base` along its own line of history, so that only the rows can tell.
pub(super) fn tables(
    records: &impl Records,
    base: CommitId,
    head: CommitId,
    of: &HashSet<TableId>,
) -> Result<Option<HashSet<TableId>>> {
    if !ancestry::is_ancestor(records, base, head)? {
        return Ok(None);
    }
    let mut found = HashSet::new();
    let mut at = head;
    // Most are found near the head; only where all else was upkeep it takes the whole way.
    while at > base && found.len() < of.len() {
        let Some(commit) = ancestry::find(records, at)? else { return Ok(None) };
        if commit.kind != CommitKind::Maintain {
            let changed = commit.changes.iter().map(|change| change.table);
            found.extend(changed.filter(|table| of.contains(table)));
        }
        match commit.parent {
            Some(parent) => at = parent,
            None => return Ok(None),
        }
    }
    Ok(Some(found))
}

/// Whether any commit after `base` up to `head` is more than a move of rows.
pub(super) fn any(records: &impl Records, base: CommitId, head: CommitId) -> Result<bool> {
    let mut at = head;
    while at > base {
        let Some(commit) = ancestry::find(records, at)? else { break };
        match commit.parent {
            Some(parent) if commit.kind == CommitKind::Maintain => at = parent,
            _ => return Ok(true),
        }
    }
    Ok(false)
}
