//! What writers should see of each other.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::Write;

/// One version of a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Row {
    /// Other with every version.
    stamp: u64,
    pub(super) k: i64,
    pub(super) x: Option<i64>,
    pub(super) v: i64,
}

impl Row {
    pub(super) fn new(k: i64, x: Option<i64>, v: i64) -> Arc<Row> {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Arc::new(Row { stamp: NEXT.fetch_add(1, Ordering::Relaxed), k, x, v })
    }
}

/// By identity.
pub(super) type Rows = BTreeMap<i64, Arc<Row>>;

#[derive(Clone, Debug, Default)]
pub(super) struct Table {
    pub(super) rows: Rows,
    /// How often its shape was changed.
    pub(super) shape: u64,
}

/// The first has keys, the second has none.
pub(super) type State = [Table; 2];

pub(super) fn has_distinct_keys(rows: &Rows) -> bool {
    let (mut keys, mut others) = (BTreeSet::new(), BTreeSet::new());
    rows.values().all(|row| keys.insert(row.k) && row.x.is_none_or(|x| others.insert(x)))
}

/// What a block put in place of others: all of a table, or keys from one to before another.
#[derive(Clone, Copy, Debug)]
pub(super) enum Replaced {
    All,
    Keys(i64, i64),
}

impl Replaced {
    fn has(self, k: i64) -> bool {
        match self {
            Replaced::All => true,
            Replaced::Keys(from, to) => (from..to).contains(&k),
        }
    }
}

/// What a block wrote beside the rows.
#[derive(Clone, Debug, Default)]
pub(super) struct Work {
    pub(super) now: State,
    pub(super) replaced: [Vec<Replaced>; 2],
    /// Whether a key that came meanwhile is a conflict: an upsert would do something else with it.
    pub(super) reruns: [bool; 2],
}

#[derive(Clone, Debug)]
pub(super) struct Block {
    pub(super) base: State,
    pub(super) work: Work,
    pub(super) savepoints: Vec<Work>,
    pub(super) failed: bool,
}

/// What COMMIT may answer.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Done(State),
    Refused(BTreeSet<&'static str>),
}

impl PartialEq for Table {
    fn eq(&self, other: &Table) -> bool {
        self.rows == other.rows && self.shape == other.shape
    }
}

impl Eq for Table {}

impl Block {
    /// First committer wins.
    pub(super) fn commit(&self, head: &State) -> Verdict {
        let mut after = head.clone();
        let mut codes = BTreeSet::new();
        for (t, table) in after.iter_mut().enumerate() {
            let (base, now) = (&self.base[t], &self.work.now[t]);
            let same = |other: &Rows, u: &i64, row: &Arc<Row>| {
                other.get(u).is_some_and(|there| there.stamp == row.stamp)
            };
            let gone: Vec<i64> =
                base.rows.iter().filter(|(u, r)| !same(&now.rows, u, r)).map(|(u, _)| *u).collect();
            let came: Rows = now
                .rows
                .iter()
                .filter(|(u, row)| !same(&base.rows, u, row))
                .map(|(u, row)| (*u, Arc::clone(row)))
                .collect();
            let replaced = &self.work.replaced[t];
            if gone.is_empty() && came.is_empty() && replaced.is_empty() {
                continue;
            }
            let others = head[t].rows.iter().filter(|(u, row)| !same(&base.rows, u, row));
            let overtaken = gone.iter().any(|u| !same(&head[t].rows, u, &base.rows[u]))
                || base.shape != head[t].shape
                || others.into_iter().any(|(_, row)| replaced.iter().any(|range| range.has(row.k)));
            if overtaken {
                codes.insert("40001");
            }
            table.rows.retain(|u, _| !gone.contains(u));
            let (keys, others): (BTreeSet<i64>, BTreeSet<i64>) = (
                table.rows.values().map(|row| row.k).collect(),
                table.rows.values().filter_map(|row| row.x).collect(),
            );
            let meets = |row: &Arc<Row>| {
                keys.contains(&row.k) || row.x.is_some_and(|x| others.contains(&x))
            };
            if t == 0 && came.values().any(meets) {
                codes.insert(if self.work.reruns[t] { "40001" } else { "23505" });
            }
            table.rows.extend(came);
        }
        if codes.is_empty() { Verdict::Done(after) } else { Verdict::Refused(codes) }
    }
}

