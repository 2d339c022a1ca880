//! The types of a statement's parameters: what the client declared, else what a cast around one says,
//! else what the expressions beside it want.

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{DFSchema, ScalarValue};
use datafusion::error::Result as DataFusionResult;
use datafusion::logical_expr::expr::{Placeholder, ScalarFunction};
use datafusion::logical_expr::planner::TypePlanner;
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{Expr, ExprSchemable, LogicalPlan};
use datafusion::sql::sqlparser::ast::{
    CastKind, Expr as SqlExpr, FunctionArg, FunctionArgExpr, TableFactor, Value, Visit, Visitor,
};

use super::functions::{PostgresTypes, unscaled};
use super::pg_catalog::rewrite::is_named;
use super::scope::external;
use super::version_parameters::version_types;
use crate::error::Result;
use crate::fault;
use crate::parse::version_of;
use crate::spec::Type;

/// The parameters of a statement.
#[derive(Clone, Debug, Default)]
pub struct Parameters {
    /// What each is taken as; None where nothing tells it.
    pub fields: Vec<Option<FieldRef>>,
    /// Their values; none while the statement is only described.
    pub values: Vec<ScalarValue>,
}

impl Parameters {
    /// The value of the parameter that an expression is: NULL while there is none.
    pub fn value_of(&self, expr: &Expr) -> Option<ScalarValue> {
        let Expr::Placeholder(Placeholder { id, field }) = expr else { return None };
        let known = position(id).and_then(|at| self.values.get(at)).cloned();
        let null = || {
            let of = field.as_ref().map_or(&DataType::Null, |field| field.data_type());
            ScalarValue::try_from(of).unwrap_or(ScalarValue::Null)
        };
        Some(known.unwrap_or_else(null))
    }
}

/// The position of a parameter, from 0.
pub fn placeholder(value: &SqlExpr) -> Option<usize> {
    match value {
        SqlExpr::Value(value) => match &value.value {
            Value::Placeholder(name) => position(name),
            _ => None,
        },
        SqlExpr::Nested(inner) => placeholder(inner),
        _ => None,
    }
}

fn position(name: &str) -> Option<usize> {
    name.trim_start_matches('$').parse::<usize>().ok()?.checked_sub(1)
}

/// Types that `$n::type` and `CAST ($n AS type)` give, the first of each parameter.
///
/// # Errors
/// UndefinedObject for a type that is none.
pub fn cast_types(tree: &impl Visit, found: &mut [Option<FieldRef>]) -> Result<()> {
    match tree.visit(&mut CastTypes(found)) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(error) => Err(fault::of_datafusion(error)),
    }
}

struct CastTypes<'a>(&'a mut [Option<FieldRef>]);

impl Visitor for CastTypes<'_> {
    type Break = datafusion::error::DataFusionError;

    fn pre_visit_expr(&mut self, expr: &SqlExpr) -> ControlFlow<Self::Break> {
        let SqlExpr::Cast { kind: CastKind::Cast | CastKind::DoubleColon, expr, data_type, .. } =
            expr
        else {
            return ControlFlow::Continue(());
        };
        let slot = placeholder(expr).and_then(|at| self.0.get_mut(at));
        let Some(slot) = slot.filter(|slot| slot.is_none()) else {
            return ControlFlow::Continue(());
        };
        if is_named(data_type) {
            // Drivers send names and numbers alike as text.
            *slot = Some(Arc::new(Type::Text.field("", true)));
            return ControlFlow::Continue(());
        }
        match PostgresTypes.plan_type_field(data_type) {
            Ok(field) => *slot = field,
            Err(error) => return ControlFlow::Break(error),
        }
        ControlFlow::Continue(())
    }

    /// Versions and arguments in the place of a table are not part of a plan.
    fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<Self::Break> {
        match version_of(factor) {
            Ok(Some(spec)) => version_types(&spec, self.0),
            Ok(None) => {}
            Err(error) => return ControlFlow::Break(external(error)),
        }
        let (name, args) = match factor {
            TableFactor::Table { name, args: Some(args), .. } => (name, &args.args),
            TableFactor::Function { name, args, .. } => (name, args),
            _ => return ControlFlow::Continue(()),
        };
        let last = name.0.last().and_then(|part| part.as_ident());
        let is = |known: &str| last.is_some_and(|name| name.value.eq_ignore_ascii_case(known));
        // The counts of the one, and the commit of the other, which stands behind its table.
        let before = usize::from(is("ancestors_of"));
        if is("generate_series") || before > 0 {
            for arg in args.iter().skip(before) {
                if let FunctionArg::Unnamed(FunctionArgExpr::Expr(arg)) = arg
                    && let Some(slot @ None) = placeholder(arg).and_then(|at| self.0.get_mut(at))
                {
                    *slot = Some(Arc::new(Type::Int8.field("", true)));
                }
            }
        }
        ControlFlow::Continue(())
    }
}

