//! Every setting of the process with its unit in its name. Made once at the start, handed down.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use crate::clock::Clock;
use crate::error::{Error, ErrorKind, Result};

const KIB: u64 = 1024;
const MIB: u64 = 1024 * KIB;

/// What the process is started with. `Settings::default()` is right for a laptop.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The data folder.
    pub data: PathBuf,
    /// HOST:PORT of the Postgres protocol; port 0 picks a free one.
    pub listen: String,
    /// What the process may allocate; statements are cancelled before it is reached.
    pub memory_limit_bytes: u64,
    /// Rows of one commit below which they are kept in the log, where a commit costs least, until they are
    /// folded into a file; 0: each commit writes a file of its own.
    pub inline_rows_max: usize,
    /// What operators of one statement may reserve before they spill.
    pub statement_memory_limit_bytes: u64,
    /// Threads that read and write sockets and answer look-ups.
    pub io_threads: usize,
    /// How many threads one statement may keep busy.
    pub query_threads: usize,
    /// The stack of each of those: a statement is copied and dropped there, a debug build takes 17 kB for a
    /// level. Memory is taken only as far as a stack is used.
    pub query_stack_bytes: usize,
    /// The bounds of the Postgres protocol.
    pub wire: WireSettings,
    /// Where everybody reads the time.
    pub clock: Clock,
}

/// The bounds of the Postgres protocol: no client can make the server keep more than these.
#[derive(Clone, Debug)]
pub struct WireSettings {
    /// Clients past start-up; one more gets 53300.
    pub connections_max: usize,
    /// Clients in start-up; one more throws the oldest of them out.
    pub startup_connections_max: usize,
    /// How long start-up may take.
    pub startup_timeout: Duration,
    /// A message before the session began.
    pub startup_message_bytes_max: usize,
    /// Query, Parse, Bind: the message.
    pub message_bytes_max: usize,
    /// Query, Parse: the text in it.
    pub statement_text_bytes_max: usize,
    /// One CopyData message.
    pub copy_data_bytes_max: usize,
    /// Messages without a payload of the user's: Describe, Execute, Close, Sync …
    pub control_message_bytes_max: usize,
    /// Named prepared statements of a session.
    pub statements_max: usize,
    /// The text of a session's prepared statements together.
    pub statement_texts_bytes_max: usize,
    /// Portals of a session.
    pub portals_max: usize,
    /// Replies are written when this much has gathered, and before that only at a flush point.
    pub reply_buffer_bytes: usize,
    /// How much is read ahead while a statement runs.
    pub read_ahead_bytes: usize,
    /// A session that says nothing outside a transaction is ended after this; zero: never.
    pub idle_timeout: Duration,
    /// A session that says nothing inside a transaction is ended after this; zero: never.
    pub idle_in_transaction_timeout: Duration,
    /// A client that takes nothing of an answer is dropped after this.
    pub write_stall_timeout: Duration,
    /// How long running statements may go on once the server was told to stop.
    pub shutdown_grace: Duration,
    /// When the server ends, whatever still runs.
    pub shutdown_timeout: Duration,
}

impl Default for WireSettings {
    fn default() -> Self {
        WireSettings {
            connections_max: 200,
            startup_connections_max: 64,
            startup_timeout: Duration::from_secs(10),
            startup_message_bytes_max: (16 * KIB) as usize,
            message_bytes_max: (64 * MIB) as usize,
            statement_text_bytes_max: (16 * MIB) as usize,
            copy_data_bytes_max: (16 * MIB) as usize,
            control_message_bytes_max: (64 * KIB) as usize,
            statements_max: 4096,
            statement_texts_bytes_max: (64 * MIB) as usize,
            portals_max: 256,
            reply_buffer_bytes: (64 * KIB) as usize,
            read_ahead_bytes: (256 * KIB) as usize,
            idle_timeout: Duration::ZERO,
            idle_in_transaction_timeout: Duration::from_secs(300),
            write_stall_timeout: Duration::from_secs(60),
            shutdown_grace: Duration::from_secs(2),
            shutdown_timeout: Duration::from_millis(4_500),
        }
    }
}

/// The least with which statements run: below it, each would be refused for want of memory.
const MEMORY_MIN: u64 = 64 * MIB;

impl Default for Settings {
    fn default() -> Self {
        let memory_limit_bytes = crate::memory::machine_bytes().map_or(2048 * MIB, |all| all / 4);
        let cores = std::thread::available_parallelism().map_or(2, usize::from);
        Settings {
            data: PathBuf::from("asofdb-data"),
            listen: "127.0.0.1:5433".to_owned(),
            memory_limit_bytes,
            inline_rows_max: 8192,
            statement_memory_limit_bytes: memory_limit_bytes / 2,
            io_threads: cores.clamp(1, 8),
            query_threads: cores.max(2),
            query_stack_bytes: (256 * MIB) as usize,
            wire: WireSettings::default(),
            clock: Clock::system(),
        }
    }
}

impl Settings {
    /// Threads that plan and run statements. There are more than one statement uses, because one that
    /// computes for long between two rows gives its threads back late: the system shares the cores
    /// among threads, and a new statement finds a free one.
    pub fn query_workers(&self) -> usize {
        self.query_threads * 4 + 16
    }

    /// Bounds the process; one statement may reserve half of it.
    ///
    /// # Errors
    /// InvalidValue for less than works.
    pub fn with_memory_limit(mut self, limit: Bytes) -> Result<Self> {
        if limit.0 < MEMORY_MIN {
            let message = format!("a memory limit of {} bytes is too little", limit.0);
            return Err(Error::new(ErrorKind::InvalidValue, message)
                .hint(format!("give it {}MB at least", MEMORY_MIN / MIB)));
        }
        self.memory_limit_bytes = limit.0;
        self.statement_memory_limit_bytes = limit.0 / 2;
        Ok(self)
    }
}

/// A number of bytes as people write it: `4096`, `512kB`, `512MB`, `2GiB`. As in PostgreSQL every
/// unit is a power of 1024.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Bytes(pub u64);

impl FromStr for Bytes {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let wrong = || {
            Error::new(ErrorKind::InvalidValue, format!("\"{text}\" is not a size"))
                .hint("write a number and a unit: 512MB, 2GiB")
        };
        let text = text.trim();
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let number: u64 = text[..digits].parse().map_err(|_| wrong())?;
        let unit = match text[digits..].trim_start().to_ascii_lowercase().as_str() {
            "" | "b" => 1,
            "k" | "kb" | "kib" => KIB,
            "m" | "mb" | "mib" => MIB,
            "g" | "gb" | "gib" => 1024 * MIB,
            "t" | "tb" | "tib" => 1024 * 1024 * MIB,
            _ => return Err(wrong()),
        };
        number.checked_mul(unit).map(Bytes).ok_or_else(wrong)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_as_people_write_them() {
        let read = |text: &str| text.parse::<Bytes>().map(|bytes| bytes.0);
        assert_eq!(read("4096").unwrap(), 4096);
        assert_eq!(read("512MB").unwrap(), 512 * MIB);
        assert_eq!(read("512 mib").unwrap(), 512 * MIB);
        assert_eq!(read("2GiB").unwrap(), 2048 * MIB);
        assert_eq!(read("64kB").unwrap(), 64 * KIB);
        for wrong in ["", "MB", "1.5GB", "2 XB", "-1", "99999999999TB", "１MB"] {
            assert_eq!(read(wrong).unwrap_err().kind(), ErrorKind::InvalidValue, "{wrong}");
        }
    }
}
