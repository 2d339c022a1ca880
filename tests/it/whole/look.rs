//! Every way to a version, against the model.

use std::collections::BTreeSet;

use asofdb::spec::text::{TextOptions, parse_timestamptz};

use super::model::{State, Table};
use super::world::{START_US, World};
use crate::guest::Rows;

impl World {
    /// What the session sees, every head, what an open block sees, and one version of each kind.
    pub(super) async fn compare(&mut self, n: usize) {
        if let Some((mut guest, state)) = self.reader.take() {
            for table in state.values() {
                let sql = format!("SELECT * FROM {}", table.name);
                same(&format!("{sql} in an open block"), guest.must(&sql).await, table);
            }
            self.reader = Some((guest, state));
        }
        if let Some(block) = &self.model.block {
            if !block.failed {
                let now = block.now.clone();
                self.expect("", &now, None, n).await;
            }
            return;
        }
        let now = self.model.now().clone();
        self.expect("", &now, None, n).await;
        for branch in self.model.branches.keys() {
            assert_eq!(self.head(branch), self.model.head(branch), "the head of {branch}");
        }
        // What the step changed, and what it did not.
        let seen = BTreeSet::from([self.moved.clone(), self.model.nth_branch(n)]);
        for branch in seen {
            if branch != self.model.on && self.model.branches.contains_key(&branch) {
                self.expect_commit(&format!("@{branch}"), self.model.head(&branch), n).await;
            }
        }
        let tag = self.model.tags.iter().nth(n % self.model.tags.len().max(1));
        if let Some((tag, commit)) = tag.map(|(tag, commit)| (tag.clone(), *commit)) {
            self.expect_commit(&format!(" FOR SYSTEM_VERSION AS OF '{tag}'"), commit, n).await;
        }
        let commit = self.model.nth_commit(n);
        self.expect_commit(&format!(" FOR SYSTEM_VERSION AS OF {commit}"), commit, n).await;
        self.at_a_time(n).await;
        if n.is_multiple_of(4) {
            self.snapshots().await;
            self.changes(n / 4).await;
        }
    }

    /// Every version that there is a name for.
    pub(super) async fn compare_all(&mut self) {
        for (n, commit) in self.model.commits.keys().copied().collect::<Vec<_>>().iter().enumerate()
        {
            self.expect_commit(&format!(" FOR SYSTEM_VERSION AS OF {commit}"), *commit, n).await;
        }
        for (tag, commit) in self.model.tags.clone() {
            self.expect_commit(&format!(" FOR SYSTEM_VERSION AS OF '{tag}'"), commit, 0).await;
        }
        for n in 0..self.model.branches[&self.model.on].len() {
            self.at_a_time(n).await;
        }
        let now = self.model.now().clone();
        self.expect("", &now, None, 0).await;
    }

    /// Since the branch moved somewhere, until it moved on.
    async fn at_a_time(&mut self, n: usize) {
        let on = &self.model.on;
        let moves = &self.model.branches[on];
        let at = n % moves.len();
        let (time_us, commit) = moves[at];
        let later_us = time_us + [0, 1, 999_999][n % 3];
        let is_gone = self.model.expired_us.get(on).is_some_and(|expired| later_us <= *expired);
        if later_us > self.now_us() || (is_gone && at + 1 < moves.len()) {
            return;
        }
        let version = format!(" FOR SYSTEM_TIME AS OF TIMESTAMPTZ '{}'", rfc3339(later_us));
        self.expect_commit(&version, commit, n).await;
    }

    /// The heads, and nothing else, are left.
    pub(super) async fn compare_heads(&mut self) {
        for branch in self.model.branches.keys().cloned().collect::<Vec<_>>() {
            self.expect_commit(&format!("@{branch}"), self.model.head(&branch), 0).await;
        }
    }

    async fn expect_commit(&mut self, version: &str, commit: u64, n: usize) {
        let state = self.model.state(commit).clone();
        self.expect(version, &state, Some(commit), n).await;
    }

