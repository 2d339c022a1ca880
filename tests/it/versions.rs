//! No version clause is ever ignored: each place a table can stand × each spelling, against what that
//! version was when it was the newest.
//!
//! ```text
//!  edits ──► rows, shape, history at the head after each ────┐
//!       └──► place.replace("{}", spelling of that version) ──┴─► the same
//!       └──► target.replace("{}", …) ──► a branch alone changes, or 25006
//! ```

mod connections;
mod places;
mod promises;
mod spellings;

use std::time::Duration;

use asofdb::clock::Clock;
use asofdb::config::Settings;
use asofdb::error::Result;
use asofdb::server::query_runtime;
use asofdb::session::Database;
use proptest::prelude::*;

use super::guest::{Guest, Rows};
use places::{PLACES, TARGETS, Tells, takes_columns, takes_parameters};
use spellings::{Spelling, State, Version, spellings};

use crate::property::{config, home};

/// 2026-01-01 00:00:00 UTC.
const START_US: i64 = 1_767_225_600_000_000;
const TICK: Duration = Duration::from_secs(1);

/// A change of table t.
#[derive(Clone, Debug)]
enum Edit {
    Insert(i32),
    Update(i32),
    Delete(i32),
}

fn edit() -> impl Strategy<Value = Edit> {
    prop_oneof![
        3 => (0..9_i32).prop_map(Edit::Insert),
        2 => (1..4_i32).prop_map(Edit::Update),
        1 => (1..4_i32).prop_map(Edit::Delete),
    ]
}

/// A database with a history of t, and every version of it that a statement can name.
struct World {
    guest: Guest,
    clock: Clock,
    versions: Vec<Version>,
    /// Commits of main in order, with what t was.
    mains: Vec<Version>,
    database: Option<Database>,
    folder: tempfile::TempDir,
    fresh: i32,
    /// The columns of t at the head of main.
    columns: Rows,
}

/// How a statement gets the value of `$1`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// As the protocol brings it.
    Bind,
    /// By PREPARE and EXECUTE.
    Execute,
}

impl World {
    fn build() -> (World, Settings) {
        let (folder, settings) = home(START_US);
        let clock = settings.clock.clone();
        let database = Database::open(&settings.data, settings.clone()).expect("a database");
        let guest = Guest::arrive(&database);
        let world = World {
            guest,
            clock,
            versions: Vec::new(),
            mains: Vec::new(),
            database: Some(database),
            folder,
            fresh: 100,
            columns: Rows::new(),
        };
        (world, settings)
    }

    async fn must(&mut self, sql: &str) -> Rows {
        self.clock.advance(TICK);
        self.guest.must(sql).await
    }

    fn head(&self, branch: &str) -> u64 {
        let store = self.database.as_ref().expect("open").store();
        store.head(branch).expect("the branch").commit().0
    }

    async fn edit(&mut self, target: &str, edit: &Edit) {
        let sql = match edit {
            Edit::Insert(rows) => {
                let from = self.fresh;
                self.fresh += rows + 1;
                format!(
                    "INSERT INTO {target} SELECT n, n * 2 FROM generate_series({from}, {}) g(n)",
                    from + rows
                )
            }
            Edit::Update(every) => format!("UPDATE {target} SET v = v + 1 WHERE k % {every} = 0"),
            Edit::Delete(every) => format!("DELETE FROM {target} WHERE k % 5 = {every}"),
        };
        self.must(&sql).await;
    }

    /// Notes what t is on main as the version that was just made.
    async fn note_main(&mut self) {
        let state = self.state_of("t").await;
        let (commit, time_us) = (self.head("main"), Some(self.clock.now_us()));
        self.mains.push(Version { name: None, commit, time_us, state });
    }

    /// What t is on the session's branch.
    async fn state_of(&mut self, table: &str) -> State {
        let (rows, shape) = self.seen(table).await;
        let history = self.guest.must(&format!("DESCRIBE HISTORY {table}")).await;
        State { rows, shape, history }
    }

    /// Notes a branch as a session sees it that is on it.
    async fn note_branch(&mut self, branch: &'static str) {
        self.must(&format!("SET branch = '{branch}'")).await;
        let state = self.state_of("t").await;
        self.must("RESET branch").await;
        let name = Some((branch, false));
        self.versions.push(Version { name, commit: 0, time_us: None, state });
    }

