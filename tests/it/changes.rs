//! Random statements that change rows, with RETURNING, against a map.
//!
//! Rows come from a series, so that few words make many rows and keys that come more than once:
//! row i of n is (k, v) = ((i · mul + add) mod modulus, i). A block keeps copies of the map.

use std::collections::{BTreeMap, BTreeSet};

use asofdb::config::Settings;
use asofdb::error::Result;
use asofdb::server::query_runtime;
use asofdb::session::Database;
use proptest::prelude::*;

use super::guest::{Guest, Rows};

use crate::property::config;

/// Rows of a statement: (k, v) in the order of the input.
#[derive(Clone, Debug)]
struct Input {
    rows: i64,
    mul: i64,
    add: i64,
    modulus: i64,
}

#[derive(Clone, Debug)]
enum Step {
    Insert(Input),
    DoNothing(Input),
    /// DO UPDATE SET v = t.v + excluded.v, WHERE excluded.v % every = 0.
    DoUpdate(Input, i64),
    /// DO UPDATE SET k = t.k + by.
    DoMove(Input, i64),
    Update {
        every: i64,
        add: i64,
    },
    Move {
        every: i64,
        add: i64,
    },
    /// Of several matches the least value counts.
    UpdateFrom(Input),
    Delete {
        from: i64,
        rows: i64,
    },
    DeleteUsing(Input),
    Merge(Input),
    Overwrite(Input),
    /// Replaces keys from .. from + rows, by the rows of an input that lie there.
    Replace {
        from: i64,
        rows: i64,
        input: Input,
    },
    Truncate,
    Begin,
    Commit,
    Rollback,
    Savepoint,
    RollbackTo,
}

type Map = BTreeMap<i64, i64>;

/// What a statement should do: the table after it and what RETURNING shows, or its SQLSTATEs.
type Expected = std::result::Result<(Map, Vec<(i64, i64)>), &'static [&'static str]>;

impl Input {
    fn all(&self) -> Vec<(i64, i64)> {
        (1..=self.rows).map(|i| ((i * self.mul + self.add) % self.modulus, i)).collect()
    }

    fn sql(&self) -> String {
        let Input { rows, mul, add, modulus } = self;
        format!(
            "SELECT ((i * {mul} + {add}) % {modulus})::int AS k, i::int AS v \
             FROM generate_series(1, {rows}) AS g (i)"
        )
    }
}

fn input() -> impl Strategy<Value = Input> {
    let rows = prop_oneof![6 => 1..12_i64, 1 => 8_500..9_500_i64];
    let modulus = prop_oneof![3 => 20..40_i64, 1 => Just(5), 2 => Just(20_011)];
    (rows, 1..8_i64, 0..15_000_i64, modulus).prop_map(|(rows, mul, add, modulus)| Input {
        rows,
        mul,
        add,
        modulus,
    })
}

fn step() -> impl Strategy<Value = Step> {
    use Step::*;
    let every = || prop_oneof![1..5_i64, Just(700)];
    let key = || prop_oneof![0..40_i64, 0..20_000_i64];
    prop_oneof![
        3 => input().prop_map(Insert),
        5 => input().prop_map(DoNothing),
        5 => (input(), 1..4_i64).prop_map(|(input, every)| DoUpdate(input, every)),
        1 => (input(), 1..4_i64).prop_map(|(input, by)| DoMove(input, by)),
        2 => (every(), 1..9_i64).prop_map(|(every, add)| Update { every, add }),
        2 => (every(), 1..30_i64).prop_map(|(every, add)| Move { every, add }),
        3 => input().prop_map(UpdateFrom),
        2 => (key(), 1..12_i64).prop_map(|(from, rows)| Delete { from, rows }),
        2 => input().prop_map(DeleteUsing),
        4 => input().prop_map(Merge),
        1 => input().prop_map(Overwrite),
        2 => (key(), 1..30_i64, input())
            .prop_map(|(from, rows, input)| Replace { from, rows, input }),
        1 => Just(Truncate),
        2 => Just(Begin),
        2 => Just(Commit),
        1 => Just(Rollback),
        2 => Just(Savepoint),
        2 => Just(RollbackTo),
    ]
}

fn insert(mut map: Map, rows: Vec<(i64, i64)>) -> Expected {
    for (k, v) in &rows {
        if map.insert(*k, *v).is_some() {
            return Err(&["23505"]);
        }
    }
    Ok((map, rows))
}

