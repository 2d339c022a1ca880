//! The server killed in the middle of its work: what was acknowledged is there, whole; what was not
//! is there whole or not at all.
//!
//! Clients write transactions of two tables: a note says how many rows the transaction has in the
//! other. Every fail point of the source is a place to die, and so is any moment. SIGKILL leaves the
//! page cache: this proves the order of steps, not what a disk keeps.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures::SinkExt;
use tokio_postgres::{Client, SimpleQueryMessage};

use super::process::{Program, check, said, was_killed};

const CLIENTS: i32 = 3;
/// More than the log keeps of one statement.
const MANY: i32 = 9_000;
/// A point that was not reached by then is never reached.
const PATIENCE: Duration = Duration::from_secs(20);

const TABLES: &str = "
    CREATE TABLE note (client int, seq int, parts int, PRIMARY KEY (client, seq));
    CREATE TABLE part (client int, seq int, n int)";

/// The notes of one client: how many parts each of its transactions has.
type Notes = BTreeMap<i32, i64>;

/// What one client was told.
#[derive(Clone, Debug, Default)]
struct Witness {
    acknowledged: Notes,
    /// The notes as they are if the last transaction, which was not answered, took place.
    perhaps: Option<Notes>,
}

#[test]
fn every_point_is_survived() {
    let points = points_of_the_source();
    let (opening, working): (Vec<_>, Vec<_>) =
        points.iter().partition(|point| point.starts_with("op."));
    assert!(opening.len() >= 6 && working.len() >= 10, "{points:?}");
    let folder = tempfile::tempdir().expect("a folder");
    let mut witnesses = new_database(folder.path());
    for (n, point) in working.iter().enumerate() {
        let armed = format!("{point}=kill@{}", n % 3 + 1);
        let mut server = Program::start_with(folder.path(), &[], &armed).expect("it listens");
        load(&mut server, &mut witnesses, None);
        let status = server.wait(PATIENCE).unwrap_or_else(|| panic!("{armed} is never hit"));
        assert!(was_killed(status), "{armed}: {status}");
        verify(folder.path(), &mut witnesses, &armed);
    }
    for point in &opening {
        // There is something to clean up: a file without a record.
        let armed = "seg.dirsync=kill";
        let mut server = Program::start_with(folder.path(), &[], armed).expect("it listens");
        load(&mut server, &mut witnesses, None);
        let armed = format!("{point}=kill");
        for path in [folder.path(), &folder.path().join("fresh")] {
            let status = Program::start_with(path, &[], &armed).err();
            let status = status.unwrap_or_else(|| panic!("{armed} is never hit"));
            assert!(was_killed(status), "{armed}: {status}");
            assert_sound(path, &armed);
        }
        std::fs::remove_dir_all(folder.path().join("fresh")).expect("it was made");
        verify(folder.path(), &mut witnesses, &armed);
    }
}

#[test]
fn any_moment_is_survived() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut witnesses = new_database(folder.path());
    for n in 0..6_u64 {
        let mut server = Program::start(folder.path(), &[]);
        let moment = Duration::from_millis(40 + n * 397 % 1900);
        load(&mut server, &mut witnesses, Some(moment));
        verify(folder.path(), &mut witnesses, &format!("killed after {moment:?}"));
    }
    let written: usize = witnesses.iter().map(|w| w.acknowledged.len()).sum();
    assert!(written > 10, "only {written} transactions were acknowledged");
}

/// A refused call ends the statement and nothing else.
#[test]
fn a_refused_write_changes_nothing() {
    let points = points_of_the_source();
    let points: Vec<_> = points.iter().filter(|p| p.starts_with("seg.")).collect();
    let folder = tempfile::tempdir().expect("a folder");
    let _ = new_database(folder.path());
    let armed: Vec<String> = points.iter().map(|p| format!("{p}=error(ENOSPC)@1")).collect();
    let server = Program::start_with(folder.path(), &[], &armed.join(",")).expect("it listens");
    runtime().block_on(async {
        let client = server.connect().await;
        for point in &points {
            let error = copy(&client, 1, 1, MANY).await.expect_err(point);
            let code = error.code().map(|code| code.code());
            assert_eq!(code, Some("53100"), "{point}: {error:?}");
            assert_eq!(numbers(&client, "SELECT count(*) FROM part").await, [[0]]);
        }
        copy(&client, 1, 1, MANY).await.expect("every point has fired");
        assert_eq!(numbers(&client, "SELECT count(*) FROM part").await, [[i64::from(MANY)]]);
    });
    drop(server);
    assert_sound(folder.path(), "refused writes");
}

