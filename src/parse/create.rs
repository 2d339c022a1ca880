//! CREATE TABLE, VIEW, SCHEMA and INDEX.

use datafusion::sql::sqlparser::ast;

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
    pub table: super::statement::Target,
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
