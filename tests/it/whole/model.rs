//! What the database should be: every version whole.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::kind::{Cell, Kind};
use crate::guest::Rows;

/// A number that nothing else has.
pub(super) fn fresh() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// What a DEFAULT says, and what it comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Default {
    pub(super) sql: String,
    pub(super) value: Cell,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Column {
    pub(super) id: u64,
    pub(super) name: String,
    pub(super) kind: Kind,
    pub(super) default: Option<Default>,
    /// What rows show that were written without it.
    pub(super) missing: Cell,
    /// Whether rows that were there got values of their own when it came.
    pub(super) filled: bool,
}

/// A row as one commit wrote it.
#[derive(Clone, Debug)]
pub(super) struct Version {
    /// Other with every version.
    pub(super) stamp: u64,
    /// By column id, with the kind it was written as.
    pub(super) cells: BTreeMap<u64, (Kind, Cell)>,
}

/// The first column is `u`; `key` is never dropped either.
#[derive(Clone, Debug)]
pub(super) struct Table {
    pub(super) name: String,
    pub(super) keyed: bool,
    pub(super) key: u64,
    pub(super) identity: u64,
    pub(super) columns: Vec<Column>,
    /// By identity.
    pub(super) rows: BTreeMap<i64, Arc<Version>>,
}

impl Table {
    pub(super) fn new(name: String, keyed: bool) -> Table {
        let column = |name: &str, kind| Column {
            id: fresh(),
            name: name.to_owned(),
            kind,
            default: None,
            missing: None,
            filled: false,
        };
        let columns =
            vec![column("u", Kind::Int8), column("k", Kind::Int4), column("v", Kind::Int2)];
        let (identity, key) = (columns[0].id, columns[1].id);
        Table { name, keyed, key, identity, columns, rows: BTreeMap::new() }
    }

    pub(super) fn column(&self, id: u64) -> Option<&Column> {
        self.columns.iter().find(|column| column.id == id)
    }

    pub(super) fn name_of(&self, id: u64) -> &str {
        &self.column(id).expect("it is never dropped").name
    }

    /// Some column that may go and change; None where there is none left.
    pub(super) fn plain(&self, n: usize) -> Option<usize> {
        let own = |column: &Column| ![self.identity, self.key].contains(&column.id);
        let all: Vec<usize> = (0..self.columns.len()).filter(|i| own(&self.columns[*i])).collect();
        all.get(n % all.len().max(1)).copied()
    }

    pub(super) fn cell(column: &Column, row: &Version) -> Cell {
        match row.cells.get(&column.id) {
            Some((kind, cell)) => kind.read_as(column.kind, cell),
            None => column.missing.clone(),
        }
    }

    pub(super) fn cells(&self, row: &Version) -> Vec<Cell> {
        self.columns.iter().map(|column| Table::cell(column, row)).collect()
    }

    pub(super) fn key_of(&self, row: &Version) -> Cell {
        Table::cell(self.column(self.key).expect("the key stays"), row)
    }

    /// The row written again with other values in some columns.
    pub(super) fn with(&self, row: &Version, changes: &[(u64, Cell)]) -> Arc<Version> {
        let cell = |column: &Column| {
            let changed = changes.iter().find(|(id, _)| *id == column.id);
            let cell = changed.map_or_else(|| Table::cell(column, row), |(_, cell)| cell.clone());
            (column.id, (column.kind, cell))
        };
        Arc::new(Version { stamp: fresh(), cells: self.columns.iter().map(cell).collect() })
    }

    pub(super) fn new_row(&self, given: &[(u64, Cell)]) -> Arc<Version> {
        let cell = |column: &Column| {
            let default = || column.default.as_ref().and_then(|default| default.value.clone());
            let given = given.iter().find(|(id, _)| *id == column.id);
            (column.id, (column.kind, given.map_or_else(default, |(_, cell)| cell.clone())))
        };
        Arc::new(Version { stamp: fresh(), cells: self.columns.iter().map(cell).collect() })
    }

    pub(super) fn has_distinct_keys(&self) -> bool {
        let keys: BTreeSet<Cell> = self.rows.values().map(|row| self.key_of(row)).collect();
        !self.keyed || keys.len() == self.rows.len()
    }

    pub(super) fn shown(&self) -> Rows {
        let text = |cell: Cell| cell.unwrap_or_else(|| "NULL".to_owned());
        let row = |row: &Arc<Version>| self.cells(row).into_iter().map(text).collect();
        let mut rows: Rows = self.rows.values().map(row).collect();
        rows.sort();
        rows
    }

    /// Whether both are one version of one table.
    pub(super) fn is_same(&self, other: &Table) -> bool {
        let stamps = |table: &Table| -> Vec<(i64, u64)> {
            table.rows.iter().map(|(u, row)| (*u, row.stamp)).collect()
        };
        let same_shape = self.name == other.name && self.columns == other.columns;
        same_shape && stamps(self) == stamps(other)
    }
}

