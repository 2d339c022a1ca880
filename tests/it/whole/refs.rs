//! Branches and tags, and histories brought together.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::join::join;
use super::model::{State, Table};
use super::world::{JOINED, REFUSED, World};
use super::{Mode, Refs};

impl World {
    pub(super) async fn refs(&mut self, step: &Refs) {
        match step {
            Refs::Branch(at) => self.branch(*at).await,
            Refs::DropBranch(n) => self.drop_branch(*n).await,
            Refs::Tag(at) => {
                let (name, at) = (self.new_name('g'), self.model.nth_commit(*at));
                self.must(&format!("CREATE TAG {name} AS OF VERSION {at}")).await;
                self.model.tags.insert(name, at);
            }
            Refs::DropTag(n) => {
                let tags = &self.model.tags;
                let Some(name) = tags.keys().nth(n % tags.len().max(1)).cloned() else { return };
                self.must(&format!("DROP TAG {name}")).await;
                self.model.tags.remove(&name);
            }
            Refs::Switch(n) => {
                self.model.on = self.model.nth_branch(*n);
                self.must(&format!("SET branch = '{}'", self.model.on)).await;
            }
            Refs::RollBack { branch, to } => {
                let (branch, to) = (self.model.nth_branch(*branch), self.model.nth_commit(*to));
                self.must(&format!("ROLLBACK BRANCH {branch} TO {to}")).await;
                self.moved(&branch, to);
            }
            Refs::Merge { from, into, mode } => {
                let (from, into) = (self.model.nth_branch(*from), self.model.nth_branch(*into));
                let word = match mode {
                    Mode::Fail => "",
                    Mode::Ours => " WHEN CONFLICT OURS",
                    Mode::Theirs => " WHEN CONFLICT THEIRS",
                };
                let sql = format!("MERGE BRANCH {from} INTO {into}{word}");
                self.join(&from, &into, *mode, &sql).await;
            }
            Refs::Publish { from, into } => {
                let (from, into) = (self.model.nth_branch(*from), self.model.nth_branch(*into));
                let sql = format!("PUBLISH BRANCH {from} INTO {into}");
                self.join(&from, &into, Mode::Fail, &sql).await;
            }
            Refs::CherryPick { commit, table } => self.cherry_pick(*commit, *table).await,
            Refs::Forward { branch, to } => self.forward(*branch, *to).await,
            Refs::ForwardTable { table, branch, to } => {
                self.forward_table(*table, *branch, *to).await;
            }
        }
    }

    async fn branch(&mut self, at: usize) {
        let (name, at) = (self.new_name('b'), self.model.nth_commit(at));
        self.must(&format!("CREATE BRANCH {name} AS OF VERSION {at}")).await;
        // It has the floors of some branch that shows the commit: at worst the highest.
        for ((_, table), floor) in self.model.floors.clone() {
            let own = self.model.floors.entry((name.clone(), table)).or_default();
            *own = floor.max(*own);
        }
        self.moved(&name, at);
    }

    async fn drop_branch(&mut self, n: usize) {
        let name = self.model.nth_branch(n);
        if name == "main" || name == self.model.on {
            return;
        }
        self.reader = None;
        self.must(&format!("DROP BRANCH {name}")).await;
        self.model.branches.remove(&name);
    }

