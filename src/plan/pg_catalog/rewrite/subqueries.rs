//! Sub-selects in the place of values, arrays and truths. DataFusion plans a correlated one only as
//! an aggregate whose correlations are equalities between columns of both sides.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::helpers::attached_token::AttachedToken;
use datafusion::sql::sqlparser::ast::{
    BinaryOperator, CaseWhen, Expr, FunctionArg, FunctionArgExpr, FunctionArguments, GroupByExpr,
    Ident, LambdaFunction, LambdaFunctionParameter, LambdaSyntax, LimitClause, OneOrManyWithParens,
    OrderByExpr, OrderByKind, Query, Select, SelectItem, SetExpr, TableFactor, Value, Visit,
    Visitor, visit_expressions_mut,
};

use super::build;
use super::correlation::{outer_conditions, substitute_equals};
use crate::plan::functions::ALIKE;

const AGGREGATES: &[&str] = &[
    "count",
    "sum",
    "avg",
    "min",
    "max",
    "array_agg",
    "string_agg",
    "bool_and",
    "bool_or",
    "every",
    "bit_and",
    "bit_or",
    "bit_xor",
    "json_agg",
    "jsonb_agg",
    "json_object_agg",
    "stddev",
    "stddev_pop",
    "stddev_samp",
    "variance",
    "var_pop",
    "var_samp",
    "corr",
    "covar_pop",
    "covar_samp",
    "median",
    "mode",
    "percentile_cont",
    "percentile_disc",
    "first_value",
    "last_value",
    "nth_value",
    "any_value",
    "approx_distinct",
    "approx_median",
    "approx_percentile_cont",
    "grouping",
    "regr_slope",
    "regr_intercept",
    "regr_count",
    "regr_r2",
    "regr_avgx",
    "regr_avgy",
    "regr_sxx",
    "regr_syy",
    "regr_sxy",
    "asofdb_single_value",
];

/// Rewrites a sub-select, on the way down.
pub fn rewrite(expr: &mut Expr) {
    match expr {
        Expr::Subquery(query) => {
            if let Some(condition) = single_value(query) {
                *expr = Expr::Case {
                    case_token: AttachedToken::empty(),
                    end_token: AttachedToken::empty(),
                    operand: None,
                    conditions: vec![CaseWhen { condition, result: expr.clone() }],
                    else_result: None,
                };
            }
        }
        Expr::Function(function) => {
            let is_array = build::bare(&function.name).as_deref() == Some("array");
            if let (true, FunctionArguments::Subquery(query)) = (is_array, &mut function.args) {
                *expr = array(query);
            }
        }
        Expr::AnyOp { left, right, .. } | Expr::AllOp { left, right, .. } => members(left, right),
        Expr::Exists { subquery, .. } | Expr::InSubquery { subquery, .. } => {
            if let Some(select) = select_mut(subquery) {
                substitute_equals(select);
            }
        }
        _ => {}
    }
}

/// What a value is compared with by ANY and ALL: a sub-select of many rows, which stays one, or an
/// array, which may be written as text.
fn members(value: &mut Expr, members: &mut Expr) {
    match members {
        Expr::Subquery(query) => {
            let rows = build::derived(query.as_ref().clone(), Some(build::alias("members", &[])));
            let all = vec![SelectItem::Wildcard(Default::default())];
            **query = build::select(all, vec![rows], None);
        }
        Expr::Value(text) if matches!(text.value, Value::SingleQuotedString(_)) => {
            let like = build::call("make_array", vec![value.clone()]);
            *members = build::call(ALIKE, vec![members.clone(), like]);
            // A numeric is compared with numerics that are not rounded to its scale.
            *value = build::call(ALIKE, vec![value.clone(), value.clone()]);
        }
        _ => {}
    }
}

/// The select of a sub-select in the place of a value or an array.
pub fn inner_select(expr: &mut Expr) -> Option<&mut Select> {
    match expr {
        Expr::Subquery(query) => select_mut(query),
        Expr::Function(function) => match &mut function.args {
            FunctionArguments::Subquery(query) => select_mut(query),
            _ => None,
        },
        _ => None,
    }
}

/// A sub-select without rows: NULL in the place of a value, no items in the place of an array.
pub fn replace_empty(expr: &mut Expr) {
    let null = build::value(Value::Null);
    *expr = match expr {
        Expr::Subquery(_) => null,
        _ => build::call("asofdb_rows", vec![null]),
    };
}

