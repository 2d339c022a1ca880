//! The doors of the room.

use datafusion::sql::sqlparser::ast;

use super::statement::Parsed;
use super::version::TableVersionSpec;
use crate::error::Result;

/// Every statement of a text, in order; empty statements are none.
///
/// # Errors
/// Syntax with a position and, where we know better, a hint; LimitExceeded for a text above 16 MiB;
/// TooComplex for one nested too deeply.
pub fn parse(sql: &str) -> Result<Vec<Parsed>> {
    todo!("{sql}")
}

/// One expression: a DEFAULT, a CHECK.
pub fn expression(text: &str) -> Result<ast::Expr> {
    todo!("{text}")
}

/// One query: a view's text.
pub fn query(text: &str) -> Result<Box<ast::Query>> {
    todo!("{text}")
}

/// The version that `SET as_of = '…'` or `dbname@ref` names: a commit's number, a ref or a time.
pub fn version_literal(text: &str) -> TableVersionSpec {
    todo!("{text}")
}
