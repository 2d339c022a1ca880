//! DROP and COMMENT ON.

use datafusion::sql::sqlparser::tokenizer::Token;

use super::alter::{AlterOperation, AlterTable};
use super::grammar::{Grammar, fold};
use super::statement::{Statement, Target};
use crate::error::Result;

/// DROP.
#[derive(Clone, Debug)]
pub struct Drop {
    /// Of what.
    pub kind: ObjectKind,
    /// At least one; only tables, views and sequences have versions.
    pub names: Vec<Target>,
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

impl ObjectKind {
    /// Whether a branch can have another of the name, so that a name can say which is meant.
    pub fn has_versions(self) -> bool {
        matches!(self, ObjectKind::Table | ObjectKind::View | ObjectKind::Sequence)
    }
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
    /// A column of a table.
    Column(Target, String),
    /// Any other object; only tables, views and sequences have versions.
    Object(ObjectKind, Target),
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
                let (version, if_exists) = (None, false);
                let alter = AlterTable { name: table, version, if_exists, operations };
                return Ok(Statement::AlterTable(Box::new(alter)));
            }
            return Ok(Statement::DropRef { tag, name, if_exists });
        }
        let kind = self.object_kind()?;
        let if_exists = self.accepts("IF EXISTS");
        let names = self.list(|g| g.object_of(kind))?;
        let cascade = self.cascade();
        Ok(Statement::Drop(Drop { kind, names, if_exists, cascade }))
    }

    fn object_kind(&mut self) -> Result<ObjectKind> {
        let found = KINDS.iter().find(|(words, _)| self.accepts(words));
        found.map(|(_, kind)| *kind).ok_or_else(|| self.unknown_object("DROP"))
    }

    fn object_of(&mut self, kind: ObjectKind) -> Result<Target> {
        match kind.has_versions() {
            true => self.target(),
            false => Ok(Target { name: self.object()?, version: None }),
        }
    }

    /// `t.c`, `t@branch.c`.
    pub(super) fn column_of_table(&mut self) -> Result<(Target, String)> {
        let Target { mut name, version } = self.target()?;
        if version.is_some() {
            self.expects_sign(&Token::Period)?;
            return Ok((Target { name, version }, self.name()?));
        }
        let column = name.0.pop().and_then(|part| part.as_ident().map(fold));
        match column.filter(|_| !name.0.is_empty()) {
            Some(column) => Ok((Target { name, version }, column)),
            None => Err(self.unexpected()),
        }
    }

    /// COMMENT ON.
    pub(super) fn comment(&mut self) -> Result<Statement> {
        self.expects("COMMENT ON")?;
        let target = match self.accepts("COLUMN") {
            true => {
                let (table, column) = self.column_of_table()?;
                CommentTarget::Column(table, column)
            }
            false => {
                let kind = self.object_kind()?;
                CommentTarget::Object(kind, self.object_of(kind)?)
            }
        };
        self.expects("IS")?;
        let text = match self.accepts("NULL") {
            true => None,
            false => Some(self.string()?),
        };
        Ok(Statement::Comment(Comment { target, text }))
    }
}
