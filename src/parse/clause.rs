//! The spellings of a version clause, read from tokens.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{Expr, Value, Visit, Visitor};
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::parser::Parser;
use datafusion::sql::sqlparser::tokenizer::{Span, Token, TokenWithSpan};

use super::dialect::AsofDialect;
use super::source::Source;
use super::version::{Clause, Slot, TableVersionSpec};
use crate::error::{Error, ErrorKind, Result};

/// The longest expression for a version or a time: what is copied about stays small.
const VALUE_TOKENS_MAX: usize = 200;

/// Whether a version clause starts here.
pub(super) fn starts(tokens: &[TokenWithSpan]) -> bool {
    let words = Words(tokens);
    head(&words).is_some() || words.is(0, &["CHANGES"]) && words.sign(1, &Token::LParen)
}

/// The version clause at the start of these tokens, which follow a table's name. None where
/// something else stands there.
pub(super) fn clause(tokens: &[TokenWithSpan], source: &Source<'_>) -> Result<Option<Clause>> {
    let reader = Reader { words: Words(tokens), source };
    let Some(first) = reader.one(0)? else { return Ok(None) };
    // t@audit VERSION AS OF 5, AT BRANCH audit AS OF …: a version of that ref's history.
    let names_ref = matches!(first.spec.slot, Slot::Ref | Slot::Branch | Slot::Tag);
    let Some(second) = reader.one(first.length)? else { return Ok(Some(first)) };
    if !names_ref || matches!(second.spec.slot, Slot::Ref | Slot::Branch | Slot::Tag) {
        let span = tokens[first.length].span;
        let message = "a table has one version";
        return Err(source.error_at(span, ErrorKind::Syntax, message));
    }
    Ok(Some(Clause {
        length: first.length + second.length,
        within: first.value.into_iter().next(),
        spec: TableVersionSpec { within: Some(first.spec.value), ..second.spec },
        value: second.value,
    }))
}

/// The constant expression at the start of these tokens, and how many it takes.
pub(super) fn constant(tokens: &[TokenWithSpan], source: &Source<'_>) -> Result<(Expr, usize)> {
    Reader { words: Words(tokens), source }.constant(0)
}

/// How many tokens the expression at the start of these takes.
pub(super) fn expression_length(tokens: &[TokenWithSpan], source: &Source<'_>) -> Result<usize> {
    Reader { words: Words(tokens), source }.expression(0).map(|(_, used)| used)
}

/// What the words before the value say.
enum Head {
    /// A value in this slot follows so many tokens.
    Value(Slot, usize),
    /// `@name`, `@branch(name)`, AT BRANCH name: a name follows; the last is whether in parentheses.
    Name(Slot, usize, bool),
    /// AT (KIND => value), BEFORE (KIND => value).
    Argument { before: bool },
    /// AS OF value: the slot is the value's.
    AsOf(usize),
    /// FOR SYSTEM_TIME BETWEEN, FROM, ALL, CONTAINED IN.
    Period,
    /// FOR VALID_TIME: time that people write, not the database.
    ValidTime,
    /// AS OF SYSTEM TIME: of the statement, not of the table.
    Statement,
}

/// Tokens as words, whatever their case.
struct Words<'t>(&'t [TokenWithSpan]);

impl Words<'_> {
    fn get(&self, i: usize) -> Option<&Token> {
        self.0.get(i).map(|token| &token.token)
    }

    fn word(&self, i: usize) -> Option<&str> {
        match self.get(i) {
            Some(Token::Word(word)) if word.quote_style.is_none() => Some(&word.value),
            _ => None,
        }
    }

    fn is(&self, i: usize, any: &[&str]) -> bool {
        self.word(i).is_some_and(|word| any.iter().any(|w| word.eq_ignore_ascii_case(w)))
    }

    fn sign(&self, i: usize, sign: &Token) -> bool {
        self.get(i) == Some(sign)
    }

    fn as_of(&self, i: usize) -> bool {
        self.is(i, &["AS"]) && self.is(i + 1, &["OF"])
    }

    fn is_literal(&self, i: usize) -> bool {
        matches!(
            self.get(i),
            Some(Token::Number(..) | Token::SingleQuotedString(_) | Token::Placeholder(_))
        )
    }

    /// Whether a name or a string that names stands here.
    fn names(&self, i: usize) -> bool {
        matches!(self.get(i), Some(Token::Word(_) | Token::SingleQuotedString(_)))
    }
}

