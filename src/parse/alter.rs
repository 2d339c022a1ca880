//! ALTER TABLE.

use datafusion::sql::sqlparser::ast;
use datafusion::sql::sqlparser::parser::Parser;
use datafusion::sql::sqlparser::tokenizer::Token;

use super::branch::CreateRef;
use super::column::{Check, ColumnSpec, Elements, Identity, KeySpec};
use super::grammar::{Grammar, fold};
use super::statement::{Call, CallArgument, Statement, Target};
use super::types::map_type;
use super::version::TableVersionSpec;
use crate::error::Result;
use crate::spec::Type;

/// ALTER TABLE.
#[derive(Clone, Debug)]
pub struct AlterTable {
    /// The table.
    pub name: ast::ObjectName,
    /// The branch it is changed on.
    pub version: Option<TableVersionSpec>,
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
        unique: Vec<KeySpec>,
        primary_key: Option<KeySpec>,
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
    AddCheck(Box<Check>),
    /// DROP CONSTRAINT.
    DropConstraint { name: String, if_exists: bool },
    /// DROP PRIMARY KEY.
    DropPrimaryKey,
    /// RENAME CONSTRAINT.
    RenameConstraint { from: String, to: String },
    /// VALIDATE CONSTRAINT.
    ValidateConstraint(String),
    /// CLUSTER BY, EVENT TIME, KNOWN TIME, TIES, SET (…): one change a clause.
    Set(TableOption),
    /// CREATE [OR REPLACE] BRANCH / TAG: of this table alone.
    CreateRef(Box<CreateRef>),
    /// DROP BRANCH / TAG: of this table alone.
    DropRef { tag: bool, name: String, if_exists: bool },
    /// OWNER TO.
    Owner(String),
}

/// A change of one column.
#[derive(Clone, Debug)]
pub enum AlterColumn {
    /// TYPE t [USING e]: the expression's SQL text.
    Type { data_type: Type, using: Option<String> },
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
    /// ADD GENERATED … AS IDENTITY.
    AddIdentity(Identity),
    /// DROP IDENTITY; with IF EXISTS.
    DropIdentity { if_exists: bool },
    /// DROP EXPRESSION; with IF EXISTS.
    DropExpression { if_exists: bool },
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

impl Grammar<'_> {
    /// ALTER.
    pub(super) fn alter(&mut self) -> Result<Statement> {
        self.expects("ALTER")?;
        if self.accepts("BRANCH") {
            return self.alter_branch();
        }
        if self.accepts("SEQUENCE") {
            return self.alter_object(false);
        }
        if self.accepts("VIEW") {
            return self.alter_object(true);
        }
        if self.accepts("SCHEMA") {
            return self.alter_schema();
        }
        if !self.accepts("TABLE") {
            return Err(self.unknown_object("ALTER"));
        }
        let if_exists = self.accepts("IF EXISTS");
        self.accepts("ONLY");
        let Target { name, version } = self.target()?;
        if version.is_none() && self.accepts("EXECUTE") {
            return self.executed(&name).map(Statement::Call);
        }
        let mut operations = Vec::new();
        loop {
            self.operation(&mut operations)?;
            if !self.accepts_sign(&Token::Comma) {
                break;
            }
        }
        Ok(Statement::AlterTable(Box::new(AlterTable { name, version, if_exists, operations })))
    }

    /// ALTER TABLE t EXECUTE p(…) is CALL system.p('t', …), and Trino's `optimize` rewrites files.
    fn executed(&mut self, table: &ast::ObjectName) -> Result<Call> {
        let mut call = match matches!(self.parser.peek_nth_token_ref(1).token, Token::LParen) {
            true => self.procedure()?,
            false => Call { procedure: vec![self.name()?], arguments: Vec::new() },
        };
        if call.procedure.last().is_some_and(|name| name == "optimize") {
            call.procedure = vec!["rewrite_data_files".to_owned()];
        }
        let parts = table.0.iter().filter_map(|part| part.as_ident()).map(fold);
        let value = ast::Value::SingleQuotedString(parts.collect::<Vec<_>>().join("."));
        let named = call.arguments.iter().any(|argument| argument.name.is_some());
        let name = named.then(|| "table".to_owned());
        call.arguments.insert(0, CallArgument { name, value: ast::Expr::value(value) });
        Ok(call)
    }

