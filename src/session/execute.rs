//! One statement, run: each family goes to its place.

use std::sync::Arc;
use std::time::Duration;

use arrow::array::{RecordBatch, StringViewArray};
use datafusion::common::ScalarValue;
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::sql::sqlparser::ast::ObjectName;

use super::answer::{Answer, Bounds, rows_of};
use super::branches::{changes_refs, is_about_refs};
use super::hooks::StatementTables;
use super::locate::located;
use super::prepare::{Prepared, output_columns};
use super::work::{Base, Block};
use super::{Outcome, OutputColumn, RowsTag, Session, TransactionStatus};
use crate::command::call::{self, Calling};
use crate::command::{history, maintain, refs, run};
use crate::error::{Error, ErrorKind, Result};
use crate::fault;
use crate::parse::{Call, History, Isolation, Parsed, Statement, Target, TransactionModes, Vacuum};
use crate::plan::query::{Planned, same_columns};
use crate::plan::{Reading, SaidBy, addressed, addressed_table, plan_apart};
use crate::spec::{RefKind, TableId, Type};
use crate::store::{Snapshot, Table};

pub(super) type Parameters = Option<Arc<crate::plan::Parameters>>;

impl Session {
    /// Runs a prepared statement, with parameters in its types.
    ///
    /// # Errors
    /// Whatever the statement gives; the caller then says [`Session::fail`].
    pub async fn execute(
        &mut self,
        prepared: &Arc<Prepared>,
        parameters: Vec<ScalarValue>,
    ) -> Result<Outcome> {
        self.cancel.check()?;
        self.check_not_failed(&prepared.parsed.statement)?;
        self.begin_statement();
        self.work.lock().said(&prepared.parsed.properties);
        let ran = self.run_prepared(prepared, parameters).await;
        ran.map_err(|error| located(error, &prepared.parsed))
    }

    pub(super) async fn run_prepared(
        &mut self,
        prepared: &Arc<Prepared>,
        parameters: Vec<ScalarValue>,
    ) -> Result<Outcome> {
        if let Some(lookup) = &prepared.lookup
            && let Some(outcome) = self.look_up(lookup, &parameters)?
        {
            return Ok(outcome);
        }
        let columns = prepared.columns.as_deref();
        let parameters = prepared.bind(parameters)?;
        self.run(&prepared.parsed, columns, Some(Arc::new(parameters))).await
    }

    /// The clock of now(), also for what planning evaluates.
    pub(super) fn begin_statement(&mut self) {
        let now_us = self.database.store().clock().now_us();
        let mut work = self.work.lock();
        work.statement_us = now_us;
        if work.block != Block::Explicit {
            work.read_only = self.settings.lock().is("default_transaction_read_only", "on");
        }
        if work.block == Block::None {
            self.settings.lock().commit();
        }
        if work.block == Block::None || work.began_us == 0 {
            work.began_us = now_us;
        }
    }

    /// # Errors
    /// FailedTransaction, except for what ends a failed block.
    pub(super) fn check_not_failed(&self, statement: &Statement) -> Result<()> {
        let ends = matches!(
            statement,
            Statement::Rollback { .. } | Statement::Commit { .. } | Statement::RollbackTo(_)
        );
        if ends || self.transaction_status() != TransactionStatus::Failed {
            return Ok(());
        }
        let message =
            "current transaction is aborted, commands ignored until end of transaction block";
        Err(Error::new(ErrorKind::FailedTransaction, message).hint("say ROLLBACK"))
    }

