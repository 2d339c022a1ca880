//! Every file of `sql/asof` in every mode, with 1, 2 and 8 partitions, batches of 1, 2, 3 and 8192 rows, and
//! its tables laid out in four ways, as they are declared and in the order of key and time: whatever the
//! plan, the answers are those the file states.
//!
//! A mode that cannot serve a join refuses it; the files in which that happens though all tables are in
//! order are listed in `sql/asof/exempt.txt`. A pair listed there in which nothing was refused fails, so that
//! the list stays true. An ordinary run takes some partitions and batch sizes for each statement, others for
//! each file and mode; `ASOFDB_SHAPES=all` takes all of them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use sqllogictest::{DefaultColumnType, MakeConnection, Record, RecordOutput, Runner};

use super::house::{House, Layout, Mode};
use super::in_order::put_in_order;
use super::person::Person;
use super::{ONLY, columns_fit, on_large_stack, slt_files};

const FOLDER: &str = "sql/asof";
/// A line each: file, modes that refuse a join of it.
const EXEMPT: &str = "sql/asof/exempt.txt";
const ALL: &str = "ASOFDB_SHAPES";
const MODES: [&str; 6] = ["auto", "seek", "merge", "hash", "loop", "stream"];
const PARTITIONS: [usize; 3] = [1, 2, 8];
const BATCHES: [usize; 4] = [1, 2, 3, 8192];
/// Files whose answers depend on when each of their statements ran, which other layouts change: `known.rs` has
/// them in every mode.
const OF_THEIR_TIME: &str = "known_";
const REFUSED: &str = "cannot serve this join";

/// What needs a table in order.
const ORDERED: [&str; 2] = ["seek", "merge"];

/// How the tables of a file lie.
#[derive(Clone, Copy, Debug)]
struct Tables {
    layout: Layout,
    /// Those without an order get one.
    in_order: bool,
}

/// How one statement is run.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Shape {
    mode: &'static str,
    partitions: usize,
    batch: usize,
}

/// A statement's shapes in one layout: all; or half of the modes, the other half in the next layout, each with
/// one of twelve sizes that the number picks. Modes that need tables in order are tried wherever they are.
fn shapes(number: usize, tables: Tables, all: bool) -> Vec<Shape> {
    let mut shapes = Vec::new();
    for (at, mode) in MODES.into_iter().enumerate() {
        let needed = all || tables.in_order && ORDERED.contains(&mode);
        if !needed && (number + at + tables.layout as usize) % 2 == 1 {
            continue;
        }
        let sizes = PARTITIONS.len() * BATCHES.len();
        // 5 and 12 have no common divisor: consecutive statements get all sizes.
        let picked = (number * 5 + at * 7) % sizes;
        for size in 0..sizes {
            let (partitions, batch) = (PARTITIONS[size % 3], BATCHES[size / 3]);
            if all || size == picked {
                shapes.push(Shape { mode, partitions, batch });
            }
        }
    }
    shapes
}

#[test]
fn consecutive_statements_get_all_sizes_in_all_modes() {
    for mode in MODES {
        let of = |number| {
            let both = [Layout::Inline, Layout::Segments]
                .map(|layout| shapes(number, Tables { layout, in_order: false }, false));
            both.into_iter().flatten().find(|shape| shape.mode == mode)
        };
        let sizes: BTreeSet<_> =
            (0..12).filter_map(of).map(|shape| (shape.partitions, shape.batch)).collect();
        assert_eq!(sizes.len(), 12, "{mode}");
    }
}

/// The modes that refuse a join, by file.
fn exempt() -> BTreeMap<String, BTreeSet<String>> {
    let text = std::fs::read_to_string(EXEMPT).expect("the table of exempt pairs");
    let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let pair = |line: &str| {
        let mut words = line.split_whitespace().map(str::to_owned);
        (words.next().expect("a file"), words.collect::<BTreeSet<_>>())
    };
    let table: BTreeMap<_, _> = lines.map(pair).collect();
    for (file, modes) in &table {
        assert!(Path::new(FOLDER).join(file).exists(), "{EXEMPT}: there is no {file}");
        assert!(!modes.is_empty(), "{EXEMPT}: {file} without a mode");
        assert!(modes.iter().all(|mode| MODES.contains(&mode.as_str())), "{EXEMPT}: {file}");
    }
    table
}

/// What was seen of a file.
#[derive(Default)]
struct Seen {
    /// Modes that refused a join.
    refused: BTreeSet<&'static str>,
    /// Plans in which a forced mode was found.
    forced: usize,
}