    fn operation(&mut self, operations: &mut Vec<AlterOperation>) -> Result<()> {
        let operation = match () {
            _ if self.accepts("ADD") => return self.add(operations),
            _ if self.accepts("SET") => return self.set_in_table(operations),
            _ if self.accepts("RESET") => return self.reset_in_table(operations),
            _ if self.accepts("DROP") => self.drop_in_table()?,
            _ if self.accepts("VALIDATE CONSTRAINT") => {
                AlterOperation::ValidateConstraint(self.name()?)
            }
            _ if self.accepts("RENAME") => self.rename()?,
            _ if self.accepts("ALTER") => self.alter_column()?,
            _ if self.accepts("OWNER TO") => AlterOperation::Owner(self.name()?),
            _ if self.accepts("CREATE OR REPLACE") || self.accepts("REPLACE") => {
                AlterOperation::CreateRef(Box::new(self.created_ref(true)?))
            }
            _ if self.accepts("CREATE") => {
                AlterOperation::CreateRef(Box::new(self.created_ref(false)?))
            }
            _ => AlterOperation::Set(self.clause()?),
        };
        operations.push(operation);
        Ok(())
    }

    /// CLUSTER BY (…), EVENT TIME c, KNOWN TIME c, TIES (…).
    fn clause(&mut self) -> Result<TableOption> {
        Ok(match self.expects_one(&["CLUSTER BY", "EVENT TIME", "KNOWN TIME", "TIES"])? {
            "CLUSTER BY" => TableOption::ClusterBy(Some(self.columns()?)),
            "EVENT TIME" => TableOption::EventTime(Some(self.name()?)),
            "KNOWN TIME" => TableOption::KnownTime(Some(self.name()?)),
            _ => TableOption::Ties(Some(self.columns()?)),
        })
    }

    fn add(&mut self, operations: &mut Vec<AlterOperation>) -> Result<()> {
        let constraints = ["CONSTRAINT", "PRIMARY KEY", "UNIQUE", "CHECK", "FOREIGN KEY"];
        let mut elements = Elements::default();
        if constraints.iter().any(|start| self.sees(start)) {
            self.table_constraint(&mut elements)?;
            operations.extend(elements.primary_key.map(AlterOperation::AddPrimaryKey));
            operations.extend(elements.unique.into_iter().map(AlterOperation::AddUnique));
            operations
                .extend(elements.checks.into_iter().map(|c| AlterOperation::AddCheck(Box::new(c))));
            return Ok(());
        }
        if self.accepts("COLUMNS") {
            self.expects_sign(&Token::LParen)?;
            let added = self.list(|g| g.added_column(false))?;
            operations.extend(added);
            return self.expects_sign(&Token::RParen);
        }
        self.accepts("COLUMN");
        let if_not_exists = self.accepts("IF NOT EXISTS");
        let added = self.added_column(if_not_exists)?;
        operations.push(added);
        Ok(())
    }

    fn added_column(&mut self, if_not_exists: bool) -> Result<AlterOperation> {
        let mut elements = Elements::default();
        let column = self.column(&mut elements)?;
        let place = self.place()?;
        Ok(AlterOperation::AddColumn {
            column: Box::new(column),
            if_not_exists,
            place,
            unique: elements.unique,
            primary_key: elements.primary_key,
            checks: elements.checks,
        })
    }

    fn place(&mut self) -> Result<Option<Place>> {
        if self.accepts("FIRST") {
            return Ok(Some(Place::First));
        }
        match self.accepts("AFTER") {
            true => Ok(Some(Place::After(self.name()?))),
            false => Ok(None),
        }
    }

    fn drop_in_table(&mut self) -> Result<AlterOperation> {
        if self.sees_ref_to_drop() {
            let (tag, name, if_exists) = self.dropped_ref()?;
            return Ok(AlterOperation::DropRef { tag, name, if_exists });
        }
        let clauses = [
            ("CLUSTER BY", TableOption::ClusterBy(None)),
            ("EVENT TIME", TableOption::EventTime(None)),
            ("KNOWN TIME", TableOption::KnownTime(None)),
        ];
        if let Some((_, gone)) = clauses.into_iter().find(|(words, _)| self.accepts(words)) {
            return Ok(AlterOperation::Set(gone));
        }
        let last = matches!(
            self.parser.peek_nth_token_ref(1).token,
            Token::EOF | Token::Comma | Token::SemiColon
        );
        if last && self.accepts("TIES") {
            return Ok(AlterOperation::Set(TableOption::Ties(None)));
        }
        if self.accepts("PRIMARY KEY") {
            self.cascade();
            return Ok(AlterOperation::DropPrimaryKey);
        }
        if self.accepts("CONSTRAINT") {
            let if_exists = self.accepts("IF EXISTS");
            let name = self.name()?;
            self.cascade();
            return Ok(AlterOperation::DropConstraint { name, if_exists });
        }
        self.accepts("COLUMN");
        let if_exists = self.accepts("IF EXISTS");
        let name = self.name()?;
        Ok(AlterOperation::DropColumn { name, if_exists, cascade: self.cascade() })
    }

