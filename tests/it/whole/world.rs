//! The database and the model, step by step side by side.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use asofdb::config::Settings;
use asofdb::error::Result;
use asofdb::server::query_runtime;
use asofdb::session::Database;
use asofdb::store::Store;

use super::model::{Block, Commit, Model, State, Table};
use super::{Object, Step};
use crate::guest::{Guest, Rows};
use crate::property::{Told, home, in_time};

pub(super) const START_US: i64 = 1_767_225_600_000_000;
const TICK: Duration = Duration::from_secs(1);
/// More than the log keeps of one statement.
pub(super) const MANY: i64 = 8_200;

/// Merges of histories that lay apart, and those refused, over all cases.
pub(super) static JOINED: AtomicUsize = AtomicUsize::new(0);
pub(super) static REFUSED: AtomicUsize = AtomicUsize::new(0);

pub(super) struct World {
    pub(super) settings: Settings,
    pub(super) open: Option<(Guest, Database)>,
    /// A block of another session that reads, and what it should see.
    pub(super) reader: Option<(Guest, State)>,
    pub(super) model: Model,
    pub(super) next_u: i64,
    /// The branch that moved last.
    pub(super) moved: String,
    /// Every name that a table ever had.
    pub(super) tables: BTreeSet<String>,
    names: usize,
    told: Told,
    _folder: tempfile::TempDir,
}

impl World {
    pub(super) fn build() -> World {
        let (folder, settings) = home(START_US);
        let mut model = Model { on: "main".to_owned(), ..Model::default() };
        model.commits.insert(1, Commit { state: State::new(), parent: 0, merged: None });
        model.branches.insert("main".to_owned(), vec![(START_US, 1)]);
        World {
            settings,
            open: None,
            reader: None,
            model,
            next_u: 1,
            moved: "main".to_owned(),
            tables: BTreeSet::new(),
            names: 0,
            told: Told::of("whole"),
            _folder: folder,
        }
    }

    pub(super) fn live(mut self, steps: &[Step]) {
        let runtime = query_runtime(&self.settings).expect("threads");
        runtime.block_on(async {
            self.open();
            self.settings.clock.advance(TICK);
            self.take(&Step::Object(Object::Create { keyed: true })).await;
            for (n, step) in steps.iter().enumerate() {
                self.settings.clock.advance(TICK);
                in_time(step, async {
                    self.take(step).await;
                    self.compare(n).await;
                })
                .await;
            }
            self.take(&Step::Reopen).await;
            self.leave_nothing().await;
        });
        (self.reader, self.open) = (None, None);
        drop(runtime);
        let problems = Database::check(&self.settings.data).expect("a check");
        assert_eq!(problems, Vec::<String>::new());
    }

    fn open(&mut self) {
        let database =
            Database::open(&self.settings.data, self.settings.clone()).expect("it opens");
        self.open = Some((Guest::arrive(&database), database));
    }

    async fn take(&mut self, step: &Step) {
        let in_block = self.model.block.is_some();
        match step {
            Step::Object(object) => self.object(object).await,
            Step::Write(write) => self.change_rows(write).await,
            Step::Shape { table, shape } => self.change_shape(*table, shape).await,
            Step::Block(block) => self.block(*block).await,
            Step::Refs(refs) if !in_block => self.refs(refs).await,
            Step::Refs(_) => {}
            Step::Care(care) => {
                self.told.tell(&format!("-- {care:?}"));
                self.care(care).await;
            }
            Step::Reopen => self.reopen().await,
        }
    }

    /// Closing the folder rolls an open block back.
    async fn reopen(&mut self) {
        self.told.tell("-- reopen");
        (self.reader, self.open, self.model.block) = (None, None, None);
        self.open();
        self.must(&format!("SET branch = '{}'", self.model.on)).await;
        self.compare_all().await;
    }

    pub(super) async fn run(&mut self, sql: &str) -> Result<Rows> {
        self.told.tell(sql);
        self.open.as_mut().expect("open").0.run(sql).await
    }

    pub(super) async fn must(&mut self, sql: &str) -> Rows {
        self.told.tell(sql);
        self.open.as_mut().expect("open").0.must(sql).await
    }

    pub(super) fn store(&self) -> Store {
        self.open.as_ref().expect("open").1.store().clone()
    }

