//! Node → operator.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::catalog::Session;
use datafusion::common::{Column, Result, ScalarValue, internal_err};
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion::logical_expr::{LogicalPlan, UserDefinedLogicalNode};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_planner::{ExtensionPlanner, PhysicalPlanner};

use super::correlation::with_values;
use super::node::ApplyNode;
use crate::activity::CancelToken;
use crate::exec::apply::{ApplyExec, Subplan};
use crate::exec::stop::stoppable;
use crate::plan::functions::while_planning;

/// Plans [`ApplyNode`]s.
#[derive(Debug)]
pub struct ApplyPlanner;

#[async_trait]
impl ExtensionPlanner for ApplyPlanner {
    async fn plan_extension(
        &self,
        planner: &dyn PhysicalPlanner,
        node: &dyn UserDefinedLogicalNode,
        _logical_inputs: &[&LogicalPlan],
        physical_inputs: &[Arc<dyn ExecutionPlan>],
        session: &dyn Session,
        context: &PhysicalPlanningContext,
    ) -> Result<Option<Arc<dyn ExecutionPlan>>> {
        let Some(node) = node.as_any().downcast_ref::<ApplyNode>() else { return Ok(None) };
        let Some(state) = session.as_any().downcast_ref::<SessionState>() else {
            return internal_err!("a session of another kind");
        };
        let mut state = state.clone();
        // A thread for each would cost more than one sub-select does.
        state.config_mut().options_mut().execution.target_partitions = 1;
        let columns = node.outer.iter().map(|(column, _)| column.clone()).collect();
        let subplan = Correlated { plan: Arc::clone(&node.subplan), columns, state };
        let schema = node.input.schema();
        let outer = node.outer.iter();
        let outer =
            outer.map(|(_, expr)| planner.create_physical_expr(expr, schema, session, context));
        let input = Arc::clone(&physical_inputs[0]);
        let shown = node.shown.as_arrow();
        let exec = ApplyExec::new(
            input,
            outer.collect::<Result<_>>()?,
            Arc::new(subplan),
            node.kind,
            shown,
        );
        Ok(Some(Arc::new(exec)))
    }
}

/// A sub-select that is planned for each set of values.
struct Correlated {
    plan: Arc<LogicalPlan>,
    columns: Vec<Column>,
    state: SessionState,
}

impl fmt::Debug for Correlated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.plan.display_indent())
    }
}

#[async_trait]
impl Subplan for Correlated {
    async fn with(
        &self,
        values: &[ScalarValue],
        cancel: Option<&CancelToken>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let given: Vec<_> = self.columns.iter().cloned().zip(values.iter().cloned()).collect();
        let plan = with_values(&self.plan, &given)?;
        let plan = while_planning(self.state.create_physical_plan(&plan)).await?;
        match cancel {
            Some(cancel) => stoppable(plan, cancel),
            None => Ok(plan),
        }
    }
}