    /// What a statement that only reads sees.
    pub(super) fn reading(&self, parameters: Parameters) -> Result<Reading> {
        let snapshot = self.work.lock().reading(&self.base, self.database.store())?;
        let text = self.text_options();
        let settings = self.settings.lock();
        let table_branch = match &self.base {
            Base::TableBranch(name) => Some(Arc::clone(name)),
            Base::Branch(_) | Base::Past(_) => None,
        };
        let reading = Reading {
            own: snapshot.clone(),
            snapshot,
            table_branch,
            database: self.connected.clone(),
            search_path: settings.search_path(&self.user),
            text,
            parameters,
            system: StatementTables::new(&self.hooks),
            runtime: Arc::clone(&self.database.inner().runtime),
            cancel: self.cancel.clone(),
            notices: Arc::default(),
            view: None,
        };
        drop(settings);
        self.hooks.read(&reading, &self.state);
        Ok(reading)
    }

    pub(super) async fn run(
        &mut self,
        parsed: &Arc<Parsed>,
        columns: Option<&[OutputColumn]>,
        parameters: Parameters,
    ) -> Result<Outcome> {
        match &parsed.statement {
            Statement::Query(query) => {
                let (reading, bounds) = self.bounded(&self.reading_of(parsed, parameters)?)?;
                let planned = plan_apart(&reading, &self.state, query, &[]).await?;
                self.take_reading_notices(&reading);
                self.answer((&reading, bounds), planned, columns).await
            }
            Statement::Explain(explain) => self.explain(explain, parsed, parameters).await,
            Statement::Copy(copy) => self.copy(copy, parameters).await,
            Statement::AlterTable(alter) if is_about_refs(alter) => {
                self.change_table_refs(alter, parameters).await
            }
            Statement::Insert(_)
            | Statement::Update(_)
            | Statement::Delete(_)
            | Statement::Merge(_)
            | Statement::With(_)
            | Statement::Truncate(_)
            | Statement::CreateTable(_)
            | Statement::CreateView(_)
            | Statement::CreateSchema(_)
            | Statement::RestoreTable(_)
            | Statement::UndropTable(_)
            | Statement::CreateIndex(_)
            | Statement::CreateSequence(_)
            | Statement::AlterTable(_)
            | Statement::AlterObject(_)
            | Statement::AlterSchema { .. }
            | Statement::Comment(_)
            // What writing keeps on its way is large; on the stack it would lie once for each caller.
            | Statement::Drop(_) => Box::pin(self.write(&parsed.statement, parameters)).await,
            statement if changes_refs(statement) => self.change_refs(statement, parameters).await,
            Statement::History(what) => self.history(what, parameters),
            Statement::Describe(target) => self.describe_table(target, parameters),
            Statement::Call(procedure) => self.call(procedure, parameters).await,
            Statement::Begin(_)
            | Statement::Commit { .. }
            | Statement::Rollback { .. }
            | Statement::Savepoint(_)
            | Statement::Release(_)
            | Statement::RollbackTo(_)
            | Statement::SetTransaction { .. } => {
                self.transaction_statement(&parsed.statement, parameters).await
            }
            Statement::Set(_)
            | Statement::Reset(_)
            | Statement::Show(_)
            | Statement::Discard(_)
            | Statement::UseBranch(_) => self.settings_statement(&parsed.statement),
            Statement::Unlisten(_) => done("UNLISTEN"),
            Statement::Prepare(prepare) => self.prepare_statement(prepare, parsed).await,
            Statement::Execute { name, arguments } => self.execute_statement(name, arguments).await,
            Statement::Deallocate(name) => self.deallocate(name.as_deref()),
            Statement::Declare(declare) => self.declare(declare, parsed, parameters).await,
            Statement::Fetch(fetch) => self.fetch(fetch).await,
            Statement::Close(name) => self.close_cursor(name.as_deref()),
            Statement::Analyze { tables, .. } => self.analyze(tables),
            Statement::Vacuum(vacuum) => self.vacuum(vacuum).await,
            Statement::Checkpoint => done("CHECKPOINT"),
            other => Err(refuse(other)),
        }
    }

