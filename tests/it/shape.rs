//! Random changes of a table's shape, between inserts, updates, deletes, branches and tags, against a
//! model that keeps every version whole: columns by identity, rows as text.
//!
//! After each step the session's view, one version and one branch are compared, every version when
//! the folder was opened again.

use std::collections::BTreeMap;
use std::time::Duration;

use asofdb::config::Settings;
use asofdb::server::query_runtime;
use asofdb::session::Database;
use proptest::prelude::*;

use crate::guest::{Guest, Rows};
use crate::property::{config, home};

/// More than the log keeps of one statement.
const MANY: i32 = 8_500;
#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Int2,
    Int4,
    Int8,
    Money,
    Fine,
    Short,
    Text,
}

#[derive(Clone, Debug)]
enum Step {
    Add {
        kind: Kind,
        default: Option<i32>,
        after: Option<usize>,
    },
    Drop(usize),
    Rename(usize),
    Widen(usize),
    /// To text, which writes every row again.
    Retype(usize),
    SetDefault(usize, Option<i32>),
    Move(usize, Option<usize>),
    Insert {
        from: i32,
        rows: i32,
    },
    Update {
        every: i32,
        column: usize,
        to: i32,
    },
    Delete {
        from: i32,
        rows: i32,
    },
    Begin,
    Commit,
    Rollback,
    Branch(usize),
    Switch(usize),
    Reopen,
}

/// A column of the model; the key is the one that is never dropped.
#[derive(Clone, Debug, PartialEq)]
struct Column {
    name: String,
    kind: Kind,
    default: Option<String>,
    key: bool,
}

/// One version: the cells of each row in the order of columns.
#[derive(Clone, Debug, Default, PartialEq)]
struct State {
    columns: Vec<Column>,
    rows: BTreeMap<i32, Vec<Option<String>>>,
}

struct World {
    settings: Settings,
    open: Option<(Guest, Database)>,
    commits: BTreeMap<u64, State>,
    branches: BTreeMap<String, u64>,
    on: String,
    block: Option<State>,
    names: usize,
    _folder: tempfile::TempDir,
}

impl Kind {
    fn sql(self) -> &'static str {
        match self {
            Kind::Int2 => "smallint",
            Kind::Int4 => "int",
            Kind::Int8 => "bigint",
            Kind::Money => "numeric(8,2)",
            Kind::Fine => "numeric(12,4)",
            Kind::Short => "varchar(12)",
            Kind::Text => "text",
        }
    }

    fn shown(self, n: i32) -> String {
        match self {
            Kind::Int2 | Kind::Int4 | Kind::Int8 => n.to_string(),
            Kind::Money => format!("{n}.00"),
            Kind::Fine => format!("{n}.0000"),
            Kind::Short | Kind::Text => format!("v{n}"),
        }
    }

    fn wider(self) -> Option<Kind> {
        match self {
            Kind::Int2 => Some(Kind::Int4),
            Kind::Int4 => Some(Kind::Int8),
            Kind::Money => Some(Kind::Fine),
            Kind::Short => Some(Kind::Text),
            Kind::Int8 | Kind::Fine | Kind::Text => None,
        }
    }

    /// A value of this kind as the wider one shows it.
    fn widened(self, text: &str) -> String {
        if self == Kind::Money { format!("{text}00") } else { text.to_owned() }
    }
}

fn literal(text: &Option<String>) -> String {
    text.as_ref().map_or("NULL".to_owned(), |text| format!("'{text}'"))
}

impl State {
    fn position(&self, n: usize) -> usize {
        n % self.columns.len()
    }

    fn key(&self) -> usize {
        self.columns.iter().position(|column| column.key).expect("the key stays")
    }

    fn shown(&self) -> Rows {
        let cell = |cell: &Option<String>| cell.clone().unwrap_or_else(|| "NULL".to_owned());
        let mut rows: Rows = self.rows.values().map(|row| row.iter().map(cell).collect()).collect();
        rows.sort();
        rows
    }

    fn place(&mut self, from: usize, after: Option<usize>) -> Option<String> {
        let moved = self.columns[from].clone();
        let after = after.map(|n| self.columns[self.position(n)].name.clone());
        if after.as_ref() == Some(&moved.name) {
            return None;
        }
        self.columns.remove(from);
        let to = match &after {
            None => 0,
            Some(name) => self.columns.iter().position(|c| c.name == *name).expect("picked") + 1,
        };
        self.columns.insert(to, moved);
        for row in self.rows.values_mut() {
            let cell = row.remove(from);
            row.insert(to, cell);
        }
        Some(after.map_or("FIRST".to_owned(), |name| format!("AFTER {name}")))
    }
}