    /// The newest commit of a branch that is not upkeep.
    pub(super) fn head(&self, branch: &str) -> u64 {
        let store = self.store();
        let head = store.head(branch).expect("the branch is there").commit();
        store.content(head).expect("it is in the log").0
    }

    pub(super) fn new_name(&mut self, letter: char) -> String {
        self.names += 1;
        format!("{letter}{}", self.names)
    }

    pub(super) fn now_us(&self) -> i64 {
        self.settings.clock.now_us()
    }

    pub(super) fn nth_table(&self, n: usize) -> Option<(u64, Arc<Table>)> {
        let now = self.model.now();
        let (id, table) = now.iter().nth(n % now.len().max(1))?;
        Some((*id, Arc::clone(table)))
    }

    /// Today's state with one table changed.
    pub(super) fn after(&self, id: u64, table: Table) -> State {
        let mut after = self.model.now().clone();
        after.insert(id, Arc::new(table));
        after
    }

    /// Runs a statement on the session's branch, which has to do what the model says or to be
    /// refused so. Whether it was done.
    pub(super) async fn write(
        &mut self,
        sql: &str,
        after: std::result::Result<State, &str>,
    ) -> bool {
        if self.model.block.as_ref().is_some_and(|block| block.failed) {
            let error = self.run(sql).await.expect_err("the block has failed");
            assert_eq!(error.kind().sqlstate(), "25P02", "{sql}: {error:?}");
            return false;
        }
        match (self.run(sql).await, after) {
            (Ok(_), Ok(after)) => {
                match &mut self.model.block {
                    Some(block) => block.now = after,
                    None => self.note(&self.model.on.clone(), after, None),
                }
                true
            }
            (Err(error), Err(code)) => {
                assert_eq!(error.kind().sqlstate(), code, "{sql}: {error:?}");
                if let Some(block) = &mut self.model.block {
                    block.failed = true;
                }
                false
            }
            (Err(error), Ok(_)) => panic!("{sql}: {error:?}"),
            (Ok(_), Err(code)) => panic!("{sql} was not refused with {code}"),
        }
    }

    /// Notes what a branch has after a statement.
    pub(super) fn note(&mut self, branch: &str, state: State, merged: Option<u64>) {
        let (head, parent) = (self.head(branch), self.model.head(branch));
        if head == parent {
            let shown = |state: &State| -> Vec<(String, Rows)> {
                state.values().map(|table| (table.name.clone(), table.shown())).collect()
            };
            let same = shown(&state) == shown(self.model.state(parent));
            assert!(same, "{branch} changed without a commit");
            return;
        }
        let newest = *self.model.commits.keys().next_back().expect("the first is there");
        assert!(head > newest, "commit {head} after commit {newest}");
        self.model.commits.insert(head, Commit { state, parent, merged });
        self.moved(branch, head);
    }

    pub(super) fn moved(&mut self, branch: &str, to: u64) {
        let time_us = self.now_us();
        self.moved = branch.to_owned();
        self.model.branches.entry(branch.to_owned()).or_default().push((time_us, to));
    }

    async fn block(&mut self, step: super::Block) {
        match (step, self.model.block.take()) {
            (super::Block::Begin, None) => {
                self.must("BEGIN").await;
                let now = self.model.now().clone();
                self.model.block = Some(Block { now, ..Block::default() });
            }
            (super::Block::Commit, Some(block)) => {
                self.must("COMMIT").await;
                if !block.failed {
                    self.note(&self.model.on.clone(), block.now, None);
                }
            }
            (super::Block::Rollback, Some(_)) => drop(self.must("ROLLBACK").await),
            (super::Block::Savepoint, Some(mut block)) if !block.failed => {
                self.must("SAVEPOINT s").await;
                block.savepoints.push((block.now.clone(), block.dropped.clone()));
                self.model.block = Some(block);
            }
            (super::Block::RollbackTo, Some(mut block)) if !block.savepoints.is_empty() => {
                self.must("ROLLBACK TO SAVEPOINT s").await;
                (block.now, block.dropped) = block.savepoints.last().expect("it has one").clone();
                block.failed = false;
                self.model.block = Some(block);
            }
            (_, block) => self.model.block = block,
        }
    }
}
