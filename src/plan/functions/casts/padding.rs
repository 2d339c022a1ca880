//! char(n), whose trailing blanks do not count: it is kept without them.
//!
//! What it is compared with loses its own, unless that is text, to which char(n) itself would go without
//! them. LIKE, and the functions that take any type, read it padded.

use std::sync::Arc;

use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::Transformed;
use datafusion::common::{DFSchema, ScalarValue};
use datafusion::error::Result as DataFusionResult;
use datafusion::functions::string::rtrim;
use datafusion::logical_expr::expr_rewriter::FunctionRewrite;
use datafusion::logical_expr::{Case, Expr, ExprSchemable, ScalarUDF};

use super::beside::each_compared;
use super::function::{SessionCast, Way, type_of};
use crate::plan::functions::SessionFacts;
use crate::spec::Type;

/// Functions that see the padding.
const PADDED: [&str; 4] = ["octet_length", "concat", "concat_ws", "format"];

/// In comparisons, LIKE and calls.
#[derive(Debug)]
pub struct Padding {
    facts: Arc<SessionFacts>,
}

impl Padding {
    pub fn new(facts: &Arc<SessionFacts>) -> Padding {
        Padding { facts: Arc::clone(facts) }
    }

    /// Writes a char(n) with its padding.
    fn pad(&self, expr: &mut Expr, schema: &DFSchema) -> bool {
        let Some(of @ Type::Char(_)) = known(expr, schema) else { return false };
        let cast =
            SessionCast::new(Way::Write(of), &Type::Text.field("", true), false, &self.facts);
        *expr = ScalarUDF::new_from_impl(cast).call(vec![std::mem::take(expr)]);
        true
    }
}

fn known(expr: &Expr, schema: &DFSchema) -> Option<Type> {
    match expr {
        // Chains of operators are not char(n), and would be spelled out to be typed.
        Expr::BinaryExpr(_) => None,
        expr => expr.to_field(schema).ok().and_then(|(_, field)| type_of(&field)),
    }
}

/// Takes the blanks off what a char(n) is compared with; whether there was anything to take.
fn trim(expr: &mut Expr, other: &Expr, schema: &DFSchema) -> bool {
    if let Expr::Literal(value, _) = expr {
        let Some(text) = value.try_as_str().flatten() else { return false };
        let trimmed = text.trim_end_matches(' ');
        if trimmed.len() == text.len() || !matches!(known(other, schema), Some(Type::Char(_))) {
            return false;
        }
        *expr = Expr::Literal(ScalarValue::Utf8View(Some(trimmed.to_owned())), None);
        return true;
    }
    let is_open = matches!(expr, Expr::Placeholder(_));
    if !matches!(known(other, schema), Some(Type::Char(_)))
        || !is_open && !matches!(known(expr, schema), Some(Type::Varchar(_)))
    {
        return false;
    }
    *expr = rtrim().call(vec![std::mem::take(expr)]);
    true
}

impl FunctionRewrite for Padding {
    fn name(&self) -> &str {
        "padding"
    }

    fn rewrite(
        &self,
        mut expr: Expr,
        schema: &DFSchema,
        _: &ConfigOptions,
    ) -> DataFusionResult<Transformed<Expr>> {
        let mut changed = each_compared(&mut expr, |one, other| trim(one, other, schema));
        match &mut expr {
            Expr::Case(Case { expr: Some(expr), when_then_expr, .. }) => {
                for (when, _) in when_then_expr {
                    changed |= trim(when, expr, schema);
                }
            }
            Expr::Like(like) => changed |= self.pad(&mut like.expr, schema),
            Expr::ScalarFunction(call) if PADDED.contains(&call.func.name()) => {
                for arg in &mut call.args {
                    changed |= self.pad(arg, schema);
                }
            }
            _ => {}
        }
        Ok(if changed { Transformed::yes(expr) } else { Transformed::no(expr) })
    }
}
