//! The database and the model, step by step side by side.

mod retention;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use asofdb::config::Settings;
use asofdb::server::query_runtime;
use asofdb::session::Database;
use asofdb::spec::TableId;
use asofdb::store::{CompactOptions, ExpireOptions, Store};

use super::Step;
use crate::guest::Guest;
use crate::property::{Told, home, in_time};

const START_US: i64 = 1_767_225_600_000_000;
const TICK: Duration = Duration::from_secs(1);
const MANY: i32 = 9_000;
/// `a` has a key, `b` has none.
const TABLES: [&str; 2] = ["a", "b"];

type Row = (i32, i32);
/// The rows of both tables, sorted.
type State = [Vec<Row>; 2];

/// What both tables say of their history, in seconds.
type Said = [Option<u64>; 2];

#[derive(Default)]
struct Model {
    commits: BTreeMap<u64, State>,
    /// When each was made (µs), and what the tables said then.
    said: BTreeMap<u64, (i64, Said)>,
    /// The commits of each branch that change rows or tables, oldest first.
    branches: BTreeMap<String, Vec<u64>>,
    tags: BTreeMap<String, u64>,
    /// When tags that age were made (µs), and how many seconds they last.
    aging: BTreeMap<String, (i64, u64)>,
    /// Branches that say how many of their commits stay.
    keeping: BTreeMap<String, u64>,
    /// Refs of one table: the table, the commit, the rows.
    own: BTreeMap<String, (usize, u64, Vec<Row>)>,
    on: String,
    /// What an expiry of a branch, or of one table on it, may have taken.
    expired: BTreeSet<(u64, usize)>,
}

pub(super) struct House {
    settings: Settings,
    open: Option<(Guest, Database)>,
    reader: Option<(Guest, State)>,
    model: Model,
    names: usize,
    told: Told,
    _folder: tempfile::TempDir,
}

impl House {
    pub(super) fn build() -> House {
        let (folder, settings) = home(START_US);
        let model = Model { on: "main".to_owned(), ..Model::default() };
        let (open, reader) = (None, None);
        let told = Told::of("upkeep");
        House { settings, open, reader, model, names: 0, told, _folder: folder }
    }

    fn open(&mut self) {
        let database =
            Database::open(&self.settings.data, self.settings.clone()).expect("it opens");
        self.open = Some((Guest::arrive(&database), database));
    }

    pub(super) fn live(mut self, steps: &[Step]) {
        let runtime = query_runtime(&self.settings).expect("threads");
        runtime.block_on(async {
            self.open();
            self.must("CREATE TABLE a (k int PRIMARY KEY, v int)").await;
            self.must("CREATE TABLE b (k int, v int)").await;
            let head = self.head("main");
            self.model.commits.insert(head, State::default());
            self.model.said.insert(head, (self.settings.clock.now_us(), [None; 2]));
            self.model.branches.insert("main".to_owned(), vec![head]);
            for step in steps {
                self.settings.clock.advance(TICK);
                self.told.tell(&format!("-- {step:?}"));
                in_time(step, async {
                    self.take(step).await;
                    self.compare_heads().await;
                })
                .await;
            }
            self.reader = None;
            self.compare_all().await;
            self.leave_nothing().await;
        });
        self.open = None;
        drop(runtime);
        let problems = Database::check(&self.settings.data).expect("a check");
        assert_eq!(problems, Vec::<String>::new());
    }

    fn store(&self) -> Store {
        self.open.as_ref().expect("open").1.store().clone()
    }

    async fn must(&mut self, sql: &str) -> Vec<Vec<String>> {
        self.told.tell(sql);
        self.open.as_mut().expect("open").0.must(sql).await
    }

    fn head(&self, branch: &str) -> u64 {
        self.store().head(branch).expect("the branch is there").commit().0
    }

    fn table_id(&self, table: usize) -> TableId {
        let head = self.store().head("main").expect("main");
        head.table("public", TABLES[table]).expect("readable").expect("it is there").id()
    }

    fn now(&self) -> State {
        let tip = self.model.branches[&self.model.on].last().expect("a branch has a commit");
        self.model.commits[tip].clone()
    }

    fn new_name(&mut self, letter: char) -> String {
        self.names += 1;
        format!("{letter}{}", self.names)
    }