/// The select that a query is; None for a set operation, VALUES or WITH.
fn select_mut(query: &mut Query) -> Option<&mut Select> {
    match (query.with.is_none(), query.body.as_mut()) {
        (true, SetExpr::Select(select)) => Some(select),
        _ => None,
    }
}

/// Whether the select makes its rows by grouping.
pub fn is_aggregate(select: &Select) -> bool {
    let grouped = match &select.group_by {
        GroupByExpr::All(_) => true,
        GroupByExpr::Expressions(exprs, _) => !exprs.is_empty(),
    };
    grouped || select.having.is_some() || select.projection.iter().any(has_aggregate)
}

fn has_aggregate(item: &SelectItem) -> bool {
    let (SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. }) = item else {
        return false;
    };
    expr.visit(&mut FindAggregate { depth: 0 }).is_break()
}

/// Looks for a call of an aggregate or window function, but not inside sub-selects.
struct FindAggregate {
    depth: usize,
}

impl Visitor for FindAggregate {
    type Break = ();

    fn pre_visit_query(&mut self, _: &Query) -> ControlFlow<()> {
        self.depth += 1;
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _: &Query) -> ControlFlow<()> {
        self.depth -= 1;
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
        let Expr::Function(function) = expr else {
            return ControlFlow::Continue(());
        };
        let name = build::bare(&function.name).unwrap_or_default();
        match self.depth == 0 && (function.over.is_some() || AGGREGATES.contains(&name.as_str())) {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        }
    }
}

/// A select of rows as they come: nothing groups, filters or counts them after WHERE.
fn is_plain(select: &Select) -> bool {
    select.distinct.is_none()
        && select.top.is_none()
        && select.qualify.is_none()
        && !select.from.is_empty()
        && !is_aggregate(select)
}

fn only_result(select: &mut Select) -> Option<&mut Expr> {
    match select.projection.as_mut_slice() {
        [SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. }] => Some(expr),
        _ => None,
    }
}

fn take(expr: &mut Expr) -> Expr {
    std::mem::replace(expr, build::value(Value::Null))
}

/// How many rows a query is cut to.
enum Limit {
    None,
    One,
    Other,
}

fn limit(query: &Query) -> Limit {
    if query.fetch.is_some() {
        return Limit::Other;
    }
    match &query.limit_clause {
        None => Limit::None,
        Some(LimitClause::LimitOffset { limit: Some(Expr::Value(v)), offset: None, limit_by })
            if limit_by.is_empty() && matches!(&v.value, Value::Number(n, _) if n == "1") =>
        {
            Limit::One
        }
        Some(_) => Limit::Other,
    }
}

fn order(query: &Query, result: &Expr) -> Vec<OrderByExpr> {
    let Some(OrderByKind::Expressions(exprs)) = query.order_by.as_ref().map(|o| &o.kind) else {
        return Vec::new();
    };
    let mut exprs = exprs.clone();
    for by in &mut exprs {
        if matches!(&by.expr, Expr::Value(v) if matches!(&v.value, Value::Number(n, _) if n == "1"))
        {
            by.expr = result.clone();
        }
    }
    exprs
}

/// Makes an aggregate of a select that is used as a value. Returns a condition on the outer row that
/// must hold for there to be a row at all.
fn single_value(query: &mut Query) -> Option<Expr> {
    let cut = limit(query);
    let select = select_mut(query)?;
    if !is_plain(select) || matches!(cut, Limit::Other) {
        return None;
    }
    only_result(select)?;
    substitute_equals(select);
    let condition = outer_conditions(select);
    let mut result = only_result(select).map(take)?;
    let by = order(query, &result);
    result = match cut {
        Limit::One => build::call_with("first_value", build::arguments(vec![result]), by),
        Limit::None | Limit::Other => build::call("asofdb_single_value", vec![result]),
    };
    query.order_by = None;
    query.limit_clause = None;
    let select = select_mut(query)?;
    *only_result(select)? = result;
    condition
}

