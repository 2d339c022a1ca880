//! ASOF JOIN: from its spellings to one shape of the tree, and back.
//!
//! The tokens `[kind] ASOF [kind] JOIN r …` become sqlparser's own
//! `ASOF JOIN r MATCH_CONDITION (__asofdb_asof('kind', condition => c, known_at => e)) …`
//! ([`super::rewrite`]). [`fold`] then gives every ASOF join a `NestedJoin` of its own, marked
//! `global`, and [`asof_of`] reads that. The operator stays `JoinOperator::AsOf`: a planner that
//! does not ask `asof_of` refuses it, where a plain join in its place would give wrong rows.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, Join, JoinConstraint,
    JoinOperator, Select, TableFactor, TableWithJoins, Value, VisitMut, VisitorMut,
};
use datafusion::sql::sqlparser::tokenizer::{Span, Token, TokenWithSpan};

use super::source::Source;
use crate::error::{Error, ErrorKind, Result};

/// The marker call's name.
const MARKER: &str = "__asofdb_asof";

/// Which rows stay.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AsofKind {
    /// Pairs only.
    Inner,
    /// Every left row.
    Left,
    /// Every right row.
    Right,
    /// Every row of both.
    Full,
    /// Left rows with a match; no right columns.
    Semi,
    /// Left rows without a match; no right columns.
    Anti,
}

const KINDS: [(AsofKind, &str); 6] = [
    (AsofKind::Inner, "inner"),
    (AsofKind::Left, "left"),
    (AsofKind::Right, "right"),
    (AsofKind::Full, "full"),
    (AsofKind::Semi, "semi"),
    (AsofKind::Anti, "anti"),
];

/// An ASOF join as written.
#[derive(Clone, Debug, PartialEq)]
pub struct AsofSyntax {
    /// A bare ASOF JOIN is Left with MATCH_CONDITION and Inner without.
    pub kind: AsofKind,
    /// MATCH_CONDITION (…).
    pub condition: Option<Expr>,
    /// ON, USING or nothing; never NATURAL.
    pub constraint: JoinConstraint,
    /// KNOWN AT e.
    pub known_at: Option<Expr>,
}

/// The ASOF join a nested join is; None where it is an ordinary one.
///
/// The two sides are `joined.relation` and `joined.joins[0].relation`.
///
/// # Errors
/// Internal where the tree holds an ASOF join in another shape than this room makes.
pub fn asof_of(joined: &TableWithJoins) -> Result<Option<AsofSyntax>> {
    if !joined.joins.iter().any(is_asof) {
        return Ok(None);
    }
    let syntax = match joined.joins.as_slice() {
        [Join { join_operator: JoinOperator::AsOf { match_condition, constraint }, .. }] => {
            decode(match_condition, constraint)
        }
        _ => None,
    };
    let unknown = || Error::new(ErrorKind::Internal, "an ASOF join was not normalised");
    syntax.map(Some).ok_or_else(unknown)
}

fn is_asof(join: &Join) -> bool {
    matches!(join.join_operator, JoinOperator::AsOf { .. })
}

fn decode(marker: &Expr, constraint: &JoinConstraint) -> Option<AsofSyntax> {
    let arguments = marker_arguments(marker)?;
    let (FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::Value(kind))), rest) =
        arguments.split_first()?
    else {
        return None;
    };
    let Value::SingleQuotedString(kind) = &kind.value else { return None };
    let mut syntax = AsofSyntax {
        kind: KINDS.iter().find(|(_, name)| name == kind)?.0,
        condition: None,
        constraint: constraint.clone(),
        known_at: None,
    };
    for argument in rest {
        let FunctionArg::Named { name, arg: FunctionArgExpr::Expr(value), .. } = argument else {
            return None;
        };
        let slot = match name.value.as_str() {
            "condition" => &mut syntax.condition,
            "known_at" => &mut syntax.known_at,
            _ => return None,
        };
        if slot.replace(value.clone()).is_some() {
            return None;
        }
    }
    Some(syntax)
}

fn marker_arguments(marker: &Expr) -> Option<&[FunctionArg]> {
    match marker {
        Expr::Function(Function { name, args: FunctionArguments::List(list), .. })
            if name.to_string() == MARKER =>
        {
            Some(&list.args)
        }
        _ => None,
    }
}

/// The tokens `MATCH_CONDITION (marker('kind'`: the condition, KNOWN AT and two `)` follow.
pub(super) fn open_marker(kind: AsofKind, span: Span) -> [TokenWithSpan; 5] {
    let name = KINDS.iter().find(|(of, _)| *of == kind).map_or("", |(_, name)| name);
    [
        Token::make_word("MATCH_CONDITION", None),
        Token::LParen,
        Token::make_word(MARKER, None),
        Token::LParen,
        Token::SingleQuotedString(name.to_owned()),
    ]
    .map(|token| TokenWithSpan { token, span })
}

/// The tokens `, name =>` that begin a part of the marker.
pub(super) fn open_part(name: &str, span: Span) -> [TokenWithSpan; 3] {
    [Token::Comma, Token::make_word(name, None), Token::RArrow]
        .map(|token| TokenWithSpan { token, span })
}

