//! The table a statement writes, and its rows as its queries see them.

use std::sync::Arc;

use datafusion::common::TableReference;
use datafusion::datasource::provider_as_source;
use datafusion::logical_expr::LogicalPlanBuilder;
use datafusion::sql::sqlparser::ast::{Ident, ObjectName, TableFactor, TableWithJoins};

use super::Scene;
use crate::command::named::written_table;
use crate::error::{Error, ErrorKind, Result};
use crate::exec::scan::TableScan;
use crate::fault;
use crate::parse::{TableVersionSpec, fold, version_of};
use crate::plan::names::told_version;
use crate::plan::pg_catalog::rewrite::check_names;
use crate::plan::time_travel::name_parts;
use crate::plan::{Given, described_table};
use crate::spec::TableSchema;
use crate::store::Table;

/// What the target's rows are called in the queries that a statement is made of.
const NAME: &str = "asofdb target";

/// A table that is written, under the name its statement gives it.
pub struct Target {
    /// At the transaction's snapshot.
    pub table: Arc<Table>,
    /// Its alias, else its own name.
    pub alias: String,
    /// The version it is read at, as EXPLAIN tells it.
    version: Option<Arc<str>>,
}

impl Target {
    /// A table where the transaction is.
    pub fn here(table: Arc<Table>, alias: String) -> Target {
        Target { table, alias, version: None }
    }

    /// The table of this name.
    ///
    /// # Errors
    /// UndefinedTable; WrongState for a view; NotSupported for one of a branch that is not written.
    pub fn named(
        scene: &Scene<'_>,
        name: &ObjectName,
        version: Option<&TableVersionSpec>,
        alias: Option<&Ident>,
    ) -> Result<Target> {
        let parts = name_parts(name)?;
        let (table, told) = match &scene.written {
            Some(written) => {
                let reading = scene.reading.at(written.clone());
                (written_table(&reading, scene.state, name, version)?, None)
            }
            None => {
                let (table, at) = described_table(&scene.reading, scene.state, name, version)?;
                (table, told_version(&scene.reading, &at))
            }
        };
        let alias = match alias {
            Some(alias) => fold(alias),
            None => match parts.as_slice() {
                // Of `t.branch_b` the table is `t`.
                _ if table.schema().name != parts[parts.len() - 1] => table.schema().name.clone(),
                _ => parts[parts.len() - 1].clone(),
            },
        };
        Ok(Target { table, alias, version: told })
    }

    /// The table of an UPDATE, DELETE or MERGE.
    ///
    /// # Errors
    /// As [`Target::named`]; Syntax for anything but a table.
    pub fn of_factor(scene: &Scene<'_>, factor: &TableFactor) -> Result<Target> {
        let TableFactor::Table { name, alias, .. } = factor else {
            return Err(Error::new(ErrorKind::Syntax, "only a table can be written"));
        };
        let version = version_of(factor)?;
        Target::named(scene, name, version.as_ref(), alias.as_ref().map(|alias| &alias.name))
    }

    /// # Errors
    /// DuplicateAlias where another relation of the statement has its name.
    pub fn refuse_name_again(&self, others: &[TableWithJoins]) -> Result<()> {
        check_names(Some(&self.alias), others)
    }

    /// Its shape.
    pub fn schema(&self) -> &Arc<TableSchema> {
        self.table.schema()
    }

    /// What qualifies its columns.
    pub fn reference(&self) -> TableReference {
        TableReference::bare(self.alias.clone())
    }

    /// Its rows with the hidden columns behind the visible ones, under the alias.
    ///
    /// # Errors
    /// Internal, which does not happen.
    pub fn rows(&self) -> Result<Given> {
        let scan = TableScan::with_hidden(Arc::clone(&self.table));
        let source = provider_as_source(Arc::new(scan.of_version(self.version.clone())));
        let plan = LogicalPlanBuilder::scan(TableReference::bare(NAME), source, None)
            .and_then(|scan| scan.alias(self.reference()))
            .and_then(LogicalPlanBuilder::build);
        Ok(Given { name: NAME.to_owned(), plan: plan.map_err(fault::of_datafusion)? })
    }
}
