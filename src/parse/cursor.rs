//! DECLARE, FETCH, MOVE and CLOSE.

use datafusion::sql::sqlparser::ast;
use datafusion::sql::sqlparser::tokenizer::Token;

use super::grammar::Grammar;
use super::statement::Statement;
use crate::error::Result;

/// DECLARE.
#[derive(Clone, Debug)]
pub struct Declare {
    /// The cursor.
    pub name: String,
    /// BINARY.
    pub binary: bool,
    /// SCROLL, NO SCROLL.
    pub scroll: Option<bool>,
    /// WITH HOLD.
    pub hold: bool,
    /// What it runs over.
    pub query: Box<ast::Query>,
}

/// FETCH and MOVE.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetch {
    /// The cursor.
    pub cursor: String,
    /// How far.
    pub direction: FetchDirection,
    /// MOVE: without the rows.
    pub moves: bool,
}

/// How far FETCH goes. `Forward(None)` is FORWARD ALL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FetchDirection {
    /// The row at n from the start, or from the end where negative.
    Absolute(i64),
    /// The row n on from here.
    Relative(i64),
    /// The next n rows; 0 is the current one.
    Forward(Option<i64>),
    /// The n rows before.
    Backward(Option<i64>),
}

impl Grammar<'_> {
    /// DECLARE, FETCH, MOVE, CLOSE.
    pub(super) fn cursor(&mut self) -> Result<Statement> {
        if self.accepts("DECLARE") {
            return self.declare();
        }
        if self.accepts("CLOSE") {
            return self.name_or_all().map(Statement::Close);
        }
        let moves = self.expects_one(&["FETCH", "MOVE"])? == "MOVE";
        let direction = self.direction()?;
        if !self.accepts("FROM") {
            self.accepts("IN");
        }
        Ok(Statement::Fetch(Fetch { cursor: self.name()?, direction, moves }))
    }

    fn declare(&mut self) -> Result<Statement> {
        let name = self.name()?;
        let (mut binary, mut scroll) = (false, None);
        while !self.accepts("CURSOR") {
            if self.accepts("NO SCROLL") {
                scroll = Some(false);
            } else if self.accepts("SCROLL") {
                scroll = Some(true);
            } else if self.accepts("BINARY") {
                binary = true;
            } else {
                self.expects_one(&["INSENSITIVE", "ASENSITIVE"])?;
            }
        }
        let hold = self.accepts("WITH HOLD");
        if !hold {
            self.accepts("WITHOUT HOLD");
        }
        self.expects("FOR")?;
        let query = self.query()?;
        Ok(Statement::Declare(Box::new(Declare { name, binary, scroll, hold, query })))
    }

    /// A cursor may be called as a direction is: FETCH next is a name where nothing follows it.
    fn direction(&mut self) -> Result<FetchDirection> {
        let one_row = FetchDirection::Forward(Some(1));
        if *self.parser.peek_nth_token_ref(1) == Token::EOF {
            return Ok(one_row);
        }
        let single = [
            ("NEXT", one_row),
            ("PRIOR", FetchDirection::Backward(Some(1))),
            ("FIRST", FetchDirection::Absolute(1)),
            ("LAST", FetchDirection::Absolute(-1)),
            ("ALL", FetchDirection::Forward(None)),
        ];
        if let Some((_, direction)) = single.iter().find(|(word, _)| self.accepts(word)) {
            return Ok(*direction);
        }
        if self.accepts("ABSOLUTE") {
            return self.integer().map(FetchDirection::Absolute);
        }
        if self.accepts("RELATIVE") {
            return self.integer().map(FetchDirection::Relative);
        }
        if self.accepts("FORWARD") {
            return self.row_count().map(FetchDirection::Forward);
        }
        if self.accepts("BACKWARD") {
            return self.row_count().map(FetchDirection::Backward);
        }
        match self.sees_number() {
            true => self.integer().map(|rows| FetchDirection::Forward(Some(rows))),
            false => Ok(one_row),
        }
    }

    /// ALL, a number, or one row.
    fn row_count(&mut self) -> Result<Option<i64>> {
        match () {
            _ if self.accepts("ALL") => Ok(None),
            _ if self.sees_number() => self.integer().map(Some),
            _ => Ok(Some(1)),
        }
    }

    pub(super) fn sees_number(&self) -> bool {
        matches!(self.parser.peek_token_ref().token, Token::Number(..) | Token::Minus | Token::Plus)
    }
}