struct Run<M: MakeConnection<Conn = Person>> {
    runner: Runner<Person, M>,
    seen: Seen,
    shape: Option<Shape>,
    tables: Tables,
    /// Modes that may refuse a join.
    allowed: BTreeSet<String>,
    /// Modes in which the file is run.
    modes: &'static [&'static str],
}

impl<M: MakeConnection<Conn = Person>> Run<M> {
    async fn set(&mut self, shape: Shape) -> Result<(), String> {
        if self.shape.replace(shape) == Some(shape) {
            return Ok(());
        }
        for (name, value) in [
            ("asof_mode", shape.mode.to_owned()),
            ("datafusion.execution.target_partitions", shape.partitions.to_string()),
            ("datafusion.execution.batch_size", shape.batch.to_string()),
        ] {
            self.runner
                .run_async(record(&format!("statement ok\nSET {name} = {value}\n")))
                .await
                .map_err(|error| error.display(false).to_string())?;
        }
        Ok(())
    }

    async fn ask(&mut self, record: Record<DefaultColumnType>, shape: Shape) -> Result<(), String> {
        self.set(shape).await?;
        let asked = match &record {
            Record::Query { sql, .. } => Some(sql.clone()),
            _ => None,
        };
        if let Err(error) = self.runner.run_async(record).await {
            let why = error.display(false).to_string();
            if why.contains(REFUSED) {
                if !self.tables.in_order && ORDERED.contains(&shape.mode) {
                    return Ok(());
                }
                if self.allowed.contains(shape.mode) {
                    self.seen.refused.insert(shape.mode);
                    return Ok(());
                }
            }
            return Err(format!("{shape:?}: {why}"));
        }
        match asked {
            Some(sql) if shape.mode != "auto" && is_plannable(&sql) => self.look(&sql, shape).await,
            _ => Ok(()),
        }
    }

    /// Every ASOF join of the plan is in the mode that was forced.
    async fn look(&mut self, sql: &str, shape: Shape) -> Result<(), String> {
        let explain = record(&format!("query T\nEXPLAIN {sql}\n----\n"));
        let RecordOutput::Query { rows, error: None, .. } = self.runner.apply_record(explain).await
        else {
            return Err(format!("{shape:?}: no plan of {sql}"));
        };
        let joins = rows.iter().flatten().filter(|line| line.trim_start().starts_with("Asof"));
        for line in joins {
            // One operator searches several right sides.
            for of in line.split("mode=").skip(1) {
                let found = of.split(',').next().unwrap_or_default();
                if !found.eq_ignore_ascii_case(shape.mode) {
                    return Err(format!("{shape:?}: the plan says {line}"));
                }
                self.seen.forced += 1;
            }
        }
        Ok(())
    }
}

/// Whether EXPLAIN may stand before it.
fn is_plannable(sql: &str) -> bool {
    let first = sql.split_whitespace().next().unwrap_or_default().to_ascii_lowercase();
    ["select", "with", "("].iter().any(|word| first.starts_with(word))
}

fn record(text: &str) -> Record<DefaultColumnType> {
    let records = sqllogictest::parse(text).expect("one record");
    records.into_iter().next().expect("one record")
}

fn mentions(record: &Record<DefaultColumnType>, word: &str) -> bool {
    match record {
        Record::Query { sql, .. } | Record::Statement { sql, .. } => {
            sql.to_ascii_lowercase().contains(word)
        }
        _ => false,
    }
}

fn mentions_asof(record: &Record<DefaultColumnType>) -> bool {
    mentions(record, "asof")
}

fn is_explained(record: &Record<DefaultColumnType>) -> bool {
    mentions(record, "explain")
}

/// Whether the answer does not depend on how often it was asked before.
fn is_repeatable(record: &Record<DefaultColumnType>) -> bool {
    match record {
        Record::Query { .. } => !is_explained(record),
        Record::Statement { expected: sqllogictest::StatementExpect::Error(_), .. } => {
            mentions_asof(record)
        }
        _ => false,
    }
}