fn head(words: &Words<'_>) -> Option<Head> {
    if words.sign(0, &Token::AtSign) {
        let slot = match () {
            _ if words.is(1, &["BRANCH"]) => Slot::Branch,
            _ if words.is(1, &["TAG"]) => Slot::Tag,
            _ => return Some(Head::Name(Slot::Ref, 1, false)),
        };
        return Some(match words.sign(2, &Token::LParen) {
            true => Head::Name(slot, 3, true),
            false => Head::Name(Slot::Ref, 1, false),
        });
    }
    if words.as_of(0) {
        return as_of_head(words);
    }
    if words.is(0, &["AT", "BEFORE"]) {
        return at_head(words);
    }
    let at = usize::from(words.is(0, &["FOR"]));
    let slot = match () {
        _ if words.is(at, &["SYSTEM_VERSION", "VERSION"]) => Slot::Version,
        _ if words.is(at, &["SYSTEM_TIME", "TIMESTAMP", "TIME"]) => Slot::Time,
        _ if at == 1 && words.is(1, &["VALID_TIME", "ALL"]) => return Some(Head::ValidTime),
        _ => return None,
    };
    match words.as_of(at + 1) {
        true => Some(Head::Value(slot, at + 3)),
        false if at == 1 && words.is(2, &["FROM", "BETWEEN", "ALL", "CONTAINED"]) => match slot {
            Slot::Time => Some(Head::Period),
            _ => None,
        },
        false => None,
    }
}

/// AT (KIND => …), AT BRANCH name. Else AT is a name for the table.
fn at_head(words: &Words<'_>) -> Option<Head> {
    if words.sign(1, &Token::LParen) && words.sign(3, &Token::RArrow) {
        return Some(Head::Argument { before: words.is(0, &["BEFORE"]) });
    }
    let slot = named_slot(words.word(1)?).filter(|_| words.is(0, &["AT"]))?;
    match slot {
        Slot::Branch | Slot::Tag | Slot::Ref if words.names(2) => Some(Head::Name(slot, 2, false)),
        Slot::Commit | Slot::Version if words.is_literal(2) => Some(Head::Value(slot, 2)),
        _ => None,
    }
}

/// AS OF something; a table may also be called `of`: `FROM t AS of, u`.
fn as_of_head(words: &Words<'_>) -> Option<Head> {
    if words.is(2, &["SYSTEM"]) && words.is(3, &["TIME"]) {
        return Some(Head::Statement);
    }
    match words.get(2)? {
        Token::SingleQuotedString(_)
        | Token::EscapedStringLiteral(_)
        | Token::Number(..)
        | Token::Placeholder(_)
        | Token::LParen => Some(Head::AsOf(2)),
        Token::Word(_) if words.is(2, &["TIMESTAMP", "SYSTEM_TIME"]) => {
            Some(Head::Value(Slot::Time, 3))
        }
        Token::Word(_) if words.is(2, &["VERSION", "SYSTEM_VERSION"]) => {
            Some(Head::Value(Slot::Version, 3))
        }
        Token::Word(_) if words.is(2, &["SCN"]) => Some(Head::Value(Slot::Commit, 3)),
        Token::Word(word)
            if matches!(word.keyword, Keyword::CURRENT_TIMESTAMP | Keyword::CURRENT_DATE)
                || words.sign(3, &Token::LParen)
                || matches!(words.get(3), Some(Token::SingleQuotedString(_))) =>
        {
            Some(Head::AsOf(2))
        }
        _ => None,
    }
}

