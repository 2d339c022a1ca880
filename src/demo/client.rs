//! A connection as any program would have it: tokio-postgres, nothing of ours.

use std::pin::pin;

use bytes::Bytes;
use futures::{SinkExt, TryStreamExt};
use sha2::{Digest, Sha256};
use tokio_postgres::error::SqlState;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Config, NoTls, Row, SimpleQueryMessage, Statement};

use super::figures::Grid;
use super::teller::Meter;
use crate::error::{Error, ErrorKind, Result};

/// How much of a file goes into one message.
const CHUNK_BYTES: usize = 256 * 1024;

/// One connection.
pub(super) struct Client(tokio_postgres::Client);

/// What came out of a COPY TO, without keeping it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fingerprint {
    /// Lines.
    pub(super) rows: u64,
    /// Bytes.
    pub(super) bytes: u64,
    /// sha256 of all bytes, in hexadecimal.
    pub(super) sha256: String,
}

impl Client {
    /// Connects to a database of a server, such as `main` or `main@tag`.
    ///
    /// # Errors
    /// Internal, with the server's own words.
    pub(super) async fn connect(address: &str, database: &str) -> Result<Client> {
        let what = || format!("cannot connect to {database} at {address}");
        let (host, port) = address.rsplit_once(':').unwrap_or((address, "5433"));
        let mut config = Config::new();
        config.host(host).port(port.parse().unwrap_or(5433)).dbname(database);
        config.user("demo").application_name("asofdb demo");
        let (client, connection) =
            config.connect(NoTls).await.map_err(|error| failed(what(), error))?;
        // Ends with the client; what it would report, the client's own calls report too.
        tokio::spawn(connection);
        let client = Client(client);
        client.run("SET TimeZone = 'UTC'").await?;
        Ok(client)
    }

    /// Runs a statement whose answer does not matter.
    pub(super) async fn run(&self, sql: &str) -> Result<()> {
        self.0.batch_execute(sql).await.map_err(|error| failed(about(sql), error))
    }

    /// Runs a statement and answers how many rows it changed.
    pub(super) async fn change(&self, sql: &str) -> Result<u64> {
        self.0.execute(sql, &[]).await.map_err(|error| failed(about(sql), error))
    }

    /// Runs a statement that must be refused, and answers its SQLSTATE and message.
    ///
    /// # Errors
    /// Internal where it was not refused.
    pub(super) async fn refused(&self, sql: &str) -> Result<(SqlState, String)> {
        match self.0.batch_execute(sql).await {
            Ok(()) => Err(Error::new(ErrorKind::Internal, format!("{} was done", about(sql)))),
            Err(error) => match error.as_db_error() {
                Some(said) => Ok((said.code().clone(), said.message().to_owned())),
                None => Err(failed(about(sql), error)),
            },
        }
    }

    /// The rows of a query as text.
    pub(super) async fn grid(&self, sql: &str) -> Result<Grid> {
        let answer = self.0.simple_query(sql).await.map_err(|error| failed(about(sql), error))?;
        let mut grid = Grid::default();
        for message in &answer {
            match message {
                SimpleQueryMessage::RowDescription(columns) => {
                    grid.names = columns.iter().map(|column| column.name().to_owned()).collect();
                }
                SimpleQueryMessage::Row(row) => {
                    let cells = (0..row.len()).map(|at| row.get(at).map(str::to_owned));
                    grid.rows.push(cells.collect());
                }
                _ => {}
            }
        }
        Ok(grid)
    }

    /// The only row of a query, all of whose columns are bigint.
    ///
    /// # Errors
    /// Internal where it is anything else.
    pub(super) async fn numbers<const N: usize>(&self, sql: &str) -> Result<[i64; N]> {
        let row = self.0.query_one(sql, &[]).await.map_err(|error| failed(about(sql), error))?;
        let mut numbers = [0; N];
        for (at, number) in numbers.iter_mut().enumerate() {
            *number = row.try_get(at).map_err(|error| failed(about(sql), error))?;
        }
        Ok(numbers)
    }