    /// Edits on main, a tag in the middle, a branch of the database and one of the table, each of
    /// another shape.
    async fn live(&mut self, edits: &[Edit]) {
        std::fs::write(self.folder.path().join("rows.txt"), "6001\t1\n6002\t2\n").expect("a file");
        self.must("CREATE TABLE t (k int PRIMARY KEY, v int)").await;
        self.must("INSERT INTO t VALUES (1, 10), (2, 20), (3, 30)").await;
        self.note_main().await;
        self.must("CREATE TABLE one (k int, v int)").await;
        self.must("INSERT INTO one VALUES (-1, -1)").await;
        self.must("CREATE TABLE sink (k int, v int)").await;
        let middle = edits.len() / 2;
        for (at, edit) in edits.iter().enumerate() {
            let before = self.head("main");
            self.edit("t", edit).await;
            if self.head("main") != before {
                self.note_main().await;
            }
            if at == middle {
                self.fork().await;
            }
        }
        self.must("ALTER TABLE t ADD COLUMN late int DEFAULT 5").await;
        self.note_main().await;
        self.must("INSERT INTO t VALUES (1, 0) ON CONFLICT (k) DO UPDATE SET v = 1").await;
        self.note_main().await;
        self.must("ALTER TABLE t@dev ADD COLUMN note text DEFAULT 'n', ADD COLUMN more int").await;
        self.must("INSERT INTO t@dev (k, v, note) VALUES (8888, 1, 'x')").await;
        self.must("ALTER TABLE t.branch_own_b ADD COLUMN lens double precision").await;
        self.must("INSERT INTO t.branch_own_b (lens, k, v) VALUES (0.5, 9999, 1)").await;
        for branch in ["dev", "own_b"] {
            self.must(&format!(
                "INSERT INTO t@{branch} (k, v) VALUES (1, 0) ON CONFLICT (k) DO UPDATE SET v = 1"
            ))
            .await;
            self.note_branch(branch).await;
        }
        self.versions.extend(self.mains.iter().cloned());
        self.columns = self.state_of("t").await.columns();
        self.clock.advance(TICK);
        self.must("CREATE TABLE universe AS SELECT n AS k FROM generate_series(-10, 10000) g(n)")
            .await;
    }

    /// Tags and branches at what main is now.
    async fn fork(&mut self) {
        self.must("CREATE TAG q1").await;
        self.must("CREATE BRANCH dev").await;
        self.must("ALTER TABLE t CREATE BRANCH own_b").await;
        self.must("ALTER TABLE t CREATE TAG own_t").await;
        let tagged = self.mains.last().expect("one was noted").clone();
        for name in ["q1", "own_t"] {
            let name = Some((name, true));
            self.versions.push(Version { name, time_us: None, ..tagged.clone() });
        }
    }

    /// The rows that a place gives for a spelling; each of its statements is prepared by itself, as
    /// one message of a client is.
    async fn ask(&mut self, place: &str, spelling: &Spelling, way: Way) -> Result<Rows> {
        let in_block = place.contains(';') || place.starts_with("DECLARE");
        if in_block {
            self.guest.must("BEGIN").await;
        }
        let mut answer = Ok(Rows::new());
        for statement in place.split("; ") {
            let sql = statement.replace("{}", &spelling.text);
            let value = spelling.parameter.as_deref().filter(|_| statement.contains("{}"));
            answer = match (value, way) {
                (None, _) => self.guest.run(&sql).await,
                (Some(value), Way::Bind) => self.guest.run_with(&sql, &[value]).await,
                (Some(value), Way::Execute) => {
                    self.guest.must("DEALLOCATE ALL").await;
                    self.guest.run(&format!("PREPARE it AS {sql}; EXECUTE it('{value}')")).await
                }
            };
            if answer.is_err() {
                break;
            }
        }
        if in_block {
            self.guest.must("ROLLBACK").await;
        }
        answer
    }

