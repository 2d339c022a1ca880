//! CREATE SEQUENCE and ALTER SEQUENCE.

use datafusion::sql::sqlparser::ast;

use super::grammar::Grammar;
use super::statement::{Statement, Target};
use crate::error::Result;
use crate::spec::Type;

/// How a sequence counts; None: not said, and the inner None: NO MINVALUE, NONE.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SequenceOptions {
    /// AS smallint, integer, bigint.
    pub data_type: Option<Type>,
    /// START WITH.
    pub start: Option<i64>,
    /// INCREMENT BY.
    pub increment: Option<i64>,
    /// `[NO] MINVALUE`.
    pub min: Option<Option<i64>>,
    /// `[NO] MAXVALUE`.
    pub max: Option<Option<i64>>,
    /// `[NO] CYCLE`.
    pub cycle: Option<bool>,
    /// RESTART [WITH n]: the inner None begins at START.
    pub restart: Option<Option<i64>>,
    /// OWNED BY t.c, or NONE: the table and the column, folded.
    pub owned_by: Option<Option<Box<(Target, String)>>>,
}

/// CREATE SEQUENCE.
#[derive(Clone, Debug)]
pub struct CreateSequence {
    /// The sequence.
    pub name: ast::ObjectName,
    /// IF NOT EXISTS.
    pub if_not_exists: bool,
    /// How it counts.
    pub options: SequenceOptions,
}

/// ALTER SEQUENCE, ALTER VIEW: of an object without rows.
#[derive(Clone, Debug)]
pub struct AlterObject {
    /// SEQUENCE or VIEW.
    pub view: bool,
    /// The object.
    pub object: Target,
    /// IF EXISTS.
    pub if_exists: bool,
    /// What changes.
    pub change: ObjectChange,
}

/// A change of a sequence or view.
#[derive(Clone, Debug)]
pub enum ObjectChange {
    /// RENAME TO.
    Rename(String),
    /// SET SCHEMA.
    SetSchema(String),
    /// OWNER TO.
    Owner(String),
    /// How a sequence counts.
    Options(SequenceOptions),
}

impl Grammar<'_> {
    /// What follows CREATE SEQUENCE.
    pub(super) fn create_sequence(&mut self) -> Result<Statement> {
        let if_not_exists = self.accepts("IF NOT EXISTS");
        let name = self.object()?;
        let options = self.sequence_options()?;
        Ok(Statement::CreateSequence(Box::new(CreateSequence { name, if_not_exists, options })))
    }

    /// What follows ALTER SEQUENCE or ALTER VIEW.
    pub(super) fn alter_object(&mut self, view: bool) -> Result<Statement> {
        let if_exists = self.accepts("IF EXISTS");
        let object = self.target()?;
        let change = match () {
            _ if self.accepts("RENAME TO") => ObjectChange::Rename(self.name()?),
            _ if self.accepts("SET SCHEMA") => ObjectChange::SetSchema(self.name()?),
            _ if self.accepts("OWNER TO") => ObjectChange::Owner(self.name()?),
            _ if !view && !self.at_end() => ObjectChange::Options(self.sequence_options()?),
            _ => return Err(self.unexpected()),
        };
        let change = AlterObject { view, object, if_exists, change };
        Ok(Statement::AlterObject(Box::new(change)))
    }

    /// What follows ALTER SCHEMA.
    pub(super) fn alter_schema(&mut self) -> Result<Statement> {
        let name = self.object()?;
        let change = match () {
            _ if self.accepts("RENAME TO") => ObjectChange::Rename(self.name()?),
            _ if self.accepts("OWNER TO") => ObjectChange::Owner(self.name()?),
            _ => return Err(self.unexpected()),
        };
        Ok(Statement::AlterSchema { name, change })
    }

    /// START, INCREMENT and so on, in any order.
    pub(super) fn sequence_options(&mut self) -> Result<SequenceOptions> {
        let mut options = SequenceOptions::default();
        loop {
            match () {
                _ if self.accepts("AS") => {
                    let parsed =
                        self.sql(datafusion::sql::sqlparser::parser::Parser::parse_data_type)?;
                    options.data_type = Some(super::types::map_type(&parsed)?);
                }
                _ if self.accepts("START") => {
                    self.accepts("WITH");
                    options.start = Some(self.integer()?);
                }
                _ if self.accepts("RESTART") => {
                    let with = self.accepts("WITH");
                    let number = with || self.sees_number();
                    options.restart = Some(if number { Some(self.integer()?) } else { None });
                }
                _ if self.accepts("INCREMENT") => {
                    self.accepts("BY");
                    options.increment = Some(self.integer()?);
                }
                _ if self.accepts("NO MINVALUE") => options.min = Some(None),
                _ if self.accepts("NO MAXVALUE") => options.max = Some(None),
                _ if self.accepts("MINVALUE") => options.min = Some(Some(self.integer()?)),
                _ if self.accepts("MAXVALUE") => options.max = Some(Some(self.integer()?)),
                _ if self.accepts("NO CYCLE") => options.cycle = Some(false),
                _ if self.accepts("CYCLE") => options.cycle = Some(true),
                // Numbers are reserved a block at a time whatever the cache is said to be.
                _ if self.accepts("CACHE") => drop(self.integer()?),
                _ if self.accepts("SEQUENCE NAME") => drop(self.object()?),
                _ if self.accepts("OWNED BY") => options.owned_by = Some(self.owner()?),
                _ => return Ok(options),
            }
        }
    }

    fn owner(&mut self) -> Result<Option<Box<(Target, String)>>> {
        if self.accepts("NONE") {
            return Ok(None);
        }
        self.column_of_table().map(|column| Some(Box::new(column)))
    }
}
