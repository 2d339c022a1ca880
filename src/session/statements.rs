//! PREPARE, EXECUTE, DEALLOCATE. The protocol's named statements and SQL's are one set, as in
//! PostgreSQL: each can run and drop the other's.

use std::collections::HashMap;
use std::sync::Arc;

use datafusion::common::ScalarValue;
use datafusion::sql::sqlparser::ast::Expr as SqlExpr;

use super::execute::done;
use super::prepare::Prepared;
use super::{Outcome, Session};
use crate::error::{Error, ErrorKind, Result};
use crate::parse::{self, Parsed, Statement};
use crate::plan::pg_catalog::PreparedFacts;
use crate::plan::query::plan_constant;
use crate::plan::time_travel::constant;
use crate::spec::Type;

/// A statement with a name.
pub struct Named {
    /// Its text.
    pub text: String,
    /// None for the text that holds no statement.
    pub prepared: Option<Arc<Prepared>>,
    prepared_us: i64,
    from_sql: bool,
}

/// The named statements of a session.
#[derive(Default)]
pub(super) struct Statements(HashMap<String, Arc<Named>>);

impl Statements {
    /// What `pg_prepared_statements` shows.
    pub fn facts(&self) -> Vec<PreparedFacts> {
        let fact = |(name, named): (&String, &Arc<Named>)| PreparedFacts {
            name: name.clone(),
            statement: named.text.clone(),
            parameters: named.prepared.as_ref().map_or_else(Vec::new, |p| p.parameters.clone()),
            prepared_us: named.prepared_us,
            from_sql: named.from_sql,
        };
        let mut facts: Vec<_> = self.0.iter().map(fact).collect();
        facts.sort_by(|a, b| a.name.cmp(&b.name));
        facts
    }

    pub fn clear(&mut self) {
        self.0.clear();
    }
}

impl Session {
    /// The statement of a name.
    pub fn named_statement(&self, name: &str) -> Option<Arc<Named>> {
        self.statements.lock().0.get(name).cloned()
    }

    /// Keeps a statement under a name.
    ///
    /// # Errors
    /// As [`Session::check_name_is_free`].
    pub fn keep_statement(
        &mut self,
        name: &str,
        text: &str,
        prepared: Option<Arc<Prepared>>,
    ) -> Result<()> {
        self.keep(name, text, prepared, false)
    }

    fn keep(
        &mut self,
        name: &str,
        text: &str,
        prepared: Option<Arc<Prepared>>,
        from_sql: bool,
    ) -> Result<()> {
        self.check_name_is_free(name, text)?;
        let prepared_us = self.work.lock().statement_us;
        let named = Named { text: text.to_owned(), prepared, prepared_us, from_sql };
        self.statements.lock().0.insert(name.to_owned(), Arc::new(named));
        Ok(())
    }

    /// Drops the statement of a name; whether there was one.
    pub fn drop_statement(&mut self, name: &str) -> bool {
        self.statements.lock().0.remove(name).is_some()
    }

    /// # Errors
    /// DuplicateStatement; LimitExceeded where no more are kept.
    pub fn check_name_is_free(&self, name: &str, text: &str) -> Result<()> {
        let statements = &self.statements.lock().0;
        if statements.contains_key(name) {
            let message = format!("prepared statement \"{name}\" already exists");
            return Err(Error::new(ErrorKind::DuplicateStatement, message));
        }
        let bounds = &self.database.inner().settings.wire;
        let bytes: usize = statements.values().map(|named| named.text.len()).sum();
        if statements.len() >= bounds.statements_max
            || bytes + text.len() > bounds.statement_texts_bytes_max
        {
            let message = format!("{} prepared statements are kept already", statements.len());
            return Err(Error::new(ErrorKind::LimitExceeded, message)
                .hint("close those that are no longer needed (DEALLOCATE ALL)"));
        }
        Ok(())
    }