fn do_nothing(mut map: Map, rows: Vec<(i64, i64)>) -> Expected {
    let mut fresh = rows;
    fresh.retain(|(k, v)| match map.contains_key(k) {
        true => false,
        false => map.insert(*k, *v).is_none(),
    });
    Ok((map, fresh))
}

fn do_update(mut map: Map, rows: Vec<(i64, i64)>, every: i64) -> Expected {
    let (mut touched, mut shown) = (BTreeSet::new(), Vec::new());
    for (k, v) in rows {
        if touched.contains(&k) {
            return Err(&["21000"]);
        }
        match map.get_mut(&k) {
            Some(old) if v % every == 0 => *old += v,
            Some(_) => continue,
            None => drop(map.insert(k, v)),
        }
        touched.insert(k);
        shown.push((k, map[&k]));
    }
    Ok((map, shown))
}

/// The key of a row that is there moves: only inputs without equal keys are tried, and keys must be
/// unique when the statement ends.
fn do_move(map: Map, rows: Vec<(i64, i64)>, by: i64) -> Expected {
    let mut after: Vec<(i64, i64)> = Vec::new();
    let mut shown = Vec::new();
    let keys: BTreeSet<i64> = rows.iter().map(|(k, _)| *k).collect();
    after.extend(map.iter().filter(|(k, _)| !keys.contains(k)).map(|(k, v)| (*k, *v)));
    for (k, v) in rows {
        let row = map.get(&k).map_or((k, v), |old| (k + by, *old));
        after.push(row);
        shown.push(row);
    }
    insert(Map::new(), after).map(|(map, _)| (map, shown))
}

fn merge(map: Map, rows: &[(i64, i64)]) -> Expected {
    let mut after = map.clone();
    let (mut touched, mut shown, mut fresh) = (BTreeSet::new(), Vec::new(), Vec::new());
    let mut twice = false;
    for (k, v) in rows {
        match map.get(k) {
            Some(old) => {
                twice |= !touched.insert(*k);
                if v % 3 == 0 {
                    after.remove(k);
                    shown.push((*k, *old));
                } else {
                    after.insert(*k, *v);
                    shown.push((*k, *v));
                }
            }
            None if v % 2 == 0 => fresh.push((*k, *v)),
            None => {}
        }
    }
    for (k, v) in &map {
        if !touched.contains(k) && k % 10 == 9 {
            after.remove(k);
            shown.push((*k, *v));
        }
    }
    shown.extend(&fresh);
    match (insert(after, fresh), twice) {
        (_, true) => Err(&["21000"]),
        (Ok((map, _)), false) => Ok((map, shown)),
        (Err(state), false) => Err(state),
    }
}

/// The statement of a step, and what it should do.
fn statement(step: &Step, map: &Map) -> Option<(String, Expected)> {
    insertion(step, map.clone())
        .or_else(|| update(step, map.clone()))
        .or_else(|| deletion(step, map.clone()))
        .or_else(|| replacement(step, map.clone()))
}

fn insertion(step: &Step, map: Map) -> Option<(String, Expected)> {
    Some(match step {
        Step::Insert(input) => {
            (format!("INSERT INTO t {} RETURNING k, v", input.sql()), insert(map, input.all()))
        }
        Step::DoNothing(input) => (
            format!("INSERT INTO t {} ON CONFLICT DO NOTHING RETURNING k, v", input.sql()),
            do_nothing(map, input.all()),
        ),
        Step::DoUpdate(input, every) => (
            format!(
                "INSERT INTO t {} ON CONFLICT (k) DO UPDATE SET v = t.v + excluded.v \
                 WHERE excluded.v % {every} = 0 RETURNING k, v",
                input.sql()
            ),
            do_update(map, input.all(), *every),
        ),
        Step::DoMove(input, by) => {
            let keys: BTreeSet<i64> = input.all().iter().map(|(k, _)| *k).collect();
            if keys.len() < input.all().len() {
                return None;
            }
            let sql = format!(
                "INSERT INTO t {} ON CONFLICT (k) DO UPDATE SET k = t.k + {by} RETURNING k, v",
                input.sql()
            );
            (sql, do_move(map, input.all(), *by))
        }
        _ => return None,
    })
}

