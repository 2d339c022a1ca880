//! The patterns of SIMILAR TO as regular expressions.

use datafusion::logical_expr::ScalarUDF;

use super::row_function::{Row, RowFunction};
use crate::error::{Error, ErrorKind, Result};

/// `x SIMILAR TO pattern` is `x ~ asofdb_similar(pattern)`; a second argument is what escapes.
pub const SIMILAR: &str = "asofdb_similar";

/// The functions of this file.
pub fn functions() -> Vec<ScalarUDF> {
    let body = |row: &Row<'_>| {
        let escape = match row.text(1) {
            None => Some('\\'),
            Some(text) => escape_of(text)?,
        };
        Ok(regex(row.text(0).unwrap_or_default(), escape).into())
    };
    vec![RowFunction::new(SIMILAR, &["t", "tt"], "text", body).immutable().into()]
}

/// None where nothing escapes.
fn escape_of(text: &str) -> Result<Option<char>> {
    let mut chars = text.chars();
    match (chars.next(), chars.next()) {
        (first, None) => Ok(first),
        _ => Err(Error::new(ErrorKind::InvalidEscape, "invalid escape string")
            .hint("escape string must be empty or one character")),
    }
}

/// The whole text must match, lines or not.
fn regex(pattern: &str, escape: Option<char>) -> String {
    let mut out = String::from("(?s)^(?:");
    let mut chars = pattern.chars();
    let mut in_class = false;
    while let Some(c) = chars.next() {
        match c {
            c if Some(c) == escape => literal(&mut out, chars.next().unwrap_or(c)),
            ']' if in_class => {
                in_class = false;
                out.push(c);
            }
            // Words of classes, `[:alpha:]`, are the same; anything else of theirs stands for itself.
            '[' if in_class && chars.as_str().starts_with(':') => {
                let class = chars.as_str();
                let end = class.find(":]").map_or(class.len(), |at| at + 2);
                out.push('[');
                out.push_str(&class[..end]);
                chars = class[end..].chars();
            }
            '^' | '-' if in_class => out.push(c),
            c if in_class => literal(&mut out, c),
            '[' => {
                in_class = true;
                out.push(c);
            }
            '%' => out.push_str(".*"),
            '_' => out.push('.'),
            '(' => out.push_str("(?:"),
            '|' | '*' | '+' | '?' | '{' | '}' | ')' => out.push(c),
            c => literal(&mut out, c),
        }
    }
    out.push_str(")$");
    out
}

fn literal(out: &mut String, c: char) {
    if c.is_ascii_punctuation() {
        out.push('\\');
    }
    out.push(c);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards_are_those_of_like_and_the_rest_of_regular_expressions() {
        let of = |pattern| regex(pattern, Some('\\'));
        assert_eq!(of("a%_"), "(?s)^(?:a.*.)$");
        assert_eq!(of("(b|d)+.{2}"), r"(?s)^(?:(?:b|d)+\.{2})$");
        assert_eq!(of(r"100\%"), r"(?s)^(?:100\%)$");
        assert_eq!(of("[^a-z_[:digit:]]"), r"(?s)^(?:[^a-z\_[:digit:]])$");
        assert_eq!(regex("a#%", Some('#')), r"(?s)^(?:a\%)$");
        assert_eq!(regex(r"a\b", None), r"(?s)^(?:a\\b)$");
    }
}
