//! Every spelling of a version of table t.

use crate::guest::Rows;

/// What t was at some version, and how that version can be named.
#[derive(Clone, Debug)]
pub(super) struct Version {
    /// A ref, and whether it is a tag.
    pub(super) name: Option<(&'static str, bool)>,
    /// The commit; 0 where it is not named by number.
    pub(super) commit: u64,
    /// When main showed it: µs since 1970-01-01 UTC.
    pub(super) time_us: Option<i64>,
    pub(super) state: State,
}

/// What a session says of t.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct State {
    /// All its columns, sorted.
    pub(super) rows: Rows,
    /// What DESCRIBE says.
    pub(super) shape: Rows,
    /// What DESCRIBE HISTORY says.
    pub(super) history: Rows,
}

impl State {
    /// Names and types.
    pub(super) fn columns(&self) -> Rows {
        self.shape.iter().map(|column| column[..2].to_vec()).collect()
    }

    /// The columns (k, v), sorted.
    pub(super) fn pairs(&self) -> Rows {
        let at = |name: &str| {
            self.shape.iter().position(|column| column[0] == name).expect("t always has it")
        };
        let (k, v) = (at("k"), at("v"));
        let mut pairs: Rows =
            self.rows.iter().map(|row| vec![row[k].clone(), row[v].clone()]).collect();
        pairs.sort();
        pairs
    }
}

/// A table at a version, and the value of `$1` where it has one.
#[derive(Clone, Debug)]
pub(super) struct Spelling {
    pub(super) text: String,
    pub(super) parameter: Option<String>,
}

fn plain(texts: Vec<String>) -> Vec<Spelling> {
    texts.into_iter().map(|text| Spelling { text, parameter: None }).collect()
}

fn with(text: &str, parameter: &str) -> Spelling {
    Spelling { text: text.to_owned(), parameter: Some(parameter.to_owned()) }
}

/// All spellings of a version; `now_us` is where the clock stands.
pub(super) fn spellings(version: &Version, mains: &[Version], now_us: i64) -> Vec<Spelling> {
    let mut found = Vec::new();
    match version.name {
        Some((name, tag)) => found.extend(of_ref(name, tag)),
        None => found.extend(of_commit(version.commit)),
    }
    if let Some(time_us) = version.time_us {
        // Until the next commit the same rows are shown.
        let next = mains.iter().filter_map(|v| v.time_us).find(|t| *t > time_us);
        let last = next.map_or(time_us, |next| next - 1);
        found.extend(of_time(time_us, last, now_us));
    }
    found
}

fn of_commit(n: u64) -> Vec<Spelling> {
    let mut found = plain(vec![
        format!("t FOR SYSTEM_VERSION AS OF {n}"),
        format!("t FOR SYSTEM_VERSION AS OF '{n}'"),
        format!("t SYSTEM_VERSION AS OF {n}"),
        format!("t FOR VERSION AS OF {n}"),
        format!("t VERSION AS OF {n}"),
        format!("t AS OF {n}"),
        format!("t AS OF VERSION {n}"),
        format!("t AT (VERSION => {n})"),
        format!("t AT (SNAPSHOT => {n})"),
        format!("t AT (COMMIT => {n})"),
        format!("t AT SNAPSHOT {n}"),
        format!("t AT COMMIT {n}"),
        format!("t@v{n}"),
        format!("t@{n}"),
        format!("t.snapshot_id_{n}"),
        format!("public.t.snapshot_id_{n}"),
        format!("main.public.t.snapshot_id_{n}"),
        format!("t$snapshot_id_{n}"),
        format!("\"t$snapshot_id_{n}\""),
        format!("\"t@v{n}\""),
    ]);
    found.push(with("t FOR SYSTEM_VERSION AS OF $1", &n.to_string()));
    found.push(with("t VERSION AS OF $1", &n.to_string()));
    found.push(with("t AT (VERSION => $1)", &n.to_string()));
    found
}

