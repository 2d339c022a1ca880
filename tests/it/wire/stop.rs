//! No statement escapes a cancel or statement_timeout, and none keeps others from being answered.

use std::time::{Duration, Instant};

use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, NoTls};

use super::server::TestServer;

/// Far more than it takes, far less than the statements would run.
const SOON: Duration = Duration::from_secs(30);

/// Each would compute for minutes or for ever, in another kind of operator, and ask for no row of any
/// table meanwhile.
const ENDLESS: [&str; 12] = [
    "SELECT count(*) FROM generate_series(1, 1000000) a, generate_series(1, 1000000) b",
    // Nothing matches: the join never has a row to give back.
    "SELECT count(*) FROM generate_series(1, 1000000) a(n), generate_series(1, 1000000) b(n)
     WHERE a.n + b.n < 0",
    "SELECT count(*) FROM generate_series(1, 1000000) a(n) JOIN generate_series(1, 1000000) b(n)
     ON a.n % 2 = b.n % 2 AND a.n + b.n < 0",
    "SELECT a.n FROM generate_series(1, 1000000) a(n) LEFT JOIN generate_series(1, 1000000) b(n)
     ON a.n + b.n < 0",
    "WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t) SELECT count(*) FROM t",
    "SELECT count(*) FROM (SELECT sum(a.n) OVER (ORDER BY a.n) AS s
     FROM generate_series(1, 100000) a(n), generate_series(1, 100000) b(n)) x",
    "SELECT count(DISTINCT a.n % 1000) FROM generate_series(1, 1000000) a(n),
     generate_series(1, 1000000) b(n)",
    "SELECT count(*) FROM generate_series(1, 1000000000) g(n)
     WHERE md5(repeat(n::text, 1000)) = 'never'",
    "INSERT INTO t SELECT a.n FROM generate_series(1, 1000000) a(n),
     generate_series(1, 1000000) b(n) WHERE a.n + b.n < 0",
    "CREATE TABLE u AS SELECT a.n FROM generate_series(1, 1000000) a(n),
     generate_series(1, 1000000) b(n)",
    "DELETE FROM t WHERE n IN (SELECT a.n FROM generate_series(1, 1000000) a(n),
     generate_series(1, 1000000) b(n) WHERE a.n + b.n < 0)",
    "EXPLAIN ANALYZE SELECT count(*) FROM generate_series(1, 1000000) a(n),
     generate_series(1, 1000000) b(n)",
];

async fn in_time<T>(what: &str, work: impl Future<Output = T>) -> T {
    let answer = tokio::time::timeout(SOON, work).await;
    answer.unwrap_or_else(|_| panic!("{what} took more than {SOON:?}"))
}

async fn alive(client: &Client, after: &str) {
    in_time(after, client.simple_query("SELECT 1"))
        .await
        .unwrap_or_else(|e| panic!("{after}: {e}"));
}

async fn prepared(server: &TestServer) -> (Client, Client) {
    let (client, other) = (server.connect().await, server.connect().await);
    client.batch_execute("CREATE TABLE t (n bigint); INSERT INTO t VALUES (1)").await.unwrap();
    (client, other)
}

#[tokio::test]
async fn every_statement_is_cancelled_and_meanwhile_others_are_answered() {
    let server = TestServer::start();
    let (client, other) = prepared(&server).await;
    for sql in ENDLESS {
        let token = client.cancel_token();
        let meanwhile = async {
            tokio::time::sleep(Duration::from_millis(300)).await;
            alive(&other, sql).await;
            token.cancel_query(NoTls).await.unwrap();
        };
        let (answer, ()) = tokio::join!(in_time(sql, client.simple_query(sql)), meanwhile);
        let error = answer.expect_err(sql);
        assert_eq!(error.code(), Some(&SqlState::QUERY_CANCELED), "{sql}: {error:?}");
        alive(&client, sql).await;
    }
    let rows = client.query_one("SELECT count(*) FROM t", &[]).await.unwrap();
    assert_eq!(rows.get::<_, i64>(0), 1, "what was cancelled wrote nothing");
}

#[tokio::test]
async fn statement_timeout_ends_every_statement() {
    let server = TestServer::start();
    let (client, other) = prepared(&server).await;
    for sql in ENDLESS {
        client.batch_execute("SET statement_timeout = '200ms'").await.unwrap();
        let error = in_time(sql, client.simple_query(sql)).await.expect_err(sql);
        assert_eq!(error.code(), Some(&SqlState::QUERY_CANCELED), "{sql}: {error:?}");
        assert!(error.as_db_error().is_some_and(|e| e.message().contains("timeout")), "{error:?}");
        client.batch_execute("RESET statement_timeout").await.unwrap();
    }
    alive(&other, "all of them").await;
}

#[tokio::test]
async fn several_endless_statements_at_once_leave_room() {
    let server = TestServer::start();
    let (_, other) = prepared(&server).await;
    let mut running = Vec::new();
    for sql in &ENDLESS[..6] {
        let client = server.connect().await;
        running.push((
            client.cancel_token(),
            tokio::spawn(async move { client.simple_query(sql).await.map(drop) }),
        ));
    }
    tokio::time::sleep(Duration::from_millis(500)).await;
    alive(&other, "six statements").await;
    for (token, task) in running {
        token.cancel_query(NoTls).await.unwrap();
        let error = in_time("a cancel", task).await.expect("no panic").expect_err("endless");
        assert_eq!(error.code(), Some(&SqlState::QUERY_CANCELED), "{error:?}");
    }
}