    async fn take(&mut self, step: &Step) {
        match step {
            Step::InsertFew { table, from, rows } => self.insert(*table % 2, *from, *rows).await,
            Step::InsertMany { table, from } => self.insert(*table % 2, *from, MANY).await,
            Step::Update { table, every, add } => self.update(*table % 2, *every, *add).await,
            Step::Delete { table, from, rows } => self.delete(*table % 2, *from, *rows).await,
            Step::Branch(n) => self.branch(*n, None).await,
            Step::BranchOf { at, commits } => self.branch(*at, Some(*commits)).await,
            Step::TagFor { at, seconds } => {
                let Some(at) = self.readable(*at) else { return };
                let name = self.new_name('g');
                self.must(&format!(
                    "CREATE TAG {name} AS OF VERSION {at} RETAIN {seconds} SECONDS"
                ))
                .await;
                let made = (self.settings.clock.now_us(), *seconds);
                self.model.aging.insert(name.clone(), made);
                self.model.tags.insert(name, at);
            }
            Step::TagTable { table, at } => drop(self.own(*table % 2, *at, "TAG").await),
            Step::BranchTable { table, at } => self.own_branch(*table % 2, *at).await,
            Step::Retention { table, seconds } => self.say(*table % 2, *seconds).await,
            Step::Tag(n) => {
                let Some(at) = self.readable(*n) else { return };
                let name = self.new_name('g');
                self.must(&format!("CREATE TAG {name} AS OF VERSION {at}")).await;
                self.model.tags.insert(name, at);
            }
            Step::DropTag(n) => {
                let tags = &self.model.tags;
                let Some(name) = tags.keys().nth(n % tags.len().max(1)).cloned() else { return };
                self.must(&format!("DROP TAG {name}")).await;
                self.model.tags.remove(&name);
                self.model.aging.remove(&name);
            }
            Step::Switch(n) => {
                let branches = &self.model.branches;
                self.model.on = branches.keys().nth(n % branches.len()).expect("main").clone();
                self.must(&format!("SET branch = '{}'", self.model.on)).await;
            }
            Step::Publish(n) => self.publish(*n).await,
            Step::WriteAcross { table, every } => self.write_across(*table % 2, *every).await,
            Step::Read => {
                let mut guest = Guest::arrive(&self.open.as_ref().expect("open").1);
                guest.must(&format!("SET branch = '{}'", self.model.on)).await;
                guest.must("BEGIN").await;
                guest.must("SELECT count(*) FROM a").await;
                self.reader = Some((guest, self.now()));
            }
            Step::EndRead => self.reader = None,
            Step::Reopen => {
                (self.reader, self.open) = (None, None);
                self.open();
                self.must(&format!("SET branch = '{}'", self.model.on)).await;
                self.compare_all().await;
            }
            _ => {
                self.care(step).await;
                self.compare_all().await;
            }
        }
    }

    async fn care(&mut self, step: &Step) {
        let store = self.store();
        let on = self.model.on.clone();
        match step {
            Step::Fold => drop(store.fold_one(None, 1).await.expect("it folds")),
            Step::Compact { table, small_files } => {
                let target_bytes = if *small_files { 2_000 } else { 1 << 20 };
                let options = CompactOptions { target_bytes, all: true, only: None };
                let id = self.table_id(table % 2);
                store.compact_one(&on, id, &options).await.expect("it compacts");
            }
            Step::Expire { keep } => self.expire(None, *keep).await,
            Step::ExpireByRule => self.expire_by_rule().await,
            Step::ExpireTable { table, keep } => self.expire(Some(table % 2), *keep).await,
            Step::Orphans => {
                store.remove_orphans(None, false).expect("it looks");
                let orphans = store.remove_orphans(None, true).expect("it looks");
                assert_eq!(orphans, Vec::<String>::new(), "they were removed");
            }
            _ => unreachable!("a step of upkeep"),
        }
        store.collect().await.expect("it collects");
    }

    // ------------------------------------------------------------ writing

    /// Runs a statement; None: it has to be refused with 23505.
    async fn write(&mut self, sql: &str, after: Option<State>) {
        let answer = self.open.as_mut().expect("open").0.run(sql).await;
        match (answer, after) {
            (Ok(_), Some(after)) => self.committed(after),
            (Err(error), None) => assert_eq!(error.kind().sqlstate(), "23505", "{sql}: {error:?}"),
            (answer, after) => panic!("{sql}: {answer:?}, {}", after.is_some()),
        }
    }

    fn committed(&mut self, after: State) {
        let on = self.model.on.clone();
        let head = self.head(&on);
        if self.model.commits.contains_key(&head) || self.now() == after {
            return;
        }
        let said = self.said(&on);
        self.model.said.insert(head, (self.settings.clock.now_us(), said));
        self.model.commits.insert(head, after);
        self.model.branches.get_mut(&on).expect("known").push(head);
    }

    async fn insert(&mut self, table: usize, from: i32, rows: i32) {
        let name = TABLES[table];
        let end = from + rows - 1;
        let mut after = self.now();
        after[table].extend((from..=end).map(|k| (k, k % 10)));
        after[table].sort_unstable();
        let twice = after[table].windows(2).any(|pair| pair[0].0 == pair[1].0);
        let sql =
            format!("INSERT INTO {name} SELECT n, n % 10 FROM generate_series({from}, {end}) g(n)");
        self.write(&sql, (table == 1 || !twice).then_some(after)).await;
    }