/// The names that the source gives to `point`.
fn points_of_the_source() -> BTreeSet<String> {
    fn walk(folder: &Path, found: &mut BTreeSet<String>) {
        for entry in std::fs::read_dir(folder).expect("src/ is there") {
            let path = entry.expect("a readable folder").path();
            if path.is_dir() {
                walk(&path, found);
            } else if path.extension().is_some_and(|e| e == "rs") && !path.ends_with("tests.rs") {
                let text = std::fs::read_to_string(&path).expect("source is text");
                let names = text.split(".point(\"").skip(1);
                found.extend(names.filter_map(|rest| Some(rest.split_once('"')?.0.to_owned())));
            }
        }
    }
    let mut found = BTreeSet::new();
    walk(Path::new("src"), &mut found);
    found
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
}

fn new_database(data: &Path) -> Vec<Witness> {
    let mut server = Program::start(data, &[]);
    runtime().block_on(async {
        server.connect().await.batch_execute(TABLES).await.expect("two tables");
    });
    server.terminate();
    assert!(server.wait(PATIENCE).expect("it ends").success());
    vec![Witness::default(); CLIENTS as usize]
}

// ---------------------------------------------------------------- writing

/// Writes from every client until the server is gone; at `moment` it is killed.
fn load(server: &mut Program, witnesses: &mut Vec<Witness>, moment: Option<Duration>) {
    runtime().block_on(async {
        let stop = Arc::new(AtomicBool::new(false));
        let mut tasks = Vec::new();
        for (n, witness) in std::mem::take(witnesses).into_iter().enumerate() {
            let client = server.connect().await;
            tasks.push(tokio::spawn(write(n as i32, client, witness, Arc::clone(&stop))));
        }
        let caring = tokio::spawn(care(server.connect().await, Arc::clone(&stop)));
        let patience = moment.unwrap_or(PATIENCE);
        let deadline = tokio::time::Instant::now() + patience;
        while server.is_running() && tokio::time::Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        if moment.is_some() {
            server.kill();
        }
        stop.store(true, Ordering::Relaxed);
        for task in tasks {
            witnesses.push(task.await.expect("no panic"));
        }
        caring.await.expect("no panic");
    });
}

async fn write(name: i32, client: Client, mut witness: Witness, stop: Arc<AtomicBool>) -> Witness {
    while !stop.load(Ordering::Relaxed) {
        let mut after = witness.acknowledged.clone();
        let seq = after.last_key_value().map_or(0, |(seq, _)| seq + 1);
        let old = after.iter().find(|(_, parts)| **parts > 1).map(|(seq, _)| *seq);
        let done = match (seq % 4, old) {
            (3, Some(old)) => {
                after.insert(old, 0);
                after.insert(seq, 0);
                clear(&client, name, seq, old).await
            }
            (n, _) => {
                let parts = if n == 0 { MANY } else { n };
                after.insert(seq, i64::from(parts));
                add(&client, name, seq, parts).await
            }
        };
        match done {
            Ok(()) => witness.acknowledged = after,
            Err(error) => {
                assert!(
                    error.as_db_error().is_none_or(|e| e.code().code() == "57P01"),
                    "{error:?}"
                );
                witness.perhaps = Some(after);
                break;
            }
        }
    }
    witness
}

/// Moves rows and forgets the past beside the writers, who must not notice.
async fn care(client: Client, stop: Arc<AtomicBool>) {
    const UPKEEP: [&str; 3] = [
        "CALL system.rewrite_data_files('note')",
        "CALL system.rewrite_data_files(table => 'part', options => 'rewrite-all=true')",
        "CALL system.expire_snapshots(older_than => now(), retain_last => 3)",
    ];
    for sql in UPKEEP.iter().cycle() {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        if let Err(error) = client.batch_execute(sql).await {
            let ended = error.as_db_error().is_none_or(|e| e.code().code() == "57P01");
            assert!(ended, "{sql}: {error:?}");
            break;
        }
    }
}

