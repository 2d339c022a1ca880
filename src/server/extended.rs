//! The extended protocol: named statements, portals, and what Parse, Bind, Describe, Execute and
//! Close do to them.

use std::sync::Arc;

use datafusion::common::ScalarValue;

use super::backend::Backend;
use super::message::{Bind, Message, Parse, Target};
use super::oid;
use super::parameter::{self, ParameterType};
use super::reply::{self, Format};
use super::rows::{Formats, Rows};
use crate::error::{Error, ErrorKind, Result};
use crate::plan::query::CHANGED_RESULT;
use crate::session::{CursorStatement, Named, Outcome, OutputColumn, Prepared, TransactionStatus};
use crate::spec::Type;

/// A prepared statement; None in `prepared` is the empty one.
pub(super) struct Statement {
    text: String,
    pub(super) prepared: Option<Arc<Prepared>>,
    parameters: Vec<ParameterType>,
    /// As the client declared them, or as inferred.
    oids: Vec<u32>,
}

/// A statement with its parameters, perhaps sent in part.
pub(super) struct Portal {
    pub(super) statement: Arc<Statement>,
    pub(super) formats: Formats,
    pub(super) state: PortalState,
}

/// How far a portal has come.
pub(super) enum PortalState {
    Bound(Vec<ScalarValue>),
    Suspended(Rows),
    /// All rows were sent; asked again there are none.
    Exhausted(Rows),
    /// It gave no rows and cannot run again.
    Done,
}

impl Statement {
    /// Whether it is what the session keeps under its name.
    pub(super) fn is(&self, named: Option<&Named>) -> bool {
        named.is_some_and(|named| match (&self.prepared, &named.prepared) {
            (Some(own), Some(kept)) => Arc::ptr_eq(own, kept),
            (own, kept) => own.is_none() && kept.is_none(),
        })
    }

    /// A statement that SQL prepared.
    fn of_named(named: &Named) -> Statement {
        let shared = named.prepared.as_deref();
        let (parameters, oids) =
            shared.map(|prepared| parameter_types(&[], &[], prepared)).unwrap_or_default();
        let prepared = named.prepared.clone();
        Statement { text: named.text.clone(), prepared, parameters, oids }
    }

    fn columns(&self) -> Option<&[OutputColumn]> {
        self.prepared.as_ref()?.columns.as_deref()
    }
}

impl Backend {
    /// # Errors
    /// Those of parsing and planning, of the bounds, and `DuplicateStatement`.
    pub(super) async fn parse(&mut self, parse: Parse) -> Result<()> {
        self.begin_statement(&parse.text);
        if parse.name.is_empty() {
            self.statements.remove("");
        }
        self.check_text(&parse.text)?;
        if !parse.name.is_empty() {
            self.session.check_name_is_free(&parse.name, &parse.text)?;
        }
        let statement = self.prepare(&parse).await?;
        if !parse.name.is_empty() {
            let prepared = statement.prepared.clone();
            self.session.keep_statement(&parse.name, &parse.text, prepared)?;
        }
        self.statements.insert(parse.name, Arc::new(statement));
        reply::parse_complete(&mut self.sink.out);
        Ok(())
    }

    async fn prepare(&mut self, parse: &Parse) -> Result<Statement> {
        let mut declared = Vec::with_capacity(parse.types.len());
        for oid in &parse.types {
            declared.push(oid::declared(*oid)?);
        }
        let mut parsed = self.session.parse_apart(&parse.text).await?;
        if parsed.len() > 1 {
            return Err(Error::new(
                ErrorKind::Syntax,
                "cannot insert multiple commands into a prepared statement",
            ));
        }
        let Some(parsed) = parsed.pop() else {
            return Ok(Statement {
                text: parse.text.clone(),
                prepared: None,
                parameters: Vec::new(),
                oids: Vec::new(),
            });
        };
        let prepared = self.session.prepare(parsed, &declared).await?;
        let (parameters, oids) = parameter_types(&parse.types, &declared, &prepared);
        Ok(Statement { text: parse.text.clone(), prepared: Some(prepared), parameters, oids })
    }