    async fn transaction_statement(
        &mut self,
        statement: &Statement,
        parameters: Parameters,
    ) -> Result<Outcome> {
        match statement {
            Statement::Begin(modes) => self.begin_block(modes, parameters),
            Statement::Commit { chain } => {
                let next = self.next_block(*chain, "COMMIT AND CHAIN")?;
                let tag = if self.commit().await? { "COMMIT" } else { "ROLLBACK" };
                self.chain(next);
                done(tag)
            }
            Statement::Rollback { chain } => {
                let next = self.next_block(*chain, "ROLLBACK AND CHAIN")?;
                self.roll_back();
                self.chain(next);
                done("ROLLBACK")
            }
            Statement::Savepoint(name) => self.savepoint(name).and_then(|()| done("SAVEPOINT")),
            Statement::Release(name) => self.release(name).and_then(|()| done("RELEASE")),
            Statement::RollbackTo(name) => self.roll_back_to(name).and_then(|()| done("ROLLBACK")),
            Statement::SetTransaction { modes, session } => {
                self.check_modes(modes)?;
                if self.work.lock().block != Block::Explicit {
                    let words = "SET TRANSACTION can only be used in transaction blocks";
                    self.warning("25P01", words);
                } else if let Some(read_only) = modes.read_only {
                    self.work.lock().read_only = read_only;
                }
                if *session && (modes.as_of.is_some() || modes.snapshot.is_some()) {
                    let message = "AS OF for every transaction of a session";
                    return Err(Error::new(ErrorKind::NotSupported, message)
                        .hint("SET as_of = '…' reads the past from now on"));
                }
                if self.work.lock().block == Block::Explicit {
                    self.read_as_of(modes, parameters)?;
                } else if modes.as_of.is_some() || modes.snapshot.is_some() {
                    let message = "SET TRANSACTION can only be used in transaction blocks";
                    return Err(Error::new(ErrorKind::NoActiveTransaction, message)
                        .hint("BEGIN READ ONLY AS OF …"));
                }
                done("SET")
            }
            other => Err(refuse(other)),
        }
    }

    async fn call(&mut self, call: &Call, parameters: Parameters) -> Result<Outcome> {
        self.need_no_transaction("CALL")?;
        let reading = self.reading(parameters)?;
        let options = self.commit_options();
        let calling = Calling { reading: &reading, state: &self.state, options: &options, call };
        let batch = call::call(&calling).await?;
        Ok(rows_of(batch, RowsTag::Tagged("CALL")))
    }

    /// Statistics are always there; of the tables it is only asked that they are.
    fn analyze(&self, tables: &[ObjectName]) -> Result<Outcome> {
        let reading = self.reading(None)?;
        for name in tables {
            addressed_table(&reading, &self.state, name, None)?;
        }
        done("ANALYZE")
    }

    async fn vacuum(&mut self, vacuum: &Vacuum) -> Result<Outcome> {
        self.need_no_transaction("VACUUM")?;
        let reading = self.reading(None)?;
        match maintain::vacuum(&reading, &self.state, vacuum).await? {
            Some(batch) => Ok(rows_of(batch, RowsTag::Tagged("VACUUM"))),
            None => done("VACUUM"),
        }
    }

    /// What a query sees; `AS OF SYSTEM TIME` is of the whole statement.
    pub(super) fn reading_of(&self, parsed: &Parsed, parameters: Parameters) -> Result<Reading> {
        let reading = self.reading(parameters)?;
        let Some(time) = &parsed.as_of else { return Ok(reading) };
        let spec = crate::parse::TableVersionSpec {
            slot: crate::parse::Slot::Time,
            value: time.clone(),
            before: false,
            within: None,
        };
        let at = refs::version(&reading, &self.state, &spec)?;
        let reading = reading.at(at);
        self.hooks.read(&reading, &self.state);
        Ok(reading)
    }

    pub(super) fn take_reading_notices(&mut self, reading: &Reading) {
        let notices: Vec<String> = std::mem::take(&mut reading.notices.lock());
        notices.into_iter().for_each(|notice| self.notice(notice));
    }

