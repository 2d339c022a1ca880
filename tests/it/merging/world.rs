//! The database and the model, step by step side by side.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use asofdb::config::Settings;
use asofdb::error::Result;
use asofdb::server::query_runtime;
use asofdb::session::Database;
use asofdb::store::CompactOptions;

use super::model::{Commit, Joined, Model, Row, Rows, State, Table};
use super::{Mode, Step};
use crate::guest::Guest;
use crate::property::{Told, home, in_time};

const START_US: i64 = 1_767_225_600_000_000;
/// More than the log keeps of one statement.
const MANY: i64 = 9_000;

/// Merges of histories that lay apart, and those refused, over all cases.
pub(super) static JOINED: AtomicUsize = AtomicUsize::new(0);
pub(super) static REFUSED: AtomicUsize = AtomicUsize::new(0);

pub(super) struct World {
    settings: Settings,
    open: Option<(Guest, Database)>,
    model: Model,
    names: u64,
    next_u: i64,
    told: Told,
    _folder: tempfile::TempDir,
}

impl World {
    pub(super) fn build() -> World {
        let (folder, settings) = home(START_US);
        let mut model = Model { on: "main".to_owned(), ..Model::default() };
        let first = Commit { state: State::new(), parent: 0, merged: None };
        model.commits.insert(1, first);
        model.heads.insert("main".to_owned(), 1);
        let mut world = World {
            settings,
            open: None,
            model,
            names: 0,
            next_u: 1,
            told: Told::of("merging"),
            _folder: folder,
        };
        world.open();
        world
    }

    fn open(&mut self) {
        let database =
            Database::open(&self.settings.data, self.settings.clone()).expect("it opens");
        self.open = Some((Guest::arrive(&database), database));
    }

    pub(super) fn live(mut self, steps: &[Step]) {
        let runtime = query_runtime(&self.settings).expect("threads");
        runtime.block_on(async {
            // A little past that branches can share.
            self.take(&Step::Create { keyed: true }).await;
            self.take(&Step::InsertFew { table: 0, from: 0, rows: 8 }).await;
            self.take(&Step::Branch { at: 0 }).await;
            for step in steps {
                self.settings.clock.advance(Duration::from_secs(1));
                in_time(step, async {
                    self.take(step).await;
                    self.compare_heads().await;
                })
                .await;
            }
            self.take(&Step::Reopen).await;
        });
        self.open = None;
        drop(runtime);
        let problems = Database::check(&self.settings.data).expect("a check");
        assert_eq!(problems, Vec::<String>::new());
    }

    async fn run(&mut self, sql: &str) -> Result<Vec<Vec<String>>> {
        self.told.tell(sql);
        self.open.as_mut().expect("open").0.run(sql).await
    }

    async fn must(&mut self, sql: &str) -> Vec<Vec<String>> {
        self.told.tell(sql);
        self.open.as_mut().expect("open").0.must(sql).await
    }

    /// The newest commit of a branch that is not upkeep.
    fn head(&self, branch: &str) -> u64 {
        let store = self.open.as_ref().expect("open").1.store();
        let head = store.head(branch).expect("the branch is there").commit();
        store.content(head).expect("it is in the log").0
    }

    async fn take(&mut self, step: &Step) {
        match step {
            Step::Create { keyed } => self.create(*keyed).await,
            Step::Drop(table) => self.drop_table(*table).await,
            Step::Undrop(table) => self.undrop(*table).await,
            Step::Clone { table, at } => self.clone_table(*table, *at).await,
            Step::Restore { table, at } => self.restore(*table, *at).await,
            Step::InsertFew { table, from, rows } => self.insert(*table, *from, *rows).await,
            Step::InsertMany { table, from } => self.insert(*table, *from, MANY).await,
            Step::Update { table, every, add } => {
                self.update(*table, *every, ("v", *add), |row, add| (row.0, row.1 + add)).await;
            }
            Step::Shift { table, every, add } => {
                self.update(*table, *every, ("k", *add), |row, add| (row.0 + add, row.1)).await;
            }
            Step::Delete { table, every } => self.delete(*table, *every).await,
            Step::Branch { at } => self.branch(*at).await,
            Step::Switch(branch) => self.switch(*branch).await,
            Step::RollbackBranch { branch, to } => self.roll_back(*branch, *to).await,
            Step::Merge { from, into, mode } => self.merge(*from, *into, *mode).await,
            Step::Publish { from, into } => self.publish(*from, *into).await,
            Step::CherryPick { commit } => self.cherry_pick(*commit, None).await,
            Step::CherryPickTable { commit, table } => {
                self.cherry_pick(*commit, Some(*table)).await;
            }
            Step::ForwardTable { table, branch, to } => self.forward(*table, *branch, *to).await,
            Step::Fold => {
                self.told.tell("-- fold");
                self.fold().await;
            }
            Step::Compact(table) => {
                self.told.tell("-- compact");
                self.compact(*table).await;
            }
            Step::Reopen => self.reopen().await,
        }
    }