    /// # Errors
    /// Those of the parameters, `UndefinedStatement`, `DuplicateCursor`, and of the bounds.
    pub(super) fn bind(&mut self, bind: Bind) -> Result<()> {
        if bind.portal.is_empty() {
            self.portals.remove("");
        }
        let statement = self.statement(&bind.statement)?;
        let declared = self.session.cursor_columns(&bind.portal).is_some();
        if declared || self.portals.contains_key(&bind.portal) {
            return Err(Error::new(
                ErrorKind::DuplicateCursor,
                format!("cursor \"{}\" already exists", bind.portal),
            ));
        }
        if self.portals.len() >= self.settings.wire.portals_max {
            return Err(Error::new(
                ErrorKind::LimitExceeded,
                format!("{} portals are open already", self.portals.len()),
            )
            .hint("close those that are no longer needed, or end the transaction"));
        }
        let formats = Formats::of_codes(&bind.result_formats)?;
        if let Some(columns) = statement.columns()
            && !formats.fit(columns.len())
        {
            return Err(Error::new(
                ErrorKind::Protocol,
                format!(
                    "bind message has {} result formats but query has {} columns",
                    formats.len(),
                    columns.len()
                ),
            ));
        }
        let values = parameter::values(
            &bind.parameters,
            &Formats::of_codes(&bind.formats)?,
            &statement.parameters,
            &self.session.text_options(),
        )?;
        let portal = Portal { statement, formats, state: PortalState::Bound(values) };
        self.portals.insert(bind.portal, portal);
        reply::bind_complete(&mut self.sink.out);
        Ok(())
    }

    fn statement(&self, name: &str) -> Result<Arc<Statement>> {
        let own = self.statements.get(name);
        if name.is_empty() {
            let text = "unnamed prepared statement does not exist";
            return own.cloned().ok_or_else(|| Error::new(ErrorKind::UndefinedStatement, text));
        }
        let Some(named) = self.session.named_statement(name) else {
            let text = format!("prepared statement \"{name}\" does not exist");
            return Err(Error::new(ErrorKind::UndefinedStatement, text));
        };
        Ok(match own.filter(|own| own.is(Some(&named))) {
            Some(own) => Arc::clone(own),
            None => Arc::new(Statement::of_named(&named)),
        })
    }

    /// # Errors
    /// `UndefinedStatement`, `UndefinedCursor`.
    pub(super) fn describe(&mut self, target: &Target) -> Result<()> {
        match target {
            Target::Statement(name) => {
                let statement = self.statement(name)?;
                reply::parameter_description(&mut self.sink.out, &statement.oids);
                describe_columns(&mut self.sink.out, &statement, &Formats::default());
            }
            Target::Portal(name) => {
                let Some(portal) = self.portals.get(name) else {
                    // A cursor that SQL declared is a portal too.
                    let columns = self.session.cursor_columns(name);
                    let columns = columns.ok_or_else(|| no_portal(name))?;
                    reply::row_description(&mut self.sink.out, &columns, |_| Format::Text);
                    return Ok(());
                };
                describe_columns(&mut self.sink.out, &portal.statement, &portal.formats);
            }
        }
        Ok(())
    }

    /// Closing what is not there is no error.
    pub(super) fn close(&mut self, target: &Target) {
        match target {
            Target::Statement(name) => {
                self.statements.remove(name);
                self.session.drop_statement(name);
            }
            Target::Portal(name) => {
                self.portals.remove(name);
            }
        }
        reply::close_complete(&mut self.sink.out);
    }

    /// # Errors
    /// Those of the statement, and `UndefinedCursor`.
    pub(super) async fn execute(&mut self, name: String, max_rows: usize) -> Result<()> {
        let portal = self.portals.remove(&name).ok_or_else(|| no_portal(&name))?;
        let Portal { statement, formats, state } = portal;
        self.begin_statement(&statement.text);
        let before = self.session.transaction_status();
        let state = match state {
            PortalState::Bound(values) => {
                self.run_portal(&statement, &formats, values, max_rows).await?
            }
            PortalState::Suspended(rows) => self.send_rows(rows, max_rows).await?,
            PortalState::Exhausted(rows) => {
                let tag = rows.tag(0);
                self.complete(Some(tag));
                PortalState::Exhausted(rows)
            }
            PortalState::Done => {
                return Err(Error::new(
                    ErrorKind::WrongState,
                    format!("portal \"{name}\" cannot be run"),
                ));
            }
        };
        if before != TransactionStatus::Idle
            && self.session.transaction_status() == TransactionStatus::Idle
        {
            self.portals.clear();
        }
        self.portals.insert(name, Portal { statement, formats, state });
        Ok(())
    }