impl World {
    fn build() -> World {
        let (folder, settings) = home(1_767_225_600_000_000);
        World {
            settings,
            open: None,
            commits: BTreeMap::new(),
            branches: BTreeMap::new(),
            on: "main".to_owned(),
            block: None,
            names: 0,
            _folder: folder,
        }
    }

    fn open(&mut self) {
        let database =
            Database::open(&self.settings.data, self.settings.clone()).expect("it opens");
        self.open = Some((Guest::arrive(&database), database));
    }

    fn live(mut self, steps: &[Step]) {
        let runtime = query_runtime(&self.settings).expect("threads");
        runtime.block_on(async {
            self.open();
            let key = Column { name: "k".into(), kind: Kind::Int2, default: None, key: true };
            let first = State { columns: vec![key], rows: BTreeMap::new() };
            self.must("CREATE TABLE t (k smallint PRIMARY KEY)").await;
            self.committed(first);
            for (n, step) in steps.iter().enumerate() {
                self.settings.clock.advance(Duration::from_secs(1));
                self.take(step).await;
                self.compare(n).await;
            }
            if self.block.is_some() {
                self.take(&Step::Rollback).await;
            }
            self.take(&Step::Reopen).await;
        });
        self.open = None;
        drop(runtime);
        let problems = Database::check(&self.settings.data).expect("a check");
        assert_eq!(problems, Vec::<String>::new());
    }

    async fn must(&mut self, sql: &str) -> Rows {
        self.open.as_mut().expect("open").0.must(sql).await
    }

    fn now(&self) -> State {
        match &self.block {
            Some(state) => state.clone(),
            None => self.commits[&self.branches[&self.on]].clone(),
        }
    }

    fn committed(&mut self, after: State) {
        let store = self.open.as_ref().expect("open").1.store();
        let head = store.head(&self.on).expect("the branch is there").commit().0;
        self.commits.insert(head, after);
        self.branches.insert(self.on.clone(), head);
    }

    async fn write(&mut self, sql: &str, after: State) {
        self.must(sql).await;
        match &mut self.block {
            Some(state) => *state = after,
            None => self.committed(after),
        }
    }

    fn new_name(&mut self) -> String {
        self.names += 1;
        format!("c{}", self.names)
    }

    async fn take(&mut self, step: &Step) {
        match step {
            Step::Add { .. } | Step::Drop(_) | Step::Rename(_) | Step::Move(..) => {
                self.columns(step).await;
            }
            Step::Widen(_) | Step::Retype(_) | Step::SetDefault(..) => self.types(step).await,
            Step::Insert { .. } | Step::Update { .. } | Step::Delete { .. } => {
                self.rows(step).await;
            }
            Step::Begin | Step::Commit | Step::Rollback => self.blocks(step).await,
            Step::Branch(_) | Step::Switch(_) | Step::Reopen => self.refs(step).await,
        }
    }

    async fn columns(&mut self, step: &Step) {
        let mut after = self.now();
        match step {
            Step::Add { kind, default, after: place } => {
                // One in three takes a name that may have been another column's.
                let name = match self.names % 3 {
                    0 if !after.columns.iter().any(|c| c.name == "again") => "again".to_owned(),
                    _ => self.new_name(),
                };
                self.names += 1;
                let default = default.map(|n| kind.shown(n));
                let (kind, key) = (*kind, false);
                let column = Column { name: name.clone(), kind, default: default.clone(), key };
                after.columns.push(column);
                after.rows.values_mut().for_each(|row| row.push(default.clone()));
                let last = after.columns.len() - 1;
                let place = place.and_then(|n| after.place(last, Some(n)));
                let said = default.as_ref().map(|_| format!("DEFAULT {}", literal(&default)));
                let (said, place) = (said.unwrap_or_default(), place.unwrap_or_default());
                let sql = format!("ALTER TABLE t ADD COLUMN {name} {} {said} {place}", kind.sql());
                self.write(&sql, after).await;
            }
            Step::Drop(n) => {
                let at = after.position(*n);
                if after.columns[at].key {
                    return;
                }
                let gone = after.columns.remove(at);
                after.rows.values_mut().for_each(|row| drop(row.remove(at)));
                self.write(&format!("ALTER TABLE t DROP COLUMN {}", gone.name), after).await;
            }
            Step::Rename(n) => {
                let at = after.position(*n);
                let (from, to) = (after.columns[at].name.clone(), self.new_name());
                after.columns[at].name.clone_from(&to);
                self.write(&format!("ALTER TABLE t RENAME COLUMN {from} TO {to}"), after).await;
            }
            Step::Move(n, place) => {
                let at = after.position(*n);
                let name = after.columns[at].name.clone();
                let Some(place) = after.place(at, *place) else { return };
                self.write(&format!("ALTER TABLE t ALTER COLUMN {name} {place}"), after).await;
            }
            other => unreachable!("{other:?}"),
        }
    }

