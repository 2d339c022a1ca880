//! The database and the model, step by step side by side.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use asofdb::config::Settings;
use asofdb::server::query_runtime;
use asofdb::session::Database;
use asofdb::store::CompactOptions;

use super::model::{Block, State, Verdict, Work, has_distinct_keys};
use super::{Step, Write};
use crate::guest::Guest;
use crate::property::{Told, home, in_time};

const START_US: i64 = 1_767_225_600_000_000;
pub(super) const GUESTS: usize = 3;
/// More than the log keeps of one statement.
pub(super) const MANY: i64 = 8_200;
const NAMES: [&str; 2] = ["a", "b"];

/// Blocks that changed something, over all cases: done, and refused.
pub(super) static DONE: AtomicUsize = AtomicUsize::new(0);
pub(super) static CONFLICTS: AtomicUsize = AtomicUsize::new(0);
pub(super) static DUPLICATES: AtomicUsize = AtomicUsize::new(0);

pub(super) struct World {
    settings: Settings,
    head: State,
    /// By guest.
    blocks: BTreeMap<usize, Block>,
    next_u: i64,
    /// What the identity columns gave so far, by row.
    ids: [BTreeMap<i64, i64>; 2],
    told: Told,
    _folder: tempfile::TempDir,
}

/// The sessions: the writers, and one that looks.
struct House {
    database: Database,
    guests: Vec<Guest>,
    watcher: Guest,
}

impl World {
    pub(super) fn build() -> World {
        let (folder, settings) = home(START_US);
        World {
            settings,
            head: State::default(),
            blocks: BTreeMap::new(),
            next_u: 1,
            ids: Default::default(),
            told: Told::of("writers"),
            _folder: folder,
        }
    }

    pub(super) fn live(mut self, steps: &[Step]) {
        let runtime = query_runtime(&self.settings).expect("threads");
        runtime.block_on(async {
            let database =
                Database::open(&self.settings.data, self.settings.clone()).expect("it opens");
            let mut house = House {
                guests: (0..GUESTS).map(|_| Guest::arrive(&database)).collect(),
                watcher: Guest::arrive(&database),
                database,
            };
            self.furnish(&mut house).await;
            for (n, step) in steps.iter().enumerate() {
                self.settings.clock.advance(Duration::from_secs(1));
                in_time(step, async {
                    self.take(&mut house, step).await;
                    self.compare(&mut house, n).await;
                })
                .await;
            }
        });
        drop(runtime);
        let problems = Database::check(&self.settings.data).expect("a check");
        assert_eq!(problems, Vec::<String>::new());
    }

    async fn furnish(&mut self, house: &mut House) {
        let id = "id bigint GENERATED ALWAYS AS IDENTITY";
        for sql in [
            format!("CREATE TABLE a (u bigint, k int PRIMARY KEY, x int UNIQUE, v int, {id})"),
            format!("CREATE TABLE b (u bigint, k int, x int, v int, {id})"),
        ] {
            self.told.tell(&sql);
            house.watcher.must(&sql).await;
        }
        let write = Write::Insert { from: 0, rows: 12, unique: Some(0) };
        for table in 0..2 {
            self.write(house, 0, table, &write).await;
        }
    }

    async fn take(&mut self, house: &mut House, step: &Step) {
        match step {
            Step::Write { guest, table, write } => self.write(house, *guest, *table, write).await,
            Step::Begin(n) if !self.blocks.contains_key(n) => {
                // The look is the block's first statement, which takes the snapshot.
                self.say(house, *n, "BEGIN; SELECT u FROM a WHERE false").await;
                let now = self.head.clone();
                let work = Work { now, ..Work::default() };
                let base = self.head.clone();
                let block = Block { base, work, savepoints: Vec::new(), failed: false };
                self.blocks.insert(*n, block);
            }
            Step::Begin(_) => {}
            Step::Commit(n) => self.commit(house, *n).await,
            Step::Rollback(n) => {
                if self.blocks.remove(n).is_some() {
                    self.say(house, *n, "ROLLBACK").await;
                }
            }
            Step::Savepoint(n) => {
                if let Some(block) = self.blocks.get_mut(n).filter(|block| !block.failed) {
                    block.savepoints.push(block.work.clone());
                    self.say(house, *n, "SAVEPOINT s").await;
                }
            }
            Step::RollbackTo(n) => {
                let block = self.blocks.get_mut(n).filter(|block| !block.savepoints.is_empty());
                if let Some(block) = block {
                    block.work = block.savepoints.last().expect("there is one").clone();
                    block.failed = false;
                    self.say(house, *n, "ROLLBACK TO SAVEPOINT s").await;
                }
            }
            Step::Alter(table) => {
                self.head[*table].shape += 1;
                let column = format!("c{}", self.head[*table].shape);
                let sql = format!("ALTER TABLE {} ADD COLUMN {column} int", NAMES[*table]);
                self.told.tell(&sql);
                house.watcher.must(&sql).await;
            }
            Step::Fold => {
                self.told.tell("-- fold");
                house.database.store().fold_one(None, 1).await.expect("it folds");
            }
            Step::Compact(table) => {
                self.told.tell(&format!("-- compact {}", NAMES[*table]));
                let store = house.database.store();
                let head = store.head("main").expect("main");
                let found = head.table("public", NAMES[*table]).expect("readable").expect("there");
                let options = CompactOptions { target_bytes: 2_000, all: true, only: None };
                store.compact_one("main", found.id(), &options).await.expect("it compacts");
            }
        }
    }

