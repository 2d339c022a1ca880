//! The session state that DataFusion optimises and runs plans with.

use std::sync::Arc;

use datafusion::catalog::TableProvider;
use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion::execution::session_state::{SessionState, SessionStateBuilder};
use datafusion::optimizer::{Analyzer, Optimizer};
use datafusion::prelude::SessionConfig;

use super::apply::{AnalyzeApply, ApplyPlanner};
use super::asof::{
    self, AsofExtensionPlanner, AsofMode, AsofModes, ExtensionQueryPlanner, Knowledge, TieOrder,
    TieSource,
};
use super::attentive::make_attentive;
use super::float_keys::FloatKeys;
use super::functions::{self, SessionFacts};
use super::known;
use super::using::DropAliases;
use crate::error::Result;
use crate::exec::scan::TableScan;
use crate::fault;

/// A state with our functions, types, rules and operators.
///
/// # Errors
/// Internal where a function is refused, which none is.
pub fn session_state(
    config: SessionConfig,
    runtime: Arc<RuntimeEnv>,
    facts: &Arc<SessionFacts>,
) -> Result<SessionState> {
    let builder = SessionStateBuilder::new()
        .with_config(config)
        .with_runtime_env(runtime)
        .with_default_features();
    let modes = Arc::clone(facts) as Arc<dyn AsofModes>;
    let builder = functions::with_planners(builder, facts);
    let mut builder = asof::register(builder, Arc::new(TableTies), Arc::clone(&modes));
    let rules = &mut builder.analyzer().get_or_insert_with(Analyzer::new).rules;
    // Behind the rule of ASOF JOIN, whose carriers list such aliases too.
    rules.insert(1, Arc::new(DropAliases));
    rules.insert(0, Arc::new(AnalyzeApply));
    let asof = Arc::new(AsofExtensionPlanner(modes));
    let planner = ExtensionQueryPlanner::new(vec![asof, Arc::new(ApplyPlanner)]);
    builder = builder.with_query_planner(Arc::new(planner));
    let optimizer = builder.optimizer().get_or_insert_with(Optimizer::new);
    optimizer.rules.push(Arc::new(FloatKeys));
    make_attentive(&mut builder);
    let mut state = builder.build();
    functions::install(&mut state, facts).map_err(fault::of_datafusion)?;
    Ok(state)
}

impl AsofModes for SessionFacts {
    fn asof_mode(&self) -> AsofMode {
        let named = self.hooks.setting("asof_mode");
        named.and_then(|name| name.parse().ok()).unwrap_or_default()
    }
}

/// Our tables break ties by what they declare, then by commit, then by row.
#[derive(Debug)]
struct TableTies;

impl TieSource for TableTies {
    fn tie_order(&self, provider: &Arc<dyn TableProvider>) -> Option<TieOrder> {
        let scan = provider.downcast_ref::<TableScan>()?;
        let hidden = scan.hidden();
        Some(TieOrder { columns: hidden.tie_columns(), provider: Arc::new(hidden) })
    }

    fn knowledge(&self, provider: &Arc<dyn TableProvider>) -> Result<Option<Knowledge>> {
        provider.downcast_ref::<TableScan>().map_or(Ok(None), known::knowledge)
    }
}