impl Write {
    /// The statement, and the rows there are after it.
    pub(super) fn apply(&self, name: &str, rows: &Rows, first: i64) -> (String, Rows) {
        let keyed = name == "a";
        let mut after = rows.clone();
        let series = |from: i64, rows: i64| {
            format!(
                "SELECT {first} + i, {from} + i, {first} FROM generate_series(0, {}) AS g (i)",
                rows - 1
            )
        };
        let every = |every: i64| rows.iter().filter(move |(u, _)| *u % every == 0);
        let sql = match *self {
            Write::Insert { from, rows, unique } => {
                let row = |i: i64| (first + i, Row::new(from + i, unique.map(|x| x + i), i));
                after.extend((0..rows).map(row));
                inserting(name, (first, from, rows), unique)
            }
            Write::Update { every: n, add } => {
                after.extend(every(n).map(|(u, row)| (*u, Row::new(row.k, row.x, row.v + add))));
                format!("UPDATE {name} SET v = v + {add} WHERE u % {n} = 0")
            }
            Write::Shift { every: n, add } => {
                after.extend(every(n).map(|(u, row)| (*u, Row::new(row.k + add, row.x, row.v))));
                format!("UPDATE {name} SET k = k + {add} WHERE u % {n} = 0")
            }
            Write::Delete { every: n } => {
                after.retain(|u, _| u % n != 0);
                format!("DELETE FROM {name} WHERE u % {n} = 0")
            }
            Write::Upsert { from, rows: count, updates } => {
                meet(&mut after, rows, (first, from, count), keyed, keyed && !updates);
                let rule = match (keyed, updates) {
                    (true, true) => " ON CONFLICT (k) DO UPDATE SET v = excluded.v",
                    (true, false) => " ON CONFLICT DO NOTHING",
                    (false, _) => "",
                };
                format!("INSERT INTO {name} (u, k, v) {}{rule}", series(from, count))
            }
            Write::Merge { from, rows: count } => {
                meet(&mut after, rows, (first, from, count), true, false);
                format!(
                    "MERGE INTO {name} AS t USING ({}) AS s (u, k, v) ON t.k = s.k \
                     WHEN MATCHED THEN UPDATE SET v = s.v \
                     WHEN NOT MATCHED THEN INSERT (u, k, v) VALUES (s.u, s.k, s.v)",
                    series(from, count)
                )
            }
            Write::Overwrite { from, rows: count } => {
                after = (0..count).map(|i| (first + i, Row::new(from + i, None, first))).collect();
                format!("INSERT OVERWRITE {name} (u, k, v) {}", series(from, count))
            }
            Write::Replace { from, rows: count } => {
                after.retain(|_, row| !(from..from + count).contains(&row.k));
                after.extend((0..count).map(|i| (first + i, Row::new(from + i, None, first))));
                format!(
                    "INSERT INTO {name} (u, k, v) REPLACE WHERE k >= {from} AND k < {} {}",
                    from + count,
                    series(from, count)
                )
            }
            Write::Truncate => {
                after.clear();
                format!("TRUNCATE {name}")
            }
        };
        (sql, after)
    }

    /// What it puts in place of others.
    pub(super) fn replaced(&self) -> Option<Replaced> {
        match *self {
            Write::Overwrite { .. } => Some(Replaced::All),
            Write::Replace { from, rows } => Some(Replaced::Keys(from, from + rows)),
            _ => None,
        }
    }
}

fn inserting(name: &str, (first, from, rows): (i64, i64, i64), unique: Option<i64>) -> String {
    let x = unique.map_or("NULL".to_owned(), |x| format!("{x} + i"));
    format!(
        "INSERT INTO {name} (u, k, x, v) SELECT {first} + i, {from} + i, {x}, i \
         FROM generate_series(0, {}) AS g (i)",
        rows - 1
    )
}

/// Brings rows to those there are: where one `meets` a key that is there, every row of that key gets the
/// new value, unless it `stays`.
fn meet(
    after: &mut Rows,
    rows: &Rows,
    (first, from, count): (i64, i64, i64),
    meets: bool,
    stays: bool,
) {
    for i in 0..count {
        let there: Vec<i64> =
            rows.iter().filter(|(_, row)| meets && row.k == from + i).map(|(u, _)| *u).collect();
        if there.is_empty() {
            after.insert(first + i, Row::new(from + i, None, first));
        }
        for u in there.into_iter().filter(|_| !stays) {
            let row = &rows[&u];
            after.insert(u, Row::new(row.k, row.x, first));
        }
    }
}
