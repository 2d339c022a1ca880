//! A write in progress on one branch: changes that only its own snapshot shows, until they are
//! proposed to the committer.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, OnceLock};

use arrow::array::{BooleanArray, RecordBatch, UInt64Array};
use arrow::compute::{concat_batches, filter_record_batch};
use roaring::RoaringBitmap;

use super::Store;
use super::commit::{
    CatalogWrite, Dependence, Proposal, TableProposal, Taken, dropped, same_rows, same_shape,
    serialization, verified,
};
use super::keys::{self, keys_of};
use super::load::{KeyCheck, Load, Loaded};
use super::replaced::{Replaced, check_replaced};
use super::snapshot::{Overlay, Snapshot};
use super::table::{Table, TableSegment, UNCOMMITTED, hidden_columns, internal};
use crate::error::{Error, ErrorKind, Result};
use crate::log::deletes::{Deletes, Positions};
use crate::segment::InlineRows;
use crate::spec::{
    CommitId, RefKind, RowId, SegmentEntry, SegmentId, SegmentMeta, TableId, TableSchema, ref_label,
};

/// Rows found by a scan, to be deleted.
#[derive(Clone, Debug, Default)]
pub struct RowRefs {
    /// Rows outside segments.
    pub rows: Vec<RowId>,
    /// Rows of segments.
    pub positions: Positions,
}

