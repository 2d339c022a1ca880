//! Bounds on a text, checked on its tokens before anything recurses over it.
//!
//! The grammar, the tree's visitors and its destructor all recurse once a level. A level is a
//! parenthesis, a bracket, a CASE or a prefix operator; a flat chain `1 + 1 + …` is a tree as deep
//! as it has operators. Lists (VALUES, IN, SELECT, SET) are flat and have no bound but the text's.

use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan};

use super::source::Source;
use crate::error::{Error, ErrorKind, Result};

/// The longest text.
const TEXT_BYTES_MAX: usize = 16 << 20;
/// The most tokens of a text; each costs about a hundred bytes while it is parsed.
const TOKENS_MAX: usize = 4_000_000;
/// The deepest nest.
const DEPTH_MAX: usize = 250;
/// The most operators one after another, counted down one path of the tree.
const CHAIN_MAX: usize = 4000;
/// The most joins that wait for their ON.
const OPEN_JOINS_MAX: usize = 50;
/// The most elements of one IN list.
const IN_LIST_MAX: usize = 32 << 10;

/// How deep sqlparser may go: each of our levels takes a few of its own.
pub(super) const RECURSION_MAX: usize = DEPTH_MAX * 16;

/// Refuses a text that is too long.
pub(super) fn check_text(sql: &str) -> Result<()> {
    if sql.len() <= TEXT_BYTES_MAX {
        return Ok(());
    }
    let message = format!("statement of {} bytes is longer than {TEXT_BYTES_MAX}", sql.len());
    Err(Error::new(ErrorKind::LimitExceeded, message).hint("send rows with COPY … FROM STDIN"))
}

/// Refuses a text of too many tokens.
pub(super) fn check_tokens(tokens: usize) -> Result<()> {
    if tokens <= TOKENS_MAX {
        return Ok(());
    }
    let message = format!("statement of {tokens} words and signs is longer than {TOKENS_MAX}");
    Err(Error::new(ErrorKind::LimitExceeded, message).hint("send rows with COPY … FROM STDIN"))
}

/// Refuses a statement that is too deep.
pub(super) fn check_depth(tokens: &[TokenWithSpan], source: &Source<'_>) -> Result<()> {
    let mut depth = Depth { levels: vec![Level::default()], prefixes: 0 };
    let mut before: Option<&Token> = None;
    for token in tokens {
        depth.step(&token.token, before).map_err(|excess| {
            let (message, hint) = excess.words();
            source.error_at(token.span, ErrorKind::TooComplex, message).hint(hint)
        })?;
        before = Some(&token.token);
    }
    Ok(())
}

enum Excess {
    Depth,
    Chain,
    OpenJoins,
    InList,
}

impl Excess {
    fn words(self) -> (String, &'static str) {
        match self {
            Excess::Depth => (
                format!("statement is nested more than {DEPTH_MAX} levels deep"),
                "split it, or name parts of it with WITH",
            ),
            Excess::Chain => (
                format!("an expression has more than {CHAIN_MAX} operators in a row"),
                "use IN (…), = ANY (array) or a join with VALUES instead of a chain of conditions",
            ),
            Excess::OpenJoins => (
                format!("more than {OPEN_JOINS_MAX} joins wait for their ON"),
                "write each ON right after its table, or use parentheses",
            ),
            Excess::InList => (
                format!("an IN list has more than {IN_LIST_MAX} elements"),
                "use = ANY ($1) with an array, or join with VALUES",
            ),
        }
    }
}

struct Depth {
    levels: Vec<Level>,
    /// Prefix operators in a row: NOT NOT - - x.
    prefixes: usize,
}

/// One level of nesting, and the item of its list that is being read.
#[derive(Default)]
struct Level {
    case: bool,
    in_list: bool,
    elements: usize,
    open_joins: usize,
    /// AND, OR, UNION: they chain across everything below.
    links: usize,
    /// Other operators since the last link, and the most so far between two links, with what the
    /// levels inside added.
    run: usize,
    run_max: usize,
    /// The longest chain of the items before.
    longest: usize,
}

