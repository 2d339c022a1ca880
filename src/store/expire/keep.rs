//! The commits that stay, and of which tables: the rule of [`crate::store::floors`], for all at once.

use std::collections::{HashMap, HashSet};

use crate::error::Result;
use crate::log::floors::ALL_TABLES;
use crate::log::{Records, Space, ancestry, key, refs};
use crate::spec::{Commit, CommitId, Ref, RefKind, TableId};
use crate::store::floors::{Floors, is_about, stations};

/// What can be read.
pub(in crate::store) struct Kept {
    /// Commits that show every table, those in `own` aside.
    whole: HashSet<CommitId>,
    /// Of tables with floors or refs of their own the commits that show them.
    own: HashMap<TableId, HashSet<CommitId>>,
}

impl Kept {
    pub fn read(records: &impl Records, floors: &Floors) -> Result<Kept> {
        let refs = refs::list(records, refs::DATABASE)?;
        let mut tables = floors.tables();
        tables.extend(refs.iter().filter_map(Ref::table));
        // A commit that was made on a branch of one table may be nobody's by now.
        let mut only = HashSet::new();
        let mut commits = Vec::new();
        records.scan(Space::Commits, &key([0]), &[0xff; 9], &mut |_, value| {
            let commit = Commit::decode(value)?;
            only.extend(commit.only);
            commits.push((commit.id, commit.only));
            Ok(true)
        })?;
        tables.extend(only);
        let walk = Walk { floors, refs, commits };
        let whole = walk.kept(records, ALL_TABLES)?;
        let mut own = HashMap::new();
        for table in tables {
            own.insert(table, walk.kept(records, table)?);
        }
        Ok(Kept { whole, own })
    }

    /// Every commit that shows anything.
    pub fn commits(&self) -> HashSet<CommitId> {
        self.own.values().flatten().chain(&self.whole).copied().collect()
    }

    /// Whether a commit shows every table, those of [`Kept::own`] aside.
    pub fn is_whole(&self, commit: CommitId) -> bool {
        self.whole.contains(&commit)
    }

    /// Of tables with floors or refs of their own the commits that show them.
    pub fn own(&self) -> &HashMap<TableId, HashSet<CommitId>> {
        &self.own
    }

    /// Whether every commit shows all of its tables.
    pub fn is_uniform(&self) -> bool {
        self.own.is_empty()
    }

    pub fn shows(&self, commit: CommitId, table: TableId) -> bool {
        self.own.get(&table).unwrap_or(&self.whole).contains(&commit)
    }
}

struct Walk<'a> {
    floors: &'a Floors,
    refs: Vec<Ref>,
    /// Every commit, and the table it is of alone.
    commits: Vec<(CommitId, Option<TableId>)>,
}

impl Walk<'_> {
    /// The commits that show one table, or [`ALL_TABLES`].
    fn kept(&self, records: &impl Records, table: TableId) -> Result<HashSet<CommitId>> {
        let highest = self.floors.highest(table);
        let recent = self
            .commits
            .iter()
            .filter(|(id, only)| *id >= highest && only.is_none_or(|only| only == table));
        let mut kept: HashSet<CommitId> = recent.map(|(id, _)| *id).collect();
        for target in self.refs.iter().filter(|target| is_about(target, table)) {
            kept.insert(target.commit);
            if target.kind == RefKind::Tag {
                continue;
            }
            let floor = self.floors.of(target.id, table);
            let lowest = floor.map_or(CommitId(0), |floor| floor.commit);
            let mut at = Some(target.commit).filter(|id| *id >= lowest);
            while let Some(id) = at {
                let Some(commit) = ancestry::find(records, id)? else { break };
                kept.insert(id);
                at = commit.parent.filter(|parent| *parent >= lowest);
            }
            kept.extend(stations(records, target.id, floor.map_or(0, |floor| floor.time_us))?);
        }
        Ok(kept)
    }
}
