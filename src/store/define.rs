//! Definitions in a transaction: objects made, changed and dropped, until the committer hears of it.

use std::sync::Arc;

use super::catalog;
use super::commit::{CatalogWrite, TableProposal};
use super::sequence::check_bounds;
use super::snapshot::Relation;
use super::table::{Table, reshape};
use super::temporary::TEMPORARY_NAMESPACE;
use super::transaction::Transaction;
use crate::error::{Error, ErrorKind, Result};
use crate::segment::InlineRows;
use crate::spec::{Sequence, TableSchema, View};

impl Transaction {
    /// Makes a table. Ids come from [`super::Store::next_id`].
    ///
    /// # Errors
    /// DuplicateTable, UndefinedSchema.
    pub fn create_table(&mut self, schema: TableSchema) -> Result<()> {
        self.need_free(&schema.namespace, &schema.name)?;
        let schema = Arc::new(schema);
        self.base.store.shared.schemas.insert(schema.id, Arc::clone(&schema));
        let table = Table::empty(self.base.store.clone(), Arc::clone(&schema));
        let overlay = Arc::make_mut(&mut self.overlay);
        let name = (schema.namespace.clone(), schema.name.clone());
        overlay.names.insert(name, Some(schema.table));
        overlay.tables.insert(schema.table, Arc::new(table));
        if schema.namespace == TEMPORARY_NAMESPACE {
            overlay.temporary.insert(schema.table);
            return Ok(());
        }
        self.tables.insert(schema.table, TableProposal::default());
        self.catalog.push(CatalogWrite::CreateTable(schema));
        Ok(())
    }

    /// Shows a table's rows in another shape from here on; the shape has a new id. `verified` says
    /// that the change rests on having looked at every row.
    ///
    /// # Errors
    /// UndefinedTable; DuplicateTable and UndefinedSchema where the shape has another name.
    pub fn alter_table(
        &mut self,
        table: &Table,
        schema: TableSchema,
        verified: bool,
    ) -> Result<()> {
        let mut next = self.latest(table)?;
        let was = (next.schema.namespace.clone(), next.schema.name.clone());
        let temporary = |namespace: &str| namespace == TEMPORARY_NAMESPACE;
        if temporary(&was.0) != temporary(&schema.namespace) {
            let message = "cannot move objects into or out of temporary schemas";
            return Err(Error::new(ErrorKind::NotSupported, message));
        }
        self.rename(&was, (&schema.namespace, &schema.name), table.id())?;
        let schema = Arc::new(schema);
        self.base.store.shared.schemas.insert(schema.id, Arc::clone(&schema));
        let pending = next.pending.iter().map(|rows| {
            Ok(InlineRows {
                schema: schema.id,
                row_ids: rows.row_ids.clone(),
                batch: arrow::array::RecordBatch::try_new(
                    schema.arrow(),
                    reshape(&rows.batch, &next.schema, &schema)?,
                )
                .map_err(super::table::internal)?,
            })
        });
        let pending = pending.collect::<Result<Vec<InlineRows>>>()?;
        next.pending = Arc::new(pending);
        self.replace(next.in_shape(Arc::clone(&schema)));
        if self.is_temporary(schema.table) {
            return Ok(());
        }
        self.tables.entry(schema.table).or_default();
        self.catalog.push(CatalogWrite::AlterTable { was, schema, verified });
        Ok(())
    }

    /// Makes a view.
    ///
    /// # Errors
    /// DuplicateTable, UndefinedSchema.
    pub fn create_view(&mut self, view: View) -> Result<()> {
        self.need_free(&view.namespace, &view.name)?;
        let view = Arc::new(view);
        let overlay = Arc::make_mut(&mut self.overlay);
        overlay.names.insert((view.namespace.clone(), view.name.clone()), Some(view.id));
        overlay.views.insert(view.id, Arc::clone(&view));
        if view.namespace == TEMPORARY_NAMESPACE {
            overlay.temporary.insert(view.id);
            return Ok(());
        }
        self.catalog.push(CatalogWrite::CreateView(view));
        Ok(())
    }

    /// Changes a view, which keeps its id.
    ///
    /// # Errors
    /// DuplicateTable and UndefinedSchema where it has another name.
    pub fn alter_view(&mut self, before: &View, view: View) -> Result<()> {
        let was = (before.namespace.clone(), before.name.clone());
        self.rename(&was, (&view.namespace, &view.name), view.id)?;
        let view = Arc::new(view);
        Arc::make_mut(&mut self.overlay).views.insert(view.id, Arc::clone(&view));
        if self.is_temporary(view.id) {
            return Ok(());
        }
        self.catalog.push(CatalogWrite::AlterView { was, view });
        Ok(())
    }

    /// Makes a sequence.
    ///
    /// # Errors
    /// DuplicateTable, UndefinedSchema.
    pub fn create_sequence(&mut self, sequence: Sequence) -> Result<()> {
        self.need_free(&sequence.namespace, &sequence.name)?;
        let sequence = Arc::new(sequence);
        self.base.store.note_sequence(&sequence);
        let overlay = Arc::make_mut(&mut self.overlay);
        let name = (sequence.namespace.clone(), sequence.name.clone());
        overlay.names.insert(name, Some(sequence.id));
        overlay.dropped.retain(|gone| *gone != sequence.id);
        overlay.sequences.insert(sequence.id, Arc::clone(&sequence));
        self.catalog.push(CatalogWrite::CreateSequence(sequence));
        Ok(())
    }

