//! ALTER TABLE: each change gives the table a new shape under the same ids.
//!
//! Rows are not touched: segments and inline batches name the shape they were written in, columns are
//! found by id, and what a file lacks is the column's stored default. Only a change of type that is
//! no widening, and a column whose values differ from row to row, write every row again, as an UPDATE
//! of this transaction.
//!
//! Changes of one statement are made one after another, each on what the one before left. Start
//! reading at [`alter_table`].

mod clauses;
mod column_type;
mod columns;
mod constraints;
mod rewrite;

use std::sync::Arc;

pub use self::columns::check_generated;
use self::columns::values_of as rewrite_values;

use super::Writing;
use super::named::shown;
use super::verify::Verify;
use crate::error::{Error, ErrorKind, Result};
use crate::parse::{AlterColumn, AlterOperation, AlterTable, Target};
use crate::spec::{Column, SchemaId, TableSchema, ref_label, ref_table};
use crate::store::{Relation, Table};

/// A table that is being changed.
struct Alteration<'a, 'b> {
    writing: &'a mut Writing<'b>,
    /// As the changes so far left it.
    table: Arc<Table>,
    notices: Vec<String>,
}

/// ALTER TABLE; answers what the client is told beside it.
///
/// # Errors
/// UndefinedTable, UndefinedColumn, DuplicateColumn, DependentObjects, NotNullViolation,
/// CheckViolation, UniqueViolation, DatatypeMismatch …; nothing is changed then.
pub async fn alter_table(writing: &mut Writing<'_>, alter: &AlterTable) -> Result<Vec<String>> {
    let target = Target { name: alter.name.clone(), version: alter.version.clone() };
    let table = match writing.named(&target)? {
        Some(Relation::Table(table)) => table,
        Some(found @ (Relation::View(_) | Relation::Sequence(_))) => {
            return super::object::alter_as_table(writing, found, &alter.operations);
        }
        None if alter.if_exists => {
            let name = shown(&alter.name)?;
            return Ok(vec![format!("relation \"{name}\" does not exist, skipping")]);
        }
        None => writing.named_table(&target)?,
    };
    let mut alteration = Alteration { writing, table, notices: Vec::new() };
    for operation in &alter.operations {
        alteration.make(operation).await?;
    }
    Ok(alteration.notices)
}

impl Alteration<'_, '_> {
    async fn make(&mut self, operation: &AlterOperation) -> Result<()> {
        match operation {
            AlterOperation::AddColumn { .. } => self.add_column(operation).await,
            AlterOperation::DropColumn { name, if_exists, cascade } => {
                self.drop_column(name, *if_exists, *cascade)
            }
            AlterOperation::RenameColumn { from, to } => self.rename_column(from, to),
            AlterOperation::AlterColumn { name, change } => self.alter_column(name, change).await,
            AlterOperation::Rename(name) => self.name_anew(|schema| schema.name.clone_from(name)),
            AlterOperation::SetSchema(namespace) => {
                self.name_anew(|schema| schema.namespace.clone_from(namespace))
            }
            AlterOperation::AddPrimaryKey(key) => self.add_primary_key(key).await,
            AlterOperation::AddUnique(key) => self.add_unique(key).await,
            AlterOperation::AddCheck(check) => self.add_check(check).await,
            AlterOperation::DropConstraint { name, if_exists } => {
                self.drop_constraint(name, *if_exists)
            }
            AlterOperation::DropPrimaryKey => self.drop_primary_key(),
            AlterOperation::RenameConstraint { from, to } => self.rename_constraint(from, to),
            AlterOperation::ValidateConstraint(name) => self.validate_constraint(name).await,
            AlterOperation::Set(option) => self.set_option(option).await,
            // Everyone owns everything while there are no roles.
            AlterOperation::Owner(_) => Ok(()),
            AlterOperation::CreateRef(_) | AlterOperation::DropRef { .. } => Err(Error::new(
                ErrorKind::NotSupported,
                "a change of branches or tags beside one of the table",
            )
            .hint("write two statements")),
        }
    }

    /// A table's own branch is found by the table's name, which is the database's to say.
    fn name_anew(&mut self, name: impl FnOnce(&mut TableSchema)) -> Result<()> {
        let branch = self.writing.transaction.branch();
        if ref_table(branch).is_some() {
            let (label, table) = (ref_label(branch), &self.schema().name);
            let message =
                format!("branch \"{label}\" is of one table and \"{table}\" keeps its name there");
            return Err(Error::new(ErrorKind::WrongState, message).hint(format!(
                "ALTER TABLE {table} RENAME TO … names it on all its own branches"
            )));
        }
        self.change(false, |schema| {
            name(schema);
            Ok(())
        })
    }

    async fn alter_column(&mut self, name: &str, change: &AlterColumn) -> Result<()> {
        match change {
            AlterColumn::Type { data_type, using } => {
                self.set_type(name, data_type, using.as_deref()).await
            }
            AlterColumn::SetDefault(text) => self.set_default(name, Some(text)),
            AlterColumn::DropDefault => self.set_default(name, None),
            AlterColumn::SetNotNull => self.set_not_null(name).await,
            AlterColumn::DropNotNull => self.drop_not_null(name),
            AlterColumn::Place(place) => {
                let id = self.column(name)?.id;
                self.change(false, |schema| columns::place(schema, id, Some(place)))
            }
            AlterColumn::AddIdentity(identity) => self.add_identity(name, identity),
            AlterColumn::DropIdentity { if_exists } => self.drop_identity(name, *if_exists),
            AlterColumn::DropExpression { if_exists } => self.drop_expression(name, *if_exists),
        }
    }

    fn verify(&self) -> Verify<'_> {
        let (reading, state) = (&self.writing.reading, self.writing.state);
        Verify { reading, state, schema: self.table.schema() }
    }

    fn schema(&self) -> &Arc<TableSchema> {
        self.table.schema()
    }

    fn column(&self, name: &str) -> Result<Column> {
        let schema = self.schema();
        match schema.column_named(name) {
            Some((_, column)) => Ok(column.clone()),
            None => Err(undefined_column(schema, name)),
        }
    }

    /// Makes the next shape. `verified` says that it rests on having looked at every row.
    fn change(
        &mut self,
        verified: bool,
        change: impl FnOnce(&mut TableSchema) -> Result<()>,
    ) -> Result<()> {
        let mut schema = self.schema().as_ref().clone();
        change(&mut schema)?;
        schema.id = SchemaId(self.table.store().next_id());
        self.writing.transaction.alter_table(&self.table, schema, verified)?;
        self.refresh()
    }

    /// Looks again after the transaction changed.
    fn refresh(&mut self) -> Result<()> {
        self.writing.reading.snapshot = self.writing.transaction.snapshot();
        let table = self.writing.reading.snapshot.table_by_id(self.table.id())?;
        self.table = table.expect("a transaction keeps the table it changes");
        Ok(())
    }
}

fn undefined_column(schema: &TableSchema, name: &str) -> Error {
    let message = format!("column \"{name}\" of relation \"{}\" does not exist", schema.name);
    Error::new(ErrorKind::UndefinedColumn, message)
}
