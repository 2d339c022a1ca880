//! Everything that makes, joins, turns back and rewrites versions, in one random history, against a
//! model that keeps every version whole.
//!
//! ```text
//!  step ──► SQL, or one step of upkeep ──► every version that can still be read
//!      └──► model: refs -> commit -> tables -> columns by id, row versions by identity
//! ```
//! Column `u` of every table is a row's identity: it is given once and never changes. A row version
//! holds the cells that it was written with; what a version of a table shows of it goes by the
//! columns that the table has there, as files and log do it. Shapes change on branches that meet
//! again, states with other shapes come back, and upkeep between any two steps changes nothing.

mod care;
mod changes;
mod join;
mod kind;
mod look;
mod meets;
mod model;
mod objects;
mod refs;
mod shapes;
mod world;
mod writes;

use std::sync::atomic::Ordering;

use proptest::prelude::*;

use self::kind::Kind;
use self::world::World;
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
    Object(Object),
    Write(Write),
    Shape { table: usize, shape: Shape },
    Block(Block),
    Refs(Refs),
    Care(Care),
    Reopen,
}

#[derive(Clone, Debug)]
enum Object {
    Create { keyed: bool },
    Drop(usize),
    Undrop(usize),
    Rename(usize),
    Clone { table: usize, at: usize },
    Restore { table: usize, at: usize },
}

/// Rows by their identity, or those that have in a column what some row has there.
#[derive(Clone, Debug)]
enum Which {
    Every(i64),
    Like { column: usize, row: usize },
}

#[derive(Clone, Debug)]
enum Write {
    Insert {
        table: usize,
        from: i64,
        rows: i64,
        given: Option<(usize, i64)>,
    },
    /// Onto a branch that the session is not on.
    Elsewhere {
        table: usize,
        branch: usize,
        from: i64,
    },
    Update {
        table: usize,
        which: Which,
        column: usize,
        to: Option<i64>,
    },
    Shift {
        table: usize,
        every: i64,
        add: i64,
    },
    Delete {
        table: usize,
        which: Which,
    },
    /// Rows of which some may be there: by their key, whatever they hold.
    Meet {
        table: usize,
        meeting: Meeting,
        keys: (i64, i64),
        set: (usize, Option<i64>),
    },
    Truncate {
        table: usize,
    },
}

/// What becomes of rows that are there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Meeting {
    /// ON CONFLICT DO UPDATE.
    Updates,
    /// ON CONFLICT DO NOTHING.
    Nothing,
    MergeUpdates,
    MergeDeletes,
    Overwrite,
}

#[derive(Clone, Debug)]
enum Shape {
    Add {
        kind: Kind,
        default: Option<i64>,
        after: Option<usize>,
        again: bool,
    },
    Drop(usize),
    Rename {
        column: usize,
        again: bool,
    },
    Widen(usize),
    /// To text, which writes every row again.
    Retype(usize),
    SetDefault(usize, Option<i64>),
    Move(usize, Option<usize>),
}

#[derive(Clone, Copy, Debug)]
enum Block {
    Begin,
    Commit,
    Rollback,
    Savepoint,
    RollbackTo,
}

#[derive(Clone, Debug)]
enum Refs {
    Branch(usize),
    DropBranch(usize),
    Tag(usize),
    DropTag(usize),
    Switch(usize),
    RollBack { branch: usize, to: usize },
    Merge { from: usize, into: usize, mode: Mode },
    Publish { from: usize, into: usize },
    CherryPick { commit: usize, table: Option<usize> },
    Forward { branch: usize, to: usize },
    ForwardTable { table: usize, branch: usize, to: usize },
}

#[derive(Clone, Debug)]
enum Care {
    Fold,
    Compact { table: usize, small_files: bool },
    Expire { keep: u64, table: Option<usize> },
    Orphans,
    Read,
    EndRead,
}

fn pick() -> std::ops::Range<usize> {
    0..16
}

fn object() -> impl Strategy<Value = Object> {
    use Object::*;
    prop_oneof![
        2 => any::<bool>().prop_map(|keyed| Create { keyed }),
        2 => pick().prop_map(Drop),
        3 => pick().prop_map(Undrop),
        1 => pick().prop_map(Rename),
        2 => (pick(), pick()).prop_map(|(table, at)| Clone { table, at }),
        4 => (pick(), pick()).prop_map(|(table, at)| Restore { table, at }),
    ]
}

fn write() -> impl Strategy<Value = Write> {
    use Write::*;
    let from = || prop_oneof![4 => 0..60_i64, 1 => 0..20_000_i64];
    let which = || {
        prop_oneof![
            3 => (1..6_i64).prop_map(Which::Every),
            2 => (pick(), pick()).prop_map(|(column, row)| Which::Like { column, row }),
        ]
    };
    let rows = prop_oneof![40 => 1..9_i64, 1 => Just(world::MANY)];
    let given = proptest::option::of((pick(), -9..99_i64));
    let to = proptest::option::weighted(0.8, -9..99_i64);
    let value = proptest::option::weighted(0.8, -9..99_i64);
    let meeting = prop_oneof![
        3 => Just(Meeting::Updates),
        2 => Just(Meeting::Nothing),
        3 => Just(Meeting::MergeUpdates),
        2 => Just(Meeting::MergeDeletes),
        1 => Just(Meeting::Overwrite),
    ];
    prop_oneof![
        6 => (pick(), from(), rows, given)
            .prop_map(|(table, from, rows, given)| Insert { table, from, rows, given }),
        1 => (pick(), pick(), from())
            .prop_map(|(table, branch, from)| Elsewhere { table, branch, from }),
        5 => (pick(), which(), pick(), to)
            .prop_map(|(table, which, column, to)| Update { table, which, column, to }),
        1 => (pick(), 1..6_i64, 1..9_i64)
            .prop_map(|(table, every, add)| Shift { table, every, add }),
        2 => (pick(), which()).prop_map(|(table, which)| Delete { table, which }),
        4 => (pick(), meeting, (from(), 1..9_i64), (pick(), value))
            .prop_map(|(table, meeting, keys, set)| Meet { table, meeting, keys, set }),
        1 => pick().prop_map(|table| Truncate { table }),
    ]
}