    /// Whether a portal, or what will be bound to it, is a look-up by key.
    pub(super) fn is_look_up(&self, portal: &str, bound: Option<&Bind>) -> bool {
        let statement = match bound.filter(|bind| bind.portal == portal) {
            Some(bind) => self.statements.get(&bind.statement),
            None => self.portals.get(portal).map(|portal| &portal.statement),
        };
        let prepared = statement.and_then(|statement| statement.prepared.as_ref());
        prepared.is_some_and(|prepared| prepared.is_look_up())
    }

    async fn run_portal(
        &mut self,
        statement: &Statement,
        formats: &Formats,
        values: Vec<ScalarValue>,
        max_rows: usize,
    ) -> Result<PortalState> {
        let Some(prepared) = &statement.prepared else {
            reply::empty_query(&mut self.sink.out);
            return Ok(PortalState::Done);
        };
        // Alone before its Sync a statement is its own transaction, which the session may run again
        // where it lost against another.
        let alone = matches!(self.batch.front(), Some(Message::Sync));
        if !alone {
            self.open_implicit();
        }
        // What FETCH would show was not described.
        let shows =
            matches!(prepared.cursor_statement(), Some(CursorStatement::Fetch(f)) if !f.moves);
        if !shows && let Some(tag) = self.portal_statement(prepared).await? {
            self.complete(Some(tag));
            return Ok(PortalState::Done);
        }
        let tag = match self.session.execute(prepared, values).await? {
            Outcome::Rows { columns, stream, tag } => {
                check_columns(prepared.columns.as_deref(), &columns)?;
                let options = self.session.text_options();
                let rows = Rows::new(columns, formats.clone(), options, stream, tag);
                return self.send_rows(rows, max_rows).await;
            }
            Outcome::Done { tag } => Some(tag),
            Outcome::CopyIn(copy) => Some(self.copy_in(*copy).await?),
            Outcome::CopyOut(copy) => Some(self.copy_out(copy).await?),
            Outcome::Empty => {
                reply::empty_query(&mut self.sink.out);
                None
            }
        };
        self.complete(tag);
        Ok(PortalState::Done)
    }

    async fn send_rows(&mut self, mut rows: Rows, max_rows: usize) -> Result<PortalState> {
        let sent = rows.send(max_rows, &mut self.sink, &self.cancel).await?;
        self.activity.progress(sent.rows, sent.bytes);
        if sent.suspended {
            self.complete(None);
            reply::portal_suspended(&mut self.sink.out);
            return Ok(PortalState::Suspended(rows));
        }
        let tag = rows.tag(sent.rows);
        self.complete(Some(tag));
        Ok(PortalState::Exhausted(rows))
    }
}

fn no_portal(name: &str) -> Error {
    Error::new(ErrorKind::UndefinedCursor, format!("portal \"{name}\" does not exist"))
}

/// What each parameter is sent as and taken as. The statement may have more parameters than the
/// client declared, never fewer that matter.
fn parameter_types(
    oids: &[u32],
    declared: &[Option<Type>],
    prepared: &Prepared,
) -> (Vec<ParameterType>, Vec<u32>) {
    let taken = prepared.parameters.iter().zip(&prepared.catalog_types);
    let each = taken.enumerate().map(|(position, (taken, catalog_type))| {
        match declared.get(position).cloned().flatten() {
            Some(sent) => (ParameterType { sent, taken: taken.clone() }, oids[position]),
            None => {
                let both = ParameterType { sent: taken.clone(), taken: taken.clone() };
                (both, catalog_type.map_or_else(|| oid::of_type(taken), |of| of.oid))
            }
        }
    });
    each.unzip()
}

fn describe_columns(out: &mut Vec<u8>, statement: &Statement, formats: &Formats) {
    match statement.columns() {
        Some(columns) => reply::row_description(out, columns, |position| formats.at(position)),
        None => reply::no_data(out),
    }
}

/// A client that asked what a statement gives is not told again: it must not have changed since.
fn check_columns(told: Option<&[OutputColumn]>, given: &[OutputColumn]) -> Result<()> {
    let is_same = told.is_some_and(|told| {
        told.len() == given.len()
            && told.iter().zip(given).all(|(told, given)| told.data_type == given.data_type)
    });
    match is_same {
        true => Ok(()),
        false => Err(Error::new(ErrorKind::NotSupported, CHANGED_RESULT)),
    }
}