/// Types that a plan's expressions give to parameters that have none.
///
/// # Errors
/// Internal where the plan cannot be walked.
pub fn inferred_types(plan: &LogicalPlan, found: &mut [Option<FieldRef>]) -> Result<()> {
    let mut types: HashMap<String, FieldRef> = HashMap::new();
    let walked = plan.apply_with_subqueries(|plan| {
        let schema = merge_schema(&plan.inputs());
        if let LogicalPlan::Limit(limit) = plan {
            for bound in limit.skip.iter().chain(&limit.fetch) {
                if let Some(id) = open(bound) {
                    types.entry(id).or_insert_with(|| Arc::new(Type::Int8.field("", true)));
                }
            }
        }
        plan.apply_expressions(|expr| {
            expr.apply(|expr| {
                beside_others(expr, &schema, &mut types)?;
                if let Expr::Placeholder(Placeholder { id, field: Some(field) }) = expr {
                    types.entry(id.clone()).or_insert_with(|| Arc::clone(field));
                }
                Ok(TreeNodeRecursion::Continue)
            })
        })
    });
    walked.map_err(fault::of_datafusion)?;
    for (id, field) in types {
        let slot = position(&id).and_then(|at| found.get_mut(at));
        if let Some(slot @ None) = slot
            && *field.data_type() != DataType::Null
        {
            // Operators are of text and of numerics, whatever their operands are bounded to.
            *slot = Some(match Type::of_field(&field) {
                Some(Type::Varchar(_)) => Arc::new(Type::Text.field("", true)),
                Some(Type::Numeric(..)) => {
                    let of = unscaled(field.data_type());
                    Arc::new(field.as_ref().clone().with_data_type(of))
                }
                _ => field,
            });
        }
    }
    Ok(())
}

/// The name of a parameter without a type.
fn open(expr: &Expr) -> Option<String> {
    match expr {
        Expr::Placeholder(Placeholder { id, field: None }) => Some(id.clone()),
        Expr::Cast(cast) => open(&cast.expr),
        _ => None,
    }
}

/// Arguments of functions that take their type from one another.
fn beside_others(
    expr: &Expr,
    schema: &DFSchema,
    types: &mut HashMap<String, FieldRef>,
) -> DataFusionResult<()> {
    let Expr::ScalarFunction(ScalarFunction { func, args }) = expr else { return Ok(()) };
    match (func.name(), args.as_slice()) {
        ("array_has", [list, item]) => {
            if let (Some(id), None) = (open(list), open(item)) {
                let (_, item) = item.to_field(schema)?;
                let item = item.as_ref().clone().with_name("item").with_nullable(true);
                let list = Field::new("", DataType::List(Arc::new(item)), true);
                types.entry(id).or_insert_with(|| Arc::new(list));
            } else if let (None, Some(id)) = (open(list), open(item))
                && let (_, list) = list.to_field(schema)?
                && let DataType::List(item) = list.data_type()
            {
                types.entry(id).or_insert_with(|| Arc::clone(item));
            }
        }
        ("asofdb_json_get" | "asofdb_json_get_text" | "jsonb_exists", [_, key]) => {
            if let Some(id) = open(key) {
                types.entry(id).or_insert_with(|| Arc::new(Type::Text.field("", true)));
            }
        }
        ("coalesce" | "nullif" | "greatest" | "least", args) => {
            let Some(typed) = args.iter().find(|arg| open(arg).is_none()) else { return Ok(()) };
            let (_, field) = typed.to_field(schema)?;
            for id in args.iter().filter_map(open) {
                types.entry(id).or_insert_with(|| Arc::clone(&field));
            }
        }
        _ => {}
    }
    Ok(())
}