/// Tables by identity: a clone is another table, one that was brought back is the same.
pub(super) type State = BTreeMap<u64, Arc<Table>>;

#[derive(Clone, Debug)]
pub(super) struct Commit {
    pub(super) state: State,
    pub(super) parent: u64,
    pub(super) merged: Option<u64>,
}

/// Where a branch pointed from when on: (µs, commit), oldest first.
pub(super) type Moves = Vec<(i64, u64)>;

/// Tables as they were when they were dropped.
pub(super) type Dropped = Vec<(u64, Arc<Table>)>;

#[derive(Clone, Debug, Default)]
pub(super) struct Block {
    pub(super) now: State,
    /// What this block dropped, the last one last.
    pub(super) dropped: Dropped,
    pub(super) savepoints: Vec<(State, Dropped)>,
    pub(super) failed: bool,
}

#[derive(Debug, Default)]
pub(super) struct Model {
    pub(super) commits: BTreeMap<u64, Commit>,
    pub(super) branches: BTreeMap<String, Moves>,
    pub(super) tags: BTreeMap<String, u64>,
    /// The session's branch.
    pub(super) on: String,
    pub(super) block: Option<Block>,
    /// By branch, and by table or for all: what lies below may be gone.
    pub(super) floors: BTreeMap<(String, Option<u64>), u64>,
    /// When a branch last lost what it had shown.
    pub(super) expired_us: BTreeMap<String, i64>,
}

impl Model {
    pub(super) fn head(&self, branch: &str) -> u64 {
        self.branches[branch].last().expect("a branch was made somewhere").1
    }

    pub(super) fn state(&self, commit: u64) -> &State {
        &self.commits[&commit].state
    }

    /// What a statement reads.
    pub(super) fn now(&self) -> &State {
        match &self.block {
            Some(block) => &block.now,
            None => self.state(self.head(&self.on)),
        }
    }

    pub(super) fn nth_branch(&self, n: usize) -> String {
        self.branches.keys().nth(n % self.branches.len()).expect("main is there").clone()
    }

    /// A commit that can be read of all tables; mostly new ones.
    pub(super) fn nth_commit(&self, n: usize) -> u64 {
        let kept: Vec<u64> =
            self.commits.keys().rev().copied().filter(|commit| self.is_whole(*commit)).collect();
        kept[n % kept.len()]
    }

    pub(super) fn is_whole(&self, commit: u64) -> bool {
        self.stays(commit, None)
            && self.floors.keys().all(|(_, table)| table.is_none() || self.stays(commit, *table))
    }

    /// Whether a commit can be read, of a table or at all. Others may be gone.
    pub(super) fn stays(&self, commit: u64, table: Option<u64>) -> bool {
        let counts = |of: Option<u64>| of.is_none() || of == table;
        let floors = self.floors.iter().filter(|((_, of), _)| counts(*of));
        let highest = floors.clone().map(|(_, floor)| *floor).max().unwrap_or(0);
        if commit >= highest || self.tags.values().any(|tag| *tag == commit) {
            return true;
        }
        self.branches.keys().any(|branch| {
            let head = self.head(branch);
            let own = floors.clone().filter(|((of, _), _)| of == branch);
            let floor = own.map(|(_, floor)| *floor).max().unwrap_or(0);
            head == commit || (commit >= floor && self.is_behind(commit, head))
        })
    }

    /// Whether a branch at `new` only adds to one at `old`.
    pub(super) fn is_behind(&self, old: u64, new: u64) -> bool {
        let mut at = new;
        while at > old {
            at = self.commits[&at].parent;
        }
        at == old
    }

    fn ancestors(&self, of: u64) -> BTreeSet<u64> {
        let (mut found, mut open) = (BTreeSet::new(), vec![of]);
        while let Some(at) = open.pop() {
            if at > 0 && found.insert(at) {
                open.push(self.commits[&at].parent);
                open.extend(self.commits[&at].merged);
            }
        }
        found
    }

    /// The newest commit in both histories; None where something after it may have expired, or where
    /// another does not lie behind it (the tests of merging look into those).
    pub(super) fn base(&self, a: u64, b: u64) -> Option<u64> {
        let (a, b) = (self.ancestors(a), self.ancestors(b));
        let base = *a.intersection(&b).max().expect("all histories begin together");
        let behind = self.ancestors(base);
        if a.intersection(&b).any(|commit| !behind.contains(commit)) {
            return None;
        }
        a.union(&b).filter(|commit| **commit >= base).all(|c| self.is_whole(*c)).then_some(base)
    }

    /// A commit's line of history, the newest first, as far as it can still be read.
    pub(super) fn line(&self, head: u64) -> Vec<u64> {
        let mut line = Vec::new();
        let mut at = head;
        while at > 0 && self.is_whole(at) {
            line.push(at);
            at = self.commits[&at].parent;
        }
        line
    }
}