    async fn join(&mut self, from: &str, into: &str, mode: Mode, sql: &str) {
        let (ours, theirs) = (self.model.head(into), self.model.head(from));
        let Some(base) = self.model.base(ours, theirs) else { return };
        if base == theirs {
            self.must(sql).await;
            assert_eq!(self.head(into), ours, "{sql} has nothing to do");
            return;
        }
        if self.model.is_behind(ours, theirs) {
            self.must(sql).await;
            assert_eq!(self.head(into), theirs, "{sql} only moves the branch");
            self.moved(into, theirs);
            return;
        }
        let [base, mine, other] = [base, ours, theirs].map(|commit| self.model.state(commit));
        match join(base, mine, other, mode) {
            None => {
                let error = self.run(sql).await.expect_err("both changed the same");
                assert_eq!(error.kind().sqlstate(), "55M01", "{sql}: {error:?}");
                REFUSED.fetch_add(1, Ordering::Relaxed);
            }
            Some(state) => {
                self.must(sql).await;
                self.note(into, state, Some(theirs));
                JOINED.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    async fn cherry_pick(&mut self, commit: usize, table: Option<usize>) {
        let commit = self.model.nth_commit(commit);
        let on = self.model.on.clone();
        let ours = self.model.head(&on);
        let parent = self.model.commits[&commit].parent;
        if parent == 0 || !self.model.is_whole(parent) {
            return;
        }
        if self.model.base(ours, commit).is_none_or(|base| base == commit) {
            return;
        }
        let [before, mine, picked] = [parent, ours, commit].map(|commit| self.model.state(commit));
        let (joined, sql) = match table {
            None => {
                let sql = format!("CALL system.cherrypick_snapshot(snapshot_id => {commit})");
                (join(before, mine, picked, Mode::Fail), sql)
            }
            Some(n) => {
                let Some((id, table)) = self.nth_table(n) else { return };
                let (old, new) = (before.get(&id), picked.get(&id));
                let is_same = match (old, new) {
                    (Some(old), Some(new)) => old.is_same(new),
                    (old, new) => old.is_some() == new.is_some(),
                };
                if is_same {
                    return;
                }
                let alone = |state: &State| -> State {
                    state.get(&id).map(|table| (id, Arc::clone(table))).into_iter().collect()
                };
                let joined = join(&alone(before), mine, &alone(picked), Mode::Fail);
                (joined, format!("CALL system.cherrypick_snapshot('{}', {commit})", table.name))
            }
        };
        match joined {
            None => {
                let error = self.run(&sql).await.expect_err("it does not fit here");
                assert_eq!(error.kind().sqlstate(), "55M01", "{sql}: {error:?}");
            }
            Some(state) => {
                self.must(&sql).await;
                self.note(&on, state, None);
            }
        }
    }

    async fn forward(&mut self, branch: usize, to: usize) {
        let (branch, to) = (self.model.nth_branch(branch), self.model.nth_branch(to));
        let (old, new) = (self.model.head(&branch), self.model.head(&to));
        let behind = old != new && self.model.is_behind(new, old);
        if behind || self.model.base(old, new).is_none() {
            return;
        }
        let sql = format!("CALL system.fast_forward(branch => '{branch}', to => '{to}')");
        match self.run(&sql).await {
            Ok(_) => {
                assert!(self.model.is_behind(old, new), "{sql} lost commits");
                if old != new {
                    self.moved(&branch, new);
                }
            }
            Err(error) => {
                assert!(!self.model.is_behind(old, new), "{sql}: {error:?}");
                assert_eq!(error.kind().sqlstate(), "55000", "{sql}: {error:?}");
            }
        }
    }

    /// Which versions follow which the model does not know; what came of it, it does.
    async fn forward_table(&mut self, n: usize, branch: usize, to: usize) {
        let (branch, to) = (self.model.nth_branch(branch), self.model.nth_branch(to));
        let there = self.model.state(self.model.head(&to));
        let Some((id, table)) = there.iter().nth(n % there.len().max(1)) else { return };
        let (id, table) = (*id, Arc::clone(table));
        let sql = format!("CALL system.fast_forward('{}', '{branch}', '{to}')", table.name);
        match self.run(&sql).await {
            Ok(_) => {
                let mut state = self.model.state(self.model.head(&branch)).clone();
                // A table keeps the name that it has.
                let name = state.get(&id).map_or(&table.name, |own| &own.name).clone();
                let moved = Table { name, ..table.as_ref().clone() };
                state.insert(id, Arc::new(moved));
                self.note(&branch, state, None);
            }
            Err(error) => {
                // 42P01: the name is not known on the session's branch.
                let state = error.kind().sqlstate();
                assert!(["55000", "42P01"].contains(&state), "{sql}: {error:?}");
            }
        }
    }
}