    /// Prepares a statement.
    pub(super) async fn prepare(&self, sql: &str) -> Result<Statement> {
        self.0.prepare(sql).await.map_err(|error| failed(about(sql), error))
    }

    /// The only row of a prepared query.
    pub(super) async fn look_up(&self, statement: &Statement, key: i64) -> Result<Row> {
        let answer = self.0.query_one(statement, &[&key]).await;
        answer.map_err(|error| failed(format!("the look-up of {key} failed"), error))
    }

    /// Runs a prepared statement that changes rows.
    pub(super) async fn execute(
        &self,
        statement: &Statement,
        parameters: &[&(dyn ToSql + Sync)],
    ) -> Result<u64> {
        let answer = self.0.execute(statement, parameters).await;
        answer.map_err(|error| failed("a prepared statement failed".to_owned(), error))
    }

    /// COPY FROM STDIN of a whole file; answers how many rows the server took.
    pub(super) async fn copy_file(
        &self,
        sql: &str,
        file: &'static [u8],
        meter: &Meter,
    ) -> Result<u64> {
        let fail = |error| failed(about(sql), error);
        let mut sink = pin!(self.0.copy_in(sql).await.map_err(fail)?);
        for chunk in file.chunks(CHUNK_BYTES) {
            sink.send(Bytes::from_static(chunk)).await.map_err(fail)?;
            meter.add(chunk.len() as u64);
        }
        sink.finish().await.map_err(fail)
    }

    /// COPY FROM STDIN that only ends by an error: `lines` makes the next piece, and how many lines
    /// that is.
    pub(super) async fn copy_forever(
        &self,
        sql: &str,
        mut lines: impl FnMut() -> (Bytes, u64),
        meter: &Meter,
    ) -> Result<()> {
        let fail = |error| failed(about(sql), error);
        let mut sink = pin!(self.0.copy_in(sql).await.map_err(fail)?);
        loop {
            let (piece, count) = lines();
            sink.send(piece).await.map_err(fail)?;
            meter.add(count);
        }
    }

    /// COPY TO STDOUT: hands every piece to `take`.
    pub(super) async fn copy_out(
        &self,
        sql: &str,
        meter: &Meter,
        mut take: impl FnMut(&[u8]),
    ) -> Result<()> {
        let fail = |error| failed(about(sql), error);
        let mut pieces = pin!(self.0.copy_out(sql).await.map_err(fail)?);
        while let Some(piece) = pieces.try_next().await.map_err(fail)? {
            meter.add(piece.len() as u64);
            take(&piece);
        }
        Ok(())
    }

    /// The fingerprint of a COPY TO STDOUT whose rows are lines.
    pub(super) async fn fingerprint(&self, sql: &str, meter: &Meter) -> Result<Fingerprint> {
        let (mut digest, mut rows, mut bytes) = (Sha256::new(), 0, 0);
        self.copy_out(sql, meter, |piece| {
            digest.update(piece);
            rows += piece.iter().filter(|byte| **byte == b'\n').count() as u64;
            bytes += piece.len() as u64;
        })
        .await?;
        let sha256 = digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(Fingerprint { rows, bytes, sha256 })
    }
}

impl Fingerprint {
    /// The first characters of the checksum: enough to compare by eye.
    pub(super) fn short(&self) -> &str {
        self.sha256.get(..16).unwrap_or(&self.sha256)
    }
}

fn about(sql: &str) -> String {
    let said = sql.lines().find(|line| !line.starts_with("--")).unwrap_or(sql);
    format!("the demo's statement \"{}\" failed", said.trim_end_matches(';'))
}

fn failed(what: String, error: tokio_postgres::Error) -> Error {
    let Some(said) = error.as_db_error() else {
        return Error::new(ErrorKind::Internal, what).caused_by(error);
    };
    let message = format!("{what}: {} ({})", said.message(), said.code().code());
    let mut failed = Error::new(ErrorKind::Internal, message);
    if let Some(detail) = said.detail() {
        failed = failed.detail(detail);
    }
    match said.hint() {
        Some(hint) => failed.hint(hint),
        None => failed,
    }
}