impl RowRefs {
    /// How many rows.
    pub fn len(&self) -> u64 {
        self.rows.len() as u64 + self.positions.values().map(|p| p.len()).sum::<u64>()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// What a commit says about itself.
#[derive(Clone, Debug, Default)]
pub struct CommitOptions {
    /// Run id, git hash, user, application, message: anything.
    pub properties: Vec<(String, String)>,
}

/// A write in progress. Clones are savepoints: each is the state at that moment.
#[derive(Clone)]
pub struct Transaction {
    pub(super) base: Snapshot,
    branch: Arc<str>,
    pub(super) overlay: Arc<Overlay>,
    pub(super) tables: BTreeMap<TableId, TableProposal>,
    pub(super) catalog: Vec<CatalogWrite>,
    /// The commit of another branch that it joins to its own, all of it or one table.
    merged: Option<(CommitId, Option<TableId>)>,
}

impl Store {
    /// Begins to write on the branch of a snapshot.
    ///
    /// # Errors
    /// ReadOnly where the snapshot is a tag, a commit or a time.
    pub fn begin(&self, base: &Snapshot) -> Result<Transaction> {
        match base.reference() {
            Some((branch, RefKind::Branch)) => Ok(Transaction {
                branch: branch.into(),
                base: Snapshot { overlay: None, ..base.clone() },
                // Temporary tables, or nothing.
                overlay: base.overlay.clone().unwrap_or_default(),
                tables: BTreeMap::new(),
                catalog: Vec::new(),
                merged: None,
            }),
            Some((tag, RefKind::Tag)) => {
                Err(read_only(format!("tag \"{}\" cannot be written", ref_label(tag))))
            }
            None => Err(read_only(format!("commit {} cannot be written", base.commit()))),
        }
    }
}

fn read_only(message: String) -> Error {
    Error::new(ErrorKind::ReadOnly, message)
        .hint("write on a branch: CREATE BRANCH b AT (VERSION => …), then SET branch = 'b'")
}

impl Transaction {
    /// The database with this transaction's changes.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot { overlay: Some(Arc::clone(&self.overlay)), ..self.base.clone() }
    }

    /// The commit it began on.
    pub fn base(&self) -> CommitId {
        self.base.commit()
    }

    /// The branch it writes.
    pub fn branch(&self) -> &str {
        &self.branch
    }

    /// Whether there is nothing to commit.
    pub fn is_empty(&self) -> bool {
        self.tables.is_empty()
            && self.catalog.is_empty()
            && self.merged.is_none()
            && self.overlay.restarted.is_empty()
    }

    /// The store.
    pub fn store(&self) -> &Store {
        self.base.store()
    }

    /// Notes the commit whose changes, all or of one table, this transaction joins to its branch.
    pub(super) fn joins(&mut self, commit: CommitId, table: Option<TableId>) {
        self.merged = Some((commit, table));
    }

    /// Whether a table became another state.
    pub(super) fn has_taken(&self, table: TableId) -> bool {
        self.tables.get(&table).is_some_and(|change| change.taken.is_some())
    }

    /// The table of this name that it dropped last, as it was before.
    pub fn dropped_table(
        &self,
        namespace: &str,
        name: &str,
    ) -> Result<Option<(Arc<Table>, Snapshot)>> {
        let dropped = self.catalog.iter().rev().find_map(|write| match write {
            CatalogWrite::Drop { id, namespace: of, name: named }
                if (of.as_str(), named.as_str()) == (namespace, name) =>
            {
                Some(*id)
            }
            _ => None,
        });
        let Some(id) = dropped else { return Ok(None) };
        let was = self.base.clone().as_committed();
        Ok(was.table_by_id(id)?.map(|table| (table, was)))
    }

    /// Whether it changed a table, or made it.
    pub(super) fn has_changed(&self, table: TableId) -> bool {
        self.tables.contains_key(&table)
    }

    /// A table of the branch, or a new one, becomes `taken`; later changes are made on that. With
    /// another name it is renamed, which the caller found to be free.
    pub(super) fn take_over(&mut self, mut taken: Taken) -> Result<()> {
        let table = Arc::clone(&taken.table);
        let committed = self.base.table_by_id(table.id())?;
        taken.instead_of = committed.and_then(|table| Some(table.version()?.id));
        let known = self.snapshot().table_by_id(table.id())?;
        self.catalog.retain(|write| write.alters() != Some(table.id()));
        let dropped = self.catalog.iter().position(|write| write.drops(table.id()));
        let made = self.catalog.iter().position(|write| write.made() == Some(table.id()));
        let overlay = Arc::make_mut(&mut self.overlay);
        let name = |schema: &TableSchema| (schema.namespace.clone(), schema.name.clone());
        if let Some(known) = &known {
            overlay.names.insert(name(&known.schema), None);
        }
        overlay.names.insert(name(&table.schema), Some(table.id()));
        overlay.dropped.retain(|id| *id != table.id());
        match (made, dropped) {
            (Some(made), _) => {
                self.catalog[made] = CatalogWrite::CreateTable(Arc::clone(&table.schema));
            }
            (None, Some(dropped)) => drop(self.catalog.remove(dropped)),
            (None, None) if known.is_none() => {
                self.catalog.push(CatalogWrite::CreateTable(Arc::clone(&table.schema)));
            }
            (None, None) => {}
        }
        let id = table.id();
        overlay.tables.insert(id, table);
        self.tables.insert(id, TableProposal { taken: Some(taken), ..TableProposal::default() });
        Ok(())
    }

    /// Adds loaded rows to a table.
    ///
    /// # Errors
    /// UniqueViolation.
    pub fn insert(&mut self, table: &Table, loaded: Loaded) -> Result<()> {
        let mut next = self.latest(table)?;
        let mut loaded = loaded;
        if loaded.rows == 0 {
            return Ok(());
        }
        if loaded.check == KeyCheck::AtEnd {
            next.check_loaded(&loaded.segments)?;
        }
        if let Some(rows) = loaded.inline.take() {
            if loaded.check != KeyCheck::Never {
                next.check_unique(&loaded.inline_keys)?;
            }
            let known = next.inline_keys.get().cloned();
            next.inline_keys = Arc::default();
            if let Some(mut keys) = known {
                keys.insert(&loaded.inline_keys, &rows.row_ids, UNCOMMITTED);
                let _ = next.inline_keys.set(keys);
            }
            Arc::make_mut(&mut next.pending).push(rows);
            loaded.segments.extend(next.spill_pending()?);
        }
        let segments = Arc::make_mut(&mut next.segments);
        for meta in &loaded.segments {
            let entry = SegmentEntry { segment: meta.id, commit: UNCOMMITTED, since: None };
            segments.push(TableSegment {
                meta: Arc::clone(meta),
                entry,
                deleted: None,
                visibility: None,
            });
        }
        next.rows += loaded.rows;
        if !self.is_temporary(table.id()) {
            let proposal = self.tables.entry(table.id()).or_default();
            proposal.added_rows += loaded.rows;
            proposal.segments.extend(loaded.segments);
        }
        self.replace(next);
        Ok(())
    }

    /// From here on a row that another transaction gave one of this table's new keys is a conflict,
    /// not a duplicate: run again, the statement does something else with it.
    pub fn rerun_on_duplicates(&mut self, table: &Table) {
        if !self.is_temporary(table.id()) {
            self.tables.entry(table.id()).or_default().reruns = true;
        }
    }

    /// The rows that are inserted come in place of these: where another transaction brought rows that
    /// are among them, this one is to see them first.
    pub fn replaces(&mut self, table: &Table, replaced: Replaced) {
        if !self.is_temporary(table.id()) {
            self.tables.entry(table.id()).or_default().replaced.push(replaced);
        }
    }

    /// Deletes all rows of a table, without reading them.
    ///
    /// # Errors
    /// As [`Transaction::delete`].
    pub fn delete_all(&mut self, table: &Table) -> Result<u64> {
        let latest = self.latest(table)?;
        let mut all = RowRefs::default();
        for batch in latest.loose_rows(&super::Folded::default())? {
            all.rows.extend(hidden_columns(&batch).1.values().iter().map(|id| RowId(*id)));
        }
        for segment in latest.segments.iter() {
            let mut positions = RoaringBitmap::new();
            positions.insert_range(0..segment.meta.rows as u32);
            if let Some(deleted) = &segment.deleted {
                positions -= deleted.as_ref();
            }
            all.positions.insert(segment.meta.id, positions);
        }
        self.delete(&latest, &all)?;
        Ok(all.len())
    }

    /// Deletes rows that a scan of this transaction's snapshot found.
    ///
    /// # Errors
    /// UndefinedTable where the table was dropped.
    pub fn delete(&mut self, table: &Table, found: &RowRefs) -> Result<()> {
        if found.is_empty() {
            return Ok(());
        }
        let mut next = self.latest(table)?;
        let gone: HashSet<RowId> = found.rows.iter().copied().collect();
        let before = rows_of(&next.pending);
        next.forget_pending(&gone)?;
        let own = |id: &SegmentId| {
            next.segment(*id).is_some_and(|segment| segment.entry.commit == UNCOMMITTED)
        };
        let in_own = found.positions.iter().filter(|(id, _)| own(id));
        // Rows of this transaction go as if they had never come.
        let unmade =
            before - rows_of(&next.pending) + in_own.map(|(_, gone)| gone.len()).sum::<u64>();
        let deletes: &mut Deletes = Arc::make_mut(&mut next.deletes);
        deletes.add(UNCOMMITTED, &found.rows, &found.positions);
        for segment in Arc::make_mut(&mut next.segments) {
            if found.positions.contains_key(&segment.meta.id) {
                segment.deleted = deletes.positions.get(&segment.meta.id).cloned();
            }
        }
        next.rows -= found.len();
        if self.is_temporary(table.id()) {
            self.replace(next);
            return Ok(());
        }
        let proposal = self.tables.entry(table.id()).or_default();
        proposal.deleted_rows += found.len() - unmade;
        proposal.added_rows -= unmade;
        proposal.deleted.rows.extend(&found.rows);
        for (segment, positions) in &found.positions {
            *proposal.deleted.positions.entry(*segment).or_default() |= positions;
        }
        self.replace(next);
        Ok(())
    }

    /// What the committer gets.
    pub(super) fn proposal(&self, options: &CommitOptions) -> Result<Proposal> {
        let mut tables = self.tables.clone();
        for (id, proposal) in &mut tables {
            if let Some(table) = self.overlay.tables.get(id) {
                proposal.inline = join(&table.pending)?;
            }
        }
        Ok(Proposal {
            branch: self.branch.to_string(),
            base: self.base.commit(),
            tables,
            catalog: self.catalog.clone(),
            restarted: self.overlay.restarted.iter().map(|(id, apart)| (*id, *apart)).collect(),
            properties: options.properties.clone(),
            merged: self.merged,
            exact: false,
        })
    }

    /// The same changes on a newer head, after checking there what was checked here.
    pub(super) fn rebase(&self, head: &Snapshot) -> Result<Transaction> {
        let mut moved = self.clone();
        moved.base = head.clone();
        let change = Dependence { tables: &self.tables, catalog: &self.catalog };
        let (before, now) = (self.base.point.root, head.point.root);
        if let Some(why) = change.broken(&self.store().shared.log.read()?, before, now)? {
            return Err(serialization(&why));
        }
        for (id, proposal) in &self.tables {
            let theirs = head.table_by_id(*id)?;
            if let Some(taken) = &proposal.taken {
                let there = theirs.as_ref().and_then(|table| table.version()).map(|v| v.id);
                if there != taken.instead_of {
                    return Err(keys::conflict(&taken.table.schema.name));
                }
                continue;
            }
            let seen = self.base.table_by_id(*id)?;
            let (Some(mine), Some(theirs)) = (self.overlay.tables.get(id), theirs) else {
                match seen {
                    Some(_) if self.overlay.tables.contains_key(id) => return Err(dropped()),
                    _ => continue,
                }
            };
            let base = self.base.commit();
            // On the newer head the committer compares nothing with what the rows were made for.
            if let Some(seen) = &seen {
                same_shape(seen, &theirs, &self.catalog)?;
                if verified(&self.catalog, *id) {
                    same_rows(seen, &theirs)?;
                }
            }
            theirs.check_living(&proposal.deleted, base)?;
            if let Some(seen) = &seen {
                check_replaced(&proposal.replaced, seen, &theirs, base)?;
            }
            let mut proposal = proposal.clone();
            if let Some(old) = &seen
                && old.is_moved(&theirs, &proposal.deleted)
            {
                proposal.deleted = old.follow_rows(&theirs, &proposal.deleted, base)?;
            }
            let without = theirs.without(&proposal.deleted.positions);
            without.check_unique_again(mine, &proposal, base)?;
            moved.tables.insert(*id, proposal);
        }
        Ok(moved)
    }

    pub(super) fn latest(&self, table: &Table) -> Result<Table> {
        match self.snapshot().table_by_id(table.id())? {
            Some(latest) => Ok(latest.as_ref().clone()),
            None => {
                let message = format!("table \"{}\" was dropped", table.schema.name);
                Err(Error::new(ErrorKind::UndefinedTable, message))
            }
        }
    }

    pub(super) fn replace(&mut self, table: Table) {
        Arc::make_mut(&mut self.overlay).tables.insert(table.id(), Arc::new(table));
    }
}

/// The rows of several statements as one batch; None where there are none.
fn join(pending: &[InlineRows]) -> Result<Option<InlineRows>> {
    let Some(first) = pending.first() else { return Ok(None) };
    let batches = pending.iter().map(|rows| &rows.batch);
    let batch = concat_batches(&first.batch.schema(), batches).map_err(internal)?;
    if batch.num_rows() == 0 {
        return Ok(None);
    }
    let row_ids = pending.iter().flat_map(|rows| rows.row_ids.iter().copied()).collect();
    Ok(Some(InlineRows { schema: first.schema, row_ids, batch }))
}

fn rows_of(pending: &[InlineRows]) -> u64 {
    pending.iter().map(|rows| rows.row_ids.len() as u64).sum()
}

impl Table {
    /// Rows of this transaction go as if they had never come, and their keys are free again.
    fn forget_pending(&mut self, gone: &HashSet<RowId>) -> Result<()> {
        let mut known = self.inline_keys.get().cloned();
        let mut kept = Vec::with_capacity(self.pending.len());
        for rows in self.pending.iter() {
            if !rows.row_ids.iter().any(|id| gone.contains(id)) {
                kept.push(rows.clone());
                continue;
            }
            let (stay, go) = split(rows, gone)?;
            if let Some(keys) = &mut known {
                let freed = keys_of(&self.schema, std::slice::from_ref(&go.batch))?;
                keys.remove(&freed);
            }
            if !stay.row_ids.is_empty() {
                kept.push(stay);
            }
        }
        self.pending = Arc::new(kept);
        self.inline_keys = Arc::new(known.map_or_else(OnceLock::new, OnceLock::from));
        Ok(())
    }