    /// DROP BRANCH b, rather than DROP branch: a column of that name.
    fn sees_ref_to_drop(&self) -> bool {
        let named = !matches!(
            self.word(1).map(str::to_ascii_uppercase).as_deref(),
            Some("CASCADE" | "RESTRICT")
        );
        let next = &self.parser.peek_nth_token_ref(1).token;
        (self.sees("BRANCH") || self.sees("TAG"))
            && matches!(next, Token::Word(_) | Token::SingleQuotedString(_))
            && named
    }

    fn rename(&mut self) -> Result<AlterOperation> {
        if self.accepts("TO") {
            return self.name().map(AlterOperation::Rename);
        }
        if self.accepts("CONSTRAINT") {
            let from = self.name()?;
            self.expects("TO")?;
            return Ok(AlterOperation::RenameConstraint { from, to: self.name()? });
        }
        self.accepts("COLUMN");
        let from = self.name()?;
        self.expects("TO")?;
        Ok(AlterOperation::RenameColumn { from, to: self.name()? })
    }

    fn alter_column(&mut self) -> Result<AlterOperation> {
        self.accepts("COLUMN");
        let name = self.name()?;
        if let Some(place) = self.place()? {
            return Ok(AlterOperation::AlterColumn { name, change: AlterColumn::Place(place) });
        }
        let changes = [
            "SET DEFAULT",
            "DROP DEFAULT",
            "SET NOT NULL",
            "DROP NOT NULL",
            "SET DATA TYPE",
            "TYPE",
            "ADD GENERATED",
            "DROP IDENTITY",
            "DROP EXPRESSION",
        ];
        let change = match self.expects_one(&changes)? {
            "SET DEFAULT" => AlterColumn::SetDefault(self.with_text(Self::expr)?.1),
            "DROP DEFAULT" => AlterColumn::DropDefault,
            "SET NOT NULL" => AlterColumn::SetNotNull,
            "DROP NOT NULL" => AlterColumn::DropNotNull,
            "DROP IDENTITY" => AlterColumn::DropIdentity { if_exists: self.accepts("IF EXISTS") },
            "DROP EXPRESSION" => {
                AlterColumn::DropExpression { if_exists: self.accepts("IF EXISTS") }
            }
            "ADD GENERATED" => AlterColumn::AddIdentity(self.added_identity()?),
            _ => self.new_type()?,
        };
        Ok(AlterOperation::AlterColumn { name, change })
    }

    fn new_type(&mut self) -> Result<AlterColumn> {
        let position = self.position();
        let parsed = self.sql(Parser::parse_data_type)?;
        let data_type = map_type(&parsed).map_err(|error| error.at(position))?;
        let data_type = self.array_of(data_type);
        let using = match self.accepts("USING") {
            true => Some(self.with_text(Self::expr)?.1),
            false => None,
        };
        Ok(AlterColumn::Type { data_type, using })
    }

    /// SET SCHEMA s, SET (…), SET TBLPROPERTIES (…), SET CLUSTER BY ….
    fn set_in_table(&mut self, operations: &mut Vec<AlterOperation>) -> Result<()> {
        if self.accepts("SCHEMA") {
            operations.push(AlterOperation::SetSchema(self.name()?));
            return Ok(());
        }
        if !self.accepts("TBLPROPERTIES") && !self.sees_sign(&Token::LParen) {
            operations.push(AlterOperation::Set(self.clause()?));
            return Ok(());
        }
        self.expects_sign(&Token::LParen)?;
        let pairs = self.list(Self::option_pair)?;
        let options = pairs.into_iter().map(|(name, value)| {
            AlterOperation::Set(TableOption::Option { name, value: Some(value) })
        });
        operations.extend(options);
        self.expects_sign(&Token::RParen)
    }

    fn reset_in_table(&mut self, operations: &mut Vec<AlterOperation>) -> Result<()> {
        let names = self.columns()?;
        operations.extend(
            names
                .into_iter()
                .map(|name| AlterOperation::Set(TableOption::Option { name, value: None })),
        );
        Ok(())
    }
}
