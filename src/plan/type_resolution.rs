//! One type for values that come from several places: the branches of CASE, the arms of UNION, the arguments
//! of coalesce.
//!
//! DataFusion settles it while it analyses a plan; until then such a column has the type of the first
//! place, and a client would be told that one. Here it is settled as soon as a query is planned, and as
//! PostgreSQL does it: a quoted text takes the type of what stands beside it, integers and numerics become
//! floats, and what has no common type is an error, not text.

mod doubles;

use std::collections::HashMap;
use std::sync::Arc;

use arrow::datatypes::{DataType, FieldRef};
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{DFSchema, Result, ScalarValue};
use datafusion::logical_expr::expr::{Case, Cast, ScalarFunction};
use datafusion::logical_expr::type_coercion::binary::type_union_coercion;
use datafusion::logical_expr::{
    Expr, ExprSchemable, LogicalPlan, LogicalPlanBuilder, RecursiveQuery, Union, lit,
};

use super::expressions::rewrite_expressions;
use super::functions::{holding, is_as_written};
use super::scope::external;
use crate::error::{Error, ErrorKind};
use crate::spec::Type;
use crate::spec::length::is_limited;

/// The plan with the types of such values resolved.
///
/// # Errors
/// DatatypeMismatch where values have no common type.
pub fn with_types_resolved(plan: LogicalPlan) -> Result<LogicalPlan> {
    if !has_several_places(&plan)? {
        return Ok(plan);
    }
    let settled = plan.transform_up_with_subqueries(|node| {
        let node = node.recompute_schema()?;
        let node = rewrite_expressions(node, |expr, schema| match expr {
            Expr::Case(case) => settle_case(case, schema),
            Expr::ScalarFunction(call) => settle_call(call, schema),
            Expr::InSubquery(list) => doubles::settle_in(list, schema),
            other => Ok(Transformed::no(other)),
        })?;
        match node.transformed {
            true => Ok(Transformed::yes(settle(node.data.recompute_schema()?)?)),
            false => Ok(Transformed::yes(settle(node.data)?)),
        }
    });
    Ok(settled?.data)
}

