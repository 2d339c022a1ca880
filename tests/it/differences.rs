//! What changed, three ways, against full reads of every version: `table_changes` replayed from any
//! commit gives every later one; row versions over time give every moment; `branch_diff` is the
//! difference of two reads.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use asofdb::clock::Clock;
use asofdb::config::Settings;
use asofdb::server::query_runtime;
use asofdb::session::Database;
use proptest::prelude::*;

use super::guest::{Guest, Rows};

use crate::property::{config, home};

/// 2026-01-01 00:00:00 UTC.
const START_US: i64 = 1_767_225_600_000_000;
/// More than the log keeps of one statement: rows of a segment.
const MANY: i32 = 9_000;

#[derive(Clone, Debug)]
enum Step {
    Few(i32, i32),
    Many(i32),
    Update(i32),
    Delete(i32),
    Truncate,
    /// On the branch.
    Aside(i32),
    RollBack(usize),
    Publish,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0..60_i32, 1..12_i32).prop_map(|(from, rows)| Step::Few(from, rows)),
        1 => (0..100_i32).prop_map(Step::Many),
        4 => prop_oneof![1..4_i32, 500..900_i32].prop_map(Step::Update),
        3 => prop_oneof![2..5_i32, 300..700_i32].prop_map(Step::Delete),
        1 => Just(Step::Truncate),
        3 => (0..60_i32).prop_map(Step::Aside),
        1 => (0..8_usize).prop_map(Step::RollBack),
        1 => Just(Step::Publish),
    ]
}

type State = BTreeSet<(i64, i64)>;

/// A database, and what t held whenever main moved.
struct World {
    guest: Guest,
    clock: Clock,
    database: Option<Database>,
    /// (when, the commit, the rows), oldest first.
    mains: Vec<(i64, u64, State)>,
    keyed: bool,
    _folder: tempfile::TempDir,
}

impl World {
    fn build(keyed: bool) -> (World, Settings) {
        let (folder, settings) = home(START_US);
        let clock = settings.clock.clone();
        let database = Database::open(&settings.data, settings.clone()).expect("a database");
        let (guest, mains) = (Guest::arrive(&database), Vec::new());
        let world = World { guest, clock, database: Some(database), mains, keyed, _folder: folder };
        (world, settings)
    }

    async fn rows(&mut self, sql: &str) -> State {
        let rows = self.guest.must(sql).await;
        rows.iter().map(|row| (number(&row[0]), number(&row[1]))).collect()
    }

    fn head(&self, branch: &str) -> u64 {
        self.database.as_ref().expect("open").store().head(branch).expect("it").commit().0
    }

    async fn note(&mut self) {
        let head = self.head("main");
        if self.mains.last().is_none_or(|(_, last, _)| *last != head) {
            let rows = self.rows("SELECT k, v FROM t").await;
            self.mains.push((self.clock.now_us(), head, rows));
        }
    }

    fn insert(&self, target: &str, from: i32, rows: i32) -> String {
        // A key that is there already is left out, so every insert succeeds. Values of the branch are
        // others than main's, so that of a table without a key no two rows are equal when they meet.
        let apart = if target == "t" { 0 } else { 1_000_000 };
        format!(
            "INSERT INTO {target} SELECT n, n * 10 + {apart} FROM generate_series({from}, {}) g(n) \
             WHERE n NOT IN (SELECT k FROM {target})",
            from + rows - 1
        )
    }

    async fn take(&mut self, step: &Step) {
        self.clock.advance(Duration::from_secs(1));
        let sql = match step {
            Step::Few(from, rows) => self.insert("t", *from, *rows),
            Step::Many(from) => self.insert("t", *from, MANY),
            Step::Update(every) => format!("UPDATE t SET v = v + 1 WHERE k % {every} = 0"),
            Step::Delete(every) => format!("DELETE FROM t WHERE k % {every} = 1"),
            Step::Truncate => "TRUNCATE t".to_owned(),
            Step::Aside(from) => {
                self.guest.must(&self.insert("t@side", *from, 5)).await;
                self.clock.advance(Duration::from_secs(1));
                format!("UPDATE t@side SET v = v + 3 WHERE k % 7 = {}", from % 7)
            }
            Step::RollBack(at) => {
                let commit = self.mains[at % self.mains.len()].1;
                format!("ROLLBACK BRANCH main TO {commit}")
            }
            // Refused where main has commits that the branch lacks.
            Step::Publish => {
                let _ = self.guest.run("PUBLISH BRANCH side").await;
                "SELECT 1".to_owned()
            }
        };
        self.guest.must(&sql).await;
        self.note().await;
    }