    async fn check(
        &mut self,
        version: &Version,
        spelling: &Spelling,
        (tells, place): (Tells, &str),
    ) {
        if !takes_columns(place, &spelling.text) {
            return;
        }
        let sql = place.replace("{}", &spelling.text);
        let takes = takes_parameters(place);
        if spelling.parameter.is_some() && takes.is_empty() {
            // What keeps its text, or is planned without values, has none: never the head instead.
            let found = self.ask(place, spelling, Way::Bind).await;
            let state = found.map_err(|error| error.kind().sqlstate());
            assert_eq!(state, Err("42P02"), "{sql}");
            return;
        }
        let ways = if spelling.parameter.is_some() { takes } else { &[Way::Bind] };
        for way in ways {
            let found = self.ask(place, spelling, *way).await;
            let wanted = match tells {
                Tells::Pairs => version.state.pairs(),
                Tells::Rows => version.state.rows.clone(),
                Tells::Shape => version.state.shape.clone(),
                Tells::History => version.state.history.clone(),
            };
            // What is described before it has a value has the columns of the head.
            let last = place.rsplit("; ").next().unwrap_or_default();
            let described = last.contains("{}") && !last.starts_with("COPY");
            let open = spelling.parameter.is_some() && described;
            let fits = !open || version.state.columns() == self.columns;
            if tells == Tells::Rows && !fits {
                let state = found.map_err(|error| error.kind().sqlstate());
                assert_eq!(state, Err("0A000"), "{sql}");
                continue;
            }
            let found = found.unwrap_or_else(|error| panic!("{sql}, {way:?}: {error:?}"));
            let found = match tells {
                Tells::Pairs | Tells::Rows => sorted(found),
                Tells::Shape | Tells::History => found,
            };
            assert_eq!(found, wanted, "{sql} with {:?}, {way:?}", spelling.parameter);
        }
    }

    /// The rows and the shape behind a name.
    async fn seen(&mut self, table: &str) -> Seen {
        let rows = self.guest.must(&format!("SELECT * FROM {table}")).await;
        (sorted(rows), self.guest.must(&format!("DESCRIBE {table}")).await)
    }

    fn target(&self, target: &str, spelling: &Spelling) -> String {
        let folder = self.folder.path().display().to_string();
        target.replace("{}", &spelling.text).replace("$FOLDER", &folder)
    }

    /// A branch takes a write, which main does not see, not even inside the transaction; a version
    /// that is no branch refuses it. `main` is what main holds.
    async fn check_target(
        &mut self,
        (version, main): (&Version, &Seen),
        spelling: &Spelling,
        target: &str,
    ) {
        if spelling.parameter.is_some() || !takes_columns(target, &spelling.text) {
            return;
        }
        let sql = self.target(target, spelling);
        let Some((branch, false)) = version.name else {
            // Not in a block, which would take back what it should not have done.
            assert_eq!(self.guest.refused(&sql).await, "25006", "{sql}");
            return;
        };
        self.guest.must("BEGIN").await;
        self.guest.run(&sql).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
        assert_eq!(self.seen("t").await, *main, "{sql} changed main");
        let (rows, shape) = self.seen(&format!("t@{branch}")).await;
        let same = rows == version.state.rows && shape == version.state.shape;
        assert!(!same, "{sql} changed nothing");
        self.guest.must("ROLLBACK").await;
    }

    /// The same once it is committed; RESTORE takes it back.
    async fn check_committed(&mut self, branch: &str, spelling: &Spelling, target: &str) {
        let sql = self.target(target, spelling);
        let there = format!("t@{branch}");
        let (main, before) = (self.seen("t").await, self.seen(&there).await);
        let listed = self.guest.must("SHOW BRANCHES IN TABLE t").await;
        let head = listed.iter().find(|row| row[0] == branch).expect("the branch")[1].clone();
        self.must(&sql).await;
        assert_eq!(self.seen("t").await, main, "{sql} changed main");
        assert_ne!(self.seen(&there).await, before, "{sql} changed nothing");
        self.must(&format!("RESTORE TABLE {there} TO VERSION AS OF {head}")).await;
        assert_eq!(self.seen(&there).await, before, "after {sql}");
    }
}

/// Rows and shape.
type Seen = (Rows, Rows);

fn sorted(mut rows: Rows) -> Rows {
    rows.sort();
    rows
}