/// The slot of a word in AT (word => value) and AT word value.
fn named_slot(word: &str) -> Option<Slot> {
    Some(match word.to_ascii_uppercase().as_str() {
        "VERSION" | "SYSTEM_VERSION" | "SNAPSHOT" => Slot::Version,
        "TIMESTAMP" | "TIME" | "SYSTEM_TIME" => Slot::Time,
        "OFFSET" => Slot::Offset,
        "BRANCH" => Slot::Branch,
        "TAG" | "VERSION_TAG" => Slot::Tag,
        "REF" | "VERSION_REF" => Slot::Ref,
        "COMMIT" => Slot::Commit,
        "STATEMENT" => Slot::Statement,
        _ => return None,
    })
}

struct Reader<'t> {
    words: Words<'t>,
    source: &'t Source<'t>,
}

impl Reader<'_> {
    /// One clause, `at` tokens from the start.
    fn one(&self, at: usize) -> Result<Option<Clause>> {
        let rest = Words(&self.words.0[at.min(self.words.0.len())..]);
        match head(&rest) {
            None if rest.is(0, &["CHANGES"]) && rest.sign(1, &Token::LParen) => {
                Err(self.not_supported(at, "CHANGES (…)", "call table_changes('t', from, to)"))
            }
            None => Ok(None),
            Some(Head::Value(slot, skip)) => self.value(at, skip, slot, false).map(Some),
            Some(Head::Name(slot, skip, closed)) => self.named(at, skip, slot, closed).map(Some),
            Some(Head::Argument { before }) => self.argument(at, before).map(Some),
            Some(Head::AsOf(skip)) => {
                let mut clause = self.value(at, skip, Slot::Version, false)?;
                if !names_version(&clause.spec.value) {
                    clause.spec.slot = Slot::Time;
                }
                Ok(Some(clause))
            }
            Some(Head::Period) => self.period(at).map(Some),
            Some(Head::ValidTime) => Err(self.not_supported(
                at,
                "FOR VALID_TIME",
                "compare the columns that say when a row is true: WHERE valid_from <= … ",
            )),
            Some(Head::Statement) => Err(self.not_supported(
                at,
                "AS OF SYSTEM TIME inside a query",
                "put it at the end of the outermost FROM, or give each table FOR SYSTEM_TIME AS OF",
            )),
        }
    }

    fn not_supported(&self, at: usize, what: &str, hint: &str) -> Error {
        let span = self.words.0[at].span;
        let message = format!("{what} is not supported");
        self.source.error_at(span, ErrorKind::NotSupported, message).hint(hint)
    }

    /// A clause whose value is an expression, `skip` tokens on.
    fn value(&self, at: usize, skip: usize, slot: Slot, before: bool) -> Result<Clause> {
        let start = at + skip;
        let (value, used) = self.constant(start)?;
        let tokens = self.words.0[start..start + used].to_vec();
        Ok(Clause {
            length: skip + used,
            spec: TableVersionSpec { slot, value, before, within: None },
            value: tokens,
            within: None,
        })
    }

    /// A clause whose value is a name.
    fn named(&self, at: usize, skip: usize, slot: Slot, closed: bool) -> Result<Clause> {
        let start = at + skip;
        let span = self.words.0.get(start).map(|token| token.span);
        let (slot, value) = match self.words.get(start) {
            Some(Token::Word(word)) if word.quote_style.is_some() => (slot, text(&word.value)),
            Some(Token::Word(word)) => (slot, text(&word.value.to_ascii_lowercase())),
            Some(Token::SingleQuotedString(name)) => (slot, text(name)),
            Some(number @ Token::Number(..)) if slot == Slot::Ref && !closed => {
                (Slot::Version, number.clone())
            }
            _ => return Err(self.source.syntax_error(span)),
        };
        if closed && !self.words.sign(start + 1, &Token::RParen) {
            return Err(self.source.syntax_error(self.words.0.get(start + 1).map(|t| t.span)));
        }
        let token = TokenWithSpan { token: value, span: self.words.0[start].span };
        let (value, _) = read(vec![token.clone()], self.source)?;
        Ok(Clause {
            length: skip + 1 + usize::from(closed),
            spec: TableVersionSpec { slot, value, before: false, within: None },
            value: vec![token],
            within: None,
        })
    }

    /// AT (KIND => value).
    fn argument(&self, at: usize, before: bool) -> Result<Clause> {
        let kind = self.words.word(at + 2).and_then(named_slot);
        let slot = kind.ok_or_else(|| {
            let span = self.words.0[at + 2].span;
            self.source.syntax_error(Some(span)).hint(
                "the kinds are VERSION, SNAPSHOT, TIMESTAMP, OFFSET, BRANCH, TAG, REF, COMMIT and \
                 STATEMENT",
            )
        })?;
        let alone = self.words.sign(at + 5, &Token::RParen);
        let names = !matches!(slot, Slot::Time | Slot::Offset | Slot::Statement);
        let clause = match self.words.get(at + 4) {
            Some(Token::Word(_)) if alone && names => self.named(at, 4, slot, true)?,
            _ => {
                let mut clause = self.value(at, 4, slot, before)?;
                let close = at + clause.length;
                if !self.words.sign(close, &Token::RParen) {
                    return Err(self.source.syntax_error(self.words.0.get(close).map(|t| t.span)));
                }
                clause.length += 1;
                clause
            }
        };
        Ok(Clause { spec: TableVersionSpec { before, ..clause.spec }, ..clause })
    }

    /// FOR SYSTEM_TIME FROM a TO b, BETWEEN a AND b, CONTAINED IN (a, b), ALL.
    fn period(&self, at: usize) -> Result<Clause> {
        let start = at + 3;
        let is = |word: &str| self.words.is(at + 2, &[word]);
        let (slot, value, length) = if is("ALL") {
            (Slot::All, vec![text("")], 3)
        } else if is("CONTAINED") {
            let open = start + 1;
            if !self.words.is(start, &["IN"]) || !self.words.sign(open, &Token::LParen) {
                return Err(self.unexpected(start));
            }
            let (value, used) = self.pair(open + 1, &|w, i| w.sign(i, &Token::Comma))?;
            if !self.words.sign(open + 1 + used, &Token::RParen) {
                return Err(self.unexpected(open + 1 + used));
            }
            (Slot::Contained, value, used + 6)
        } else {
            let (slot, between) =
                if is("FROM") { (Slot::FromTo, "TO") } else { (Slot::Between, "AND") };
            let (value, used) = self.pair(start, &|w, i| w.is(i, &[between]))?;
            (slot, value, used + 3)
        };
        let span = self.words.0[at].span;
        let value: Vec<_> = value.into_iter().map(|token| TokenWithSpan { token, span }).collect();
        let (spec, _) = read(value.clone(), self.source)?;
        let spec = TableVersionSpec { slot, value: spec, before: false, within: None };
        Ok(Clause { length, spec, value, within: None })
    }

    /// Two constants with something between them, as `(a, b)`; how many tokens they take.
    fn pair(
        &self,
        start: usize,
        parts: &dyn Fn(&Words<'_>, usize) -> bool,
    ) -> Result<(Vec<Token>, usize)> {
        let mut depth = 0_usize;
        let mut middle = start;
        while depth > 0 || !parts(&self.words, middle) {
            match self.words.get(middle) {
                Some(Token::LParen) => depth += 1,
                Some(Token::RParen) if depth == 0 => return Err(self.unexpected(middle)),
                Some(Token::RParen) => depth -= 1,
                Some(_) => {}
                None => return Err(self.unexpected(middle)),
            }
            middle += 1;
        }
        let first = Reader { words: Words(&self.words.0[..middle]), source: self.source };
        let (_, used) = first.constant(start)?;
        if start + used != middle {
            return Err(self.unexpected(start + used));
        }
        let (_, after) = self.constant(middle + 1)?;
        let of = |from: usize, to: usize| self.words.0[from..to].iter().map(|t| t.token.clone());
        let mut value = vec![Token::LParen];
        value.extend(of(start, middle));
        value.push(Token::Comma);
        value.extend(of(middle + 1, middle + 1 + after));
        value.push(Token::RParen);
        Ok((value, used + 1 + after))
    }

    fn unexpected(&self, at: usize) -> Error {
        self.source.syntax_error(self.words.0.get(at).map(|token| token.span))
    }

    /// The constant expression at a token, and how many tokens it takes.
    fn constant(&self, start: usize) -> Result<(Expr, usize)> {
        let (value, used) = self.expression(start)?;
        refuse_names(&value, self.words.0[start].span, self.source)?;
        Ok((value, used))
    }

    /// The expression at a token, and how many tokens it takes.
    fn expression(&self, start: usize) -> Result<(Expr, usize)> {
        let rest = &self.words.0[start.min(self.words.0.len())..];
        let mut depth = 0_usize;
        let end = rest.iter().position(|token| match &token.token {
            Token::LParen => {
                depth += 1;
                false
            }
            Token::RParen if depth == 0 => true,
            Token::RParen => {
                depth -= 1;
                false
            }
            Token::Comma => depth == 0,
            Token::Word(word) => depth == 0 && ends_expression(word.keyword),
            _ => false,
        });
        let tokens = rest[..end.unwrap_or(rest.len())].to_vec();
        if tokens.is_empty() {
            return Err(self.source.syntax_error(rest.first().map(|token| token.span)));
        }
        let (value, used) = read(tokens, self.source)?;
        if used > VALUE_TOKENS_MAX {
            let message = format!("a version or time has more than {VALUE_TOKENS_MAX} words");
            return Err(self.source.error_at(rest[0].span, ErrorKind::TooComplex, message));
        }
        Ok((value, used))
    }
}