    /// Changes a sequence's definition, which keeps its id.
    ///
    /// # Errors
    /// DuplicateTable and UndefinedSchema where it has another name.
    pub fn alter_sequence(&mut self, before: &Sequence, sequence: Sequence) -> Result<()> {
        let was = (before.namespace.clone(), before.name.clone());
        self.rename(&was, (&sequence.namespace, &sequence.name), sequence.id)?;
        let sequence = Arc::new(sequence);
        self.base.store.note_sequence(&sequence);
        let overlay = Arc::make_mut(&mut self.overlay);
        overlay.sequences.insert(sequence.id, Arc::clone(&sequence));
        self.catalog.push(CatalogWrite::AlterSequence { was, sequence });
        Ok(())
    }

    /// A sequence counts anew from a value: for this transaction now, for all others once it committed.
    ///
    /// # Errors
    /// OutOfRange.
    pub fn restart_sequence(&mut self, sequence: &Sequence, value: i64) -> Result<()> {
        check_bounds(sequence, value)?;
        let apart = self.base.store.count_apart(value);
        Arc::make_mut(&mut self.overlay).restarted.insert(sequence.id, apart);
        Ok(())
    }

    fn rename(
        &mut self,
        was: &(String, String),
        (namespace, name): (&str, &str),
        id: crate::spec::TableId,
    ) -> Result<()> {
        if (was.0.as_str(), was.1.as_str()) == (namespace, name) {
            return Ok(());
        }
        self.need_free(namespace, name)?;
        let overlay = Arc::make_mut(&mut self.overlay);
        overlay.names.insert(was.clone(), None);
        overlay.names.insert((namespace.to_owned(), name.to_owned()), Some(id));
        Ok(())
    }

    /// Makes a schema (namespace).
    ///
    /// # Errors
    /// DuplicateSchema.
    pub fn create_namespace(&mut self, name: &str) -> Result<()> {
        if self.snapshot().namespaces()?.iter().any(|n| n == name) {
            let message = format!("schema \"{name}\" already exists");
            return Err(Error::new(ErrorKind::DuplicateSchema, message));
        }
        let overlay = Arc::make_mut(&mut self.overlay);
        overlay.dropped_namespaces.retain(|gone| gone != name);
        overlay.namespaces.push(name.to_owned());
        self.catalog.push(CatalogWrite::CreateNamespace(name.to_owned()));
        Ok(())
    }

    /// What people are told of a schema (namespace).
    pub fn comment_namespace(&mut self, name: &str, comment: Option<String>) {
        let overlay = Arc::make_mut(&mut self.overlay);
        overlay.namespace_comments.insert(name.to_owned(), comment.clone());
        self.catalog.push(CatalogWrite::CommentNamespace { name: name.to_owned(), comment });
    }

    /// Drops a schema (namespace), which is empty.
    pub fn drop_namespace(&mut self, name: &str) {
        let overlay = Arc::make_mut(&mut self.overlay);
        overlay.namespaces.retain(|made| made != name);
        overlay.namespace_comments.remove(name);
        overlay.dropped_namespaces.push(name.to_owned());
        self.catalog.retain(
            |write| !matches!(write, CatalogWrite::CommentNamespace { name: of, .. } if of == name),
        );
        let made_here = |write: &CatalogWrite| matches!(write, CatalogWrite::CreateNamespace(made) if made == name);
        match self.catalog.iter().position(made_here) {
            Some(made) => drop(self.catalog.remove(made)),
            None => self.catalog.push(CatalogWrite::DropNamespace(name.to_owned())),
        }
    }

    /// Drops a table, view or sequence.
    pub fn drop_relation(&mut self, relation: &Relation) {
        let (namespace, name) = relation.name();
        let id = relation.id();
        let overlay = Arc::make_mut(&mut self.overlay);
        overlay.names.insert((namespace.to_owned(), name.to_owned()), None);
        overlay.dropped.push(id);
        overlay.tables.remove(&id);
        overlay.views.remove(&id);
        overlay.sequences.remove(&id);
        self.tables.remove(&id);
        if overlay.temporary.remove(&id) {
            overlay.names.remove(&(namespace.to_owned(), name.to_owned()));
            return;
        }
        let (namespace, name) = (namespace.to_owned(), name.to_owned());
        match self.catalog.iter().any(|write| write.made() == Some(id)) {
            true => {
                let of_it = |w: &CatalogWrite| w.made() == Some(id) || w.alters() == Some(id);
                self.catalog.retain(|write| !of_it(write));
            }
            false => self.catalog.push(CatalogWrite::Drop { id, namespace, name }),
        }
    }

    pub(super) fn need_free(&self, namespace: &str, name: &str) -> Result<()> {
        let snapshot = self.snapshot();
        let there = namespace == TEMPORARY_NAMESPACE;
        if !there && !snapshot.namespaces()?.iter().any(|n| n == namespace) {
            let message = format!("schema \"{namespace}\" does not exist");
            return Err(Error::new(ErrorKind::UndefinedSchema, message)
                .hint(format!("CREATE SCHEMA {namespace}")));
        }
        match snapshot.relation(namespace, name)? {
            Some(_) => Err(catalog::duplicate(name)),
            None => Ok(()),
        }
    }
}
