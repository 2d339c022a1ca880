//! A line on the terminal that says how far a statement is, once it has run for a second.

use std::io::{IsTerminal, Write};
use std::time::Duration;

use asofdb::activity::{Activity, CopySnapshot};
use tokio::task::JoinHandle;

const INTERVAL: Duration = Duration::from_secs(1);
/// Back to the first column, and nothing behind it.
const CLEAR: &str = "\r\x1b[K";

/// Shown on standard error while it lives, where that is a terminal.
pub(super) struct Progress {
    task: Option<JoinHandle<()>>,
}

impl Progress {
    /// Of the statement that the session of this pid runs.
    pub(super) fn start(list: &Activity, pid: i32) -> Progress {
        if !std::io::stderr().is_terminal() {
            return Progress { task: None };
        }
        let list = list.clone();
        let task = tokio::spawn(async move {
            for seconds in 1.. {
                tokio::time::sleep(INTERVAL).await;
                let sessions = list.sessions();
                let own = sessions.iter().find(|session| session.facts.pid == pid);
                let copying = own.and_then(|session| session.copying);
                eprint!("{CLEAR}{}", line(seconds, copying));
                let _ = std::io::stderr().flush();
            }
        });
        Progress { task: Some(task) }
    }

    /// Takes the line away, before anything else is printed.
    pub(super) fn end(&mut self) {
        if let Some(task) = self.task.take() {
            task.abort();
            eprint!("{CLEAR}");
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.end();
    }
}

fn line(seconds: u64, copying: Option<CopySnapshot>) -> String {
    let Some(copy) = copying else { return format!("running for {seconds} s") };
    let word = if copy.facts.from { "COPY FROM" } else { "COPY TO" };
    let rate = copy.rows / seconds.max(1);
    let part = match copy.facts.bytes_total {
        0 => String::new(),
        all => format!(" of {} ({} %)", megabytes(all), copy.bytes.saturating_mul(100) / all),
    };
    let bytes = megabytes(copy.bytes);
    format!("{word}: {} rows, {bytes}{part}, {seconds} s, {rate} rows/s", copy.rows)
}

fn megabytes(bytes: u64) -> String {
    format!("{:.1} MB", bytes as f64 / f64::from(1 << 20))
}

#[cfg(test)]
mod tests {
    use asofdb::activity::CopyFacts;

    use super::*;

    #[test]
    fn a_copy_tells_how_much_is_done() {
        let facts = CopyFacts { from: true, file: true, table: None, bytes_total: 4 << 20 };
        let copy = CopySnapshot { facts, bytes: 1 << 20, rows: 3000 };
        let text = "COPY FROM: 3000 rows, 1.0 MB of 4.0 MB (25 %), 3 s, 1000 rows/s";
        assert_eq!(line(3, Some(copy)), text);
        assert_eq!(line(2, None), "running for 2 s");
    }
}
