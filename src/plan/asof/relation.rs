//! The factor that holds an ASOF join, to the carrier: an ordinary join of its kind whose filter has
//! the mark.

use std::sync::Arc;

use arrow::datatypes::{DataType, IntervalUnit};
use datafusion::common::{Column, DFSchema, JoinType, NullEquality, Result, ScalarValue};
use datafusion::logical_expr::planner::{
    PlannedRelation, RelationPlanner, RelationPlannerContext, RelationPlanning,
};
use datafusion::logical_expr::utils::expand_wildcard;
use datafusion::logical_expr::{Expr, ExprSchemable, Join, LogicalPlan, LogicalPlanBuilder};
use datafusion::sql::sqlparser::ast::{
    BinaryOperator, Expr as SqlExpr, FunctionArg, FunctionArgExpr, FunctionArguments,
    JoinConstraint, Spanned, TableFactor, TableWithJoins,
};
use datafusion::sql::sqlparser::tokenizer::Span;

use super::known::{placed, plan_known_at};
use super::marker::{known_marker, match_marker, span_marker, tuple_marker};
use super::{condition, external};
use crate::error::{Error, ErrorKind};
use crate::exec::asof_join::Comparison;
use crate::parse::{AsofKind, AsofSyntax, asof_of};
use crate::plan::using;
use crate::spec::Type;

/// Plans the factors that hold an ASOF join and hands back all others.
#[derive(Debug)]
pub struct AsofRelationPlanner;

impl RelationPlanner for AsofRelationPlanner {
    fn plan_relation(
        &self,
        relation: TableFactor,
        context: &mut dyn RelationPlannerContext,
    ) -> Result<RelationPlanning> {
        let (table_with_joins, alias) = match without_parentheses(relation) {
            TableFactor::NestedJoin { table_with_joins, alias } => (table_with_joins, alias),
            other => return Ok(RelationPlanning::Original(Box::new(other))),
        };
        let Some(syntax) = asof_of(&table_with_joins).map_err(external)? else {
            let factor = TableFactor::NestedJoin { table_with_joins, alias };
            return Ok(RelationPlanning::Original(Box::new(factor)));
        };
        let mut plan = plan_asof(*table_with_joins, syntax, context)?;
        if alias.is_some() {
            // Under one alias only what `*` shows has a name of its own.
            let shown = expand_wildcard(plan.schema(), &plan, None)?;
            plan = LogicalPlanBuilder::from(plan).project(shown)?.build()?;
        }
        Ok(RelationPlanning::Planned(Box::new(PlannedRelation { plan, alias })))
    }
}

/// `(…) AS j` around nothing but a nested join, as that join with the alias.
fn without_parentheses(factor: TableFactor) -> TableFactor {
    match factor {
        TableFactor::NestedJoin { table_with_joins, alias: outer @ Some(_) }
            if table_with_joins.joins.is_empty() =>
        {
            match table_with_joins.relation {
                TableFactor::NestedJoin { table_with_joins, alias: None } => {
                    without_parentheses(TableFactor::NestedJoin { table_with_joins, alias: outer })
                }
                relation => {
                    let table_with_joins = Box::new(TableWithJoins { relation, joins: Vec::new() });
                    TableFactor::NestedJoin { table_with_joins, alias: outer }
                }
            }
        }
        other => other,
    }
}