    /// Runs a plan whose rows go to the client.
    async fn answer(
        &mut self,
        (reading, bounds): (&Reading, Bounds),
        planned: Planned,
        described: Option<&[OutputColumn]>,
    ) -> Result<Outcome> {
        let columns = output_columns(&planned);
        if let Some(described) = described {
            let pair = |c: &OutputColumn| (c.name.clone(), c.data_type.clone());
            let shown: Vec<(String, Type)> = described.iter().map(pair).collect();
            let found: Vec<(String, Type)> = columns.iter().map(pair).collect();
            same_columns(&shown, &found)?;
        }
        let rows = run::start(reading, &self.state, planned.plan).await?;
        let stream = Answer::stream(rows, bounds);
        Ok(Outcome::Rows { columns: Arc::new(columns), stream, tag: RowsTag::Select })
    }

    /// The same reading with a memory pool of the statement's own, and what bounds the statement.
    pub(super) fn bounded(&self, reading: &Reading) -> Result<(Reading, Bounds)> {
        let timeout = self.settings.lock().statement_timeout();
        self.bounded_by(reading, timeout)
    }

    /// The same with a time of its own; zero is for ever.
    pub(super) fn bounded_by(
        &self,
        reading: &Reading,
        timeout: Duration,
    ) -> Result<(Reading, Bounds)> {
        let inner = self.database.inner();
        let cancel = reading.cancel.child();
        let memory = inner.memory.begin_statement(cancel.clone());
        let runtime = RuntimeEnvBuilder::from_runtime_env(&inner.runtime)
            .with_memory_pool(memory.pool())
            .build_arc()
            .map_err(fault::of_datafusion)?;
        let bounds = Bounds::new(memory, &cancel, timeout);
        Ok((Reading { runtime, cancel, ..reading.clone() }, bounds))
    }

    pub(super) fn history(&self, what: &History, parameters: Parameters) -> Result<Outcome> {
        let reading = self.reading(parameters)?;
        let store = reading.snapshot.store();
        let batch = match what {
            History::Branches(None) => history::refs(store, RefKind::Branch)?,
            History::Tags(None) => history::refs(store, RefKind::Tag)?,
            History::Branches(Some(target)) => {
                let table = self.unversioned_table(&reading, target)?;
                history::refs_of_table(store, table, RefKind::Branch)?
            }
            History::Tags(Some(target)) => {
                let table = self.unversioned_table(&reading, target)?;
                history::refs_of_table(store, table, RefKind::Tag)?
            }
            History::Log { branch, table, limit } => {
                let reading = match branch {
                    Some(branch) => reading.at(store.at_ref(branch)?),
                    None => reading.clone(),
                };
                match table {
                    Some(table) => {
                        let (found, at) = self.named_table(&reading, table)?;
                        history::log(&at, Some(found.id()), *limit)?
                    }
                    None => history::log(&reading.snapshot, None, *limit)?,
                }
            }
            History::Table { table, limit } => {
                let (found, at) = self.named_table(&reading, table)?;
                history::table(&at, found.id(), *limit)?
            }
        };
        Ok(rows_of(batch, RowsTag::Tagged("SHOW")))
    }

    fn describe_table(&self, target: &Target, parameters: Parameters) -> Result<Outcome> {
        let reading = self.reading(parameters)?;
        let (table, _) = self.named_table(&reading, target)?;
        let columns = &table.schema().columns;
        let text = |values: Vec<String>| {
            Arc::new(StringViewArray::from_iter_values(values)) as arrow::array::ArrayRef
        };
        let batch = RecordBatch::try_from_iter([
            ("column_name", text(columns.iter().map(|c| c.name.clone()).collect())),
            ("data_type", text(columns.iter().map(|c| c.data_type.to_string()).collect())),
            (
                "is_nullable",
                text(
                    columns.iter().map(|c| if c.not_null { "NO" } else { "YES" }.into()).collect(),
                ),
            ),
            (
                "column_default",
                text(columns.iter().map(|c| c.default.clone().unwrap_or_default()).collect()),
            ),
        ]);
        Ok(rows_of(batch.map_err(fault::of_arrow)?, RowsTag::Tagged("DESCRIBE")))
    }

