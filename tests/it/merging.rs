//! Random histories on several branches, brought together and taken back, against a model that knows
//! every row by its identity.
//!
//! Column `u` of every table is that identity: it is given once and never changes. The model joins
//! states row by row; the database by segments, lines and deletes. Both must come to the same rows at
//! every commit, also after the folder was opened again, and refuse the same merges. Upkeep between
//! any two steps changes nothing.

mod expired;
mod model;
mod world;

use std::sync::atomic::Ordering;

use proptest::prelude::*;

use world::World;

use crate::property::config;

/// What a merge does about conflicts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Fail,
    Ours,
    Theirs,
}

/// One step. Numbers pick among what there is when the step comes.
#[derive(Clone, Debug)]
enum Step {
    Create { keyed: bool },
    Drop(usize),
    Undrop(usize),
    Clone { table: usize, at: usize },
    Restore { table: usize, at: usize },
    InsertFew { table: usize, from: i64, rows: i64 },
    InsertMany { table: usize, from: i64 },
    Update { table: usize, every: i64, add: i64 },
    Shift { table: usize, every: i64, add: i64 },
    Delete { table: usize, every: i64 },
    Branch { at: usize },
    Switch(usize),
    RollbackBranch { branch: usize, to: usize },
    Merge { from: usize, into: usize, mode: Mode },
    Publish { from: usize, into: usize },
    CherryPick { commit: usize },
    CherryPickTable { commit: usize, table: usize },
    ForwardTable { table: usize, branch: usize, to: usize },
    Fold,
    Compact(usize),
    Reopen,
}

fn step() -> impl Strategy<Value = Step> {
    use Step::*;
    let key = || prop_oneof![4 => 0..60_i64, 1 => 0..20_000_i64];
    let pick = || 0..16_usize;
    let every = || prop_oneof![3 => 1..6_i64, 1 => 300..900_i64];
    let mode = prop_oneof![1 => Just(Mode::Fail), 2 => Just(Mode::Ours), 2 => Just(Mode::Theirs)];
    prop_oneof![
        1 => any::<bool>().prop_map(|keyed| Create { keyed }),
        1 => pick().prop_map(Drop),
        1 => pick().prop_map(Undrop),
        1 => (pick(), pick()).prop_map(|(table, at)| Clone { table, at }),
        3 => (pick(), pick()).prop_map(|(table, at)| Restore { table, at }),
        7 => (pick(), key(), 1..9_i64)
            .prop_map(|(table, from, rows)| InsertFew { table, from, rows }),
        2 => (pick(), key()).prop_map(|(table, from)| InsertMany { table, from }),
        5 => (pick(), every(), 1..4_i64)
            .prop_map(|(table, every, add)| Update { table, every, add }),
        2 => (pick(), every(), 1..9_i64).prop_map(|(table, every, add)| Shift { table, every, add }),
        3 => (pick(), every()).prop_map(|(table, every)| Delete { table, every }),
        4 => pick().prop_map(|at| Branch { at }),
        10 => pick().prop_map(Switch),
        1 => (pick(), pick()).prop_map(|(branch, to)| RollbackBranch { branch, to }),
        14 => (pick(), pick(), mode).prop_map(|(from, into, mode)| Merge { from, into, mode }),
        2 => (pick(), pick()).prop_map(|(from, into)| Publish { from, into }),
        2 => pick().prop_map(|commit| CherryPick { commit }),
        2 => (pick(), pick()).prop_map(|(commit, table)| CherryPickTable { commit, table }),
        1 => (pick(), pick(), pick())
            .prop_map(|(table, branch, to)| ForwardTable { table, branch, to }),
        2 => Just(Fold),
        3 => pick().prop_map(Compact),
        1 => Just(Reopen),
    ]
}

/// Two branches of one table that have parted: what comes after can join them.
fn parted() -> Vec<Step> {
    let insert = |from| Step::InsertFew { table: 0, from, rows: 6 };
    vec![
        Step::Create { keyed: true },
        insert(0),
        Step::Branch { at: 0 },
        insert(20),
        Step::Switch(0),
        insert(40),
    ]
}

#[test]
fn histories_brought_together_have_the_rows_they_should() {
    let config = config("proptest-regressions/it/merging.txt", 24, 400);
    proptest!(config.clone(), |(steps in proptest::collection::vec(step(), 4..32))| {
        World::build().live(&[parted(), steps].concat());
    });
    let [joined, refused] = [&world::JOINED, &world::REFUSED].map(|n| n.load(Ordering::Relaxed));
    let cases = config.cases;
    assert!(cases < 20 || joined > 4, "{cases} cases: {joined} joined, {refused} refused");
}
