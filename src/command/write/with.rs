//! WITH x AS (INSERT | UPDATE | DELETE | MERGE … RETURNING …): the parts run in their order, each
//! once, and what they return has a name in those behind them.
//!
//! As in PostgreSQL all parts see the tables as they were before the statement. Several may insert into one
//! table. A part cannot change rows of a table that another part has changed: which of the two changes
//! stood would be chance.

use std::sync::Arc;

use arrow::datatypes::Schema;
use datafusion::common::{Column as PlanColumn, TableReference};
use datafusion::datasource::provider_as_source;
use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder};
use futures::StreamExt;

use super::change::Changed;
use super::returning::Returned;
use super::{Described, Scene};
use crate::command::{Writing, run};
use crate::error::{Error, ErrorKind, Result};
use crate::exec::spool::Spool;
use crate::fault;
use crate::parse::{Part, Statement, With};
use crate::plan::pg_catalog::output_names::Repeated;
use crate::plan::query::plan_query_over;
use crate::plan::{Given, Planned, plan_apart};

/// Runs the parts and what they are for.
///
/// # Errors
/// As [`super::run`]; NotSupported where two parts change one table.
pub async fn with(writing: &mut Writing<'_>, with: &With) -> Result<Changed> {
    for part in &with.parts {
        let changed = Box::pin(super::run(writing, &part.statement)).await?;
        let rows = match changed.returned {
            Some(returned) => given(part, &returned)?,
            None => nothing(part, &writing.reading.runtime)?,
        };
        writing.before.given.push(rows);
    }
    let Statement::Query(query) = with.main.as_ref() else {
        return Box::pin(super::run(writing, &with.main)).await;
    };
    let given = &writing.before.given;
    let planned = plan_apart(&writing.reading, writing.state, query, given).await?;
    let columns = planned.columns();
    let mut stream = run::start_in_order(&writing.reading, writing.state, planned.plan).await?;
    let mut rows = Spool::new(stream.schema(), &writing.reading.runtime);
    while let Some(batch) = stream.next().await {
        rows.push(batch.map_err(fault::of_datafusion)?)?;
    }
    let rows = rows.finish();
    Ok(Changed { rows: rows.rows(), returned: Some(Returned { columns, rows }) })
}

/// What a client needs to know of it.
///
/// # Errors
/// As [`with`].
pub(super) fn describe(scene: &Scene<'_>, with: &With) -> Result<Described> {
    let mut scene = Scene {
        reading: scene.reading.clone(),
        state: scene.state,
        written: scene.written.clone(),
        given: scene.given.clone(),
    };
    for part in &with.parts {
        let described = super::describe(&scene, &part.statement)?;
        let rows = match described.returning {
            Some(planned) => named(part, planned.plan)?,
            None => nothing(part, &scene.reading.runtime)?,
        };
        scene.given.push(rows);
    }
    match with.main.as_ref() {
        Statement::Query(query) => {
            let planned = plan_query_over(&scene.reading, scene.state, query, &scene.given)?;
            Ok(Described { plan: planned.plan.clone(), returning: Some(planned) })
        }
        main => super::describe(&scene, main),
    }
}

/// The rows that a part returned, under its name.
fn given(part: &Part, returned: &Returned) -> Result<Given> {
    let source = provider_as_source(returned.rows.provider()?);
    let plan = LogicalPlanBuilder::scan(TableReference::bare("asofdb part"), source, None)
        .and_then(LogicalPlanBuilder::build)
        .map_err(fault::of_datafusion)?;
    named(part, plan)
}

fn named(part: &Part, plan: LogicalPlan) -> Result<Given> {
    let shown = Planned { plan: plan.clone() }.columns();
    if part.columns.len() > shown.len() {
        let message = format!(
            "WITH query \"{}\" has {} columns available but {} columns specified",
            part.name,
            shown.len(),
            part.columns.len()
        );
        return Err(Error::new(ErrorKind::InvalidColumnReference, message));
    }
    let mut names = Repeated::default();
    let column = |(at, (name, _)): (usize, &(String, _))| {
        let name = names.named(part.columns.get(at).unwrap_or(name).clone());
        Expr::Column(PlanColumn::from(plan.schema().qualified_field(at)))
            .alias_qualified(Some(TableReference::bare(part.name.clone())), name)
    };
    let exprs: Vec<Expr> = shown.iter().enumerate().map(column).collect();
    let plan = LogicalPlanBuilder::from(plan).project(exprs).and_then(LogicalPlanBuilder::build);
    Ok(Given { name: part.name.clone(), plan: plan.map_err(fault::of_datafusion)? })
}

/// A part without RETURNING is a name that cannot be read.
fn nothing(part: &Part, runtime: &Arc<RuntimeEnv>) -> Result<Given> {
    let none = Spool::new(Arc::new(Schema::empty()), runtime).finish();
    let source = provider_as_source(none.provider()?);
    let plan = LogicalPlanBuilder::scan(TableReference::bare(part.name.clone()), source, None)
        .and_then(LogicalPlanBuilder::build);
    Ok(Given { name: part.name.clone(), plan: plan.map_err(fault::of_datafusion)? })
}
