//! ASOF JOIN, from the tree to the operator.
//!
//! DataFusion 55 has no ASOF join, and its planner hands over table factors, never joins. So:
//!
//! ```text
//! parse      ASOF JOIN becomes a nested join of its own          (one factor, global = true)
//! relation   factor → carrier: an ordinary Join with a marker    names, `*` and USING resolve as in any join
//! analyze    carrier → Extension(AsofJoinNode)                   before any other rule sees the carrier
//! optimize   filters and limits go below the left side
//! unused     joins that nobody asks for what they find go
//! physical   AsofJoinNode → AsofSearchExec, or AsofJoinExec
//! ```
//!
//! **Invariants.** The analyzer rule runs first: a rule that met the carrier would take it for an
//! ordinary join. The marker fails when it is evaluated, so a carrier that slipped through is an
//! error and never a wrong answer. Conditions on the right side alone filter it *before* matching,
//! and a filter above the join never goes into it. Ties get their columns at analysis, from the
//! whole right side, so no later pruning changes a winner.
//!
//! Right rows that come out by themselves (RIGHT, FULL) are the join's own: nothing filters or limits the
//! right side but the join.
//!
//! KNOWN AT puts the row versions of the right table in its place, with the periods they were known
//! in (`known.rs`).
//!
//! The room refuses volatile functions, aggregates and subqueries in a condition, and KNOWN AT of RIGHT and
//! FULL.
//!
//! Start reading at [`register`], then `relation.rs`.

mod analyze;
mod coerce;
mod condition;
mod known;
mod marker;
mod node;
mod optimize;
mod physical;
mod relation;
#[cfg(test)]
mod tests;
mod ties;
mod unused;

use std::sync::Arc;

use datafusion::error::DataFusionError;
use datafusion::execution::session_state::SessionStateBuilder;
use datafusion::optimizer::{Analyzer, Optimizer};

pub use analyze::AnalyzeAsof;
pub use known::{Knowledge, KnownExpr};
pub use node::{AsofJoinNode, AsofOn, MatchCondition, ToleranceExpr};
pub use optimize::PushIntoAsofJoin;
pub use physical::{AsofExtensionPlanner, AsofMode, AsofModes, ExtensionQueryPlanner};
pub use relation::{AsofRelationPlanner, plan_asof};
pub use ties::{NoTies, TieOrder, TieSource};
pub use unused::DropUnusedAsofJoin;

use crate::error::Error;

/// Adds all that ASOF JOIN needs: the relation planner, the analyzer rule (first), the optimizer
/// rules and a query planner with the extension planner.
///
/// A builder that already has a query planner should take the parts instead.
pub fn register(
    builder: SessionStateBuilder,
    ties: Arc<dyn TieSource>,
    modes: Arc<dyn AsofModes>,
) -> SessionStateBuilder {
    let planner = ExtensionQueryPlanner::new(vec![Arc::new(AsofExtensionPlanner(modes))]);
    let mut builder = add_rules(builder, ties).with_query_planner(Arc::new(planner));
    let planners = builder.relation_planners().get_or_insert_default();
    planners.push(Arc::new(AsofRelationPlanner));
    builder
}

/// Adds the analyzer rule before all others, and the optimizer rules behind the one that moves
/// filters down to them.
pub fn add_rules(
    mut builder: SessionStateBuilder,
    ties: Arc<dyn TieSource>,
) -> SessionStateBuilder {
    let analyzer = builder.analyzer().get_or_insert_with(Analyzer::new);
    analyzer.rules.insert(0, Arc::new(AnalyzeAsof::new(ties)));
    let rules = &mut builder.optimizer().get_or_insert_with(Optimizer::new).rules;
    let at = rules.iter().position(|rule| rule.name() == "push_down_filter");
    let behind = at.map_or(rules.len(), |at| at + 1);
    rules.insert(behind, Arc::new(PushIntoAsofJoin));
    rules.insert(behind + 1, Arc::new(DropUnusedAsofJoin));
    builder
}

/// Our error as DataFusion carries it.
fn external(error: Error) -> DataFusionError {
    DataFusionError::External(Box::new(error))
}
