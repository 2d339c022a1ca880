//! Tables, contexts of many shapes, and how answers and failures are compared.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::error::DataFusionError;
use datafusion::execution::session_state::SessionStateBuilder;
use datafusion::logical_expr::{ExplainFormat, ExplainOption, LogicalPlan, LogicalPlanBuilder};
use datafusion::prelude::{SessionConfig, SessionContext};
use datafusion::sql::parser::Statement as DfStatement;
use datafusion::sql::sqlparser::ast;

use super::super::{AsofMode, NoTies, TieSource, external, register};
use crate::error::{Error, ErrorKind};
use crate::parse::{Statement, parse};

pub(super) async fn plan(ctx: &SessionContext, sql: &str) -> Result<LogicalPlan, DataFusionError> {
    let parsed = parse(sql).map_err(external)?.remove(0);
    let Statement::Query(query) = parsed.statement else { panic!("not a query: {sql}") };
    let statement = DfStatement::Statement(Box::new(ast::Statement::Query(query)));
    ctx.state().statement_to_plan(statement).await
}

pub(super) async fn run(
    ctx: &SessionContext,
    sql: &str,
) -> Result<Vec<RecordBatch>, DataFusionError> {
    ctx.execute_logical_plan(plan(ctx, sql).await?).await?.collect().await
}

pub(super) async fn set_up(ctx: &SessionContext, tables: &[&str]) {
    for sql in tables {
        let created = ctx.sql(sql).await;
        created.unwrap_or_else(|e| panic!("{sql}: {e}")).collect().await.unwrap();
    }
}

/// Each row as its values with blanks between, NULL as `∅`, in order of text.
pub(super) fn texts(batches: &[RecordBatch]) -> Vec<String> {
    let options = FormatOptions::default().with_null("∅");
    let mut rows = Vec::new();
    for batch in batches {
        let columns: Vec<_> = batch
            .columns()
            .iter()
            .map(|column| ArrayFormatter::try_new(column, &options).unwrap())
            .collect();
        for row in 0..batch.num_rows() {
            let values: Vec<_> = columns.iter().map(|c| c.value(row).to_string()).collect();
            rows.push(values.join(" "));
        }
    }
    rows.sort();
    rows
}

pub(super) fn context(
    partitions: usize,
    batch_size: usize,
    ties: Arc<dyn TieSource>,
) -> SessionContext {
    context_in(AsofMode::Stream, partitions, batch_size, ties)
}

pub(super) fn context_in(
    mode: AsofMode,
    partitions: usize,
    batch_size: usize,
    ties: Arc<dyn TieSource>,
) -> SessionContext {
    let config = SessionConfig::new()
        .with_target_partitions(partitions)
        .with_batch_size(batch_size)
        .set_bool("datafusion.optimizer.skip_failed_rules", false)
        .set_bool("datafusion.optimizer.repartition_joins", true);
    let builder = SessionStateBuilder::new().with_config(config).with_default_features();
    SessionContext::new_with_state(register(builder, ties, Arc::new(mode)).build())
}

pub(super) const FIXTURE: &[&str] = &[
    "CREATE TABLE l (id BIGINT, k TEXT, ts BIGINT) AS VALUES
        (1,'A',1),(2,'A',4),(3,'A',7),(4,'B',2),(5,'B',8),(6,NULL,3),(7,'A',NULL)",
    "CREATE TABLE r (k TEXT, ts BIGINT, v TEXT) AS VALUES
        ('A',2,'a2'),('A',4,'a4'),('A',6,'a6'),('B',1,'b1'),('B',6,'b6'),(NULL,2,'n'),('A',NULL,'x')",
];

pub(super) const SHAPES: &[(usize, usize)] = &[
    (1, 8192),
    (1, 1),
    (1, 2),
    (1, 3),
    (2, 1),
    (2, 2),
    (2, 3),
    (2, 8192),
    (8, 1),
    (8, 3),
    (8, 8192),
];
pub(super) const FEW: &[(usize, usize)] = &[(1, 1), (2, 8192), (8, 3)];

/// Runs every case on every shape; a case is (name, SQL, the rows expected, comma between).
pub(super) async fn conform(
    setup: &[&str],
    shapes: &[(usize, usize)],
    cases: &[(&str, &str, &str)],
) {
    let modes = [AsofMode::Stream, AsofMode::Auto];
    let shapes = modes.into_iter().flat_map(|mode| shapes.iter().map(move |shape| (mode, *shape)));
    for (mode, (partitions, batch_size)) in shapes {
        let ctx = context_in(mode, partitions, batch_size, Arc::new(NoTies));
        set_up(&ctx, setup).await;
        for (name, sql, expected) in cases {
            let rows = match run(&ctx, sql).await {
                Ok(batches) => texts(&batches),
                Err(error) => panic!("{name}: {sql}: {error}"),
            };
            let mut expected: Vec<_> =
                expected.split(',').map(str::trim).filter(|row| !row.is_empty()).collect();
            expected.sort();
            assert_eq!(rows, expected, "{name} in {mode:?} on {partitions} × {batch_size}: {sql}");
        }
    }
}

/// The error of ours that a query ends in.
pub(super) async fn failure(ctx: &SessionContext, sql: &str) -> (Option<ErrorKind>, String) {
    let error = match run(ctx, sql).await {
        Ok(batches) => panic!("{sql} gave {:?}", texts(&batches)),
        Err(error) => error,
    };
    let text = error.to_string();
    match error.find_root() {
        DataFusionError::External(inner) => (inner.downcast_ref::<Error>().map(Error::kind), text),
        _ => (None, text),
    }
}

pub(super) async fn prepared(setup: &[&str]) -> SessionContext {
    let ctx = context(2, 3, Arc::new(NoTies));
    set_up(&ctx, setup).await;
    ctx
}

/// The logical and the physical plan, a line an operator.
pub(super) async fn explained(ctx: &SessionContext, sql: &str) -> String {
    let option = ExplainOption::default().with_format(ExplainFormat::Indent);
    let builder = LogicalPlanBuilder::from(plan(ctx, sql).await.unwrap());
    let explain = builder.explain_option_format(option).unwrap().build().unwrap();
    texts(&ctx.execute_logical_plan(explain).await.unwrap().collect().await.unwrap()).join("\n")
}