    async fn update(&mut self, table: usize, every: i32, add: i32) {
        let after = self.updated(table, every, add);
        let name = TABLES[table];
        self.write(&format!("UPDATE {name} SET v = v + {add} WHERE k % {every} = 0"), Some(after))
            .await;
    }

    fn updated(&self, table: usize, every: i32, add: i32) -> State {
        let mut after = self.now();
        for row in after[table].iter_mut().filter(|row| row.0 % every == 0) {
            row.1 += add;
        }
        after[table].sort_unstable();
        after
    }

    async fn delete(&mut self, table: usize, from: i32, rows: i32) {
        let gone = from..from.saturating_add(rows);
        let mut after = self.now();
        after[table].retain(|(k, _)| !gone.contains(k));
        let name = TABLES[table];
        let sql = format!("DELETE FROM {name} WHERE k >= {} AND k < {}", gone.start, gone.end);
        self.write(&sql, Some(after)).await;
    }

    async fn write_across(&mut self, table: usize, every: i32) {
        let name = TABLES[table];
        let mut after = self.updated(table, every, 1);
        after[table].retain(|(k, _)| *k != 7);
        self.must("BEGIN").await;
        self.must(&format!("UPDATE {name} SET v = v + 1 WHERE k % {every} = 0")).await;
        self.must(&format!("DELETE FROM {name} WHERE k = 7")).await;
        self.care(&Step::Fold).await;
        self.care(&Step::Compact { table, small_files: true }).await;
        self.must("COMMIT").await;
        self.committed(after);
    }

    // ------------------------------------------------------------ refs

    async fn branch(&mut self, n: usize, commits: Option<u64>) {
        let Some(at) = self.readable(n) else { return };
        let name = self.new_name('b');
        let keeps = commits.map_or_else(String::new, |commits| {
            format!(" WITH SNAPSHOT RETENTION {commits} SNAPSHOTS")
        });
        self.must(&format!("CREATE BRANCH {name} AS OF VERSION {at}{keeps}")).await;
        self.model.keeping.extend(commits.map(|commits| (name.clone(), commits)));
        let from = self.model.branches.values().find(|chain| chain.contains(&at));
        let mut chain = from.cloned().unwrap_or_else(|| vec![at]);
        chain.truncate(chain.iter().position(|id| *id == at).map_or(1, |i| i + 1));
        self.model.branches.insert(name, chain);
    }

    /// The session's branch moves up to another, where that only adds commits.
    async fn publish(&mut self, n: usize) {
        let (on, branches) = (self.model.on.clone(), &self.model.branches);
        let other = branches.keys().nth(n % branches.len()).expect("main").clone();
        let (ours, theirs) = (branches[&on].clone(), branches[&other].clone());
        if ours.last() == theirs.last() || !theirs.contains(ours.last().expect("a commit")) {
            return;
        }
        self.must(&format!("CALL system.fast_forward('a', '{on}', '{other}')")).await;
        self.model.branches.insert(on, theirs);
    }

    /// A commit that must be readable as a whole.
    fn readable(&self, n: usize) -> Option<u64> {
        let kept: Vec<u64> = self
            .model
            .commits
            .keys()
            .rev()
            .copied()
            .filter(|id| (0..2).all(|table| self.must_stay(*id, table)))
            .collect();
        kept.get(n % kept.len().max(1)).copied()
    }

    fn must_stay(&self, commit: u64, table: usize) -> bool {
        let tips = self.model.branches.values().filter_map(|chain| chain.last());
        let own = self.model.own.values().filter(|(of, _, _)| *of == table).map(|(_, at, _)| at);
        tips.chain(self.model.tags.values()).chain(own).any(|id| *id == commit)
            || !self.model.expired.contains(&(commit, table))
    }

    // ------------------------------------------------------------ upkeep

    async fn expire(&mut self, table: Option<usize>, keep: u64) {
        let on = self.model.on.clone();
        let options = ExpireOptions {
            table: table.map(|table| self.table_id(table)),
            branch: Some(on.clone()),
            older_than_us: Some(self.settings.clock.now_us() + 1),
            retain_last: Some(keep),
        };
        self.store().expire(&options).await.expect("it expires");
        if table.is_none() {
            self.age();
        }
        let keep = self.model.keeping.get(&on).copied().unwrap_or(keep);
        let chain = &self.model.branches[&on];
        let kept: BTreeSet<u64> = chain.iter().rev().take(keep as usize).copied().collect();
        let oldest = *kept.first().expect("a branch keeps its head");
        for table in table.map_or(0..2, |table| table..table + 1) {
            let said = self.oldest_said(&on, table).unwrap_or(oldest);
            self.forget(table, oldest.min(said));
        }
        let lone = self.model.branches.len() == 1
            && self.model.tags.is_empty()
            && self.model.own.is_empty();
        if let (true, None, None) = (lone, table, &self.reader) {
            let oldest = oldest.min(self.oldest_said(&on, 0).unwrap_or(oldest));
            for commit in self.model.commits.range(..oldest).map(|(id, _)| *id).collect::<Vec<_>>()
            {
                let sql = format!("SELECT * FROM a FOR SYSTEM_VERSION AS OF {commit}");
                let error = self.open.as_mut().expect("open").0.run(&sql).await;
                assert_eq!(error.expect_err("expired").kind().sqlstate(), "72000", "{sql}");
            }
        }
    }

