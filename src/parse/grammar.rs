//! Reading tokens: the words our own statements are made of, and sqlparser for the rest.

use datafusion::sql::sqlparser::ast::{Expr, Ident, ObjectName, Query};
use datafusion::sql::sqlparser::parser::{Parser, ParserError};
use datafusion::sql::sqlparser::tokenizer::{Span, Token, TokenWithSpan};

use super::asof;
use super::clause;
use super::dialect::AsofDialect;
use super::limits;
use super::rewrite::Rewritten;
use super::source::Source;
use super::statement::{Overriding, Target};
use super::version::TableVersionSpec;
use crate::error::{Error, ErrorKind, Result};

/// The tokens of one statement, and how far they are read.
pub(super) struct Grammar<'a> {
    pub(super) parser: Parser<'a>,
    pub(super) source: &'a Source<'a>,
    /// What stands after the statement: its semicolon.
    pub(super) end: Option<Span>,
    /// How deep its tree may be.
    depth: usize,
    /// The version of INSERT's target, until INSERT takes it.
    pub(super) insert_version: Option<TableVersionSpec>,
    /// OVERRIDING … VALUE, if it was said.
    pub(super) overriding: Overriding,
    /// The condition of REPLACE WHERE, until INSERT takes it.
    pub(super) replace_where: Option<Vec<TokenWithSpan>>,
    /// AS OF SYSTEM TIME.
    pub(super) as_of: Option<Expr>,
    has_asof: bool,
}

/// A name as PostgreSQL knows it: lower case unless quoted.
pub fn fold(name: &Ident) -> String {
    match name.quote_style {
        Some(_) => name.value.clone(),
        None => name.value.to_ascii_lowercase(),
    }
}

impl<'a> Grammar<'a> {
    pub(super) fn new(
        dialect: &'a AsofDialect,
        source: &'a Source<'a>,
        rewritten: Rewritten,
        depth: usize,
    ) -> Self {
        Grammar {
            parser: Parser::new(dialect)
                .with_recursion_limit(limits::RECURSION_MAX)
                .with_tokens_with_locations(rewritten.tokens),
            source,
            end: None,
            depth,
            insert_version: rewritten.insert_version,
            overriding: rewritten.overriding,
            replace_where: rewritten.replace_where,
            as_of: rewritten.as_of,
            has_asof: rewritten.has_asof,
        }
    }

    /// Whether every token is read.
    pub(super) fn at_end(&self) -> bool {
        self.parser.peek_token_ref().token == Token::EOF
    }

    /// The unquoted word at n tokens from here, as written.
    pub(super) fn word(&self, n: usize) -> Option<&str> {
        match &self.parser.peek_nth_token_ref(n).token {
            Token::Word(word) if word.quote_style.is_none() => Some(&word.value),
            _ => None,
        }
    }

    /// Whether these words come next; a phrase is words parted by one space.
    pub(super) fn sees(&self, phrase: &str) -> bool {
        phrase.split(' ').enumerate().all(|(n, expected)| {
            self.word(n).is_some_and(|word| word.eq_ignore_ascii_case(expected))
        })
    }

    /// Reads these words if they come next.
    pub(super) fn accepts(&mut self, phrase: &str) -> bool {
        let seen = self.sees(phrase);
        if seen {
            phrase.split(' ').for_each(|_| self.parser.advance_token());
        }
        seen
    }

    /// Reads these words.
    pub(super) fn expects(&mut self, phrase: &str) -> Result<()> {
        for word in phrase.split(' ') {
            if !self.accepts(word) {
                return Err(self.unexpected());
            }
        }
        Ok(())
    }

