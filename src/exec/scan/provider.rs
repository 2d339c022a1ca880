//! A table at one version, as plans name it.

use std::fmt;
use std::sync::Arc;

use arrow::compute::SortOptions;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::stats::Precision;
use datafusion::common::{Constraint, Constraints, DFSchema, Result, Statistics};
use datafusion::logical_expr::utils::conjunction;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, TableType};
use datafusion::physical_expr::PhysicalSortExpr;
use datafusion::physical_expr::expressions::Column as PhysicalColumn;
use datafusion::physical_plan::ExecutionPlan;

use super::exec::{ScanPlan, SegmentScanExec};
use super::filter::PredicateFilter;
use super::runs::runs;
use crate::error::Error;
use crate::segment::{ContainerStatistics, Filter};
use crate::spec::{ColumnId, Type};
use crate::store::{COMMIT, POSITION, ROW_ID, SEGMENT, Snapshot, Table, TableSegment};

/// The hidden columns, in the order in which they follow the visible ones.
pub const HIDDEN: [&str; 4] = [COMMIT, ROW_ID, SEGMENT, POSITION];

/// A table at one version.
#[derive(Clone)]
pub struct TableScan {
    table: Arc<Table>,
    at: Option<Snapshot>,
    version: Option<Arc<str>>,
    schema: SchemaRef,
    constraints: Constraints,
}

impl TableScan {
    /// The visible columns of a table.
    pub fn new(table: Arc<Table>) -> TableScan {
        let schema = table.schema().arrow();
        let constraints = constraints(&table);
        TableScan { table, at: None, version: None, schema, constraints }
    }

    /// The same, of a table that a snapshot has.
    pub fn seen_at(self, at: Snapshot) -> TableScan {
        TableScan { at: Some(at), ..self }
    }

    /// The same, with the version that EXPLAIN tells: None where it is the session's own.
    pub fn of_version(self, version: Option<Arc<str>>) -> TableScan {
        TableScan { version, ..self }
    }

    /// The rows of this scan with the hidden columns behind the visible ones.
    pub fn hidden(&self) -> TableScan {
        TableScan::with_hidden(Arc::clone(&self.table)).of_version(self.version.clone())
    }

    /// The snapshot that has the table; None where the table alone is known.
    pub fn at(&self) -> Option<&Snapshot> {
        self.at.as_ref()
    }

    /// The visible columns and the hidden ones behind them.
    pub fn with_hidden(table: Arc<Table>) -> TableScan {
        let visible = table.schema().arrow();
        let mut fields: Vec<Arc<Field>> = visible.fields().iter().cloned().collect();
        for name in HIDDEN {
            let nullable = name == SEGMENT || name == POSITION;
            fields.push(Arc::new(Field::new(name, DataType::UInt64, nullable)));
        }
        let constraints = constraints(&table);
        let schema = Arc::new(Schema::new(fields));
        TableScan { table, at: None, version: None, schema, constraints }
    }

    /// The table.
    pub fn table(&self) -> &Arc<Table> {
        &self.table
    }

    /// The columns that decide between rows of one event time, the most significant first.
    pub fn tie_columns(&self) -> Vec<String> {
        let schema = self.table.schema();
        let ties = schema.ties.iter().filter_map(|id| schema.column(*id));
        ties.map(|c| c.name.clone()).chain([COMMIT.to_owned(), ROW_ID.to_owned()]).collect()
    }

    /// The segments that may have rows for a condition on visible columns.
    pub fn matching(&self, state: &dyn Session, condition: &Expr) -> Result<Vec<TableSegment>> {
        let filter = self.filter(state, std::slice::from_ref(condition))?;
        self.living(self.table.segments().to_vec(), filter.as_ref())
    }

    fn visible(&self) -> usize {
        self.table.schema().columns.len()
    }

    fn filter(&self, state: &dyn Session, filters: &[Expr]) -> Result<Option<PredicateFilter>> {
        let Some(predicate) = conjunction(filters.iter().cloned()) else { return Ok(None) };
        let mut used: Vec<usize> = predicate
            .column_refs()
            .into_iter()
            .map(|column| self.schema.index_of(&column.name))
            .collect::<Result<_, _>>()?;
        used.sort_unstable();
        used.dedup();
        let schema = Arc::new(self.schema.project(&used)?);
        let ids = used.iter().map(|i| self.table.schema().columns[*i].id).collect();
        let bare = unqualified(predicate)?;
        let over = DFSchema::try_from(Arc::clone(&schema))?;
        let predicate = state.create_physical_expr(bare, &over)?;
        Ok(Some(PredicateFilter::new(predicate, schema, ids)))
    }

    /// Those of the segments that may have rows for the filter.
    fn living(
        &self,
        segments: Vec<TableSegment>,
        filter: Option<&PredicateFilter>,
    ) -> Result<Vec<TableSegment>> {
        let Some(filter) = filter else { return Ok(segments) };
        let metas: Vec<_> = segments.iter().map(|s| s.meta.as_ref()).collect();
        let schema = self.table.schema();
        let store = self.table.store();
        let written = |id| store.table_schema(id).ok();
        let columns = filter.columns();
        let statistics = ContainerStatistics::of_segments(&metas, schema, columns, written);
        let keep = statistics.and_then(|s| filter.may_match(&s)).map_err(external)?;
        let pairs = segments.into_iter().zip(keep);
        Ok(pairs.filter(|(_, keep)| *keep).map(|(segment, _)| segment).collect())
    }

