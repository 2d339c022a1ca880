//! Which casts become calls.

use std::sync::Arc;

use datafusion::common::DFSchema;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::Transformed;
use datafusion::error::Result as DataFusionResult;
use datafusion::logical_expr::expr_rewriter::FunctionRewrite;
use datafusion::logical_expr::{Cast, Expr, ExprSchemable, LogicalPlan, ScalarUDF, TryCast};
use datafusion::optimizer::AnalyzerRule;

use super::function::{SessionCast, Way, type_of, way};
use crate::plan::expressions::rewrite_expressions;
use crate::plan::functions::SessionFacts;
use crate::spec::Type;

/// Casts from and to text become calls of [`SessionCast`].
#[derive(Debug)]
pub struct SessionCasts {
    facts: Arc<SessionFacts>,
}

impl SessionCasts {
    pub fn new(facts: &Arc<SessionFacts>) -> Self {
        SessionCasts { facts: Arc::clone(facts) }
    }

    /// One expression, not its children.
    fn rewrite_one(&self, expr: Expr, schema: &DFSchema) -> Transformed<Expr> {
        let (inner, lenient) = match &expr {
            Expr::Cast(Cast { expr, .. }) => (expr, false),
            Expr::TryCast(TryCast { expr, .. }) => (expr, true),
            Expr::ScalarFunction(_) => return self.by_local_time(expr, schema),
            _ => return Transformed::no(expr),
        };
        // What has no type yet has one after type coercion.
        let (Ok((_, from)), Ok((_, to))) = (inner.to_field(schema), expr.to_field(schema)) else {
            return Transformed::no(expr);
        };
        let Some(way) = way(&from, &to) else { return Transformed::no(expr) };
        let function = SessionCast::new(way, &to, lenient, &self.facts);
        match expr {
            Expr::Cast(Cast { expr, .. }) | Expr::TryCast(TryCast { expr, .. }) => {
                Transformed::yes(ScalarUDF::new_from_impl(function).call(vec![*expr]))
            }
            other => Transformed::no(other),
        }
    }

    /// The parts of an instant, and where its day or month begins, go by the session's clocks.
    fn by_local_time(&self, expr: Expr, schema: &DFSchema) -> Transformed<Expr> {
        let Expr::ScalarFunction(mut call) = expr else { return Transformed::no(expr) };
        let truncates = match call.func.name() {
            "date_part" => false,
            "date_trunc" => true,
            _ => return Transformed::no(Expr::ScalarFunction(call)),
        };
        let [part, time] = call.args.as_mut_slice() else {
            return Transformed::no(Expr::ScalarFunction(call));
        };
        let of_instant = time
            .to_field(schema)
            .is_ok_and(|(_, field)| type_of(&field) == Some(Type::Timestamptz));
        let is_absolute = match part {
            Expr::Literal(part, _) => part.try_as_str().flatten().is_some_and(|part| {
                part.eq_ignore_ascii_case("epoch") || part.to_lowercase().starts_with("timezone")
            }),
            _ => false,
        };
        if !of_instant || is_absolute {
            return Transformed::no(Expr::ScalarFunction(call));
        }
        *time = self.moved(Way::Local, Type::Timestamp, std::mem::take(time));
        let parts = Expr::ScalarFunction(call);
        Transformed::yes(match truncates {
            true => self.moved(Way::Instant, Type::Timestamptz, parts),
            false => parts,
        })
    }

    fn moved(&self, way: Way, to: Type, time: Expr) -> Expr {
        let function = SessionCast::new(way, &to.field("", true), false, &self.facts);
        ScalarUDF::new_from_impl(function).call(vec![time])
    }

    fn rewrite_plan(&self, plan: LogicalPlan) -> DataFusionResult<Transformed<LogicalPlan>> {
        rewrite_expressions(plan, |expr, schema| Ok(self.rewrite_one(expr, schema)))
    }
}

impl FunctionRewrite for SessionCasts {
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

impl AnalyzerRule for SessionCasts {
    fn name(&self) -> &str {
        "text_casts"
    }

    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> DataFusionResult<LogicalPlan> {
        Ok(plan.transform_up_with_subqueries(|plan| self.rewrite_plan(plan))?.data)
    }
}
