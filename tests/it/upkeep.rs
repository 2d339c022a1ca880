//! Upkeep changes no answer: random histories with folding, compaction and expiry among writes,
//! branches, tags and reopening, against a model that keeps every version whole.
//!
//! ```text
//!  step ──► SQL or one step of upkeep ──► every version that can be read answers as before
//!      └──► model: commit -> rows         those that must stay do, the rest is 72000 or right
//! ```

mod house;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use asofdb::clock::Clock;
use asofdb::config::Settings;
use asofdb::server::query_runtime;
use asofdb::session::Database;
use asofdb::store::{CompactOptions, ExpireOptions};
use proptest::prelude::*;

use self::house::House;
use crate::guest::Guest;
use crate::property::config;

/// One step. Numbers pick among what there is when the step comes.
#[derive(Clone, Debug)]
enum Step {
    InsertFew {
        table: usize,
        from: i32,
        rows: i32,
    },
    InsertMany {
        table: usize,
        from: i32,
    },
    Update {
        table: usize,
        every: i32,
        add: i32,
    },
    Delete {
        table: usize,
        from: i32,
        rows: i32,
    },
    Branch(usize),
    Tag(usize),
    DropTag(usize),
    /// A tag that ages.
    TagFor {
        at: usize,
        seconds: u64,
    },
    /// A tag of one table alone.
    TagTable {
        table: usize,
        at: usize,
    },
    /// A branch of one table alone, and a row on it.
    BranchTable {
        table: usize,
        at: usize,
    },
    /// A branch that says how many of its commits stay.
    BranchOf {
        at: usize,
        commits: u64,
    },
    /// What the table says of its history, on the session's branch.
    Retention {
        table: usize,
        seconds: Option<u64>,
    },
    Switch(usize),
    Publish(usize),
    Fold,
    Compact {
        table: usize,
        small_files: bool,
    },
    /// A block that wrote before a compaction and commits after it.
    WriteAcross {
        table: usize,
        every: i32,
    },
    /// A block that reads before and after whatever comes next.
    Read,
    EndRead,
    Expire {
        keep: u64,
    },
    /// By what branches and tables say.
    ExpireByRule,
    ExpireTable {
        table: usize,
        keep: u64,
    },
    Orphans,
    Reopen,
}

fn step() -> impl Strategy<Value = Step> {
    use Step::*;
    let key = || prop_oneof![3 => 0..40_i32, 1 => 0..12_000_i32];
    let pick = || 0..16_usize;
    prop_oneof![
        8 => (pick(), key(), 1..12_i32)
            .prop_map(|(table, from, rows)| InsertFew { table, from, rows }),
        1 => (pick(), key()).prop_map(|(table, from)| InsertMany { table, from }),
        5 => (pick(), prop_oneof![1..4_i32, 500..900_i32], 1..9_i32)
            .prop_map(|(table, every, add)| Update { table, every, add }),
        4 => (pick(), key(), prop_oneof![1..9_i32, Just(15_000_i32)])
            .prop_map(|(table, from, rows)| Delete { table, from, rows }),
        2 => pick().prop_map(Branch),
        1 => pick().prop_map(Tag),
        1 => pick().prop_map(DropTag),
        1 => (pick(), 1..8_u64).prop_map(|(at, seconds)| TagFor { at, seconds }),
        1 => (pick(), pick()).prop_map(|(table, at)| TagTable { table, at }),
        1 => (pick(), pick()).prop_map(|(table, at)| BranchTable { table, at }),
        1 => (pick(), 1..5_u64).prop_map(|(at, commits)| BranchOf { at, commits }),
        2 => (pick(), proptest::option::of(1..10_u64))
            .prop_map(|(table, seconds)| Retention { table, seconds }),
        2 => pick().prop_map(Switch),
        1 => pick().prop_map(Publish),
        4 => Just(Fold),
        4 => (pick(), any::<bool>())
            .prop_map(|(table, small_files)| Compact { table, small_files }),
        2 => (pick(), 1..4_i32).prop_map(|(table, every)| WriteAcross { table, every }),
        2 => Just(Read),
        1 => Just(EndRead),
        3 => (1..6_u64).prop_map(|keep| Expire { keep }),
        2 => Just(ExpireByRule),
        1 => (pick(), 1..4_u64).prop_map(|(table, keep)| ExpireTable { table, keep }),
        1 => Just(Orphans),
        2 => Just(Reopen),
    ]
}

#[test]
fn upkeep_changes_no_answer() {
    let config = config("proptest-regressions/it/upkeep.txt", 16, 200);
    proptest!(config, |(steps in proptest::collection::vec(step(), 4..24))| {
        House::build().live(&steps);
    });
}

const KEYS: i64 = 40;

