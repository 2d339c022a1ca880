//! ALTER TABLE.

use datafusion::sql::sqlparser::ast;

use super::branch::CreateRef;
use super::create::{Check, ColumnSpec, KeySpec};
use super::statement::Call;
use crate::spec::Type;

/// ALTER TABLE.
#[derive(Clone, Debug)]
pub struct AlterTable {
    /// The table.
    pub name: ast::ObjectName,
    /// IF EXISTS.
    pub if_exists: bool,
    /// In the order written; at least one.
    pub operations: Vec<AlterOperation>,
}

/// One change. Column names are folded.
#[derive(Clone, Debug)]
pub enum AlterOperation {
    /// ADD COLUMN.
    AddColumn {
        column: Box<ColumnSpec>,
        if_not_exists: bool,
        place: Option<Place>,
        unique: bool,
        primary_key: bool,
        checks: Vec<Check>,
    },
    /// DROP COLUMN.
    DropColumn { name: String, if_exists: bool, cascade: bool },
    /// RENAME COLUMN.
    RenameColumn { from: String, to: String },
    /// ALTER COLUMN.
    AlterColumn { name: String, change: AlterColumn },
    /// RENAME TO.
    Rename(String),
    /// SET SCHEMA.
    SetSchema(String),
    /// ADD PRIMARY KEY.
    AddPrimaryKey(KeySpec),
    /// ADD UNIQUE.
    AddUnique(KeySpec),
    /// ADD CHECK.
    AddCheck(Check),
    /// DROP CONSTRAINT.
    DropConstraint { name: String, if_exists: bool },
    /// CLUSTER BY, EVENT TIME, KNOWN TIME, TIES, SET (…): one change a clause.
    Set(TableOption),
    /// CREATE [OR REPLACE] BRANCH / TAG: of this table alone.
    CreateRef(Box<CreateRef>),
    /// DROP BRANCH / TAG: of this table alone.
    DropRef { tag: bool, name: String, if_exists: bool },
    /// EXECUTE p(…): the arguments as written, without the table.
    Execute(Call),
    /// OWNER TO.
    Owner(String),
}

/// A change of one column.
#[derive(Clone, Debug)]
pub enum AlterColumn {
    /// TYPE t [USING e].
    Type { data_type: Type, using: Option<ast::Expr> },
    /// SET DEFAULT: its SQL text.
    SetDefault(String),
    /// DROP DEFAULT.
    DropDefault,
    /// SET NOT NULL.
    SetNotNull,
    /// DROP NOT NULL.
    DropNotNull,
    /// FIRST, AFTER c.
    Place(Place),
}

/// Where a column stands in `*`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// FIRST.
    First,
    /// AFTER this column.
    After(String),
}

/// A clause of the table; None takes it away (DROP EVENT TIME …).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TableOption {
    /// CLUSTER BY (…).
    ClusterBy(Option<Vec<String>>),
    /// EVENT TIME c.
    EventTime(Option<String>),
    /// KNOWN TIME c.
    KnownTime(Option<String>),
    /// TIES (…).
    Ties(Option<Vec<String>>),
    /// SET (name = value), RESET (name).
    Option { name: String, value: Option<String> },
}
