//! Sessions on a database of this process.

use asofdb::activity::{CancelToken, SessionActivity, SessionFacts};
use asofdb::config::Settings;
use asofdb::error::{Error, Result};
use asofdb::fault;
use asofdb::server::query_runtime;
use asofdb::session::{Database, Outcome, Session, SessionOptions};
use asofdb::spec::text::TextFormatter;
use datafusion::common::ScalarValue;
use futures::StreamExt;

use crate::property::home;

/// A session in this process. Outlives no database: the folder is released with the last of them.
pub(super) struct Guest {
    session: Session,
    activity: SessionActivity,
}

/// Rows as text; NULL is `NULL`.
pub(super) type Rows = Vec<Vec<String>>;

impl Guest {
    pub(super) fn arrive(database: &Database) -> Guest {
        Guest::arrive_at(database, "main", &[]).expect("a session")
    }

    /// A session that names its database, and settings, as a client would when it connects.
    pub(super) fn arrive_at(
        database: &Database,
        name: &str,
        parameters: &[(&str, &str)],
    ) -> Result<Guest> {
        let facts = SessionFacts {
            user: "ann".to_owned(),
            database: "main".to_owned(),
            ..SessionFacts::default()
        };
        let activity = database.activity().register(facts, "it");
        let options = SessionOptions {
            user: "ann".to_owned(),
            database: name.to_owned(),
            application_name: "it".to_owned(),
            parameters: parameters.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect(),
            cancel: activity.cancel_token(),
            pid: activity.pid(),
        };
        Ok(Guest { session: database.session(options)?, activity })
    }

    /// Runs statements as the server would run one message each; the last one's rows.
    pub(super) async fn run(&mut self, sql: &str) -> Result<Rows> {
        self.activity.cancel_token().reset();
        let rows = self.try_run(sql).await;
        if rows.is_err() {
            self.session.fail();
        }
        rows
    }

    /// Runs one prepared statement with text for its parameters.
    pub(super) async fn run_with(&mut self, sql: &str, parameters: &[&str]) -> Result<Rows> {
        self.activity.cancel_token().reset();
        let values = parameters.iter().map(|text| ScalarValue::from(*text)).collect();
        let rows = self.try_run_with(sql, values).await;
        if rows.is_err() {
            self.session.fail();
        }
        rows
    }

    /// What another may cancel a statement by.
    pub(super) fn cancel_token(&self) -> CancelToken {
        self.activity.cancel_token()
    }

    /// What the client was told beside the answers since it was last asked.
    pub(super) fn notices(&mut self) -> Vec<String> {
        self.session.take_notices().into_iter().map(|notice| notice.message).collect()
    }

    async fn try_run(&mut self, sql: &str) -> Result<Rows> {
        self.try_run_with(sql, Vec::new()).await
    }

    async fn try_run_with(&mut self, sql: &str, parameters: Vec<ScalarValue>) -> Result<Rows> {
        let mut rows = Vec::new();
        for parsed in self.session.parse(sql)? {
            let prepared = self.session.prepare(parsed, &[]).await?;
            rows = match Box::pin(self.session.execute(&prepared, parameters.clone())).await? {
                Outcome::Rows { columns, mut stream, .. } => {
                    let options = self.session.text_options();
                    let mut rows = Vec::new();
                    while let Some(batch) = stream.next().await {
                        let batch = batch.map_err(fault::of_datafusion)?;
                        let formatters = columns
                            .iter()
                            .zip(batch.columns())
                            .map(|(c, array)| TextFormatter::new(&c.data_type, array, &options))
                            .collect::<Result<Vec<_>>>()?;
                        rows.extend((0..batch.num_rows()).map(|row| {
                            formatters.iter().map(|column| cell(column, row)).collect::<Vec<_>>()
                        }));
                    }
                    rows
                }
                Outcome::Done { tag } => vec![vec![tag]],
                Outcome::CopyOut(mut copy) => {
                    let mut text = Vec::new();
                    while let Some(bytes) = copy.stream.next().await {
                        text.extend_from_slice(&bytes?.bytes);
                    }
                    if copy.binary { Vec::new() } else { copied(&text) }
                }
                Outcome::CopyIn(_) => unreachable!("not asked for here"),
                Outcome::Empty => Vec::new(),
            };
        }
        Ok(rows)
    }

    /// The SQLSTATE of a statement that has to fail.
    pub(super) async fn refused(&mut self, sql: &str) -> &'static str {
        match self.run(sql).await {
            Ok(rows) => panic!("{sql} was not refused but answered {rows:?}"),
            Err(error) => error.kind().sqlstate(),
        }
    }

    /// Runs statements that have to succeed.
    pub(super) async fn must(&mut self, sql: &str) -> Rows {
        self.run(sql).await.unwrap_or_else(|error: Error| panic!("{sql}: {error:?}"))
    }
}

/// A guest of a new database that may use so many bytes, half of them for one statement. Its clock stands at
/// 2026-01-01 00:00:00 UTC.
pub(super) fn visit<T>(bytes: u64, work: impl AsyncFnOnce(Guest) -> T) -> T {
    let (folder, settings) = home(1_767_225_600_000_000);
    let settings =
        Settings { memory_limit_bytes: bytes, statement_memory_limit_bytes: bytes / 2, ..settings };
    query_runtime(&settings).expect("threads").block_on(async {
        let database = Database::open(folder.path(), settings).expect("it opens");
        work(Guest::arrive(&database)).await
    })
}

fn cell(column: &TextFormatter<'_>, row: usize) -> String {
    if column.is_null(row) {
        return "NULL".to_owned();
    }
    let mut out = Vec::new();
    column.write(row, &mut out);
    String::from_utf8(out).expect("text values are UTF-8")
}

/// The rows of COPY in text.
fn copied(text: &[u8]) -> Rows {
    let cell = |field: &str| if field == "\\N" { "NULL".to_owned() } else { field.to_owned() };
    let text = String::from_utf8_lossy(text);
    text.lines().map(|line| line.split('\t').map(cell).collect()).collect()
}
