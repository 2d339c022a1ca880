//! The conditions of an ASOF join, told apart: keys, the match, its tolerance, and the rest.

use arrow::datatypes::DataType;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, DFSchema, ScalarValue};
use datafusion::logical_expr::expr::Between;
use datafusion::logical_expr::{BinaryExpr, Expr, ExprSchemable, Operator, lit};

use super::marker::{as_span_marker, as_tuple_marker, tuple_marker};
use super::moved::moved;
use super::node::{AsofOn, ToleranceExpr};
use crate::error::{Error, ErrorKind, Result};
use crate::exec::asof_join::Comparison;
use crate::plan::functions::below_clock;

/// Whose columns an expression reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Neither,
    Left,
    Right,
    Both,
}

/// What an expression's columns can belong to.
pub(super) struct Scope<'a> {
    pub(super) left: &'a DFSchema,
    pub(super) right: &'a DFSchema,
}

/// `left <comparison> right`, element by element, whichever way round it was written.
#[derive(Clone, Debug)]
pub(super) struct Inequality {
    pub(super) pairs: Vec<(Expr, Expr)>,
    pub(super) comparison: Comparison,
    /// Written with the right input's operand first.
    pub(super) swapped: bool,
    source: Expr,
}

/// All conditions of one join.
#[derive(Debug)]
pub(super) struct Conditions {
    pub(super) on: Vec<AsofOn>,
    pub(super) matched: Inequality,
    pub(super) tolerance: Option<ToleranceExpr>,
    pub(super) left_only: Vec<Expr>,
    pub(super) right_only: Vec<Expr>,
    pub(super) residual: Vec<Expr>,
}

#[derive(Default)]
struct Sorted {
    on: Vec<AsofOn>,
    inequalities: Vec<Inequality>,
    left_only: Vec<Expr>,
    right_only: Vec<Expr>,
    /// Over both sides, and nothing of the above.
    mixed: Vec<Expr>,
}

impl Conditions {
    /// Sorts the conditions of ON (or USING) and those of MATCH_CONDITION; without the latter the
    /// match is the one inequality of ON.
    ///
    /// # Errors
    /// Syntax where there is no inequality to match by, or more than one; NotSupported for a
    /// condition whose value is not decided by the two rows.
    pub(super) fn sort(
        on: Vec<Expr>,
        match_condition: Option<Vec<Expr>>,
        scope: &Scope<'_>,
    ) -> Result<Conditions> {
        let mut sorted = Sorted::default();
        on.into_iter().try_for_each(|expr| sorted.add(expr, scope))?;
        let matched = match match_condition {
            None => {
                let at = find_match(&sorted.inequalities, scope)?;
                sorted.inequalities.remove(at)
            }
            Some(conditions) => sorted.add_match(conditions, scope)?,
        };
        let mut tolerance = None;
        let mut residual = Vec::new();
        for other in sorted.inequalities {
            match as_tolerance(&matched, &other, scope).filter(|_| tolerance.is_none()) {
                Some(found) => tolerance = Some(found),
                None => residual.push(scope.endless(spelled(other.source))?),
            }
        }
        for other in sorted.mixed {
            match difference(&matched, &other, scope).filter(|_| tolerance.is_none()) {
                Some(found) => tolerance = Some(found),
                None => residual.push(scope.endless(spelled(other))?),
            }
        }
        let Sorted { on, left_only, right_only, .. } = sorted;
        Ok(Conditions { on, matched, tolerance, left_only, right_only, residual })
    }
}

impl Sorted {
    fn add(&mut self, expr: Expr, scope: &Scope<'_>) -> Result<()> {
        if let Expr::Between(Between { expr, negated: false, low, high }) = expr {
            self.add(Expr::clone(&expr).gt_eq(*low), scope)?;
            return self.add(expr.lt_eq(*high), scope);
        }
        refuse_undecided(&expr)?;
        match scope.side(&expr) {
            Side::Neither | Side::Left => self.left_only.push(spelled(expr)),
            Side::Right => self.right_only.push(spelled(expr)),
            Side::Both => {
                if let Some(key) = as_key(&expr, scope) {
                    if !self.on.contains(&key) {
                        self.on.push(key);
                    }
                } else if let Some(inequality) = as_inequality(&expr, scope) {
                    if self.inequalities.iter().all(|known| known.source != inequality.source) {
                        self.inequalities.push(inequality);
                    }
                } else {
                    self.mixed.push(expr);
                }
            }
        }
        Ok(())
    }

