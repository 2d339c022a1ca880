//! Who reads what: open snapshots keep alive what they may still ask for.
//!
//! A [`Guard`] names the commit that its snapshot stands on, which expiry takes for one more root, and
//! the era it began in: a file that was replaced goes only when every guard of an earlier era is gone,
//! since such a reader may have been told of the file and not opened it yet.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::spec::CommitId;

/// The open snapshots of a store.
#[derive(Default)]
pub(super) struct Readers(Mutex<Open>);

#[derive(Default)]
struct Open {
    era: u64,
    /// How many guards there are, by era and commit.
    guards: BTreeMap<(u64, CommitId), usize>,
}

/// Keeps a commit readable while it lives.
pub(super) struct Guard {
    readers: Arc<Readers>,
    era: u64,
    commit: CommitId,
}

impl Readers {
    /// From now on this commit is read.
    pub fn hold(self: &Arc<Self>, commit: CommitId) -> Arc<Guard> {
        let mut open = self.0.lock();
        let era = open.era;
        *open.guards.entry((era, commit)).or_default() += 1;
        drop(open);
        Arc::new(Guard { readers: Arc::clone(self), era, commit })
    }

    /// Begins an era, after something was replaced, and names it.
    pub fn next_era(&self) -> u64 {
        let mut open = self.0.lock();
        open.era += 1;
        open.era
    }

    /// The era of the oldest guard; a later one than any where there is none.
    pub fn oldest_era(&self) -> u64 {
        let open = self.0.lock();
        open.guards.first_key_value().map_or(open.era + 1, |((era, _), _)| *era)
    }

    /// The commits that are read now, each once.
    pub fn commits(&self) -> Vec<CommitId> {
        let mut commits: Vec<CommitId> = self.0.lock().guards.keys().map(|(_, c)| *c).collect();
        commits.sort_unstable();
        commits.dedup();
        commits
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        let mut open = self.readers.0.lock();
        let at = (self.era, self.commit);
        if let Some(count) = open.guards.get_mut(&at) {
            *count -= 1;
            if *count == 0 {
                open.guards.remove(&at);
            }
        }
    }
}
