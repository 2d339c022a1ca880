//! Chapter 4: a backfill on a branch, audited, refused; a good one, published; a reader throughout.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;

use tokio_postgres::error::SqlState;

use super::client::Client;
use super::figures;
use super::script::BRANCH;
use super::story::Stage;
use super::teller::Meter;
use crate::error::Result;

/// Plays both backfills.
pub(super) async fn tell(stage: &Stage) -> Result<()> {
    let Stage { teller, main, .. } = stage;
    teller.chapter(
        "4",
        "Bad data never reaches main",
        "A new feature, ground speed, has its January on main. The other months are filled in on a \
         branch, by a loader with a mistake. Meanwhile somebody else reads main all the time.",
    )?;
    stage.do_sql(main, BRANCH.part("table")).await?;
    stage.do_sql(main, BRANCH.part("january")).await?;
    let january = rows_of(main).await?;
    let reader = Reader::new(stage.connect("main").await?);
    let loader = stage.connect("main").await?;

    reader.while_doing(bad_backfill(stage, &loader)).await?;
    let seen = reader.take();
    teller.claim(
        seen.keys().eq([&january]),
        &format!(
            "main never showed it: asked {} times meanwhile, always {} rows",
            figures::count(seen.values().sum()),
            figures::count(january)
        ),
    )?;

    reader.while_doing(good_backfill(stage, &loader)).await?;
    let year = rows_of(main).await?;
    let mut seen = reader.take();
    *seen.entry(rows_of(&reader.client).await?).or_default() += 1;
    teller.claim(
        year > january && seen.keys().eq([&january, &year]),
        &format!(
            "main has it at once and whole: {} rows before, {} after, never a number between",
            figures::count(january),
            figures::count(year)
        ),
    )
}

/// Fills a branch with rows of which some are broken; finds them; may not publish.
async fn bad_backfill(stage: &Stage, loader: &Client) -> Result<()> {
    let teller = &stage.teller;
    teller.sql(&[BRANCH.part("branch"), BRANCH.part("use")].join("\n"))?;
    loader.run(BRANCH.part("branch")).await?;
    loader.run(BRANCH.part("use")).await?;
    fill(stage, loader, "broken").await?;
    stage.ask(loader, BRANCH.part("audit")).await?;
    let [broken, found, caught] = loader.numbers(BRANCH.part("exactly")).await?;
    teller.claim(
        broken > 0 && found == broken && caught == broken,
        &format!(
            "the rule finds the {} broken rows and no other",
            figures::count(broken.unsigned_abs())
        ),
    )?;
    let sql = BRANCH.part("refused");
    teller.sql(sql)?;
    let (code, message) = loader.refused(sql).await?;
    teller.measured(&format!("ERROR {}: {message}", code.code()))?;
    teller.claim(code == SqlState::CHECK_VIOLATION, "it is not published")?;
    teller.sql(&[BRANCH.part("leave"), BRANCH.part("drop")].join("\n"))?;
    loader.run(BRANCH.part("leave")).await?;
    loader.run(BRANCH.part("drop")).await
}

/// Fills another branch, and publishes it.
async fn good_backfill(stage: &Stage, loader: &Client) -> Result<()> {
    stage.teller.gap()?;
    stage.teller.say("The loader is repaired, and goes the same way again.")?;
    stage.teller.sql(&[BRANCH.part("branch again"), BRANCH.part("use again")].join("\n"))?;
    loader.run(BRANCH.part("branch again")).await?;
    loader.run(BRANCH.part("use again")).await?;
    fill(stage, loader, "good").await?;
    stage.do_sql(loader, BRANCH.part("publish")).await
}

async fn fill(stage: &Stage, loader: &Client, part: &str) -> Result<()> {
    let sql = BRANCH.part(part);
    stage.teller.sql(sql)?;
    let (rows, took) = stage.teller.watch("filling", &Meter::time(), loader.change(sql)).await?;
    stage.teller.measured(&format!(
        "{} rows in {}: {} rows/s",
        figures::count(rows),
        figures::time(took),
        figures::rate(rows, took)
    ))
}

async fn rows_of(client: &Client) -> Result<u64> {
    let [rows] = client.numbers(BRANCH.part("read")).await?;
    Ok(rows.unsigned_abs())
}

/// Somebody who asks main again and again how many rows there are.
struct Reader {
    client: Client,
    /// How often each answer came.
    seen: RefCell<BTreeMap<u64, u64>>,
}

impl Reader {
    fn new(client: Client) -> Reader {
        Reader { client, seen: RefCell::default() }
    }

    /// Reads on until the work is done, and once more.
    async fn while_doing(&self, work: impl Future<Output = Result<()>>) -> Result<()> {
        let done = Cell::new(false);
        let work = async {
            work.await?;
            done.set(true);
            Ok(())
        };
        let read = async {
            loop {
                let last = done.get();
                let rows = rows_of(&self.client).await?;
                *self.seen.borrow_mut().entry(rows).or_default() += 1;
                if last {
                    return Ok(());
                }
            }
        };
        tokio::try_join!(work, read).map(|_| ())
    }

    /// What was seen since it was asked last.
    fn take(&self) -> BTreeMap<u64, u64> {
        self.seen.take()
    }
}
