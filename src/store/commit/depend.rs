//! Views and what they need, where one transaction makes the view and another drops the table or column:
//! each is right on its own base, and both together leave a view that nothing can read.

use std::collections::{BTreeMap, HashSet};

use super::proposal::{CatalogWrite, TableProposal};
use crate::error::Result;
use crate::log::{Records, versions};
use crate::spec::{ColumnId, TableId, View};
use crate::store::catalog::{self, Object};

/// What a proposal does to names and shapes.
pub(in crate::store) struct Dependence<'a> {
    pub tables: &'a BTreeMap<TableId, TableProposal>,
    pub catalog: &'a [CatalogWrite],
}

/// An object that is dropped, or the columns that it loses.
enum Loss {
    All,
    Columns(HashSet<ColumnId>),
}

impl Dependence<'_> {
    /// Why the proposal, made on one catalog, cannot stand on another: a view of it needs what is gone
    /// there, or a view that is new there needs what it drops.
    pub fn broken(&self, records: &impl Records, base: u64, head: u64) -> Result<Option<String>> {
        if base == head {
            return Ok(None);
        }
        if let Some(why) = self.broken_schemas(records, base, head)? {
            return Ok(Some(why));
        }
        for write in self.catalog {
            let (CatalogWrite::CreateView(view) | CatalogWrite::AlterView { view, .. }) = write
            else {
                continue;
            };
            if self.needs_lost(records, view, base, head)? {
                return Ok(Some(format!("what view \"{}\" needs was dropped", view.name)));
            }
        }
        let losses = self.losses(records, head)?;
        if losses.is_empty() {
            return Ok(None);
        }
        for object in catalog::objects(records, head)? {
            let Object::View(id, record) = object else { continue };
            let gone = self.catalog.iter().any(|write| write.drops(id));
            if gone || catalog::object(records, base, id)? == Some(object) {
                continue;
            }
            let view = catalog::view(records, record)?;
            let needs = view.uses.iter().any(|used| match losses.get(&used.object) {
                Some(Loss::All) => true,
                Some(Loss::Columns(lost)) => used.needed.iter().any(|id| lost.contains(id)),
                None => false,
            });
            if needs {
                return Ok(Some(format!("view \"{}\" needs what it drops", view.name)));
            }
        }
        Ok(None)
    }

    fn needs_lost(
        &self,
        records: &impl Records,
        view: &View,
        base: u64,
        head: u64,
    ) -> Result<bool> {
        for used in &view.uses {
            let Some(before) = catalog::object(records, base, used.object)? else { continue };
            let Some(now) = catalog::object(records, head, used.object)? else { return Ok(true) };
            if before == now {
                continue;
            }
            let (before, now) = (columns(records, before)?, columns(records, now)?);
            if used.needed.iter().any(|id| before.contains(id) && !now.contains(id)) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// What there is on the head and will not be after the proposal.
    fn losses(&self, records: &impl Records, head: u64) -> Result<BTreeMap<TableId, Loss>> {
        let mut losses = BTreeMap::new();
        let taken = self.tables.values().filter_map(|change| change.taken.as_ref());
        let mut shapes: BTreeMap<TableId, HashSet<ColumnId>> = taken
            .map(|taken| {
                (taken.table.id(), taken.table.schema().columns.iter().map(|c| c.id).collect())
            })
            .collect();
        for write in self.catalog {
            match write {
                CatalogWrite::Drop { id, .. } => drop(losses.insert(*id, Loss::All)),
                CatalogWrite::AlterTable { schema, .. } => {
                    let columns = schema.columns.iter().map(|column| column.id).collect();
                    shapes.insert(schema.table, columns);
                }
                _ => {}
            }
        }
        for (table, after) in shapes {
            let Some(there) = catalog::object(records, head, table)? else { continue };
            let lost: HashSet<ColumnId> =
                columns(records, there)?.into_iter().filter(|id| !after.contains(id)).collect();
            if !lost.is_empty() {
                losses.entry(table).or_insert(Loss::Columns(lost));
            }
        }
        Ok(losses)
    }
}

/// The columns of a table; none of anything else.
fn columns(records: &impl Records, object: Object) -> Result<HashSet<ColumnId>> {
    let Object::Table(_, version) = object else { return Ok(HashSet::new()) };
    let schema = catalog::schema(records, versions::get(records, version)?.schema)?;
    Ok(schema.columns.iter().map(|column| column.id).collect())
}
