//! A text and its tokens: what was written, and where.

use datafusion::sql::sqlparser::tokenizer::{
    Location, Span, Token, TokenWithSpan, Tokenizer, Whitespace,
};

use super::comment::{self, Said};
use super::dialect::AsofDialect;
use super::limits;
use crate::error::{Error, ErrorKind, Result};

/// A text, its tokens without white space and comments, and the place of each.
pub(super) struct Source<'a> {
    /// Comments that say something of the statements beside them.
    pub(super) comments: Vec<Said>,
    sql: &'a str,
    places: Vec<Place>,
}

/// Where a token stands.
#[derive(Clone, Copy)]
struct Place {
    span: Span,
    /// The first byte, and the one after the last.
    bytes: (usize, usize),
    /// Characters before it.
    characters: usize,
}

impl<'a> Source<'a> {
    /// Tokenises.
    pub(super) fn read(sql: &'a str) -> Result<(Source<'a>, Vec<TokenWithSpan>)> {
        limits::check_text(sql)?;
        let dialect = AsofDialect::new(0);
        let tokens = Tokenizer::new(&dialect, sql).tokenize_with_location().map_err(|e| {
            let (_, characters) = offset_of(sql, e.location);
            Error::new(ErrorKind::Syntax, lower_first(&e.message)).at(characters + 1)
        })?;
        let comments = comment::comments(&tokens);
        let tokens = signs_apart(without_space(tokens));
        limits::check_tokens(tokens.len())?;
        let places = places(sql, &tokens);
        Ok((Source { comments, sql, places }, tokens))
    }

    /// What comments say that stand between two places, outside the statement from `first` to `last`.
    pub(super) fn said(
        &self,
        after: Option<Location>,
        (first, last): (Location, Location),
        before: Option<Location>,
    ) -> Vec<(String, String)> {
        let around = |said: &&Said| {
            after.is_none_or(|after| said.at >= after)
                && before.is_none_or(|before| said.at < before)
                && (said.at < first || said.at >= last)
        };
        self.comments.iter().filter(around).flat_map(|said| said.pairs.iter().cloned()).collect()
    }

    /// The text between two places of tokens, both included.
    pub(super) fn slice(&self, first: Span, last: Span) -> &'a str {
        let start = self.find(first.start).map_or(0, |p| p.bytes.0);
        let end = self.find_end(last.end).map_or(self.sql.len(), |p| p.bytes.1);
        &self.sql[start..end.max(start)]
    }

    /// The bytes of a token of this text.
    pub(super) fn bytes_of(&self, span: Span) -> Option<std::ops::Range<usize>> {
        self.find(span.start).map(|place| place.bytes.0..place.bytes.1)
    }

    /// Characters before a token of this text.
    pub(super) fn characters_before(&self, location: Location) -> Option<usize> {
        self.find(location).map(|p| p.characters)
    }

    /// `syntax error at or near "x"`, or at the end where there is no token.
    pub(super) fn syntax_error(&self, near: Option<Span>) -> Error {
        match near.and_then(|span| self.find(span.start)) {
            Some(place) => {
                let word = &self.sql[place.bytes.0..place.bytes.1];
                let message = format!("syntax error at or near \"{}\"", shortened(word));
                Error::new(ErrorKind::Syntax, message).at(place.characters + 1)
            }
            None => Error::new(ErrorKind::Syntax, "syntax error at end of input").at(self
                .sql
                .chars()
                .count()
                + 1),
        }
    }

    /// An error at a token.
    pub(super) fn error_at(
        &self,
        span: Span,
        kind: ErrorKind,
        message: impl Into<String>,
    ) -> Error {
        let error = Error::new(kind, message);
        match self.characters_before(span.start) {
            Some(characters) => error.at(characters + 1),
            None => error,
        }
    }

    fn find(&self, start: Location) -> Option<&Place> {
        let key = (start.line, start.column);
        let i =
            self.places.binary_search_by_key(&key, |p| (p.span.start.line, p.span.start.column));
        i.ok().map(|i| &self.places[i])
    }

    fn find_end(&self, end: Location) -> Option<&Place> {
        let key = (end.line, end.column);
        let i = self.places.binary_search_by_key(&key, |p| (p.span.end.line, p.span.end.column));
        i.ok().map(|i| &self.places[i])
    }
}

