//! The doors of the room.

use datafusion::sql::sqlparser::ast::{self, Query, SetExpr};
use datafusion::sql::sqlparser::tokenizer::{Span, Token, TokenWithSpan};

use super::dialect::AsofDialect;
use super::grammar::Grammar;
use super::limits;
use super::rewrite::rewrite;
use super::source::Source;
use super::statement::{Parsed, Statement};
use super::version::{Slot, TableVersionSpec};
use crate::error::{Error, ErrorKind, Result};

/// Every statement of a text, in order; empty statements are none.
///
/// # Errors
/// Syntax with a position and, where we know better, a hint; LimitExceeded for a text above 16 MiB;
/// TooComplex for one nested too deeply.
pub fn parse(sql: &str) -> Result<Vec<Parsed>> {
    let (source, tokens) = Source::read(sql)?;
    let mut parsed = Vec::new();
    let statements = statements(tokens);
    let last = statements.len().saturating_sub(1);
    let mut after = None;
    for (at, (tokens, end)) in statements.into_iter().enumerate() {
        let span = |token: Option<&TokenWithSpan>| token.map_or(Span::empty(), |token| token.span);
        let place = (span(tokens.first()).start, span(tokens.last()).end);
        // What follows the last semicolon is about the last statement.
        let before = end.map(|semicolon| semicolon.start).filter(|_| at < last);
        let properties = source.said(after, place, before);
        after = end.map(|semicolon| semicolon.end);
        parsed.push(Parsed { properties, ..statement(&source, tokens, end)? });
    }
    Ok(parsed)
}

/// One expression: a DEFAULT, a CHECK.
///
/// # Errors
/// As [`parse`].
pub fn expression(text: &str) -> Result<ast::Expr> {
    only(text, |grammar| grammar.expr())
}

/// One expression, and the text's tokens to find its parts by.
pub(super) fn read_expression(text: &str) -> Result<(ast::Expr, Source<'_>)> {
    let tree = expression(text)?;
    Ok((tree, Source::read(text)?.0))
}

/// One query: a view's text.
///
/// # Errors
/// As [`parse`].
pub fn query(text: &str) -> Result<Box<Query>> {
    only(text, |grammar| grammar.query())
}

/// The version that `SET as_of = '…'` or `dbname@ref` names: a commit's number, a ref or a time.
pub fn version_literal(text: &str) -> TableVersionSpec {
    let value = ast::Value::SingleQuotedString(text.to_owned());
    let value = ast::Expr::Value(value.with_empty_span());
    TableVersionSpec { slot: Slot::Version, value, before: false, within: None }
}

fn statement(source: &Source<'_>, tokens: Vec<TokenWithSpan>, end: Option<Span>) -> Result<Parsed> {
    let depth = limits::check_depth(&tokens, source)?;
    let mut parameters = highest_parameter(&tokens, source)?;
    let first = tokens.first().map_or(Span::empty(), |token| token.span);
    let last = tokens.last().map_or(first, |token| token.span);
    let dialect = AsofDialect::new(tokens.len());
    let mut grammar = Grammar::new(&dialect, source, rewrite(tokens, source)?, depth);
    grammar.end = end;
    let statement = grammar.statement()?;
    if !grammar.at_end() {
        return Err(grammar.unexpected_after());
    }
    if let Statement::Prepare(_) = statement {
        // They are those of what it prepares.
        parameters = 0;
    }
    let as_of = grammar.as_of.take();
    if as_of.is_some() && !statement.reads() {
        let message = "AS OF SYSTEM TIME is for statements that read";
        return Err(source.error_at(first, ErrorKind::Syntax, message));
    }
    Ok(Parsed {
        statement,
        text: source.slice(first, last).to_owned(),
        parameters,
        as_of,
        properties: Vec::new(),
        offset: source.characters_before(first.start).unwrap_or(0),
        start: first.start,
    })
}

/// Reads a text that holds one thing and nothing else.
fn only<T>(text: &str, read: impl FnOnce(&mut Grammar<'_>) -> Result<T>) -> Result<T> {
    let (source, tokens) = Source::read(text)?;
    let depth = limits::check_depth(&tokens, &source)?;
    let dialect = AsofDialect::new(tokens.len());
    let mut grammar = Grammar::new(&dialect, &source, rewrite(tokens, &source)?, depth);
    let tree = read(&mut grammar)?;
    match grammar.at_end() && grammar.as_of.is_none() {
        true => Ok(tree),
        false => Err(grammar.unexpected_after()),
    }
}

/// Parts the tokens at semicolons: the tokens of each statement, and the semicolon after it.
fn statements(tokens: Vec<TokenWithSpan>) -> Vec<(Vec<TokenWithSpan>, Option<Span>)> {
    let mut found = Vec::new();
    let mut current = Vec::new();
    for token in tokens {
        match token.token {
            Token::EOF => {}
            Token::SemiColon if current.is_empty() => {}
            Token::SemiColon => found.push((std::mem::take(&mut current), Some(token.span))),
            _ => current.push(token),
        }
    }
    if !current.is_empty() {
        found.push((current, None));
    }
    found
}

/// The highest `$n`.
pub(super) fn highest_parameter(tokens: &[TokenWithSpan], source: &Source<'_>) -> Result<usize> {
    let mut highest = 0;
    for token in tokens {
        let Token::Placeholder(name) = &token.token else { continue };
        let number = name.strip_prefix('$').and_then(|n| n.parse::<u16>().ok()).filter(|n| *n > 0);
        let Some(number) = number else {
            let message = format!("there is no parameter {name}");
            let error = source.error_at(token.span, ErrorKind::UndefinedParameter, message);
            return Err(error.hint("parameters are $1 to $65535"));
        };
        highest = highest.max(usize::from(number));
    }
    Ok(highest)
}

/// A query writes nothing.
///
/// # Errors
/// Syntax.
pub fn refuse_write(query: &Query) -> Result<()> {
    match query.body.as_ref() {
        SetExpr::Insert(_) | SetExpr::Update(_) | SetExpr::Delete(_) | SetExpr::Merge(_) => Err(
            Error::new(ErrorKind::Syntax, "a query was expected here, not a statement that writes"),
        ),
        _ => Ok(()),
    }
}
