//! One pass over a statement's tokens, before the grammar reads them.
//!
//! It knows where a table's name may stand (after FROM, JOIN, USING, INTO, UPDATE and the commas of
//! a FROM list) and there turns versions into `AT (kind => value)`; it turns ASOF joins into the
//! form sqlparser has. What it does not understand it leaves for the grammar to refuse.

use datafusion::sql::sqlparser::ast::Expr;
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::tokenizer::{Span, Token, TokenWithSpan};

use super::asof::{self, AsofKind};
use super::source::Source;
use super::version::{self, TableVersionSpec};
use crate::error::{ErrorKind, Result};

/// FROM ((((…: sqlparser reads each such level twice.
const FROM_PARENTHESES_MAX: usize = 12;

/// A statement's tokens in the shape the grammar knows, and what they no longer say.
pub(super) struct Rewritten {
    pub(super) tokens: Vec<TokenWithSpan>,
    /// The version of INSERT's target, for which sqlparser's tree has no place.
    pub(super) insert_version: Option<TableVersionSpec>,
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
        if closed.factor && self.at < self.tokens.len() && version::starts(&self.tokens[self.at..])
        {
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
        if self.join_word(keyword)? || self.statement_as_of()? {
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
        let into = self.before(1) == Some(Keyword::INTO) && self.before(2) == Some(Keyword::INSERT);
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
        if let Some(clause) = version::clause(&self.tokens[self.at..], self.source)? {
            self.at += clause.length;
            match into {
                true => self.done.insert_version = Some(clause.spec),
                false => self.done.tokens.extend(clause.tokens(span)),
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
            word.value = word.value.to_lowercase();
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
        let (value, used) = version::constant(&self.tokens[self.at + 4..], self.source)?;
        self.done.as_of = Some(value);
        self.at += 4 + used;
        Ok(true)
    }

    /// Words that begin and end lists of tables.
    fn clause_word(&mut self, keyword: Keyword) -> Result<()> {
        match keyword {
            Keyword::INSERT | Keyword::UPDATE | Keyword::DELETE | Keyword::MERGE
                if self.levels.len() > 1 && self.done.tokens.last().is_some_and(is_open) =>
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

    /// Words of joins. True where they are read.
    fn join_word(&mut self, keyword: Keyword) -> Result<bool> {
        if is_join_kind(keyword)
            && let Some((kind, length)) = asof::join_at(&self.tokens[self.at..])
        {
            self.end_asof()?;
            return self.asof_join(kind, length).map(|()| true);
        }
        match keyword {
            Keyword::NATURAL | Keyword::CROSS | Keyword::GLOBAL => self.refuse_join(keyword)?,
            Keyword::ASOF => self.refuse_asof()?,
            Keyword::MATCH_CONDITION if self.level().asof.is_some() => {
                return self.match_condition();
            }
            Keyword::ON | Keyword::USING => {
                if let Some((kind, span)) = self.level().asof.take() {
                    self.write_marker(kind.unwrap_or(AsofKind::Inner), span);
                    self.close_marker(span);
                    if keyword == Keyword::USING {
                        self.keep();
                        return Ok(true);
                    }
                }
            }
            Keyword::JOIN => {
                self.end_asof()?;
                self.level().known_at = None;
            }
            _ if self.sees(0, &["KNOWN"]) && self.sees(1, &["AT"]) => return self.known_at(),
            _ => {}
        }
        Ok(false)
    }

    fn asof_join(&mut self, kind: Option<AsofKind>, length: usize) -> Result<()> {
        let last = &self.tokens[self.at + length - 1];
        let span = Span::new(self.span().start, last.span.end);
        let word = |word| TokenWithSpan { token: Token::make_word(word, None), span: last.span };
        let asof = TokenWithSpan { span: self.span(), ..word("ASOF") };
        let tokens = [asof, word("JOIN")];
        self.done.tokens.extend(tokens);
        self.at += length;
        self.done.has_asof = true;
        let level = self.level();
        (level.asof, level.table, level.known_at) = (Some((kind, span)), true, None);
        Ok(())
    }

    fn match_condition(&mut self) -> Result<bool> {
        if !self.sees_sign(1, &Token::LParen) {
            return Ok(false);
        }
        let span = self.span();
        let asof = self.level().asof.take();
        let kind = asof.and_then(|(kind, _)| kind).unwrap_or(AsofKind::Left);
        self.write_marker(kind, span);
        self.done.tokens.extend(asof::open_part("condition", span));
        self.at += 2;
        self.levels.push(Level { condition: true, ..Level::default() });
        Ok(true)
    }

    fn write_marker(&mut self, kind: AsofKind, span: Span) {
        self.done.tokens.extend(asof::open_marker(kind, span));
    }

    fn close_marker(&mut self, span: Span) {
        self.level().known_at = Some(self.done.tokens.len());
        let close = TokenWithSpan { token: Token::RParen, span };
        self.done.tokens.extend([close.clone(), close]);
    }

    /// KNOWN AT e goes back into the marker of its join.
    fn known_at(&mut self) -> Result<bool> {
        let time_zone = self.sees(2, &["TIME"]) && self.sees(3, &["ZONE"]);
        let Some(place) = self.level().known_at.filter(|_| !time_zone && self.follows_operand())
        else {
            return Ok(false);
        };
        let span = self.span();
        let used = version::expression_length(&self.tokens[self.at + 2..], self.source)?;
        let value = self.tokens[self.at + 2..self.at + 2 + used].iter().cloned();
        let part: Vec<_> = asof::open_part("known_at", span).into_iter().chain(value).collect();
        self.done.tokens.splice(place..place, part);
        self.at += 2 + used;
        self.level().known_at = None;
        Ok(true)
    }

    /// Whether what was written last ends an operand, so that a name cannot follow it.
    fn follows_operand(&self) -> bool {
        match self.done.tokens.last().map(|token| &token.token) {
            Some(Token::Word(word)) => !matches!(
                word.keyword,
                Keyword::ON
                    | Keyword::AND
                    | Keyword::OR
                    | Keyword::NOT
                    | Keyword::BETWEEN
                    | Keyword::LIKE
                    | Keyword::FROM
            ),
            Some(
                Token::RParen
                | Token::RBracket
                | Token::Number(..)
                | Token::SingleQuotedString(_)
                | Token::Placeholder(_),
            ) => true,
            _ => false,
        }
    }

    /// An ASOF join whose condition did not come.
    fn end_asof(&mut self) -> Result<()> {
        let Some((_, span)) = self.level().asof else { return Ok(()) };
        let message = "ASOF JOIN needs MATCH_CONDITION (…), ON or USING";
        Err(self
            .source
            .error_at(span, ErrorKind::Syntax, message)
            .hint("for example: l ASOF JOIN r MATCH_CONDITION (l.ts >= r.ts) ON l.k = r.k"))
    }

    /// NATURAL ASOF JOIN, CROSS ASOF JOIN, GLOBAL JOIN.
    fn refuse_join(&self, keyword: Keyword) -> Result<()> {
        let kinds = ["LEFT", "RIGHT", "FULL", "INNER", "OUTER", "SEMI", "ANTI", "ASOF", "CROSS"];
        let kinds_ahead = (1..5).take_while(|i| self.sees(*i, &kinds)).count();
        let asof = (1..=kinds_ahead).any(|i| self.sees(i, &["ASOF"]));
        if !self.sees(kinds_ahead + 1, &["JOIN"]) {
            return Ok(());
        }
        let error = match keyword {
            Keyword::GLOBAL => self.source.syntax_error(Some(self.span())),
            _ if asof => self.source.error_at(
                self.span(),
                ErrorKind::Syntax,
                format!("{keyword:?} and ASOF do not go together"),
            ),
            _ => return Ok(()),
        };
        Err(match keyword {
            Keyword::GLOBAL => error.hint("there is one server: leave GLOBAL out"),
            _ => error.hint("name the keys with ON or USING"),
        })
    }

    /// ASOF before a join it cannot change.
    fn refuse_asof(&self) -> Result<()> {
        if self.sees(1, &["CROSS", "NATURAL"]) && self.sees(2, &["JOIN"]) {
            let message = "NATURAL and CROSS do not go together with ASOF";
            return Err(self.source.error_at(self.span(), ErrorKind::Syntax, message));
        }
        Ok(())
    }
}

fn is_open(token: &TokenWithSpan) -> bool {
    token.token == Token::LParen
}

fn is_join_kind(keyword: Keyword) -> bool {
    matches!(
        keyword,
        Keyword::ASOF
            | Keyword::LEFT
            | Keyword::RIGHT
            | Keyword::FULL
            | Keyword::INNER
            | Keyword::SEMI
            | Keyword::ANTI
    )
}
