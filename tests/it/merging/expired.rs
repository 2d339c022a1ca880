//! Expiry changes no merge: the same history in two databases, of which one forgets what it can.

use asofdb::server::query_runtime;
use asofdb::session::Database;
use proptest::prelude::*;

use crate::guest::{Guest, Rows};
use crate::property::{config, home};

const BRANCHES: [&str; 4] = ["main", "a", "b", "c"];

/// One step; branches by number.
#[derive(Clone, Debug)]
enum Step {
    /// From another branch, in the place of the one of this name.
    Fork(usize, usize),
    Insert {
        on: usize,
        from: i32,
        rows: i32,
    },
    Update {
        on: usize,
        every: i32,
        add: i32,
    },
    Delete {
        on: usize,
        every: i32,
    },
    Merge {
        from: usize,
        into: usize,
        mode: &'static str,
    },
    Publish(usize),
    /// On one branch.
    Expire(usize),
    Compact,
}

fn step() -> impl Strategy<Value = Step> {
    use Step::*;
    let branch = || 0..BRANCHES.len();
    let rows = prop_oneof![6 => 1..9_i32, 1 => Just(9_000)];
    let mode = prop::sample::select(vec!["FAIL", "OURS", "THEIRS"]);
    prop_oneof![
        3 => (1..BRANCHES.len(), branch()).prop_map(|(name, from)| Fork(name, from)),
        6 => (branch(), 0..40_i32, rows).prop_map(|(on, from, rows)| Insert { on, from, rows }),
        5 => (branch(), 1..5_i32, 1..9_i32).prop_map(|(on, every, add)| Update { on, every, add }),
        2 => (branch(), 2..9_i32).prop_map(|(on, every)| Delete { on, every }),
        8 => (branch(), branch(), mode).prop_map(|(from, into, mode)| Merge { from, into, mode }),
        1 => branch().prop_map(Publish),
        6 => branch().prop_map(Expire),
        2 => Just(Compact),
    ]
}

/// What both databases are told; None for what only one of them is, and for nothing.
fn told(step: &Step) -> Option<String> {
    let name = |branch: &usize| BRANCHES[*branch];
    Some(match step {
        Step::Fork(branch, from) => {
            format!("CREATE OR REPLACE BRANCH {} FROM {}", name(branch), name(from))
        }
        Step::Insert { on, from, rows } => format!(
            "INSERT INTO t@{} SELECT n, n FROM generate_series({from}, {from} + {rows}) AS g (n) \
             ON CONFLICT (k) DO UPDATE SET v = t.v + 1",
            name(on)
        ),
        Step::Update { on, every, add } => {
            format!("UPDATE t@{} SET v = v + {add} WHERE k % {every} = 0", name(on))
        }
        Step::Delete { on, every } => format!("DELETE FROM t@{} WHERE k % {every} = 1", name(on)),
        Step::Merge { from, into, .. } if from == into => return None,
        Step::Merge { from, into, mode } => {
            format!("MERGE BRANCH {} INTO {} WHEN CONFLICT {mode}", name(from), name(into))
        }
        Step::Publish(0) => return None,
        Step::Publish(branch) => format!("PUBLISH BRANCH {}", name(branch)),
        Step::Expire(_) | Step::Compact => return None,
    })
}

async fn rows(guest: &mut Guest) -> Vec<Rows> {
    let mut all = Vec::new();
    for branch in BRANCHES {
        all.push(guest.must(&format!("SELECT k, v FROM t@{branch} ORDER BY k")).await);
    }
    all
}

async fn live(steps: &[Step], keeps: &Database, forgets: &Database) {
    let (mut keeps, mut forgets) = (Guest::arrive(keeps), Guest::arrive(forgets));
    for guest in [&mut keeps, &mut forgets] {
        guest.must("CREATE TABLE t (k int PRIMARY KEY, v bigint)").await;
        guest.must("INSERT INTO t SELECT n, 0 FROM generate_series(0, 20) AS g (n)").await;
        for branch in &BRANCHES[1..] {
            guest.must(&format!("CREATE BRANCH {branch}")).await;
        }
    }
    for step in steps {
        if let Some(sql) = told(step) {
            let outcome = [keeps.run(&sql).await, forgets.run(&sql).await]
                .map(|result| result.map(|_| "done").unwrap_or_else(|e| e.kind().sqlstate()));
            assert_eq!(outcome[0], outcome[1], "{sql}");
        }
        let upkeep = match step {
            Step::Expire(on) => format!(
                "SET branch = '{}'; \
                 CALL system.expire_snapshots(older_than => now(), retain_last => 1); \
                 RESET branch",
                BRANCHES[*on]
            ),
            Step::Compact => "CALL system.rewrite_data_files('t')".to_owned(),
            _ => continue,
        };
        forgets.must(&upkeep).await;
        assert_eq!(rows(&mut keeps).await, rows(&mut forgets).await, "after {step:?}");
    }
    assert_eq!(rows(&mut keeps).await, rows(&mut forgets).await);
}

#[test]
fn expiry_changes_no_merge() {
    let config = config("proptest-regressions/it/expired_merges.txt", 24, 400);
    proptest!(config, |(steps in proptest::collection::vec(step(), 4..32))| {
        let homes = [home(0), home(0)];
        let runtime = query_runtime(&homes[0].1).expect("threads");
        let open = |n: usize| {
            Database::open(homes[n].0.path(), homes[n].1.clone()).expect("a database")
        };
        runtime.block_on(live(&steps, &open(0), &open(1)));
        drop(runtime);
        assert_eq!(Database::check(homes[1].0.path()).expect("a check"), Vec::<String>::new());
    });
}
