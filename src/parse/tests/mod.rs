//! What the room promises, by theme.

mod asof;
mod errors;
mod limits;
mod statements;
mod tables;
mod versions;

use super::{Parsed, Statement, parse};

/// The only statement of a text.
fn one(sql: &str) -> Statement {
    parsed(sql).statement
}

fn parsed(sql: &str) -> Parsed {
    let mut all = parse(sql).unwrap_or_else(|e| panic!("{sql}: {e:?}"));
    assert_eq!(all.len(), 1, "{sql}");
    all.remove(0)
}

/// Debug text of a statement, without the places, to compare two spellings.
fn shape(sql: &str) -> String {
    let text = format!("{:?}", one(sql));
    let mut out = String::new();
    let mut rest = text.as_str();
    while let Some(i) = rest.find("Span(Location(") {
        out.push_str(&rest[..i]);
        let end = rest[i..].find("))").map_or(rest.len(), |e| i + e + 2);
        rest = &rest[end..];
    }
    out + rest
}
