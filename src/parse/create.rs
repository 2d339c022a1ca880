//! CREATE TABLE, VIEW, SCHEMA and INDEX.

use datafusion::sql::sqlparser::ast;
use datafusion::sql::sqlparser::parser::Parser;
use datafusion::sql::sqlparser::tokenizer::Token;

use super::grammar::{Grammar, fold};
use super::statement::{Statement, Target};
use super::types::{map_type, serial};
use crate::error::{Error, ErrorKind, Result};
use crate::spec::Type;

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
}

/// One column of CREATE TABLE or ADD COLUMN.
#[derive(Clone, Debug)]
pub struct ColumnSpec {
    /// Folded.
    pub name: String,
    /// The type.
    pub data_type: Type,
    /// NOT NULL, PRIMARY KEY, serial or identity.
    pub not_null: bool,
    /// The SQL text of DEFAULT.
    pub default: Option<String>,
    /// serial, bigserial, GENERATED … AS IDENTITY.
    pub identity: Option<Identity>,
    /// Where its name stands, in characters from 1 over the whole text.
    pub position: usize,
}

/// A column that counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// GENERATED ALWAYS: a value of the user's is refused.
    pub always: bool,
    /// START WITH.
    pub start: i64,
    /// INCREMENT BY.
    pub increment: i64,
}

/// PRIMARY KEY or UNIQUE.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeySpec {
    /// CONSTRAINT name.
    pub name: Option<String>,
    /// In the order written, folded.
    pub columns: Vec<String>,
    /// False after NOT ENFORCED.
    pub enforced: bool,
}

/// CHECK.
#[derive(Clone, Debug)]
pub struct Check {
    /// CONSTRAINT name.
    pub name: Option<String>,
    /// The SQL text of the condition.
    pub text: String,
    /// The same, as a tree.
    pub expr: ast::Expr,
    /// False after NOT ENFORCED.
    pub enforced: bool,
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
    /// The query's text, which [`super::query`] reads again.
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
    pub table: ast::ObjectName,
    /// The columns, or None where an expression is indexed.
    pub columns: Option<Vec<String>>,
}

/// The columns and keys between the parentheses of CREATE TABLE.
#[derive(Default)]
pub(super) struct Elements {
    pub(super) columns: Vec<ColumnSpec>,
    pub(super) primary_key: Option<KeySpec>,
    pub(super) unique: Vec<KeySpec>,
    pub(super) checks: Vec<Check>,
}