/// The plan of an ASOF join: a carrier, below a projection where USING makes columns of both sides one.
///
/// # Errors
/// NotSupported for KNOWN AT of what it cannot answer; Syntax without a condition; whatever planning the two
/// sides and the conditions gives.
pub fn plan_asof(
    joined: TableWithJoins,
    syntax: AsofSyntax,
    context: &mut dyn RelationPlannerContext,
) -> Result<LogicalPlan> {
    let join_type = join_type(syntax.kind);
    let Ok([join]) = <[_; 1]>::try_from(joined.joins) else {
        return Err(external(Error::new(ErrorKind::Internal, "an asof join that is not alone")));
    };
    let left = context.plan(joined.relation)?;
    let right = context.plan(join.relation)?;
    let schema = left.schema().join(right.schema())?;
    let mut place = None;
    let condition = match syntax.condition {
        Some(condition) => {
            place = Some(condition.span());
            Some(conjuncts(condition, "MATCH_CONDITION", &schema, context)?)
        }
        None => None,
    };
    let known_at = match syntax.known_at {
        // Which right rows are left over would depend on which label asks.
        Some(written) if matches!(join_type, JoinType::Right | JoinType::Full) => {
            let word = format!("{:?}", syntax.kind).to_uppercase();
            let message = format!("KNOWN AT in an ASOF {word} JOIN is not supported");
            let hint = "use ASOF LEFT JOIN, and ask in WHERE whether there was a match";
            return Err(placed(
                Error::new(ErrorKind::NotSupported, message).hint(hint),
                written.span(),
            ));
        }
        Some(written) => Some(plan_known_at(written, &left, &right, context)?),
        None => None,
    };
    let sides = Sides { left, right, join_type, known_at };
    match syntax.constraint {
        JoinConstraint::On(on) => {
            let place = place.unwrap_or_else(|| on.span());
            let on = conjuncts(on, "ON", &schema, context)?;
            sides.check(&on, condition.as_ref(), place)?;
            sides.join_on(on, condition)
        }
        JoinConstraint::Using(columns) => {
            let columns = using::names(columns, context)?;
            if let Some(place) = place {
                sides.check(&[], condition.as_ref(), place)?;
            }
            sides.join_using(columns, condition)
        }
        JoinConstraint::None if condition.is_some() => {
            sides.check(&[], condition.as_ref(), place.unwrap_or_else(Span::empty))?;
            sides.join_on(Vec::new(), condition)
        }
        JoinConstraint::None => Err(external(
            Error::new(ErrorKind::Syntax, "ASOF JOIN needs MATCH_CONDITION, ON or USING")
                .hint("write ASOF JOIN t ON l.k = t.k AND l.ts >= t.ts"),
        )),
        JoinConstraint::Natural => {
            Err(external(Error::new(ErrorKind::NotSupported, "NATURAL ASOF JOIN is not supported")))
        }
    }
}

fn join_type(kind: AsofKind) -> JoinType {
    match kind {
        AsofKind::Inner => JoinType::Inner,
        AsofKind::Left => JoinType::Left,
        AsofKind::Right => JoinType::Right,
        AsofKind::Full => JoinType::Full,
        AsofKind::Semi => JoinType::LeftSemi,
        AsofKind::Anti => JoinType::LeftAnti,
    }
}

struct Sides {
    left: LogicalPlan,
    right: LogicalPlan,
    join_type: JoinType,
    /// Over the left side; of carriers only.
    known_at: Option<Expr>,
}

impl Sides {
    /// What the analyzer would refuse, refused where the text still says its place.
    fn check(&self, on: &[Expr], condition: Option<&Vec<Expr>>, place: Span) -> Result<()> {
        let scope = condition::Scope { left: self.left.schema(), right: self.right.schema() };
        let sorted = condition::Conditions::sort(on.to_vec(), condition.cloned(), &scope);
        sorted.map(drop).map_err(|error| placed(error, place))
    }

    fn join_on(self, mut on: Vec<Expr>, condition: Option<Vec<Expr>>) -> Result<LogicalPlan> {
        on.push(match_marker(condition.unwrap_or_default()));
        on.extend(self.known_at.map(known_marker));
        let Sides { left, right, join_type, .. } = self;
        LogicalPlanBuilder::from(left).join_on(right, join_type, on)?.build()
    }

    /// Without MATCH_CONDITION the last column is the time.
    ///
    /// As in PostgreSQL the columns of USING come first, once, with the left side's values: copies
    /// under a qualifier of their own, which every name for them that has no qualifier finds.
    fn join_using(self, names: Vec<String>, condition: Option<Vec<Expr>>) -> Result<LogicalPlan> {
        let mark = match_marker(condition.clone().unwrap_or_default());
        match self.join_type {
            JoinType::LeftSemi | JoinType::LeftAnti => {
                return self.semi_join_using(names, condition);
            }
            JoinType::Right | JoinType::Full => {
                return using::join(self.left, self.right, self.join_type, names, Some(mark));
            }
            _ => {}
        }
        let (mut copies, mut on) = (Vec::new(), Vec::new());
        for name in names {
            let (left, of_left) = using_column(&self.left, &name)?;
            let (right, of_right) = using_column(&self.right, &name)?;
            let merged = Column::new(Some(MERGED), name);
            if left != merged {
                copies.push(Expr::Column(left).alias_qualified(Some(MERGED), &merged.name));
            }
            on.push((Expr::Column(merged.clone()), Expr::Column(right.clone())));
            let pair = |l: Column, r: Column| (Expr::Column(l), Expr::Column(r));
            on.extend(of_left.into_iter().map(|l| pair(l, right.clone())));
            on.extend(of_right.into_iter().map(|r| pair(merged.clone(), r)));
        }
        let own = self.left.schema().columns().into_iter().map(Expr::Column);
        let left =
            LogicalPlanBuilder::from(self.left.clone()).project(copies.into_iter().chain(own))?;
        let mark = match_marker(condition.unwrap_or_default());
        let mark = match self.known_at {
            Some(at) => mark.and(known_marker(at)),
            None => mark,
        };
        let join = Join::try_new(
            Arc::new(left.build()?),
            Arc::new(self.right),
            on,
            Some(mark),
            self.join_type,
            datafusion::common::JoinConstraint::Using,
            NullEquality::NullEqualsNothing,
            false,
        )?;
        Ok(LogicalPlan::Join(join))
    }

