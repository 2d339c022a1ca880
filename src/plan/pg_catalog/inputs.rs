//! Everything the system tables tell, as plain values.

use std::sync::Arc;

use crate::activity::CopySnapshot;
use crate::spec::{Sequence, TableSchema, Type, View};

/// What one session sees.
#[derive(Clone, Debug, Default)]
pub struct CatalogInputs {
    /// The name the session connected to.
    pub database: String,
    /// The role, which owns everything and may do everything.
    pub user: String,
    /// All schemas, `public` among them; the two system schemas need not be.
    pub namespaces: Vec<String>,
    /// What was said of schemas, by name.
    pub namespace_comments: Vec<(String, String)>,
    /// The session's search path, without the implicit `pg_catalog`.
    pub search_path: Vec<String>,
    /// Tables of the snapshot.
    pub tables: Vec<TableFacts>,
    /// Views of the snapshot.
    pub views: Vec<ViewFacts>,
    /// Sequences of the snapshot.
    pub sequences: Vec<SequenceFacts>,
    /// Every setting, with the session's value.
    pub settings: Vec<Setting>,
    /// What every session does now, this one included.
    pub activity: Vec<Activity>,
    /// The session's prepared statements.
    pub prepared: Vec<PreparedFacts>,
    /// The session's cursors.
    pub cursors: Vec<CursorFacts>,
}

/// A table and what is known about its rows.
#[derive(Clone, Debug)]
pub struct TableFacts {
    /// Its shape.
    pub schema: Arc<TableSchema>,
    /// How many rows, if known.
    pub rows: Option<u64>,
    /// Bytes on disk.
    pub bytes: u64,
    /// COMMENT ON TABLE.
    pub comment: Option<String>,
}

/// A view and the columns it had when it was made.
#[derive(Clone, Debug)]
pub struct ViewFacts {
    /// Its name and text.
    pub view: Arc<View>,
    /// Names and types.
    pub columns: Vec<(String, Type)>,
}

/// A sequence and where it stands.
#[derive(Clone, Debug)]
pub struct SequenceFacts {
    /// How it counts.
    pub sequence: Arc<Sequence>,
    /// The value given out last, if one was.
    pub last_value: Option<i64>,
}

/// One row of `pg_settings`.
#[derive(Clone, Debug, Default)]
pub struct Setting {
    /// As `SHOW` knows it.
    pub name: String,
    /// The session's value, as text.
    pub value: String,
    /// The value at start-up, as text.
    pub default: String,
    /// `ms`, `kB` …
    pub unit: Option<String>,
    /// One line.
    pub description: String,
}

/// One row of `pg_stat_activity`. Times are µs since 1970-01-01 UTC.
#[derive(Clone, Debug, Default)]
pub struct Activity {
    /// What `pg_cancel_backend` takes.
    pub pid: i32,
    /// The role.
    pub user: String,
    /// The name the session connected to.
    pub database: String,
    /// As the client told.
    pub application_name: String,
    /// None for a Unix socket.
    pub client_address: Option<(String, u16)>,
    /// Whether the connection is encrypted.
    pub ssl: bool,
    /// `active`, `idle`, `idle in transaction` …
    pub state: String,
    /// The running or the last statement.
    pub query: String,
    /// When the session began.
    pub backend_start_us: i64,
    /// When its transaction began.
    pub transaction_start_us: Option<i64>,
    /// When its statement began.
    pub query_start_us: Option<i64>,
    /// The COPY it runs.
    pub copying: Option<CopySnapshot>,
}

/// One row of `pg_cursors`.
#[derive(Clone, Debug)]
pub struct CursorFacts {
    /// Its name.
    pub name: String,
    /// The statement that declared it.
    pub statement: String,
    /// WITH HOLD.
    pub hold: bool,
    /// BINARY.
    pub binary: bool,
    /// SCROLL.
    pub scroll: bool,
    /// When it was declared, µs since 1970-01-01 UTC.
    pub created_us: i64,
}

/// One row of `pg_prepared_statements`.
#[derive(Clone, Debug)]
pub struct PreparedFacts {
    /// Its name.
    pub name: String,
    /// Its text.
    pub statement: String,
    /// The types of its parameters.
    pub parameters: Vec<Type>,
    /// When it was prepared, µs since 1970-01-01 UTC.
    pub prepared_us: i64,
    /// Whether by PREPARE rather than by the protocol.
    pub from_sql: bool,
}
