//! Chapter 1: five tables, and a year of data sent as Parquet.

use super::figures::{self, Grid};
use super::script::TABLES;
use super::story::Stage;
use super::teller::Meter;
use crate::error::Result;

/// A table, how many rows its file holds, and the file: the program brings its data with it.
type Source = (&'static str, u64, &'static [u8]);

const SOURCES: [Source; 5] = [
    ("flights", 336_776, include_bytes!("../../fixtures/flights/flights.parquet")),
    ("weather", 26_115, include_bytes!("../../fixtures/flights/weather.parquet")),
    ("planes", 3_322, include_bytes!("../../fixtures/flights/planes.parquet")),
    ("airports", 1_458, include_bytes!("../../fixtures/flights/airports.parquet")),
    ("airlines", 16, include_bytes!("../../fixtures/flights/airlines.parquet")),
];

/// How many flights there are.
pub(super) const FLIGHTS: u64 = SOURCES[0].1;

/// Makes the tables and fills them.
pub(super) async fn tell(stage: &Stage) -> Result<()> {
    let Stage { teller, main, .. } = stage;
    teller.chapter(
        "1",
        "Tables that know about time",
        "A table says which column is its event time and in which order its rows lie on disk. \
         Everything else is what PostgreSQL calls a table.",
    )?;
    for (table, _, _) in SOURCES {
        main.run(TABLES.part(table)).await?;
    }
    teller.sql(TABLES.part("weather"))?;
    teller.measured("and flights, planes, airports, airlines likewise")?;
    teller.sql(TABLES.part("copy flights"))?;
    let mut grid = Grid::new(["table", "rows", "file", "took", "rows/s"]);
    let (mut right, mut all) = (true, 0);
    for (table, expected, file) in SOURCES {
        let meter = Meter::bytes(Some(file.len() as u64));
        let sql = TABLES.part(&format!("copy {table}"));
        let copying = format!("copying {table}");
        let (rows, took) =
            teller.watch(&copying, &meter, main.copy_file(sql, file, &meter)).await?;
        let [stored] = main.numbers(&format!("SELECT count(*) FROM {table}")).await?;
        right &= rows == expected && u64::try_from(stored) == Ok(expected);
        all += rows;
        grid.push([
            table.to_owned(),
            figures::count(rows),
            figures::bytes(file.len() as u64),
            figures::time(took),
            figures::rate(rows, took),
        ]);
    }
    teller.grid(&grid)?;
    teller.gap()?;
    teller.claim(
        right,
        &format!("every row of every file is there, {} in all", figures::count(all)),
    )?;
    stage.ask(main, TABLES.part("busiest")).await
}
