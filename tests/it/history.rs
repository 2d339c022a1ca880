//! Random histories of one database against a model that keeps every version whole.
//!
//! ```text
//!  step ──► SQL through a session ──► rows          by commit, tag, branch and time,
//!      └──► model: refs -> commit -> tables -> rows   after every step and after reopening
//! ```
//! The clock stands still but for one second before each step, so the model knows every time.

mod model;
mod world;

use proptest::prelude::*;

use world::World;

use crate::property::config;

/// One step. Numbers pick among what there is when the step comes.
#[derive(Clone, Debug)]
enum Step {
    Create {
        keyed: bool,
    },
    Drop(usize),
    /// So few rows that they stay in the log.
    InsertFew {
        table: usize,
        from: i32,
        rows: i32,
    },
    /// So many that they become a segment.
    InsertMany {
        table: usize,
        from: i32,
    },
    /// Onto a branch that the session is not on.
    InsertElsewhere {
        table: usize,
        branch: usize,
        from: i32,
    },
    /// Every so manieth row gets another value.
    Update {
        table: usize,
        every: i32,
        add: i32,
    },
    /// Keys move: allowed where the result has each key once.
    Shift {
        table: usize,
        every: i32,
        add: i32,
    },
    Delete {
        table: usize,
        from: i32,
        rows: i32,
    },
    Begin,
    Commit,
    Rollback,
    Savepoint,
    RollbackTo,
    Branch {
        at: usize,
    },
    Tag {
        at: usize,
    },
    Switch(usize),
    Publish {
        from: usize,
        into: usize,
    },
    FastForward {
        branch: usize,
        to: usize,
    },
    RollbackBranch {
        branch: usize,
        to: usize,
    },
    Reopen,
}

fn step() -> impl Strategy<Value = Step> {
    use Step::*;
    let key = || prop_oneof![3 => 0..40_i32, 1 => 0..20_000_i32];
    let pick = || 0..16_usize;
    prop_oneof![
        2 => any::<bool>().prop_map(|keyed| Create { keyed }),
        1 => pick().prop_map(Drop),
        8 => (pick(), key(), 1..12_i32)
            .prop_map(|(table, from, rows)| InsertFew { table, from, rows }),
        2 => (pick(), key()).prop_map(|(table, from)| InsertMany { table, from }),
        2 => (pick(), pick(), key())
            .prop_map(|(table, branch, from)| InsertElsewhere { table, branch, from }),
        5 => (pick(), prop_oneof![1..4_i32, 500..900_i32], 1..9_i32)
            .prop_map(|(table, every, add)| Update { table, every, add }),
        2 => (pick(), prop_oneof![1..4_i32, 500..900_i32], 1..30_i32)
            .prop_map(|(table, every, add)| Shift { table, every, add }),
        4 => (pick(), key(), prop_oneof![1..9_i32, Just(15_000_i32)])
            .prop_map(|(table, from, rows)| Delete { table, from, rows }),
        3 => Just(Begin),
        3 => Just(Commit),
        1 => Just(Rollback),
        2 => Just(Savepoint),
        2 => Just(RollbackTo),
        2 => pick().prop_map(|at| Branch { at }),
        1 => pick().prop_map(|at| Tag { at }),
        3 => pick().prop_map(Switch),
        2 => (pick(), pick()).prop_map(|(from, into)| Publish { from, into }),
        2 => (pick(), pick()).prop_map(|(branch, to)| FastForward { branch, to }),
        2 => (pick(), pick()).prop_map(|(branch, to)| RollbackBranch { branch, to }),
        2 => Just(Reopen),
    ]
}

#[test]
fn every_version_stays_as_it_was() {
    let config = config("proptest-regressions/it/history.txt", 40, 300);
    proptest!(config, |(steps in proptest::collection::vec(step(), 1..25))| {
        World::build().live(&steps);
    });
}