    /// The order of every run, as far as the projection shows it; none where a segment was written
    /// in another order.
    fn ordering(&self, projection: &[usize], segments: &[TableSegment]) -> Vec<PhysicalSortExpr> {
        let schema = self.table.schema();
        let order = schema.order();
        if segments.iter().any(|segment| segment.meta.order != order) {
            return Vec::new();
        }
        let clustered = schema.cluster_by.len();
        let mut exprs = Vec::new();
        let mut columns: Vec<(usize, bool)> = Vec::new();
        for (i, id) in order.iter().enumerate() {
            let Some(column) = schema.column(*id) else { return exprs };
            // The segment order takes -0.0 for 0.0, sorts here do not.
            if matches!(column.data_type, Type::Float4 | Type::Float8) {
                return exprs;
            }
            columns.push((schema.position(*id).expect("found above"), i >= clustered));
        }
        let visible = self.visible();
        columns.extend([(visible, false), (visible + 1, false)]);
        for (at, nulls_first) in columns {
            let Some(out) = projection.iter().position(|p| *p == at) else { return exprs };
            let expr = PhysicalColumn::new(self.schema.field(at).name(), out);
            let options = SortOptions { descending: false, nulls_first };
            exprs.push(PhysicalSortExpr::new(Arc::new(expr), options));
        }
        exprs
    }
}

#[async_trait]
impl TableProvider for TableScan {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn constraints(&self) -> Option<&Constraints> {
        Some(&self.constraints)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn statistics(&self) -> Option<Statistics> {
        let mut statistics = Statistics::new_unknown(&self.schema);
        statistics.num_rows = Precision::Exact(self.table.row_count() as usize);
        Some(statistics)
    }

    fn supports_filters_pushdown(
        &self,
        filters: &[&Expr],
    ) -> Result<Vec<TableProviderFilterPushDown>> {
        let visible = self.visible();
        let own = |filter: &&Expr| {
            let columns = filter.column_refs();
            let shown = columns
                .iter()
                .all(|column| self.schema.index_of(&column.name).is_ok_and(|i| i < visible));
            match shown && !columns.is_empty() && !filter.is_volatile() {
                true => TableProviderFilterPushDown::Exact,
                false => TableProviderFilterPushDown::Unsupported,
            }
        };
        Ok(filters.iter().map(own).collect())
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let projection = match projection {
            Some(columns) => columns.clone(),
            None => (0..self.schema.fields().len()).collect(),
        };
        let filter = self.filter(state, filters)?;
        let folded = self.table.folded().map_err(external)?;
        let all: Vec<_> = self.table.segments().iter().chain(&folded.files).cloned().collect();
        let total = all.len();
        let segments = self.living(all, filter.as_ref())?;
        let pruned = total - segments.len();
        let wanted = state.config().target_partitions();
        let ordering = self.ordering(&projection, &segments);
        let runs = runs(&self.table, segments, wanted).map_err(external)?;
        Ok(Arc::new(SegmentScanExec::try_new(ScanPlan {
            table: Arc::clone(&self.table),
            version: self.version.clone(),
            schema: Arc::new(self.schema.project(&projection)?),
            ordering,
            columns: shown_columns(&self.table, &projection),
            hidden: hidden_of(&self.table, &projection),
            projection,
            filter: filter.map(Arc::new),
            limit,
            runs,
            folded,
            pruned,
        })?))
    }
}

impl fmt::Debug for TableScan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TableScan({})", self.table.schema().name)
    }
}

pub(super) fn shown_columns(table: &Table, projection: &[usize]) -> Vec<ColumnId> {
    let columns = &table.schema().columns;
    projection.iter().filter_map(|i| columns.get(*i)).map(|c| c.id).collect()
}

/// The hidden columns of a projection, as positions in [`HIDDEN`].
pub(super) fn hidden_of(table: &Table, projection: &[usize]) -> Vec<usize> {
    let visible = table.schema().columns.len();
    projection.iter().filter_map(|i| i.checked_sub(visible)).collect()
}

fn constraints(table: &Table) -> Constraints {
    let schema = table.schema();
    let key = schema.primary_key.iter().filter(|key| key.enforced);
    let positions = |key: &crate::spec::PrimaryKey| {
        key.columns.iter().map(|id| schema.position(*id)).collect::<Option<Vec<_>>>()
    };
    Constraints::new_unverified(key.filter_map(positions).map(Constraint::PrimaryKey).collect())
}

fn unqualified(expr: Expr) -> Result<Expr> {
    use datafusion::common::Column;
    use datafusion::common::tree_node::{Transformed, TreeNode};
    let bare = |expr| {
        Ok(match expr {
            Expr::Column(column) => {
                Transformed::yes(Expr::Column(Column::new_unqualified(column.name)))
            }
            other => Transformed::no(other),
        })
    };
    Ok(expr.transform(bare)?.data)
}

pub(in crate::exec) fn external(error: Error) -> datafusion::error::DataFusionError {
    datafusion::error::DataFusionError::External(Box::new(error))
}
