//! Chapter 2: a training set for every flight, compared with what other software made of the data.

use super::client::{Client, Fingerprint};
use super::figures;
use super::script::TRAINING_SET;
use super::story::Stage;
use super::tables::FLIGHTS;
use super::teller::Meter;
use crate::error::Result;

/// The checksum of the CSV that pandas, DuckDB and PostgreSQL agreed on, and the file's name.
const FROZEN: &str = include_str!("../../fixtures/flights/training_set.csv.sha256");

/// Makes the training set; answers its fingerprint.
pub(super) async fn tell(stage: &Stage) -> Result<Fingerprint> {
    let Stage { teller, main, .. } = stage;
    teller.chapter(
        "2",
        "A training set without a look at the future",
        "For every flight: how late it arrived, and what was known when it was due to leave. The \
         weather at its airport, how late its plane's last flight was, how busy the hour was. \
         Each ASOF LEFT JOIN keeps every flight and finds the last row there was at its time.",
    )?;
    for part in ["landed", "departures", "training set"] {
        teller.sql(TRAINING_SET.part(part))?;
        main.run(TRAINING_SET.part(part)).await?;
    }
    let sql = TRAINING_SET.part("copy");
    teller.sql(sql)?;
    let made = fingerprint(stage, main, sql).await?;
    teller.claim(
        made.rows == FLIGHTS,
        &format!("rows out = rows in: {} flights", figures::count(made.rows)),
    )?;
    let frozen = FROZEN.split_whitespace().next().unwrap_or_default();
    teller.claim(
        made.sha256 == frozen,
        &format!(
            "byte for byte what pandas, DuckDB and PostgreSQL made of it: sha256 {}…",
            made.short()
        ),
    )?;
    stage.ask(main, TRAINING_SET.part("look")).await?;
    Ok(made)
}

/// Makes a training set, and says how long it took.
pub(super) async fn fingerprint(stage: &Stage, client: &Client, sql: &str) -> Result<Fingerprint> {
    let meter = Meter::bytes(None);
    let work = client.fingerprint(sql, &meter);
    let (made, took) = stage.teller.watch("joining", &meter, work).await?;
    stage.teller.measured(&format!(
        "{} rows, {} in {}: {} rows/s",
        figures::count(made.rows),
        figures::bytes(made.bytes),
        figures::time(took),
        figures::rate(made.rows, took),
    ))?;
    Ok(made)
}