/// `ARRAY(SELECT …)`.
fn array(query: &mut Query) -> Expr {
    if let Some(mapped) = array_of_unnest(query) {
        return build::call("asofdb_rows", vec![mapped]);
    }
    let cut = limit(query);
    let plain = select_mut(query).is_some_and(|s| is_plain(s) && only_result(s).is_some());
    if !plain || !matches!(cut, Limit::None) {
        let item = Expr::Identifier(Ident::new("item"));
        let rows = build::derived(query.clone(), Some(build::alias("rows", &["item"])));
        let all = SelectItem::UnnamedExpr(build::call("array_agg", vec![item]));
        let all = build::select(vec![all], vec![rows], None);
        return build::call("asofdb_rows", vec![Expr::Subquery(Box::new(all))]);
    }
    let mut query = query.clone();
    if let Some(select) = select_mut(&mut query) {
        substitute_equals(select);
        if let Some(result) = only_result(select).map(take) {
            let by = order(&query, &result);
            query.order_by = None;
            let all = build::call_with("array_agg", build::arguments(vec![result]), by);
            if let Some(place) = select_mut(&mut query).and_then(only_result) {
                *place = all;
            }
        }
    }
    build::call("asofdb_rows", vec![Expr::Subquery(Box::new(query))])
}

/// `ARRAY(SELECT e FROM unnest(a) x WHERE p)`: `a` filtered and mapped, which may be the outer row's.
fn array_of_unnest(query: &mut Query) -> Option<Expr> {
    if query.order_by.is_some() || !matches!(limit(query), Limit::None) {
        return None;
    }
    let select = select_mut(query)?;
    if !is_plain(select) || select.from.len() != 1 || !select.from[0].joins.is_empty() {
        return None;
    }
    let (array, item) = unnested(&select.from[0].relation)?;
    let result = only_result(select)?.clone();
    let mut mapped = array;
    if let Some(filter) = &select.selection {
        mapped = build::call("array_filter", vec![mapped, lambda(&item, filter.clone())]);
    }
    match &result {
        Expr::Identifier(ident) if ident.value == item.value => {}
        _ => mapped = build::call("array_transform", vec![mapped, lambda(&item, result)]),
    }
    Some(mapped)
}

/// The array and the name of its items in `unnest(a) AS x`, `unnest(a) AS t(x)`.
fn unnested(factor: &TableFactor) -> Option<(Expr, Ident)> {
    let (array, alias) = match factor {
        TableFactor::UNNEST { array_exprs, alias, with_ordinality: false, .. } => {
            let [array] = array_exprs.as_slice() else { return None };
            (array.clone(), alias)
        }
        TableFactor::Table { name, args: Some(args), alias, with_ordinality: false, .. }
            if build::bare(name).as_deref() == Some("unnest") =>
        {
            let [FunctionArg::Unnamed(FunctionArgExpr::Expr(array))] = args.args.as_slice() else {
                return None;
            };
            (array.clone(), alias)
        }
        _ => return None,
    };
    let alias = alias.as_ref()?;
    match alias.columns.as_slice() {
        [] => Some((array, alias.name.clone())),
        [column] => Some((array, column.name.clone())),
        _ => None,
    }
}

fn lambda(item: &Ident, body: Expr) -> Expr {
    Expr::Lambda(LambdaFunction {
        params: OneOrManyWithParens::One(LambdaFunctionParameter {
            name: item.clone(),
            data_type: None,
        }),
        body: Box::new(body),
        syntax: LambdaSyntax::Arrow,
    })
}

/// EXISTS among the results of a select: a count.
pub fn exists_to_count(expr: &mut Expr) {
    let _: ControlFlow<()> = visit_expressions_mut(expr, |e| {
        let Expr::Exists { subquery, negated } = e else {
            return ControlFlow::Continue(());
        };
        let (negated, cut) = (*negated, limit(subquery));
        let Some(select) = select_mut(subquery) else {
            return ControlFlow::Continue(());
        };
        if !is_plain(select) || !matches!(cut, Limit::None) {
            return ControlFlow::Continue(());
        }
        substitute_equals(select);
        let count = build::call("count", vec![build::number(1)]);
        let op = if negated { BinaryOperator::Eq } else { BinaryOperator::Gt };
        let truth = build::binary(count, op, build::number(0));
        select.projection = vec![SelectItem::UnnamedExpr(truth)];
        subquery.order_by = None;
        let counted = Expr::Subquery(subquery.clone());
        *e = build::call("coalesce", vec![counted, build::value(Value::Boolean(negated))]);
        ControlFlow::Continue(())
    });
}

/// A select that has no rows needs none of its sub-selects.
pub fn make_empty(select: &mut Select) {
    select.selection = Some(build::value(Value::Boolean(false)));
    for item in &mut select.projection {
        if let SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } = item {
            let _: ControlFlow<()> = visit_expressions_mut(expr, |e| {
                if matches!(e, Expr::Exists { .. }) {
                    *e = build::value(Value::Boolean(false));
                } else if inner_select(e).is_some() {
                    replace_empty(e);
                }
                ControlFlow::Continue(())
            });
        }
    }
}
