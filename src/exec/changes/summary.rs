//! Which tables differ between two snapshots, and by how many rows.

use std::fmt;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringViewArray};
use arrow::datatypes::{Field, Schema, SchemaRef};
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::Result;
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::{Expr, TableType};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::{PartitionStream, StreamingTableExec};

use super::names::{Names, Standing, pairs};
use crate::exec::scan::external;
use crate::spec::Type;
use crate::store::{RowShape, Store, Table};

/// A table as two snapshots have it.
type Pair = (Option<Arc<Table>>, Option<Arc<Table>>);

/// A row a table that differs: `table_schema`, `table_name`, `change`, `inserted`, `deleted`,
/// `updated`.
#[derive(Clone)]
pub struct ChangeSummary {
    store: Store,
    pairs: Arc<Vec<Pair>>,
    schema: SchemaRef,
}

/// How many rows differ, and how.
struct Counts {
    inserted: i64,
    deleted: i64,
    updated: i64,
}

impl ChangeSummary {
    /// The tables of two snapshots, in pairs.
    pub fn new(store: Store, pairs: Vec<Pair>) -> ChangeSummary {
        let text = |name: &str| Type::Text.field(name, false);
        let number = |name: &str| Type::Int8.field(name, false);
        let fields: Vec<Field> = vec![
            text("table_schema"),
            text("table_name"),
            text("change"),
            number("inserted"),
            number("deleted"),
            number("updated"),
        ];
        ChangeSummary { store, pairs: Arc::new(pairs), schema: Arc::new(Schema::new(fields)) }
    }

    fn batch(&self, memory: &MemoryReservation) -> Result<RecordBatch> {
        let mut rows = Vec::new();
        for (old, new) in self.pairs.iter() {
            let table = new.as_ref().or(old.as_ref()).expect("a pair has a table");
            let counts = self.counts(table, old.as_deref(), new.as_deref(), memory)?;
            let change = match (old, new) {
                (None, _) => "created",
                (_, None) => "dropped",
                (Some(old), Some(new)) if old.schema().id != new.schema().id => "altered",
                _ if counts.inserted + counts.deleted + counts.updated == 0 => continue,
                _ => "changed",
            };
            let schema = table.schema();
            rows.push((schema.namespace.clone(), schema.name.clone(), change, counts));
        }
        let texts =
            |values: Vec<&str>| Arc::new(StringViewArray::from_iter_values(values)) as ArrayRef;
        let numbers = |of: fn(&Counts) -> i64| {
            Arc::new(rows.iter().map(|r| of(&r.3)).collect::<Int64Array>()) as ArrayRef
        };
        let columns = vec![
            texts(rows.iter().map(|r| r.0.as_str()).collect()),
            texts(rows.iter().map(|r| r.1.as_str()).collect()),
            texts(rows.iter().map(|r| r.2).collect()),
            numbers(|c| c.inserted),
            numbers(|c| c.deleted),
            numbers(|c| c.updated),
        ];
        Ok(RecordBatch::try_new(Arc::clone(&self.schema), columns)?)
    }

    fn counts(
        &self,
        table: &Table,
        old: Option<&Table>,
        new: Option<&Table>,
        memory: &MemoryReservation,
    ) -> Result<Counts> {
        let shape = RowShape { schema: Arc::clone(table.schema()), columns: Vec::new() };
        let difference = self.store.difference(&shape.schema, old, new).map_err(external)?;
        memory.free();
        let names = Names::of(&difference, &self.store, &shape, memory)?;
        let count = |removed: bool| -> Result<(i64, i64)> {
            let side = if removed { &difference.removed } else { &difference.added };
            let (mut alone, mut updated) = (0, 0);
            for batch in side.read(&self.store, &shape).map_err(external)? {
                for (row, commit) in pairs(&batch.map_err(external)?) {
                    let standing = match removed {
                        true => names.of_removed(row, commit),
                        false => names.of_added(row, commit),
                    };
                    alone += i64::from(standing == Standing::Alone);
                    updated += i64::from(standing == Standing::Updated);
                }
            }
            Ok((alone, updated))
        };
        let ((deleted, updated), (inserted, _)) = (count(true)?, count(false)?);
        Ok(Counts { inserted, deleted, updated })
    }
}

impl fmt::Debug for ChangeSummary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ChangeSummary({} tables)", self.pairs.len())
    }
}

#[async_trait]
impl TableProvider for ChangeSummary {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Temporary
    }

    async fn scan(
        &self,
        _: &dyn Session,
        projection: Option<&Vec<usize>>,
        _: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let rows: Arc<dyn PartitionStream> = Arc::new(self.clone());
        let schema = Arc::clone(&self.schema);
        let exec = StreamingTableExec::try_new(schema, vec![rows], projection, [], false, limit)?;
        Ok(Arc::new(exec))
    }
}

impl PartitionStream for ChangeSummary {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, context: Arc<TaskContext>) -> SendableRecordBatchStream {
        let summary = self.clone();
        let one = futures::stream::once(async move {
            let consumer = MemoryConsumer::new("ChangeSummary");
            summary.batch(&consumer.register(context.memory_pool()))
        });
        Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.schema), one))
    }
}
