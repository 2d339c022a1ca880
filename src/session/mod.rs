//! STUB of the session for the server's own tests: DataFusion over tables in memory, transactions in
//! name only. To be replaced by the real room.

mod copy;
mod tables;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use arrow::datatypes::Schema;
use bytes::Bytes;
use datafusion::common::{ParamValues, ScalarValue};
use datafusion::execution::SendableRecordBatchStream;
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::prelude::{SessionConfig, SessionContext};
use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
use datafusion::sql::sqlparser::parser::Parser;
use futures::stream::BoxStream;

pub use copy::CopyIn;

use crate::activity::{Activity, CancelToken};
use crate::config::Settings;
use crate::error::{Error, ErrorKind, Result};
use crate::fault;
use crate::spec::Type;
use crate::spec::text::TextOptions;

#[derive(Clone)]
pub struct Database {
    context: SessionContext,
    activity: Activity,
}

impl Database {
    pub fn open(_path: &Path, settings: Settings) -> Result<Database> {
        let mut config = SessionConfig::new().with_target_partitions(2);
        config.options_mut().sql_parser.dialect = datafusion::common::config::Dialect::PostgreSQL;
        let context = SessionContext::new_with_config(config);
        tables::register(&context)?;
        Ok(Database { context, activity: Activity::new(settings.clock) })
    }

    pub fn activity(&self) -> &Activity {
        &self.activity
    }

    pub fn session(&self, options: SessionOptions) -> Result<Session> {
        let (name, _) = options.database.split_once('@').unwrap_or((&options.database, ""));
        if !["main", "postgres", "asofdb", options.user.as_str()].contains(&name) {
            return Err(Error::new(
                ErrorKind::UndefinedDatabase,
                format!("database \"{name}\" does not exist"),
            )
            .hint("connect to main, or to main@branch"));
        }
        let mut settings: BTreeMap<String, String> = [
            ("server_version", "16.4"),
            ("server_encoding", "UTF8"),
            ("client_encoding", "UTF8"),
            ("DateStyle", "ISO, MDY"),
            ("TimeZone", "UTC"),
            ("IntervalStyle", "postgres"),
            ("integer_datetimes", "on"),
            ("standard_conforming_strings", "on"),
        ]
        .into_iter()
        .map(|(k, v)| (k.to_owned(), v.to_owned()))
        .collect();
        settings.insert("application_name".to_owned(), options.application_name);
        settings.extend(options.parameters);
        Ok(Session {
            context: self.context.clone(),
            status: TransactionStatus::Idle,
            explicit: false,
            settings,
            changes: Vec::new(),
            notices: Vec::new(),
            cancel: options.cancel,
            pid: options.pid,
        })
    }

    pub fn check(_path: &Path) -> Result<Vec<String>> {
        Ok(Vec::new())
    }

    pub fn close(self) {}
}

