//! CREATE TABLE, VIEW, SCHEMA and INDEX.

use datafusion::sql::sqlparser::ast;
use datafusion::sql::sqlparser::parser::Parser;
use datafusion::sql::sqlparser::tokenizer::Token;

use super::column::{Check, ColumnSpec, Elements, KeySpec};
use super::grammar::{Grammar, fold};
use super::statement::{Statement, Target};
use crate::error::{ErrorKind, Result};

/// CREATE TABLE.
#[derive(Clone, Debug)]
pub struct CreateTable {
    /// The table.
    pub name: ast::ObjectName,
    /// IF NOT EXISTS.
    pub if_not_exists: bool,
    /// TEMP.
    pub temporary: bool,
    /// In the order written. With `query`, only names: see `query_columns`.
    pub columns: Vec<ColumnSpec>,
    /// PRIMARY KEY, inline or of the table.
    pub primary_key: Option<KeySpec>,
    /// UNIQUE, inline or of the table.
    pub unique: Vec<KeySpec>,
    /// CHECK, inline or of the table.
    pub checks: Vec<Check>,
    /// CLUSTER BY, EVENT TIME, KNOWN TIME, TIES, WITH.
    pub clauses: TableClauses,
    /// AS query: the tree and its text.
    pub query: Option<(Box<ast::Query>, String)>,
    /// CREATE TABLE t (a, b) AS …: the names for the query's columns, folded.
    pub query_columns: Vec<String>,
    /// WITH NO DATA.
    pub no_data: bool,
    /// LIKE t, SHALLOW CLONE t, CLONE t: take the shape (and with clone the rows) of this table.
    pub like: Option<Like>,
}

/// LIKE t, CLONE t.
#[derive(Clone, Debug)]
pub struct Like {
    /// The model.
    pub table: Target,
    /// CLONE: its rows too.
    pub rows: bool,
    /// What INCLUDING names, in lower case: `defaults`, `constraints`, `indexes`, `all` …
    pub including: Vec<String>,
}

/// ON COMMIT, of a temporary table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnCommit {
    /// PRESERVE ROWS, the default.
    #[default]
    Preserve,
    /// DELETE ROWS.
    Delete,
    /// DROP.
    Drop,
}

/// What time and order mean in a table. None: not said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TableClauses {
    /// CLUSTER BY (…).
    pub cluster_by: Option<Vec<String>>,
    /// EVENT TIME c.
    pub event_time: Option<String>,
    /// KNOWN TIME c.
    pub known_time: Option<String>,
    /// TIES (…).
    pub ties: Option<Vec<String>>,
    /// WITH (name = value, …): names folded, values as text.
    pub options: Vec<(String, String)>,
    /// ON COMMIT.
    pub on_commit: Option<OnCommit>,
}

/// CREATE VIEW.
#[derive(Clone, Debug)]
pub struct CreateView {
    /// The view.
    pub name: ast::ObjectName,
    /// OR REPLACE.
    pub or_replace: bool,
    /// IF NOT EXISTS.
    pub if_not_exists: bool,
    /// TEMP.
    pub temporary: bool,
    /// MATERIALIZED.
    pub materialized: bool,
    /// The names of its columns, folded; empty: the query's.
    pub columns: Vec<String>,
    /// The query.
    pub query: Box<ast::Query>,
    /// The query's text, which [`super::query()`] reads again.
    pub text: String,
}

/// CREATE SCHEMA.
#[derive(Clone, Debug)]
pub struct CreateSchema {
    /// `s` or `cat.s`.
    pub name: ast::ObjectName,
    /// IF NOT EXISTS.
    pub if_not_exists: bool,
}

/// CREATE INDEX.
#[derive(Clone, Debug)]
pub struct CreateIndex {
    /// Its name, if said.
    pub name: Option<ast::ObjectName>,
    /// UNIQUE.
    pub unique: bool,
    /// IF NOT EXISTS.
    pub if_not_exists: bool,
    /// The table.
    pub table: Target,
    /// The columns, or None where an expression is indexed.
    pub columns: Option<Vec<String>>,
    /// NULLS NOT DISTINCT.
    pub nulls_not_distinct: bool,
    /// WHERE: only some rows.
    pub partial: bool,
}

