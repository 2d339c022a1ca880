//! One connection of a file: statements in, rows as text out.

use std::fmt;

use asofdb::error::{Error, ErrorKind};
use asofdb::fault;
use asofdb::session::{CopyOut, Outcome, OutputColumn, Session};
use asofdb::spec::Type;
use asofdb::spec::text::{TextFormatter, TextOptions};
use async_trait::async_trait;
use datafusion::execution::SendableRecordBatchStream;
use futures::StreamExt;
use sqllogictest::{AsyncDB, DBOutput, DefaultColumnType};
use tokio_postgres::{Client, NoTls, SimpleQueryMessage};

use super::house::{House, Mode};

type Output = DBOutput<DefaultColumnType>;

/// Statements after which a session has what a new one would not.
const KEEPERS: [&str; 7] = ["set", "use", "prepare", "declare", "listen", "reset", "discard"];

/// Somebody with a session.
pub(super) enum Person {
    Guest { house: House, id: u64 },
    Client { house: House, client: Client },
}

impl Person {
    pub(super) async fn arrive(house: House) -> Result<Self, Failure> {
        match house.mode() {
            Mode::Wire => Person::connect(house).await,
            Mode::Embedded | Mode::Reopened => {
                let id = house.enter().await?;
                Ok(Person::Guest { house, id })
            }
        }
    }

    async fn connect(house: House) -> Result<Self, Failure> {
        let config = format!(
            "host=127.0.0.1 port={} user=ann dbname=main application_name=slt",
            house.port()
        );
        let (client, connection) = tokio_postgres::connect(&config, NoTls).await?;
        tokio::spawn(connection);
        Ok(Person::Client { house, client })
    }
}

#[async_trait]
impl AsyncDB for Person {
    type Error = Failure;
    type ColumnType = DefaultColumnType;

    async fn run(&mut self, sql: &str) -> Result<Output, Failure> {
        match self {
            Person::Guest { house, id } => {
                house.perhaps_reopen().await;
                house.tick();
                let mut rooms = house.rooms().await;
                let guest = rooms.session(*id);
                let first = sql.trim_start().split(|c: char| !c.is_alphabetic()).next();
                let first = first.unwrap_or_default().to_ascii_lowercase();
                guest.keeps_state |= KEEPERS.contains(&first.as_str())
                    || sql.to_ascii_lowercase().contains("create temp");
                guest.activity.cancel_token().reset();
                let output = execute(&mut guest.session, sql).await;
                if output.is_err() {
                    guest.session.fail();
                }
                Ok(output?)
            }
            Person::Client { house, client } => {
                house.tick();
                Ok(of_messages(client.simple_query(sql).await?))
            }
        }
    }

    async fn shutdown(&mut self) {
        if let Person::Guest { house, id } = self {
            house.rooms().await.leave(*id);
        }
    }

    fn error_sql_state(failure: &Failure) -> Option<String> {
        Some(failure.sqlstate.clone())
    }
}

// ---------------------------------------------------------------- in this process

async fn execute(session: &mut Session, sql: &str) -> Result<Output, Error> {
    let mut output = DBOutput::StatementComplete(0);
    for parsed in session.parse(sql)? {
        let prepared = session.prepare(parsed, &[]).await?;
        if !prepared.parameters.is_empty() {
            return Err(Error::new(ErrorKind::UndefinedParameter, "there is no parameter $1"));
        }
        output = match session.execute(&prepared, Vec::new()).await? {
            Outcome::Rows { columns, stream, .. } => {
                rows(&columns, stream, &session.text_options()).await?
            }
            Outcome::Done { tag } => DBOutput::StatementComplete(count_of(&tag)),
            Outcome::CopyOut(copy) => lines(copy).await?,
            Outcome::CopyIn(copy) => DBOutput::StatementComplete(count_of(&copy.finish().await?)),
            Outcome::Empty => DBOutput::StatementComplete(0),
        };
    }
    Ok(output)
}