    /// The right columns cannot be named, so no two are one.
    fn semi_join_using(
        self,
        names: Vec<String>,
        condition: Option<Vec<Expr>>,
    ) -> Result<LogicalPlan> {
        let last = names.len() - 1;
        let mut on = Vec::new();
        for (i, name) in names.iter().enumerate() {
            let left = Expr::Column(using_column(&self.left, name)?.0);
            let right = Expr::Column(using_column(&self.right, name)?.0);
            let is_time = condition.is_none() && i == last;
            on.push(if is_time { left.gt_eq(right) } else { left.eq(right) });
        }
        self.join_on(on, condition)
    }
}

/// The qualifier of the columns that USING merged: it sorts before every name people give, and of
/// columns that USING makes one, DataFusion shows the first.
const MERGED: &str = "!using";

/// The column that an unqualified name means, and all that an earlier USING made one with it.
fn using_column(plan: &LogicalPlan, name: &str) -> Result<(Column, Vec<Column>)> {
    let sets = plan.using_columns()?;
    let schema = plan.schema();
    let column = Column::from_name(name)
        .normalize_with_schemas_and_ambiguity_check(&[&[schema.as_ref()]], &sets)?;
    let set = sets.iter().find(|set| set.contains(&column));
    let mut same = schema.columns();
    same.retain(|other| {
        *other == column || other.name == name && set.is_some_and(|set| set.contains(other))
    });
    Ok((column, same))
}

/// A condition that two rows decide.
fn checked(expr: Expr, clause: &str, schema: &DFSchema, place: Span) -> Result<Expr> {
    condition::refuse_undecided(&expr).map_err(|error| placed(error, place))?;
    let is_literal = matches!(expr, Expr::Literal(..));
    match expr.get_type(schema) {
        Ok(DataType::Null) if is_literal => Ok(Expr::Literal(ScalarValue::Boolean(None), None)),
        Ok(DataType::Boolean | DataType::Null) => Ok(expr),
        Ok(of) if !(is_literal && of.is_string()) => {
            let name = Type::of_storage(&of).map_or_else(|| of.to_string(), |of| of.to_string());
            let message = format!("argument of {clause} must be type boolean, not type {name}");
            Err(placed(Error::new(ErrorKind::DatatypeMismatch, message), place))
        }
        _ => Ok(expr),
    }
}

/// The constant that the distance of two times is compared with, as it is written: `l.t - r.t <= constant`.
fn written_span(
    (left, right): (&SqlExpr, &SqlExpr),
    planned: &Expr,
    schema: &DFSchema,
    context: &mut dyn RelationPlannerContext,
) -> Option<Expr> {
    let Expr::BinaryExpr(comparison) = planned else { return None };
    let (constant, difference) = match (is_constant(left), is_constant(right)) {
        (false, true) => (right, &comparison.left),
        (true, false) => (left, &comparison.right),
        _ => return None,
    };
    let is_span = difference.get_type(schema).is_ok_and(|of| matches!(of, DataType::Duration(_)));
    let constant =
        if is_span { context.sql_to_expr(constant.clone(), schema).ok()? } else { return None };
    let value = match constant {
        Expr::Literal(value, _) => value,
        Expr::Cast(cast) => match *cast.expr {
            Expr::Literal(value, _) if value.data_type().is_string() => value,
            _ => return None,
        },
        _ => return None,
    };
    let span = value.cast_to(&DataType::Interval(IntervalUnit::MonthDayNano)).ok()?;
    Some(Expr::Literal(span, None))
}

