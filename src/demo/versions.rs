//! Chapter 3: the past is corrected, and the training set of the tag stays what it was.

use super::client::Fingerprint;
use super::figures;
use super::script::VERSIONS;
use super::story::Stage;
use super::teller::Meter;
use super::training_set::fingerprint;
use crate::error::Result;

/// How many observations are corrected.
const CORRECTED: u64 = 1000;

/// Tags, corrects, and makes the training set again, twice.
pub(super) async fn tell(stage: &Stage, first: &Fingerprint) -> Result<()> {
    let Stage { teller, main, .. } = stage;
    teller.chapter(
        "3",
        "The same training set, next month",
        "A model was trained on this. A tag keeps the state it saw; then corrections come in late.",
    )?;
    stage.do_sql(main, VERSIONS.part("tag")).await?;
    let sql = VERSIONS.part("correct");
    teller.sql(sql)?;
    let (rows, took) = teller.watch("correcting", &Meter::time(), main.change(sql)).await?;
    teller.measured(&format!("{} rows in {}", figures::count(rows), figures::time(took)))?;
    teller.claim(rows == CORRECTED, "1,000 observations were corrected")?;

    let sql = VERSIONS.part("copy as of");
    teller.sql(sql)?;
    let then = fingerprint(stage, main, sql).await?;
    teller.claim(
        then == *first,
        &format!("as of the tag it is byte for byte the first one: sha256 {}…", then.short()),
    )?;
    let sql = VERSIONS.part("copy now");
    teller.sql(sql)?;
    let now = fingerprint(stage, main, sql).await?;
    teller.claim(
        now.rows == first.rows && now.sha256 != first.sha256,
        &format!("the current one is another: sha256 {}…", now.short()),
    )?;
    count_changed(stage).await?;
    stage.ask(main, VERSIONS.part("examples")).await
}

/// Which labels changed is known in two ways: by their values, and by the weather they met.
async fn count_changed(stage: &Stage) -> Result<()> {
    let Stage { teller, main, .. } = stage;
    let sql = VERSIONS.part("changed");
    teller.sql(sql)?;
    let (numbers, took) = teller.watch("comparing", &Meter::time(), main.numbers(sql)).await?;
    let [changed, met, labels] = numbers.map(i64::unsigned_abs);
    teller.measured(&figures::time(took))?;
    teller.claim(
        changed > 0 && changed == met,
        &format!(
            "{} of {} labels changed: just those that had met one of the corrected hours",
            figures::count(changed),
            figures::count(labels)
        ),
    )
}