fn with_world<F: AsyncFnOnce(&mut World)>(work: F) {
    let (mut world, settings) = World::build();
    let runtime = query_runtime(&settings).expect("threads");
    runtime.block_on(async { work(&mut world).await });
    world.database = None;
    drop(world);
    drop(runtime);
}

/// A branch, a tag, a branch and a tag of the table, and the first commit, by number and by time.
fn one_of_each(world: &World) -> Vec<Version> {
    let mut picked: Vec<Version> =
        world.versions.iter().filter(|version| version.name.is_some()).cloned().collect();
    picked.extend(world.mains.first().cloned());
    let named: Vec<_> = picked.iter().filter_map(|version| version.name).collect();
    assert_eq!(named, [("q1", true), ("own_t", true), ("dev", false), ("own_b", false)]);
    picked
}

const EDITS: [Edit; 5] =
    [Edit::Insert(3), Edit::Update(2), Edit::Delete(1), Edit::Insert(1), Edit::Update(1)];

#[test]
fn every_spelling_in_every_place() {
    with_world(async |world| {
        world.live(&EDITS).await;
        let now_us = world.clock.now_us();
        for version in one_of_each(world) {
            for spelling in spellings(&version, &world.mains, now_us) {
                for place in PLACES {
                    world.check(&version, &spelling, *place).await;
                }
            }
        }
    });
}

#[test]
fn every_version_in_a_place() {
    with_world(async |world| {
        world.live(&EDITS).await;
        let now_us = world.clock.now_us();
        for version in world.versions.clone() {
            for spelling in spellings(&version, &world.mains, now_us) {
                for place in [(Tells::Rows, "SELECT * FROM {}"), (Tells::Shape, "DESCRIBE {}")] {
                    world.check(&version, &spelling, place).await;
                }
            }
        }
    });
}

#[test]
fn every_spelling_in_every_target() {
    with_world(async |world| {
        world.live(&EDITS).await;
        let now_us = world.clock.now_us();
        let main = world.seen("t").await;
        for version in one_of_each(world) {
            let spelled = spellings(&version, &world.mains, now_us);
            for spelling in &spelled {
                for target in TARGETS {
                    world.check_target((&version, &main), spelling, target).await;
                }
            }
            assert_eq!(world.seen("t").await, main, "{:?}", version.name);
            if let Some((branch, false)) = version.name {
                let plain = spelled.iter().filter(|spelling| spelling.parameter.is_none());
                for (target, spelling) in TARGETS.iter().zip(plain.cycle()) {
                    world.check_committed(branch, spelling, target).await;
                }
            }
        }
    });
}

#[test]
fn explain_resolves_what_it_shows() {
    with_world(async |world| {
        world.live(&[Edit::Insert(2)]).await;
        let versions = world.versions.clone();
        let head = world.clock.now_us();
        for version in &versions {
            for spelling in spellings(version, &world.mains, head) {
                let sql = format!("EXPLAIN SELECT * FROM {}", spelling.text);
                if spelling.parameter.is_none() {
                    world.guest.must(&sql).await;
                }
            }
        }
        for unknown in ["t VERSION AS OF 9999", "t@nothing", "t TIMESTAMP AS OF '2020-01-01'"] {
            let sql = format!("EXPLAIN SELECT * FROM {unknown}");
            assert!(["42704", "22023"].contains(&world.guest.refused(&sql).await), "{sql}");
        }
    });
}

#[test]
fn any_history_in_any_place() {
    let config = config("proptest-regressions/it/versions.txt", 6, 60);
    let edits = proptest::collection::vec(edit(), 1..8);
    let picks = proptest::collection::vec((0..1000_usize, 0..1000_usize, 0..1000_usize), 60);
    proptest!(config, |(edits in edits, picks in picks)| {
        with_world(async |world| {
            world.live(&edits).await;
            let versions = world.versions.clone();
            let head = world.clock.now_us();
            let main = world.seen("t").await;
            for (version, spelling, place) in picks {
                let version = &versions[version % versions.len()];
                let spelled = spellings(version, &world.mains, head);
                let spelling = &spelled[spelling % spelled.len()];
                world.check(version, spelling, PLACES[place % PLACES.len()]).await;
                let target = TARGETS[place % TARGETS.len()];
                world.check_target((version, &main), spelling, target).await;
            }
            assert_eq!(world.seen("t").await, main);
        });
    });
}