    // ------------------------------------------------------------ writing on the session's branch

    fn now(&self) -> State {
        self.model.state(&self.model.on).clone()
    }

    fn nth_table(&self, n: usize) -> Option<(u64, Table)> {
        let now = self.model.state(&self.model.on);
        let (id, table) = now.iter().nth(n % now.len().max(1))?;
        Some((*id, table.clone()))
    }

    /// Notes what a branch has after a statement.
    fn note(&mut self, branch: &str, state: State, merged: Option<u64>) {
        let (head, before) = (self.head(branch), self.model.heads[branch]);
        if head == before {
            let same = |table: &Table| (table.name.clone(), table.rows.clone());
            let was: Vec<_> = self.model.commits[&before].state.values().map(same).collect();
            let is: Vec<_> = state.values().map(same).collect();
            assert!(was == is, "{branch} changed without a commit");
            return;
        }
        let mut state = state;
        for (id, table) in &mut state {
            let known = self.model.commits[&before].state.get(id);
            if known.is_none_or(|known| known.rows != table.rows || known.written != table.written)
            {
                table.written = head;
            }
        }
        self.model.commits.insert(head, Commit { state, parent: before, merged });
        self.model.heads.insert(branch.to_owned(), head);
    }

    /// Runs a statement that writes one table; it is refused where keys would not be distinct.
    async fn write(&mut self, sql: &str, id: u64, rows: Rows) {
        let mut state = self.now();
        let table = state.get_mut(&id).expect("it was picked from there");
        let changed = table.rows != rows;
        (table.rows, table.written) = (rows, u64::MAX);
        let allowed = table.has_distinct_keys();
        match self.run(sql).await {
            Ok(_) => {
                assert!(allowed, "{sql} made two rows of one key");
                let on = self.model.on.clone();
                if self.head(&on) != self.model.heads[&on] || changed {
                    self.note(&on, state, None);
                }
            }
            Err(error) => {
                assert!(!allowed && error.kind().sqlstate() == "23505", "{sql}: {error:?}");
            }
        }
    }

    async fn create(&mut self, keyed: bool) {
        self.names += 1;
        let (id, name) = (self.names, format!("t{}", self.names));
        let key = if keyed { " PRIMARY KEY" } else { "" };
        self.must(&format!("CREATE TABLE {name} (u bigint, k bigint{key}, v bigint)")).await;
        let mut state = self.now();
        state.insert(id, Table { name, keyed, ..Table::default() });
        let on = self.model.on.clone();
        self.note(&on, state, None);
    }

    async fn drop_table(&mut self, n: usize) {
        let Some((id, table)) = self.nth_table(n) else { return };
        self.must(&format!("DROP TABLE {}", table.name)).await;
        let mut state = self.now();
        state.remove(&id);
        let on = self.model.on.clone();
        self.note(&on, state, None);
    }