/// What the words at the start of these tokens say: an ASOF join of this kind, if any is said, and
/// how many tokens that takes. None where they are not an ASOF join.
pub(super) fn join_at(tokens: &[TokenWithSpan]) -> Option<(Option<AsofKind>, usize)> {
    let word = |i: usize| match tokens.get(i).map(|token| &token.token) {
        Some(Token::Word(word)) if word.quote_style.is_none() => word.value.to_ascii_lowercase(),
        _ => String::new(),
    };
    let kind_at = |i: usize| {
        let pair = format!("{} {}", word(i), word(i + 1));
        let (kind, length) = match (word(i).as_str(), pair.as_str()) {
            (_, "left outer") => (AsofKind::Left, 2),
            (_, "right outer") => (AsofKind::Right, 2),
            (_, "full outer") => (AsofKind::Full, 2),
            (_, "left semi") => (AsofKind::Semi, 2),
            (_, "left anti") => (AsofKind::Anti, 2),
            (one, _) => (KINDS.iter().find(|(_, name)| *name == one)?.0, 1),
        };
        Some((kind, length))
    };
    let before = kind_at(0);
    let asof = before.map_or(0, |(_, length)| length);
    if word(asof) != "asof" {
        return None;
    }
    let after = kind_at(asof + 1).filter(|_| before.is_none());
    let join = asof + 1 + after.map_or(0, |(_, length)| length);
    (word(join) == "join").then(|| (before.or(after).map(|(kind, _)| kind), join + 1))
}

/// A tree that can hold joins.
pub(super) trait Joined: VisitMut {
    /// The joins that the visitor does not show: those of a statement's own.
    fn own_joins(&mut self) -> Vec<&mut TableWithJoins> {
        Vec::new()
    }
}

impl Joined for Expr {}
impl Joined for datafusion::sql::sqlparser::ast::Query {}
impl Joined for datafusion::sql::sqlparser::ast::Insert {}
impl Joined for datafusion::sql::sqlparser::ast::Merge {}
impl Joined for datafusion::sql::sqlparser::ast::With {}

impl Joined for datafusion::sql::sqlparser::ast::Update {
    fn own_joins(&mut self) -> Vec<&mut TableWithJoins> {
        use datafusion::sql::sqlparser::ast::UpdateTableFromKind::{AfterSet, BeforeSet};
        let from = self.from.as_mut().map(|(BeforeSet(from) | AfterSet(from))| from);
        std::iter::once(&mut self.table).chain(from.into_iter().flatten()).collect()
    }
}

impl Joined for datafusion::sql::sqlparser::ast::Delete {
    fn own_joins(&mut self) -> Vec<&mut TableWithJoins> {
        use datafusion::sql::sqlparser::ast::FromTable::{WithFromKeyword, WithoutKeyword};
        let (WithFromKeyword(from) | WithoutKeyword(from)) = &mut self.from;
        from.iter_mut().chain(self.using.iter_mut().flatten()).collect()
    }
}

/// Gives every ASOF join below a nested join of its own.
pub(super) fn fold<T: Joined>(tree: &mut T, source: &Source<'_>) -> Result<()> {
    for joined in tree.own_joins() {
        fold_joins(joined);
    }
    match tree.visit(&mut Fold) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(span) => Err(source
            .error_at(span, ErrorKind::Syntax, "ASOF MATCH_CONDITION must be one condition")
            .hint("join its parts with AND")),
    }
}

struct Fold;

impl VisitorMut for Fold {
    type Break = Span;

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<Span> {
        select.from.iter_mut().for_each(fold_joins);
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<Span> {
        if let TableFactor::NestedJoin { table_with_joins, .. } = factor {
            fold_joins(table_with_joins);
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<Span> {
        let lone = |argument: &FunctionArg| matches!(argument, FunctionArg::Unnamed(_));
        match marker_arguments(expr) {
            Some([_, rest @ ..]) if rest.iter().any(lone) => match expr {
                Expr::Function(function) => ControlFlow::Break(
                    function
                        .name
                        .0
                        .first()
                        .and_then(|part| part.as_ident())
                        .map_or(Span::empty(), |name| name.span),
                ),
                _ => ControlFlow::Continue(()),
            },
            _ => ControlFlow::Continue(()),
        }
    }
}

/// `a JOIN b ASOF JOIN c JOIN d` becomes `((a JOIN b) ASOF JOIN c) JOIN d`.
fn fold_joins(joined: &mut TableWithJoins) {
    let alone = matches!(joined.joins.as_slice(), [join] if join.global);
    if alone || !joined.joins.iter().any(is_asof) {
        return;
    }
    let mut left = TableWithJoins { relation: nothing(), joins: Vec::new() };
    std::mem::swap(joined, &mut left);
    let joins = std::mem::take(&mut left.joins);
    for mut join in joins {
        if !is_asof(&join) {
            left.joins.push(join);
            continue;
        }
        join.global = true;
        let side = if left.joins.is_empty() { left.relation } else { nested(left) };
        left = TableWithJoins {
            relation: nested(TableWithJoins { relation: side, joins: vec![join] }),
            joins: Vec::new(),
        };
    }
    *joined = left;
}

fn nested(joined: TableWithJoins) -> TableFactor {
    TableFactor::NestedJoin { table_with_joins: Box::new(joined), alias: None }
}

/// A factor that stands in while its place is rebuilt.
fn nothing() -> TableFactor {
    TableFactor::Function {
        lateral: false,
        name: datafusion::sql::sqlparser::ast::ObjectName(Vec::new()),
        args: Vec::new(),
        with_ordinality: false,
        alias: None,
    }
}
