//! One pass over a statement's tokens, before the grammar reads them.
//!
//! It knows where a table's name may stand (after FROM, JOIN, USING, INTO, UPDATE and the commas of
//! a FROM list) and there turns versions into `AT (kind => value)`; it turns ASOF joins into the
//! form sqlparser has. What it does not understand it leaves for the grammar to refuse.

use datafusion::sql::sqlparser::ast::Expr;
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::tokenizer::{Span, Token, TokenWithSpan};

use super::asof::AsofKind;
use super::clause;
use super::source::Source;
use super::statement::Overriding;
use super::version::TableVersionSpec;
use crate::error::{ErrorKind, Result};

mod changes;
mod joins;

pub use changes::does_nothing;

/// FROM ((((…: sqlparser reads each such level twice.
const FROM_PARENTHESES_MAX: usize = 12;

/// A statement's tokens in the shape the grammar knows, and what they no longer say.
pub(super) struct Rewritten {
    pub(super) tokens: Vec<TokenWithSpan>,
    /// The version of INSERT's target, for which sqlparser's tree has no place.
    pub(super) insert_version: Option<TableVersionSpec>,
    /// OVERRIDING … VALUE.
    pub(super) overriding: Overriding,
    /// The condition of REPLACE WHERE.
    pub(super) replace_where: Option<Vec<TokenWithSpan>>,
    /// AS OF SYSTEM TIME.
    pub(super) as_of: Option<Expr>,
    /// Whether there is an ASOF join.
    pub(super) has_asof: bool,
}

/// Rewrites the tokens of one statement.
pub(super) fn rewrite(tokens: Vec<TokenWithSpan>, source: &Source<'_>) -> Result<Rewritten> {
    let mut rewriter = Rewriter {
        source,
        at: 0,
        levels: vec![Level::default()],
        done: Rewritten {
            tokens: Vec::with_capacity(tokens.len() + 8),
            insert_version: None,
            overriding: Overriding::Nothing,
            replace_where: None,
            as_of: None,
            has_asof: false,
        },
        tokens,
    };
    while rewriter.at < rewriter.tokens.len() {
        rewriter.step()?;
    }
    rewriter.end_asof()?;
    Ok(rewriter.done)
}

/// One level of parentheses.
#[derive(Default)]
struct Level {
    /// Has a SELECT, DELETE or UPDATE: its FROM lists tables.
    query: bool,
    /// In a list of tables, whose commas part them.
    from: bool,
    /// A table comes next.
    table: bool,
    /// The parentheses are a sub-select, a nested join or a table function: no version may follow.
    factor: bool,
    /// FROM (( so many deep.
    doubled: usize,
    /// An ASOF join that still wants its MATCH_CONDITION, ON or USING.
    asof: Option<(Option<AsofKind>, Span)>,
    /// Where KNOWN AT of the last ASOF join goes, among the tokens written.
    known_at: Option<usize>,
    /// The parentheses of MATCH_CONDITION: one more closes the marker.
    condition: bool,
}

struct Rewriter<'a> {
    source: &'a Source<'a>,
    tokens: Vec<TokenWithSpan>,
    at: usize,
    levels: Vec<Level>,
    done: Rewritten,
}

