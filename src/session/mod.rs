//! One client: its branch, its transaction, its settings; text in, results out.
//!
//! [`Database`] opens a folder and makes sessions. [`Session::parse`] reads a text,
//! [`Session::prepare`] plans a statement far enough to describe it, [`Session::execute`] runs it. A
//! snapshot is picked once a statement, or once a transaction, and handed down; nothing below asks
//! what is current.
//!
//! The room knows nothing of the protocol and writes no rows itself. Start reading at
//! [`Session::execute`].

mod answer;
mod branches;
mod copy;
mod cursor;
mod database;
mod describe;
mod execute;
mod explain;
mod fetch;
mod hints;
mod hooks;
mod locate;
mod lookup;
mod place;
mod prepare;
mod result_columns;
mod set;
mod settings;
mod statements;
mod whole_row;
mod work;
mod writes;

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use datafusion::execution::SendableRecordBatchStream;
use datafusion::execution::session_state::SessionState;
use futures::stream::BoxStream;
use parking_lot::Mutex;

pub use crate::command::copy::CopyPiece;
pub use copy::CopyIn;
pub use database::Database;
pub use prepare::{CursorStatement, Prepared};
pub use statements::Named;
pub use work::TransactionStatus;

use self::answer::Timer;
use self::cursor::Cursors;
use self::hooks::Hooks;
use self::settings::SessionSettings;
use self::statements::Statements;
use self::work::{Base, Work};
use crate::activity::CancelToken;
use crate::error::Result;
use crate::parse::{self, Parsed};
use crate::plan::pg_catalog::types::PgType;
use crate::plan::thread::apart;
use crate::spec::Type;
use crate::spec::text::TextOptions;

/// A text that is read in no time.
const BRIEF_TEXT_BYTES: usize = 32 << 10;

/// Who asks for a session, and how.
#[derive(Clone, Debug)]
pub struct SessionOptions {
    /// The role.
    pub user: String,
    /// `db` or `db@ref`.
    pub database: String,
    /// As the client told.
    pub application_name: String,
    /// Settings given at start-up.
    pub parameters: Vec<(String, String)>,
    /// Stops the running statement.
    pub cancel: CancelToken,
    /// What `pg_backend_pid()` tells.
    pub pid: i32,
}

/// Something the client is told beside the answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// NOTICE, WARNING …
    pub severity: &'static str,
    /// A SQLSTATE.
    pub code: &'static str,
    /// One line.
    pub message: String,
    /// What to do next.
    pub hint: Option<String>,
}

/// One column of a result.
#[derive(Clone, Debug)]
pub struct OutputColumn {
    /// As the client sees it.
    pub name: String,
    /// Its type.
    pub data_type: Type,
    /// The type of PostgreSQL's catalogue that it is shown as: oid, name, "char" …
    pub catalog_type: Option<&'static PgType>,
    /// The table column it is, as (oid, attribute number), where it is one.
    pub table: Option<(u32, i16)>,
}

/// How the end of a result is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RowsTag {
    /// SELECT n
    Select,
    /// FETCH n; the rows of a BINARY cursor go in binary to a client that does not say how.
    Fetch {
        /// Whether it is of a BINARY cursor.
        binary: bool,
    },
    /// This word, and n where PostgreSQL counts: INSERT 0, UPDATE …
    Tagged(&'static str),
}

/// What a statement answers.
pub enum Outcome {
    /// Rows.
    Rows {
        /// Their columns.
        columns: Arc<Vec<OutputColumn>>,
        /// The rows, as they come.
        stream: SendableRecordBatchStream,
        /// How their end is told.
        tag: RowsTag,
    },
    /// No rows.
    Done {
        /// The command tag.
        tag: String,
    },
    /// The client sends rows.
    CopyIn(Box<CopyIn>),
    /// The client receives bytes.
    CopyOut(CopyOut),
    /// There was no statement.
    Empty,
}

