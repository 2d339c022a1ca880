//! Carrier → node. Must be the first rule: every other rule would take the carrier for the
//! ordinary join it looks like.

use std::collections::HashSet;
use std::sync::Arc;

use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::Transformed;
use datafusion::common::{JoinConstraint, JoinType, Result};
use datafusion::logical_expr::utils::{conjunction, split_conjunction_owned};
use datafusion::logical_expr::{Expr, Extension, Join, LogicalPlan, LogicalPlanBuilder};
use datafusion::optimizer::AnalyzerRule;

use super::coerce::Coercion;
use super::condition::{Conditions, Scope, using_match};
use super::external;
use super::known::{KnownExpr, with_periods};
use super::marker::{as_known_marker, as_match_marker};
use super::node::{AsofJoinNode, AsofOn, MatchCondition, ToleranceExpr};
use super::ties::{TieSource, Tied, break_ties};
use crate::exec::asof_join::Kind;

/// Replaces the carriers of a plan and its subqueries.
#[derive(Debug)]
pub struct AnalyzeAsof {
    ties: Arc<dyn TieSource>,
}

impl AnalyzeAsof {
    /// A rule that asks `ties` how a table orders rows of one time.
    pub fn new(ties: Arc<dyn TieSource>) -> Self {
        AnalyzeAsof { ties }
    }
}

impl AnalyzerRule for AnalyzeAsof {
    fn analyze(&self, plan: LogicalPlan, config: &ConfigOptions) -> Result<LogicalPlan> {
        let replaced = plan.transform_up_with_subqueries(|node| match node {
            LogicalPlan::Join(join) if is_carrier(&join) => {
                let node = self.node(join, config)?;
                Ok(Transformed::yes(LogicalPlan::Extension(Extension { node: Arc::new(node) })))
            }
            other => Ok(Transformed::no(other)),
        });
        Ok(replaced?.data)
    }

    fn name(&self) -> &str {
        "analyze_asof"
    }
}

fn is_carrier(join: &Join) -> bool {
    join.filter.as_ref().is_some_and(|filter| {
        let conjuncts = datafusion::logical_expr::utils::split_conjunction(filter);
        conjuncts.into_iter().any(|expr| as_match_marker(expr).is_some())
    })
}

impl AnalyzeAsof {
    fn node(&self, join: Join, config: &ConfigOptions) -> Result<AsofJoinNode> {
        let (left, right) = (join.left.as_ref().clone(), join.right.as_ref().clone());
        let kind = match join.join_type {
            JoinType::Inner => Kind::Inner,
            JoinType::Left => Kind::Left,
            JoinType::Right => Kind::Right,
            JoinType::Full => Kind::Full,
            JoinType::LeftSemi => Kind::Semi,
            JoinType::LeftAnti => Kind::Anti,
            other => return datafusion::common::internal_err!("asof join of kind {other}"),
        };
        let constraint = join.join_constraint;
        let Written { on, matched, known_at } = written(join);
        let scope = Scope { left: left.schema(), right: right.schema() };
        let conditions = Conditions::sort(on, matched, &scope).map_err(external)?;
        let zone = config.execution.time_zone.as_deref().unwrap_or("UTC");
        let coercion =
            Coercion { left: left.schema(), right: right.schema(), time_zone: zone.into() };
        let typed = Typed::coerce(&conditions, &coercion).map_err(external)?;
        let known = match known_at {
            Some(at) => {
                let of = self.ties.as_ref();
                Some(with_periods(&right, at, left.schema(), zone.into(), of)?)
            }
            None => None,
        };
        self.build((left, right), kind, constraint, (conditions, typed), known)
    }

    fn build(
        &self,
        (left, right): (LogicalPlan, LogicalPlan),
        kind: Kind,
        constraint: JoinConstraint,
        (conditions, typed): (Conditions, Typed),
        known: Option<(Tied, KnownExpr)>,
    ) -> Result<AsofJoinNode> {
        let keys = conditions.on.iter().map(|on| &on.right);
        let times = conditions.matched.pairs.iter().map(|(_, right)| right);
        let distinct_by: Vec<&Expr> = keys.chain(times.clone()).collect();
        let nulls_match = conditions.on.iter().any(|on| on.null_equal);
        let (tied, known) = match known {
            Some((tied, known)) => (tied, Some(known)),
            None if kind.shows_right() => {
                (break_ties(right, &distinct_by, nulls_match, self.ties.as_ref())?, None)
            }
            // Which of them wins is not to be seen.
            None => (Tied { plan: right, ties: Vec::new(), hidden: Vec::new() }, None),
        };
        let mut of_right = conditions.right_only;
        if conditions.matched.pairs.len() > 1 {
            of_right.extend(times.map(|time| time.clone().is_not_null()));
        }
        let (right, right_condition) = match kind.keeps_right() {
            false => (filtered(tied.plan, of_right)?, None),
            true => (tied.plan, conjunction(of_right)),
        };
        let (left, left_condition) = match kind.drops_unmatched() {
            true => (filtered(left, conditions.left_only)?, None),
            false => (left, conjunction(conditions.left_only)),
        };
        let condition = (typed.on, typed.match_condition);
        let mut node = AsofJoinNode::try_new((left, right), kind, condition, constraint)?;
        node.tolerance = typed.tolerance;
        node.left_condition = left_condition;
        node.right_condition = right_condition;
        node.residual = conjunction(conditions.residual.into_iter().chain(typed.residual));
        node.known = known;
        node.ties = tied.ties;
        node.hidden = tied.hidden;
        node.with_schema()
    }
}