    async fn live(&mut self, steps: &[Step]) {
        let key = if self.keyed { " PRIMARY KEY" } else { "" };
        self.clock.advance(Duration::from_secs(1));
        self.guest.must(&format!("CREATE TABLE t (k int{key}, v int)")).await;
        self.note().await;
        self.clock.advance(Duration::from_secs(1));
        self.guest.must("INSERT INTO t VALUES (1, 10), (2, 20)").await;
        self.note().await;
        self.guest.must("CREATE BRANCH side").await;
        for step in steps {
            self.take(step).await;
        }
        self.clock.advance(Duration::from_secs(1));
        self.check_moments().await;
        self.check_replays().await;
        self.check_branches().await;
    }

    /// Row versions over time, cut at any moment, are what was shown then.
    async fn check_moments(&mut self) {
        let sql = "SELECT k, v, (extract(epoch FROM _system_from) * 1000000)::bigint, \
                   CASE WHEN _system_to = 'infinity' THEN NULL \
                        ELSE (extract(epoch FROM _system_to) * 1000000)::bigint END \
                   FROM t FOR SYSTEM_TIME ALL";
        let versions = self.guest.must(sql).await;
        let shown: Vec<(i64, i64, i64, i64)> = versions
            .iter()
            .map(|row| (number(&row[0]), number(&row[1]), number(&row[2]), until(&row[3])))
            .collect();
        for (at, (time_us, commit, rows)) in self.mains.iter().enumerate() {
            let next = self.mains.get(at + 1).map_or(self.clock.now_us(), |next| next.0);
            for moment in [*time_us, next - 1] {
                let then: Vec<(i64, i64)> = shown
                    .iter()
                    .filter(|(_, _, from, to)| *from <= moment && moment < *to)
                    .map(|(k, v, _, _)| (*k, *v))
                    .collect();
                assert_eq!(then.len(), rows.len(), "rows shown at {moment}, commit {commit}");
                assert_eq!(&then.into_iter().collect::<State>(), rows, "at {moment}");
            }
        }
        let (from, to) = (self.mains[0].0, self.clock.now_us());
        let sql = format!(
            "SELECT count(*) FROM t FOR SYSTEM_TIME FROM to_timestamp({}) TO to_timestamp({})",
            from / 1_000_000,
            to / 1_000_000
        );
        assert_eq!(self.guest.must(&sql).await, [[versions.len().to_string()]]);
    }

    /// The changes of each commit lead from the state before it to the state after it.
    async fn check_replays(&mut self) {
        let head = self.head("main");
        // What was rolled back lies behind the head no more.
        let ancestors = self.guest.must("SELECT snapshot_id FROM ancestors_of('t')").await;
        let ancestors: BTreeSet<i64> = ancestors.iter().map(|row| number(&row[0])).collect();
        let states: BTreeMap<u64, State> =
            self.mains.iter().map(|(_, commit, rows)| (*commit, rows.clone())).collect();
        let first = *ancestors.first().expect("the table was made");
        let all = self.changes(&format!("'t', {first}, {head}")).await;
        let mut now = State::new();
        for commit in &ancestors {
            let mine = all.iter().filter(|change| change.0 == *commit);
            replay(&mut now, mine.clone());
            if let Some(state) = states.get(&(*commit as u64)) {
                assert_eq!(&now, state, "after the changes of commit {commit}");
            }
            let alone = self.changes(&format!("'t', {commit}, {commit}")).await;
            assert_eq!(alone, mine.cloned().collect::<Vec<_>>(), "commit {commit} alone");
        }
        assert_eq!(now, self.rows("SELECT k, v FROM t").await, "after every change");
        let rest = self.changes(&format!("'t', from_exclusive => {first}, to => {head}")).await;
        assert!(rest.iter().all(|change| change.0 > first));
        assert_eq!(rest.len(), all.iter().filter(|change| change.0 > first).count());
    }