    fn named_table(&self, reading: &Reading, target: &Target) -> Result<(Arc<Table>, Snapshot)> {
        addressed_table(reading, &self.state, &target.name, target.version.as_ref())
    }

    /// A table whose branches and tags are asked for: they are of all its versions.
    ///
    /// # Errors
    /// UndefinedTable; NotSupported where one version is named.
    fn unversioned_table(&self, reading: &Reading, target: &Target) -> Result<TableId> {
        let version = target.version.as_ref();
        match addressed(reading, &self.state, &target.name, version)? {
            Some(found) if found.said_by == SaidBy::Statement => {
                let message = "branches and tags are of a table, not of one of its versions";
                Err(Error::new(ErrorKind::NotSupported, message).hint("name the table alone"))
            }
            _ => self.named_table(reading, target).map(|(table, _)| table.id()),
        }
    }

    fn begin_block(&mut self, modes: &TransactionModes, parameters: Parameters) -> Result<Outcome> {
        self.check_modes(modes)?;
        let default = self.settings.lock().get("default_transaction_read_only");
        let read_only = modes.read_only.unwrap_or(default.as_deref() == Some("on"));
        self.begin(read_only);
        if let Err(error) = self.read_as_of(modes, parameters) {
            // A block that would not read what it said is not begun.
            self.work.lock().end();
            return Err(error);
        }
        done("BEGIN")
    }

    /// Lets the block read the past, where its modes say so.
    ///
    /// # Errors
    /// ActiveTransaction where the block has read already; UndefinedObject, InvalidValue.
    fn read_as_of(&mut self, modes: &TransactionModes, parameters: Parameters) -> Result<()> {
        let spec = match (&modes.as_of, &modes.snapshot) {
            (Some(spec), _) => spec.clone(),
            (None, Some(id)) => crate::parse::version_literal(id),
            (None, None) => return Ok(()),
        };
        if self.work.lock().snapshot.is_some() {
            let message = "the version of a transaction must be set before any query";
            return Err(Error::new(ErrorKind::ActiveTransaction, message)
                .hint("say it with BEGIN READ ONLY AS OF …"));
        }
        // Read at the session's own snapshot, which the block does not keep.
        let reading = self.reading(parameters)?;
        let at = refs::version(&reading, &self.state, &spec);
        let mut work = self.work.lock();
        work.snapshot = None;
        work.snapshot = Some(at?);
        work.read_only = true;
        drop(work);
        self.take_reading_notices(&reading);
        Ok(())
    }

    /// # Errors
    /// NotSupported for SERIALIZABLE, which would be a promise not kept.
    fn check_modes(&self, modes: &TransactionModes) -> Result<()> {
        match modes.isolation {
            Some(Isolation::Serializable) => {
                Err(Error::new(ErrorKind::NotSupported, "isolation level SERIALIZABLE")
                    .hint("REPEATABLE READ, the default, is snapshot isolation"))
            }
            Some(
                Isolation::RepeatableRead | Isolation::ReadCommitted | Isolation::ReadUncommitted,
            )
            | None => Ok(()),
        }
    }
}

/// A statement without rows.
pub(super) fn done(tag: &str) -> Result<Outcome> {
    Ok(Outcome::Done { tag: tag.to_owned() })
}

pub(super) fn refuse(statement: &Statement) -> Error {
    let text = format!("{statement:?}");
    let word: String = text.chars().take_while(|c| c.is_alphanumeric()).collect();
    Error::new(ErrorKind::NotSupported, format!("this statement is not supported: {word}"))
}