    /// Everything that may go is gone, and everything that is there is named.
    async fn leave_nothing(&mut self) {
        let options = ExpireOptions {
            older_than_us: Some(self.settings.clock.now_us() + 1),
            retain_last: Some(1),
            ..ExpireOptions::default()
        };
        let store = self.store();
        store.expire(&options).await.expect("it expires");
        let again = store.expire(&options).await.expect("it expires");
        assert_eq!(again, Default::default(), "the first time left something");
        store.collect().await.expect("it collects");
        self.compare_heads().await;
        // Statements that were refused may have left some.
        store.remove_orphans(None, false).expect("it looks");
        assert_eq!(store.check(|_, _| {}).expect("a check"), []);
    }

    // ------------------------------------------------------------ comparing

    async fn compare_heads(&mut self) {
        let now = self.now();
        for (table, rows) in now.iter().enumerate() {
            self.expect(table, "", rows).await;
        }
        let names: Vec<String> = self.model.branches.keys().cloned().collect();
        for branch in names {
            let state =
                self.model.commits[self.model.branches[&branch].last().expect("tip")].clone();
            for (table, rows) in state.iter().enumerate() {
                self.expect(table, &format!("@{branch}"), rows).await;
            }
        }
        if let Some((mut guest, state)) = self.reader.take() {
            for (table, name) in TABLES.iter().enumerate() {
                let rows = guest.must(&format!("SELECT k, v FROM {name}")).await;
                same(&format!("{name} in an open block"), &rows, &state[table]);
            }
            self.reader = Some((guest, state));
        }
    }

    async fn compare_all(&mut self) {
        let tags: Vec<(String, u64)> =
            self.model.tags.iter().map(|(name, at)| (name.clone(), *at)).collect();
        for (tag, at) in tags {
            let state = self.model.commits[&at].clone();
            for (table, rows) in state.iter().enumerate() {
                let version = format!(" FOR SYSTEM_VERSION AS OF '{tag}'");
                self.expect(table, &version, rows).await;
            }
        }
        for (name, (table, _, rows)) in self.model.own.clone() {
            self.expect(table, &format!("@{name}"), &rows).await;
        }
        for (commit, state) in self.model.commits.clone() {
            for table in 0..2 {
                let name = TABLES[table];
                let sql = format!("SELECT k, v FROM {name} FOR SYSTEM_VERSION AS OF {commit}");
                match self.open.as_mut().expect("open").0.run(&sql).await {
                    Ok(rows) => same(&sql, &rows, &state[table]),
                    Err(error) => {
                        assert_eq!(error.kind().sqlstate(), "72000", "{sql}: {error:?}");
                        assert!(!self.must_stay(commit, table), "{sql}: {error:?}");
                    }
                }
            }
        }
        // By key, too: the short way to a row knows of every place.
        let now = self.now();
        if let Some((k, v)) = now[0].last() {
            let found = self.must(&format!("SELECT v FROM a WHERE k = {k}")).await;
            assert_eq!(found, [[v.to_string()]]);
        }
    }

    async fn expect(&mut self, table: usize, version: &str, wanted: &[Row]) {
        let sql = format!("SELECT k, v FROM {}{version}", TABLES[table]);
        let rows = self.must(&sql).await;
        same(&sql, &rows, wanted);
    }
}

fn same(sql: &str, found: &[Vec<String>], wanted: &[Row]) {
    let number = |text: &String| text.parse::<i32>().expect("a number");
    let mut rows: Vec<Row> = found.iter().map(|row| (number(&row[0]), number(&row[1]))).collect();
    rows.sort_unstable();
    let at = rows.iter().zip(wanted).position(|(a, b)| a != b).unwrap_or(0);
    assert!(
        rows == wanted,
        "{sql}: {} rows for {}, {:?} for {:?}",
        rows.len(),
        wanted.len(),
        &rows[at.min(rows.len())..].iter().take(4).collect::<Vec<_>>(),
        &wanted[at.min(wanted.len())..].iter().take(4).collect::<Vec<_>>()
    );
}