fn of_ref(name: &str, tag: bool) -> Vec<Spelling> {
    let kind = if tag { "TAG" } else { "BRANCH" };
    let prefix = kind.to_lowercase();
    let mut found = plain(vec![
        format!("t FOR SYSTEM_VERSION AS OF '{name}'"),
        format!("t FOR VERSION AS OF '{name}'"),
        format!("t VERSION AS OF '{name}'"),
        format!("t AS OF '{name}'"),
        format!("t AT (VERSION => '{name}')"),
        format!("t AT (REF => {name})"),
        format!("t AT (REF => '{name}')"),
        format!("t AT (VERSION_REF => '{name}')"),
        format!("t AT ({kind} => {name})"),
        format!("t AT ({kind} => '{name}')"),
        format!("t AT {kind} {name}"),
        format!("t AT REF {name}"),
        format!("t@{name}"),
        format!("t@\"{name}\""),
        format!("t@{prefix}({name})"),
        format!("public.t@{name}"),
        format!("main.public.t@{name}"),
        format!("t.{prefix}_{name}"),
        format!("public.t.{prefix}_{name}"),
        format!("main.public.t.{prefix}_{name}"),
        format!("t${prefix}_{name}"),
        format!("\"t${prefix}_{name}\""),
        format!("\"t@{name}\""),
    ]);
    if tag {
        found.extend(plain(vec![format!("t AT (VERSION_TAG => '{name}')")]));
    }
    found.push(with("t FOR SYSTEM_VERSION AS OF $1", name));
    found.push(with("t AT (REF => $1)", name));
    found
}

fn of_time(first_us: i64, last_us: i64, now_us: i64) -> Vec<Spelling> {
    let mut found = Vec::new();
    for time_us in [first_us, last_us] {
        let t = shown(time_us);
        found.extend(plain(vec![
            format!("t FOR SYSTEM_VERSION AS OF '{t}'"),
            format!("t FOR SYSTEM_TIME AS OF '{t}'"),
            format!("t FOR SYSTEM_TIME AS OF TIMESTAMP '{t}'"),
            format!("t FOR SYSTEM_TIME AS OF TIMESTAMPTZ '{t}+00'"),
            format!("t FOR SYSTEM_TIME AS OF CAST('{t}' AS timestamptz)"),
            format!("t FOR SYSTEM_TIME AS OF '{t}'::timestamptz"),
            format!("t SYSTEM_TIME AS OF '{t}'"),
            format!("t FOR TIMESTAMP AS OF '{t}'"),
            format!("t TIMESTAMP AS OF '{t}'"),
            format!("t FOR TIME AS OF '{t}'"),
            format!("t AS OF '{t}'"),
            format!("t AS OF TIMESTAMP '{t}'"),
            format!("t AS OF SYSTEM_TIME '{t}'"),
            format!("t AT (TIMESTAMP => '{t}')"),
            format!("t AT (TIMESTAMP => TIMESTAMPTZ '{t}Z')"),
            format!("t@main FOR SYSTEM_TIME AS OF '{t}'"),
            format!("t AT BRANCH main AS OF TIMESTAMP '{t}'"),
            format!("t BEFORE (TIMESTAMP => '{}')", shown(time_us + 1)),
        ]));
        found.push(with("t FOR SYSTEM_TIME AS OF $1", &t));
        found.push(with("t TIMESTAMP AS OF $1", &t));
    }
    let (seconds, ago) = (first_us / 1_000_000, (now_us - first_us) / 1_000_000);
    found.extend(plain(vec![
        format!("t TIMESTAMP AS OF {seconds}"),
        format!("t AT (OFFSET => -{ago})"),
        format!("t AT (OFFSET => -1 * {ago})"),
        format!("t FOR SYSTEM_TIME AS OF '-{ago}s'"),
    ]));
    found
}

/// In UTC, to the µs.
fn shown(time_us: i64) -> String {
    let (seconds, micros) = (time_us.div_euclid(1_000_000), time_us.rem_euclid(1_000_000));
    let (day, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    // Every test stays within the first day of 2026.
    assert_eq!(day, 20_454, "the day of the tests' clock");
    let (hour, minute) = (second / 3600, second % 3600 / 60);
    format!("2026-01-01 {hour:02}:{minute:02}:{:02}.{micros:06}", second % 60)
}
