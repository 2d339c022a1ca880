//! The specification: every file of `sql/` is run through a session in this process, again with the
//! database closed and opened whenever nobody would notice, and again over the wire.
//!
//! Each file gets a fresh folder and a clock that stands at 2026-01-01 00:00:00 UTC and moves one
//! second before each statement, so a file may say when something was committed. Values look as
//! in the text protocol; NULL is `NULL`, an empty string `(empty)`. Errors read
//! `SQLSTATE: message (DETAIL: …) (HINT: …)`.

mod house;
mod in_order;
mod person;
mod shapes;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sqllogictest::{DefaultColumnType, Record, Runner};

use house::{House, Mode};
use person::Person;

/// While writing a file: runs only files whose path contains this variable's value.
const ONLY: &str = "ASOFDB_SLT";
/// A file takes seconds; one that takes this long waits for something that does not come.
const PATIENCE: Duration = Duration::from_secs(30);
/// The stack of the thread that plans: a debug build needs more than a test's own thread has.
const STACK_BYTES: usize = 32 << 20;

macro_rules! promises {
    ($($folder:ident),* $(,)?) => {
        const FOLDERS: &[&str] = &[$(stringify!($folder)),*];
        $(mod $folder {
            use super::{Mode, run_folder};

            #[test]
            fn embedded() {
                run_folder(stringify!($folder), Mode::Embedded);
            }

            #[test]
            fn reopened() {
                run_folder(stringify!($folder), Mode::Reopened);
            }

            #[test]
            fn wire() {
                run_folder(stringify!($folder), Mode::Wire);
            }
        })*
    };
}

promises!(asof, branch, error, feature_engineering, pg_compat, time_travel, tour);

#[test]
fn every_folder_is_run() {
    for file in slt_files(Path::new("sql")) {
        let folder = file.iter().nth(1).and_then(|name| name.to_str()).expect("a folder");
        assert!(FOLDERS.contains(&folder), "add `{folder}` to promises! in tests/it/sql.rs");
    }
}

fn run_folder(folder: &str, mode: Mode) {
    let mut files = slt_files(&Path::new("sql").join(folder));
    assert!(!files.is_empty(), "sql/{folder} holds no promise");
    if let Ok(part) = std::env::var(ONLY) {
        files.retain(|file| file.to_string_lossy().contains(&part));
    }
    let mut broken = String::new();
    for file in &files {
        let path = file.clone();
        if let Err(why) = on_large_stack(move || run_file(&path, mode)) {
            let _ = write!(broken, "\n\n{}\n{why}", file.display());
        }
    }
    assert!(broken.is_empty(), "promises broken ({}):{broken}\n", mode.label());
}

fn on_large_stack<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, String> + Send + 'static,
) -> Result<T, String> {
    let thread = std::thread::Builder::new().stack_size(STACK_BYTES).spawn(work).expect("a thread");
    thread.join().unwrap_or_else(|_| Err("the runner panicked, see above".to_owned()))
}

fn run_file(file: &Path, mode: Mode) -> Result<(), String> {
    let house = House::build(mode);
    let runtime = house.runtime();
    runtime.block_on(async {
        let mut runner = Runner::new(|| Person::arrive(house.clone()));
        runner.add_label(mode.label());
        runner.with_column_validator(columns_fit);
        runner.set_var("FOLDER".to_owned(), house.exchange_folder());
        let records: Vec<Record<DefaultColumnType>> =
            sqllogictest::parse_file(file).map_err(|error| error.to_string())?;
        let run = tokio::time::timeout(PATIENCE, runner.run_multi_async(records));
        let result = run.await.map_err(|_| format!("still running after {PATIENCE:?}"))?;
        runner.shutdown_async().await;
        result.map_err(|error| error.display(false).to_string())
    })?;
    drop(runtime);
    house.tear_down()
}

/// As many columns as the file says, of the types it says; `?` is any.
#[expect(clippy::ptr_arg, reason = "the runner asks for a function of exactly this type")]
fn columns_fit(actual: &Vec<DefaultColumnType>, expected: &Vec<DefaultColumnType>) -> bool {
    let fits = |(actual, expected): (&DefaultColumnType, &DefaultColumnType)| {
        let any = DefaultColumnType::Any;
        actual == expected || *expected == any || *actual == any
    };
    actual.len() == expected.len() && actual.iter().zip(expected).all(fits)
}

fn slt_files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).expect("sql/ is there") {
        let path = entry.expect("a readable folder").path();
        match path.is_dir() {
            true => found.extend(slt_files(&path)),
            false if path.extension().is_some_and(|ending| ending == "slt") => found.push(path),
            false => {}
        }
    }
    found.sort();
    found
}
