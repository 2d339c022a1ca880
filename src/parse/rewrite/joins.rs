//! The words of joins: ASOF in all its spellings, and the joins that do not go with it.

use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::tokenizer::{Span, Token, TokenWithSpan};

use super::super::asof::{self, AsofKind};
use super::super::clause;
use super::{Level, Rewriter};
use crate::error::{ErrorKind, Result};

impl Rewriter<'_> {
    /// Words of joins. True where they are read.
    pub(super) fn join_word(&mut self, keyword: Keyword) -> Result<bool> {
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
        let used = clause::expression_length(&self.tokens[self.at + 2..], self.source)?;
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
    pub(super) fn end_asof(&mut self) -> Result<()> {
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