    async fn types(&mut self, step: &Step) {
        let mut after = self.now();
        let (Step::Widen(n) | Step::Retype(n) | Step::SetDefault(n, _)) = step else { return };
        let at = after.position(*n);
        let column = after.columns[at].clone();
        let name = &column.name;
        match step {
            Step::SetDefault(_, to) => {
                if column.key {
                    return;
                }
                let default = to.map(|n| column.kind.shown(n));
                let what = match &default {
                    Some(_) => format!("SET DEFAULT {}", literal(&default)),
                    None => "DROP DEFAULT".to_owned(),
                };
                after.columns[at].default = default;
                self.write(&format!("ALTER TABLE t ALTER {name} {what}"), after).await;
            }
            _ => {
                let to = match step {
                    Step::Widen(_) => column.kind.wider(),
                    _ if column.key || column.kind == Kind::Text => None,
                    _ => Some(Kind::Text),
                };
                let Some(to) = to else { return };
                let wide = matches!(step, Step::Widen(_));
                let shown = |text: &String| match wide {
                    true => column.kind.widened(text),
                    false => text.clone(),
                };
                after.columns[at].kind = to;
                after.columns[at].default = column.default.as_ref().map(shown);
                for row in after.rows.values_mut() {
                    row[at] = row[at].as_ref().map(shown);
                }
                let sql = format!("ALTER TABLE t ALTER COLUMN {name} TYPE {}", to.sql());
                self.write(&sql, after).await;
            }
        }
    }

    async fn rows(&mut self, step: &Step) {
        let mut after = self.now();
        let key = after.key();
        let k = after.columns[key].name.clone();
        match step {
            Step::Insert { from, rows } => {
                let new = *from..from + rows;
                if new.clone().any(|k| after.rows.contains_key(&k)) {
                    return;
                }
                for n in new {
                    let cell = |c: &Column| match c.key {
                        true => Some(n.to_string()),
                        false => c.default.clone(),
                    };
                    after.rows.insert(n, after.columns.iter().map(cell).collect());
                }
                let end = from + rows - 1;
                let sql = format!(
                    "INSERT INTO t ({k}) SELECT i FROM generate_series({from}, {end}) g(i)"
                );
                self.write(&sql, after).await;
            }
            Step::Update { every, column, to } => {
                let at = after.position(*column);
                if after.columns[at].key {
                    return;
                }
                let (name, value) =
                    (after.columns[at].name.clone(), Some(after.columns[at].kind.shown(*to)));
                for (n, row) in &mut after.rows {
                    if n % every == 0 {
                        row[at].clone_from(&value);
                    }
                }
                let sql =
                    format!("UPDATE t SET {name} = {} WHERE {k} % {every} = 0", literal(&value));
                self.write(&sql, after).await;
            }
            Step::Delete { from, rows } => {
                let gone = *from..from + rows;
                after.rows.retain(|n, _| !gone.contains(n));
                let sql = format!("DELETE FROM t WHERE {k} >= {from} AND {k} < {}", gone.end);
                self.write(&sql, after).await;
            }
            other => unreachable!("{other:?}"),
        }
    }

    async fn blocks(&mut self, step: &Step) {
        match (step, self.block.take()) {
            (Step::Begin, None) => {
                self.must("BEGIN").await;
                self.block = Some(self.now());
            }
            (Step::Commit, Some(state)) => {
                self.must("COMMIT").await;
                self.committed(state);
            }
            (Step::Rollback, Some(_)) => drop(self.must("ROLLBACK").await),
            (_, block) => self.block = block,
        }
    }

    async fn refs(&mut self, step: &Step) {
        if self.block.is_some() {
            return;
        }
        match step {
            Step::Branch(n) => {
                let at = *self.commits.keys().nth(n % self.commits.len()).expect("picked");
                let name = format!("b{}", self.new_name());
                self.must(&format!("CREATE BRANCH {name} AS OF VERSION {at}")).await;
                self.branches.insert(name, at);
            }
            Step::Switch(n) => {
                let names: Vec<&String> = self.branches.keys().collect();
                self.on = names[n % names.len()].clone();
                self.must(&format!("SET branch = '{}'", self.on)).await;
            }
            _ => {
                self.open = None;
                self.open();
                self.must(&format!("SET branch = '{}'", self.on)).await;
                for n in 0..self.commits.len() {
                    self.compare(n).await;
                }
            }
        }
    }

