//! The system tables as DataFusion schemas.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::catalog::{MemTable, SchemaProvider, TableProvider};
use datafusion::error::{DataFusionError, Result as DataFusionResult};
use parking_lot::Mutex;

use super::catalog::Catalog;
use super::relation::{Relation, relation, relations};
use super::rows;

/// `pg_catalog` and `information_schema` over a catalogue. A table's rows are built when it is first
/// asked for, and kept.
pub fn schema_providers(
    catalog: Arc<Catalog>,
) -> (Arc<dyn SchemaProvider>, Arc<dyn SchemaProvider>) {
    let schema = |name| Arc::new(SystemSchema::new(name, Arc::clone(&catalog)));
    (schema("pg_catalog"), schema("information_schema"))
}

struct SystemSchema {
    name: &'static str,
    catalog: Arc<Catalog>,
    built: Mutex<Vec<(&'static str, Arc<MemTable>)>>,
}

impl SystemSchema {
    fn new(name: &'static str, catalog: Arc<Catalog>) -> Self {
        SystemSchema { name, catalog, built: Mutex::default() }
    }

    fn build(&self, relation: &'static Relation) -> DataFusionResult<Arc<MemTable>> {
        let batch = rows::build(&self.catalog, relation)
            .map_err(|e| DataFusionError::External(Box::new(e)))?;
        Ok(Arc::new(MemTable::try_new(relation.arrow.clone(), vec![vec![batch]])?))
    }
}

impl fmt::Debug for SystemSchema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SystemSchema").field("name", &self.name).finish_non_exhaustive()
    }
}

#[async_trait]
impl SchemaProvider for SystemSchema {
    fn table_names(&self) -> Vec<String> {
        let own = relations().iter().filter(|r| r.schema == self.name);
        own.map(|r| r.name.to_owned()).collect()
    }

    async fn table(&self, name: &str) -> DataFusionResult<Option<Arc<dyn TableProvider>>> {
        let Some(relation) = relation(self.name, name) else {
            return Ok(None);
        };
        let mut built = self.built.lock();
        if let Some((_, table)) = built.iter().find(|(known, _)| *known == relation.name) {
            return Ok(Some(Arc::clone(table) as _));
        }
        let table = self.build(relation)?;
        built.push((relation.name, Arc::clone(&table)));
        Ok(Some(table))
    }

    fn table_exist(&self, name: &str) -> bool {
        relation(self.name, name).is_some()
    }
}
