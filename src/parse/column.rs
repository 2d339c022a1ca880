//! Columns and constraints, in CREATE TABLE and ALTER TABLE alike.

use datafusion::sql::sqlparser::parser::Parser;
use datafusion::sql::sqlparser::tokenizer::Token;

use super::grammar::Grammar;
use super::sequence::SequenceOptions;
use super::types::{map_type, serial};
use crate::error::{Error, ErrorKind, Result};
use crate::spec::Type;

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
    /// GENERATED ALWAYS AS (…) STORED: the SQL text.
    pub stored: Option<String>,
    /// Where its name stands, in characters from 1 over the whole text.
    pub position: usize,
}

/// A column that counts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// None for serial; else whether a value of the user's is refused (GENERATED ALWAYS).
    pub always: Option<bool>,
    /// How its sequence counts.
    pub options: SequenceOptions,
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
    /// UNIQUE NULLS NOT DISTINCT.
    pub nulls_not_distinct: bool,
}

/// CHECK.
#[derive(Clone, Debug)]
pub struct Check {
    /// CONSTRAINT name.
    pub name: Option<String>,
    /// The SQL text of the condition.
    pub text: String,
    /// False after NOT ENFORCED.
    pub enforced: bool,
    /// False after NOT VALID.
    pub valid: bool,
}

/// What follows a constraint.
struct Standing {
    enforced: bool,
    valid: bool,
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
    /// `(column, …, constraint, …)`.
    pub(super) fn elements(&mut self) -> Result<Elements> {
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
        let nulls = self.sees("UNIQUE NULLS");
        let table_level = nulls
            || starts.iter().any(|start| match start.strip_suffix(" (") {
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
            let enforced = self.standing()?.enforced;
            let key = KeySpec { name, columns, enforced, nulls_not_distinct: false };
            return elements.set_primary_key(key, position);
        }
        if self.accepts("UNIQUE") {
            let nulls_not_distinct = self.nulls_not_distinct();
            let columns = self.columns()?;
            let enforced = self.standing()?.enforced;
            elements.unique.push(KeySpec { name, columns, enforced, nulls_not_distinct });
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
        let (_, text) = self.with_text(Self::expr)?;
        self.expects_sign(&Token::RParen)?;
        self.accepts("NO INHERIT");
        let Standing { enforced, valid } = self.standing()?;
        Ok(Check { name, text, enforced, valid })
    }

    /// `NULLS [NOT] DISTINCT`; whether NOT was said.
    pub(super) fn nulls_not_distinct(&mut self) -> bool {
        let not = self.accepts("NULLS NOT DISTINCT");
        if !not {
            self.accepts("NULLS DISTINCT");
        }
        not
    }

    /// `[NOT] ENFORCED`, `NOT VALID`, `[NOT] DEFERRABLE`, `INITIALLY …`.
    fn standing(&mut self) -> Result<Standing> {
        let mut standing = Standing { enforced: true, valid: true };
        loop {
            match () {
                _ if self.accepts("NOT ENFORCED") => standing.enforced = false,
                _ if self.accepts("ENFORCED") || self.accepts("NOT DEFERRABLE") => {}
                _ if self.accepts("INITIALLY IMMEDIATE") => {}
                _ if self.accepts("NOT VALID") => standing.valid = false,
                _ if self.sees("DEFERRABLE") || self.sees("INITIALLY DEFERRED") => {
                    let message = "constraints that wait for the commit are not supported";
                    return Err(self.refuse(ErrorKind::NotSupported, message));
                }
                _ => return Ok(standing),
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
        let identity = serial.map(|_| Identity::default());
        let not_null = identity.is_some();
        let (default, stored) = (None, None);
        let mut column =
            ColumnSpec { name, data_type, not_null, default, identity, stored, position };
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
    pub(super) fn array_of(&mut self, item: Type) -> Type {
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
            let (columns, enforced) = (vec![column.name.clone()], self.standing()?.enforced);
            let key = KeySpec { name, columns, enforced, nulls_not_distinct: false };
            elements.set_primary_key(key, position)?;
        } else if self.accepts("UNIQUE") {
            let nulls_not_distinct = self.nulls_not_distinct();
            let (columns, enforced) = (vec![column.name.clone()], self.standing()?.enforced);
            elements.unique.push(KeySpec { name, columns, enforced, nulls_not_distinct });
        } else if self.accepts("CHECK") {
            let check = self.check(name)?;
            elements.checks.push(check);
        } else if self.accepts("GENERATED") {
            self.generated(column)?;
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

    /// ALWAYS | BY DEFAULT AS IDENTITY [(START WITH n INCREMENT BY m …)], ALWAYS AS (e) STORED.
    fn generated(&mut self, column: &mut ColumnSpec) -> Result<()> {
        let always = self.expects_one(&["ALWAYS", "BY DEFAULT"])? == "ALWAYS";
        self.expects("AS")?;
        if always && self.accepts_sign(&Token::LParen) {
            column.stored = Some(self.with_text(Self::expr)?.1);
            self.expects_sign(&Token::RParen)?;
            if !self.accepts("STORED") {
                let message = "computed columns are STORED, not VIRTUAL";
                return Err(self.refuse(ErrorKind::NotSupported, message).hint("say STORED"));
            }
            return Ok(());
        }
        self.expects("IDENTITY")?;
        column.identity = Some(Identity { always: Some(always), options: self.counted()? });
        column.not_null = true;
        Ok(())
    }
}

impl Grammar<'_> {
    /// What follows ADD GENERATED.
    pub(super) fn added_identity(&mut self) -> Result<Identity> {
        let always = self.expects_one(&["ALWAYS", "BY DEFAULT"])? == "ALWAYS";
        self.expects("AS IDENTITY")?;
        Ok(Identity { always: Some(always), options: self.counted()? })
    }

    fn counted(&mut self) -> Result<SequenceOptions> {
        if !self.accepts_sign(&Token::LParen) {
            return Ok(SequenceOptions::default());
        }
        let options = self.sequence_options()?;
        self.expects_sign(&Token::RParen)?;
        Ok(options)
    }
}

impl Elements {
    pub(super) fn is_nothing(&self) -> bool {
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
