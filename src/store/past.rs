//! Tables as they were, or as others have them: restored, brought back, cloned, moved forward.
//!
//! Each makes a state the table's own, in the transaction it is given; nothing is copied but the inline
//! batches that a clone shares.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::Store;
use super::merge::{count, whole};
use super::snapshot::Snapshot;
use super::table::Table;
use super::transaction::Transaction;
use crate::error::{Error, ErrorKind, Result};
use crate::log::{ancestry, refs, versions};
use crate::spec::{
    Column, ColumnId, Commit, CommitId, CommitKind, SchemaId, TableId, TableSchema, VersionId,
};

/// Which rows differ is asked of states that do not follow each other.
const UNRELATED: CommitId = CommitId(u64::MAX);

/// The property of a commit that made one table another branch's: the commit it has it from.
pub const FORWARD_PROPERTY: &str = "fast-forward-to";

/// How one branch's table lies to another's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TableAhead {
    /// Both have the same state.
    Same,
    /// The other branch's follows this one's.
    Other,
    /// This one's follows the other branch's.
    Own,
    /// Both have changes of their own.
    Apart,
}

impl Transaction {
    /// Makes a table's rows and shape those of an earlier or foreign state of it; false where they are
    /// already. The table keeps its name. `was`: where that state is from, with its columns' sequences.
    ///
    /// # Errors
    /// DependentObjects where a view needs a column that the state has not.
    pub fn restore_table(&mut self, table: &Table, to: &Table, was: &Snapshot) -> Result<bool> {
        let schema = named_as(to, &table.schema);
        let committed = self.base.table_by_id(table.id())?;
        let (added_rows, deleted_rows) = match &committed {
            Some(committed) => count(committed, to, UNRELATED)?,
            None => (to.row_count(), 0),
        };
        let same = (added_rows, deleted_rows) == (0, 0) && schema.id == table.schema.id;
        if same && !self.has_changed(table.id()) {
            return Ok(false);
        }
        self.need_columns_of_views(table, &schema)?;
        let known: Vec<&Table> = committed.iter().map(Arc::as_ref).collect();
        let mut taken = whole(to, &schema, &known);
        (taken.added_rows, taken.deleted_rows) = (added_rows, deleted_rows);
        self.take_over(taken)?;
        self.bring_sequences(&schema, was)?;
        Ok(true)
    }

    fn need_columns_of_views(&self, table: &Table, next: &TableSchema) -> Result<()> {
        let is_lost = |column: &&Column| next.column(column.id).is_none();
        let lost: Vec<&Column> = table.schema.columns.iter().filter(is_lost).collect();
        if lost.is_empty() {
            return Ok(());
        }
        for view in self.snapshot().views()? {
            let uses = view.uses.iter().filter(|used| used.object == table.id());
            let needed: Vec<ColumnId> = uses.flat_map(|used| used.needed.iter().copied()).collect();
            if let Some(column) = lost.iter().find(|column| needed.contains(&column.id)) {
                let (name, column) = (&table.schema.name, &column.name);
                let message = format!("table {name} as it was then has no column {column}");
                return Err(Error::new(ErrorKind::DependentObjects, message)
                    .detail(format!(
                        "view {} depends on column {column} of table {name}",
                        view.name
                    ))
                    .hint("drop the view first"));
            }
        }
        Ok(())
    }

    /// Brings a dropped table back, with the sequences of its columns, as it is at `was`.
    ///
    /// # Errors
    /// DuplicateTable where its name was given away, UndefinedSchema.
    pub fn undrop_table(&mut self, dropped: &Table, was: &Snapshot) -> Result<()> {
        self.need_free(&dropped.schema.namespace, &dropped.schema.name)?;
        let mut taken = whole(dropped, &dropped.schema, &[]);
        taken.added_rows = dropped.row_count();
        self.take_over(taken)?;
        self.bring_sequences(&dropped.schema, was)
    }

    /// Makes a new table of this shape, whose columns are the model's, with the model's rows, which it shares:
    /// both are independent from here on.
    ///
    /// # Errors
    /// DuplicateTable, UndefinedSchema; WrongState where this transaction changed the model.
    pub fn clone_table(&mut self, model: &Table, schema: TableSchema) -> Result<()> {
        self.need_free(&schema.namespace, &schema.name)?;
        if self.has_changed(model.id()) || model.version().is_none() {
            let message = format!("table \"{}\" has uncommitted changes", model.schema.name);
            return Err(Error::new(ErrorKind::WrongState, message).hint("COMMIT, then clone it"));
        }
        let store = model.store().clone();
        let schema = Arc::new(schema);
        store.keep_schema(&schema);
        // Rows keep their ids, so new ones come after all that the model may ever have given.
        let next = store.row_id_counter(model.id())?.load(Ordering::Acquire);
        store.row_id_counter(schema.table)?.fetch_max(next, Ordering::AcqRel);
        let mut taken = whole(model, &schema, &[]);
        taken.added_rows = model.row_count();
        self.take_over(taken)
    }
}

