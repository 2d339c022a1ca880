//! No version clause is ever ignored: each place a table can stand × each spelling, against what that
//! version held when it was the newest.
//!
//! ```text
//!  edits ──► rows read at the head after each  ─────────────┐
//!       └──► place.replace("{}", spelling of that version) ─┴─► the same rows, or 25006 for a write
//! ```

mod connections;
mod places;
mod spellings;

use std::time::Duration;

use asofdb::clock::Clock;
use asofdb::config::Settings;
use asofdb::server::query_runtime;
use asofdb::session::Database;
use proptest::prelude::*;

use super::guest::{Guest, Rows};
use places::{PLACES, TARGETS};
use spellings::{Spelling, Version, spellings};

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
    /// Commits of main in order, with what t held.
    mains: Vec<Version>,
    database: Option<Database>,
    _folder: tempfile::TempDir,
    fresh: i32,
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
            _folder: folder,
            fresh: 100,
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

    /// Notes what t holds on main as the version that was just made.
    async fn note_main(&mut self) {
        let rows = self.rows_of("t").await;
        let version = Version {
            name: None,
            commit: self.head("main"),
            time_us: Some(self.clock.now_us()),
            rows,
        };
        self.mains.push(version);
    }

    async fn rows_of(&mut self, table: &str) -> Rows {
        sorted(self.guest.must(&format!("SELECT k, v FROM {table}")).await)
    }

    /// Edits on main, a tag in the middle, a branch of the database and one of the table.
    async fn live(&mut self, edits: &[Edit]) {
        self.must("CREATE TABLE t (k int, v int)").await;
        self.must("CREATE TABLE one (k int, v int)").await;
        self.must("INSERT INTO one VALUES (-1, -1)").await;
        self.must("CREATE TABLE sink (k int, v int)").await;
        self.must("INSERT INTO t VALUES (1, 10), (2, 20), (3, 30)").await;
        self.note_main().await;
        let middle = edits.len() / 2;
        for (at, edit) in edits.iter().enumerate() {
            let before = self.head("main");
            self.edit("t", edit).await;
            if self.head("main") != before {
                self.note_main().await;
            }
            if at == middle {
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
        }
        self.must("INSERT INTO t VALUES (7777, 1)").await;
        self.note_main().await;
        self.must("INSERT INTO t@dev VALUES (8888, 1)").await;
        self.must("INSERT INTO t.branch_own_b VALUES (9999, 1)").await;
        self.must("SET branch = 'dev'").await;
        let rows = self.rows_of("t").await;
        let name = Some(("dev", false));
        self.versions.push(Version { name, commit: self.head("dev"), time_us: None, rows });
        self.must("SET branch = 'own_b'").await;
        let rows = self.rows_of("t").await;
        self.must("RESET branch").await;
        let name = Some(("own_b", false));
        self.versions.push(Version { name, commit: 0, time_us: None, rows });
        self.versions.extend(self.mains.iter().cloned());
        self.clock.advance(TICK);
        self.must("CREATE TABLE universe AS SELECT n AS k, m AS v FROM generate_series(1, 3) g(n), generate_series(0, 1) h(m)").await;
    }

    /// The rows that a place gives for a spelling.
    async fn ask(&mut self, place: &str, spelling: &Spelling) -> Rows {
        let sql = place.replace("{}", &spelling.text);
        let in_block = sql.contains(';');
        if in_block {
            self.guest.must("BEGIN").await;
        }
        let answer = match spelling.parameter.as_deref() {
            Some(value) => self.guest.run_with(&sql, &[value]).await,
            None => self.guest.run(&sql).await,
        };
        let rows = answer.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
        if in_block {
            self.guest.must("ROLLBACK").await;
        }
        sorted(rows)
    }

    async fn check(&mut self, version: &Version, spelling: &Spelling, place: &str) {
        let several = place.contains(';');
        if spelling.parameter.is_some() && several {
            return;
        }
        let found = self.ask(place, spelling).await;
        let sql = place.replace("{}", &spelling.text);
        assert_eq!(found, version.rows, "{sql} with {:?}", spelling.parameter);
    }

    /// A version that is no branch refuses every write; a branch takes it and no other version sees it.
    async fn check_target(&mut self, version: &Version, spelling: &Spelling, target: &str) {
        if spelling.parameter.is_some() {
            return;
        }
        let sql = target.replace("{}", &spelling.text);
        let main = self.rows_of("t").await;
        self.guest.must("BEGIN").await;
        let answer = self.guest.run(&sql).await;
        let writes = matches!(version.name, Some((_, false)));
        match (answer, writes) {
            (Ok(_), true) => {}
            (Err(error), false) => assert_eq!(error.kind().sqlstate(), "25006", "{sql}: {error:?}"),
            (answer, writes) => panic!("{sql} answered {answer:?}; it names a branch: {writes}"),
        }
        self.guest.must("ROLLBACK").await;
        assert_eq!(self.rows_of("t").await, main, "{sql} changed main");
    }
}

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

#[test]
fn every_spelling_in_every_place() {
    with_world(async |world| {
        let edits =
            [Edit::Insert(3), Edit::Update(2), Edit::Delete(1), Edit::Insert(1), Edit::Update(1)];
        world.live(&edits).await;
        let versions = world.versions.clone();
        let head = world.clock.now_us();
        for (at, place) in PLACES.iter().enumerate() {
            // A version of each kind a place: another one each time.
            for version in versions.iter().skip(at % 3).step_by(3) {
                for spelling in spellings(version, &world.mains, head) {
                    world.check(version, &spelling, place).await;
                }
            }
        }
        for version in &versions {
            for spelling in spellings(version, &world.mains, head) {
                for target in TARGETS {
                    world.check_target(version, &spelling, target).await;
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
            for (version, spelling, place) in picks {
                let version = &versions[version % versions.len()];
                let spelled = spellings(version, &world.mains, head);
                let spelling = &spelled[spelling % spelled.len()];
                world.check(version, spelling, PLACES[place % PLACES.len()]).await;
                world.check_target(version, spelling, TARGETS[place % TARGETS.len()]).await;
            }
        });
    });
}