impl Grammar<'_> {
    /// CREATE.
    pub(super) fn create(&mut self) -> Result<Statement> {
        self.expects("CREATE")?;
        let or_replace = self.accepts("OR REPLACE");
        if self.sees("BRANCH") || self.sees("TAG") {
            return self.created_ref(or_replace).map(|r| Statement::CreateRef(Box::new(r)));
        }
        if !or_replace && self.accepts("SCHEMA") {
            let if_not_exists = self.accepts("IF NOT EXISTS");
            return Ok(Statement::CreateSchema(CreateSchema {
                name: self.object()?,
                if_not_exists,
            }));
        }
        if !or_replace && (self.sees("INDEX") || self.sees("UNIQUE INDEX")) {
            return self.create_index();
        }
        _ = self.accepts("LOCAL") || self.accepts("GLOBAL");
        let temporary = self.accepts("TEMPORARY") || self.accepts("TEMP");
        let materialized = self.accepts("MATERIALIZED");
        if materialized || self.sees("VIEW") {
            return self.create_view(or_replace, temporary, materialized);
        }
        if or_replace {
            return Err(self.unexpected());
        }
        self.accepts("UNLOGGED");
        self.expects("TABLE")?;
        self.create_table(temporary)
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
        let table = self.object()?;
        if self.accepts("USING") {
            self.name()?;
        }
        self.expects_sign(&Token::LParen)?;
        let keys = self.list(|g| g.sql(Parser::parse_create_index_expr))?;
        self.expects_sign(&Token::RParen)?;
        if self.accepts("INCLUDE") {
            self.columns()?;
        }
        if self.sees("WITH") {
            self.with_options()?;
        }
        if self.accepts("WHERE") {
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

    /// LIKE t, [SHALLOW] CLONE t.
    fn like(&mut self) -> Result<Option<Like>> {
        if self.accepts("LIKE") {
            let table = self.target()?;
            while self.accepts("INCLUDING") || self.accepts("EXCLUDING") {
                self.name()?;
            }
            return Ok(Some(Like { table, rows: false }));
        }
        match self.accepts("SHALLOW CLONE") || self.accepts("CLONE") {
            true => Ok(Some(Like { table: self.target()?, rows: true })),
            false => Ok(None),
        }
    }

    /// `(a, b)` without types.
    fn sees_bare_names(&self) -> bool {
        matches!(self.parser.peek_nth_token_ref(2).token, Token::Comma | Token::RParen)
    }

    fn elements(&mut self) -> Result<Elements> {
        let mut elements = Elements::default();
        self.expects_sign(&Token::LParen)?;
        if !self.accepts_sign(&Token::RParen) {
            self.list(|g| g.element(&mut elements))?;
            self.expects_sign(&Token::RParen)?;
        }
        Ok(elements)
    }

    fn element(&mut self, elements: &mut Elements) -> Result<()> {
        let starts = ["CONSTRAINT", "PRIMARY KEY", "UNIQUE (", "CHECK", "FOREIGN KEY", "EXCLUDE"];
        let table_level = starts.iter().any(|start| match start.strip_suffix(" (") {
            Some(word) => {
                self.sees(word) && self.parser.peek_nth_token_ref(1).token == Token::LParen
            }
            None => self.sees(start),
        });
        match table_level {
            true => self.table_constraint(elements),
            false => {
                let column = self.column(elements)?;
                elements.columns.push(column);
                Ok(())
            }
        }
    }

    /// [CONSTRAINT n] PRIMARY KEY (…), UNIQUE (…), CHECK (…).
    pub(super) fn table_constraint(&mut self, elements: &mut Elements) -> Result<()> {
        let name = if self.accepts("CONSTRAINT") { Some(self.name()?) } else { None };
        let position = self.position();
        if self.accepts("PRIMARY KEY") {
            let columns = self.columns()?;
            let enforced = self.enforced()?;
            return elements.set_primary_key(KeySpec { name, columns, enforced }, position);
        }
        if self.accepts("UNIQUE") {
            let columns = self.columns()?;
            let enforced = self.enforced()?;
            elements.unique.push(KeySpec { name, columns, enforced });
            return Ok(());
        }
        if self.sees("FOREIGN KEY") {
            return Err(self.refuse(ErrorKind::NotSupported, "FOREIGN KEY is not supported"));
        }
        self.expects("CHECK")?;
        let check = self.check(name)?;
        elements.checks.push(check);
        Ok(())
    }

    /// What follows CHECK.
    fn check(&mut self, name: Option<String>) -> Result<Check> {
        self.expects_sign(&Token::LParen)?;
        let (expr, text) = self.with_text(Self::expr)?;
        self.expects_sign(&Token::RParen)?;
        self.accepts("NO INHERIT");
        Ok(Check { name, text, expr, enforced: self.enforced()? })
    }

    /// [NOT] ENFORCED, [NOT] DEFERRABLE, INITIALLY ….
    fn enforced(&mut self) -> Result<bool> {
        let mut enforced = true;
        loop {
            match () {
                _ if self.accepts("NOT ENFORCED") => enforced = false,
                _ if self.accepts("ENFORCED") || self.accepts("NOT DEFERRABLE") => {}
                _ if self.accepts("INITIALLY IMMEDIATE") || self.accepts("NOT VALID") => {}
                _ if self.sees("DEFERRABLE") || self.sees("INITIALLY DEFERRED") => {
                    let message = "constraints that wait for the commit are not supported";
                    return Err(self.refuse(ErrorKind::NotSupported, message));
                }
                _ => return Ok(enforced),
            }
        }
    }

    /// A column: its name, type and constraints. Keys and checks go to `elements`.
    pub(super) fn column(&mut self, elements: &mut Elements) -> Result<ColumnSpec> {
        let position = self.position();
        let name = self.name()?;
        let (type_position, parsed) = (self.position(), self.sql(Parser::parse_data_type)?);
        let data_type = map_type(&parsed).map_err(|error| error.at(type_position))?;
        let data_type = self.array_of(data_type);
        let serial = serial(&parsed);
        let identity = serial.map(|_| Identity { always: false, start: 1, increment: 1 });
        let not_null = identity.is_some();
        let mut column =
            ColumnSpec { name, data_type, not_null, default: None, identity, position };
        while self.column_constraint(&mut column, elements)? {}
        Ok(column)
    }

    /// The text after DEFAULT. Read as an option of a column: else `DEFAULT 0 NOT NULL` would be a
    /// question whether 0 is NULL.
    fn column_default(&mut self) -> Result<String> {
        let first = self.parser.peek_nth_token_ref(1).span;
        self.sql(Parser::parse_optional_column_option)?;
        let last = self.parser.get_current_token().span;
        Ok(self.source.slice(first, last).to_owned())
    }

    /// `text ARRAY`, the standard's spelling of `text[]`.
    fn array_of(&mut self, item: Type) -> Type {
        match self.accepts("ARRAY") {
            true => Type::Array(Box::new(item)),
            false => item,
        }
    }

    fn column_constraint(
        &mut self,
        column: &mut ColumnSpec,
        elements: &mut Elements,
    ) -> Result<bool> {
        let name = if self.accepts("CONSTRAINT") { Some(self.name()?) } else { None };
        let position = self.position();
        if self.accepts("NOT NULL") {
            column.not_null = true;
        } else if self.accepts("NULL") {
            // Said, and so without NOT NULL anyway.
        } else if self.sees("DEFAULT") {
            column.default = Some(self.column_default()?);
        } else if self.accepts("PRIMARY KEY") {
            column.not_null = true;
            let (columns, enforced) = (vec![column.name.clone()], self.enforced()?);
            elements.set_primary_key(KeySpec { name, columns, enforced }, position)?;
        } else if self.accepts("UNIQUE") {
            let (columns, enforced) = (vec![column.name.clone()], self.enforced()?);
            elements.unique.push(KeySpec { name, columns, enforced });
        } else if self.accepts("CHECK") {
            let check = self.check(name)?;
            elements.checks.push(check);
        } else if self.accepts("GENERATED") {
            column.identity = Some(self.identity()?);
            column.not_null = true;
        } else if self.sees("REFERENCES") {
            return Err(self.refuse(ErrorKind::NotSupported, "REFERENCES is not supported"));
        } else if self.accepts("COLLATE") {
            self.object()?;
        } else if name.is_some() {
            return Err(self.unexpected());
        } else {
            return Ok(false);
        }
        Ok(true)
    }

    /// ALWAYS | BY DEFAULT AS IDENTITY [(START WITH n INCREMENT BY m …)].
    fn identity(&mut self) -> Result<Identity> {
        let always = self.expects_one(&["ALWAYS", "BY DEFAULT"])? == "ALWAYS";
        self.expects("AS")?;
        if always && self.sees_sign(&Token::LParen) {
            return Err(self.refuse(ErrorKind::NotSupported, "computed columns are not supported"));
        }
        self.expects("IDENTITY")?;
        let mut identity = Identity { always, start: 1, increment: 1 };
        if self.accepts_sign(&Token::LParen) {
            while !self.accepts_sign(&Token::RParen) {
                if self.accepts("START") {
                    self.accepts("WITH");
                    identity.start = self.integer()?;
                } else {
                    self.expects("INCREMENT")?;
                    self.accepts("BY");
                    identity.increment = self.integer()?;
                }
            }
        }
        Ok(identity)
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
                _ if self.accepts("ON COMMIT PRESERVE ROWS") => {}
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

impl Elements {
    fn is_nothing(&self) -> bool {
        self.columns.is_empty()
    }

    fn set_primary_key(&mut self, key: KeySpec, position: usize) -> Result<()> {
        match self.primary_key.replace(key) {
            None => Ok(()),
            Some(_) => Err(Error::new(
                ErrorKind::InvalidDefinition,
                "multiple primary keys for one table are not allowed",
            )
            .at(position)),
        }
    }
}