fn is_constant(expr: &SqlExpr) -> bool {
    match expr {
        SqlExpr::Interval(_) | SqlExpr::Value(_) | SqlExpr::TypedString(_) => true,
        SqlExpr::Cast { expr, .. } | SqlExpr::Nested(expr) => is_constant(expr),
        _ => false,
    }
}

/// The conditions that AND joins; comparisons of tuples, which DataFusion would take for structs,
/// become marks.
fn conjuncts(
    condition: SqlExpr,
    clause: &str,
    schema: &DFSchema,
    context: &mut dyn RelationPlannerContext,
) -> Result<Vec<Expr>> {
    let mut conjuncts = Vec::new();
    let mut rest = vec![condition];
    while let Some(next) = rest.pop() {
        match next {
            SqlExpr::Nested(inner) => rest.push(*inner),
            SqlExpr::IsNotDistinctFrom(left, right) if is_loose(&right) => {
                rest.push(tightened(left, *right));
            }
            SqlExpr::BinaryOp { left, op: BinaryOperator::And, right } => {
                rest.push(*right);
                rest.push(*left);
            }
            SqlExpr::BinaryOp { left, op, right } => {
                match (row(&left), comparison(&op), row(&right)) {
                    (Some(lefts), Some(comparison), Some(rights)) => {
                        if lefts.len() != rights.len() {
                            let message = "unequal number of entries in row expressions";
                            return Err(external(Error::new(ErrorKind::Syntax, message)));
                        }
                        let mut plan = |side: Vec<SqlExpr>| {
                            side.into_iter().map(|e| context.sql_to_expr(e, schema)).collect()
                        };
                        let (lefts, rights): (Result<Vec<_>>, Result<Vec<_>>) =
                            (plan(lefts), plan(rights));
                        let tuple = tuple_marker(comparison, lefts?, rights?);
                        conjuncts.push(checked(tuple, clause, schema, Span::empty())?);
                    }
                    (_, comparison, _) => {
                        let sides =
                            comparison.map(|_| (left.as_ref().clone(), right.as_ref().clone()));
                        let whole = SqlExpr::BinaryOp { left, op, right };
                        let place = whole.span();
                        let planned = context.sql_to_expr(whole, schema)?;
                        let planned = checked(planned, clause, schema, place)?;
                        let span = sides
                            .and_then(|(l, r)| written_span((&l, &r), &planned, schema, context));
                        conjuncts.push(match span {
                            Some(span) => span_marker(planned, span),
                            None => planned,
                        });
                    }
                }
            }
            other => {
                let place = other.span();
                let planned = context.sql_to_expr(other, schema)?;
                conjuncts.push(checked(planned, clause, schema, place)?);
            }
        }
    }
    Ok(conjuncts)
}

/// The elements of `(a, b)` and `ROW (a, b)`.
fn row(expr: &SqlExpr) -> Option<Vec<SqlExpr>> {
    let call = match expr {
        SqlExpr::Tuple(elements) => return Some(elements.clone()),
        SqlExpr::Function(call) => call,
        _ => return None,
    };
    let FunctionArguments::List(list) = &call.args else { return None };
    let is_row = call.name.to_string().eq_ignore_ascii_case("row");
    let element = |arg: &FunctionArg| match arg {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => Some(expr.clone()),
        _ => None,
    };
    if is_row { list.args.iter().map(element).collect() } else { None }
}

/// Whether the operand holds conditions that belong behind the whole: sqlparser reads
/// `a IS NOT DISTINCT FROM b AND c` as `a IS NOT DISTINCT FROM (b AND c)`.
fn is_loose(operand: &SqlExpr) -> bool {
    matches!(operand, SqlExpr::BinaryOp { op: BinaryOperator::And | BinaryOperator::Or, .. })
}

fn tightened(left: Box<SqlExpr>, operand: SqlExpr) -> SqlExpr {
    match operand {
        SqlExpr::BinaryOp {
            left: first,
            op: op @ (BinaryOperator::And | BinaryOperator::Or),
            right,
        } => SqlExpr::BinaryOp { left: Box::new(tightened(left, *first)), op, right },
        operand => SqlExpr::IsNotDistinctFrom(left, Box::new(operand)),
    }
}

fn comparison(op: &BinaryOperator) -> Option<Comparison> {
    match op {
        BinaryOperator::Lt => Some(Comparison::Less),
        BinaryOperator::LtEq => Some(Comparison::LessOrEqual),
        BinaryOperator::Gt => Some(Comparison::Greater),
        BinaryOperator::GtEq => Some(Comparison::GreaterOrEqual),
        _ => None,
    }
}
