//! What a proposal does to the catalogue: objects that are made, altered, renamed and dropped.

use std::collections::HashMap;

use super::apply::Batch;
use super::proposal::CatalogWrite;
use crate::error::Result;
use crate::log::{Space, key};
use crate::spec::{SchemaId, TableId, View};
use crate::store::catalog::{self, Change, Object};

impl Batch<'_> {
    pub(super) fn write_catalog(
        &mut self,
        writes: &[CatalogWrite],
        root: u64,
    ) -> Result<Vec<Change>> {
        let mut entries = Vec::new();
        let mut made: HashMap<&str, TableId> = HashMap::new();
        for write in writes {
            match write {
                CatalogWrite::CreateTable(schema) => {
                    let at = key([schema.id.0]);
                    self.transaction.put(Space::Schemas, &at, &schema.encode())?;
                    let (namespace, name) = (schema.namespace.clone(), schema.name.clone());
                    entries.push(Change::Name(namespace, name, schema.table));
                }
                CatalogWrite::AlterTable { was, schema, .. } => {
                    let at = key([schema.id.0]);
                    self.transaction.put(Space::Schemas, &at, &schema.encode())?;
                    rename(&mut entries, write, was, schema.table);
                }
                CatalogWrite::CreateView(view) => {
                    let record = self.write_view(view)?;
                    entries.push(Change::Put(Object::View(view.id, record)));
                    let (namespace, name) = (view.namespace.clone(), view.name.clone());
                    entries.push(Change::Name(namespace, name, view.id));
                }
                CatalogWrite::AlterView { was, view } => {
                    let record = self.write_view(view)?;
                    entries.push(Change::Put(Object::View(view.id, record)));
                    rename(&mut entries, write, was, view.id);
                }
                CatalogWrite::CreateSequence(sequence) => {
                    let record = self.write_record(&sequence.encode())?;
                    entries.push(Change::Put(Object::Sequence(sequence.id, record)));
                    let (namespace, name) = (sequence.namespace.clone(), sequence.name.clone());
                    entries.push(Change::Name(namespace, name, sequence.id));
                }
                CatalogWrite::AlterSequence { was, sequence } => {
                    let record = self.write_record(&sequence.encode())?;
                    entries.push(Change::Put(Object::Sequence(sequence.id, record)));
                    rename(&mut entries, write, was, sequence.id);
                }
                CatalogWrite::CreateNamespace(name) => {
                    let id = TableId(self.store.next_id());
                    let namespace = View { id, namespace: name.clone(), ..View::default() };
                    let record = self.write_view(&namespace)?;
                    entries.push(Change::Put(Object::Namespace(id, record)));
                    made.insert(name, id);
                }
                CatalogWrite::CommentNamespace { name, comment } => {
                    let known = match made.get(name.as_str()) {
                        Some(id) => Some(*id),
                        None => catalog::namespace(&self.transaction, root, name)?,
                    };
                    // The default one has no record until it has a comment.
                    let id = known.unwrap_or_else(|| TableId(self.store.next_id()));
                    let (namespace, comment) = (name.clone(), comment.clone());
                    let record = View { id, namespace, comment, ..View::default() };
                    let record = self.write_view(&record)?;
                    entries.push(Change::Put(Object::Namespace(id, record)));
                    made.insert(name, id);
                }
                CatalogWrite::DropNamespace(name) => {
                    if let Some(id) = catalog::namespace(&self.transaction, root, name)? {
                        entries.push(Change::Remove(id));
                    }
                }
                CatalogWrite::Drop { id, namespace, name } => {
                    entries.push(Change::Unname(namespace.clone(), name.clone(), *id));
                    entries.push(Change::Remove(*id));
                }
            }
        }
        Ok(entries)
    }

    fn write_view(&self, view: &View) -> Result<SchemaId> {
        self.write_record(&view.encode())
    }

    fn write_record(&self, bytes: &[u8]) -> Result<SchemaId> {
        let record = SchemaId(self.store.next_id());
        self.transaction.put(Space::Schemas, &key([record.0]), bytes)?;
        Ok(record)
    }
}

fn rename(
    entries: &mut Vec<Change>,
    write: &CatalogWrite,
    (namespace, name): &(String, String),
    id: TableId,
) {
    if let Some((new_namespace, new_name)) = write.takes() {
        entries.push(Change::Unname(namespace.clone(), name.clone(), id));
        entries.push(Change::Name(new_namespace.to_owned(), new_name.to_owned(), id));
    }
}
