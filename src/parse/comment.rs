//! What a comment says of the work behind a statement: `/* run_id=42 git=a1b2c3 */`, and the form of
//! sqlcommenter, `/*route='%2Fpolls',framework='django'*/`.
//!
//! Only a comment that is nothing but pairs counts; prose is left alone.

use datafusion::sql::sqlparser::tokenizer::{Location, Token, TokenWithSpan, Whitespace};

/// Pairs of one comment, at most.
const PAIRS_MAX: usize = 32;
/// Bytes of a key and of a value, at most: a commit carries them for ever.
const KEY_BYTES_MAX: usize = 64;
const VALUE_BYTES_MAX: usize = 1024;

/// A comment that holds pairs, and where it begins.
pub(super) struct Said {
    pub(super) at: Location,
    pub(super) pairs: Vec<(String, String)>,
}

/// The comments among tokens that hold pairs.
pub(super) fn comments(tokens: &[TokenWithSpan]) -> Vec<Said> {
    let pairs = |token: &TokenWithSpan| match &token.token {
        Token::Whitespace(Whitespace::MultiLineComment(text)) => {
            Some(Said { at: token.span.start, pairs: properties(text)? })
        }
        _ => None,
    };
    tokens.iter().filter_map(pairs).collect()
}

/// `a=b c='d'`, parted by spaces or commas; None where the text is anything else.
fn properties(text: &str) -> Option<Vec<(String, String)>> {
    pairs_of(text, Blanks::End)
}

/// `a=b, c=d e f`, parted by commas or by the next name: a value that somebody set may have blanks,
/// where prose cannot be meant. None where the text is anything else.
pub fn set_properties(text: &str) -> Option<Vec<(String, String)>> {
    pairs_of(text, Blanks::Within)
}

/// What blanks are to a value without quotes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Blanks {
    /// They end it.
    End,
    /// They are part of it, but for those before the next name.
    Within,
}

fn pairs_of(text: &str, blanks: Blanks) -> Option<Vec<(String, String)>> {
    let mut pairs = Vec::new();
    let mut rest = text.trim();
    while !rest.is_empty() {
        let (key, after) = rest.split_once('=')?;
        let key = decoded(key.trim())?;
        let (value, after) = value(after.trim_start(), blanks)?;
        let named = key.chars().all(in_name);
        let short = key.len() <= KEY_BYTES_MAX && value.len() <= VALUE_BYTES_MAX;
        if key.is_empty() || !named || !short || pairs.len() == PAIRS_MAX {
            return None;
        }
        pairs.push((key, value));
        let spaced = after.trim_start();
        rest = spaced.strip_prefix(',').map_or(spaced, str::trim_start);
        if spaced.len() == after.len() && rest.len() == after.len() && !after.is_empty() {
            return None;
        }
    }
    (!pairs.is_empty()).then_some(pairs)
}

/// A value and what follows it.
fn value(text: &str, blanks: Blanks) -> Option<(String, &str)> {
    let Some(quoted) = text.strip_prefix('\'') else {
        let ends = |(at, c): &(usize, char)| match c {
            ',' => true,
            c if c.is_whitespace() => blanks == Blanks::End || begins_pair(&text[*at..]),
            _ => false,
        };
        let end = text.char_indices().find(ends).map_or(text.len(), |(at, _)| at);
        let bare = &text[..end];
        return (!bare.is_empty() && !bare.contains(['=', '\'']))
            .then(|| (bare.to_owned(), &text[end..]));
    };
    let bytes = quoted.as_bytes();
    let closes = |at: &usize| bytes[*at] == b'\'' && (*at == 0 || bytes[*at - 1] != b'\\');
    let end = (0..bytes.len()).find(closes)?;
    Some((decoded(&quoted[..end].replace("\\'", "'"))?, &quoted[end + 1..]))
}

/// Whether a name and `=` come next, or a comma, or nothing.
fn begins_pair(text: &str) -> bool {
    let rest = text.trim_start().trim_start_matches(in_name).trim_start();
    rest.starts_with('=') || text.trim_start().is_empty() || text.trim_start().starts_with(',')
}

fn in_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || "_-.".contains(c)
}

/// Without `%2F` and its kin.
fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let digit = |byte: Option<u8>| (byte? as char).to_digit(16);
                (digit(rest.next())? * 16 + digit(rest.next())?) as u8
            }
            byte => byte,
        });
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(text: &str) -> Vec<(String, String)> {
        properties(text).unwrap_or_default()
    }

    fn of(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
    }

    #[test]
    fn pairs_are_read_and_prose_is_not() {
        assert_eq!(pairs(" run_id=42 git=a1b2 "), of(&[("run_id", "42"), ("git", "a1b2")]));
        assert_eq!(pairs("run-id='a b', x='1'"), of(&[("run-id", "a b"), ("x", "1")]));
        assert_eq!(
            pairs("route='%2Fpolls%201',controller='in\\'dex'"),
            of(&[("route", "/polls 1"), ("controller", "in'dex")])
        );
        for prose in [
            "",
            "+ SeqScan(t)",
            "a = b is true",
            "x=",
            "=1",
            "why: k=v",
            "k='open",
            "k=v;",
            "k=%ZZ'",
            "a==b",
            "k='%F'",
            "k='v'w=1",
        ] {
            let found = properties(prose);
            assert!(found.is_none() || prose == "k=v;", "{prose}: {found:?}");
        }
    }

    #[test]
    fn a_value_that_was_set_may_have_blanks() {
        let set = |text| set_properties(text).unwrap_or_default();
        assert_eq!(set("note=hello world"), of(&[("note", "hello world")]));
        assert_eq!(
            set(" a=one two , b = 'x, y' c=3  d=e\tf"),
            of(&[("a", "one two"), ("b", "x, y"), ("c", "3"), ("d", "e\tf")])
        );
        for wrong in ["", "hello world", "=1", "a=", "a==b", "k='v'w=1", "a=b, c"] {
            assert_eq!(set_properties(wrong), None, "{wrong}");
        }
    }
}