/// What a carrier carries.
struct Written {
    /// The conditions of ON or USING.
    on: Vec<Expr>,
    /// Those of MATCH_CONDITION.
    matched: Option<Vec<Expr>>,
    known_at: Option<Expr>,
}

fn written(join: Join) -> Written {
    // USING pairs a name's columns with each other so that they resolve; the first pair is the key.
    let mut names = HashSet::new();
    let is_key = |(left, _): &(Expr, Expr)| {
        left.try_as_col().is_none_or(|column| names.insert(column.name.clone()))
    };
    let mut on: Vec<Expr> = join.on.into_iter().filter(is_key).map(|(l, r)| l.eq(r)).collect();
    let (mut matched, mut known_at) = (None, None);
    for expr in join.filter.into_iter().flat_map(split_conjunction_owned) {
        if let Some(at) = as_known_marker(&expr) {
            known_at = Some(at.clone());
            continue;
        }
        match as_match_marker(&expr) {
            Some([]) => {}
            Some(conditions) => matched = Some(conditions.to_vec()),
            None => on.push(expr),
        }
    }
    if join.join_constraint == JoinConstraint::Using && matched.is_none() {
        let last = match on.pop() {
            Some(Expr::BinaryExpr(equality)) => using_match(*equality.left, *equality.right),
            other => {
                let on = on.into_iter().chain(other).collect();
                return Written { on, matched: None, known_at };
            }
        };
        on.push(last);
    }
    Written { on, matched, known_at }
}

fn is_whole_number(distance: &Expr) -> bool {
    matches!(distance, Expr::Literal(value, _) if value.data_type().is_integer() && !value.is_null())
}

fn filtered(plan: LogicalPlan, conditions: Vec<Expr>) -> Result<LogicalPlan> {
    match conjunction(conditions) {
        Some(condition) => LogicalPlanBuilder::from(plan).filter(condition)?.build(),
        None => Ok(plan),
    }
}

/// Keys, match and tolerance in types that compare.
struct Typed {
    on: Vec<AsofOn>,
    match_condition: MatchCondition,
    tolerance: Option<ToleranceExpr>,
    /// A tolerance whose bound is not of the type of the left time.
    residual: Option<Expr>,
}

impl Typed {
    fn coerce(conditions: &Conditions, types: &Coercion<'_>) -> crate::error::Result<Self> {
        let on = conditions.on.iter().map(|on| {
            let (left, right) = types.keys(on.left.clone(), on.right.clone())?;
            Ok(AsofOn { left, right, null_equal: on.null_equal })
        });
        let on = on.collect::<crate::error::Result<Vec<_>>>()?;
        let matched = &conditions.matched;
        let tuple = matched.pairs.len() > 1;
        let pairs = matched.pairs.iter().map(|(l, r)| match tuple {
            // Elements of tuples are compared as rows of bytes, which have one type.
            true => types.keys(l.clone(), r.clone()),
            false => types.times(l.clone(), r.clone()),
        });
        let pairs = pairs.collect::<crate::error::Result<Vec<_>>>()?;
        let match_condition = MatchCondition { pairs, comparison: matched.comparison };
        let Some(tolerance) = conditions.tolerance.clone() else {
            return Ok(Typed { on, match_condition, tolerance: None, residual: None });
        };
        let (time, right) = &match_condition.pairs[0];
        let as_written = *time == matched.pairs[0].0;
        // Of whole numbers the distance says all; a literal is often of a wider type than the column.
        let is_whole = tolerance.distance.as_ref().is_some_and(is_whole_number)
            && types.left_type(time)?.is_integer();
        let is_typed = as_written && types.left_type(&tolerance.bound)? == types.left_type(time)?;
        if is_whole || is_typed {
            let tolerance = Some(tolerance);
            return Ok(Typed { on, match_condition, tolerance, residual: None });
        }
        let ToleranceExpr { bound, inclusive, .. } = tolerance;
        let right = if as_written { right } else { &matched.pairs[0].1 }.clone();
        let residual = Some(match (matched.comparison.is_forward(), inclusive) {
            (false, true) => right.gt_eq(bound),
            (false, false) => right.gt(bound),
            (true, true) => right.lt_eq(bound),
            (true, false) => right.lt(bound),
        });
        Ok(Typed { on, match_condition, tolerance: None, residual })
    }
}