    async fn expect(&mut self, at: &str, state: &State) {
        let mut rows = self.must(&format!("SELECT * FROM t{at}")).await;
        rows.sort();
        let shown = state.shown();
        assert!(rows == shown, "t{at}: {:?}", first_difference(&rows, &shown));
    }

    async fn compare(&mut self, n: usize) {
        let now = self.now();
        self.expect("", &now).await;
        self.conditions(&now, n).await;
        if self.block.is_some() {
            return;
        }
        let (commit, state) = self.commits.iter().nth(n % self.commits.len()).expect("picked");
        let (commit, state) = (*commit, state.clone());
        self.expect(&format!(" FOR SYSTEM_VERSION AS OF {commit}"), &state).await;
        let (branch, head) = self.branches.iter().nth(n % self.branches.len()).expect("picked");
        let (branch, state) = (branch.clone(), self.commits[head].clone());
        self.expect(&format!("@{branch}"), &state).await;
    }

    /// A column by its name, in conditions that statistics may decide.
    async fn conditions(&mut self, now: &State, n: usize) {
        let at = now.position(n);
        let name = &now.columns[at].name;
        let cells = now.rows.values().map(|row| row[at].clone());
        let count = |test: &dyn Fn(&Option<String>) -> bool| {
            vec![vec![cells.clone().filter(|cell| test(cell)).count().to_string()]]
        };
        let nulls = count(&Option::is_none);
        let asked = format!("SELECT count(*) FROM t WHERE {name} IS NULL");
        assert_eq!(self.must(&asked).await, nulls, "{asked}");
        let Some(some) = cells.clone().flatten().nth(n % 7) else { return };
        let equal = count(&|cell| cell.as_ref() == Some(&some));
        let asked = format!("SELECT count(*) FROM t WHERE {name} = '{some}'");
        assert_eq!(self.must(&asked).await, equal, "{asked}");
    }
}

fn first_difference(found: &Rows, expected: &Rows) -> (Option<Vec<String>>, Option<Vec<String>>) {
    let differ = (0..found.len().max(expected.len())).find(|i| found.get(*i) != expected.get(*i));
    let at = differ.unwrap_or(0);
    (found.get(at).cloned(), expected.get(at).cloned())
}

fn step() -> impl Strategy<Value = Step> {
    let kind = prop_oneof![
        Just(Kind::Int2),
        Just(Kind::Int4),
        Just(Kind::Money),
        Just(Kind::Short),
        Just(Kind::Text)
    ];
    let pick = || 0..16_usize;
    let value = || proptest::option::of(-9..99_i32);
    prop_oneof![
        5 => (kind, value(), proptest::option::of(pick()))
            .prop_map(|(kind, default, after)| Step::Add { kind, default, after }),
        3 => pick().prop_map(Step::Drop),
        2 => pick().prop_map(Step::Rename),
        4 => pick().prop_map(Step::Widen),
        1 => pick().prop_map(Step::Retype),
        2 => (pick(), value()).prop_map(|(n, to)| Step::SetDefault(n, to)),
        2 => (pick(), proptest::option::of(pick())).prop_map(|(n, to)| Step::Move(n, to)),
        6 => (0..60_i32, 1..9_i32).prop_map(|(from, rows)| Step::Insert { from, rows }),
        1 => (100..200_i32).prop_map(|from| Step::Insert { from, rows: MANY }),
        5 => (prop_oneof![1..4_i32, 700..900_i32], pick(), -9..99_i32)
            .prop_map(|(every, column, to)| Step::Update { every, column, to }),
        3 => (0..60_i32, prop_oneof![1..9_i32, Just(9_000)])
            .prop_map(|(from, rows)| Step::Delete { from, rows }),
        2 => Just(Step::Begin),
        2 => Just(Step::Commit),
        1 => Just(Step::Rollback),
        2 => pick().prop_map(Step::Branch),
        3 => pick().prop_map(Step::Switch),
        2 => Just(Step::Reopen),
    ]
}

#[test]
fn every_version_shows_the_shape_it_had() {
    let config = config("proptest-regressions/it/shape.txt", 30, 200);
    proptest!(config, |(steps in proptest::collection::vec(step(), 1..30))| {
        World::build().live(&steps);
    });
}
