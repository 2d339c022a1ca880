//! DROP and COMMENT ON.

use datafusion::sql::sqlparser::ast;

/// DROP.
#[derive(Clone, Debug)]
pub struct Drop {
    /// Of what.
    pub kind: ObjectKind,
    /// At least one.
    pub names: Vec<ast::ObjectName>,
    /// IF EXISTS.
    pub if_exists: bool,
    /// CASCADE.
    pub cascade: bool,
}

/// What can be dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ObjectKind {
    Table,
    View,
    MaterializedView,
    Schema,
    Index,
    Sequence,
    Database,
    Type,
    Function,
    Role,
    Extension,
}

/// COMMENT ON; without text the comment goes.
#[derive(Clone, Debug)]
pub struct Comment {
    /// On what.
    pub target: CommentTarget,
    /// The comment.
    pub text: Option<String>,
}

/// What can have a comment.
#[derive(Clone, Debug)]
pub enum CommentTarget {
    /// A column: the table's name, then the column's.
    Column(ast::ObjectName, String),
    /// Any other object.
    Object(ObjectKind, ast::ObjectName),
}
