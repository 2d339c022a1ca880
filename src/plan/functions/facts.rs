//! What functions know about the session that calls them.

use std::fmt;
use std::sync::Arc;

use chrono_tz::Tz;

use crate::error::Result;
use crate::plan::pg_catalog::Catalog;
use crate::spec::Sequence;
use crate::spec::text::{DateOrder, TextOptions};

/// The session, as its functions tell it.
pub struct SessionFacts {
    /// `current_user` and `session_user`.
    pub user: String,
    /// `current_database()`.
    pub database: String,
    /// `pg_backend_pid()`.
    pub pid: i32,
    /// PostgreSQL's version that we answer for, such as `16.4`.
    pub server_version: String,
    /// Our own name and version, such as `AsofDB 0.1.0`.
    pub product: String,
    /// When the server began, µs since 1970-01-01 UTC.
    pub server_start_us: i64,
    /// The server's end of the connection; None for a Unix socket.
    pub server_address: Option<(String, u16)>,
    /// The client's end.
    pub client_address: Option<(String, u16)>,
    /// What one call of a function may make for all rows of a batch.
    pub call_bytes_max: u64,
    /// What changes while the session lives.
    pub hooks: Arc<dyn SessionHooks>,
}

/// Three readings of the clock, µs since 1970-01-01 UTC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Times {
    /// When the transaction began: `now()`.
    pub transaction_us: i64,
    /// When the statement came.
    pub statement_us: i64,
    /// This moment.
    pub clock_us: i64,
}

/// How a function names a sequence.
#[derive(Clone, Copy, Debug)]
pub enum SequenceName<'a> {
    /// As SQL would write it.
    Text(&'a str),
    /// By its number.
    Oid(u32),
}

/// What functions ask the session for, or ask it to do. Called on DataFusion's threads.
pub trait SessionHooks: Send + Sync {
    /// The catalogue of the statement's snapshot.
    fn catalog(&self) -> Arc<Catalog>;
    /// A setting's value as SHOW gives it; None if there is no such setting.
    fn setting(&self, name: &str) -> Option<String>;
    /// `SET [LOCAL]`; returns the value it has then.
    fn set_setting(&self, name: &str, value: &str, local: bool) -> Result<String>;
    /// The clock.
    fn times(&self) -> Times;
    /// The commit that the statement reads, or the one its branch showed at a time (µs since
    /// 1970-01-01 UTC).
    fn commit(&self, time_us: Option<i64>) -> Result<u64>;
    /// The number of the transaction, given it if it has none.
    fn transaction_id(&self) -> u64;
    /// The sequence of a name or an oid.
    fn sequence(&self, named: SequenceName<'_>) -> Result<Arc<Sequence>>;
    /// `nextval()`.
    fn next_value(&self, sequence: &Sequence) -> Result<i64>;
    /// `setval()`.
    fn set_value(&self, sequence: &Sequence, value: i64, called: bool) -> Result<()>;
    /// `currval()`, and without a sequence `lastval()`: what this session was given last.
    fn current_value(&self, sequence: Option<&Sequence>) -> Result<i64>;
    /// Cancels what another session does, or ends the session; whether there is such a session.
    fn signal(&self, pid: i32, terminate: bool) -> Result<bool>;
}

impl SessionFacts {
    /// How the session reads and writes values.
    pub fn text_options(&self) -> TextOptions {
        let setting = |name| self.hooks.setting(name).unwrap_or_default().to_ascii_uppercase();
        let date_order = match setting("DateStyle") {
            style if style.contains("DMY") => DateOrder::Dmy,
            style if style.contains("YMD") => DateOrder::Ymd,
            _ => DateOrder::Mdy,
        };
        let extra_float_digits = setting("extra_float_digits").parse().unwrap_or(1);
        let now_us = Some(self.hooks.times().transaction_us);
        TextOptions { time_zone: self.time_zone(), extra_float_digits, date_order, now_us }
    }

    /// The session's time zone, UTC where the setting names none we know.
    pub fn time_zone(&self) -> Tz {
        let named = self.hooks.setting("TimeZone").and_then(|name| name.parse().ok());
        named.unwrap_or(Tz::UTC)
    }
}

impl fmt::Debug for SessionFacts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionFacts")
            .field("user", &self.user)
            .field("database", &self.database)
            .field("pid", &self.pid)
            .finish_non_exhaustive()
    }
}