    /// Many small statements of one transaction end in a segment, as one large one would.
    fn spill_pending(&mut self) -> Result<Vec<Arc<SegmentMeta>>> {
        if rows_of(&self.pending) < self.store.shared.options.inline_rows.max(1) as u64 {
            return Ok(Vec::new());
        }
        let pending = std::mem::take(&mut self.pending);
        self.inline_keys = Arc::default();
        let mut load = Load::checked(self, KeyCheck::Never);
        for rows in pending.iter() {
            let ids = UInt64Array::from_iter_values(rows.row_ids.iter().map(|id| id.0));
            load.push_versions(&rows.batch, ids)?;
        }
        Ok(load.finish()?.segments)
    }
}

/// The rows that are not in `gone`, and those that are.
fn split(rows: &InlineRows, gone: &HashSet<RowId>) -> Result<(InlineRows, InlineRows)> {
    let part = |keep: &dyn Fn(&RowId) -> bool| {
        let mask: BooleanArray = rows.row_ids.iter().map(|id| Some(keep(id))).collect();
        let batch: RecordBatch = filter_record_batch(&rows.batch, &mask).map_err(internal)?;
        let row_ids = rows.row_ids.iter().copied().filter(keep).collect();
        Ok(InlineRows { schema: rows.schema, row_ids, batch })
    };
    Ok((part(&|id| !gone.contains(id))?, part(&|id| gone.contains(id))?))
}
