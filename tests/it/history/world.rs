//! The database and the model, step by step side by side.

use std::collections::BTreeSet;
use std::time::Duration;

use asofdb::config::Settings;
use asofdb::error::Result;
use asofdb::server::query_runtime;
use asofdb::session::Database;
use asofdb::spec::text::{TextOptions, parse_timestamptz};

use super::Step;
use super::model::{Block, Model, Row, State};
use crate::guest::{Guest, Rows};
use crate::property::home;

const START_US: i64 = 1_767_225_600_000_000;
const TICK: Duration = Duration::from_secs(1);
/// More than the log keeps of one statement.
const MANY: i32 = 9_000;

pub(super) struct World {
    settings: Settings,
    open: Option<(Guest, Database)>,
    model: Model,
    /// Tables, branches and tags that there ever were.
    names: usize,
    tables: BTreeSet<String>,
    _folder: tempfile::TempDir,
}

impl World {
    pub(super) fn build() -> World {
        let (folder, settings) = home(START_US);
        let mut model = Model { on: "main".to_owned(), ..Model::default() };
        model.commits.insert(1, State::new());
        model.branches.insert("main".to_owned(), vec![(START_US, 1)]);
        let tables = BTreeSet::new();
        let mut world = World { settings, open: None, model, names: 0, tables, _folder: folder };
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
            for (n, step) in steps.iter().enumerate() {
                self.settings.clock.advance(TICK);
                self.take(step).await;
                self.compare(n).await;
            }
            if self.model.block.is_some() {
                self.take(&Step::Rollback).await;
            }
            self.take(&Step::Reopen).await;
        });
        self.open = None;
        drop(runtime);
        let problems = Database::check(&self.settings.data).expect("a check");
        assert_eq!(problems, Vec::<String>::new());
    }

    async fn run(&mut self, sql: &str) -> Result<Rows> {
        self.open.as_mut().expect("open").0.run(sql).await
    }

    async fn must(&mut self, sql: &str) -> Rows {
        self.open.as_mut().expect("open").0.must(sql).await
    }

    fn head(&self, branch: &str) -> u64 {
        let store = self.open.as_ref().expect("open").1.store();
        store.head(branch).expect("the branch is there").commit().0
    }

    fn new_name(&mut self, letter: char) -> String {
        self.names += 1;
        format!("{letter}{}", self.names)
    }

    fn now_us(&self) -> i64 {
        self.settings.clock.now_us()
    }

    async fn take(&mut self, step: &Step) {
        match step {
            Step::Create { keyed } => self.create(*keyed).await,
            Step::Drop(table) => self.drop_table(*table).await,
            Step::InsertFew { table, from, rows } => self.insert(*table, *from, *rows).await,
            Step::InsertMany { table, from } => self.insert(*table, *from, MANY).await,
            Step::InsertElsewhere { table, branch, from } => {
                self.insert_elsewhere(*table, *branch, *from).await;
            }
            Step::Update { table, every, add } => {
                let (every, add) = (*every, *add);
                let change = format!("v = v + {add} WHERE k % {every} = 0");
                self.update(*table, &change, |(k, v)| match k % every {
                    0 => (*k, v + add),
                    _ => (*k, *v),
                })
                .await;
            }
            Step::Shift { table, every, add } => {
                let (every, add) = (*every, *add);
                let change = format!("k = k + {add} WHERE k % {every} = 0");
                self.update(*table, &change, |(k, v)| match k % every {
                    0 => (k + add, *v),
                    _ => (*k, *v),
                })
                .await;
            }
            Step::Delete { table, from, rows } => self.delete(*table, *from, *rows).await,
            Step::Begin | Step::Commit | Step::Rollback | Step::Savepoint | Step::RollbackTo => {
                self.block(step).await;
            }
            Step::Branch { at } => self.branch(*at).await,
            Step::Tag { at } => self.tag(*at).await,
            Step::Switch(branch) => self.switch(*branch).await,
            Step::Publish { from, into } => self.publish(*from, *into).await,
            Step::FastForward { branch, to } => self.fast_forward(*branch, *to).await,
            Step::RollbackBranch { branch, to } => self.roll_back_branch(*branch, *to).await,
            Step::Reopen => self.reopen().await,
        }
    }

    // ------------------------------------------------------------ statements that write

    /// Runs a statement whose effect on a branch is known; None: it has to be refused with 23505.
    async fn write(&mut self, branch: &str, sql: &str, after: Option<State>) {
        if self.model.block.as_ref().is_some_and(|block| block.failed) {
            let error = self.run(sql).await.expect_err("the block has failed");
            assert_eq!(error.kind().sqlstate(), "25P02", "{sql}: {error:?}");
            return;
        }
        let answer = self.run(sql).await;
        match (answer, after) {
            (Ok(_), Some(after)) => match &mut self.model.block {
                Some(block) => block.now = after,
                None => self.committed(branch, after),
            },
            (Err(error), None) => {
                assert_eq!(error.kind().sqlstate(), "23505", "{sql}: {error:?}");
                if let Some(block) = &mut self.model.block {
                    block.failed = true;
                }
            }
            (answer, after) => {
                panic!("{sql} answered {answer:?}; the model allows it: {}", after.is_some())
            }
        }
    }

    /// Notes where the branch is after something was committed to it.
    fn committed(&mut self, branch: &str, after: State) {
        let (before, head) = (self.model.head(branch), self.head(branch));
        if head == before {
            assert_eq!(self.model.commits[&before], after, "a change without a commit");
            return;
        }
        let newest = *self.model.commits.keys().next_back().expect("the first is there");
        assert!(head > newest, "commit {head} after commit {newest}");
        self.model.commits.insert(head, after);
        self.model.parents.insert(head, before);
        let moves = self.model.branches.get_mut(branch).expect("known");
        moves.push((self.settings.clock.now_us(), head));
    }

    fn nth_table(&self, n: usize) -> Option<String> {
        let now = self.model.now();
        now.keys().nth(n % now.len().max(1)).cloned()
    }

    async fn create(&mut self, keyed: bool) {
        let name = self.new_name('t');
        self.tables.insert(name.clone());
        let key = if keyed { " PRIMARY KEY" } else { "" };
        let mut after = self.model.now().clone();
        after.entry(name.clone()).or_default().keyed = keyed;
        let on = self.model.on.clone();
        self.write(&on, &format!("CREATE TABLE {name} (k int{key}, v int)"), Some(after)).await;
    }

    async fn drop_table(&mut self, table: usize) {
        let Some(name) = self.nth_table(table) else { return };
        let mut after = self.model.now().clone();
        after.remove(&name);
        let on = self.model.on.clone();
        self.write(&on, &format!("DROP TABLE {name}"), Some(after)).await;
    }

    async fn insert(&mut self, table: usize, from: i32, rows: i32) {
        let Some(name) = self.nth_table(table) else { return };
        let sql = insert(&name, from, rows);
        let mut after = self.model.now().clone();
        let new = (from..from + rows).map(|k| (k, k % 10));
        let fits = after.get_mut(&name).expect("picked").insert(new);
        let on = self.model.on.clone();
        self.write(&on, &sql, fits.then_some(after)).await;
    }

    async fn insert_elsewhere(&mut self, table: usize, branch: usize, from: i32) {
        let branch = self.model.nth_branch(branch);
        if self.model.block.is_some() {
            return;
        }
        let mut after = self.model.commits[&self.model.head(&branch)].clone();
        let Some(name) = after.keys().nth(table % after.len().max(1)).cloned() else { return };
        let fits =
            after.get_mut(&name).expect("picked").insert((from..from + 3).map(|k| (k, k % 10)));
        let sql = insert(&format!("{name}.branch_{branch}"), from, 3);
        self.write(&branch, &sql, fits.then_some(after)).await;
    }

    async fn update(&mut self, table: usize, change: &str, map: impl FnMut(&Row) -> Row) {
        let Some(name) = self.nth_table(table) else { return };
        let mut after = self.model.now().clone();
        let fits = after.get_mut(&name).expect("picked").map(map);
        let on = self.model.on.clone();
        self.write(&on, &format!("UPDATE {name} SET {change}"), fits.then_some(after)).await;
    }

    async fn delete(&mut self, table: usize, from: i32, rows: i32) {
        let Some(name) = self.nth_table(table) else { return };
        let gone = from..from + rows;
        let sql = format!("DELETE FROM {name} WHERE k >= {} AND k < {}", gone.start, gone.end);
        let mut after = self.model.now().clone();
        after.get_mut(&name).expect("picked").keep(|(k, _)| !gone.contains(k));
        let on = self.model.on.clone();
        self.write(&on, &sql, Some(after)).await;
    }

    async fn block(&mut self, step: &Step) {
        let on = self.model.on.clone();
        match (step, self.model.block.take()) {
            (Step::Begin, None) => {
                self.must("BEGIN").await;
                let now = self.model.now().clone();
                self.model.block = Some(Block { now, ..Block::default() });
            }
            (Step::Commit, Some(block)) => {
                self.must("COMMIT").await;
                let kept = match block.failed {
                    true => self.model.commits[&self.model.head(&on)].clone(),
                    false => block.now,
                };
                self.committed(&on, kept);
            }
            (Step::Rollback, Some(_)) => drop(self.must("ROLLBACK").await),
            (Step::Savepoint, Some(mut block)) if !block.failed => {
                self.must("SAVEPOINT s").await;
                block.savepoints.push(block.now.clone());
                self.model.block = Some(block);
            }
            (Step::RollbackTo, Some(mut block)) if !block.savepoints.is_empty() => {
                self.must("ROLLBACK TO SAVEPOINT s").await;
                block.now = block.savepoints.last().expect("it has one").clone();
                block.failed = false;
                self.model.block = Some(block);
            }
            (_, block) => self.model.block = block,
        }
    }

    // ------------------------------------------------------------ refs, outside blocks

    async fn branch(&mut self, at: usize) {
        if self.model.block.is_some() {
            return;
        }
        let (name, at) = (self.new_name('b'), self.model.nth_commit(at));
        self.must(&format!("CREATE BRANCH {name} AS OF VERSION {at}")).await;
        self.model.branches.insert(name, vec![(self.now_us(), at)]);
    }

    async fn tag(&mut self, at: usize) {
        if self.model.block.is_some() {
            return;
        }
        let (name, at) = (self.new_name('g'), self.model.nth_commit(at));
        self.must(&format!("CREATE TAG {name} AS OF VERSION {at}")).await;
        self.model.tags.insert(name, at);
    }

    async fn switch(&mut self, branch: usize) {
        if self.model.block.is_none() {
            self.model.on = self.model.nth_branch(branch);
            self.must(&format!("SET branch = '{}'", self.model.on)).await;
        }
    }

    async fn publish(&mut self, from: usize, into: usize) {
        let (from, into) = (self.model.nth_branch(from), self.model.nth_branch(into));
        let (old, new) = (self.model.head(&into), self.model.head(&from));
        if !self.model.is_ancestor(old, new) && !self.model.is_ancestor(new, old) {
            // It would be a merge: `merging` has those.
            return;
        }
        self.advance(&into, &from, &format!("PUBLISH BRANCH {from} INTO {into}")).await;
    }

    async fn fast_forward(&mut self, branch: usize, to: usize) {
        let (branch, to) = (self.model.nth_branch(branch), self.model.nth_branch(to));
        let (old, new) = (self.model.head(&branch), self.model.head(&to));
        if old != new && self.model.is_ancestor(new, old) {
            return;
        }
        let sql = format!("CALL system.fast_forward(branch => '{branch}', to => '{to}')");
        self.advance(&branch, &to, &sql).await;
    }

    /// A branch moves up to another where that is forward, and stays where it is otherwise.
    async fn advance(&mut self, branch: &str, to: &str, sql: &str) {
        if self.model.block.is_some() || branch == to {
            return;
        }
        let (old, new) = (self.model.head(branch), self.model.head(to));
        let answer = self.run(sql).await;
        let (forward, there) = (self.model.is_ancestor(old, new), self.model.is_ancestor(new, old));
        assert_eq!(answer.is_ok(), forward || there, "{sql}: {answer:?}");
        if forward && old != new {
            let time_us = self.now_us();
            self.model.branches.get_mut(branch).expect("known").push((time_us, new));
        }
    }

    async fn roll_back_branch(&mut self, branch: usize, to: usize) {
        if self.model.block.is_some() {
            return;
        }
        let (branch, to) = (self.model.nth_branch(branch), self.model.nth_commit(to));
        self.must(&format!("ROLLBACK BRANCH {branch} TO {to}")).await;
        let time_us = self.now_us();
        self.model.branches.get_mut(&branch).expect("known").push((time_us, to));
    }

    /// Closing the folder rolls an open block back.
    async fn reopen(&mut self) {
        self.open = None;
        self.model.block = None;
        self.open();
        if self.model.on != "main" {
            self.must(&format!("SET branch = '{}'", self.model.on)).await;
        }
        for n in 0..self.model.commits.len() {
            self.compare(n).await;
        }
    }

    // ------------------------------------------------------------ comparing

    /// What the session sees, every head, and one version of each kind.
    async fn compare(&mut self, n: usize) {
        if let Some(block) = &self.model.block {
            if !block.failed {
                let now = block.now.clone();
                self.expect("", &now).await;
            }
            return;
        }
        let now = self.model.now().clone();
        self.expect("", &now).await;
        let branch = self.model.nth_branch(n);
        let head = self.model.head(&branch);
        assert_eq!(self.head(&branch), head, "the head of {branch}");
        self.expect_commit(&format!("@{branch}"), head).await;
        let commit = self.model.nth_commit(n);
        self.expect_commit(&format!(" FOR SYSTEM_VERSION AS OF {commit}"), commit).await;
        let tag = self.model.tags.iter().nth(n % self.model.tags.len().max(1));
        if let Some((tag, commit)) = tag.map(|(tag, commit)| (tag.clone(), *commit)) {
            self.expect_commit(&format!(" FOR SYSTEM_VERSION AS OF '{tag}'"), commit).await;
        }
        let moves = &self.model.branches[&self.model.on];
        let (time_us, commit) = moves[n % moves.len()];
        let later_us = [0, 1, 999_999][n % 3];
        if time_us + later_us <= self.now_us() {
            let time = rfc3339(time_us + later_us);
            self.expect_commit(&format!(" FOR SYSTEM_TIME AS OF TIMESTAMPTZ '{time}'"), commit)
                .await;
        }
    }

    async fn expect_commit(&mut self, version: &str, commit: u64) {
        let state = self.model.commits[&commit].clone();
        self.expect(version, &state).await;
    }

    async fn expect(&mut self, version: &str, state: &State) {
        for name in self.tables.clone() {
            // An error would fail a block.
            if self.model.block.is_some() && !state.contains_key(&name) {
                continue;
            }
            let sql = format!("SELECT k, v FROM {name}{version}");
            match (self.run(&sql).await, state.get(&name)) {
                (Ok(rows), Some(table)) => {
                    let mut rows: Vec<Row> = rows.iter().map(|row| number_row(row)).collect();
                    rows.sort_unstable();
                    assert!(rows == table.rows, "{sql}: {}", difference(&rows, &table.rows));
                    let counted = self.must(&format!("SELECT count(*) FROM {name}{version}")).await;
                    assert_eq!(counted[0][0], rows.len().to_string(), "{sql} counted");
                }
                (Err(error), None) => {
                    assert_eq!(error.kind().sqlstate(), "42P01", "{sql}: {error:?}");
                }
                (Ok(rows), None) => panic!("{sql} answered {} rows of no table", rows.len()),
                (Err(error), Some(_)) => panic!("{sql}: {error:?}"),
            }
        }
    }
}

