//! DECLARE, FETCH, MOVE and CLOSE.

use datafusion::sql::sqlparser::ast;

/// DECLARE.
#[derive(Clone, Debug)]
pub struct Declare {
    /// The cursor.
    pub name: String,
    /// BINARY.
    pub binary: bool,
    /// SCROLL, NO SCROLL.
    pub scroll: Option<bool>,
    /// WITH HOLD.
    pub hold: bool,
    /// What it runs over.
    pub query: Box<ast::Query>,
}

/// FETCH and MOVE.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetch {
    /// The cursor.
    pub cursor: String,
    /// How far.
    pub direction: FetchDirection,
    /// MOVE: without the rows.
    pub moves: bool,
}

/// How far FETCH goes. `Forward(None)` is FORWARD ALL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FetchDirection {
    /// The row at n from the start, or from the end where negative.
    Absolute(i64),
    /// The row n on from here.
    Relative(i64),
    /// The next n rows; 0 is the current one.
    Forward(Option<i64>),
    /// The n rows before.
    Backward(Option<i64>),
}
