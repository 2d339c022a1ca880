//! Which casts become calls.

use std::sync::Arc;

use datafusion::common::DFSchema;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::Transformed;
use datafusion::error::Result as DataFusionResult;
use datafusion::logical_expr::expr_rewriter::FunctionRewrite;
use datafusion::logical_expr::{Cast, Expr, ExprSchemable, LogicalPlan, ScalarUDF, TryCast};
use datafusion::optimizer::AnalyzerRule;

use super::function::{TextCast, way};
use crate::plan::expressions::rewrite_expressions;
use crate::plan::functions::SessionFacts;

/// Casts from and to text become calls of [`TextCast`].
#[derive(Debug)]
pub struct TextCasts {
    facts: Arc<SessionFacts>,
}

impl TextCasts {
    pub fn new(facts: &Arc<SessionFacts>) -> Self {
        TextCasts { facts: Arc::clone(facts) }
    }

    /// One expression, not its children.
    fn rewrite_one(&self, expr: Expr, schema: &DFSchema) -> Transformed<Expr> {
        let (inner, lenient) = match &expr {
            Expr::Cast(Cast { expr, .. }) => (expr, false),
            Expr::TryCast(TryCast { expr, .. }) => (expr, true),
            _ => return Transformed::no(expr),
        };
        // What has no type yet has one after type coercion.
        let (Ok((_, from)), Ok((_, to))) = (inner.to_field(schema), expr.to_field(schema)) else {
            return Transformed::no(expr);
        };
        let Some(way) = way(&from, &to) else { return Transformed::no(expr) };
        let function = TextCast::new(way, &to, lenient, &self.facts);
        match expr {
            Expr::Cast(Cast { expr, .. }) | Expr::TryCast(TryCast { expr, .. }) => {
                Transformed::yes(ScalarUDF::new_from_impl(function).call(vec![*expr]))
            }
            other => Transformed::no(other),
        }
    }

    fn rewrite_plan(&self, plan: LogicalPlan) -> DataFusionResult<Transformed<LogicalPlan>> {
        rewrite_expressions(plan, |expr, schema| Ok(self.rewrite_one(expr, schema)))
    }
}

impl FunctionRewrite for TextCasts {
    fn name(&self) -> &str {
        "text_casts"
    }

    fn rewrite(
        &self,
        expr: Expr,
        schema: &DFSchema,
        _: &ConfigOptions,
    ) -> DataFusionResult<Transformed<Expr>> {
        Ok(self.rewrite_one(expr, schema))
    }
}

impl AnalyzerRule for TextCasts {
    fn name(&self) -> &str {
        "text_casts"
    }

    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> DataFusionResult<LogicalPlan> {
        Ok(plan.transform_up_with_subqueries(|plan| self.rewrite_plan(plan))?.data)
    }
}
