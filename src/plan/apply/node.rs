//! A sub-select beside its input: for each row of the input, what the sub-select gives for it.

use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

use datafusion::common::{Column, DFSchema, DFSchemaRef, Result, internal_err};
use datafusion::logical_expr::{Expr, LogicalPlan, UserDefinedLogicalNodeCore};

use crate::exec::apply::ApplyKind;

/// The logical node. Its sub-plan is no input: other rules must not look into it before the values
/// are known.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ApplyNode {
    /// The rows around the sub-select.
    pub input: Arc<LogicalPlan>,
    /// The sub-select.
    pub subplan: Arc<LogicalPlan>,
    /// What the sub-select calls a value, and what that is over the input.
    pub outer: Vec<(Column, Expr)>,
    /// What is shown.
    pub kind: ApplyKind,
    /// The sub-select's columns, as they are called and typed in the output.
    pub shown: DFSchemaRef,
    schema: DFSchemaRef,
}

impl ApplyNode {
    pub(super) fn try_new(
        input: LogicalPlan,
        subplan: LogicalPlan,
        outer: Vec<(Column, Expr)>,
        kind: ApplyKind,
        shown: DFSchema,
    ) -> Result<ApplyNode> {
        let schema = Arc::new(input.schema().join(&shown)?);
        let (input, subplan, shown) = (Arc::new(input), Arc::new(subplan), Arc::new(shown));
        Ok(ApplyNode { input, subplan, outer, kind, shown, schema })
    }
}

impl PartialOrd for ApplyNode {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        let order = self.input.partial_cmp(&other.input)?;
        let order = order.then(self.subplan.partial_cmp(&other.subplan)?);
        (order != Ordering::Equal || self == other).then_some(order)
    }
}

impl UserDefinedLogicalNodeCore for ApplyNode {
    fn name(&self) -> &str {
        "Apply"
    }

    fn inputs(&self) -> Vec<&LogicalPlan> {
        vec![&self.input]
    }

    fn schema(&self) -> &DFSchemaRef {
        &self.schema
    }

    fn expressions(&self) -> Vec<Expr> {
        self.outer.iter().map(|(_, expr)| expr.clone()).collect()
    }

    /// Conditions on the input's own columns may go below; a name that the sub-select shows too stays.
    fn prevent_predicate_push_down_columns(&self) -> std::collections::HashSet<String> {
        self.shown.fields().iter().map(|field| field.name().clone()).collect()
    }

    fn fmt_for_explain(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let outer: Vec<_> = self.outer.iter().map(|(column, _)| column.flat_name()).collect();
        write!(f, "Apply: {:?}, outer=[{}]", self.kind, outer.join(", "))
    }

    fn with_exprs_and_inputs(&self, exprs: Vec<Expr>, inputs: Vec<LogicalPlan>) -> Result<Self> {
        let (Ok([input]), true) =
            (<[LogicalPlan; 1]>::try_from(inputs), exprs.len() == self.outer.len())
        else {
            return internal_err!("an apply with other inputs");
        };
        let names = self.outer.iter().map(|(column, _)| column.clone());
        let schema = Arc::new(input.schema().join(&self.shown)?);
        let outer = names.zip(exprs).collect();
        Ok(ApplyNode { input: Arc::new(input), outer, schema, ..self.clone() })
    }

    fn necessary_children_exprs(&self, output_columns: &[usize]) -> Option<Vec<Vec<usize>>> {
        let width = self.input.schema().fields().len();
        Some(vec![output_columns.iter().copied().filter(|column| *column < width).collect()])
    }
}