fn shape() -> impl Strategy<Value = Shape> {
    use Shape::*;
    let kind = prop_oneof![
        Just(Kind::Int2),
        Just(Kind::Int4),
        Just(Kind::Money),
        Just(Kind::Short),
        Just(Kind::Text)
    ];
    let value = || proptest::option::of(-9..99_i64);
    let place = || proptest::option::of(pick());
    prop_oneof![
        5 => (kind, value(), place(), any::<bool>())
            .prop_map(|(kind, default, after, again)| Add { kind, default, after, again }),
        3 => pick().prop_map(Drop),
        2 => (pick(), any::<bool>()).prop_map(|(column, again)| Rename { column, again }),
        3 => pick().prop_map(Widen),
        1 => pick().prop_map(Retype),
        2 => (pick(), value()).prop_map(|(column, to)| SetDefault(column, to)),
        2 => (pick(), place()).prop_map(|(column, to)| Move(column, to)),
    ]
}

fn block() -> impl Strategy<Value = Block> {
    prop_oneof![
        3 => Just(Block::Begin),
        6 => Just(Block::Commit),
        1 => Just(Block::Rollback),
        2 => Just(Block::Savepoint),
        2 => Just(Block::RollbackTo),
    ]
}

fn refs() -> impl Strategy<Value = Refs> {
    use Refs::*;
    let mode = prop_oneof![1 => Just(Mode::Fail), 2 => Just(Mode::Ours), 2 => Just(Mode::Theirs)];
    let table = proptest::option::of(pick());
    prop_oneof![
        4 => pick().prop_map(Branch),
        1 => pick().prop_map(DropBranch),
        1 => pick().prop_map(Tag),
        1 => pick().prop_map(DropTag),
        8 => pick().prop_map(Switch),
        1 => (pick(), pick()).prop_map(|(branch, to)| RollBack { branch, to }),
        10 => (pick(), pick(), mode).prop_map(|(from, into, mode)| Merge { from, into, mode }),
        2 => (pick(), pick()).prop_map(|(from, into)| Publish { from, into }),
        3 => (pick(), table).prop_map(|(commit, table)| CherryPick { commit, table }),
        1 => (pick(), pick()).prop_map(|(branch, to)| Forward { branch, to }),
        1 => (pick(), pick(), pick())
            .prop_map(|(table, branch, to)| ForwardTable { table, branch, to }),
    ]
}

fn care() -> impl Strategy<Value = Care> {
    use Care::*;
    let table = proptest::option::weighted(0.3, pick());
    prop_oneof![
        4 => Just(Fold),
        5 => (pick(), any::<bool>())
            .prop_map(|(table, small_files)| Compact { table, small_files }),
        2 => (1..6_u64, table).prop_map(|(keep, table)| Expire { keep, table }),
        1 => Just(Orphans),
        1 => Just(Read),
        1 => Just(EndRead),
    ]
}

/// What a history is mostly about: how often each kind of step comes.
const THEMES: [[u32; 6]; 5] = [
    // objects, writes, shapes, blocks, refs, care
    [8, 24, 20, 8, 36, 10],
    // Shapes that come back, over files that were written again.
    [20, 14, 24, 2, 28, 16],
    // Long blocks, and upkeep behind their backs.
    [8, 24, 16, 24, 8, 14],
    // Histories that meet again and again.
    [4, 20, 6, 2, 60, 8],
    [4, 30, 6, 4, 20, 30],
];

fn step([objects, writes, shapes, blocks, moves, cares]: [u32; 6]) -> impl Strategy<Value = Step> {
    prop_oneof![
        objects => object().prop_map(Step::Object),
        writes => write().prop_map(Step::Write),
        shapes => (pick(), shape()).prop_map(|(table, shape)| Step::Shape { table, shape }),
        blocks => block().prop_map(Step::Block),
        moves => refs().prop_map(Step::Refs),
        cares => care().prop_map(Step::Care),
        2 => Just(Step::Reopen),
    ]
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    (0..THEMES.len()).prop_flat_map(|n| proptest::collection::vec(step(THEMES[n]), 8..44))
}

/// Two branches of one table that have parted: what comes after can join them.
fn parted() -> Vec<Step> {
    let insert = |from| Step::Write(Write::Insert { table: 0, from, rows: 6, given: None });
    vec![
        Step::Object(Object::Create { keyed: true }),
        insert(0),
        Step::Refs(Refs::Branch(0)),
        insert(20),
        Step::Refs(Refs::Switch(0)),
        insert(40),
    ]
}

#[test]
fn every_version_is_what_its_history_made_it() {
    let config = config("proptest-regressions/it/whole.txt", 12, 600);
    let cases = config.cases;
    proptest!(config, |(steps in steps())| {
        World::build().live(&[parted(), steps].concat());
    });
    let [joined, refused] = [&world::JOINED, &world::REFUSED].map(|n| n.load(Ordering::Relaxed));
    assert!(cases < 12 || joined > 2, "{cases} cases: {joined} joined, {refused} refused");
}
