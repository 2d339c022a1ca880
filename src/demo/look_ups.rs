//! Chapter 5: look-ups by key, each compared with what a scan of the table says.

use std::time::Duration;

use tokio_postgres::Row;

use super::figures::{self, Grid};
use super::script::LOOK_UPS;
use super::story::Stage;
use super::tables::FLIGHTS;
use super::teller::Meter;
use crate::error::{Error, ErrorKind, Result};

/// How many look-ups.
const LOOK_UPS_MADE: u64 = 20_000;
/// From one key to the next; it has no divisor in common with the number of flights, so that no key
/// comes twice and neighbours lie far apart.
const STRIDE: u64 = 104_729;

/// Looks up flights one after the other.
pub(super) async fn tell(stage: &Stage) -> Result<()> {
    let Stage { teller, main, .. } = stage;
    teller.chapter(
        "5",
        "One row by its key",
        "A service asks for one flight at a time, by a prepared statement, on one connection, and \
         waits for each answer before it asks again.",
    )?;
    let expected = scanned(stage).await?;
    let sql = LOOK_UPS.part("look up");
    teller.sql(sql)?;
    let statement = main.prepare(sql).await?;
    let meter = Meter::count("look-ups", Some(LOOK_UPS_MADE));
    let look_ups = async {
        let mut times = Vec::with_capacity(LOOK_UPS_MADE as usize);
        let mut equal = 0;
        for key in (0..LOOK_UPS_MADE).map(|i| i * STRIDE % FLIGHTS) {
            let begun = teller.now();
            let row = main.look_up(&statement, key as i64 + 1).await?;
            times.push(teller.now().saturating_sub(begun));
            equal += u64::from(expected.get(key as usize) == Some(&as_line(&row)?));
            meter.add(1);
        }
        Ok((times, equal))
    };
    let ((times, equal), took) = teller.watch("looking up", &meter, look_ups).await?;
    teller.grid(&percentiles(times, took))?;
    teller.gap()?;
    teller.claim(
        equal == LOOK_UPS_MADE,
        &format!("each of the {} answers is what a scan of the table says", figures::count(equal)),
    )
}

/// The lines of all flights, by their keys, from 1.
async fn scanned(stage: &Stage) -> Result<Vec<String>> {
    let meter = Meter::bytes(None);
    let mut bytes = Vec::new();
    let scan = stage.main.copy_out(LOOK_UPS.part("all"), &meter, |piece| {
        bytes.extend_from_slice(piece);
    });
    stage.teller.watch("scanning", &meter, scan).await?;
    let text = String::from_utf8(bytes)
        .map_err(|e| Error::new(ErrorKind::InvalidEncoding, "a COPY is not UTF-8").caused_by(e))?;
    Ok(text.lines().map(str::to_owned).collect())
}

/// A row as COPY writes it.
fn as_line(row: &Row) -> Result<String> {
    let mut cells = Vec::with_capacity(row.len());
    for (at, column) in row.columns().iter().enumerate() {
        let cell = match column.type_().name() {
            "text" => row.try_get::<_, Option<String>>(at),
            _ => row.try_get::<_, Option<i32>>(at).map(|n| n.map(|n| n.to_string())),
        };
        let cell = cell.map_err(|error| {
            let message = format!("column \"{}\" of a look-up is unreadable", column.name());
            Error::new(ErrorKind::Internal, message).caused_by(error)
        })?;
        cells.push(cell.unwrap_or_else(|| "\\N".to_owned()));
    }
    Ok(cells.join("\t"))
}

fn percentiles(mut times: Vec<Duration>, took: Duration) -> Grid {
    times.sort_unstable();
    let at = |share: f64| {
        let last = times.len().saturating_sub(1);
        let place = (times.len() as f64 * share) as usize;
        figures::time(times.get(place.min(last)).copied().unwrap_or_default())
    };
    let mut grid = Grid::new(["look-ups", "p50", "p99", "slowest", "look-ups/s"]);
    let count = times.len() as u64;
    let cells = [figures::count(count), at(0.5), at(0.99), at(1.0), figures::rate(count, took)];
    grid.push(cells);
    grid
}
