//! Several writers whose blocks overlap, step by step, against a model that keeps every commit whole.
//!
//! ```text
//!  step of one of three sessions ──► each open block sees its snapshot and its own work, all others the head
//!                               └──► COMMIT: 40001 where a row it changed was changed since, or rows came
//!                                    where it put others in place of all; 23505 where a key came; else done
//! ```
//! What one session does is awaited before the next does something: who is first is no chance. Upkeep
//! between any two steps changes nothing, and is no writer.

mod model;
mod world;

use std::sync::atomic::Ordering;

use proptest::prelude::*;

use self::world::World;
use crate::property::config;

/// One step. Numbers pick among what there is when the step comes.
#[derive(Clone, Debug)]
enum Step {
    Write {
        guest: usize,
        table: usize,
        write: Write,
    },
    Begin(usize),
    Commit(usize),
    Rollback(usize),
    Savepoint(usize),
    RollbackTo(usize),
    /// By whoever is in no block.
    Alter(usize),
    Fold,
    Compact(usize),
}

#[derive(Clone, Debug)]
enum Write {
    Insert {
        from: i64,
        rows: i64,
        /// Where the values of the UNIQUE column begin; None: NULL.
        unique: Option<i64>,
    },
    Update {
        every: i64,
        add: i64,
    },
    Shift {
        every: i64,
        add: i64,
    },
    Delete {
        every: i64,
    },
    /// ON CONFLICT DO UPDATE, or DO NOTHING.
    Upsert {
        from: i64,
        rows: i64,
        updates: bool,
    },
    Merge {
        from: i64,
        rows: i64,
    },
    Overwrite {
        from: i64,
        rows: i64,
    },
    Replace {
        from: i64,
        rows: i64,
    },
    Truncate,
}

fn write() -> impl Strategy<Value = Write> {
    use Write::*;
    let from = || 0..160_i64;
    let rows = || 1..6_i64;
    prop_oneof![
        8 => (from(), prop_oneof![30 => rows(), 1 => Just(world::MANY)], proptest::option::of(from()))
            .prop_map(|(from, rows, unique)| Insert { from, rows, unique }),
        5 => (2..9_i64, 1..9_i64).prop_map(|(every, add)| Update { every, add }),
        2 => (2..9_i64, 1..9_i64).prop_map(|(every, add)| Shift { every, add }),
        3 => (2..9_i64).prop_map(|every| Delete { every }),
        3 => (from(), rows(), any::<bool>())
            .prop_map(|(from, rows, updates)| Upsert { from, rows, updates }),
        3 => (from(), rows()).prop_map(|(from, rows)| Merge { from, rows }),
        1 => (from(), rows()).prop_map(|(from, rows)| Overwrite { from, rows }),
        2 => (from(), rows()).prop_map(|(from, rows)| Replace { from, rows }),
        1 => Just(Truncate),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    use Step::*;
    let guest = || 0..world::GUESTS;
    prop_oneof![
        14 => (guest(), 0..2_usize, write())
            .prop_map(|(guest, table, write)| Write { guest, table, write }),
        7 => guest().prop_map(Begin),
        6 => guest().prop_map(Commit),
        1 => guest().prop_map(Rollback),
        1 => guest().prop_map(Savepoint),
        1 => guest().prop_map(RollbackTo),
        1 => (0..2_usize).prop_map(Alter),
        1 => Just(Fold),
        1 => (0..2_usize).prop_map(Compact),
    ]
}

#[test]
fn the_first_of_two_who_changed_the_same_commits() {
    let config = config("proptest-regressions/it/writers.txt", 14, 600);
    let cases = config.cases;
    // Two blocks are open from the start: most of what comes meets another's work.
    let overlap = [Step::Begin(0), Step::Begin(1)];
    proptest!(config, |(steps in proptest::collection::vec(step(), 8..40))| {
        World::build().live(&[&overlap, steps.as_slice()].concat());
    });
    let counts = [&world::DONE, &world::CONFLICTS, &world::DUPLICATES];
    let [done, conflicts, duplicates] = counts.map(|n| n.load(Ordering::Relaxed));
    let enough = done > 4 && conflicts > 1;
    assert!(cases < 14 || enough, "{done} done, {conflicts} conflicts, {duplicates} duplicates");
}