type Done = Result<(), tokio_postgres::Error>;

async fn add(client: &Client, name: i32, seq: i32, parts: i32) -> Done {
    client
        .batch_execute(&format!("BEGIN; INSERT INTO note VALUES ({name}, {seq}, {parts})"))
        .await?;
    copy(client, name, seq, parts).await?;
    client.batch_execute("COMMIT").await
}

async fn clear(client: &Client, name: i32, seq: i32, old: i32) -> Done {
    let sql = format!(
        "BEGIN; UPDATE note SET parts = 0 WHERE client = {name} AND seq = {old};
         DELETE FROM part WHERE client = {name} AND seq = {old};
         INSERT INTO note VALUES ({name}, {seq}, 0)"
    );
    client.batch_execute(&sql).await?;
    client.batch_execute("COMMIT").await
}

async fn copy(client: &Client, name: i32, seq: i32, parts: i32) -> Done {
    let sink = client.copy_in("COPY part FROM STDIN").await?;
    futures::pin_mut!(sink);
    for n in 0..parts {
        sink.feed(Bytes::from(format!("{name}\t{seq}\t{n}\n"))).await?;
    }
    sink.finish().await.map(drop)
}

// ---------------------------------------------------------------- looking

/// After a crash: the folder is sound, and it holds what the witnesses say.
fn verify(data: &Path, witnesses: &mut [Witness], crash: &str) {
    assert_sound(data, crash);
    let mut server = Program::start(data, &[]);
    let (notes, parts) = runtime().block_on(async {
        let client = server.connect().await;
        let notes = numbers(&client, "SELECT client, seq, parts FROM note").await;
        let parts = "SELECT client, seq, count(*), count(DISTINCT n) FROM part GROUP BY 1, 2";
        (notes, numbers(&client, parts).await)
    });
    let mut found = vec![Notes::new(); witnesses.len()];
    for row in &notes {
        found[row[0] as usize].insert(row[1] as i32, row[2]);
    }
    let mut counted = vec![Notes::new(); witnesses.len()];
    for row in &parts {
        assert_eq!(row[2], row[3], "{crash}: a row came twice: {row:?}");
        counted[row[0] as usize].insert(row[1] as i32, row[2]);
    }
    for (n, witness) in witnesses.iter_mut().enumerate() {
        let told: Notes = found[n].clone().into_iter().filter(|(_, parts)| *parts > 0).collect();
        assert_eq!(told, counted[n], "{crash}: half a transaction of client {n}");
        let perhaps = witness.perhaps.take();
        let is_known = found[n] == witness.acknowledged || Some(&found[n]) == perhaps.as_ref();
        assert!(is_known, "{crash}: client {n}: {:?}, {witness:?}, {perhaps:?}", found[n]);
        witness.acknowledged = std::mem::take(&mut found[n]);
    }
    server.kill();
}

/// What it holds together, and nothing lies about.
fn assert_sound(data: &Path, crash: &str) {
    let output = check(data);
    if std::fs::read_dir(data).expect("a folder").next().is_none() {
        assert!(said(&output).contains("no database"), "{crash}: {}", said(&output));
        return;
    }
    assert!(output.status.success(), "{crash}: {}", said(&output));
    for folder in ["tmp", "trash"] {
        let left = std::fs::read_dir(data.join(folder)).expect("a folder").count();
        assert_eq!(left, 0, "{crash}: {folder} is not empty");
    }
}

async fn numbers(client: &Client, sql: &str) -> Vec<Vec<i64>> {
    let row = |message: SimpleQueryMessage| match message {
        SimpleQueryMessage::Row(row) => Some(row),
        _ => None,
    };
    let answer = client.simple_query(sql).await.expect("an answer");
    let rows = answer.into_iter().filter_map(row);
    let number = |text: Option<&str>| text.expect("not NULL").parse().expect("a number");
    rows.map(|row| (0..row.len()).map(|i| number(row.get(i))).collect()).collect()
}
