//! What a table was when: the states it went through on a branch, and the commits that made them.

use super::Store;
use super::snapshot::Snapshot;
use crate::error::Result;
use crate::log::{ancestry, refs};
use crate::spec::{
    Commit, CommitId, CommitKind, RefKind, ReflogAction, ReflogEntry, TableId, VersionId,
};

/// Every state of a table on a branch, oldest first.
#[derive(Clone, Debug, Default)]
pub struct TableHistory {
    /// Where rows changed.
    pub steps: Vec<TableStep>,
    /// The state it is in; upkeep may have moved rows since the last step.
    pub last: Option<VersionId>,
    /// What was there before this time has expired; None where nothing has.
    pub floor_us: Option<i64>,
}

/// A change of a table from one of its states to the next.
#[derive(Clone, Debug)]
pub struct TableStep {
    /// The commit that is shown from then on.
    pub commit: CommitId,
    /// Since when: µs since 1970-01-01 UTC.
    pub time_us: i64,
    /// The state before; None where the table was not there.
    pub old: Option<VersionId>,
    /// The state after; None where the table is not there any more.
    pub new: Option<VersionId>,
}

/// How a commit lies to a snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Behind {
    /// In its past.
    Yes,
    /// Ahead, or on another line.
    No,
    /// Nobody can tell: of the snapshot's past this is the oldest commit that can be read.
    Expired(CommitId),
}

impl Store {
    /// The commits behind a snapshot that changed a table, oldest first, down to one commit or to the
    /// oldest at which the table can be read.
    ///
    /// # Errors
    /// Those of reading the log.
    pub fn table_commits(
        &self,
        from: &Snapshot,
        table: TableId,
        oldest: CommitId,
    ) -> Result<Vec<(Commit, TableStep)>> {
        let mut found = Vec::new();
        self.history(from, |commit| {
            let is_kept = commit.id == from.commit() || self.shows_table(commit.id, table)?;
            if commit.id < oldest || !is_kept {
                return Ok(false);
            }
            if let Some(step) = step_of(commit, table)
                && commit.kind != CommitKind::Maintain
            {
                found.push((commit.clone(), step));
            }
            Ok(true)
        })?;
        found.reverse();
        Ok(found)
    }

    /// Whether a commit lies behind a snapshot, as far as a table can be read.
    ///
    /// # Errors
    /// Those of reading the log.
    pub fn behind(&self, at: &Snapshot, table: TableId, commit: CommitId) -> Result<Behind> {
        let (mut oldest, mut is_first) = (at.commit(), false);
        self.history(at, |walked| {
            if walked.id != at.commit() && !self.shows_table(walked.id, table)? {
                return Ok(false);
            }
            (oldest, is_first) = (walked.id, walked.parent.is_none());
            Ok(walked.id > commit)
        })?;
        Ok(match oldest {
            oldest if oldest == commit => Behind::Yes,
            oldest if oldest > commit && !is_first => Behind::Expired(oldest),
            _ => Behind::No,
        })
    }

    /// The states of a table that a snapshot's branch showed, each since when: by the reflog, so that
    /// what was rolled back is among them. A tag or a commit has its own past. Where the past has
    /// expired, the first state is the oldest that can be read, since its commit.
    ///
    /// # Errors
    /// Those of reading the log.
    pub fn table_history(&self, at: &Snapshot, table: TableId) -> Result<TableHistory> {
        let mut moves = self.moves_up_to(at)?;
        while let Some(first) = moves.first()
            && !self.shows_table(first.commit, table)?
        {
            moves.remove(0);
        }
        let origin = moves.first().map_or(at.commit(), |made| made.commit);
        let (mut commits, mut oldest) = (Vec::new(), None);
        self.history(&self.snapshot_of(origin)?, |commit| {
            if commit.id != origin && !self.shows_table(commit.id, table)? {
                return Ok(false);
            }
            commits.push((commit.kind, step_of(commit, table)));
            oldest = Some((commit.id, commit.time_us, commit.parent.is_none()));
            Ok(true)
        })?;
        let mut states = States { store: self, table, found: TableHistory::default() };
        if let Some((commit, time_us, false)) = oldest {
            states.begin(commit, time_us)?;
        }
        for (kind, step) in commits.into_iter().rev() {
            if let Some(step) = step {
                states.show(kind, step.commit, step.time_us, step.new);
            }
        }
        for moved in moves.iter().skip(1) {
            states.follow(moved)?;
        }
        let floor_us = self.floor_us_of(at, table)?;
        states.found.floor_us = states.found.floor_us.max(floor_us);
        Ok(states.found)
    }

    /// The floor of a table on a snapshot's branch, as a time.
    fn floor_us_of(&self, at: &Snapshot, table: TableId) -> Result<Option<i64>> {
        let Some((name, RefKind::Branch)) = at.reference() else { return Ok(None) };
        let branch = refs::get(&self.shared.log.read()?, refs::DATABASE, name)?;
        let floors = self.shared.floors.read();
        Ok(branch.and_then(|branch| floors.of(branch.id, table)).map(|floor| floor.time_us))
    }

    /// The moves of a snapshot's branch, up to the one that led to it.
    fn moves_up_to(&self, at: &Snapshot) -> Result<Vec<ReflogEntry>> {
        let Some((name, RefKind::Branch)) = at.reference() else { return Ok(Vec::new()) };
        let branch = refs::get(&self.shared.log.read()?, refs::DATABASE, name)?;
        let mut moves = branch.map_or(Ok(Vec::new()), |branch| self.reflog(&branch))?;
        if let Some(last) = moves.iter().rposition(|moved| moved.commit == at.commit()) {
            moves.truncate(last + 1);
        }
        Ok(moves)
    }
}

fn step_of(commit: &Commit, table: TableId) -> Option<TableStep> {
    let change = commit.changes.iter().find(|change| change.table == table)?;
    Some(TableStep { commit: commit.id, time_us: commit.time_us, old: change.old, new: change.new })
}

/// A walk along a branch.
struct States<'a> {
    store: &'a Store,
    table: TableId,
    found: TableHistory,
}

impl States<'_> {
    fn show(&mut self, kind: CommitKind, commit: CommitId, time_us: i64, new: Option<VersionId>) {
        let old = std::mem::replace(&mut self.found.last, new);
        if old != new && kind != CommitKind::Maintain {
            self.found.steps.push(TableStep { commit, time_us, old, new });
        }
    }

    /// What was there when the past that is kept begins.
    fn begin(&mut self, commit: CommitId, time_us: i64) -> Result<()> {
        let new = self.state_at(commit)?;
        self.show(CommitKind::Overwrite, commit, time_us, new);
        self.found.floor_us = Some(time_us);
        Ok(())
    }

    fn state_at(&self, commit: CommitId) -> Result<Option<VersionId>> {
        let there = self.store.snapshot_of(commit)?.table_by_id(self.table)?;
        Ok(there.and_then(|table| table.version().map(|v| v.id)))
    }

    fn follow(&mut self, moved: &ReflogEntry) -> Result<()> {
        let found = ancestry::find(&self.store.shared.log.read()?, moved.commit)?;
        let Some(commit) = found else { return Ok(()) };
        match (moved.action, step_of(&commit, self.table)) {
            (ReflogAction::Commit, Some(step)) => {
                self.show(commit.kind, commit.id, moved.time_us, step.new);
            }
            (ReflogAction::Commit, None) => {}
            _ => {
                let new = self.state_at(commit.id)?;
                // However the branch got there, rows may differ.
                self.show(CommitKind::Overwrite, commit.id, moved.time_us, new);
            }
        }
        Ok(())
    }
}
