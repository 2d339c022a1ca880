//! The logical node. Its fields are named as in the ASOF join of DataFusion 56.

use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

use arrow::datatypes::FieldRef;
use datafusion::common::{
    Column, DFSchema, DFSchemaRef, FunctionalDependencies, JoinConstraint, Result, internal_err,
};
use datafusion::logical_expr::utils::conjunction;
use datafusion::logical_expr::{
    Expr, Filter, InvariantLevel, LogicalPlan, UserDefinedLogicalNodeCore,
};

use super::known::KnownExpr;
use crate::exec::asof_join::{Comparison, Kind};

/// One pair of keys.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Hash)]
pub struct AsofOn {
    /// Over the left input.
    pub left: Expr,
    /// Over the right input.
    pub right: Expr,
    /// IS NOT DISTINCT FROM.
    pub null_equal: bool,
}

/// The comparison that is matched by: of times, or of tuples of them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Hash)]
pub struct MatchCondition {
    /// Over the left input, over the right input.
    pub pairs: Vec<(Expr, Expr)>,
    /// Left to right.
    pub comparison: Comparison,
}

/// The bound behind which no right row matches.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Hash)]
pub struct ToleranceExpr {
    /// The constant that `bound` lies from the left time, where it is one.
    pub distance: Option<Expr>,
    /// Over the left input: the farthest right time.
    pub bound: Expr,
    /// Whether the bound itself matches.
    pub inclusive: bool,
}

/// For each left row, the nearest right row: see [`crate::exec::asof_join`] for what that means.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct AsofJoinNode {
    /// Each row of it looks for one of the right.
    pub left: Arc<LogicalPlan>,
    /// Searched. Its `hidden` columns are not in the output.
    pub right: Arc<LogicalPlan>,
    /// Which rows survive, and whose columns are in the output.
    pub kind: Kind,
    /// The keys; may be empty.
    pub on: Vec<AsofOn>,
    /// What is matched by.
    pub match_condition: MatchCondition,
    /// How the keys were written.
    pub constraint: JoinConstraint,
    /// How far a match may lie.
    pub tolerance: Option<ToleranceExpr>,
    /// Over the left input: where it is not true there is no match. Not of kinds that drop left rows
    /// without a match, whose left input is filtered.
    pub left_condition: Option<Expr>,
    /// Over the right input: where it is not true it is no one's match. Only of kinds that keep
    /// the right rows; the right input of others is filtered.
    pub right_condition: Option<Expr>,
    /// Over both inputs: the nearest right row for which it is true is the match.
    pub residual: Option<Expr>,
    /// KNOWN AT: rows that a left row does not know of are none to it.
    pub known: Option<KnownExpr>,
    /// Over the right input: among rows of one time the greatest wins.
    pub ties: Vec<Expr>,
    /// Columns of the right input that only `ties` and `known` read.
    pub hidden: Vec<Column>,
    /// A condition on the output that reads no column, of kinds that keep the right rows: of others the
    /// left input is filtered by it.
    pub output_filter: Option<Expr>,
    schema: DFSchemaRef,
}

impl AsofJoinNode {
    /// A node whose conditions are all of `like`, over these inputs.
    fn over(&self, left: LogicalPlan, right: LogicalPlan) -> Result<Self> {
        AsofJoinNode { left: Arc::new(left), right: Arc::new(right), ..self.clone() }.with_schema()
    }

    /// Over another left input with the same columns.
    pub(super) fn with_left(&self, left: LogicalPlan) -> Result<Self> {
        self.over(left, self.right.as_ref().clone())
    }

    /// Over another right input with the same columns.
    pub(super) fn with_right(&self, right: LogicalPlan) -> Result<Self> {
        self.over(self.left.as_ref().clone(), right)
    }

    /// Of kind Semi: of two rows of one time it is all the same which one there is.
    pub(super) fn as_semi(&self) -> Result<Self> {
        let (ties, hidden) = (Vec::new(), Vec::new());
        AsofJoinNode { kind: Kind::Semi, ties, hidden, ..self.clone() }.with_schema()
    }

    /// Keys and match over two inputs, and nothing else yet.
    pub(super) fn try_new(
        (left, right): (LogicalPlan, LogicalPlan),
        kind: Kind,
        (on, match_condition): (Vec<AsofOn>, MatchCondition),
        constraint: JoinConstraint,
    ) -> Result<Self> {
        AsofJoinNode {
            left: Arc::new(left),
            right: Arc::new(right),
            kind,
            on,
            match_condition,
            constraint,
            tolerance: None,
            left_condition: None,
            right_condition: None,
            residual: None,
            known: None,
            ties: Vec::new(),
            hidden: Vec::new(),
            output_filter: None,
            schema: Arc::new(DFSchema::empty()),
        }
        .with_schema()
    }

