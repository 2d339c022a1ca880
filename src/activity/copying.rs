//! How far a COPY has come.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::{Activity, Entry};
use crate::spec::TableId;

/// What does not change while a COPY runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CopyFacts {
    /// COPY FROM rather than COPY TO.
    pub from: bool,
    /// A file of the server's rather than the client.
    pub file: bool,
    /// The table; None for COPY of a query.
    pub table: Option<TableId>,
    /// The size of the file that is read; 0 where nobody knows.
    pub bytes_total: u64,
}

/// A COPY as it was at one instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CopySnapshot {
    /// What it does.
    pub facts: CopyFacts,
    /// Bytes it has taken in or given out.
    pub bytes: u64,
    /// Rows it has taken in or given out.
    pub rows: u64,
}

/// The counters of one COPY.
#[derive(Debug)]
pub(super) struct Progress {
    facts: CopyFacts,
    bytes: AtomicU64,
    rows: AtomicU64,
}

impl Progress {
    pub(super) fn snapshot(&self) -> CopySnapshot {
        CopySnapshot {
            facts: self.facts,
            bytes: self.bytes.load(Ordering::Relaxed),
            rows: self.rows.load(Ordering::Relaxed),
        }
    }
}

/// A COPY that runs: it counts here, the list shows it until this is dropped.
#[derive(Debug)]
pub struct Copying {
    entry: Option<Arc<Entry>>,
    progress: Arc<Progress>,
}

impl Activity {
    /// The session of this pid begins to copy; where there is none, nobody sees the counters.
    pub fn copying(&self, pid: i32, facts: CopyFacts) -> Copying {
        let (bytes, rows) = (AtomicU64::new(0), AtomicU64::new(0));
        let progress = Arc::new(Progress { facts, bytes, rows });
        let entry = self.0.entries.lock().get(&pid).cloned();
        if let Some(entry) = &entry {
            *entry.copying.lock() = Some(Arc::clone(&progress));
        }
        Copying { entry, progress }
    }
}

impl Copying {
    /// Counts bytes.
    pub fn add_bytes(&self, bytes: usize) {
        self.progress.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Counts rows.
    pub fn add_rows(&self, rows: usize) {
        self.progress.rows.fetch_add(rows as u64, Ordering::Relaxed);
    }
}

impl Drop for Copying {
    fn drop(&mut self) {
        let Some(entry) = &self.entry else { return };
        let mut shown = entry.copying.lock();
        // A cancelled COPY may end after the next one has begun.
        if shown.as_ref().is_some_and(|progress| Arc::ptr_eq(progress, &self.progress)) {
            *shown = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::SessionFacts;
    use super::*;

    #[test]
    fn a_copy_is_shown_while_it_runs() {
        let activity = Activity::default();
        let session = activity.register(SessionFacts::default(), "psql");
        let facts = CopyFacts { from: true, file: false, table: Some(TableId(7)), bytes_total: 0 };
        let first = activity.copying(session.pid(), facts);
        first.add_bytes(100);
        first.add_rows(3);
        let shown = || activity.sessions()[0].copying;
        assert_eq!(shown(), Some(CopySnapshot { facts, bytes: 100, rows: 3 }));
        let second = activity.copying(session.pid(), facts);
        drop(first);
        assert_eq!(shown().map(|copy| copy.rows), Some(0), "the second is shown, not the first");
        drop(second);
        assert_eq!(shown(), None);
    }
}