fn has_several_places(plan: &LogicalPlan) -> Result<bool> {
    let mut found = false;
    plan.apply_with_subqueries(|node| {
        found |= matches!(node, LogicalPlan::Union(_) | LogicalPlan::RecursiveQuery(_))
            || doubles::could_be(node);
        node.apply_expressions(|expr| {
            found |= expr.exists(|expr| {
                Ok(match expr {
                    Expr::Case(_) | Expr::InSubquery(_) => true,
                    Expr::ScalarFunction(call) => is_of_one_type(call),
                    _ => false,
                })
            })?;
            Ok(TreeNodeRecursion::Continue)
        })?;
        Ok(if found { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    })?;
    Ok(found)
}

fn settle(node: LogicalPlan) -> Result<LogicalPlan> {
    match node {
        LogicalPlan::Union(union) => settle_union(union),
        LogicalPlan::RecursiveQuery(query) => {
            check_recursion(&query)?;
            Ok(LogicalPlan::RecursiveQuery(query))
        }
        LogicalPlan::Values(values) => doubles::settle_values(values).map(LogicalPlan::Values),
        LogicalPlan::Join(join) => doubles::settle_join(join).map(LogicalPlan::Join),
        other => Ok(other),
    }
}

/// A value's type, and the quoted text or NULL that it is, which takes any.
struct Place {
    field: FieldRef,
    open: Option<Open>,
    /// A number as it is written, which is a numeric beside numerics and a double beside doubles.
    written: bool,
}

/// The texts of a place, in all its rows; none where it is NULL.
type Open = Vec<String>;

/// The type of the first place that decides it.
fn common(what: &str, places: &[Place]) -> Result<Option<FieldRef>> {
    let mut found: Option<FieldRef> = None;
    let (written, typed): (Vec<&Place>, Vec<&Place>) =
        places.iter().filter(|place| place.open.is_none()).partition(|place| place.written);
    let typed = typed.into_iter().map(|place| (place, wider as Wider));
    let written = written.into_iter().map(|place| (place, wider_for_written as Wider));
    for (place, wider) in typed.chain(written) {
        let next = &place.field;
        found = Some(match found {
            None => Arc::clone(next),
            Some(known) if known.data_type() == next.data_type() => known,
            Some(known) => match wider(known.data_type(), next.data_type()) {
                Some(wide) if wide == *known.data_type() => known,
                Some(wide) if wide == *next.data_type() => Arc::clone(next),
                Some(wide) => Arc::new(known.as_ref().clone().with_data_type(wide)),
                None => {
                    let name = |field: &FieldRef| {
                        Type::of_field(field)
                            .map_or_else(|| field.data_type().to_string(), |t| t.to_string())
                    };
                    let (known, next) = (name(&known), name(next));
                    let message = format!("{what} types {known} and {next} cannot be matched");
                    return Err(external(Error::new(ErrorKind::DatatypeMismatch, message)));
                }
            },
        });
    }
    let texts = places.iter().flat_map(|place| &place.open).flatten();
    Ok(found.map(|found| texts.fold(found, |found, text| for_text(found, text))))
}

/// A numeric has room for the digits of a text.
fn for_text(field: FieldRef, text: &str) -> FieldRef {
    match holding(text, field.data_type()) {
        Some(of) if of != *field.data_type() => Arc::new(field.as_ref().clone().with_data_type(of)),
        _ => field,
    }
}

type Wider = fn(&DataType, &DataType) -> Option<DataType>;

/// A double where one of the two is a float and the other a numeric.
fn wider(a: &DataType, b: &DataType) -> Option<DataType> {
    let is_double = a.is_floating() && b.is_decimal() || a.is_decimal() && b.is_floating();
    if is_double { Some(DataType::Float64) } else { wider_for_written(a, b) }
}

fn wider_for_written(a: &DataType, b: &DataType) -> Option<DataType> {
    use DataType::{Date32, Timestamp};
    match (a, b) {
        (Date32, Timestamp(..)) => Some(b.clone()),
        (Timestamp(..), Date32) => Some(a.clone()),
        // Of the two kinds, the one with a time zone is preferred.
        (Timestamp(_, Some(_)), Timestamp(_, None)) => Some(a.clone()),
        (Timestamp(_, None), Timestamp(_, Some(_))) => Some(b.clone()),
        _ if a.is_string() != b.is_string() => None,
        _ => type_union_coercion(a, b),
    }
}

fn settle_case(mut case: Case, schema: &DFSchema) -> Result<Transformed<Expr>> {
    let results = case.when_then_expr.iter().map(|(_, then)| then).chain(&case.else_expr);
    let places = results.map(|result| place(result, schema)).collect::<Result<Vec<_>>>();
    // A parameter whose type is not known yet, or a name that is an error of its own.
    let Ok(places) = places else { return Ok(Transformed::no(Expr::Case(case))) };
    let Some(to) = common("CASE", &places)? else {
        return Ok(Transformed::no(Expr::Case(case)));
    };
    if places.iter().all(|place| place.field.data_type() == to.data_type()) {
        return Ok(Transformed::no(Expr::Case(case)));
    }
    let results = case.when_then_expr.iter_mut().map(|(_, then)| then).chain(&mut case.else_expr);
    for (result, place) in results.zip(&places) {
        if place.field.data_type() != to.data_type() {
            **result = cast_to(std::mem::take(result), &to);
        }
    }
    Ok(Transformed::yes(Expr::Case(case)))
}

fn place(expr: &Expr, schema: &DFSchema) -> Result<Place> {
    let written = is_as_written(expr, schema);
    Ok(Place { field: expr.to_field(schema)?.1, open: open(expr), written })
}

fn open(expr: &Expr) -> Option<Open> {
    match expr {
        Expr::Literal(value, _) if value.is_null() => Some(Vec::new()),
        Expr::Literal(value, _) => {
            value.try_as_str().map(|text| text.map(str::to_owned).into_iter().collect())
        }
        Expr::Alias(alias) => open(&alias.expr),
        _ => None,
    }
}

fn is_of_one_type(call: &ScalarFunction) -> bool {
    matches!(call.func.name(), "coalesce" | "nullif" | "greatest" | "least" | "make_array")
}

/// Among numerics a quoted text keeps its digits; what else it is, the function itself settles.
fn settle_call(mut call: ScalarFunction, schema: &DFSchema) -> Result<Transformed<Expr>> {
    let places = || call.args.iter().map(|arg| place(arg, schema)).collect::<Result<Vec<_>>>();
    if call.func.name() == "nullif" && call.args.len() == 2 {
        return settle_case(null_if(call), schema).map(|case| Transformed::yes(case.data));
    }
    let to = match is_of_one_type(&call) {
        true => places().and_then(|places| common("", &places)).ok().flatten(),
        false => None,
    };
    let Some(to) = to.filter(|to| to.data_type().is_decimal() || to.data_type().is_floating())
    else {
        return Ok(Transformed::no(Expr::ScalarFunction(call)));
    };
    let mut changed = false;
    for arg in &mut call.args {
        let becomes = match to.data_type() {
            DataType::Float64 => arg.get_type(schema).is_ok_and(|of| of.is_decimal()),
            of => of.is_decimal() && open(arg).is_some_and(|texts| !texts.is_empty()),
        };
        if becomes {
            *arg = cast_to(std::mem::take(arg), &to);
            changed = true;
        }
    }
    Ok(Transformed::new_transformed(Expr::ScalarFunction(call), changed))
}

/// The length of one of several texts is not that of the others.
fn cast_to(expr: Expr, to: &FieldRef) -> Expr {
    let to = match Type::of_field(to) {
        Some(of) if is_limited(&of) => to.as_ref().clone().with_metadata(HashMap::new()),
        _ => to.as_ref().clone(),
    };
    let to = Arc::new(to.with_nullable(true));
    Expr::Cast(Cast::new_from_field(Box::new(expr), to))
}

/// `nullif(a, b)` has the type of `a`, whatever `b` is compared in.
fn null_if(mut call: ScalarFunction) -> Case {
    let (second, first) = (call.args.pop(), call.args.pop());
    let (first, second) = (first.unwrap_or_default(), second.unwrap_or_default());
    let equal = (Box::new(first.clone().eq(second)), Box::new(lit(ScalarValue::Null)));
    Case::new(None, vec![equal], Some(Box::new(first)))
}

fn settle_union(union: Union) -> Result<LogicalPlan> {
    let width = union.schema.fields().len();
    if union.inputs.iter().any(|input| input.schema().fields().len() != width) {
        return Ok(LogicalPlan::Union(union));
    }
    let mut types = Vec::with_capacity(width);
    for column in 0..width {
        let places = union.inputs.iter().map(|input| Place {
            field: Arc::clone(input.schema().field(column)),
            open: shown_open(input, column),
            written: shown_written(input, column),
        });
        types.push(common("UNION", &places.collect::<Vec<_>>())?);
    }
    let inputs = union.inputs.iter().map(|input| with_types(input, &types));
    let inputs = inputs.collect::<Result<Vec<_>>>()?;
    Union::try_new_with_loose_types(inputs).map(LogicalPlan::Union)
}

/// The texts of a column that is nothing but literals that take any type.
fn shown_open(plan: &LogicalPlan, column: usize) -> Option<Open> {
    match plan {
        LogicalPlan::Projection(projection) => match &projection.expr[column] {
            Expr::Column(inner) => {
                let column = projection.input.schema().maybe_index_of_column(inner)?;
                shown_open(&projection.input, column)
            }
            expr => open(expr),
        },
        LogicalPlan::Values(values) => {
            let rows = values.values.iter().map(|row| open(&row[column]));
            Some(rows.collect::<Option<Vec<Open>>>()?.concat())
        }
        LogicalPlan::SubqueryAlias(alias) => shown_open(&alias.input, column),
        _ => plan.schema().field(column).data_type().is_null().then(Vec::new),
    }
}

/// Whether a column is nothing but numbers as they are written.
fn shown_written(plan: &LogicalPlan, column: usize) -> bool {
    match plan {
        LogicalPlan::Projection(projection) => match &projection.expr[column] {
            Expr::Column(inner) => {
                let column = projection.input.schema().maybe_index_of_column(inner);
                column.is_some_and(|column| shown_written(&projection.input, column))
            }
            expr => is_as_written(expr, projection.input.schema()),
        },
        LogicalPlan::Values(values) => {
            values.values.iter().all(|row| is_as_written(&row[column], &values.schema))
        }
        LogicalPlan::SubqueryAlias(alias) => shown_written(&alias.input, column),
        _ => false,
    }
}

fn with_types(input: &Arc<LogicalPlan>, types: &[Option<FieldRef>]) -> Result<Arc<LogicalPlan>> {
    let schema = input.schema();
    let differs = |(field, to): (&FieldRef, &Option<FieldRef>)| {
        to.as_ref().is_some_and(|to| to.data_type() != field.data_type())
    };
    if !schema.fields().iter().zip(types).any(differs) {
        return Ok(Arc::clone(input));
    }
    let columns = schema.iter().zip(types).map(|((qualifier, field), to)| {
        let column = Expr::from((qualifier, field));
        match to {
            Some(to) if to.data_type() != field.data_type() => {
                cast_to(column, to).alias_qualified(qualifier.cloned(), field.name())
            }
            _ => column,
        }
    });
    let plan = LogicalPlanBuilder::from(Arc::clone(input)).project(columns)?.build()?;
    Ok(Arc::new(plan))
}

/// The recursive term was cast to the types of the other one: a fraction must not be lost in that.
fn check_recursion(query: &RecursiveQuery) -> Result<()> {
    let LogicalPlan::Projection(projection) = query.recursive_term.as_ref() else { return Ok(()) };
    for (at, expr) in projection.expr.iter().enumerate() {
        let expr = expr.clone().unalias_nested().data;
        let Expr::Cast(Cast { expr, field }) = expr else { continue };
        let from = expr.to_field(projection.input.schema())?.1;
        let is_whole = field.data_type().is_integer() && !from.data_type().is_integer();
        let is_double = field.data_type().is_decimal()
            && from.data_type().is_floating()
            && !is_as_written(&expr, projection.input.schema());
        if is_whole && from.data_type().is_numeric() || is_double {
            let name = |field: &FieldRef| Type::of_field(field).map(|of| of.to_string());
            let (to, from) = (name(&field).unwrap_or_default(), name(&from).unwrap_or_default());
            let message = format!(
                "recursive query \"{}\" column {} has type {to} in non-recursive term but type {from} overall",
                query.name,
                at + 1
            );
            return Err(external(
                Error::new(ErrorKind::DatatypeMismatch, message)
                    .hint("cast the output of the non-recursive term to the correct type"),
            ));
        }
    }
    Ok(())
}
