//! Schemas (namespaces) and what is in them, where one transaction drops the schema, which a rename does
//! too, and another puts something into it: together they would leave what no name reaches.

use std::collections::BTreeSet;

use super::depend::Dependence;
use super::proposal::CatalogWrite;
use crate::error::Result;
use crate::log::{Records, versions};
use crate::store::TEMPORARY_NAMESPACE;
use crate::store::catalog::{self, DEFAULT_NAMESPACE, Object};

impl Dependence<'_> {
    /// Why the proposal, made on one catalog, cannot stand on another because of schemas.
    pub(super) fn broken_schemas(
        &self,
        records: &impl Records,
        base: u64,
        head: u64,
    ) -> Result<Option<String>> {
        let (made, dropped) = self.made_and_dropped();
        let used = self.used();
        let names = || made.iter().chain(&dropped).chain(&used);
        if names().next().is_none() {
            return Ok(None);
        }
        for name in names() {
            let before = catalog::namespace(records, base, name)?;
            let now = catalog::namespace(records, head, name)?;
            if before.is_none() && now.is_some() && made.contains(name) {
                return Ok(Some(format!("schema \"{name}\" was made")));
            }
            if before.is_some() && now.is_none() {
                return Ok(Some(format!("schema \"{name}\" was dropped")));
            }
        }
        match dropped.is_empty() {
            true => Ok(None),
            false => self.came_into(records, &dropped, base, head),
        }
    }

    /// The schemas that there will be more and fewer of.
    fn made_and_dropped(&self) -> (BTreeSet<&str>, BTreeSet<&str>) {
        let (mut made, mut dropped) = (BTreeSet::new(), BTreeSet::new());
        for write in self.catalog {
            let (name, undone, done) = match write {
                CatalogWrite::CreateNamespace(name) => (name, &mut dropped, &mut made),
                CatalogWrite::DropNamespace(name) => (name, &mut made, &mut dropped),
                _ => continue,
            };
            if !undone.remove(name.as_str()) {
                done.insert(name.as_str());
            }
        }
        (made, dropped)
    }

    /// The schemas in which something gets a name, and those that get a comment.
    fn used(&self) -> BTreeSet<&str> {
        let taken = self.tables.values().filter_map(|change| change.taken.as_ref());
        let mut used: BTreeSet<&str> = self.catalog.iter().filter_map(schema_of).collect();
        used.extend(taken.map(|taken| taken.table.schema().namespace.as_str()));
        used.remove(DEFAULT_NAMESPACE);
        used.remove(TEMPORARY_NAMESPACE);
        used
    }

    /// What came into schemas that are dropped and is not dropped or taken elsewhere with them.
    fn came_into(
        &self,
        records: &impl Records,
        dropped: &BTreeSet<&str>,
        base: u64,
        head: u64,
    ) -> Result<Option<String>> {
        for object in catalog::objects(records, head)? {
            let id = object.id();
            let handled = |write: &CatalogWrite| write.drops(id) || write.alters() == Some(id);
            if catalog::object(records, base, id)? == Some(object)
                || self.catalog.iter().any(handled)
            {
                continue;
            }
            if let Some((namespace, name)) = name_of(records, object)?
                && dropped.contains(namespace.as_str())
            {
                return Ok(Some(format!("\"{name}\" came into schema \"{namespace}\"")));
            }
        }
        Ok(None)
    }
}

/// The schema in which a write names something, or that it comments on.
fn schema_of(write: &CatalogWrite) -> Option<&str> {
    match write {
        CatalogWrite::CommentNamespace { name, .. } => Some(name),
        write => write.takes().map(|(namespace, _)| namespace),
    }
}

/// The schema (namespace) and the name of what has one.
fn name_of(records: &impl Records, object: Object) -> Result<Option<(String, String)>> {
    Ok(match object {
        Object::Table(_, version) => {
            let schema = catalog::schema(records, versions::get(records, version)?.schema)?;
            Some((schema.namespace.clone(), schema.name.clone()))
        }
        Object::View(_, record) => {
            let view = catalog::view(records, record)?;
            Some((view.namespace, view.name))
        }
        Object::Sequence(_, record) => {
            let sequence = catalog::sequence(records, record)?;
            Some((sequence.namespace, sequence.name))
        }
        Object::Namespace(..) => None,
    })
}