impl Level {
    fn chain(&self) -> usize {
        self.longest.max(self.links + self.run_max)
    }

    fn add_run(&mut self, operators: usize) {
        self.run += operators;
        self.run_max = self.run_max.max(self.run);
    }
}

impl Depth {
    fn step(&mut self, token: &Token, before: Option<&Token>) -> Result<(), Excess> {
        match token {
            Token::LParen | Token::LBracket | Token::LBrace => {
                let in_list = matches!(before, Some(Token::Word(w)) if w.keyword == Keyword::IN);
                self.open(Level { in_list, ..Level::default() })?;
            }
            Token::RParen | Token::RBracket | Token::RBrace => self.close(),
            Token::Comma => self.next_item()?,
            Token::Word(word) => self.word(word.keyword)?,
            Token::Number(..)
            | Token::SingleQuotedString(_)
            | Token::Placeholder(_)
            | Token::Period => self.prefixes = 0,
            _ => self.operator()?,
        }
        match self.top().chain() > CHAIN_MAX {
            true => Err(Excess::Chain),
            false => Ok(()),
        }
    }

    fn top(&mut self) -> &mut Level {
        self.levels.last_mut().expect("the lowest level is never closed")
    }

    fn open(&mut self, level: Level) -> Result<(), Excess> {
        self.levels.push(level);
        match self.levels.len() + self.prefixes > DEPTH_MAX {
            true => Err(Excess::Depth),
            false => Ok(()),
        }
    }

    fn close(&mut self) {
        self.prefixes = 0;
        // A parenthesis inside a CASE that was not ended: the grammar will say so.
        while self.levels.len() > 1 && self.top().case {
            self.pop();
        }
        self.pop();
    }

    fn pop(&mut self) {
        if self.levels.len() > 1 {
            let chain = self.levels.pop().map_or(0, |level| level.chain());
            let top = self.top();
            top.run_max = top.run_max.max(top.run + chain);
        }
    }

    fn next_item(&mut self) -> Result<(), Excess> {
        self.prefixes = 0;
        let top = self.top();
        top.longest = top.chain();
        (top.links, top.run, top.run_max) = (0, 0, 0);
        top.elements += 1;
        match top.in_list && top.elements >= IN_LIST_MAX {
            true => Err(Excess::InList),
            false => Ok(()),
        }
    }

    fn word(&mut self, keyword: Keyword) -> Result<(), Excess> {
        match keyword {
            Keyword::CASE => return self.open(Level { case: true, ..Level::default() }),
            Keyword::END if self.top().case => self.pop(),
            Keyword::NOT => return self.operator(),
            Keyword::AND | Keyword::OR | Keyword::UNION | Keyword::EXCEPT | Keyword::INTERSECT => {
                let top = self.top();
                top.links += 1;
                top.run = 0;
            }
            Keyword::JOIN => {
                let top = self.top();
                top.links += 1;
                top.open_joins += 1;
                if top.open_joins > OPEN_JOINS_MAX {
                    return Err(Excess::OpenJoins);
                }
            }
            Keyword::ON | Keyword::USING => {
                let top = self.top();
                top.open_joins = top.open_joins.saturating_sub(1);
            }
            Keyword::LIKE
            | Keyword::ILIKE
            | Keyword::SIMILAR
            | Keyword::IN
            | Keyword::IS
            | Keyword::BETWEEN
            | Keyword::NOTNULL
            | Keyword::COLLATE
            | Keyword::AT => self.top().add_run(1),
            _ => {}
        }
        self.prefixes = 0;
        Ok(())
    }

    fn operator(&mut self) -> Result<(), Excess> {
        self.prefixes += 1;
        self.top().add_run(1);
        match self.levels.len() + self.prefixes > DEPTH_MAX {
            true => Err(Excess::Depth),
            false => Ok(()),
        }
    }
}