pub struct SessionOptions {
    pub user: String,
    pub database: String,
    pub application_name: String,
    pub parameters: Vec<(String, String)>,
    pub cancel: CancelToken,
    pub pid: i32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransactionStatus {
    Idle,
    InTransaction,
    Failed,
}

#[derive(Debug)]
pub struct Notice {
    pub severity: &'static str,
    pub code: &'static str,
    pub message: String,
    pub hint: Option<String>,
}

#[derive(Debug)]
pub struct Parsed {
    pub text: String,
}

#[derive(Clone, Debug)]
pub struct OutputColumn {
    pub name: String,
    pub data_type: Type,
    pub table: Option<(u32, i16)>,
}

pub struct Prepared {
    pub parameters: Vec<Type>,
    pub columns: Option<Vec<OutputColumn>>,
    work: Work,
}

enum Work {
    Plan(LogicalPlan, &'static str),
    Begin,
    Commit,
    Rollback,
    Set(String, String),
    Show(String),
    Sleep(f64),
    Tag(&'static str),
    CopyIn(String, bool),
    CopyOut(LogicalPlan),
}

pub enum RowsTag {
    Select,
    Tagged(&'static str),
}

pub enum Outcome {
    Rows { columns: Arc<Vec<OutputColumn>>, stream: SendableRecordBatchStream, tag: RowsTag },
    Done { tag: String },
    CopyIn(CopyIn),
    CopyOut(CopyOut),
    Empty,
}

pub struct CopyOut {
    pub columns: usize,
    pub binary: bool,
    pub stream: BoxStream<'static, Result<Bytes>>,
    pub rows: Arc<AtomicU64>,
}

pub struct Session {
    context: SessionContext,
    status: TransactionStatus,
    explicit: bool,
    settings: BTreeMap<String, String>,
    changes: Vec<(String, String)>,
    notices: Vec<Notice>,
    cancel: CancelToken,
    pid: i32,
}

impl Session {
    pub fn parse(&self, sql: &str) -> Result<Vec<Arc<Parsed>>> {
        let one = sql.trim().trim_end_matches(';').to_owned();
        let lower = one.to_ascii_lowercase();
        if lower.starts_with("copy ") && !one.contains(';') {
            return Ok(vec![Arc::new(Parsed { text: one })]);
        }
        let statements = Parser::parse_sql(&PostgreSqlDialect {}, sql)
            .map_err(|error| Error::new(ErrorKind::Syntax, error.to_string()).at(1))?;
        Ok(statements.iter().map(|s| Arc::new(Parsed { text: s.to_string() })).collect())
    }

    pub async fn prepare(
        &mut self,
        parsed: Arc<Parsed>,
        types: &[Option<Type>],
    ) -> Result<Arc<Prepared>> {
        let text = parsed.text.clone();
        let lower = text.to_ascii_lowercase();
        let words: Vec<&str> = lower.split_whitespace().collect();
        if self.status == TransactionStatus::Failed
            && !matches!(words[0], "rollback" | "commit" | "end")
        {
            return Err(Error::new(
                ErrorKind::FailedTransaction,
                "current transaction is aborted, commands ignored until end of transaction block",
            ));
        }
        let one_text = |name: &str| {
            Some(vec![OutputColumn { name: name.to_owned(), data_type: Type::Text, table: None }])
        };
        let (work, columns) = match words.as_slice() {
            ["begin" | "start", ..] => (Work::Begin, None),
            ["commit" | "end", ..] => (Work::Commit, None),
            ["rollback", ..] => (Work::Rollback, None),
            ["set", name, "=" | "to", ..] => {
                let value = text.split_whitespace().skip(3).collect::<Vec<_>>().join(" ");
                (Work::Set((*name).to_owned(), value.trim_matches('\'').to_owned()), None)
            }
            ["show", name] => (Work::Show((*name).to_owned()), one_text(name)),
            ["select", sleep] if sleep.starts_with("pg_sleep(") => {
                let seconds = sleep["pg_sleep(".len()..].trim_end_matches(')');
                (Work::Sleep(seconds.parse().unwrap_or(0.0)), one_text("pg_sleep"))
            }
            ["create", "table", "all_types", ..] => (Work::Tag("CREATE TABLE"), None),
            ["insert", "into", "all_types", ..] => (Work::Tag("INSERT 0 1"), None),
            ["deallocate", "all"] => (Work::Tag("DEALLOCATE ALL"), None),
            ["discard", "all"] => (Work::Tag("DISCARD ALL"), None),
            ["copy", name, "from", "stdin", rest @ ..] => {
                (Work::CopyIn((*name).to_owned(), rest.contains(&"binary")), None)
            }
            ["copy", ..] if lower.contains(" to stdout") => {
                let at = lower.find(" to stdout").unwrap_or(0);
                let source = text[5..at].trim();
                let query = match source.starts_with('(') {
                    true => source[1..source.len() - 1].to_owned(),
                    false => format!("SELECT * FROM {source}"),
                };
                (Work::CopyOut(self.plan(&query).await?), None)
            }
            _ => return self.prepare_plan(&text, words[0], types).await,
        };
        Ok(Arc::new(Prepared { parameters: Vec::new(), columns, work }))
    }

    async fn plan(&self, text: &str) -> Result<LogicalPlan> {
        self.context.state().create_logical_plan(text).await.map_err(fault::of_datafusion)
    }

    async fn prepare_plan(
        &mut self,
        text: &str,
        word: &str,
        types: &[Option<Type>],
    ) -> Result<Arc<Prepared>> {
        let plan = self.plan(text).await?;
        let inferred = plan.get_parameter_types().map_err(fault::of_datafusion)?;
        let count = inferred.len().max(types.len());
        let parameters = (1..=count)
            .map(|n| match types.get(n - 1).cloned().flatten() {
                Some(declared) => declared,
                None => inferred
                    .get(&format!("${n}"))
                    .and_then(Option::as_ref)
                    .and_then(Type::of_storage)
                    .unwrap_or(Type::Text),
            })
            .collect();
        let (tag, columns) = match word {
            "insert" => ("INSERT 0", None),
            "create" => ("CREATE TABLE", None),
            "drop" => ("DROP TABLE", None),
            _ => ("SELECT", Some(columns_of(plan.schema().as_arrow())?)),
        };
        Ok(Arc::new(Prepared { parameters, columns, work: Work::Plan(plan, tag) }))
    }

    pub async fn execute(
        &mut self,
        prepared: &Arc<Prepared>,
        parameters: Vec<ScalarValue>,
    ) -> Result<Outcome> {
        self.cancel.check()?;
        let done = |tag: &str| Ok(Outcome::Done { tag: tag.to_owned() });
        match &prepared.work {
            Work::Begin => {
                if self.explicit {
                    self.notices.push(Notice {
                        severity: "WARNING",
                        code: "25001",
                        message: "there is already a transaction in progress".to_owned(),
                        hint: None,
                    });
                }
                (self.explicit, self.status) = (true, TransactionStatus::InTransaction);
                done("BEGIN")
            }
            Work::Commit => {
                let failed = self.status == TransactionStatus::Failed;
                (self.explicit, self.status) = (false, TransactionStatus::Idle);
                done(if failed { "ROLLBACK" } else { "COMMIT" })
            }
            Work::Rollback => {
                (self.explicit, self.status) = (false, TransactionStatus::Idle);
                done("ROLLBACK")
            }
            Work::Set(name, value) => {
                self.settings.insert(name.clone(), value.clone());
                self.changes.push((name.clone(), value.clone()));
                done("SET")
            }
            Work::Show(name) => {
                let value = match name.as_str() {
                    "pid" => self.pid.to_string(),
                    name => self.settings.get(name).cloned().unwrap_or_default(),
                };
                self.rows(prepared, tables::one(name, &value), RowsTag::Tagged("SHOW"))
            }
            Work::Sleep(seconds) => {
                let sleep = tokio::time::sleep(Duration::from_secs_f64(*seconds));
                let (schema, batch) = tables::one("pg_sleep", "");
                let stream = futures::stream::once(async move {
                    sleep.await;
                    Ok(batch)
                });
                let stream = Box::pin(RecordBatchStreamAdapter::new(schema, stream));
                Ok(Outcome::Rows {
                    columns: Arc::new(prepared.columns.clone().unwrap_or_default()),
                    stream,
                    tag: RowsTag::Select,
                })
            }
            Work::Tag(tag) => done(tag),
            Work::CopyIn(table, binary) => {
                let provider = self.context.table_provider(table.as_str()).await;
                let schema = provider.map_err(fault::of_datafusion)?.schema();
                CopyIn::new(self.context.clone(), table.clone(), schema, *binary)
                    .map(Outcome::CopyIn)
            }
            Work::CopyOut(plan) => {
                let frame = self.context.execute_logical_plan(plan.clone()).await;
                let stream = frame.map_err(fault::of_datafusion)?.execute_stream().await;
                copy::out(stream.map_err(fault::of_datafusion)?).map(Outcome::CopyOut)
            }
            Work::Plan(plan, tag) => self.run(prepared, plan.clone(), tag, parameters).await,
        }
    }

    async fn run(
        &mut self,
        prepared: &Arc<Prepared>,
        plan: LogicalPlan,
        tag: &'static str,
        parameters: Vec<ScalarValue>,
    ) -> Result<Outcome> {
        let plan =
            plan.with_param_values(ParamValues::from(parameters)).map_err(fault::of_datafusion)?;
        let frame = self.context.execute_logical_plan(plan).await.map_err(fault::of_datafusion)?;
        if tag != "SELECT" {
            let batches = frame.collect().await.map_err(fault::of_datafusion)?;
            let count = batches
                .first()
                .and_then(|b| b.columns().first())
                .and_then(|c| ScalarValue::try_from_array(c, 0).ok())
                .map_or_else(String::new, |n| format!(" {n}"));
            let tag = if tag == "INSERT 0" { format!("{tag}{count}") } else { tag.to_owned() };
            return Ok(Outcome::Done { tag });
        }
        let stream = frame.execute_stream().await.map_err(fault::of_datafusion)?;
        let columns = prepared.columns.clone().unwrap_or_default();
        Ok(Outcome::Rows { columns: Arc::new(columns), stream, tag: RowsTag::Select })
    }

    fn rows(
        &self,
        prepared: &Arc<Prepared>,
        (schema, batch): (Arc<Schema>, arrow::array::RecordBatch),
        tag: RowsTag,
    ) -> Result<Outcome> {
        let stream = RecordBatchStreamAdapter::new(schema, futures::stream::iter([Ok(batch)]));
        let columns = Arc::new(prepared.columns.clone().unwrap_or_default());
        Ok(Outcome::Rows { columns, stream: Box::pin(stream), tag })
    }

    pub fn transaction_status(&self) -> TransactionStatus {
        self.status
    }

    pub fn begin_implicit(&mut self) {}

    pub async fn commit_implicit(&mut self) -> Result<()> {
        Ok(())
    }

    pub fn fail(&mut self) {
        if self.explicit {
            self.status = TransactionStatus::Failed;
        }
    }

    pub fn take_notices(&mut self) -> Vec<Notice> {
        std::mem::take(&mut self.notices)
    }

    pub fn take_parameter_changes(&mut self) -> Vec<(String, String)> {
        std::mem::take(&mut self.changes)
    }

    pub fn parameter_status(&self) -> Vec<(String, String)> {
        self.settings.iter().map(|(k, v)| (k.clone(), v.clone())).collect()
    }

    pub fn text_options(&self) -> TextOptions {
        TextOptions::default()
    }

    pub fn cancel_token(&self) -> CancelToken {
        self.cancel.clone()
    }
}

fn columns_of(schema: &Schema) -> Result<Vec<OutputColumn>> {
    schema
        .fields()
        .iter()
        .map(|field| {
            let data_type = Type::of_field(field).ok_or_else(|| {
                Error::new(ErrorKind::NotSupported, format!("a result of {}", field.data_type()))
            })?;
            Ok(OutputColumn { name: field.name().clone(), data_type, table: None })
        })
        .collect()
}