async fn run_records<M: MakeConnection<Conn = Person>>(
    house: &House,
    run: &mut Run<M>,
    mut records: Vec<Record<DefaultColumnType>>,
    all: bool,
) -> Result<(), String> {
    let (mut changed, tables) = (true, run.tables);
    if tables.in_order {
        // Plans tell of the order.
        records.retain(|record| !is_explained(record));
        if put_in_order(&mut records) {
            records.retain(|record| !is_repeatable(record) || mentions_asof(record));
            run.modes = &ORDERED;
        }
    }
    for (number, record) in records.into_iter().enumerate() {
        if is_repeatable(&record) {
            if std::mem::take(&mut changed) {
                house.lay_out().await.map_err(|error| format!("{error:?}"))?;
            }
            let shapes = shapes(number, tables, all).into_iter();
            for shape in shapes.filter(|shape| run.modes.contains(&shape.mode)).collect::<Vec<_>>()
            {
                run.ask(record.clone(), shape).await?;
            }
            continue;
        }
        if matches!(record, Record::Comment(_) | Record::Newline) {
            continue;
        }
        changed = true;
        run.set(Shape { mode: "auto", partitions: 2, batch: 8192 }).await?;
        run.runner.run_async(record).await.map_err(|error| error.display(false).to_string())?;
    }
    Ok(())
}

fn run_file(file: &Path, tables: Tables, allowed: BTreeSet<String>) -> Result<Seen, String> {
    let house = House::build_in(Mode::Embedded, tables.layout);
    let runtime = house.runtime();
    let seen = runtime.block_on(async {
        let mut runner = Runner::new(|| Person::arrive(house.clone()));
        runner.add_label("shapes");
        runner.with_column_validator(columns_fit);
        runner.set_var("FOLDER".to_owned(), house.exchange_folder());
        let records: Vec<Record<DefaultColumnType>> =
            sqllogictest::parse_file(file).map_err(|error| error.to_string())?;
        let mut run =
            Run { runner, seen: Seen::default(), shape: None, tables, allowed, modes: &MODES };
        run_records(&house, &mut run, records, is_all()).await?;
        run.runner.shutdown_async().await;
        Ok::<_, String>(run.seen)
    })?;
    drop(runtime);
    house.tear_down()?;
    Ok(seen)
}

fn is_all() -> bool {
    std::env::var(ALL).is_ok_and(|which| which == "all")
}

/// Two layouts for a file, one of them in order, others for the next, or all.
fn layouts(number: usize) -> Vec<Tables> {
    let all = [Layout::Inline, Layout::Segments, Layout::Folded, Layout::Compacted];
    let both = |layout| [false, true].map(|in_order| Tables { layout, in_order });
    if is_all() {
        return all.into_iter().flat_map(both).collect();
    }
    let of = |number: usize, in_order| Tables { layout: all[number % all.len()], in_order };
    vec![of(number, false), of(number + 1, true)]
}

/// Every layout of a file; what is wrong with it, if anything is.
fn run_layouts(file: &Path, number: usize, allowed: &BTreeSet<String>) -> (usize, String) {
    let mut all = Seen::default();
    for tables in layouts(number) {
        let (path, modes) = (file.to_owned(), allowed.clone());
        match on_large_stack(move || run_file(&path, tables, modes)) {
            Ok(seen) => {
                all.forced += seen.forced;
                all.refused.extend(seen.refused);
            }
            Err(why) => return (all.forced, format!("{tables:?}: {why}\n")),
        }
    }
    let served = allowed.iter().filter(|mode| !all.refused.contains(mode.as_str()));
    (all.forced, served.map(|mode| format!("{EXEMPT}: {mode} serves all of it\n")).collect())
}

fn run_quarter(quarter: usize) {
    let exempt = exempt();
    let (mut broken, mut forced) = (String::new(), 0);
    for (number, file) in slt_files(Path::new(FOLDER)).iter().enumerate() {
        let skipped = std::env::var(ONLY).is_ok_and(|part| !file.to_string_lossy().contains(&part));
        if number % 4 != quarter || skipped {
            continue;
        }
        let name = file.file_name().expect("a file").to_string_lossy().into_owned();
        if name.starts_with(OF_THEIR_TIME) {
            continue;
        }
        let allowed = exempt.get(&name).cloned().unwrap_or_default();
        // The layouts turn with every file of a quarter.
        let (found, why) = run_layouts(file, number / 4, &allowed);
        forced += found;
        if !why.is_empty() {
            broken.push_str(&format!("\n\n{}\n{why}", file.display()));
        }
    }
    assert!(broken.is_empty(), "answers differ:{broken}\n");
    assert!(forced > 0 || std::env::var(ONLY).is_ok(), "no plan was in a forced mode");
}

#[test]
fn first_quarter_of_files() {
    run_quarter(0);
}

#[test]
fn second_quarter_of_files() {
    run_quarter(1);
}

#[test]
fn third_quarter_of_files() {
    run_quarter(2);
}

#[test]
fn last_quarter_of_files() {
    run_quarter(3);
}