/// WITH queries made of one another, read often: more steps than can be optimised in seconds.
fn long_to_plan() -> String {
    let above = (1..1000).map(|n| format!(", a{n} AS (SELECT n + {n} AS n FROM a{})", n - 1));
    let above: String = above.collect();
    let read: Vec<String> = (0..9).map(|n| format!("a999 AS x{n}")).collect();
    format!("WITH a0 AS (SELECT n FROM t){above} SELECT count(*) FROM {}", read.join(", "))
}

/// The same wherever a query is planned.
fn planned_everywhere() -> Vec<String> {
    let query = long_to_plan();
    [
        "",
        "EXPLAIN ",
        "INSERT INTO t ",
        "CREATE TABLE u AS ",
        "CREATE VIEW v AS ",
        "DECLARE c CURSOR WITH HOLD FOR ",
        "PREPARE p AS ",
    ]
    .iter()
    .map(|before| format!("{before}{query}"))
    .chain([format!("COPY ({query}) TO STDOUT")])
    .collect()
}

#[tokio::test]
async fn planning_is_cancelled_and_meanwhile_others_are_answered() {
    let server = TestServer::start();
    let (client, other) = prepared(&server).await;
    for sql in planned_everywhere() {
        let shown = &sql[..30];
        let token = client.cancel_token();
        let meanwhile = async {
            tokio::time::sleep(Duration::from_millis(200)).await;
            alive(&other, shown).await;
            token.cancel_query(NoTls).await.unwrap();
        };
        let (answer, ()) = tokio::join!(in_time(shown, client.simple_query(&sql)), meanwhile);
        let error = answer.expect_err(shown);
        assert_eq!(error.code(), Some(&SqlState::QUERY_CANCELED), "{shown}: {error:?}");
        alive(&client, shown).await;
    }
    let token = client.cancel_token();
    let meanwhile = async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        token.cancel_query(NoTls).await.unwrap();
    };
    let query = long_to_plan();
    let (answer, ()) = tokio::join!(in_time("Parse", client.prepare(&query)), meanwhile);
    let error = answer.expect_err("it is not planned yet");
    assert_eq!(error.code(), Some(&SqlState::QUERY_CANCELED), "{error:?}");
    let rows = client.query_one("SELECT count(*) FROM t", &[]).await.unwrap();
    assert_eq!(rows.get::<_, i64>(0), 1, "what was cancelled wrote nothing");
}

#[tokio::test]
async fn statement_timeout_ends_planning_however_often() {
    let server = TestServer::start();
    let (client, other) = prepared(&server).await;
    client.batch_execute("SET statement_timeout = '100ms'").await.unwrap();
    let sql = long_to_plan();
    // More than may be given up at once.
    for _ in 0..20 {
        let error = in_time("planning", client.simple_query(&sql)).await.expect_err("no time");
        assert_eq!(error.code(), Some(&SqlState::QUERY_CANCELED), "{error:?}");
        alive(&other, "a planning that was given up").await;
    }
    client.batch_execute("RESET statement_timeout").await.unwrap();
    alive(&client, "all of them").await;
}

#[tokio::test]
async fn reading_a_long_text_is_cancelled() {
    let server = TestServer::start();
    let (client, _) = prepared(&server).await;
    let rows: Vec<String> = (0..200_000).map(|n| format!("({n})")).collect();
    let sql = format!("INSERT INTO t VALUES {}", rows.join(","));
    client.batch_execute("SET statement_timeout = '50ms'").await.unwrap();
    let error = in_time("INSERT", client.simple_query(&sql)).await.expect_err("no time");
    assert_eq!(error.code(), Some(&SqlState::QUERY_CANCELED), "{error:?}");
    client.batch_execute("RESET statement_timeout").await.unwrap();
    let rows = client.query_one("SELECT count(*) FROM t", &[]).await.unwrap();
    assert_eq!(rows.get::<_, i64>(0), 1, "what was cancelled wrote nothing");
}

#[tokio::test]
async fn plans_without_end_are_refused() {
    let server = TestServer::start();
    let client = server.connect().await;
    let mut with = "WITH a0 AS (SELECT 1 AS n)".to_owned();
    for level in 1..=40 {
        let below = level - 1;
        with += &format!(", a{level} AS (SELECT x.n FROM a{below} x, a{below} y)");
    }
    let began = Instant::now();
    with += " SELECT count(*) FROM a40";
    let error = in_time("WITH", client.simple_query(&with)).await.expect_err("2^40 joins");
    assert_eq!(error.code().map(SqlState::code), Some("54001"), "{error:?}");
    client.batch_execute("CREATE VIEW v0 AS SELECT 1 AS n").await.unwrap();
    let mut refused = None;
    for level in 1..=40 {
        let below = level - 1;
        let sql = format!("CREATE VIEW v{level} AS SELECT x.n FROM v{below} x, v{below} y");
        refused = in_time("CREATE VIEW", client.batch_execute(&sql)).await.err();
        if refused.is_some() {
            break;
        }
    }
    let error = refused.expect("2^40 joins");
    assert_eq!(error.code().map(SqlState::code), Some("54001"), "{error:?}");
    assert!(began.elapsed() < 3 * SOON);
    alive(&client, "both").await;
}
