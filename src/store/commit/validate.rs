//! May this proposal stand on this head? Decided from memory alone.

use std::sync::Arc;

use super::proposal::{Proposal, TableProposal};
use crate::error::{Error, ErrorKind, Result};
use crate::spec::CommitId;
use crate::store::keys::{conflict, duplicate, keys_of};
use crate::store::table::Table;

/// What the head says to a proposal.
pub(super) enum Verdict {
    Stands,
    /// Segments came since: only the writer can look into them.
    Stale,
}

/// Judges the change of one table. `head` is the table now, None where it is gone.
pub(super) fn judge(
    proposal: &Proposal,
    change: &TableProposal,
    head: Option<&Arc<Table>>,
) -> Result<Verdict> {
    let Some(head) = head else {
        return Err(serialization("a table it writes was dropped"));
    };
    head.check_living(&change.deleted, proposal.base)?;
    let brings = change.inline.is_some() || !change.segments.is_empty();
    if !brings || head.schema().enforced_keys().is_empty() || !changed_since(head, proposal.base) {
        return Ok(Verdict::Stands);
    }
    let came = head.segments().iter().any(|s| s.entry.commit > proposal.base);
    // Keys of rows that were folded since are in a file, which the committer does not read.
    if came || !change.segments.is_empty() || head.is_folded_since(proposal.base) {
        return Ok(Verdict::Stale);
    }
    if let Some(rows) = &change.inline {
        let batches = keys_of(head.schema(), std::slice::from_ref(&rows.batch))?;
        let inline = head.inline_keys()?;
        for (at, (key, keys)) in head.schema().enforced_keys().into_iter().zip(&batches).enumerate()
        {
            let Some(map) = inline.of(at) else { continue };
            for (row, encoded) in keys.encoded.iter().enumerate() {
                if let Some((commit, id)) = map.get(encoded)
                    && commit > proposal.base
                    && !head.hides(id, commit)
                    && !rows.row_ids.contains(&id)
                {
                    return Err(match change.reruns {
                        true => conflict(&head.schema().name),
                        false => duplicate(head.schema(), key, keys, row),
                    });
                }
            }
        }
    }
    Ok(Verdict::Stands)
}

/// Whether the table's shape is still the one the rows were made for.
pub(super) fn same_shape(base: &Table, head: &Table) -> Result<()> {
    if base.schema().id == head.schema().id {
        return Ok(());
    }
    Err(serialization("the definition of a table it writes was changed"))
}

/// Whether the table's rows are still those that a change of its shape was checked against.
pub(in crate::store) fn same_rows(base: &Table, head: &Table) -> Result<()> {
    if base.version().map(|v| v.id) == head.version().map(|v| v.id) {
        return Ok(());
    }
    Err(serialization("rows came to a table while its definition was changed"))
}

fn changed_since(head: &Table, base: CommitId) -> bool {
    let inline = head.version().is_some_and(|v| v.ranges.iter().any(|range| range.to > base));
    inline || head.segments().iter().any(|s| s.entry.commit > base)
}

fn serialization(why: &str) -> Error {
    Error::new(ErrorKind::Conflict, "could not serialize access due to concurrent update")
        .detail(why)
        .hint("run the transaction again")
}
