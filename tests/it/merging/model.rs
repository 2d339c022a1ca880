//! Every version whole, and what joining two of them should give.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::Mode;

/// (k, v) of a row.
pub(super) type Row = (i64, i64);

/// Rows by identity.
pub(super) type Rows = BTreeMap<i64, Row>;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Table {
    pub(super) name: String,
    pub(super) keyed: bool,
    pub(super) rows: Rows,
    /// Other with every commit that wrote the table.
    pub(super) written: u64,
}

impl Table {
    pub(super) fn has_distinct_keys(&self) -> bool {
        let keys: BTreeSet<i64> = self.rows.values().map(|row| row.0).collect();
        !self.keyed || keys.len() == self.rows.len()
    }
}

/// Tables by identity: a clone is another table, one that was brought back is the same.
pub(super) type State = BTreeMap<u64, Table>;

#[derive(Clone, Debug)]
pub(super) struct Commit {
    pub(super) state: State,
    pub(super) parent: u64,
    pub(super) merged: Option<u64>,
}

#[derive(Debug, Default)]
pub(super) struct Model {
    pub(super) commits: BTreeMap<u64, Commit>,
    pub(super) heads: BTreeMap<String, u64>,
    pub(super) on: String,
}

/// What a join should come to.
#[derive(Debug, PartialEq)]
pub(super) enum Joined {
    State(State),
    Refused,
    /// Whether a table that was written and holds what it held counts as changed is nothing that a
    /// model of rows can say.
    Unclear,
}

impl Model {
    pub(super) fn state(&self, branch: &str) -> &State {
        &self.commits[&self.heads[branch]].state
    }

    pub(super) fn nth_branch(&self, n: usize) -> String {
        self.heads.keys().nth(n % self.heads.len()).expect("main is there").clone()
    }

    /// Mostly new ones.
    pub(super) fn nth_commit(&self, n: usize) -> u64 {
        *self.commits.keys().rev().nth(n % self.commits.len()).expect("the first is there")
    }

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

    /// The newest commit in both histories.
    pub(super) fn base(&self, a: u64, b: u64) -> u64 {
        let (a, b) = (self.ancestors(a), self.ancestors(b));
        *a.intersection(&b).max().expect("all histories begin together")
    }

    /// What two histories have in common: of several newest commits what each changed since they parted;
    /// None where two of them changed the same thing in different ways. Then, whether it is of one commit.
    fn past(&self, a: u64, b: u64) -> Option<(State, bool)> {
        let (ours, theirs) = (self.ancestors(a), self.ancestors(b));
        let both: BTreeSet<u64> = ours.intersection(&theirs).copied().collect();
        let is_newest = |id: &&u64| {
            both.iter().all(|other| other == *id || !self.ancestors(*other).contains(*id))
        };
        let bases: Vec<u64> = both.iter().rev().filter(is_newest).copied().collect();
        let [first, second, ..] = bases.as_slice() else {
            return Some((self.commits[&bases[0]].state.clone(), true));
        };
        let root = &self.commits[&self.base(*first, *second)].state;
        let states: Vec<&State> = bases.iter().map(|base| &self.commits[base].state).collect();
        let mut past = State::new();
        for id in states.iter().flat_map(|state| state.keys()).collect::<BTreeSet<_>>() {
            let was = root.get(id);
            let differ =
                |table: &Option<&Table>| table.map(|t| t.written) != was.map(|t| t.written);
            let changed: Vec<Option<&Table>> =
                states.iter().map(|state| state.get(id)).filter(differ).collect();
            let table = match changed.as_slice() {
                [] => was.cloned(),
                [one] => one.cloned(),
                several => Some(joined_past(was?, several)?),
            };
            past.extend(table.map(|table| (*id, table)));
        }
        Some((past, false))
    }

    /// As [`Model::join`], from what the two have in common.
    pub(super) fn join_from_past(&mut self, ours: u64, theirs: u64, mode: Mode) -> Joined {
        let Some((state, one)) = self.past(ours, theirs) else { return Joined::Unclear };
        let key = u64::MAX;
        self.commits.insert(key, Commit { state, parent: 0, merged: None });
        let joined = self.join(key, ours, theirs, mode);
        let follows = !one && self.follows(key, ours, theirs);
        self.commits.remove(&key);
        // Of several bases rows are not followed by key.
        if follows { Joined::Unclear } else { joined }
    }

    /// Whether a side lacks a row of the base and has another of its key.
    fn follows(&self, base: u64, ours: u64, theirs: u64) -> bool {
        let state = |commit: u64| &self.commits[&commit].state;
        let (base, sides) = (state(base), [state(ours), state(theirs)]);
        let mut pairs = sides.iter().flat_map(|side| side.iter()).filter(|(_, t)| t.keyed);
        pairs.any(|(id, side)| base.get(id).is_some_and(|base| !again(&base.rows, side).is_empty()))
    }