    /// Computes the output's schema anew.
    pub(super) fn with_schema(mut self) -> Result<Self> {
        let left = self.left.schema();
        let padded = |field: &FieldRef, padded: bool| match padded {
            true => Arc::new(field.as_ref().clone().with_nullable(true)),
            false => Arc::clone(field),
        };
        let of_left = left.iter().map(|(q, f)| (q.cloned(), padded(f, self.kind.keeps_right())));
        let mut fields: Vec<_> = of_left.collect();
        for index in self.shown() {
            let (qualifier, field) = self.right.schema().qualified_field(index);
            fields.push((qualifier.cloned(), padded(field, !self.kind.drops_unmatched())));
        }
        let mut metadata = self.right.schema().metadata().clone();
        metadata.extend(left.metadata().clone());
        // A left row appears at most once, so what identified it still does; but not among rows of the
        // right side alone, which all have the same NULLs.
        let mut dependencies = match self.kind.keeps_right() {
            false => left.functional_dependencies().clone(),
            true => FunctionalDependencies::empty(),
        };
        dependencies.extend_target_indices(fields.len());
        let schema = DFSchema::new_with_metadata(fields, metadata)?;
        self.schema = Arc::new(schema.with_functional_dependencies(dependencies)?);
        Ok(self)
    }

    /// The right input's columns that are in the output, in its order.
    pub(super) fn shown(&self) -> Vec<usize> {
        if !self.kind.shows_right() {
            return Vec::new();
        }
        let schema = self.right.schema();
        let hidden: Vec<_> =
            self.hidden.iter().filter_map(|column| schema.maybe_index_of_column(column)).collect();
        (0..schema.fields().len()).filter(|index| !hidden.contains(index)).collect()
    }
}

impl PartialOrd for AsofJoinNode {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        let conditions =
            |node: &Self| (node.on.clone(), node.match_condition.clone(), node.tolerance.clone());
        let order = self.left.partial_cmp(&other.left)?;
        let order = order.then(self.right.partial_cmp(&other.right)?);
        let order = order.then(self.kind.cmp(&other.kind));
        let order = order.then(conditions(self).partial_cmp(&conditions(other))?);
        let order = order.then(self.left_condition.partial_cmp(&other.left_condition)?);
        let order = order.then(self.right_condition.partial_cmp(&other.right_condition)?);
        let order = order.then(self.residual.partial_cmp(&other.residual)?);
        let order = order.then(self.known.partial_cmp(&other.known)?);
        let order = order.then(self.ties.partial_cmp(&other.ties)?);
        (order != Ordering::Equal || self == other).then_some(order)
    }
}

impl UserDefinedLogicalNodeCore for AsofJoinNode {
    fn name(&self) -> &str {
        "AsofJoin"
    }

    fn inputs(&self) -> Vec<&LogicalPlan> {
        vec![&self.left, &self.right]
    }

    fn schema(&self) -> &DFSchemaRef {
        &self.schema
    }

    fn check_invariants(&self, _level: InvariantLevel) -> Result<()> {
        let over = |expr: &Expr, schema: &DFSchema| {
            expr.column_refs().into_iter().all(|column| schema.has_column(column))
        };
        let (left, right) = (self.left.schema(), self.right.schema());
        let sides = self.on.iter().map(|on| (&on.left, &on.right));
        let mut sides = sides.chain(self.match_condition.pairs.iter().map(|(l, r)| (l, r)));
        let bound = self.tolerance.iter().map(|tolerance| &tolerance.bound);
        let mut of_left = bound.chain(&self.left_condition);
        if !sides.all(|(l, r)| over(l, left) && over(r, right))
            || !of_left.all(|expr| over(expr, left))
            || !self.ties.iter().chain(&self.right_condition).all(|expr| over(expr, right))
            || !self.known.iter().all(|known| known.is_over(left, right))
        {
            return internal_err!("an asof join's condition reads a column its side lacks");
        }
        if self.match_condition.pairs.is_empty() {
            return internal_err!("an asof join without a match condition");
        }
        let kind = self.kind;
        if kind.drops_unmatched() && self.left_condition.is_some() {
            return internal_err!("a left condition in an asof join of kind {kind:?}");
        }
        if !kind.keeps_right() && (self.right_condition.is_some() || self.output_filter.is_some()) {
            return internal_err!("a right condition in an asof join of kind {kind:?}");
        }
        Ok(())
    }

    fn expressions(&self) -> Vec<Expr> {
        let on = self.on.iter().flat_map(|on| [&on.left, &on.right]);
        let times = self.match_condition.pairs.iter().flat_map(|(left, right)| [left, right]);
        let tolerance = self.tolerance.iter();
        let tolerance = tolerance.flat_map(|t| std::iter::once(&t.bound).chain(&t.distance));
        let rest = self.left_condition.iter().chain(&self.right_condition).chain(&self.residual);
        let rest = rest.chain(&self.ties).chain(&self.output_filter);
        let known = self.known.iter().flat_map(KnownExpr::expressions);
        on.chain(times).chain(tolerance).chain(rest).chain(known).cloned().collect()
    }