impl Rewriter<'_> {
    fn step(&mut self) -> Result<()> {
        let table_next = self.level().table;
        match &self.tokens[self.at].token {
            Token::LParen => self.open(),
            Token::RParen => self.close(),
            Token::LBracket => {
                self.levels.push(Level::default());
                self.keep();
                Ok(())
            }
            Token::RBracket => {
                self.pop();
                self.keep();
                Ok(())
            }
            Token::Comma => {
                self.end_asof()?;
                let level = self.level();
                level.table = level.from;
                level.known_at = None;
                self.keep();
                Ok(())
            }
            Token::Word(word) if word.quote_style.is_none() => {
                let keyword = word.keyword;
                self.word(keyword)
            }
            Token::Word(_) if table_next => self.table_name(),
            _ => {
                self.level().table = false;
                self.keep();
                Ok(())
            }
        }
    }

    fn level(&mut self) -> &mut Level {
        self.levels.last_mut().expect("the lowest level is never closed")
    }

    fn keep(&mut self) {
        let eof = TokenWithSpan { token: Token::EOF, span: Span::empty() };
        self.done.tokens.push(std::mem::replace(&mut self.tokens[self.at], eof));
        self.at += 1;
    }

    fn keep_many(&mut self, count: usize) {
        (0..count).for_each(|_| self.keep());
    }

    fn span(&self) -> Span {
        self.tokens[self.at].span
    }

    fn sees(&self, ahead: usize, words: &[&str]) -> bool {
        match self.tokens.get(self.at + ahead).map(|token| &token.token) {
            Some(Token::Word(word)) if word.quote_style.is_none() => {
                words.iter().any(|w| word.value.eq_ignore_ascii_case(w))
            }
            _ => false,
        }
    }

    fn sees_sign(&self, ahead: usize, sign: &Token) -> bool {
        self.tokens.get(self.at + ahead).is_some_and(|token| token.token == *sign)
    }

    /// The keyword so many written tokens back.
    fn before(&self, back: usize) -> Option<Keyword> {
        let i = self.done.tokens.len().checked_sub(back)?;
        match &self.done.tokens[i].token {
            Token::Word(word) => Some(word.keyword),
            _ => None,
        }
    }

    fn first(&self) -> Option<Keyword> {
        match &self.done.tokens.first()?.token {
            Token::Word(word) => Some(word.keyword),
            _ => None,
        }
    }

    /// Whether the word here is a name after `.` or AS, whatever it looks like. CREATE VIEW v AS and
    /// PREPARE p AS stand before a query; AS inside one stands before a name.
    fn is_name(&mut self) -> bool {
        let level = self.level();
        let inside = level.query || level.from || level.factor;
        match self.done.tokens.last().map(|token| &token.token) {
            Some(Token::Period) => true,
            Some(Token::Word(word)) => inside && word.keyword == Keyword::AS,
            _ => false,
        }
    }

    fn open(&mut self) -> Result<()> {
        let level = self.level();
        let factor = std::mem::take(&mut level.table);
        let (inside, doubled) = (level.factor, level.doubled);
        let again = factor && inside && self.done.tokens.last().is_some_and(is_open);
        let doubled = doubled + usize::from(again);
        if doubled > FROM_PARENTHESES_MAX {
            let message = format!("more than {FROM_PARENTHESES_MAX} nested parentheses in FROM");
            let error = self.source.error_at(self.span(), ErrorKind::TooComplex, message);
            return Err(error.hint("name the inner parts with WITH"));
        }
        // Inside parentheses in a FROM list stands a query or a nested join.
        self.levels.push(Level {
            from: factor,
            table: factor,
            factor,
            doubled,
            ..Level::default()
        });
        self.keep();
        Ok(())
    }

    fn close(&mut self) -> Result<()> {
        self.end_asof()?;
        let closed = self.pop();
        let span = self.span();
        self.keep();
        if closed.condition {
            self.level().known_at = Some(self.done.tokens.len() - 1);
            self.done.tokens.push(TokenWithSpan { token: Token::RParen, span });
        }
        if closed.factor && self.at < self.tokens.len() && clause::starts(&self.tokens[self.at..]) {
            return self.version_of_no_table();
        }
        Ok(())
    }

    fn pop(&mut self) -> Level {
        match self.levels.len() {
            1 => Level::default(),
            _ => self.levels.pop().unwrap_or_default(),
        }
    }

    fn version_of_no_table(&mut self) -> Result<()> {
        if self.statement_as_of()? {
            return Ok(());
        }
        Err(self
            .source
            .error_at(
                self.span(),
                ErrorKind::Syntax,
                "a version can only follow the name of a table",
            )
            .hint("put the version inside the parentheses, after each table it is for"))
    }

    fn word(&mut self, keyword: Keyword) -> Result<()> {
        if self.level().table && self.table_word(keyword)? {
            return Ok(());
        }
        if self.is_name() {
            self.keep();
            return Ok(());
        }
        if self.change_word(keyword) || self.join_word(keyword)? || self.statement_as_of()? {
            return Ok(());
        }
        self.clause_word(keyword)?;
        self.keep();
        Ok(())
    }

    /// A word where a table may stand; false where it is the start of a query after all.
    fn table_word(&mut self, keyword: Keyword) -> Result<bool> {
        let named = self.sees_sign(1, &Token::Period);
        match keyword {
            Keyword::SELECT | Keyword::WITH | Keyword::VALUES if !named => {
                self.level().table = false;
                Ok(false)
            }
            Keyword::TABLE if matches!(self.done.tokens.last(), Some(t) if t.token == Token::LParen) => {
                Ok(false)
            }
            // There is no inheritance, so ONLY says nothing.
            Keyword::ONLY if matches!(self.tokens.get(self.at + 1), Some(t) if matches!(t.token, Token::Word(_))) =>
            {
                self.at += 1;
                Ok(true)
            }
            Keyword::LATERAL | Keyword::TABLE => {
                self.keep();
                Ok(true)
            }
            _ => self.table_name().map(|()| true),
        }
    }

    /// The name of a table and what may follow it.
    fn table_name(&mut self) -> Result<()> {
        let inserts = matches!(self.before(2), Some(Keyword::INSERT | Keyword::OVERWRITE));
        let into = self.before(1) == Some(Keyword::INTO) && inserts;
        self.level().table = false;
        self.keep();
        while self.sees_sign(0, &Token::Period)
            && matches!(self.tokens.get(self.at + 1).map(|t| &t.token), Some(Token::Word(_)))
        {
            self.keep_many(2);
        }
        if self.at >= self.tokens.len() || self.statement_as_of()? {
            return Ok(());
        }
        let span = self.span();
        if let Some(clause) = clause::clause(&self.tokens[self.at..], self.source)? {
            self.at += clause.length;
            match into {
                true if self.levels.len() > 1 => {
                    let message = "a version of the table that a part of WITH writes";
                    return Err(self.source.error_at(span, ErrorKind::NotSupported, message));
                }
                true => self.done.insert_version = Some(clause.spec),
                false => {
                    self.done.tokens.extend(clause.tokens(span));
                    // A view's text ends where its last token does.
                    let end = self.tokens[self.at - 1].span;
                    if let Some(last) = self.done.tokens.last_mut() {
                        last.span = end;
                    }
                }
            }
            return Ok(());
        }
        if self.sees_sign(0, &Token::LParen) && !into {
            // A table function; its arguments are no tables.
            self.level().table = false;
            self.levels.push(Level { factor: true, ..Level::default() });
            self.keep();
        } else if self.sees(0, &["AT", "BEFORE", "CHANGES"]) {
            self.quote_alias();
        }
        Ok(())
    }

    /// sqlparser takes these words after a table for versions; quoted they are names.
    fn quote_alias(&mut self) {
        if let Token::Word(word) = &mut self.tokens[self.at].token {
            word.value = word.value.to_ascii_lowercase();
            word.quote_style = Some('"');
            word.keyword = Keyword::NoKeyword;
        }
        self.keep();
    }

    /// AS OF SYSTEM TIME e, which is about the whole statement.
    fn statement_as_of(&mut self) -> Result<bool> {
        let here = self.sees(0, &["AS"])
            && self.sees(1, &["OF"])
            && self.sees(2, &["SYSTEM"])
            && self.sees(3, &["TIME"]);
        let own = matches!(self.first(), Some(Keyword::BEGIN | Keyword::START | Keyword::SET));
        if !here || own || self.levels.len() > 1 || self.done.as_of.is_some() {
            return Ok(false);
        }
        let (value, used) = clause::constant(&self.tokens[self.at + 4..], self.source)?;
        self.done.as_of = Some(value);
        self.at += 4 + used;
        Ok(true)
    }

    /// Words that begin and end lists of tables.
    fn clause_word(&mut self, keyword: Keyword) -> Result<()> {
        match keyword {
            Keyword::INSERT | Keyword::UPDATE | Keyword::DELETE | Keyword::MERGE
                if self.levels.len() > 1
                    && self.done.tokens.last().is_some_and(is_open)
                    && !self.is_part_of_with() =>
            {
                let message = format!("{keyword:?} inside a query is not supported");
                let error = self.source.error_at(self.span(), ErrorKind::NotSupported, message);
                return Err(error.hint("run it as a statement of its own, in one transaction"));
            }
            Keyword::SELECT | Keyword::DELETE => {
                *self.level() = Level {
                    query: true,
                    factor: self.level().factor,
                    doubled: self.level().doubled,
                    condition: self.level().condition,
                    ..Level::default()
                };
            }
            Keyword::UPDATE => {
                let clause = matches!(
                    self.before(1),
                    Some(Keyword::FOR | Keyword::DO | Keyword::ON | Keyword::THEN | Keyword::KEY)
                );
                let level = self.level();
                level.query = true;
                level.table = !clause;
            }
            Keyword::FROM if self.level().query && !self.is_distinct_from() => {
                let level = self.level();
                (level.from, level.table) = (true, true);
            }
            Keyword::JOIN | Keyword::USING | Keyword::INTO => self.level().table = true,
            Keyword::TABLE if self.is_table_query() => self.write_select_all(),
            Keyword::WHERE
            | Keyword::GROUP
            | Keyword::HAVING
            | Keyword::ORDER
            | Keyword::LIMIT
            | Keyword::OFFSET
            | Keyword::FETCH
            | Keyword::WINDOW
            | Keyword::UNION
            | Keyword::EXCEPT
            | Keyword::INTERSECT
            | Keyword::RETURNING
            | Keyword::SET
            | Keyword::WHEN => {
                self.end_asof()?;
                let level = self.level();
                (level.from, level.table, level.known_at) = (false, false, None);
            }
            _ => {}
        }
        Ok(())
    }

    fn is_distinct_from(&self) -> bool {
        self.before(1) == Some(Keyword::DISTINCT)
            && matches!(self.before(2), Some(Keyword::IS | Keyword::NOT))
    }

    /// TABLE t where a query may stand, rather than CREATE TABLE t.
    fn is_table_query(&self) -> bool {
        if !matches!(self.tokens.get(self.at + 1).map(|t| &t.token), Some(Token::Word(_))) {
            return false;
        }
        match self.done.tokens.last().map(|token| &token.token) {
            None | Some(Token::LParen) => true,
            Some(Token::RParen) => self.first() == Some(Keyword::INSERT),
            Some(Token::Word(word)) => match word.keyword {
                Keyword::UNION
                | Keyword::EXCEPT
                | Keyword::INTERSECT
                | Keyword::ALL
                | Keyword::AS
                | Keyword::EXPLAIN
                | Keyword::VERBOSE
                | Keyword::FOR => true,
                Keyword::ANALYZE => self.first() == Some(Keyword::EXPLAIN),
                _ => self.first() == Some(Keyword::INSERT) && word.keyword != Keyword::INTO,
            },
            _ => false,
        }
    }

    /// TABLE t is SELECT * FROM t; sqlparser's own TABLE has no place for a version.
    fn write_select_all(&mut self) {
        let span = self.span();
        let word = |word| TokenWithSpan { token: Token::make_word(word, None), span };
        let star = TokenWithSpan { token: Token::Mul, span };
        self.done.tokens.extend([word("SELECT"), star]);
        self.tokens[self.at] = word("FROM");
        let level = self.level();
        (level.query, level.from, level.table) = (true, true, true);
    }
}

fn is_open(token: &TokenWithSpan) -> bool {
    token.token == Token::LParen
}