    pub(super) async fn prepare_statement(
        &mut self,
        prepare: &parse::Prepare,
        parsed: &Parsed,
    ) -> Result<Outcome> {
        self.check_name_is_free(&prepare.name, &parsed.text)?;
        let types: Vec<Option<Type>> = prepare.types.iter().cloned().map(Some).collect();
        let inner = Arc::new(parsed.within_prepare(prepare));
        let prepared = Box::pin(self.prepare(inner, &types)).await?;
        self.keep(&prepare.name, &parsed.text, Some(prepared), true)?;
        done("PREPARE")
    }

    pub(super) async fn execute_statement(
        &mut self,
        name: &str,
        arguments: &[SqlExpr],
    ) -> Result<Outcome> {
        if self.existing(name)?.prepared.is_none() {
            return Ok(Outcome::Empty);
        }
        let prepared = self.executed(name)?;
        let values = self.arguments(name, &prepared, arguments)?;
        Box::pin(self.run_prepared(&prepared, values)).await
    }

    /// The statement that an EXECUTE means.
    ///
    /// # Errors
    /// UndefinedStatement; NotSupported where it is an EXECUTE or an EXPLAIN of one itself.
    pub(super) fn executed(&self, name: &str) -> Result<Arc<Prepared>> {
        let named = self.existing(name)?;
        let prepared = named.prepared.clone().ok_or_else(|| missing(name))?;
        let runs = match &prepared.parsed.statement {
            Statement::Explain(explain) => explain.statement.as_ref(),
            statement => statement,
        };
        if matches!(runs, Statement::Execute { .. }) {
            // Only the protocol can prepare one: it would run itself.
            let message = format!("prepared statement \"{name}\" is an EXECUTE");
            return Err(Error::new(ErrorKind::NotSupported, message));
        }
        Ok(prepared)
    }

    /// # Errors
    /// UndefinedStatement.
    pub(super) fn existing(&self, name: &str) -> Result<Arc<Named>> {
        self.named_statement(name).ok_or_else(|| missing(name))
    }

    /// The values of EXECUTE's arguments, in the types of the statement's parameters.
    pub(super) fn arguments(
        &self,
        name: &str,
        prepared: &Prepared,
        arguments: &[SqlExpr],
    ) -> Result<Vec<ScalarValue>> {
        let (wanted, given) = (prepared.parameters.len(), arguments.len());
        if wanted != given {
            let s = if wanted == 1 { "" } else { "s" };
            let message = format!("wrong number of parameters for prepared statement \"{name}\"");
            return Err(Error::new(ErrorKind::Syntax, message)
                .detail(format!("Expected {wanted} parameter{s} but got {given}.")));
        }
        let reading = self.reading(None)?;
        let pairs = arguments.iter().zip(&prepared.parameters);
        pairs
            .map(|(argument, wanted)| {
                let mut typed = parse::expression(&format!("CAST(NULL AS {wanted})"))?;
                if let SqlExpr::Cast { expr, .. } = &mut typed {
                    **expr = argument.clone();
                }
                let expr = plan_constant(&reading, &self.state, &typed)?;
                let value = constant(&reading, &self.state, expr)?;
                value.ok_or_else(|| {
                    Error::new(ErrorKind::UndefinedParameter, "EXECUTE takes no parameters itself")
                })
            })
            .collect()
    }

    /// DEALLOCATE; None is ALL.
    pub(super) fn deallocate(&mut self, name: Option<&str>) -> Result<Outcome> {
        match name {
            None => {
                self.statements.lock().clear();
                done("DEALLOCATE ALL")
            }
            Some(name) if self.drop_statement(name) => done("DEALLOCATE"),
            Some(name) => Err(missing(name)),
        }
    }
}

fn missing(name: &str) -> Error {
    let message = format!("prepared statement \"{name}\" does not exist");
    Error::new(ErrorKind::UndefinedStatement, message)
}
