//! The changes of a table, as plans name them.

use std::fmt;
use std::sync::Arc;

use arrow::datatypes::{Field, Schema, SchemaRef};
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::Result;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::{Expr, TableType};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::coop::cooperative;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::{PartitionStream, StreamingTableExec};

use super::walk::Walk;
use crate::error;
use crate::spec::{CommitId, TableSchema, Type, VersionId};
use crate::store::{Store, Table, TableStep};

/// One state of a table.
#[derive(Clone)]
pub enum State {
    /// It was not there.
    Absent,
    /// As a commit left it.
    Version(VersionId),
    /// As a snapshot has it.
    Table(Arc<Table>),
}

impl State {
    /// The table.
    pub(super) fn open(&self, store: &Store) -> error::Result<Option<Arc<Table>>> {
        match self {
            State::Absent => Ok(None),
            State::Version(id) => store.table_version(*id).map(Some),
            State::Table(table) => Ok(Some(Arc::clone(table))),
        }
    }
}

impl From<Option<VersionId>> for State {
    fn from(version: Option<VersionId>) -> State {
        version.map_or(State::Absent, State::Version)
    }
}

/// When a state came after another.
#[derive(Clone)]
pub struct Moment {
    /// The commit that made it.
    pub commit: CommitId,
    /// When it was shown: µs since 1970-01-01 UTC.
    pub time_us: i64,
    /// The state before.
    pub old: State,
    /// The state after.
    pub new: State,
}

impl From<TableStep> for Moment {
    fn from(step: TableStep) -> Moment {
        Moment {
            commit: step.commit,
            time_us: step.time_us,
            old: step.old.into(),
            new: step.new.into(),
        }
    }
}

/// Which periods are wanted; times in µs since 1970-01-01 UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Period {
    /// ALL.
    All,
    /// FROM a TO b: shown at some time in [a, b).
    FromTo(i64, i64),
    /// BETWEEN a AND b: shown at some time in [a, b].
    Between(i64, i64),
    /// CONTAINED IN (a, b): shown only within.
    Contained(i64, i64),
}

impl Period {
    /// Whether rows shown in [from, to) are wanted.
    pub(super) fn wants(self, from: i64, to: i64) -> bool {
        match self {
            Period::All => true,
            Period::FromTo(a, b) => from < b && to > a,
            Period::Between(a, b) => from <= b && to > a,
            Period::Contained(a, b) => from >= a && to <= b,
        }
    }
}

/// What is shown of each step.
#[derive(Clone)]
pub enum Shown {
    /// `_change_type`, `_commit`, `_commit_at`, `_row_id`.
    Changes,
    /// `_system_from`, `_system_to`: the row versions of every state, the last one's included.
    Periods {
        /// Which of them.
        period: Period,
        /// The state the table is in.
        last: State,
    },
    /// `_system_from`, `_system_to`, `_commit`, `_row_id`: the same of all periods, with what names a row
    /// version.
    Versions {
        /// The state the table is in.
        last: State,
    },
    /// `_row_id` of the rows that only the old states have.
    Removed,
    /// `_row_id` of the rows that only the new states have.
    Added,
}

impl Shown {
    fn columns(&self) -> Vec<(&'static str, Type)> {
        match self {
            Shown::Changes => vec![
                ("_change_type", Type::Text),
                ("_commit", Type::Int8),
                ("_commit_at", Type::Timestamptz),
                ("_row_id", Type::Int8),
            ],
            Shown::Periods { .. } => {
                vec![("_system_from", Type::Timestamptz), ("_system_to", Type::Timestamptz)]
            }
            Shown::Versions { .. } => vec![
                ("_system_from", Type::Timestamptz),
                ("_system_to", Type::Timestamptz),
                ("_commit", Type::Int8),
                ("_row_id", Type::Int8),
            ],
            Shown::Removed | Shown::Added => vec![("_row_id", Type::Int8)],
        }
    }
}

/// The changes of a table from state to state.
#[derive(Clone)]
pub struct ChangeScan {
    pub(super) store: Store,
    pub(super) table: Arc<TableSchema>,
    pub(super) moments: Arc<Vec<Moment>>,
    pub(super) shown: Shown,
    schema: SchemaRef,
}

impl ChangeScan {
    /// The changes, in the shape of `table`.
    pub fn new(
        store: Store,
        table: Arc<TableSchema>,
        moments: Vec<Moment>,
        shown: Shown,
    ) -> ChangeScan {
        let visible = table.arrow();
        // A row of an older shape may lack what is NOT NULL today.
        let mut fields: Vec<Field> =
            visible.fields().iter().map(|f| f.as_ref().clone().with_nullable(true)).collect();
        fields.extend(shown.columns().into_iter().map(|(name, t)| t.field(name, false)));
        let schema = Arc::new(Schema::new(fields));
        ChangeScan { store, table, moments: Arc::new(moments), shown, schema }
    }
}

impl fmt::Debug for ChangeScan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ChangeScan({}, {} steps)", self.table.name, self.moments.len())
    }
}

#[async_trait]
impl TableProvider for ChangeScan {
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
        let projection = match projection {
            Some(columns) => columns.clone(),
            None => (0..self.schema.fields().len()).collect(),
        };
        let schema = Arc::new(self.schema.project(&projection)?);
        let rows = Rows { scan: self.clone(), projection, schema: Arc::clone(&schema) };
        let rows: Arc<dyn PartitionStream> = Arc::new(rows);
        Ok(Arc::new(StreamingTableExec::try_new(schema, vec![rows], None, [], false, limit)?))
    }
}

#[derive(Debug)]
struct Rows {
    scan: ChangeScan,
    projection: Vec<usize>,
    schema: SchemaRef,
}

impl PartitionStream for Rows {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, context: Arc<TaskContext>) -> SendableRecordBatchStream {
        let walk = Walk::new(&self.scan, &self.projection, &self.schema, &context);
        let batches = futures::stream::iter(walk);
        let schema = Arc::clone(&self.schema);
        Box::pin(cooperative(RecordBatchStreamAdapter::new(schema, batches)))
    }
}
