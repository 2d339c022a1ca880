//! Chapter 6: kill -9 while two clients write, and what is there afterwards.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Duration;

use bytes::Bytes;

use super::client::Client;
use super::figures;
use super::script::KILL;
use super::story::Stage;
use super::teller::Meter;
use crate::error::{Error, ErrorKind, Result};

/// Rows of one commit; the statement in sql/demo inserts as many.
const COMMIT_ROWS: i64 = 100;
/// The server is killed once so many commits were acknowledged …
const COMMITS: u64 = 50;
/// … and so many lines of the load have been sent.
const LINES: u64 = 1_000_000;
/// Lines sent in one piece.
const PIECE_LINES: u64 = 10_000;
/// The batch of the load's rows; commits are counted from 1.
const LOAD: i32 = 0;

/// Kills the server, starts another one on the folder, and counts.
pub(super) async fn tell(stage: &mut Stage) -> Result<()> {
    stage.teller.chapter(
        "6",
        "kill -9",
        "One client commits batches of a hundred rows, each acknowledged before the next is sent. \
         Another is in the middle of a big COPY. Then the server is killed: no warning, no flush.",
    )?;
    stage.do_sql(&stage.main, KILL.part("table")).await?;
    stage.teller.sql(KILL.part("commit"))?;
    stage.teller.sql(KILL.part("load"))?;
    let (acknowledged, lines) = write_and_kill(stage).await?;
    stage.teller.say(&format!(
        "kill -9 {}: {} commits were acknowledged, {} lines of the load were sent.",
        stage.server.pid(),
        figures::count(acknowledged),
        figures::count(lines)
    ))?;
    let starting = stage.launch.start();
    let (server, took) = stage.teller.watch("starting again", &Meter::time(), starting).await?;
    stage.server = server;
    stage.main = stage.connect("main").await?;
    stage.teller.measured(&format!("a new server was there after {}", figures::time(took)))?;
    stage.teller.sql(KILL.part("found"))?;
    judge(stage, acknowledged).await
}

/// How many commits were acknowledged, and how many lines of the load were sent, when the server
/// died.
async fn write_and_kill(stage: &mut Stage) -> Result<(u64, u64)> {
    let committer = stage.connect("main").await?;
    let loader = stage.connect("main").await?;
    let commits = Meter::count("commits acknowledged", None);
    let lines = Meter::count("lines", None);
    let Stage { teller, server, .. } = stage;
    let kill = async {
        while commits.done() < COMMITS || lines.done() < LINES {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        server.kill()
    };
    // The server dies while the other two wait for it; what they would say of it is not asked.
    let writing = async {
        tokio::select! {
            biased;
            killed = kill => killed,
            ended = commit_on(&committer, &commits) => Err(unasked(ended)),
            ended = load_on(&loader, &lines) => Err(unasked(ended)),
        }
    };
    teller.watch("writing", &commits, writing).await?;
    Ok((commits.done(), lines.done()))
}

async fn commit_on(client: &Client, meter: &Meter) -> Result<()> {
    let statement = client.prepare(KILL.part("commit")).await?;
    for batch in LOAD + 1.. {
        client.execute(&statement, &[&batch]).await?;
        meter.add(1);
    }
    Ok(())
}

async fn load_on(client: &Client, meter: &Meter) -> Result<()> {
    let mut next = 0;
    let lines = || {
        let mut piece = String::new();
        for line in next..next + PIECE_LINES {
            writeln!(piece, "{LOAD}\t{line}").expect("a String takes everything");
        }
        next += PIECE_LINES;
        (Bytes::from(piece), PIECE_LINES)
    };
    client.copy_forever(KILL.part("load"), lines, meter).await
}

fn unasked(ended: Result<()>) -> Error {
    match ended {
        Err(error) => error,
        Ok(()) => Error::new(ErrorKind::Internal, "a client of the demo ran out of rows"),
    }
}

/// Every acknowledged commit is there and whole, the load is not. The one commit that was on its
/// way may be there: then it is whole, too.
async fn judge(stage: &Stage, acknowledged: u64) -> Result<()> {
    let teller = &stage.teller;
    let mut found = BTreeMap::new();
    for row in stage.main.grid(KILL.part("found")).await?.rows {
        let number = |at: usize| row.get(at)?.as_deref()?.parse::<i64>().ok();
        found.insert(number(0).unwrap_or(-1), number(1).unwrap_or(-1));
    }
    let last = i64::try_from(acknowledged).unwrap_or(i64::MAX);
    let there = (1..=last).filter(|batch| found.get(batch) == Some(&COMMIT_ROWS)).count();
    teller.claim(
        there as u64 == acknowledged,
        &format!(
            "all {} acknowledged commits are there, each with its {COMMIT_ROWS} rows",
            figures::count(acknowledged)
        ),
    )?;
    teller.claim(
        !found.contains_key(&i64::from(LOAD)),
        "the load was never acknowledged: not one of its rows is there",
    )?;
    let others: Vec<(&i64, &i64)> = found.iter().filter(|(b, _)| !(1..=last).contains(b)).collect();
    let claim = match others.is_empty() {
        true => "nothing else is there, half a commit least of all",
        false => "of the commit that was on its way the answer was lost, not a row: it is whole",
    };
    let whole = others.iter().all(|(batch, rows)| **batch == last + 1 && **rows == COMMIT_ROWS);
    teller.claim(whole, claim)
}