impl Outcome {
    /// The columns of its rows.
    fn into_columns(self) -> Option<Vec<OutputColumn>> {
        match self {
            Outcome::Rows { columns, .. } => Some(columns.as_ref().clone()),
            _ => None,
        }
    }
}

/// Bytes of COPY TO STDOUT.
pub struct CopyOut {
    /// How many columns a row has.
    pub columns: usize,
    /// Whether they are bytes rather than text.
    pub binary: bool,
    /// The pieces.
    pub stream: BoxStream<'static, Result<CopyPiece>>,
    /// Rows so far.
    pub rows: Arc<AtomicU64>,
}

/// One client's session.
pub struct Session {
    database: Database,
    user: String,
    connected: String,
    /// Where the session began, and where RESET leads back to.
    home: Base,
    base: Base,
    settings: Arc<Mutex<SessionSettings>>,
    work: Arc<Mutex<Work>>,
    state: Arc<SessionState>,
    hooks: Arc<Hooks>,
    statements: Arc<Mutex<Statements>>,
    cursors: Arc<Mutex<Cursors>>,
    notices: Vec<Notice>,
    cancel: CancelToken,
    pid: i32,
}

impl Drop for Session {
    fn drop(&mut self) {
        self.drop_temporary();
    }
}

impl Session {
    /// Reads a text: its statements, in order.
    ///
    /// # Errors
    /// Syntax, with a position; TooComplex.
    pub fn parse(&self, sql: &str) -> Result<Vec<Arc<Parsed>>> {
        Ok(parse::parse(sql)?.into_iter().map(Arc::new).collect())
    }

    /// As [`Session::parse`]; a long text is read where a cancel and statement_timeout end that.
    ///
    /// # Errors
    /// As [`Session::parse`]; Cancelled and its like.
    pub async fn parse_apart(&self, sql: &str) -> Result<Vec<Arc<Parsed>>> {
        if sql.len() <= BRIEF_TEXT_BYTES {
            return self.parse(sql);
        }
        let cancel = self.cancel.child();
        let _timer = Timer::start(&cancel, self.settings.lock().statement_timeout());
        let text = sql.to_owned();
        let parsed = apart(&cancel, async move { parse::parse(&text) }).await?;
        Ok(parsed.into_iter().map(Arc::new).collect())
    }

    /// What the client is told beside the answers since it was last asked.
    pub fn take_notices(&mut self) -> Vec<Notice> {
        std::mem::take(&mut self.notices)
    }

    /// Settings that clients follow and that changed since it was last asked.
    pub fn take_parameter_changes(&mut self) -> Vec<(String, String)> {
        self.settings.lock().take_changes()
    }

    /// Settings that clients are told when they connect.
    pub fn parameter_status(&self) -> Vec<(String, String)> {
        self.settings.lock().reported()
    }

    /// How values are read from and written as text.
    pub fn text_options(&self) -> TextOptions {
        let now_us = self.work.lock().began_us;
        self.settings.lock().text_options(now_us)
    }

    /// Stops the running statement.
    pub fn cancel_token(&self) -> CancelToken {
        self.cancel.clone()
    }

    fn drop_temporary(&mut self) {
        let temporary = std::mem::take(&mut self.work.lock().temporary);
        temporary.remove_files(self.database.store());
    }

    fn notice(&mut self, message: String) {
        let least = self.settings.lock().get("client_min_messages").unwrap_or_default();
        if !["warning", "error", "fatal", "panic"].contains(&least.to_ascii_lowercase().as_str()) {
            self.notices.push(Notice { severity: "NOTICE", code: "00000", message, hint: None });
        }
    }

    fn warning(&mut self, code: &'static str, message: &str) {
        let least = self.settings.lock().get("client_min_messages").unwrap_or_default();
        if !["error", "fatal", "panic"].contains(&least.to_ascii_lowercase().as_str()) {
            let message = message.to_owned();
            self.notices.push(Notice { severity: "WARNING", code, message, hint: None });
        }
    }
}