/// The shape of a state, under the name that the table has today.
fn named_as(state: &Table, named: &TableSchema) -> Arc<TableSchema> {
    let schema = &state.schema;
    if (&schema.namespace, &schema.name) == (&named.namespace, &named.name) {
        return Arc::clone(schema);
    }
    let schema = Arc::new(TableSchema {
        id: SchemaId(state.store.next_id()),
        namespace: named.namespace.clone(),
        name: named.name.clone(),
        ..schema.as_ref().clone()
    });
    state.store.keep_schema(&schema);
    schema
}

impl Store {
    /// The table of this name that was dropped last in the history of a snapshot, as it was, and the commit
    /// before that.
    pub fn last_dropped(
        &self,
        from: &Snapshot,
        namespace: &str,
        name: &str,
    ) -> Result<Option<(Arc<Table>, Snapshot)>> {
        let mut found = None;
        self.history(from, |commit| {
            let view = self.shared.log.read()?;
            for change in commit.changes.iter().filter(|change| change.new.is_none()) {
                // What it was before may have expired.
                let (Some(old), Some(parent)) = (change.old, commit.parent) else { continue };
                let is_gone = ancestry::find(&view, parent)?.is_none();
                if is_gone || versions::find(&view, old)?.is_none() {
                    continue;
                }
                let table = self.table_at(&view, old)?;
                if (table.schema.namespace.as_str(), table.schema.name.as_str())
                    == (namespace, name)
                {
                    found = Some((table, self.snapshot_of(parent)?));
                }
            }
            Ok(found.is_none())
        })?;
        Ok(found)
    }

    /// How a table lies on two branches, by its versions: moves of rows are none, and a version that was
    /// taken over from the other branch is that branch's.
    pub fn table_ahead(
        &self,
        table: TableId,
        own: &Snapshot,
        other: &Snapshot,
    ) -> Result<TableAhead> {
        let (mine, theirs) = (self.lineage(table, own)?, self.lineage(table, other)?);
        Ok(match (mine.first(), theirs.first()) {
            (a, b) if a == b => TableAhead::Same,
            (None, Some(_)) => TableAhead::Other,
            (Some(_), None) => TableAhead::Own,
            (Some(a), _) if theirs.contains(a) => TableAhead::Other,
            (_, Some(b)) if mine.contains(b) => TableAhead::Own,
            _ => TableAhead::Apart,
        })
    }

    /// The versions a table went through, the newest first, merged ones included; a dropped table has
    /// none before it.
    fn lineage(&self, table: TableId, head: &Snapshot) -> Result<Vec<VersionId>> {
        let mut found: Vec<VersionId> = Vec::new();
        let mut walked: HashSet<CommitId> = HashSet::new();
        let mut open = vec![head.commit()];
        while let Some(start) = open.pop() {
            if ancestry::find(&self.shared.log.read()?, start)?.is_none() {
                continue;
            }
            self.history(&self.snapshot_of(start)?, |commit| {
                if !walked.insert(commit.id) {
                    return Ok(false);
                }
                let change = commit.changes.iter().find(|change| change.table == table);
                let Some(change) = change.filter(|_| commit.kind != CommitKind::Maintain) else {
                    return Ok(true);
                };
                let Some(new) = change.new else { return Ok(false) };
                if let Some(source) = source_of(commit) {
                    open.push(source);
                    return Ok(false);
                }
                found.push(new);
                open.extend(commit.parents_of(Some(table)).filter(|id| Some(*id) != commit.parent));
                Ok(true)
            })?;
        }
        Ok(found)
    }

    /// The newest commit of any ref whose property has this value; with a table one that changed it, also on
    /// refs of it alone.
    pub fn find_property(
        &self,
        name: &str,
        value: &str,
        table: Option<TableId>,
    ) -> Result<Option<CommitId>> {
        let mut newest: Option<CommitId> = None;
        let refs = self.all_refs()?.into_iter();
        for found in refs.filter(|r| r.table().is_none_or(|own| table == Some(own))) {
            let head = self.snapshot_of(found.commit)?;
            self.history(&head, |commit| {
                let changes = |table| commit.changes.iter().any(|change| change.table == table);
                let says = table.is_none_or(changes)
                    && commit.properties.iter().any(|(k, v)| k == name && v == value);
                if says {
                    newest = newest.max(Some(commit.id));
                }
                Ok(!says && newest.is_none_or(|newest| commit.id > newest))
            })?;
        }
        Ok(newest)
    }

    /// Whether a branch ever stood at a commit or behind one that it lies behind: rolled-back past counts.
    pub fn was_on(&self, head: &Snapshot, commit: CommitId) -> Result<bool> {
        let view = self.shared.log.read()?;
        if ancestry::is_ancestor(&view, commit, head.commit())? {
            return Ok(true);
        }
        let Some((name, _)) = head.reference() else { return Ok(false) };
        let Some(branch) = refs::get(&view, refs::DATABASE, name)? else { return Ok(false) };
        let moves = refs::moves(&view, branch.id)?;
        Ok(moves.iter().any(|entry| entry.commit == commit))
    }
}

fn source_of(commit: &Commit) -> Option<CommitId> {
    let (_, value) = commit.properties.iter().find(|(name, _)| name == FORWARD_PROPERTY)?;
    value.parse().ok().map(CommitId)
}