    /// Tables as a version should show them, by the name they had there or else have today. What may
    /// have expired may also be 72000.
    async fn expect(&mut self, version: &str, state: &State, commit: Option<u64>, n: usize) {
        for (i, name) in self.tables.clone().into_iter().enumerate() {
            let named = |state: &State| {
                state.iter().find(|(_, table)| table.name == name).map(|(id, _)| *id)
            };
            let id = named(state).or_else(|| named(self.model.now()));
            let found = id.and_then(|id| state.get_key_value(&id));
            // An error would fail a block; and one look in a while at what is not there will do.
            if found.is_none() && (self.model.block.is_some() || !(n + i).is_multiple_of(4)) {
                continue;
            }
            let sql = format!("SELECT * FROM {name}{version}");
            match (self.run(&sql).await, found) {
                (Ok(rows), Some((_, table))) => {
                    same(&sql, rows, table);
                    if (n + i).is_multiple_of(3) {
                        self.conditions(&format!("{name}{version}"), table, n).await;
                    }
                }
                (Ok(rows), None) => panic!("{sql} answered {} rows of no table", rows.len()),
                (Err(error), found) => {
                    let id = found.map(|(id, _)| *id);
                    let gone = commit.is_some_and(|commit| !self.model.stays(commit, id));
                    let allowed = match found {
                        Some(_) => gone && error.kind().sqlstate() == "72000",
                        None => error.kind().sqlstate() == "42P01" || gone,
                    };
                    assert!(allowed, "{sql}: {error:?}");
                }
            }
        }
    }

    /// A column by its name, in conditions that statistics may decide, and a row by its key.
    async fn conditions(&mut self, from: &str, table: &Table, n: usize) {
        let column = &table.columns[n % table.columns.len()];
        let cells: Vec<_> = table.rows.values().map(|row| Table::cell(column, row)).collect();
        let Some(cell) = cells.get(n % cells.len().max(1)) else { return };
        let count = cells.iter().filter(|other| *other == cell).count();
        let condition = match cell {
            None => format!("{} IS NULL", column.name),
            Some(text) => format!("{} = '{text}'", column.name),
        };
        let sql = format!("SELECT count(*) FROM {from} WHERE {condition}");
        assert_eq!(self.must(&sql).await, [[count.to_string()]], "{sql}");
        let sql = format!("SELECT count(*) FROM {from}");
        assert_eq!(self.must(&sql).await, [[cells.len().to_string()]], "{sql}");
    }

    /// The commits of the branch's own line that changed a table are among its snapshots, and only
    /// commits are.
    async fn snapshots(&mut self) {
        let line = self.model.line(self.model.head(&self.model.on));
        for (id, table) in self.model.now().clone() {
            let sql = format!("SELECT snapshot_id FROM {}.snapshots", table.name);
            let found = self.must(&sql).await;
            let found: Vec<u64> =
                found.iter().map(|row| row[0].parse().expect("a number")).collect();
            for commit in &found {
                assert!(self.model.commits.contains_key(commit), "{sql}: {commit} is no commit");
            }
            for pair in line.windows(2) {
                let [new, old] = [pair[0], pair[1]].map(|c| self.model.state(c).get(&id));
                let is_changed = match (old, new) {
                    (Some(old), Some(new)) => !old.is_same(new),
                    (old, new) => old.is_some() != new.is_some(),
                };
                let listed =
                    !is_changed || found.contains(&pair[0]) || !self.model.stays(pair[0], Some(id));
                assert!(listed, "{sql}: {} changed it, not only {found:?}", pair[0]);
            }
        }
    }
}

fn same(sql: &str, mut found: Rows, table: &Table) {
    found.sort();
    let wanted = table.shown();
    let at = found.iter().zip(&wanted).position(|(a, b)| a != b);
    let at = at.unwrap_or_else(|| found.len().min(wanted.len()));
    assert!(
        found == wanted,
        "{sql}: {} rows for {}; {:?} for {:?} of {:?}",
        found.len(),
        wanted.len(),
        found.get(at),
        wanted.get(at),
        table.columns.iter().map(|column| &column.name).collect::<Vec<_>>()
    );
}

/// µs since 1970 as text that SQL reads: every time here lies within the first day of 2026.
fn rfc3339(time_us: i64) -> String {
    let (seconds, us) = ((time_us - START_US) / 1_000_000, time_us % 1_000_000);
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    let text = format!("2026-01-01 {hour:02}:{minute:02}:{second:02}.{us:06}+00");
    assert_eq!(parse_timestamptz(text.as_bytes(), &TextOptions::default()).ok(), Some(time_us));
    text
}