    /// Takes the match out of MATCH_CONDITION; what else it says must be the tolerance.
    fn add_match(&mut self, conditions: Vec<Expr>, scope: &Scope<'_>) -> Result<Inequality> {
        let mut own = Sorted::default();
        conditions.into_iter().try_for_each(|expr| own.add(expr, scope))?;
        let single = || {
            Error::new(ErrorKind::Syntax, "ASOF MATCH_CONDITION must be a single comparison")
                .hint("write MATCH_CONDITION (l.ts >= r.ts), and other conditions in ON")
        };
        if own.inequalities.is_empty() {
            return Err(match own.on.is_empty() && !own.left_only.is_empty() {
                true => misplaced("right"),
                false if own.on.is_empty() && !own.right_only.is_empty() => misplaced("left"),
                false => single(),
            });
        }
        let matched =
            own.inequalities.remove(find_match(&own.inequalities, scope).map_err(|_| single())?);
        if matched.swapped {
            return Err(misplaced("left").hint("write the left input's column first"));
        }
        let tolerances = own.mixed.iter().all(|other| difference(&matched, other, scope).is_some());
        let rest = [&own.left_only, &own.right_only];
        if !tolerances || !own.on.is_empty() || rest.iter().any(|exprs| !exprs.is_empty()) {
            return Err(single());
        }
        self.inequalities.splice(0..0, own.inequalities);
        self.mixed.splice(0..0, own.mixed);
        Ok(matched)
    }
}

fn misplaced(side: &str) -> Error {
    let message =
        format!("ASOF MATCH_CONDITION {side} operand must reference only the {side} input");
    Error::new(ErrorKind::Syntax, message)
}

impl Scope<'_> {
    pub(super) fn side(&self, expr: &Expr) -> Side {
        expr.column_refs().into_iter().fold(Side::Neither, |side, column| {
            let own = self.owner(column);
            match (side, own) {
                (Side::Neither, own) => own,
                (side, own) if side == own => side,
                _ => Side::Both,
            }
        })
    }

    fn owner(&self, column: &Column) -> Side {
        let exact = |schema: &DFSchema| {
            schema.iter().any(|(q, f)| q == column.relation.as_ref() && *f.name() == column.name)
        };
        if exact(self.left) || !exact(self.right) && self.left.is_column_from_schema(column) {
            Side::Left
        } else {
            Side::Right
        }
    }
}

impl Scope<'_> {
    /// A date that is compared with a time is written as the midnight it begins with: the date.
    fn day<'a>(&self, expr: &'a Expr) -> &'a Expr {
        let below = match expr {
            Expr::Cast(cast) if matches!(cast.field.data_type(), DataType::Timestamp(..)) => {
                Some(cast.expr.as_ref())
            }
            other => below_clock(other),
        };
        let is_day = |of: &&Expr| {
            let in_schema = |schema| of.get_type(schema).is_ok_and(|of| of == DataType::Date32);
            in_schema(self.left) || in_schema(self.right)
        };
        below.filter(is_day).unwrap_or(expr)
    }

    fn is_same(&self, a: &Expr, b: &Expr) -> bool {
        a == b || self.day(a) == self.day(b)
    }

    /// The condition with times that are moved by intervals without their overflow.
    fn endless(&self, condition: Expr) -> Result<Expr> {
        let schemas = [self.left, self.right];
        let moved = condition.transform_up(|expr| match &expr {
            Expr::BinaryExpr(_) => Ok(Transformed::yes(moved(expr, &schemas))),
            _ => Ok(Transformed::no(expr)),
        });
        let broken = |cause| Error::new(ErrorKind::Internal, "an expression").caused_by(cause);
        moved.map(|moved| moved.data).map_err(broken)
    }
}