/// Writers that change the same rows again and again, and upkeep of all kinds beside them: no writer
/// fails, and no change is lost.
#[test]
fn writers_do_not_notice_upkeep() {
    let folder = tempfile::tempdir().expect("a folder");
    let settings = Settings {
        data: folder.path().to_owned(),
        clock: Clock::system(),
        query_threads: 2,
        ..Settings::default()
    };
    let runtime = query_runtime(&settings).expect("threads");
    runtime.block_on(async {
        let database = Database::open(folder.path(), settings.clone()).expect("it opens");
        let mut guest = Guest::arrive(&database);
        guest.must("CREATE TABLE t (k int PRIMARY KEY, n int)").await;
        guest
            .must(&format!("INSERT INTO t SELECT k, 0 FROM generate_series(1, {KEYS}) g(k)"))
            .await;
        let stop = Arc::new(AtomicBool::new(false));
        let writers: Vec<_> = (0..3)
            .map(|n| tokio::spawn(count_up(database.clone(), n, Arc::clone(&stop))))
            .collect();
        let table = table_id(&database);
        let (mut folded, mut compacted) = (0, 0);
        for round in 0..24 {
            let store = database.store();
            folded += usize::from(store.fold_one(None, 1).await.expect("it folds").is_some());
            let options = CompactOptions { target_bytes: 600, all: true, only: None };
            let report = store.compact_one("main", table, &options).await.expect("it compacts");
            compacted += usize::from(report.is_some());
            if round % 4 == 3 {
                let options = ExpireOptions {
                    older_than_us: Some(store.clock().now_us()),
                    retain_last: Some(5),
                    branch: Some("main".to_owned()),
                    table: None,
                };
                store.expire(&options).await.expect("it expires");
            }
            assert_eq!(guest.must("SELECT count(*) FROM t").await[0][0], KEYS.to_string());
        }
        stop.store(true, Ordering::Relaxed);
        let mut done = 0;
        for writer in writers {
            done += writer.await.expect("no writer fails");
        }
        assert!(folded > 0 && compacted > 2 && done > 10, "{folded} {compacted} {done}");
        assert_eq!(guest.must("SELECT sum(n) FROM t").await[0][0], done.to_string());
        drop(guest);
        assert_eq!(database.store().check(|_, _| {}).expect("a check"), []);
    });
}

/// Adds 1 to rows of its own until told to stop; how often it did.
/// Writers of the same few rows, so that commits are written together, and compaction beside them: a row
/// that was always there is found by its key and by a scan, every time.
#[test]
fn every_row_is_found_beside_compaction() {
    let folder = tempfile::tempdir().expect("a folder");
    let settings = Settings {
        data: folder.path().to_owned(),
        clock: Clock::system(),
        query_threads: 2,
        ..Settings::default()
    };
    let runtime = query_runtime(&settings).expect("threads");
    runtime.block_on(async {
        let database = Database::open(folder.path(), settings.clone()).expect("it opens");
        let mut guest = Guest::arrive(&database);
        guest.must("CREATE TABLE t (k int PRIMARY KEY, n int); INSERT INTO t VALUES (0, 0), (1, 0), (2, 0)").await;
        let changes = (0..4).map(|_| tokio::spawn(change_one_by_one(database.clone())));
        let changes: Vec<_> = changes.collect();
        let stop = Arc::new(AtomicBool::new(false));
        let look = tokio::spawn(look_one_by_one(database.clone(), Arc::clone(&stop)));
        let (store, table) = (database.store(), table_id(&database));
        let mut compacted = 0;
        while changes.iter().any(|change| !change.is_finished()) {
            let options = CompactOptions { target_bytes: 600, all: true, only: None };
            let report = store.compact_one("main", table, &options).await.expect("it compacts");
            compacted += usize::from(report.is_some());
        }
        for change in changes {
            change.await.expect("every change finds its row");
        }
        stop.store(true, Ordering::Relaxed);
        assert!(look.await.expect("every look finds its row") > 10 && compacted > 2);
        assert_eq!(guest.must("SELECT sum(n) FROM t").await[0][0], (4 * CHANGES).to_string());
    });
}

const CHANGES: usize = 120;

async fn change_one_by_one(database: Database) {
    let mut guest = Guest::arrive(&database);
    for n in 0..CHANGES {
        let change = format!("UPDATE t SET n = n + 1 WHERE k = {} RETURNING k", n % 3);
        assert_eq!(guest.must(&change).await, [[(n % 3).to_string()]]);
    }
}

async fn look_one_by_one(database: Database, stop: Arc<AtomicBool>) -> usize {
    let mut guest = Guest::arrive(&database);
    let mut looked = 0;
    while !stop.load(Ordering::Relaxed) {
        let key = looked % 3;
        assert_eq!(
            guest.must(&format!("SELECT k FROM t WHERE k = {key}")).await,
            [[key.to_string()]]
        );
        assert_eq!(guest.must("SELECT k FROM t ORDER BY n * 0, k").await.len(), 3);
        looked += 1;
    }
    looked
}

async fn count_up(database: Database, name: i64, stop: Arc<AtomicBool>) -> i64 {
    let mut guest = Guest::arrive(&database);
    let mut done = 0;
    while !stop.load(Ordering::Relaxed) {
        let key = (done * 3 + name) % (KEYS / 3 * 3) + 1;
        let key = key - (key - 1) % 3 + name;
        guest.must(&format!("UPDATE t SET n = n + 1 WHERE k = {key}")).await;
        done += 1;
    }
    done
}

fn table_id(database: &Database) -> asofdb::spec::TableId {
    let head = database.store().head("main").expect("main");
    head.table("public", "t").expect("readable").expect("t").id()
}
