//! The records of a file with its tables in the order of their keys and times, where the file declares none.
//!
//! Such a table has no NULL in its order. Rows that have one are left out: under `=` and for a time they are
//! no one's match, so every join that a table in order can serve answers the same without them.

use std::collections::HashMap;

use sqllogictest::{DefaultColumnType, Record, StatementExpect};

/// Columns of an order, keys before times.
const KEYS: [&str; 3] = ["k", "user_id", "item"];
const TIMES: [&str; 2] = ["ts", "t"];
/// Left sides stay as they are: what they lack would be missed.
const LEFT: [&str; 3] = ["l", "labels", "trades"];

/// Puts the tables in order; whether rows were left out.
pub(super) fn put_in_order(records: &mut [Record<DefaultColumnType>]) -> bool {
    let mut tables: HashMap<String, Vec<usize>> = HashMap::new();
    let mut lacking = false;
    for record in records {
        let Record::Statement { sql, expected, .. } = record else { continue };
        if let Some(table) = unordered(sql) {
            *sql =
                format!("{} CLUSTER BY ({})", sql.trim_end().trim_end_matches(';'), table.order());
            tables.insert(table.name, table.at);
            continue;
        }
        let Some((head, rows)) = inserted(sql) else { continue };
        let name = head.split_whitespace().nth(2).unwrap_or_default();
        let Some(at) = tables.get(name) else { continue };
        let is_null = |row: &&str| at.iter().any(|at| values(row).nth(*at) == Some("NULL"));
        let kept: Vec<&str> = rows.iter().copied().filter(|row| !is_null(row)).collect();
        let left_out = rows.len() - kept.len();
        lacking |= left_out > 0;
        if let StatementExpect::Count(count) = expected {
            *count -= left_out as u64;
        }
        *sql = match kept.is_empty() {
            true => format!("DELETE FROM {name} WHERE false"),
            false => format!("{head} VALUES {}", kept.join(", ")),
        };
    }
    lacking
}

/// A table without an order.
#[derive(Debug, PartialEq)]
struct Unordered {
    name: String,
    columns: Vec<String>,
    /// Of its columns those of the order.
    at: Vec<usize>,
}

impl Unordered {
    fn order(&self) -> String {
        self.at.iter().map(|at| self.columns[*at].as_str()).collect::<Vec<_>>().join(", ")
    }
}

fn unordered(sql: &str) -> Option<Unordered> {
    let upper = sql.to_ascii_uppercase();
    let is_other = ["CLUSTER BY", "PRIMARY KEY", " AS "].iter().any(|word| upper.contains(word));
    if !upper.starts_with("CREATE TABLE") || is_other {
        return None;
    }
    let (head, declared) = sql.split_once('(')?;
    let name = head.split_whitespace().last().filter(|name| !LEFT.contains(name))?.to_owned();
    let columns = pieces(declared).into_iter().filter_map(|one| one.split_whitespace().next());
    let columns: Vec<String> = columns.map(|name| name.trim_end_matches(')').to_owned()).collect();
    let of = |names: &[&str]| {
        let at = names.iter().filter_map(|name| columns.iter().position(|other| other == name));
        at.collect::<Vec<_>>()
    };
    let (keys, times) = (of(&KEYS), of(&TIMES));
    if times.is_empty() {
        return None;
    }
    Some(Unordered { name, at: [keys, times].concat(), columns })
}

/// What stands before VALUES, and the rows.
fn inserted(sql: &str) -> Option<(&str, Vec<&str>)> {
    let (head, rows) = sql.trim_end().trim_end_matches(';').split_once(" VALUES ")?;
    let is_plain = head.starts_with("INSERT INTO") && head.split_whitespace().count() == 3;
    is_plain.then(|| (head, pieces(rows)))
}

fn values(row: &str) -> impl Iterator<Item = &str> {
    let inside = row.trim().trim_start_matches('(').trim_end_matches(')');
    pieces(inside).into_iter()
}

/// What stands between the commas that are in no bracket and no text.
fn pieces(text: &str) -> Vec<&str> {
    let (mut depth, mut quoted, mut start, mut pieces) = (0_i32, false, 0, Vec::new());
    for (at, letter) in text.char_indices() {
        match letter {
            '\'' => quoted = !quoted,
            '(' | '[' if !quoted => depth += 1,
            ')' | ']' if !quoted => depth -= 1,
            ',' if !quoted && depth == 0 => {
                pieces.push(text[start..at].trim());
                start = at + 1;
            }
            _ => {}
        }
    }
    pieces.push(text[start..].trim());
    pieces
}

#[test]
fn tables_without_an_order_get_one() {
    let order = |sql| unordered(sql).map(|table| table.order());
    assert_eq!(order("CREATE TABLE r (k text, v int, ts int)").as_deref(), Some("k, ts"));
    assert_eq!(order("CREATE TABLE r (ts int, v numeric(9, 2))").as_deref(), Some("ts"));
    assert_eq!(order("CREATE TABLE r (v int, ts int)").as_deref(), Some("ts"));
    assert_eq!(order("CREATE TABLE l (k text, ts int)"), None);
    assert_eq!(order("CREATE TABLE r (k text, ts int) CLUSTER BY (ts)"), None);
    assert_eq!(order("CREATE TABLE r (k int PRIMARY KEY, ts int)"), None);
    assert_eq!(order("CREATE TABLE r (x int)"), None);
}

#[test]
fn rows_that_have_no_place_in_it_are_left_out() {
    let text = "statement ok\nCREATE TABLE r (k text, ts int, v text)\n\nstatement count 3\n\
                INSERT INTO r VALUES ('A,(', 1, NULL), (NULL, 2, 'n'), ('A', NULL, 'x')\n";
    let mut records = sqllogictest::parse(text).expect("two records");
    assert!(put_in_order(&mut records));
    let statements = records.iter().filter_map(|record| match record {
        Record::Statement { sql, expected, .. } => Some(format!("{sql}: {expected:?}")),
        _ => None,
    });
    assert_eq!(
        statements.collect::<Vec<_>>(),
        [
            "CREATE TABLE r (k text, ts int, v text) CLUSTER BY (k, ts): Ok",
            "INSERT INTO r VALUES ('A,(', 1, NULL): Count(1)"
        ]
    );
}
