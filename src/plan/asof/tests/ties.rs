//! Rows of one time.

use std::sync::Arc;

use datafusion::catalog::TableProvider;
use datafusion::prelude::SessionContext;

use super::super::{NoTies, TieOrder, TieSource};
use super::fixture::{FEW, context, explained, run, set_up, texts};

/// A table that shows `k, ts, v` and breaks ties by columns it does not show.
#[derive(Debug)]
struct Tied {
    shown: Arc<dyn TableProvider>,
    order: TieOrder,
}

impl TieSource for Tied {
    fn tie_order(&self, provider: &Arc<dyn TableProvider>) -> Option<TieOrder> {
        Arc::ptr_eq(&self.shown, provider).then(|| self.order.clone())
    }
}

async fn tied_context(partitions: usize, batch_size: usize, rows: &str) -> SessionContext {
    let ctx = context(partitions, batch_size, Arc::new(NoTies));
    let hidden = format!(
        "CREATE TABLE hidden (k TEXT, ts BIGINT, v TEXT, created BIGINT, _commit BIGINT) AS VALUES {rows}"
    );
    set_up(&ctx, &[&hidden, "CREATE TABLE shown AS SELECT k, ts, v FROM hidden"]).await;
    let provider = ctx.table_provider("hidden").await.unwrap();
    let shown = ctx.table_provider("shown").await.unwrap();
    let columns = vec!["created".to_owned(), "_commit".to_owned()];
    let order = TieOrder { provider, columns };
    let ties = Arc::new(Tied { shown: Arc::clone(&shown), order });
    let ctx = context(partitions, batch_size, ties);
    ctx.register_table("f", shown).unwrap();
    ctx
}

#[tokio::test]
async fn ties_are_broken_by_the_table() {
    let rows =
        "('A',4,'z',1,9),('A',4,'p',2,1),('A',4,'q',2,2),('A',4,'y',NULL,99),('A',2,'old',9,9)";
    let label = "SELECT l.ts, f.v FROM (VALUES ('A',5),('A',4),('A',3)) AS l(k,ts) ASOF LEFT JOIN";
    let on = "ON l.k = f.k AND l.ts";
    let cases = [
        ("34, 35, 37", format!("{label} f {on} >= f.ts"), "3 old, 4 q, 5 q"),
        ("38", format!("{label} f {on} > f.ts"), "3 old, 4 old, 5 q"),
        ("39", format!("{label} f {on} <= f.ts"), "3 q, 4 q, 5 ∅"),
        (
            "renamed",
            format!("{label} (SELECT v, k, ts FROM f AS g WHERE v <> 'q') AS f {on} >= f.ts"),
            "3 old, 4 p, 5 p",
        ),
        (
            "wildcard",
            "SELECT * FROM (VALUES ('A',5)) AS l(k,ts) ASOF LEFT JOIN f USING (k, ts)".into(),
            "A 5 q",
        ),
        ("no left column", format!("SELECT count(*) FROM ({label} f {on} >= f.ts) AS q"), "3"),
    ];
    for &(partitions, batch_size) in FEW {
        let ctx = tied_context(partitions, batch_size, rows).await;
        for (name, sql, expected) in &cases {
            let found = texts(&run(&ctx, sql).await.unwrap_or_else(|e| panic!("{name}: {e}")));
            assert_eq!(found.join(", "), *expected, "{name} on {partitions} × {batch_size}");
        }
    }
    let ctx = tied_context(2, 8192, rows).await;
    let plan = explained(&ctx, &cases[0].1).await;
    assert!(plan.contains("tie=[created, _commit]"), "{plan}");
}

/// The same table, the same query, the same sums, whatever the plan: the script of a well-known
/// report of answers that changed from run to run.
#[tokio::test]
async fn ties_without_a_table_are_stable() {
    let setup = [
        "CREATE TABLE b AS SELECT i % 50 AS k, (i / 4) % 1000 AS t, (i * 7919) % 10007 AS w
         FROM (SELECT value AS i FROM generate_series(0, 3999)) AS s",
        "CREATE TABLE p AS SELECT i % 50 AS k, (i * 13) % 1000 AS t
         FROM (SELECT value AS i FROM generate_series(0, 499)) AS s",
    ];
    let sql =
        "SELECT count(*), sum(b.t), sum(b.w) FROM p ASOF INNER JOIN b ON p.k = b.k AND b.t <= p.t";
    let mut answers = Vec::new();
    for (partitions, batch_size) in [(1, 8192), (2, 100), (8, 17)] {
        let ctx = context(partitions, batch_size, Arc::new(NoTies));
        set_up(&ctx, &setup).await;
        answers.push(texts(&run(&ctx, sql).await.unwrap()));
    }
    assert!(answers.windows(2).all(|pair| pair[0] == pair[1]), "{answers:?}");
}