fn update(step: &Step, map: Map) -> Option<(String, Expected)> {
    Some(match step {
        Step::Update { every, add } => {
            let change = |(k, v): (&i64, &i64)| (k % every == 0).then_some((*k, v + add));
            let shown: Vec<_> = map.iter().filter_map(change).collect();
            let mut after = map;
            after.extend(shown.iter().copied());
            let sql = format!("UPDATE t SET v = v + {add} WHERE k % {every} = 0 RETURNING k, v");
            (sql, Ok((after, shown)))
        }
        Step::Move { every, add } => {
            let moves = |k: &i64| k % every == 0;
            let shown: Vec<_> =
                map.iter().filter(|(k, _)| moves(k)).map(|(k, v)| (k + add, *v)).collect();
            let stay: Map = map.into_iter().filter(|(k, _)| !moves(k)).collect();
            let sql = format!("UPDATE t SET k = k + {add} WHERE k % {every} = 0 RETURNING k, v");
            (sql, insert(stay, shown))
        }
        Step::UpdateFrom(input) => {
            let mut least: Map = Map::new();
            for (k, v) in input.all().into_iter().filter(|(k, _)| map.contains_key(k)) {
                let kept = least.entry(k).or_insert(v);
                *kept = v.min(*kept);
            }
            let mut after = map;
            after.extend(least.iter());
            let sql = format!(
                "WITH s AS ({}) UPDATE t SET v = s.v FROM s WHERE s.k = t.k RETURNING t.k, t.v",
                input.sql()
            );
            (sql, Ok((after, least.into_iter().collect())))
        }
        _ => return None,
    })
}

fn deletion(step: &Step, map: Map) -> Option<(String, Expected)> {
    Some(match step {
        Step::Delete { from, rows } => {
            let (gone, stay): (Map, Map) =
                map.into_iter().partition(|(k, _)| (*from..from + rows).contains(k));
            let sql =
                format!("DELETE FROM t WHERE k >= {from} AND k < {} RETURNING *", from + rows);
            (sql, Ok((stay, gone.into_iter().collect())))
        }
        Step::DeleteUsing(input) => {
            let keys: BTreeSet<i64> = input.all().iter().map(|(k, _)| *k).collect();
            let (gone, stay): (Map, Map) = map.into_iter().partition(|(k, _)| keys.contains(k));
            let sql = format!(
                "DELETE FROM t USING ({}) AS s WHERE s.k = t.k RETURNING t.k, t.v",
                input.sql()
            );
            (sql, Ok((stay, gone.into_iter().collect())))
        }
        _ => return None,
    })
}

fn replacement(step: &Step, map: Map) -> Option<(String, Expected)> {
    Some(match step {
        Step::Merge(input) => (
            format!(
                "MERGE INTO t USING ({}) AS s ON t.k = s.k \
                 WHEN MATCHED AND s.v % 3 = 0 THEN DELETE \
                 WHEN MATCHED THEN UPDATE SET v = s.v \
                 WHEN NOT MATCHED AND v % 2 = 0 THEN INSERT VALUES (k, v) \
                 WHEN NOT MATCHED BY SOURCE AND k % 10 = 9 THEN DELETE RETURNING t.k, t.v",
                input.sql()
            ),
            merge(map, &input.all()),
        ),
        Step::Overwrite(input) => (
            format!("INSERT OVERWRITE t {} RETURNING k, v", input.sql()),
            insert(Map::new(), input.all()),
        ),
        Step::Replace { from, rows, input } => {
            let lies = |k: &i64| (*from..from + rows).contains(k);
            let stay: Map = map.into_iter().filter(|(k, _)| !lies(k)).collect();
            let new = input.all().into_iter().filter(|(k, _)| lies(k)).collect();
            let range = format!("k >= {from} AND k < {}", from + rows);
            let sql = format!(
                "INSERT INTO t REPLACE WHERE {range} \
                 SELECT * FROM ({}) AS s WHERE {range} RETURNING k, v",
                input.sql()
            );
            (sql, insert(stay, new))
        }
        _ => return None,
    })
}

#[derive(Default)]
struct World {
    committed: Map,
    block: Option<(Map, Vec<Map>, bool)>,
}

impl World {
    fn now(&self) -> &Map {
        self.block.as_ref().map_or(&self.committed, |(now, _, _)| now)
    }

    fn set(&mut self, map: Map) {
        match &mut self.block {
            Some((now, _, _)) => *now = map,
            None => self.committed = map,
        }
    }