async fn rows(
    columns: &[OutputColumn],
    mut stream: SendableRecordBatchStream,
    options: &TextOptions,
) -> Result<Output, Error> {
    let mut rows = Vec::new();
    while let Some(batch) = stream.next().await {
        let batch = batch.map_err(fault::of_datafusion)?;
        let formatters = columns
            .iter()
            .zip(batch.columns())
            .map(|(column, array)| TextFormatter::new(&column.data_type, array, options))
            .collect::<Result<Vec<_>, _>>()?;
        for row in 0..batch.num_rows() {
            rows.push(formatters.iter().map(|column| cell(column, row)).collect());
        }
    }
    let types = columns.iter().map(|column| kind(&column.data_type)).collect();
    Ok(DBOutput::Rows { types, rows })
}

fn cell(column: &TextFormatter<'_>, row: usize) -> String {
    if column.is_null(row) {
        return shown(None);
    }
    let mut out = Vec::new();
    column.write(row, &mut out);
    shown(Some(std::str::from_utf8(&out).expect("text values are UTF-8")))
}

fn shown(value: Option<&str>) -> String {
    match value {
        None => "NULL".to_owned(),
        Some("") => "(empty)".to_owned(),
        Some(text) => text.to_owned(),
    }
}

fn kind(data_type: &Type) -> DefaultColumnType {
    match data_type {
        Type::Int2 | Type::Int4 | Type::Int8 => DefaultColumnType::Integer,
        Type::Float4 | Type::Float8 | Type::Numeric(_, _) => DefaultColumnType::FloatingPoint,
        Type::Text | Type::Varchar(_) => DefaultColumnType::Text,
        _ => DefaultColumnType::Any,
    }
}

/// What COPY TO STDOUT wrote, a line a row.
async fn lines(mut copy: CopyOut) -> Result<Output, Error> {
    let mut text = Vec::new();
    while let Some(bytes) = copy.stream.next().await {
        text.extend_from_slice(&bytes?.bytes);
    }
    let text = String::from_utf8(text).expect("COPY in text is UTF-8");
    let rows = text.lines().map(|line| vec![line.to_owned()]).collect();
    Ok(DBOutput::Rows { types: vec![DefaultColumnType::Text], rows })
}

/// The number at the end of a command tag.
fn count_of(tag: &str) -> u64 {
    tag.rsplit(' ').next().and_then(|word| word.parse().ok()).unwrap_or(0)
}

// ---------------------------------------------------------------- over the wire

/// The last statement's answer: rows where it had columns, else its count.
fn of_messages(messages: Vec<SimpleQueryMessage>) -> Output {
    let mut output = DBOutput::StatementComplete(0);
    let mut is_described = false;
    for message in messages {
        match message {
            SimpleQueryMessage::RowDescription(columns) => {
                let types = vec![DefaultColumnType::Any; columns.len()];
                output = DBOutput::Rows { types, rows: Vec::new() };
                is_described = true;
            }
            SimpleQueryMessage::Row(row) => {
                let values = (0..row.len()).map(|at| shown(row.get(at))).collect();
                if let DBOutput::Rows { rows, .. } = &mut output {
                    rows.push(values);
                }
            }
            SimpleQueryMessage::CommandComplete(count) if !is_described => {
                output = DBOutput::StatementComplete(count);
            }
            SimpleQueryMessage::CommandComplete(_) => is_described = false,
            _ => {}
        }
    }
    output
}

// ---------------------------------------------------------------- errors

/// An error as a file expects it.
#[derive(Debug)]
pub(super) struct Failure {
    sqlstate: String,
    text: String,
}

impl Failure {
    fn new(sqlstate: &str, message: &str, detail: Option<&str>, hint: Option<&str>) -> Self {
        let mut text = format!("{sqlstate}: {message}");
        for (label, words) in [("DETAIL", detail), ("HINT", hint)] {
            if let Some(words) = words {
                text.push_str(&format!(" ({label}: {words})"));
            }
        }
        Failure { sqlstate: sqlstate.to_owned(), text }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let sqlstate = error.kind().sqlstate();
        Failure::new(sqlstate, &error.to_string(), error.detail_text(), error.hint_text())
    }
}

impl From<tokio_postgres::Error> for Failure {
    fn from(error: tokio_postgres::Error) -> Self {
        match error.as_db_error() {
            Some(db) => Failure::new(db.code().code(), db.message(), db.detail(), db.hint()),
            None => Failure::new("-----", &error.to_string(), None, None),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for Failure {}