    /// Reads one of these words; the one read.
    pub(super) fn expects_one<'w>(&mut self, words: &[&'w str]) -> Result<&'w str> {
        let found = words.iter().find(|phrase| self.sees(phrase)).copied();
        found.inspect(|phrase| _ = self.accepts(phrase)).ok_or_else(|| self.unexpected())
    }

    pub(super) fn sees_sign(&self, sign: &Token) -> bool {
        self.parser.peek_token_ref().token == *sign
    }

    pub(super) fn accepts_sign(&mut self, sign: &Token) -> bool {
        self.parser.consume_token(sign)
    }

    pub(super) fn expects_sign(&mut self, sign: &Token) -> Result<()> {
        match self.accepts_sign(sign) {
            true => Ok(()),
            false => Err(self.unexpected()),
        }
    }

    /// A syntax error at the token that comes next.
    pub(super) fn unexpected(&self) -> Error {
        let next = self.parser.peek_token_ref();
        match next.token {
            Token::EOF => self.source.syntax_error(self.end),
            _ => self.source.syntax_error(Some(next.span)),
        }
    }

    /// A syntax error at the token after what could be read.
    pub(super) fn unexpected_after(&self) -> Error {
        let hint = self.hint_for(self.parser.peek_token_ref().span);
        self.unexpected().maybe_hint(hint)
    }

    /// An error at the token that comes next.
    pub(super) fn refuse(&self, kind: ErrorKind, message: impl Into<String>) -> Error {
        self.source.error_at(self.parser.peek_token_ref().span, kind, message)
    }

    /// The characters before the next token, plus one.
    pub(super) fn position(&self) -> usize {
        let start = self.parser.peek_token_ref().span.start;
        self.source.characters_before(start).map_or(0, |characters| characters + 1)
    }

    /// A name of one part, folded.
    pub(super) fn name(&mut self) -> Result<String> {
        match self.parser.peek_token_ref().token {
            Token::Word(_) => self.sql(Parser::parse_identifier).map(|name| fold(&name)),
            _ => Err(self.unexpected()),
        }
    }

    /// A name or a string: what branches and tags are called.
    pub(super) fn name_or_string(&mut self) -> Result<String> {
        match &self.parser.peek_token_ref().token {
            Token::SingleQuotedString(_) => self.string(),
            _ => self.name(),
        }
    }

    /// A name of any number of parts.
    pub(super) fn object(&mut self) -> Result<ObjectName> {
        match self.parser.peek_token_ref().token {
            Token::Word(_) => self.sql(|parser| parser.parse_object_name(false)),
            _ => Err(self.unexpected()),
        }
    }

    /// A table and its version.
    pub(super) fn target(&mut self) -> Result<Target> {
        let name = self.object()?;
        Ok(Target { name, version: self.version()? })
    }

    /// The version clause that comes next, if one does.
    pub(super) fn version(&mut self) -> Result<Option<TableVersionSpec>> {
        let Some(clause) = clause::clause(&self.rest(), self.source)? else { return Ok(None) };
        (0..clause.length).for_each(|_| self.parser.advance_token());
        Ok(Some(clause.spec))
    }

    /// An expression without names or sub-selects.
    pub(super) fn constant(&mut self) -> Result<Expr> {
        let (value, used) = clause::constant(&self.rest(), self.source)?;
        (0..used).for_each(|_| self.parser.advance_token());
        Ok(value)
    }

    /// The tokens that are not read. For short statements only.
    fn rest(&self) -> Vec<TokenWithSpan> {
        (self.parser.index()..)
            .map(|i| self.parser.token_at(i).clone())
            .take_while(|token| token.token != Token::EOF)
            .collect()
    }

    /// A string.
    pub(super) fn string(&mut self) -> Result<String> {
        let text = match &self.parser.peek_token_ref().token {
            Token::SingleQuotedString(text) | Token::EscapedStringLiteral(text) => text.clone(),
            Token::DollarQuotedString(text) => text.value.clone(),
            _ => return Err(self.unexpected()),
        };
        self.parser.advance_token();
        Ok(text)
    }

    /// An integer, with its sign.
    pub(super) fn integer(&mut self) -> Result<i64> {
        let negative = self.accepts_sign(&Token::Minus);
        if !negative {
            self.accepts_sign(&Token::Plus);
        }
        let Token::Number(digits, _) = &self.parser.peek_token_ref().token else {
            return Err(self.unexpected());
        };
        let digits = digits.replace('_', "");
        let signed = if negative { format!("-{digits}") } else { digits };
        let number = signed.parse().map_err(|_| {
            self.refuse(
                ErrorKind::OutOfRange,
                format!("{signed} is not a whole number we can hold"),
            )
        })?;
        self.parser.advance_token();
        Ok(number)
    }

    /// An integer that is not negative.
    pub(super) fn count(&mut self) -> Result<u64> {
        match self.sees_sign(&Token::Minus) {
            true => Err(self.unexpected()),
            false => self.integer().map(i64::unsigned_abs),
        }
    }

    /// Items parted by commas.
    pub(super) fn list<T>(
        &mut self,
        mut item: impl FnMut(&mut Self) -> Result<T>,
    ) -> Result<Vec<T>> {
        let mut items = vec![item(self)?];
        while self.accepts_sign(&Token::Comma) {
            items.push(item(self)?);
        }
        Ok(items)
    }

    /// Names in parentheses.
    pub(super) fn columns(&mut self) -> Result<Vec<String>> {
        self.expects_sign(&Token::LParen)?;
        let names = self.list(Self::name)?;
        self.expects_sign(&Token::RParen)?;
        Ok(names)
    }

    /// An expression.
    pub(super) fn expr(&mut self) -> Result<Expr> {
        let mut expr = self.sql(Parser::parse_expr)?;
        self.fold_asof(&mut expr)?;
        Ok(expr)
    }

    /// A query.
    pub(super) fn query(&mut self) -> Result<Box<Query>> {
        let mut query = self.sql(Parser::parse_query)?;
        super::query::refuse_write(&query)?;
        self.fold_asof(query.as_mut())?;
        Ok(query)
    }

    /// A tree, and its text as written.
    pub(super) fn with_text<T>(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<T>,
    ) -> Result<(T, String)> {
        let (first, start) = (self.parser.peek_token_ref().span, self.parser.index());
        let tree = read(self)?;
        // Clauses that were moved forward end it as well: the last token is not the one that was read last.
        let spans = (start..self.parser.index()).map(|at| self.parser.token_at(at).span);
        let last = spans.max_by_key(|span| span.end).unwrap_or(first);
        Ok((tree, self.source.slice(first, last).to_owned()))
    }

    /// Gives the ASOF joins below a tree the shape that [`super::asof_of`] reads.
    pub(super) fn fold_asof<T: asof::Joined + Send>(&self, tree: &mut T) -> Result<()> {
        match self.has_asof {
            true => limits::on_a_stack_for(self.depth, || asof::fold(tree, self.source)),
            false => Ok(()),
        }
    }

    /// Runs a reader of sqlparser's and says its errors our way.
    pub(super) fn sql<T>(
        &mut self,
        read: impl FnOnce(&mut Parser<'a>) -> Result<T, ParserError>,
    ) -> Result<T> {
        read(&mut self.parser).map_err(|error| self.translate(error))
    }

    fn translate(&self, error: ParserError) -> Error {
        let text = match error {
            ParserError::ParserError(text) | ParserError::TokenizerError(text) => text,
            ParserError::RecursionLimitExceeded => {
                return Error::new(ErrorKind::TooComplex, "statement is too deeply nested to read")
                    .hint("split it, or name parts of it with WITH");
            }
        };
        let (said, span) = self.place_of(&text);
        let error = self.source.syntax_error(span.or(self.end));
        match said.strip_prefix("Expected: ").and_then(|said| said.split_once(", found: ")) {
            Some((expected, _)) => error.detail(format!("expected {expected}")),
            None => error.detail(said.to_owned()),
        }
        .maybe_hint(span.and_then(|span| self.hint_for(span)))
    }

    /// Parts sqlparser's message from the place it names.
    fn place_of<'t>(&self, text: &'t str) -> (&'t str, Option<Span>) {
        let Some((said, place)) = text.rsplit_once(" at Line: ") else {
            // A message without a place: of the end of the text, or of a value just read.
            let next = self.parser.peek_token_ref();
            return match next.token {
                Token::EOF => (text, None),
                _ if text.ends_with("found: EOF") => (text, None),
                _ => (text, Some(next.span)),
            };
        };
        let numbers = place.split_once(", Column: ").and_then(|(line, column)| {
            Some((line.trim().parse().ok()?, column.trim().parse().ok()?))
        });
        let span = numbers.map(|(line, column)| {
            let start = datafusion::sql::sqlparser::tokenizer::Location::new(line, column);
            Span::new(start, start)
        });
        (said, span)
    }

    fn hint_for(&self, span: Span) -> Option<&'static str> {
        let i = (0..).find(|i| {
            let token = self.parser.token_at(*i);
            token.token == Token::EOF || token.span.start == span.start
        })?;
        let back = i.saturating_sub(1);
        let tokens: Vec<_> = (back..back + 5).map(|i| self.parser.token_at(i).clone()).collect();
        (clause::starts(&tokens) || clause::starts(&tokens[1..]))
            .then_some("a version stands right after the table's name, before its alias")
    }
}

trait MaybeHint {
    fn maybe_hint(self, hint: Option<&str>) -> Error;
}

impl MaybeHint for Error {
    fn maybe_hint(self, hint: Option<&str>) -> Error {
        match hint {
            Some(hint) => self.hint(hint),
            None => self,
        }
    }
}