    async fn take(&mut self, guest: &mut Guest, step: &Step) {
        if let Step::Begin | Step::Commit | Step::Rollback | Step::Savepoint | Step::RollbackTo =
            step
        {
            return self.block(guest, step).await;
        }
        let (sql, expected) = match statement(step, self.now()) {
            Some(found) => found,
            None if matches!(step, Step::Truncate) => {
                ("TRUNCATE t".to_owned(), Ok((Map::new(), Vec::new())))
            }
            None => return,
        };
        let answer = guest.run(&sql).await;
        if self.block.as_ref().is_some_and(|(_, _, failed)| *failed) {
            assert_eq!(answer.expect_err("the block has failed").kind().sqlstate(), "25P02");
            return;
        }
        match expected {
            Ok((after, shown)) => {
                let rows = answer.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
                if sql.contains("RETURNING") {
                    compare(rows, shown, &sql);
                }
                self.set(after);
            }
            Err(states) => {
                let state = refused(answer, &sql);
                assert!(states.contains(&state), "{sql} gave {state}, not {states:?}");
                if let Some((_, _, failed)) = &mut self.block {
                    *failed = true;
                    return;
                }
            }
        }
        let rows = guest.must("SELECT k, v FROM t").await;
        compare(rows, self.now().iter().map(|(k, v)| (*k, *v)).collect(), &sql);
        let count = guest.must("SELECT count(*) FROM t").await;
        assert_eq!(count, [[self.now().len().to_string()]], "after {sql}");
    }

    async fn block(&mut self, guest: &mut Guest, step: &Step) {
        match (step, self.block.take()) {
            (Step::Begin, None) => {
                guest.must("BEGIN").await;
                self.block = Some((self.committed.clone(), Vec::new(), false));
            }
            (Step::Commit, Some((now, _, failed))) => {
                guest.must("COMMIT").await;
                if !failed {
                    self.committed = now;
                }
            }
            (Step::Rollback, Some(_)) => drop(guest.must("ROLLBACK").await),
            (Step::Savepoint, Some((now, mut kept, false))) => {
                guest.must("SAVEPOINT s").await;
                kept.push(now.clone());
                self.block = Some((now, kept, false));
            }
            (Step::RollbackTo, Some((_, kept, _))) if !kept.is_empty() => {
                guest.must("ROLLBACK TO SAVEPOINT s").await;
                let now = kept.last().expect("it has one").clone();
                self.block = Some((now, kept, false));
            }
            (_, block) => self.block = block,
        }
    }
}

fn refused(answer: Result<Rows>, sql: &str) -> &'static str {
    match answer {
        Ok(rows) => panic!("{sql} was not refused but answered {} rows", rows.len()),
        Err(error) => error.kind().sqlstate(),
    }
}

fn compare(rows: Rows, mut expected: Vec<(i64, i64)>, sql: &str) {
    let number = |text: &String| text.parse::<i64>().expect("a number");
    let mut rows: Vec<_> = rows.iter().map(|row| (number(&row[0]), number(&row[1]))).collect();
    rows.sort_unstable();
    expected.sort_unstable();
    assert!(rows == expected, "{sql}\n  gave {rows:?}\n  not  {expected:?}");
}

fn live(steps: &[Step]) {
    let folder = tempfile::tempdir().expect("a folder");
    let settings =
        Settings { data: folder.path().to_owned(), query_threads: 2, ..Settings::default() };
    let runtime = query_runtime(&settings).expect("threads");
    let database = Database::open(&settings.data, settings.clone()).expect("a database");
    runtime.block_on(async {
        let mut guest = Guest::arrive(&database);
        guest.must("CREATE TABLE t (k int PRIMARY KEY, v int)").await;
        let mut world = World::default();
        for step in steps {
            world.take(&mut guest, step).await;
        }
        world.block(&mut guest, &Step::Commit).await;
        let rows = guest.must("SELECT k, v FROM t").await;
        compare(rows, world.committed.into_iter().collect(), "the end");
    });
    drop(database);
    drop(runtime);
    assert_eq!(Database::check(&settings.data).expect("a check"), Vec::<String>::new());
}

#[test]
fn statements_change_what_they_say() {
    let config = config("proptest-regressions/it/changes.txt", 40, 300);
    proptest!(config, |(steps in proptest::collection::vec(step(), 1..25))| {
        live(&steps);
    });
}