fn insert(target: &str, from: i32, rows: i32) -> String {
    let end = from + rows - 1;
    match rows {
        MANY => format!(
            "INSERT INTO {target} SELECT n, n % 10 FROM generate_series({from}, {end}) g(n)"
        ),
        _ => {
            let values: Vec<String> = (from..=end).map(|k| format!("({k}, {})", k % 10)).collect();
            format!("INSERT INTO {target} VALUES {}", values.join(", "))
        }
    }
}

fn number_row(row: &[String]) -> Row {
    let number = |text: &String| text.parse().expect("a number");
    (number(&row[0]), number(&row[1]))
}

/// The first rows that differ: whole tables do not fit on a screen.
fn difference(found: &[Row], wanted: &[Row]) -> String {
    let at = found.iter().zip(wanted).position(|(a, b)| a != b);
    let at = at.unwrap_or_else(|| found.len().min(wanted.len()));
    let some = |rows: &[Row]| rows[at..].iter().take(5).copied().collect::<Vec<_>>();
    format!(
        "{} rows for {}, from row {at} on {:?} for {:?}",
        found.len(),
        wanted.len(),
        some(found),
        some(wanted)
    )
}

/// µs since 1970 as text that SQL reads: every time here lies within the first day of 2026.
fn rfc3339(time_us: i64) -> String {
    let (seconds, us) = ((time_us - START_US) / 1_000_000, time_us % 1_000_000);
    let text = format!(
        "2026-01-01 {:02}:{:02}:{:02}.{us:06}+00",
        seconds / 3600,
        seconds / 60 % 60,
        seconds % 60
    );
    assert_eq!(parse_timestamptz(text.as_bytes(), &TextOptions::default()).ok(), Some(time_us));
    text
}
