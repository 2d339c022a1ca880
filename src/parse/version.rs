//! The version a table is read at.

use datafusion::sql::sqlparser::ast::{Expr, TableFactor};

use crate::error::Result;

/// What the value of a version clause means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Slot {
    /// A commit's number, else a ref, else a time, by what the value is.
    Version,
    /// A time.
    Time,
    /// A time, as seconds before (negative) now.
    Offset,
    /// A branch.
    Branch,
    /// A tag.
    Tag,
    /// A branch or a tag, or v<number>.
    Ref,
    /// A commit's number.
    Commit,
    /// What a statement with this id left.
    Statement,
}

/// A version clause, however it was spelled.
#[derive(Clone, Debug, PartialEq)]
pub struct TableVersionSpec {
    /// What the value means.
    pub slot: Slot,
    /// A constant expression or a parameter. Names are string literals.
    pub value: Expr,
    /// BEFORE: the state just before it.
    pub before: bool,
    /// `t@audit FOR SYSTEM_TIME AS OF …`: the ref whose history is asked, as a string literal.
    pub within: Option<Expr>,
}

/// The version of a table factor; None where it has none.
///
/// # Errors
/// Internal where the tree holds a version in another shape than this room makes.
pub fn version_of(factor: &TableFactor) -> Result<Option<TableVersionSpec>> {
    todo!("{factor:?}")
}