    async fn changes(&mut self, arguments: &str) -> Vec<(i64, String, i64, i64, i64)> {
        let sql =
            format!("SELECT _commit, _change_type, _row_id, k, v FROM table_changes({arguments})");
        let rows: Rows = self.guest.must(&sql).await;
        let change = |row: &Vec<String>| {
            (number(&row[0]), row[1].clone(), number(&row[2]), number(&row[3]), number(&row[4]))
        };
        let mut changes: Vec<_> = rows.iter().map(change).collect();
        changes.sort();
        changes
    }

    /// `branch_diff` is what a full outer join of two reads gives.
    async fn check_branches(&mut self) {
        let (main, side) = (self.rows("SELECT k, v FROM t").await, self.rows("TABLE t@side").await);
        for (a, b, from, to) in [("main", "side", &main, &side), ("side", "main", &side, &main)] {
            let rows = self
                .guest
                .must(&format!(
                    "SELECT _change_type, from_k, from_v, to_k, to_v FROM branch_diff('{a}', '{b}', 't')"
                ))
                .await;
            let side_of =
                |row: &[String]| (row[0] != "NULL").then(|| (number(&row[0]), number(&row[1])));
            let mut before = State::new();
            let mut after = State::new();
            for row in &rows {
                let (old, new) = (side_of(&row[1..3]), side_of(&row[3..5]));
                match (row[0].as_str(), old, new) {
                    ("insert", None, Some(_)) | ("delete", Some(_), None) => {}
                    ("update", Some(old), Some(new)) => {
                        assert_ne!(old, new, "an update changes something");
                        assert!(!self.keyed || old.0 == new.0, "keys are paired");
                    }
                    other => panic!("{other:?}"),
                }
                before.extend(old);
                after.extend(new);
            }
            let only =
                |one: &State, other: &State| one.difference(other).copied().collect::<State>();
            if self.keyed {
                assert_eq!(before, only(from, to), "only in {a}");
                assert_eq!(after, only(to, from), "only in {b}");
            } else {
                // Without a key equal rows may be different rows.
                assert!(before.is_superset(&only(from, to)) && after.is_superset(&only(to, from)));
            }
        }
    }
}

fn replay<'a>(
    now: &mut State,
    changes: impl Iterator<Item = &'a (i64, String, i64, i64, i64)> + Clone,
) {
    let mut updated: BTreeMap<i64, i32> = BTreeMap::new();
    for (_, kind, row, k, v) in changes.clone() {
        match kind.as_str() {
            "delete" => assert!(now.remove(&(*k, *v)), "({k}, {v}) was there to delete"),
            "update_preimage" => {
                assert!(now.remove(&(*k, *v)), "({k}, {v}) was there to update");
                *updated.entry(*row).or_default() += 1;
            }
            _ => {}
        }
    }
    for (_, kind, row, k, v) in changes {
        match kind.as_str() {
            "insert" => assert!(now.insert((*k, *v)), "({k}, {v}) came twice"),
            "update_postimage" => {
                assert!(now.insert((*k, *v)), "({k}, {v}) came twice");
                *updated.entry(*row).or_default() -= 1;
            }
            _ => {}
        }
    }
    assert!(updated.values().all(|images| *images == 0), "each update has both images");
}

fn number(text: &str) -> i64 {
    text.split('.').next().and_then(|whole| whole.parse().ok()).unwrap_or_else(|| panic!("{text}"))
}

fn until(text: &str) -> i64 {
    if text == "NULL" { i64::MAX } else { number(text) }
}

#[test]
fn changes_are_the_differences_of_versions() {
    let config = config("proptest-regressions/it/differences.txt", 16, 100);
    let steps = proptest::collection::vec(step(), 1..14);
    proptest!(config, |(keyed in any::<bool>(), steps in steps)| {
        let (mut world, settings) = World::build(keyed);
        let runtime = query_runtime(&settings).expect("threads");
        runtime.block_on(world.live(&steps));
        world.database = None;
        drop(world);
        drop(runtime);
    });
}