    /// Whatever was dropped last on this branch's own line comes back.
    async fn undrop(&mut self, n: usize) {
        let now = self.now();
        let mut lost: Vec<(u64, Table)> = Vec::new();
        let mut at = self.model.heads[&self.model.on];
        while at > 1 {
            let commit = &self.model.commits[&at];
            let before = &self.model.commits[&commit.parent].state;
            for (id, table) in before.iter().filter(|(id, _)| !commit.state.contains_key(id)) {
                if !now.contains_key(id) && lost.iter().all(|(known, _)| known != id) {
                    lost.push((*id, table.clone()));
                }
            }
            at = commit.parent;
        }
        let Some((id, table)) = lost.get(n % lost.len().max(1)).cloned() else { return };
        self.must(&format!("UNDROP TABLE {}", table.name)).await;
        let mut state = now;
        state.insert(id, table);
        let on = self.model.on.clone();
        self.note(&on, state, None);
    }

    async fn clone_table(&mut self, n: usize, at: usize) {
        let at = self.model.nth_commit(at);
        let there = self.model.commits[&at].state.clone();
        let Some(model) = there.values().nth(n % there.len().max(1)) else { return };
        self.names += 1;
        let (id, name) = (self.names, format!("t{}", self.names));
        self.must(&format!("CREATE TABLE {name} CLONE {} VERSION AS OF {at}", model.name)).await;
        let mut state = self.now();
        state.insert(id, Table { name, ..model.clone() });
        let on = self.model.on.clone();
        self.note(&on, state, None);
    }

    async fn restore(&mut self, n: usize, at: usize) {
        let Some((id, table)) = self.nth_table(n) else { return };
        let at = self.model.nth_commit(at);
        let sql = format!("RESTORE TABLE {} TO VERSION AS OF {at}", table.name);
        match self.model.commits[&at].state.get(&id).cloned() {
            Some(then) => {
                self.must(&sql).await;
                let mut state = self.now();
                state.insert(id, then);
                let on = self.model.on.clone();
                self.note(&on, state, None);
            }
            None => {
                let error = self.run(&sql).await.expect_err("it was not there");
                assert_eq!(error.kind().sqlstate(), "42P01", "{sql}: {error:?}");
            }
        }
    }

    async fn insert(&mut self, n: usize, from: i64, count: i64) {
        let Some((id, table)) = self.nth_table(n) else { return };
        let first = self.next_u;
        self.next_u += count;
        let mut rows = table.rows;
        rows.extend((0..count).map(|i| (first + i, (from + i, i % 7))));
        let sql = format!(
            "INSERT INTO {} SELECT {first} + i, {from} + i, i % 7 FROM generate_series(0, {}) g(i)",
            table.name,
            count - 1
        );
        self.write(&sql, id, rows).await;
    }

    async fn update(
        &mut self,
        n: usize,
        every: i64,
        (column, add): (&str, i64),
        change: impl Fn(Row, i64) -> Row,
    ) {
        let Some((id, table)) = self.nth_table(n) else { return };
        let rows = table.rows.iter().map(|(u, row)| match u % every {
            0 => (*u, change(*row, add)),
            _ => (*u, *row),
        });
        let sql =
            format!("UPDATE {} SET {column} = {column} + {add} WHERE u % {every} = 0", table.name);
        self.write(&sql, id, rows.collect()).await;
    }

    async fn delete(&mut self, n: usize, every: i64) {
        let Some((id, table)) = self.nth_table(n) else { return };
        let rows = table.rows.iter().filter(|(u, _)| *u % every != 0);
        let sql = format!("DELETE FROM {} WHERE u % {every} = 0", table.name);
        self.write(&sql, id, rows.map(|(u, row)| (*u, *row)).collect()).await;
    }

    // ------------------------------------------------------------ branches

    async fn branch(&mut self, at: usize) {
        self.names += 1;
        let (name, at) = (format!("b{}", self.names), self.model.nth_commit(at));
        self.must(&format!("CREATE BRANCH {name} AS OF VERSION {at}")).await;
        self.model.heads.insert(name, at);
    }

    async fn switch(&mut self, branch: usize) {
        self.model.on = self.model.nth_branch(branch);
        self.must(&format!("SET branch = '{}'", self.model.on)).await;
    }

    async fn roll_back(&mut self, branch: usize, to: usize) {
        let (branch, to) = (self.model.nth_branch(branch), self.model.nth_commit(to));
        self.must(&format!("ROLLBACK BRANCH {branch} TO {to}")).await;
        self.model.heads.insert(branch, to);
    }

