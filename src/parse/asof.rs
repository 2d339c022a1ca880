//! ASOF JOIN in the tree.

use datafusion::sql::sqlparser::ast::{Expr, JoinConstraint, TableWithJoins};

use crate::error::Result;

/// Which rows stay.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AsofKind {
    Inner,
    Left,
    Right,
    Full,
    Semi,
    Anti,
}

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
    todo!("{joined:?}")
}
