//! DROP and COMMENT ON.

use datafusion::sql::sqlparser::ast;

use super::alter::{AlterOperation, AlterTable};
use super::grammar::{Grammar, fold};
use super::statement::Statement;
use crate::error::Result;

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

const KINDS: [(&str, ObjectKind); 11] = [
    ("TABLE", ObjectKind::Table),
    ("VIEW", ObjectKind::View),
    ("MATERIALIZED VIEW", ObjectKind::MaterializedView),
    ("SCHEMA", ObjectKind::Schema),
    ("INDEX", ObjectKind::Index),
    ("SEQUENCE", ObjectKind::Sequence),
    ("DATABASE", ObjectKind::Database),
    ("TYPE", ObjectKind::Type),
    ("FUNCTION", ObjectKind::Function),
    ("ROLE", ObjectKind::Role),
    ("EXTENSION", ObjectKind::Extension),
];

impl Grammar<'_> {
    /// DROP.
    pub(super) fn drop(&mut self) -> Result<Statement> {
        self.expects("DROP")?;
        if self.sees("BRANCH") || self.sees("TAG") {
            let (tag, name, if_exists) = self.dropped_ref()?;
            if let Some(table) = self.ref_table()? {
                let operations = vec![AlterOperation::DropRef { tag, name, if_exists }];
                let alter = AlterTable { name: table, if_exists: false, operations };
                return Ok(Statement::AlterTable(Box::new(alter)));
            }
            return Ok(Statement::DropRef { tag, name, if_exists });
        }
        let kind = self.object_kind()?;
        let if_exists = self.accepts("IF EXISTS");
        let names = self.list(Self::object)?;
        let cascade = self.cascade();
        Ok(Statement::Drop(Drop { kind, names, if_exists, cascade }))
    }

    fn object_kind(&mut self) -> Result<ObjectKind> {
        let found = KINDS.iter().find(|(words, _)| self.accepts(words));
        found.map(|(_, kind)| *kind).ok_or_else(|| self.unknown_object("DROP"))
    }

    /// COMMENT ON.
    pub(super) fn comment(&mut self) -> Result<Statement> {
        self.expects("COMMENT ON")?;
        let target = match self.accepts("COLUMN") {
            true => {
                let mut name = self.object()?;
                let column = name.0.pop().and_then(|part| part.as_ident().map(fold));
                match column.filter(|_| !name.0.is_empty()) {
                    Some(column) => CommentTarget::Column(name, column),
                    None => return Err(self.unexpected()),
                }
            }
            false => CommentTarget::Object(self.object_kind()?, self.object()?),
        };
        self.expects("IS")?;
        let text = match self.accepts("NULL") {
            true => None,
            false => Some(self.string()?),
        };
        Ok(Statement::Comment(Comment { target, text }))
    }
}