    fn fmt_for_explain(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let on = self.on.iter().map(|on| {
            let equals = if on.null_equal { "IS NOT DISTINCT FROM" } else { "=" };
            format!("({} {equals} {})", on.left, on.right)
        });
        let symbol = self.match_condition.comparison.symbol();
        let times = self.match_condition.pairs.iter().map(|(l, r)| format!("{l} {symbol} {r}"));
        let list = |items: Vec<String>| items.join(", ");
        write!(f, "AsofJoin: kind={:?}, on=[{}]", self.kind, list(on.collect()))?;
        write!(f, ", match=[{}]", list(times.collect()))?;
        if let Some(tolerance) = &self.tolerance {
            let shown = tolerance.distance.as_ref().unwrap_or(&tolerance.bound);
            write!(f, ", tolerance={shown}")?;
        }
        if let Some(condition) = &self.left_condition {
            write!(f, ", left_condition={condition}")?;
        }
        if let Some(condition) = &self.right_condition {
            write!(f, ", right_condition={condition}")?;
        }
        if let Some(residual) = &self.residual {
            write!(f, ", residual={residual}")?;
        }
        if let Some(filter) = &self.output_filter {
            write!(f, ", output_filter={filter}")?;
        }
        if let Some(known) = &self.known {
            write!(f, ", known_at={}", known.at)?;
        }
        Ok(())
    }

    fn with_exprs_and_inputs(&self, exprs: Vec<Expr>, inputs: Vec<LogicalPlan>) -> Result<Self> {
        let count = self.expressions().len();
        let ([left, right], true) = (
            <[LogicalPlan; 2]>::try_from(inputs).map_err(|_| wrong("inputs"))?,
            exprs.len() == count,
        ) else {
            return Err(wrong("expressions"));
        };
        let mut exprs = exprs.into_iter();
        let mut take = || exprs.next().expect("the count was compared");
        let on = self.on.iter().map(|on| AsofOn {
            left: take(),
            right: take(),
            null_equal: on.null_equal,
        });
        let on = on.collect();
        let pairs = self.match_condition.pairs.iter().map(|_| (take(), take())).collect();
        let tolerance = self.tolerance.as_ref().map(|tolerance| ToleranceExpr {
            bound: take(),
            distance: tolerance.distance.as_ref().map(|_| take()),
            inclusive: tolerance.inclusive,
        });
        let left_condition = self.left_condition.as_ref().map(|_| take());
        let right_condition = self.right_condition.as_ref().map(|_| take());
        let residual = self.residual.as_ref().map(|_| take());
        let ties = self.ties.iter().map(|_| take()).collect();
        let output_filter = self.output_filter.as_ref().map(|_| take());
        let known = self.known.as_ref().map(|known| known.with_expressions(&mut take));
        let (right, copied) = without_copied_filter(right, &self.right);
        let (left, output_filter) = match copied {
            Some(_) if self.kind.keeps_right() => {
                let (left, copied) = without_copied_filter(left, &self.left);
                (left, conjunction(output_filter.into_iter().chain(copied)))
            }
            _ => (left, output_filter),
        };
        AsofJoinNode {
            left: Arc::new(left),
            right: Arc::new(right),
            on,
            match_condition: MatchCondition { pairs, ..self.match_condition },
            tolerance,
            left_condition,
            right_condition,
            residual,
            known,
            ties,
            output_filter,
            ..self.clone()
        }
        .with_schema()
    }

    fn necessary_children_exprs(&self, output_columns: &[usize]) -> Option<Vec<Vec<usize>>> {
        let left_width = self.left.schema().fields().len();
        let shown = self.shown();
        let (mut left, mut right) = (Vec::new(), Vec::new());
        for &column in output_columns {
            match column.checked_sub(left_width) {
                None => left.push(column),
                Some(column) => right.push(shown[column]),
            }
        }
        Some(vec![left, right])
    }
}

fn wrong(what: &str) -> datafusion::error::DataFusionError {
    datafusion::error::DataFusionError::Internal(format!("an asof join with other {what}"))
}

/// DataFusion moves a filter that reads no column, such as `random() < 0.5`, onto every input of an
/// extension node. On the left that is mostly what the filter means; on the right it would change
/// matches. The input as it was, and the filter.
fn without_copied_filter(
    input: LogicalPlan,
    before: &Arc<LogicalPlan>,
) -> (LogicalPlan, Option<Expr>) {
    match input {
        LogicalPlan::Filter(Filter { predicate, input, .. })
            if predicate.column_refs().is_empty() && *input == **before =>
        {
            (Arc::unwrap_or_clone(input), Some(predicate))
        }
        other => (other, None),
    }
}
