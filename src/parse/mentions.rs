//! Which columns the text of an expression names, and where.

use std::ops::{ControlFlow, Range};

use datafusion::sql::sqlparser::ast::{Expr, visit_expressions};

use super::grammar::fold;
use super::query::read_expression;
use crate::error::Result;

/// The columns that an expression names: the bytes of each name and the name, folded, in the order
/// of the text. A column that is qualified counts by its last part.
///
/// # Errors
/// As [`super::parse`].
pub fn mentions(text: &str) -> Result<Vec<(Range<usize>, String)>> {
    let (tree, source) = read_expression(text)?;
    let mut found = Vec::new();
    let _: ControlFlow<()> = visit_expressions(&tree, |expr| {
        let name = match expr {
            Expr::Identifier(name) => Some(name),
            Expr::CompoundIdentifier(parts) => parts.last(),
            _ => None,
        };
        if let Some(name) = name
            && let Some(bytes) = source.bytes_of(name.span)
        {
            found.push((bytes, fold(name)));
        }
        ControlFlow::Continue(())
    });
    found.sort_by_key(|(bytes, _)| bytes.start);
    found.dedup();
    Ok(found)
}

/// The text with a column called otherwise; `to` is written quoted.
///
/// # Errors
/// As [`super::parse`].
pub fn with_column_renamed(text: &str, from: &str, to: &str) -> Result<String> {
    with_columns_named(text, |name| (name == from).then(|| to.to_owned()))
}

/// The text with columns called otherwise, all at once; None and the name it has: it stays as written.
///
/// # Errors
/// As [`super::parse`].
pub fn with_columns_named(text: &str, name_of: impl Fn(&str) -> Option<String>) -> Result<String> {
    let mut out = String::with_capacity(text.len());
    let mut end = 0;
    for (bytes, name) in mentions(text)? {
        if let Some(to) = name_of(&name).filter(|to| *to != name) {
            out.push_str(&text[end..bytes.start]);
            out.push_str(&format!("\"{}\"", to.replace('"', "\"\"")));
            end = bytes.end;
        }
    }
    out.push_str(&text[end..]);
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_renamed_where_they_stand_and_nothing_else_is() {
        let cases = [
            ("a > 0", "\"b\" > 0"),
            ("lower(a) = 'a' AND t.a <> aa", "lower(\"b\") = 'a' AND t.\"b\" <> aa"),
            ("\"A\" = 1 OR\n  A IS NULL", "\"A\" = 1 OR\n  \"b\" IS NULL"),
            ("CASE WHEN a THEN 'grüße' ELSE a END", "CASE WHEN \"b\" THEN 'grüße' ELSE \"b\" END"),
        ];
        for (text, expected) in cases {
            assert_eq!(with_column_renamed(text, "a", "b").unwrap(), expected);
        }
        let names: Vec<String> =
            mentions("x + coalesce(y, x)").unwrap().into_iter().map(|(_, name)| name).collect();
        assert_eq!(names, ["x", "y", "x"]);
    }
}