    async fn merge(&mut self, from: usize, into: usize, mode: Mode) {
        let (from, into) = (self.model.nth_branch(from), self.model.nth_branch(into));
        let word = match mode {
            Mode::Fail => "",
            Mode::Ours => " WHEN CONFLICT OURS",
            Mode::Theirs => " WHEN CONFLICT THEIRS",
        };
        self.join(&from, &into, mode, &format!("MERGE BRANCH {from} INTO {into}{word}")).await;
    }

    async fn publish(&mut self, from: usize, into: usize) {
        let (from, into) = (self.model.nth_branch(from), self.model.nth_branch(into));
        self.join(&from, &into, Mode::Fail, &format!("PUBLISH BRANCH {from} INTO {into}")).await;
    }

    async fn join(&mut self, from: &str, into: &str, mode: Mode, sql: &str) {
        let (ours, theirs) = (self.model.heads[into], self.model.heads[from]);
        let base = self.model.base(ours, theirs);
        if base == theirs {
            self.must(sql).await;
            assert_eq!(self.head(into), ours, "{sql} has nothing to do");
            return;
        }
        if self.model.is_behind(ours, theirs) {
            self.must(sql).await;
            assert_eq!(self.head(into), theirs, "{sql} only moves the branch");
            self.model.heads.insert(into.to_owned(), theirs);
            return;
        }
        match self.model.join_from_past(ours, theirs, mode) {
            Joined::Unclear => {}
            Joined::Refused => {
                let error = self.run(sql).await.expect_err("both changed the same");
                assert_eq!(error.kind().sqlstate(), "55M01", "{sql}: {error:?}");
                REFUSED.fetch_add(1, Ordering::Relaxed);
            }
            Joined::State(state) => {
                self.must(sql).await;
                self.note(into, state, Some(theirs));
                JOINED.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    async fn cherry_pick(&mut self, commit: usize, table: Option<usize>) {
        let commit = self.model.nth_commit(commit);
        let on = self.model.on.clone();
        let ours = self.model.heads[&on];
        let parent = self.model.commits[&commit].parent;
        if self.model.base(ours, commit) == commit || parent == 0 {
            return;
        }
        let picked = self.model.commits[&commit].state.clone();
        let mut whole = self.model.join(parent, ours, commit, Mode::Fail);
        let sql = match table {
            None => format!("CALL system.cherrypick_snapshot(snapshot_id => {commit})"),
            Some(n) => {
                let Some((id, table)) = self.nth_table(n) else { return };
                let before = self.model.commits[&parent].state.get(&id).map(|t| t.written);
                if picked.get(&id).map(|t| t.written) == before {
                    return;
                }
                // Joined as if the commit had changed nothing else.
                let mut alone = self.model.commits[&parent].clone();
                alone.state.remove(&id);
                alone.state.extend(picked.get(&id).map(|table| (id, table.clone())));
                let key = u64::MAX;
                self.model.commits.insert(key, alone);
                whole = self.model.join(parent, ours, key, Mode::Fail);
                self.model.commits.remove(&key);
                format!("CALL system.cherrypick_snapshot('{}', {commit})", table.name)
            }
        };
        match whole {
            Joined::Unclear => {}
            Joined::Refused => {
                let error = self.run(&sql).await.expect_err("it does not fit here");
                assert_eq!(error.kind().sqlstate(), "55M01", "{sql}: {error:?}");
            }
            Joined::State(state) => {
                self.must(&sql).await;
                self.note(&on, state, None);
            }
        }
    }

    /// Which versions follow which the model does not know; what came of it, it does.
    async fn forward(&mut self, n: usize, branch: usize, to: usize) {
        let (branch, to) = (self.model.nth_branch(branch), self.model.nth_branch(to));
        let there = self.model.state(&to).clone();
        let Some((id, table)) = there.iter().nth(n % there.len().max(1)) else { return };
        let sql = format!("CALL system.fast_forward('{}', '{branch}', '{to}')", table.name);
        match self.run(&sql).await {
            Ok(_) => {
                let mut state = self.model.state(&branch).clone();
                state.insert(*id, table.clone());
                self.note(&branch, state, None);
            }
            Err(error) => {
                // 42P01: the name is not known on the session's branch.
                let state = error.kind().sqlstate();
                assert!(["55000", "42P01"].contains(&state), "{sql}: {error:?}");
            }
        }
    }

    async fn fold(&mut self) {
        let store = self.open.as_ref().expect("open").1.store().clone();
        store.fold_one(None, 1).await.expect("it folds");
        store.collect().await.expect("it collects");
    }

    async fn compact(&mut self, n: usize) {
        let Some((_, table)) = self.nth_table(n) else { return };
        let store = self.open.as_ref().expect("open").1.store().clone();
        let on = self.model.on.clone();
        let head = store.head(&on).expect("the branch is there");
        let found = head.table("public", &table.name).expect("it reads").expect("it is there");
        let options = CompactOptions { all: true, ..CompactOptions::default() };
        store.compact_one(&on, found.id(), &options).await.expect("it compacts");
        store.collect().await.expect("it collects");
    }

    /// Every commit that can be reached is as it was.
    async fn reopen(&mut self) {
        self.open = None;
        self.open();
        let on = self.model.on.clone();
        self.must(&format!("SET branch = '{on}'")).await;
        for commit in self.model.commits.keys().copied().collect::<Vec<_>>() {
            self.expect(&format!("VERSION AS OF {commit}"), commit).await;
        }
    }

    // ------------------------------------------------------------ comparing

    async fn compare_heads(&mut self) {
        for (branch, head) in self.model.heads.clone() {
            assert_eq!(self.head(&branch), head, "the head of {branch}");
            self.expect(&format!("FOR SYSTEM_VERSION AS OF '{branch}'"), head).await;
        }
    }

    async fn expect(&mut self, version: &str, commit: u64) {
        let state = self.model.commits[&commit].state.clone();
        for name in (1..=self.names).map(|n| format!("t{n}")) {
            let table = state.values().find(|table| table.name == name);
            let sql = format!("SELECT count(*), u, k, v FROM {name} {version} GROUP BY u, k, v");
            match (self.run(&sql).await, table) {
                (Ok(found), Some(table)) => {
                    let mut rows = Rows::new();
                    for row in found {
                        let number = |i: usize| -> i64 { row[i].parse().expect("a number") };
                        assert_eq!(number(0), 1, "{sql}: row {} is there twice", number(1));
                        let twin = rows.insert(number(1), (number(2), number(3)));
                        assert_eq!(twin, None, "{sql}: row {} is there twice", number(1));
                    }
                    assert!(rows == table.rows, "{sql}: {}", difference(&rows, &table.rows));
                    let counted =
                        self.must(&format!("SELECT count(*) FROM {name} {version}")).await;
                    assert_eq!(counted[0][0], rows.len().to_string(), "{sql} counted");
                    self.look_up(&name, version, table).await;
                }
                (Err(error), None) => {
                    let state = error.kind().sqlstate();
                    assert!(["42P01", "42704"].contains(&state), "{sql}: {error:?}");
                }
                (Ok(rows), None) => panic!("{sql} answered {} rows of no table", rows.len()),
                (Err(error), Some(_)) => panic!("{sql}: {error:?}"),
            }
        }
    }

    async fn look_up(&mut self, name: &str, version: &str, table: &Table) {
        let Some((u, (k, v))) = table.rows.iter().nth(table.rows.len() / 2) else { return };
        let sql = format!("SELECT k, v FROM {name} {version} WHERE u = {u} AND k = {k}");
        assert_eq!(self.must(&sql).await, [[k.to_string(), v.to_string()]], "{sql}");
    }
}

/// The first rows that differ.
fn difference(found: &Rows, wanted: &Rows) -> String {
    let other = |a: &Rows, b: &Rows| -> Vec<(i64, Row)> {
        let differing = a.iter().filter(|(u, row)| b.get(u) != Some(row));
        differing.take(5).map(|(u, row)| (*u, *row)).collect()
    };
    format!(
        "{} rows for {}: too many {:?}, missing {:?}",
        found.len(),
        wanted.len(),
        other(found, wanted),
        other(wanted, found)
    )
}
