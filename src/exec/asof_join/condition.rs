//! What decides which right row a left row gets.

use std::fmt;
use std::sync::Arc;

use datafusion::physical_expr::PhysicalExpr;

use super::known::Known;
use super::residual::Residual;

type Expr = Arc<dyn PhysicalExpr>;

/// Which rows survive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Left rows with a match.
    Inner,
    /// All left rows; without a match the right columns are NULL.
    Left,
    /// Left rows with a match, and each right row that is no one's match, with NULL on the left.
    Right,
    /// All left rows, and each right row that is no one's match.
    Full,
    /// Left rows with a match, without the right columns.
    Semi,
    /// Left rows without a match, without the right columns.
    Anti,
}

impl Kind {
    /// Whether left rows without a match go.
    pub fn drops_unmatched(self) -> bool {
        matches!(self, Kind::Inner | Kind::Right | Kind::Semi)
    }

    /// Whether right rows that are no one's match come out. Nothing but the join itself may take
    /// rows off the right side then, and the left columns may be NULL.
    pub fn keeps_right(self) -> bool {
        matches!(self, Kind::Right | Kind::Full)
    }

    /// Whether the output has the right columns.
    pub fn shows_right(self) -> bool {
        !matches!(self, Kind::Semi | Kind::Anti)
    }
}

/// `left <comparison> right`, over the times.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Comparison {
    /// `<`: the next right row.
    Less,
    /// `<=`: the next right row, or one of the same time.
    LessOrEqual,
    /// `>`: the last right row before.
    Greater,
    /// `>=`: the last right row before, or one of the same time.
    GreaterOrEqual,
}

/// One pair of keys. Both sides have one type.
#[derive(Clone, Debug)]
pub struct AsofKey {
    /// Over the left input.
    pub left: Expr,
    /// Over the right input.
    pub right: Expr,
    /// IS NOT DISTINCT FROM: NULL equals NULL.
    pub null_equal: bool,
}

/// How far a match may lie from its left row.
#[derive(Clone, Debug)]
pub enum Tolerance {
    /// A number of steps of the time lane: see [`super::unit_nanos`]. Inclusive.
    Distance {
        /// Never more than this.
        steps: i128,
        /// As people wrote it, for EXPLAIN.
        text: String,
    },
    /// An expression over the left input, of the type of the left time; matches do not lie beyond it.
    Bound {
        /// The farthest time admitted.
        expr: Expr,
        /// Whether the bound itself is admitted.
        inclusive: bool,
    },
}

/// Everything that says which right row a left row gets.
#[derive(Clone, Debug)]
pub struct AsofCondition {
    /// Which rows survive.
    pub kind: Kind,
    /// The keys; may be empty.
    pub on: Vec<AsofKey>,
    /// The times, compared as tuples: over the left input, over the right input.
    pub match_on: Vec<(Expr, Expr)>,
    /// How the times compare.
    pub comparison: Comparison,
    /// How far a match may lie.
    pub tolerance: Option<Tolerance>,
    /// Over the left input: rows for which it is not true have no match.
    pub left_condition: Option<Expr>,
    /// Over the right input: rows for which it is not true are no one's match. Only of kinds that keep
    /// the right rows; of others the right input is filtered.
    pub right_condition: Option<Expr>,
    /// Over both: the nearest row for which it is true is the match.
    pub residual: Option<Residual>,
    /// KNOWN AT: rows that a left row does not know of are none to it.
    pub known: Option<Known>,
    /// Over the right input: the last in this order wins among rows of one time.
    pub ties: Vec<Expr>,
}

impl AsofCondition {
    /// Whether the nearest row may be none for what it is, so that the search goes on behind it.
    pub(super) fn walks_back(&self) -> bool {
        self.residual.is_some() || self.known.is_some()
    }
}

impl Comparison {
    /// As in SQL.
    pub fn symbol(self) -> &'static str {
        match self {
            Comparison::Less => "<",
            Comparison::LessOrEqual => "<=",
            Comparison::Greater => ">",
            Comparison::GreaterOrEqual => ">=",
        }
    }

    /// With its operands exchanged.
    pub fn swapped(self) -> Self {
        match self {
            Comparison::Less => Comparison::Greater,
            Comparison::LessOrEqual => Comparison::GreaterOrEqual,
            Comparison::Greater => Comparison::Less,
            Comparison::GreaterOrEqual => Comparison::LessOrEqual,
        }
    }

    /// Whether a right row of the same time matches.
    pub fn is_inclusive(self) -> bool {
        matches!(self, Comparison::LessOrEqual | Comparison::GreaterOrEqual)
    }

    /// Whether matches lie after their left row.
    pub fn is_forward(self) -> bool {
        matches!(self, Comparison::Less | Comparison::LessOrEqual)
    }
}

impl Tolerance {
    /// Whether a match may lie so far; a bound admits by its own time.
    pub(in crate::exec) fn admits(&self, distance: i128) -> bool {
        match self {
            Tolerance::Distance { steps, .. } => distance <= *steps,
            Tolerance::Bound { .. } => true,
        }
    }
}

impl fmt::Display for Tolerance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Tolerance::Distance { text, .. } => f.write_str(text),
            Tolerance::Bound { expr, inclusive } => {
                write!(f, "{}{expr}", if *inclusive { "" } else { "beyond " })
            }
        }
    }
}
