//! INSERT, UPDATE, DELETE, MERGE and TRUNCATE, a file a family.
//!
//! A statement is planned as a query whose rows are changes: the new row, where the old one lies, and
//! what RETURNING wants besides. [`change::Change`] takes them batch by batch: old rows are noted as
//! bitmaps, new ones pass the [`gate::Gate`] into the transaction's load, which spills to segments.
//! What RETURNING shows is evaluated before the transaction ends, and set aside until then.
//!
//! Every row that any statement writes passes [`gate::Gate::admit`], COPY and CREATE TABLE AS included.
//! Keys are the store's. Start reading at [`update`], the shortest of them.

pub mod arbiter;
pub mod assign;
pub mod change;
pub mod conflict;
pub mod delete;
pub mod gate;
pub mod insert;
pub mod merge;
pub mod overwrite;
pub mod returning;
pub mod rows;
pub mod target;
pub mod update;
pub mod values;
pub mod with;

use std::sync::Arc;

use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::LogicalPlan;
use datafusion::sql::sqlparser::ast::TableWithJoins;

pub use change::Changed;
pub use insert::{insert_columns, insert_name, insert_plan};
pub use returning::Returned;

use super::Writing;
use crate::error::{Error, ErrorKind, Result};
use crate::parse::Statement;
use crate::plan::{Given, Planned, Reading, Selecting, plan_selecting, thread};
use crate::store::Snapshot;

/// Where a statement that changes rows is planned.
pub struct Scene<'a> {
    /// What its queries see.
    pub reading: Reading,
    /// To plan with.
    pub state: &'a Arc<SessionState>,
    /// What its target is looked for in; None while it is only described.
    pub written: Option<Snapshot>,
    /// Names that stand for what parts of the same statement returned.
    pub given: Vec<Given>,
}

impl<'a> Scene<'a> {
    /// Where a statement is only described.
    pub fn described(reading: &Reading, state: &'a Arc<SessionState>) -> Scene<'a> {
        Scene { reading: reading.clone(), state, written: None, given: Vec::new() }
    }

    /// Plans a statement on a thread that can be given up.
    ///
    /// # Errors
    /// Those of `plan`; Cancelled and its like.
    pub async fn apart<S: Clone + Send + 'static, T: Send + 'static>(
        self,
        statement: &S,
        plan: fn(&Scene<'_>, &S) -> Result<T>,
    ) -> Result<T> {
        let (state, statement) = (Arc::clone(self.state), statement.clone());
        let Scene { reading, written, given, .. } = self;
        let cancel = reading.cancel.clone();
        let work = async move {
            let scene = Scene { reading, state: &state, written, given };
            plan(&scene, &statement)
        };
        thread::apart(&cancel, work).await
    }

    /// Plans a SELECT that the statement is made of.
    ///
    /// # Errors
    /// As [`plan_selecting`].
    fn select(&self, mut selecting: Selecting<'_>) -> Result<LogicalPlan> {
        selecting.given.extend_from_slice(&self.given);
        Ok(plan_selecting(&self.reading, self.state, selecting)?.plan)
    }
}

/// What is known of a statement before it runs.
pub struct Described {
    /// The query it makes.
    pub plan: LogicalPlan,
    /// RETURNING.
    pub returning: Option<Planned>,
}

impl Writing<'_> {
    /// The scene of the statement that writes.
    pub fn scene(&self) -> Scene<'_> {
        Scene {
            reading: self.reading.clone(),
            state: self.state,
            written: Some(self.transaction.snapshot()),
            given: self.before.given.clone(),
        }
    }
}

/// Runs INSERT, UPDATE, DELETE or MERGE.
///
/// # Errors
/// UndefinedTable, UndefinedColumn, DatatypeMismatch, NotNullViolation, UniqueViolation, Cardinality
/// where one statement would change a row twice.
pub async fn run(writing: &mut Writing<'_>, statement: &Statement) -> Result<Changed> {
    match statement {
        Statement::Insert(insert) => insert::insert(writing, insert).await,
        Statement::Update(update) => update::update(writing, update).await,
        Statement::Delete(delete) => delete::delete(writing, delete).await,
        Statement::Merge(merge) => merge::merge(writing, merge).await,
        Statement::With(parts) => with::with(writing, parts).await,
        _ => Err(Error::new(ErrorKind::Internal, "a statement that changes no rows came to write")),
    }
}

/// Plans INSERT, UPDATE, DELETE or MERGE as far as a client needs to know it.
///
/// # Errors
/// As [`run`].
pub fn describe(scene: &Scene<'_>, statement: &Statement) -> Result<Described> {
    match statement {
        Statement::Insert(insert) => insert::describe(scene, insert),
        Statement::Update(update) => update::plan(scene, update)?.describe(scene),
        Statement::Delete(delete) => delete::plan(scene, delete)?.describe(scene),
        Statement::Merge(merge) => merge::plan(scene, merge)?.describe(scene),
        Statement::With(parts) => with::describe(scene, parts),
        _ => Err(Error::new(ErrorKind::Internal, "a statement that changes no rows was described")),
    }
}

/// # Errors
/// Syntax where the target is a join.
fn refuse_joins(target: &TableWithJoins) -> Result<()> {
    match target.joins.is_empty() {
        true => Ok(()),
        false => Err(Error::new(ErrorKind::Syntax, "only a table can be written, not a join")
            .hint("join in FROM (UPDATE) or USING (DELETE)")),
    }
}
