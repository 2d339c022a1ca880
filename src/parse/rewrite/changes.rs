//! Words of INSERT and MERGE that sqlparser does not know.
//!
//! | written | becomes |
//! |---|---|
//! | `INSERT OVERWRITE [INTO] [TABLE] t` | `INSERT OVERWRITE INTO t` |
//! | `INSERT INTO t REPLACE WHERE c SELECT …` | `INSERT INTO t SELECT …`, and `c` kept aside |
//! | `OVERRIDING {SYSTEM \| USER} VALUE` | nothing, and that it was said |
//! | `THEN DO NOTHING` | `THEN UPDATE SET "do nothing" = NULL`, or the INSERT like it |
//! | `THEN INSERT DEFAULT VALUES` | `THEN INSERT VALUES (DEFAULT)` |

use datafusion::sql::sqlparser::ast::{AssignmentTarget, MergeAction, ObjectName};
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan};

use super::Rewriter;
use crate::parse::statement::Overriding;

/// A column's name that no client means.
const NOTHING: &str = "asofdb do nothing";

/// Whether a WHEN of MERGE says DO NOTHING.
pub fn does_nothing(action: &MergeAction) -> bool {
    match action {
        MergeAction::Update(update) => matches!(update.assignments.as_slice(), [one]
            if matches!(&one.target, AssignmentTarget::ColumnName(name)
                if is_nothing(name))),
        MergeAction::Insert(insert) => matches!(insert.columns.as_slice(), [name]
            if is_nothing(name)),
        MergeAction::Delete { .. } => false,
    }
}

fn is_nothing(name: &ObjectName) -> bool {
    name.0.last().and_then(|part| part.as_ident()).is_some_and(|ident| ident.value == NOTHING)
}

impl Rewriter<'_> {
    /// Whether the words here were such ones, and are written.
    pub(super) fn change_word(&mut self, keyword: Keyword) -> bool {
        match keyword {
            Keyword::OVERWRITE if self.before(1) == Some(Keyword::INSERT) => {
                self.keep();
                match self.sees(0, &["INTO"]) {
                    true => self.keep(),
                    false => self.write(&[Token::make_keyword("INTO")]),
                }
                self.skip_table();
                self.level().table = true;
            }
            Keyword::INTO if self.before(1) == Some(Keyword::INSERT) => {
                self.keep();
                self.skip_table();
                self.level().table = true;
            }
            Keyword::REPLACE if self.sees(1, &["WHERE"]) && self.levels.len() == 1 => {
                self.at += 2;
                let condition = self.before_query();
                self.at += condition.len();
                self.done.replace_where = Some(condition);
            }
            Keyword::NoKeyword
                if self.sees(0, &["OVERRIDING"])
                    && self.sees(1, &["SYSTEM", "USER"])
                    && self.sees(2, &["VALUE"]) =>
            {
                self.done.overriding = match self.sees(1, &["USER"]) {
                    true => Overriding::User,
                    false => Overriding::System,
                };
                self.at += 3;
            }
            Keyword::DO if self.before(1) == Some(Keyword::THEN) && self.sees(1, &["NOTHING"]) => {
                self.do_nothing();
                self.at += 2;
            }
            Keyword::DEFAULT
                if self.before(1) == Some(Keyword::INSERT) && self.sees(1, &["VALUES"]) =>
            {
                let default = Token::make_keyword("DEFAULT");
                let values = Token::make_keyword("VALUES");
                self.write(&[values, Token::LParen, default, Token::RParen]);
                self.at += 2;
            }
            _ => return false,
        }
        true
    }

    /// Whether `WITH x AS [MATERIALIZED] (` stands before.
    pub(super) fn is_part_of_with(&self) -> bool {
        self.levels.len() == 2
            && self.first() == Some(Keyword::WITH)
            && matches!(self.before(2), Some(Keyword::AS | Keyword::MATERIALIZED))
    }

    /// The tokens from here to the query that follows them.
    fn before_query(&self) -> Vec<TokenWithSpan> {
        let mut depth = 0_usize;
        let rest = &self.tokens[self.at.min(self.tokens.len())..];
        let end = rest.iter().position(|token| match &token.token {
            Token::LParen => {
                depth += 1;
                false
            }
            Token::RParen => {
                depth = depth.saturating_sub(1);
                false
            }
            Token::Word(word) if word.quote_style.is_none() && depth == 0 => matches!(
                word.keyword,
                Keyword::SELECT | Keyword::WITH | Keyword::VALUES | Keyword::TABLE | Keyword::FROM
            ),
            _ => false,
        });
        rest[..end.unwrap_or(rest.len())].to_vec()
    }

    fn skip_table(&mut self) {
        let named = matches!(self.tokens.get(self.at + 1).map(|t| &t.token), Some(Token::Word(_)));
        if self.sees(0, &["TABLE"]) && named {
            self.at += 1;
        }
    }

    /// The action that WHEN allows, on a column that is not there.
    fn do_nothing(&mut self) {
        let word = Token::make_keyword;
        let column = || Token::make_word(NOTHING, Some('"'));
        if self.is_not_matched() {
            let (open, close) = (|| Token::LParen, || Token::RParen);
            let (values, null) = (word("VALUES"), word("NULL"));
            self.write(&[word("INSERT"), open(), column(), close(), values, open(), null, close()]);
        } else {
            self.write(&[word("UPDATE"), word("SET"), column(), Token::Eq, word("NULL")]);
        }
    }

    /// Whether the last WHEN is NOT MATCHED [BY TARGET].
    fn is_not_matched(&self) -> bool {
        let is = |token: &TokenWithSpan, keyword| matches!(&token.token, Token::Word(word) if word.keyword == keyword);
        let written = &self.done.tokens;
        let when = (0..written.len()).rev().find(|i| {
            let follows = |keyword| written.get(i + 1).is_some_and(|t| is(t, keyword));
            is(&written[*i], Keyword::WHEN) && (follows(Keyword::NOT) || follows(Keyword::MATCHED))
        });
        let Some(when) = when else { return false };
        let words = &written[when..];
        words.get(1).is_some_and(|t| is(t, Keyword::NOT))
            && !words.get(4).is_some_and(|t| is(t, Keyword::SOURCE))
    }

    fn write(&mut self, tokens: &[Token]) {
        let span = self.tokens[self.at.min(self.tokens.len() - 1)].span;
        let spanned = |token: &Token| TokenWithSpan { token: token.clone(), span };
        self.done.tokens.extend(tokens.iter().map(spanned));
    }
}