impl Grammar<'_> {
    /// CREATE.
    pub(super) fn create(&mut self) -> Result<Statement> {
        self.expects("CREATE")?;
        let or_replace = self.accepts("OR REPLACE");
        if self.sees("BRANCH") || self.sees("TAG") {
            return self.created_ref(or_replace).map(Self::ref_statement);
        }
        if !or_replace && self.accepts("SCHEMA") {
            return self.create_schema();
        }
        if !or_replace && (self.sees("INDEX") || self.sees("UNIQUE INDEX")) {
            return self.create_index();
        }
        _ = self.accepts("LOCAL") || self.accepts("GLOBAL");
        let temporary = self.accepts("TEMPORARY") || self.accepts("TEMP");
        if !or_replace && self.accepts("SEQUENCE") {
            if temporary {
                let message = "temporary sequences are not supported";
                return Err(self.refuse(ErrorKind::NotSupported, message));
            }
            return self.create_sequence();
        }
        let materialized = self.accepts("MATERIALIZED");
        if materialized || self.sees("VIEW") {
            return self.create_view(or_replace, temporary, materialized);
        }
        if or_replace {
            return Err(self.unknown_object("CREATE"));
        }
        self.accepts("UNLOGGED");
        if !self.accepts("TABLE") {
            return Err(self.unknown_object("CREATE"));
        }
        self.create_table(temporary)
    }

    /// What follows CREATE SCHEMA: a name, AUTHORIZATION r, or both.
    fn create_schema(&mut self) -> Result<Statement> {
        let if_not_exists = self.accepts("IF NOT EXISTS");
        let name = match self.accepts("AUTHORIZATION") {
            true => self.object()?,
            false => {
                let name = self.object()?;
                if self.accepts("AUTHORIZATION") {
                    self.name()?;
                }
                name
            }
        };
        Ok(Statement::CreateSchema(CreateSchema { name, if_not_exists }))
    }

    fn create_view(
        &mut self,
        replace: bool,
        temporary: bool,
        materialized: bool,
    ) -> Result<Statement> {
        self.expects("VIEW")?;
        let if_not_exists = self.accepts("IF NOT EXISTS");
        let name = self.object()?;
        let columns = match self.sees_sign(&Token::LParen) {
            true => self.columns()?,
            false => Vec::new(),
        };
        self.expects("AS")?;
        let (query, text) = self.with_text(Self::query)?;
        Ok(Statement::CreateView(Box::new(CreateView {
            name,
            or_replace: replace,
            if_not_exists,
            temporary,
            materialized,
            columns,
            query,
            text,
        })))
    }

    fn create_index(&mut self) -> Result<Statement> {
        let unique = self.accepts("UNIQUE");
        self.expects("INDEX")?;
        self.accepts("CONCURRENTLY");
        let if_not_exists = self.accepts("IF NOT EXISTS");
        let name = if self.sees("ON") { None } else { Some(self.object()?) };
        self.expects("ON")?;
        let table = self.target()?;
        if self.accepts("USING") {
            self.name()?;
        }
        self.expects_sign(&Token::LParen)?;
        let keys = self.list(|g| g.sql(Parser::parse_create_index_expr))?;
        self.expects_sign(&Token::RParen)?;
        if self.accepts("INCLUDE") {
            self.columns()?;
        }
        let nulls_not_distinct = self.nulls_not_distinct();
        if self.sees("WITH") {
            self.with_options()?;
        }
        let partial = self.accepts("WHERE");
        if partial {
            self.expr()?;
        }
        let columns = keys.iter().map(|key| match &key.column.expr {
            ast::Expr::Identifier(name) => Some(fold(name)),
            _ => None,
        });
        let columns = columns.collect();
        Ok(Statement::CreateIndex(Box::new(CreateIndex {
            name,
            unique,
            if_not_exists,
            table,
            columns,
            nulls_not_distinct,
            partial,
        })))
    }

    fn create_table(&mut self, temporary: bool) -> Result<Statement> {
        let if_not_exists = self.accepts("IF NOT EXISTS");
        let name = self.object()?;
        let (mut elements, mut query_columns, mut like) = (Elements::default(), Vec::new(), None);
        if self.sees_sign(&Token::LParen) {
            match () {
                _ if self.word(1).is_some_and(|w| w.eq_ignore_ascii_case("LIKE")) => {
                    self.expects_sign(&Token::LParen)?;
                    like = self.like()?;
                    self.expects_sign(&Token::RParen)?;
                }
                _ if self.sees_bare_names() => query_columns = self.columns()?,
                _ => elements = self.elements()?,
            }
        } else {
            like = self.like()?;
        }
        let clauses = self.clauses()?;
        let query = match self.accepts("AS") {
            true => Some(self.with_text(Self::query)?),
            false => None,
        };
        if query.is_none() && (!query_columns.is_empty() || elements.is_nothing() && like.is_none())
        {
            return Err(self.unexpected());
        }
        let no_data = query.is_some() && self.accepts("WITH NO DATA");
        self.accepts("WITH DATA");
        let Elements { columns, primary_key, unique, checks } = elements;
        Ok(Statement::CreateTable(Box::new(CreateTable {
            name,
            if_not_exists,
            temporary,
            columns,
            primary_key,
            unique,
            checks,
            clauses,
            query,
            query_columns,
            no_data,
            like,
        })))
    }

    /// `LIKE t`, `[SHALLOW] CLONE t`.
    fn like(&mut self) -> Result<Option<Like>> {
        if self.accepts("LIKE") {
            let table = self.target()?;
            let mut including = Vec::new();
            loop {
                if self.accepts("INCLUDING") {
                    including.push(self.name()?);
                } else if self.accepts("EXCLUDING") {
                    let name = self.name()?;
                    including.retain(|other| *other != name);
                } else {
                    return Ok(Some(Like { table, rows: false, including }));
                }
            }
        }
        match self.accepts("SHALLOW CLONE") || self.accepts("CLONE") {
            true => {
                let including = vec!["all".to_owned()];
                Ok(Some(Like { table: self.target()?, rows: true, including }))
            }
            false => Ok(None),
        }
    }

    /// `(a, b)` without types.
    fn sees_bare_names(&self) -> bool {
        matches!(self.parser.peek_nth_token_ref(2).token, Token::Comma | Token::RParen)
    }

    /// Our clauses, in any order, each once.
    fn clauses(&mut self) -> Result<TableClauses> {
        let mut clauses = TableClauses::default();
        loop {
            let again = match () {
                _ if self.sees("CLUSTER BY") => clauses.cluster_by.is_some(),
                _ if self.sees("EVENT TIME") => clauses.event_time.is_some(),
                _ if self.sees("KNOWN TIME") => clauses.known_time.is_some(),
                _ if self.sees("TIES") => clauses.ties.is_some(),
                _ => false,
            };
            if again {
                return Err(self.unexpected());
            }
            match () {
                _ if self.accepts("CLUSTER BY") => clauses.cluster_by = Some(self.columns()?),
                _ if self.accepts("EVENT TIME") => clauses.event_time = Some(self.name()?),
                _ if self.accepts("KNOWN TIME") => clauses.known_time = Some(self.name()?),
                _ if self.accepts("TIES") => clauses.ties = Some(self.columns()?),
                _ if self.sees("WITH")
                    && self.parser.peek_nth_token_ref(1).token == Token::LParen =>
                {
                    clauses.options.extend(self.with_options()?);
                }
                _ if self.accepts("ON COMMIT PRESERVE ROWS") => {
                    clauses.on_commit = Some(OnCommit::Preserve);
                }
                _ if self.accepts("ON COMMIT DELETE ROWS") => {
                    clauses.on_commit = Some(OnCommit::Delete);
                }
                _ if self.accepts("ON COMMIT DROP") => clauses.on_commit = Some(OnCommit::Drop),
                _ => return Ok(clauses),
            }
        }
    }

    /// WITH (name = value, …).
    fn with_options(&mut self) -> Result<Vec<(String, String)>> {
        self.expects("WITH")?;
        self.expects_sign(&Token::LParen)?;
        let options = self.list(Self::option_pair)?;
        self.expects_sign(&Token::RParen)?;
        Ok(options)
    }

    /// `name [= value]`, `'name' = value`; a name alone is true.
    pub(super) fn option_pair(&mut self) -> Result<(String, String)> {
        let mut name = self.name_or_string()?.to_lowercase();
        while self.accepts_sign(&Token::Period) {
            name = format!("{name}.{}", self.name()?);
        }
        match self.accepts_sign(&Token::Eq) {
            true => Ok((name, self.setting_value()?)),
            false => Ok((name, "true".to_owned())),
        }
    }
}