/// Drops white space and comments; joins strings that only a line break parts, as SQL asks.
/// As in PostgreSQL an operator ends in + or - only if it has one of ~ ! @ # % ^ & | ` ? too: `a>-1` is a
/// comparison with a number that has a sign.
fn signs_apart(tokens: Vec<TokenWithSpan>) -> Vec<TokenWithSpan> {
    let mut apart = Vec::with_capacity(tokens.len());
    for token in tokens {
        match operator_and_sign(&token.token) {
            Some((operator, sign)) => {
                let mut between = token.span.end;
                between.column = between.column.saturating_sub(1);
                apart.push(TokenWithSpan::new(operator, Span::new(token.span.start, between)));
                apart.push(TokenWithSpan::new(sign, Span::new(between, token.span.end)));
            }
            None => apart.push(token),
        }
    }
    apart
}

fn operator_and_sign(token: &Token) -> Option<(Token, Token)> {
    let Token::CustomBinaryOperator(text) = token else { return None };
    let (operator, sign) = match text.split_at_checked(text.len() - 1)? {
        (operator, "-") => (operator, Token::Minus),
        (operator, "+") => (operator, Token::Plus),
        _ => return None,
    };
    let operator = match operator {
        "<" => Token::Lt,
        ">" => Token::Gt,
        "<=" => Token::LtEq,
        ">=" => Token::GtEq,
        "<>" => Token::Neq,
        "=" => Token::Eq,
        "+" => Token::Plus,
        "*" => Token::Mul,
        "/" => Token::Div,
        _ => return None,
    };
    Some((operator, sign))
}

fn without_space(tokens: Vec<TokenWithSpan>) -> Vec<TokenWithSpan> {
    let mut kept: Vec<TokenWithSpan> = Vec::with_capacity(tokens.len() / 2 + 1);
    let mut line_broken = false;
    for token in tokens {
        match token.token {
            Token::Whitespace(Whitespace::Newline | Whitespace::SingleLineComment { .. }) => {
                line_broken = true;
                continue;
            }
            Token::Whitespace(_) => continue,
            Token::SingleQuotedString(ref more) if line_broken => {
                if let Some(TokenWithSpan {
                    token: Token::SingleQuotedString(text) | Token::EscapedStringLiteral(text),
                    span,
                }) = kept.last_mut()
                {
                    text.push_str(more);
                    span.end = token.span.end;
                    line_broken = false;
                    continue;
                }
                kept.push(token);
            }
            _ => kept.push(token),
        }
        line_broken = false;
    }
    kept
}

/// The places of tokens, in one walk over the text.
fn places(sql: &str, tokens: &[TokenWithSpan]) -> Vec<Place> {
    let mut walk = Walk { sql, byte: 0, characters: 0, location: Location::new(1, 1) };
    tokens
        .iter()
        .map(|token| {
            walk.go_to(token.span.start);
            let (start, characters) = (walk.byte, walk.characters);
            walk.go_to(token.span.end);
            Place { span: token.span, bytes: (start, walk.byte), characters }
        })
        .collect()
}

/// The byte and the character of a location.
fn offset_of(sql: &str, location: Location) -> (usize, usize) {
    let mut walk = Walk { sql, byte: 0, characters: 0, location: Location::new(1, 1) };
    walk.go_to(location);
    (walk.byte, walk.characters)
}

struct Walk<'a> {
    sql: &'a str,
    byte: usize,
    characters: usize,
    location: Location,
}

impl Walk<'_> {
    fn go_to(&mut self, target: Location) {
        for c in self.sql[self.byte..].chars() {
            if self.location >= target {
                return;
            }
            self.byte += c.len_utf8();
            self.characters += 1;
            match c {
                '\n' => self.location = Location::new(self.location.line + 1, 1),
                _ => self.location.column += 1,
            }
        }
    }
}

fn lower_first(message: &str) -> String {
    let mut chars = message.chars();
    chars.next().map_or(String::new(), |c| c.to_lowercase().chain(chars).collect())
}

/// A token as an error shows it: a long string is cut.
fn shortened(word: &str) -> String {
    match word.char_indices().nth(60) {
        Some((end, _)) => format!("{}…", &word[..end]),
        None => word.to_owned(),
    }
}