    pub(super) fn join(&self, base: u64, ours: u64, theirs: u64, mode: Mode) -> Joined {
        let state = |commit: u64| &self.commits[&commit].state;
        let (base, ours, theirs) = (state(base), state(ours), state(theirs));
        let mut result = ours.clone();
        let mut refused = false;
        for id in base.keys().chain(theirs.keys()).collect::<BTreeSet<_>>() {
            let three = (base.get(id), ours.get(id), theirs.get(id));
            let side = |side: Option<&Table>| match (side, three.0) {
                (Some(side), Some(base)) if side.rows == base.rows => {
                    (false, side.written != base.written)
                }
                (side, base) => (side.map(|t| &t.rows) != base.map(|t| &t.rows), false),
            };
            let ((ours_changed, ours_unclear), (theirs_changed, theirs_unclear)) =
                (side(three.1), side(three.2));
            let gone = three.0.is_some() && (three.1.is_none() || three.2.is_none());
            if gone && (ours_unclear || theirs_unclear) {
                return Joined::Unclear;
            }
            match three {
                _ if !theirs_changed => {}
                (_, Some(_), None) | (_, None, Some(_)) if ours_changed => {
                    refused = true;
                    match (mode, three.2) {
                        (Mode::Theirs, Some(table)) => _ = result.insert(*id, table.clone()),
                        (Mode::Theirs, None) => _ = result.remove(id),
                        _ => {}
                    }
                }
                (_, _, None) => _ = result.remove(id),
                (_, None, Some(theirs)) => _ = result.insert(*id, theirs.clone()),
                (base, Some(ours), Some(theirs)) => {
                    let none = Rows::new();
                    let base = base.map_or(&none, |base| &base.rows);
                    let (rows, contested) = join_rows(base, ours, theirs, mode);
                    refused |= contested;
                    result.insert(*id, Table { rows, ..ours.clone() });
                }
            }
        }
        match refused && mode == Mode::Fail {
            true => Joined::Refused,
            false => Joined::State(result),
        }
    }
}

/// One table of several bases: every row as the one has it that changed it.
fn joined_past(was: &Table, several: &[Option<&Table>]) -> Option<Table> {
    let tables: Vec<&Table> = several.iter().copied().collect::<Option<_>>()?;
    let mut rows = Rows::new();
    for id in tables.iter().flat_map(|table| table.rows.keys()).collect::<BTreeSet<_>>() {
        let before = was.rows.get(id);
        let mut found: Vec<Option<&Row>> = tables.iter().map(|table| table.rows.get(id)).collect();
        found.retain(|row| *row != before);
        found.dedup();
        match found.as_slice() {
            [] => rows.extend(before.map(|row| (*id, *row))),
            [one] => rows.extend(one.map(|row| (*id, *row))),
            _ => return None,
        }
    }
    Some(Table { rows, ..tables[0].clone() })
}

/// The rows of a side that have the key of a row of the base which the side lacks: new by old.
fn again(base: &Rows, side: &Table) -> BTreeMap<i64, i64> {
    let gone = base.iter().filter(|(id, _)| !side.rows.contains_key(id));
    let gone: BTreeMap<i64, i64> = gone.map(|(id, row)| (row.0, *id)).collect();
    let came = side.rows.iter().filter(|(id, _)| !base.contains_key(id));
    came.filter_map(|(id, row)| Some((*id, *gone.get(&row.0)?))).collect()
}

/// The rows of a side, each with its identity, by what they are followed by: with a key, a row that
/// came in the place of one of the base is that one.
fn followed(base: &Rows, side: &Table, other: &Table) -> BTreeMap<i64, (i64, Row)> {
    let mut olds = if side.keyed { again(base, side) } else { BTreeMap::new() };
    olds.retain(|new, _| !other.rows.contains_key(new));
    side.rows.iter().map(|(id, row)| (*olds.get(id).unwrap_or(id), (*id, *row))).collect()
}

/// The joined rows, and whether there was anything to decide.
fn join_rows(base: &Rows, our_table: &Table, their_table: &Table, mode: Mode) -> (Rows, bool) {
    let keyed = our_table.keyed;
    let (ours, theirs) =
        (followed(base, our_table, their_table), followed(base, their_table, our_table));
    let base: BTreeMap<i64, (i64, Row)> = base.iter().map(|(id, row)| (*id, (*id, *row))).collect();
    let ids: BTreeSet<i64> = ours.keys().chain(theirs.keys()).copied().collect();
    let mut contested = false;
    let mut from_theirs: BTreeMap<i64, bool> = BTreeMap::new();
    for id in ids.iter().chain(base.keys()) {
        let (b, o, t) = (base.get(id), ours.get(id), theirs.get(id));
        let decided = match () {
            _ if o == t || b == t => false,
            _ if b == o => true,
            _ => {
                contested = true;
                mode == Mode::Theirs
            }
        };
        from_theirs.insert(*id, decided);
    }
    if keyed {
        loop {
            let key_of =
                |side: &BTreeMap<i64, (i64, Row)>, id: &i64| side.get(id).map(|row| row.1.0);
            let mut by_key: HashMap<i64, i64> = HashMap::new();
            for (id, _) in from_theirs.iter().filter(|(_, theirs)| !**theirs) {
                if let Some(key) = key_of(&ours, id) {
                    by_key.insert(key, *id);
                }
            }
            let met: Vec<(i64, i64)> = from_theirs
                .iter()
                .filter(|(_, theirs)| **theirs)
                .filter_map(|(id, _)| Some((*by_key.get(&key_of(&theirs, id)?)?, *id)))
                .collect();
            if met.is_empty() {
                break;
            }
            contested = true;
            for (our_row, their_row) in met {
                match mode {
                    Mode::Theirs => from_theirs.insert(our_row, true),
                    Mode::Ours | Mode::Fail => from_theirs.insert(their_row, false),
                };
            }
        }
    }
    let rows = from_theirs.iter().filter_map(|(id, from)| {
        let side = if *from { &theirs } else { &ours };
        side.get(id).copied()
    });
    (rows.collect(), contested)
}
