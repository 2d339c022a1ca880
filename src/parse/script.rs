//! A script as psql reads it: the rows of COPY … FROM STDIN stand behind the statement, ended by `\.`.

use super::copy::CopyLocation;
use super::query::parse;
use super::statement::{Parsed, Statement};

/// Statements, and the rows that the last of them copies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScriptPart<'t> {
    /// Where the statements begin: bytes from the beginning of the script.
    pub start: usize,
    /// The statements.
    pub statements: &'t str,
    /// The rows, without the line that ends them.
    pub rows: Option<&'t str>,
}

/// The parts of a script. `whole`: there is no other input, so rows that no `\.` ends go to the end of
/// the script; else such rows come from elsewhere.
pub fn script(text: &str, whole: bool) -> Vec<ScriptPart<'_>> {
    let mut parts = Vec::new();
    let mut start = 0;
    let mut at = 0;
    // Only a text that says so can be such a statement.
    let mut says_stdin = false;
    while let Some(line) = text[at..].split_inclusive('\n').next() {
        at += line.len();
        says_stdin |= line.to_ascii_lowercase().contains("stdin");
        if !says_stdin || !line.trim_end().ends_with(';') {
            continue;
        }
        // A semicolon within a text ends no statement: then there is an error here, and more to come.
        let Ok(parsed) = parse(&text[start..at]) else { continue };
        says_stdin = false;
        if copies_rows(&parsed)
            && let Some((rows, next)) = rows_at(text, at, whole)
        {
            parts.push(ScriptPart { start, statements: &text[start..at], rows: Some(rows) });
            (start, at) = (next, next);
        }
    }
    if start < text.len() || parts.is_empty() {
        parts.push(ScriptPart { start, statements: &text[start..], rows: None });
    }
    parts
}

fn copies_rows(parsed: &[Parsed]) -> bool {
    matches!(
        parsed.last().map(|last| &last.statement),
        Some(Statement::Copy(copy)) if copy.from && matches!(copy.location, CopyLocation::Stdin)
    )
}

/// The rows that begin at a place, and what follows them.
fn rows_at(text: &str, from: usize, whole: bool) -> Option<(&str, usize)> {
    let mut at = from;
    for line in text[from..].split_inclusive('\n') {
        if line.trim_end_matches(['\n', '\r']) == "\\." {
            return Some((&text[from..at], at + line.len()));
        }
        at += line.len();
    }
    whole.then(|| (&text[from..], text.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(text: &str, whole: bool) -> Vec<(&str, Option<&str>)> {
        let found = script(text, whole);
        assert!(found.iter().all(|part| text[part.start..].starts_with(part.statements)));
        found.iter().map(|part| (part.statements, part.rows)).collect()
    }

    #[test]
    fn rows_stand_behind_their_statement() {
        let text = "CREATE TABLE t (a text);\nCOPY t FROM STDIN;\na;\n'\n\\.\nSELECT 1;\n";
        let first = "CREATE TABLE t (a text);\nCOPY t FROM STDIN;\n";
        let wanted = vec![(first, Some("a;\n'\n")), ("SELECT 1;\n", None)];
        assert_eq!(parts(text, false), wanted);
        assert_eq!(parts(text, true), wanted);
    }

    #[test]
    fn several_and_none() {
        let text = "COPY t FROM\nSTDIN;\n\\.\nCOPY u\nFROM STDIN (FORMAT csv);\n1,2\n\\.\n";
        let wanted = vec![
            ("COPY t FROM\nSTDIN;\n", Some("")),
            ("COPY u\nFROM STDIN (FORMAT csv);\n", Some("1,2\n")),
        ];
        assert_eq!(parts(text, false), wanted);
        for text in ["", "SELECT 1", "SELECT 'stdin';\nSELECT 2;\n\\.\n", "-- stdin;\nSELECT 1;"] {
            assert_eq!(parts(text, true), vec![(text, None)]);
        }
    }

    #[test]
    fn rows_without_an_end_come_from_elsewhere_unless_there_is_nothing_else() {
        let text = "COPY t FROM STDIN;\n1\n2";
        assert_eq!(parts(text, false), vec![(text, None)]);
        assert_eq!(parts(text, true), vec![("COPY t FROM STDIN;\n", Some("1\n2"))]);
    }

    #[test]
    fn a_semicolon_in_a_text_ends_nothing() {
        let text = "SELECT 'from stdin;\n';\nCOPY t FROM STDIN;\n1\n\\.\n";
        let wanted = vec![("SELECT 'from stdin;\n';\nCOPY t FROM STDIN;\n", Some("1\n"))];
        assert_eq!(parts(text, false), wanted);
    }
}