/// Refuses what is not decided by the two rows.
///
/// # Errors
/// Grouping for aggregates and windows; NotSupported for subqueries and volatile functions.
pub(super) fn refuse_undecided(expr: &Expr) -> Result<()> {
    let mut refused = None;
    let found = expr.apply(|node| {
        refused = match node {
            Expr::AggregateFunction(_) | Expr::WindowFunction(_) | Expr::GroupingSet(_) => {
                Some(Error::new(
                    ErrorKind::Grouping,
                    "aggregate functions are not allowed in ASOF JOIN conditions",
                ))
            }
            Expr::Exists(_) | Expr::InSubquery(_) | Expr::ScalarSubquery(_) => Some(
                Error::new(
                    ErrorKind::NotSupported,
                    "a subquery in the condition of an ASOF JOIN is not supported",
                )
                .hint("join to the subquery, or filter in WHERE"),
            ),
            Expr::OuterReferenceColumn(..) => Some(Error::new(
                ErrorKind::NotSupported,
                "a column of an outer query in the condition of an ASOF JOIN is not supported",
            )),
            node if node.is_volatile_node() => Some(Error::new(
                ErrorKind::NotSupported,
                "ASOF JOIN conditions must be deterministic",
            )),
            _ => None,
        };
        Ok(if refused.is_some() { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    });
    found.map_err(|cause| Error::new(ErrorKind::Internal, "an expression").caused_by(cause))?;
    refused.map_or(Ok(()), Err)
}

/// The two sides, left input's first, and whether they were written the other way round.
fn separated<'a>(
    a: &'a Expr,
    b: &'a Expr,
    scope: &Scope<'_>,
) -> Option<(&'a Expr, &'a Expr, bool)> {
    match (scope.side(a), scope.side(b)) {
        (Side::Left, Side::Right) => Some((a, b, false)),
        (Side::Right, Side::Left) => Some((b, a, true)),
        _ => None,
    }
}

fn as_key(expr: &Expr, scope: &Scope<'_>) -> Option<AsofOn> {
    let Expr::BinaryExpr(BinaryExpr { left, op, right }) = expr else { return None };
    let null_equal = match op {
        Operator::Eq => false,
        Operator::IsNotDistinctFrom => true,
        _ => return None,
    };
    let (left, right, _) = separated(left, right, scope)?;
    Some(AsofOn { left: left.clone(), right: right.clone(), null_equal })
}

fn as_comparison(op: Operator) -> Option<Comparison> {
    match op {
        Operator::Lt => Some(Comparison::Less),
        Operator::LtEq => Some(Comparison::LessOrEqual),
        Operator::Gt => Some(Comparison::Greater),
        Operator::GtEq => Some(Comparison::GreaterOrEqual),
        _ => None,
    }
}

fn as_inequality(expr: &Expr, scope: &Scope<'_>) -> Option<Inequality> {
    let source = expr.clone();
    let written: (Comparison, Vec<(&Expr, &Expr)>) = match expr {
        Expr::BinaryExpr(BinaryExpr { left, op, right }) => {
            (as_comparison(*op)?, vec![(left, right)])
        }
        other => {
            let (comparison, lefts, rights) = as_tuple_marker(other)?;
            (comparison, lefts.iter().zip(rights).collect())
        }
    };
    let (comparison, written) = written;
    let pairs = written.into_iter().map(|(a, b)| separated(a, b, scope));
    let pairs = pairs.collect::<Option<Vec<_>>>()?;
    let swapped = pairs.first()?.2;
    if pairs.iter().any(|pair| pair.2 != swapped) {
        return None;
    }
    let comparison = if swapped { comparison.swapped() } else { comparison };
    let pairs = pairs.into_iter().map(|(l, r, _)| (l.clone(), r.clone())).collect();
    Some(Inequality { pairs, comparison, swapped, source })
}

/// The inequality that all others are a tolerance of; if that holds of two, the one without an
/// offset.
fn find_match(inequalities: &[Inequality], scope: &Scope<'_>) -> Result<usize> {
    let multiple = || {
        Error::new(ErrorKind::Syntax, "Multiple ASOF JOIN inequalities")
            .hint("write the one to match by in MATCH_CONDITION (…)")
    };
    match inequalities {
        [] => Err(Error::new(ErrorKind::Syntax, "Missing ASOF JOIN inequality")
            .hint("add l.ts >= r.ts to ON, or MATCH_CONDITION (l.ts >= r.ts)")),
        [_] => Ok(0),
        many => {
            let fits = |&at: &usize| {
                let others = many.iter().enumerate().filter(|(other, _)| *other != at);
                others.into_iter().all(|(_, other)| is_bound(&many[at], other, scope))
            };
            let fitting: Vec<usize> = (0..many.len()).filter(fits).collect();
            let plain =
                |&&at: &&usize| many[at].pairs.iter().all(|(l, r)| is_plain(l) && is_plain(r));
            match fitting.as_slice() {
                [only] => Ok(*only),
                several => match several.iter().filter(plain).collect::<Vec<_>>().as_slice() {
                    [only] => Ok(**only),
                    _ => Err(multiple()),
                },
            }
        }
    }
}

/// Whether `other` can only narrow what `matched` finds, be it a tolerance or, with months, a
/// residual condition. A bound of a tuple is one of its first element.
fn is_bound(matched: &Inequality, other: &Inequality, scope: &Scope<'_>) -> bool {
    let ([(left, right), ..], [(l, r)]) = (matched.pairs.as_slice(), other.pairs.as_slice()) else {
        return false;
    };
    let forward = matched.comparison.is_forward();
    let back = if forward { Operator::Minus } else { Operator::Plus };
    let around = scope.is_same(l, left) && offset(r, right, back).is_some();
    let bounds = around || scope.is_same(r, right);
    other.comparison.is_forward() != forward && bounds
        || as_tolerance(matched, other, scope).is_some()
}

fn is_plain(expr: &Expr) -> bool {
    !matches!(expr, Expr::BinaryExpr(_))
}

/// `other` as the bound behind which `matched` finds nothing. For `l >= r` that is one of
///
/// ```text
/// r >= l - c      r + c >= l      r >= anything of the left row
/// ```
fn as_tolerance(
    matched: &Inequality,
    other: &Inequality,
    scope: &Scope<'_>,
) -> Option<ToleranceExpr> {
    let ([(left, right)], [(l, r)]) = (matched.pairs.as_slice(), other.pairs.as_slice()) else {
        return None;
    };
    let forward = matched.comparison.is_forward();
    if other.comparison.is_forward() == forward {
        return None;
    }
    let inclusive = other.comparison.is_inclusive();
    if r == right {
        let distance = offset(l, left, if forward { Operator::Plus } else { Operator::Minus });
        let bound = moved(l.clone(), &[scope.left]);
        return Some(ToleranceExpr { distance, bound, inclusive });
    }
    let back = if forward { Operator::Minus } else { Operator::Plus };
    let distance = offset(r, right, back).filter(|distance| l == left && is_fixed(distance))?;
    let bound = away(left, &distance, forward, scope);
    Some(ToleranceExpr { distance: Some(distance), bound, inclusive })
}

/// `l - r <= c` for `l >= r`, `r - l <= c` for `l <= r`, either way round, or with all signs changed.
fn difference(matched: &Inequality, other: &Expr, scope: &Scope<'_>) -> Option<ToleranceExpr> {
    let [(left, right)] = matched.pairs.as_slice() else { return None };
    let (other, written) = match as_span_marker(other) {
        Some((condition, distance)) => (condition, Some(distance)),
        None => (other, None),
    };
    let Expr::BinaryExpr(BinaryExpr { left: a, op, right: b }) = other else { return None };
    let (span, comparison, distance) = match (scope.side(a), scope.side(b)) {
        (Side::Both, Side::Neither) => (a, as_comparison(*op)?, b),
        (Side::Neither, Side::Both) => (b, as_comparison(*op)?.swapped(), a),
        _ => return None,
    };
    let Expr::BinaryExpr(BinaryExpr { left: from, op: Operator::Minus, right: to }) = span.as_ref()
    else {
        return None;
    };
    let forward = matched.comparison.is_forward();
    let (near, far) = if forward { (right, left) } else { (left, right) };
    let data_type = left.get_type(scope.left).ok()?;
    let exact = data_type.is_integer() || data_type.is_temporal();
    let distance = written.unwrap_or(distance);
    let distance = match comparison.is_forward() {
        true if scope.is_same(from, near) && scope.is_same(to, far) => distance.clone(),
        false if scope.is_same(from, far) && scope.is_same(to, near) => negated(distance)?,
        _ => return None,
    };
    if !exact {
        return None;
    }
    let bound = away(left, &distance, forward, scope);
    let inclusive = comparison.is_inclusive();
    Some(ToleranceExpr { distance: Some(distance), bound, inclusive })
}

fn negated(constant: &Expr) -> Option<Expr> {
    match constant {
        Expr::Negative(inner) => Some(Expr::clone(inner)),
        Expr::Literal(value, metadata) => {
            Some(Expr::Literal(value.arithmetic_negate().ok()?, metadata.clone()))
        }
        _ => None,
    }
}

/// The `c` of `base <op> c`.
fn offset(expr: &Expr, base: &Expr, op: Operator) -> Option<Expr> {
    let Expr::BinaryExpr(BinaryExpr { left, op: found, right }) = expr else { return None };
    let constant = |c: &Expr| c.column_refs().is_empty();
    match () {
        () if *found == op && left.as_ref() == base && constant(right) => Some(Expr::clone(right)),
        () if *found == op && op == Operator::Plus && right.as_ref() == base && constant(left) => {
            Some(Expr::clone(left))
        }
        () => None,
    }
}

/// Whether adding it to one side is the same as taking it from the other: not so for months.
fn is_fixed(distance: &Expr) -> bool {
    match distance {
        Expr::Literal(ScalarValue::IntervalMonthDayNano(Some(span)), _) => span.months == 0,
        Expr::Literal(ScalarValue::IntervalYearMonth(_), _) => false,
        Expr::Literal(value, _) => !value.data_type().is_floating(),
        _ => false,
    }
}

fn away(left: &Expr, distance: &Expr, forward: bool, scope: &Scope<'_>) -> Expr {
    let op = if forward { Operator::Plus } else { Operator::Minus };
    let away =
        Expr::BinaryExpr(BinaryExpr::new(Box::new(left.clone()), op, Box::new(distance.clone())));
    moved(away, &[scope.left])
}

/// A comparison of tuples as the conditions it abbreviates, one of a distance without its mark; anything
/// else as it is.
pub(super) fn spelled(expr: Expr) -> Expr {
    if let Some((condition, _)) = as_span_marker(&expr) {
        return condition.clone();
    }
    match as_tuple_marker(&expr) {
        Some((comparison, lefts, rights)) => lexicographic(comparison, lefts, rights),
        None => expr,
    }
}

/// `(a, b) >= (x, y)` as `a > x OR a = x AND b >= y`.
fn lexicographic(comparison: Comparison, lefts: &[Expr], rights: &[Expr]) -> Expr {
    let strict = if comparison.is_forward() { Operator::Lt } else { Operator::Gt };
    let last = match comparison {
        Comparison::Less => Operator::Lt,
        Comparison::LessOrEqual => Operator::LtEq,
        Comparison::Greater => Operator::Gt,
        Comparison::GreaterOrEqual => Operator::GtEq,
    };
    let compare = |l: &Expr, op, r: &Expr| {
        Expr::BinaryExpr(BinaryExpr::new(Box::new(l.clone()), op, Box::new(r.clone())))
    };
    let mut pairs = lefts.iter().zip(rights).rev();
    let Some((l, r)) = pairs.next() else { return lit(true) };
    pairs.fold(compare(l, last, r), |rest, (l, r)| {
        compare(l, strict, r).or(l.clone().eq(r.clone()).and(rest))
    })
}

/// The match that USING without MATCH_CONDITION means: the last column, at or before.
pub(super) fn using_match(left: Expr, right: Expr) -> Expr {
    tuple_marker(Comparison::GreaterOrEqual, vec![left], vec![right])
}