    async fn say(&mut self, house: &mut House, guest: usize, sql: &str) {
        self.told.tell(&format!("/* {guest} */ {sql}"));
        house.guests[guest].must(sql).await;
    }

    async fn write(&mut self, house: &mut House, guest: usize, t: usize, write: &Write) {
        let block = self.blocks.get(&guest);
        let before = block.map_or(&self.head, |block| &block.work.now)[t].rows.clone();
        let (sql, after) = write.apply(NAMES[t], &before, self.next_u);
        self.next_u += MANY;
        self.told.tell(&format!("/* {guest} */ {sql}"));
        let answer = house.guests[guest].run(&sql).await;
        if block.is_some_and(|block| block.failed) {
            let error = answer.expect_err("the block has failed");
            assert_eq!(error.kind().sqlstate(), "25P02", "{sql}: {error:?}");
            return;
        }
        if t == 0 && !has_distinct_keys(&after) {
            let error = answer.expect_err(&sql);
            assert_eq!(error.kind().sqlstate(), "23505", "{sql}: {error:?}");
            self.blocks.get_mut(&guest).into_iter().for_each(|block| block.failed = true);
            return;
        }
        answer.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
        let now = match self.blocks.get_mut(&guest) {
            None => &mut self.head,
            Some(block) => {
                block.work.replaced[t].extend(write.replaced());
                block.work.reruns[t] |= t == 0 && matches!(write, Write::Upsert { .. });
                &mut block.work.now
            }
        };
        now[t].rows = after;
        self.number(house, guest, t, &before).await;
    }

    /// The numbers of new rows are new ones, and no row's number changes.
    async fn number(
        &mut self,
        house: &mut House,
        guest: usize,
        t: usize,
        before: &super::model::Rows,
    ) {
        let sql = format!("SELECT u, id FROM {}", NAMES[t]);
        let given: BTreeSet<i64> = self.ids[t].values().copied().collect();
        for row in house.guests[guest].must(&sql).await {
            let [u, id] = [&row[0], &row[1]].map(|text| text.parse::<i64>().expect("a number"));
            match self.ids[t].get(&u) {
                Some(known) => assert_eq!(*known, id, "row {u} of {}", NAMES[t]),
                None => {
                    assert!(!before.contains_key(&u) && !given.contains(&id), "{id} came twice");
                    self.ids[t].insert(u, id);
                }
            }
        }
    }

    async fn commit(&mut self, house: &mut House, guest: usize) {
        let Some(block) = self.blocks.remove(&guest) else { return };
        self.told.tell(&format!("/* {guest} */ COMMIT"));
        let answer = house.guests[guest].run("COMMIT").await;
        if block.failed {
            answer.expect("it rolls back");
            return;
        }
        match (block.commit(&self.head), answer) {
            (Verdict::Done(after), Ok(_)) => {
                DONE.fetch_add(usize::from(after != self.head), Ordering::Relaxed);
                self.head = after;
            }
            (Verdict::Refused(codes), Err(error)) => {
                let code = error.kind().sqlstate();
                assert!(codes.contains(code), "{codes:?}, not {error:?}");
                let count = if code == "40001" { &CONFLICTS } else { &DUPLICATES };
                count.fetch_add(1, Ordering::Relaxed);
            }
            (Verdict::Done(_), Err(error)) => panic!("nothing is in its way: {error:?}"),
            (Verdict::Refused(codes), Ok(_)) => panic!("it was not refused with {codes:?}"),
        }
    }

    /// The head, and the block of one session after the other.
    async fn compare(&mut self, house: &mut House, n: usize) {
        same("the head", &mut house.watcher, &self.head).await;
        let guest = n % GUESTS;
        if let Some(block) = self.blocks.get(&guest).filter(|block| !block.failed) {
            same(&format!("block {guest}"), &mut house.guests[guest], &block.work.now).await;
        }
    }
}

async fn same(who: &str, guest: &mut Guest, state: &State) {
    for (name, table) in NAMES.iter().zip(state) {
        let mut found = guest.must(&format!("SELECT u, k, x, v FROM {name}")).await;
        found.sort();
        let x = |x: Option<i64>| x.map_or("NULL".to_owned(), |x| x.to_string());
        let mut wanted: Vec<Vec<String>> = table
            .rows
            .iter()
            .map(|(u, row)| vec![u.to_string(), row.k.to_string(), x(row.x), row.v.to_string()])
            .collect();
        wanted.sort();
        let at = found.iter().zip(&wanted).position(|(a, b)| a != b);
        let at = at.unwrap_or_else(|| found.len().min(wanted.len()));
        assert!(
            found == wanted,
            "{who}, {name}: {} rows for {}; {:?} for {:?}",
            found.len(),
            wanted.len(),
            found.get(at),
            wanted.get(at)
        );
    }
}
