//! What the database should be: every version whole, in maps.

use std::collections::BTreeMap;

/// (k, v); v is NULL where it was never given.
pub(super) type Row = (i32, i32);

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Table {
    pub(super) keyed: bool,
    /// Sorted.
    pub(super) rows: Vec<Row>,
}

impl Table {
    /// Puts rows in; false, and nothing changes, where a key would be there twice.
    fn replace(&mut self, mut rows: Vec<Row>) -> bool {
        rows.sort_unstable();
        if self.keyed && rows.windows(2).any(|pair| pair[0].0 == pair[1].0) {
            return false;
        }
        self.rows = rows;
        true
    }

    pub(super) fn insert(&mut self, new: impl Iterator<Item = Row>) -> bool {
        let rows = self.rows.iter().copied().chain(new).collect();
        self.replace(rows)
    }

    pub(super) fn map(&mut self, change: impl FnMut(&Row) -> Row) -> bool {
        let rows = self.rows.iter().map(change).collect();
        self.replace(rows)
    }

    pub(super) fn keep(&mut self, keep: impl FnMut(&Row) -> bool) {
        self.rows.retain(keep);
    }
}

/// The whole database at one version.
pub(super) type State = BTreeMap<String, Table>;

/// Where a branch pointed from when on: (µs, commit), oldest first.
pub(super) type Moves = Vec<(i64, u64)>;

/// A transaction block.
#[derive(Debug, Default)]
pub(super) struct Block {
    pub(super) now: State,
    pub(super) savepoints: Vec<State>,
    pub(super) failed: bool,
}

/// The whole history.
#[derive(Debug, Default)]
pub(super) struct Model {
    pub(super) commits: BTreeMap<u64, State>,
    pub(super) branches: BTreeMap<String, Moves>,
    pub(super) tags: BTreeMap<String, u64>,
    /// Parents, by commit; the first has none.
    pub(super) parents: BTreeMap<u64, u64>,
    /// The session's branch.
    pub(super) on: String,
    pub(super) block: Option<Block>,
}

impl Model {
    pub(super) fn head(&self, branch: &str) -> u64 {
        self.branches[branch].last().expect("a branch was made somewhere").1
    }

    /// What a statement reads.
    pub(super) fn now(&self) -> &State {
        match &self.block {
            Some(block) => &block.now,
            None => &self.commits[&self.head(&self.on)],
        }
    }

    pub(super) fn is_ancestor(&self, old: u64, new: u64) -> bool {
        let mut at = Some(&new);
        while let Some(commit) = at {
            if *commit == old {
                return true;
            }
            at = self.parents.get(commit);
        }
        false
    }

    pub(super) fn nth_branch(&self, n: usize) -> String {
        self.branches.keys().nth(n % self.branches.len()).expect("main is there").clone()
    }

    /// Mostly new ones.
    pub(super) fn nth_commit(&self, n: usize) -> u64 {
        let (&commit, _) =
            self.commits.iter().rev().nth(n % self.commits.len()).expect("the first is there");
        commit
    }
}