fn ends_expression(keyword: Keyword) -> bool {
    matches!(
        keyword,
        Keyword::WHERE
            | Keyword::JOIN
            | Keyword::ON
            | Keyword::USING
            | Keyword::GROUP
            | Keyword::ORDER
            | Keyword::HAVING
            | Keyword::LIMIT
            | Keyword::UNION
            | Keyword::SET
            | Keyword::SELECT
    )
}

fn text(text: &str) -> Token {
    Token::SingleQuotedString(text.to_owned())
}

/// Reads an expression from the front of these tokens.
fn read(tokens: Vec<TokenWithSpan>, source: &Source<'_>) -> Result<(Expr, usize)> {
    let span = tokens.first().map(|token| token.span);
    let dialect = AsofDialect::new(tokens.len());
    let mut parser = Parser::new(&dialect)
        .with_recursion_limit(super::limits::RECURSION_MAX)
        .with_tokens_with_locations(tokens);
    match parser.parse_expr() {
        Ok(value) => Ok((value, parser.index())),
        Err(_) => Err(source.syntax_error(span)),
    }
}

/// Whether a value in AS OF names a version rather than a time by its form.
fn names_version(value: &Expr) -> bool {
    match value {
        Expr::Value(value) => {
            matches!(
                value.value,
                Value::SingleQuotedString(_) | Value::Number(..) | Value::Placeholder(_)
            )
        }
        Expr::Nested(value) => names_version(value),
        _ => false,
    }
}

/// A version is known before any row is: no column, no sub-select.
fn refuse_names(value: &Expr, span: Span, source: &Source<'_>) -> Result<()> {
    struct Names;
    impl Visitor for Names {
        type Break = &'static str;
        fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<&'static str> {
            match expr {
                Expr::Identifier(_) | Expr::CompoundIdentifier(_) => {
                    ControlFlow::Break("write the name of a branch or tag in quotes: 'name'")
                }
                Expr::Subquery(_) | Expr::Exists { .. } | Expr::InSubquery { .. } => {
                    ControlFlow::Break("run the sub-select first and bind its value as a parameter")
                }
                _ => ControlFlow::Continue(()),
            }
        }
    }
    match value.visit(&mut Names) {
        ControlFlow::Break(hint) => {
            let message = "the version of a table must be a constant or a parameter";
            Err(source.error_at(span, ErrorKind::Syntax, message).hint(hint))
        }
        ControlFlow::Continue(()) => Ok(()),
    }
}
