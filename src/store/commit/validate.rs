//! May this proposal stand on this head? Decided from memory alone.

use super::apply::Batch;
use super::depend::Dependence;
use super::proposal::{CatalogWrite, Proposal, TableProposal};
use crate::error::{Error, ErrorKind, Result};
use crate::spec::{CommitId, SchemaId, TableSchema};
use crate::store::catalog;
use crate::store::keys::{conflict, duplicate, keys_of};
use crate::store::snapshot::Point;
use crate::store::table::Table;

/// What the head says to a proposal.
pub(super) enum Verdict {
    Stands,
    /// Segments came since: only the writer can look into them.
    Stale,
}

impl Batch<'_> {
    pub(super) fn judge(&self, proposal: &Proposal, head: &Point) -> Result<Verdict> {
        for (at, write) in proposal.catalog.iter().enumerate() {
            self.judge_names(proposal, (write, &proposal.catalog[..at]), head)?;
        }
        if proposal.base == head.commit {
            return Ok(Verdict::Stands);
        }
        let base = self.store.point(proposal.base)?;
        let change = Dependence { tables: &proposal.tables, catalog: &proposal.catalog };
        if let Some(why) = change.broken(&self.transaction, base.root, head.root)? {
            // A merge worked out anew tells its conflicts.
            return match proposal.merged {
                Some(_) => Ok(Verdict::Stale),
                None => Err(serialization(&why)),
            };
        }
        if self.is_overtaken(proposal, head)? {
            return Ok(Verdict::Stale);
        }
        for (id, change) in &proposal.tables {
            let made = proposal.catalog.iter().any(|write| write.made() == Some(*id));
            if made || change.taken.is_some() {
                continue;
            }
            let Some(table) = self.table(head.root, *id)? else {
                return Err(dropped());
            };
            let old = self.table(base.root, *id)?;
            if let Some(old) = &old {
                same_shape(old, &table, &proposal.catalog)?;
            }
            // Checked first: what was deleted since is a conflict wherever it lies.
            table.check_living(&change.deleted, proposal.base)?;
            if let Some(old) = &old {
                if proposal.verified(*id) {
                    same_rows(old, &table)?;
                }
                let moved_on = old.version().map(|v| v.id) != table.version().map(|v| v.id);
                if (moved_on && !change.replaced.is_empty())
                    || old.is_moved(&table, &change.deleted)
                {
                    return Ok(Verdict::Stale);
                }
            }
            if let Verdict::Stale = self.judge_keys(proposal, change, &table)? {
                return Ok(Verdict::Stale);
            }
        }
        Ok(Verdict::Stands)
    }

    /// Judges the keys that a change brings to a table.
    fn judge_keys(
        &self,
        proposal: &Proposal,
        change: &TableProposal,
        head: &Table,
    ) -> Result<Verdict> {
        let brings = change.inline.is_some() || !change.segments.is_empty();
        if !brings
            || head.schema().enforced_keys().is_empty()
            || !changed_since(head, proposal.base)
        {
            return Ok(Verdict::Stands);
        }
        let came = head.segments().iter().any(|s| s.entry.commit > proposal.base);
        // Keys of rows that were folded since are in a file, which the committer does not read.
        if came || !change.segments.is_empty() || head.is_folded_since(proposal.base) {
            return Ok(Verdict::Stale);
        }
        if let Some(rows) = &change.inline {
            let batches = keys_of(head.schema(), std::slice::from_ref(&rows.batch))?;
            let inline = head.inline_keys_in(&self.transaction)?;
            for (at, (key, keys)) in
                head.schema().enforced_keys().into_iter().zip(&batches).enumerate()
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

    /// `before` is what the same proposal did to the catalogue earlier: it may have freed the name.
    fn judge_names(
        &self,
        proposal: &Proposal,
        (write, before): (&CatalogWrite, &[CatalogWrite]),
        head: &Point,
    ) -> Result<()> {
        let gone = match write {
            CatalogWrite::Drop { id, name, .. } => Some((*id, name.as_str())),
            _ => write.alters().map(|id| (id, write.name())),
        };
        if let Some((id, name)) = gone
            && !before.iter().any(|earlier| earlier.made() == Some(id))
            && catalog::object(&self.transaction, head.root, id)?.is_none()
        {
            let message = format!("\"{name}\" was dropped by another transaction");
            return Err(Error::new(ErrorKind::Conflict, message));
        }
        let Some((namespace, name)) = write.takes() else { return Ok(()) };
        let there = self.named(proposal, head, namespace, name)?;
        let freed = before.iter().any(|earlier| earlier.frees(namespace, name));
        match there.filter(|there| !freed && !proposal.renames(there)) {
            Some(_) => Err(catalog::duplicate(name)),
            None => Ok(()),
        }
    }
}

/// Whether the table's shape is still the one the rows were made for. Comments and options are nothing
/// to rows; to another change of the shape they are something that it would undo.
pub(in crate::store) fn same_shape(
    base: &Table,
    head: &Table,
    catalog: &[CatalogWrite],
) -> Result<()> {
    let (seen, there) = (base.schema(), head.schema());
    let alters = catalog.iter().any(|write| write.alters() == Some(there.table));
    if seen.id == there.id || !alters && bare(seen) == bare(there) {
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

/// What matters to rows.
fn bare(schema: &TableSchema) -> TableSchema {
    let mut bare = schema.clone();
    (bare.id, bare.comment, bare.options) = (SchemaId(0), None, Vec::new());
    bare.columns.iter_mut().for_each(|column| column.comment = None);
    bare
}

fn changed_since(head: &Table, base: CommitId) -> bool {
    let inline = head.version().is_some_and(|v| v.ranges.iter().any(|range| range.to > base));
    inline || head.segments().iter().any(|s| s.entry.commit > base)
}

pub(in crate::store) fn dropped() -> Error {
    serialization("a table it writes was dropped")
}

pub(in crate::store) fn serialization(why: &str) -> Error {
    Error::new(ErrorKind::Conflict, "could not serialize access due to concurrent update")
        .detail(why)
        .hint("run the transaction again")
}
