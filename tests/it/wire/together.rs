//! Several statements of one message: one transaction, and what cannot be part of one.

use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, SimpleQueryMessage};

use super::server::{TestServer, bind, execute, parse, sync};

async fn answer(client: &Client, sql: &str) -> Vec<String> {
    let said = client.simple_query(sql).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    let row = |message: &SimpleQueryMessage| match message {
        SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
        _ => None,
    };
    said.iter().filter_map(row).collect()
}

async fn refused(client: &Client, sql: &str) -> SqlState {
    let error = client.simple_query(sql).await.expect_err(sql);
    error.code().expect("the server's").clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn commit_keeps_what_came_before_it() {
    let server = TestServer::start();
    let client = server.connect().await;
    answer(&client, "CREATE TABLE im (k int)").await;
    let sql = "INSERT INTO im VALUES (1); COMMIT; INSERT INTO im VALUES (2); SELECT 1/0";
    assert_eq!(refused(&client, sql).await, SqlState::DIVISION_BY_ZERO);
    assert_eq!(answer(&client, "SELECT k FROM im").await, ["1"]);
    let sql = "INSERT INTO im VALUES (3); ROLLBACK; INSERT INTO im VALUES (4)";
    answer(&client, sql).await;
    assert_eq!(answer(&client, "SELECT k FROM im ORDER BY k").await, ["1", "4"]);
    let sql = "INSERT INTO im VALUES (5); BEGIN; INSERT INTO im VALUES (6); COMMIT; SELECT 1/0";
    assert_eq!(refused(&client, sql).await, SqlState::DIVISION_BY_ZERO);
    assert_eq!(answer(&client, "SELECT k FROM im ORDER BY k").await, ["1", "4", "5", "6"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn branches_and_tags_are_made_of_what_is_committed() {
    let server = TestServer::start();
    let client = server.connect().await;
    answer(&client, "CREATE TABLE x (k int)").await;
    for made in ["CREATE TAG g", "CREATE BRANCH g", "ALTER TABLE x CREATE TAG g", "VACUUM x"] {
        let sql = format!("INSERT INTO x VALUES (1); {made}; INSERT INTO x VALUES (2)");
        assert_eq!(refused(&client, &sql).await, SqlState::ACTIVE_SQL_TRANSACTION, "{made}");
        assert_eq!(refused(&client, &format!("BEGIN; {made}")).await.code(), "25001", "{made}");
        answer(&client, "ROLLBACK").await;
    }
    assert_eq!(answer(&client, "SELECT count(*) FROM x").await, ["0"]);
    assert_eq!(answer(&client, "SELECT name FROM asofdb.refs").await, ["main"]);
    // Behind COMMIT, and before anything is written, nothing is torn.
    let sql = "SELECT 1; INSERT INTO x VALUES (1); COMMIT; CREATE TAG g; INSERT INTO x VALUES (2)";
    answer(&client, sql).await;
    assert_eq!(answer(&client, "SELECT count(*) FROM x@g").await, ["1"]);
    let sql = "SELECT count(*) FROM x; CREATE BRANCH b; INSERT INTO x@b VALUES (3);
        SELECT count(*) FROM x@b";
    assert_eq!(answer(&client, sql).await, ["2", "3"]);
}

#[test]
fn a_pipeline_that_wrote_makes_no_tag_before_its_sync() {
    let server = TestServer::start();
    let mut raw = server.session();
    let said = |sql: &str| [parse("", sql), bind("", ""), execute("", 0)].concat();
    raw.send(&[said("CREATE TABLE x (k int)"), sync()].concat());
    assert_eq!(raw.turn(), "12CZI");
    let torn = [said("INSERT INTO x VALUES (1)"), said("CREATE TAG g"), sync()];
    raw.send(&torn.concat());
    assert_eq!(raw.turn(), "12C12EZI");
    let whole = [said("CREATE TAG g"), said("INSERT INTO x VALUES (1)"), sync()];
    raw.send(&whole.concat());
    assert_eq!(raw.turn(), "12C12CZI");
    raw.send(&[said("SELECT * FROM x"), said("SELECT * FROM x@g"), sync()].concat());
    assert_eq!(raw.turn(), "12DC12CZI");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_is_a_parameter_of_statements_that_are_no_query_too() {
    let server = TestServer::start();
    let client = server.connect().await;
    client.batch_execute("CREATE TABLE t (k int)").await.unwrap();
    client.batch_execute("INSERT INTO t VALUES (1)").await.unwrap();
    client.batch_execute("CREATE TAG one").await.unwrap();
    client.batch_execute("INSERT INTO t VALUES (2)").await.unwrap();
    client.batch_execute("ALTER TABLE t ADD w int").await.unwrap();
    let counted =
        async |table: &str| answer(&client, &format!("SELECT count(*) FROM {table}")).await;

    client.execute("CREATE BRANCH b AS OF VERSION $1", &[&"one"]).await.unwrap();
    assert_eq!(counted("t@b").await, ["1"]);
    client.execute("CREATE TAG g AS OF VERSION $1", &[&"one"]).await.unwrap();
    assert_eq!(counted("t@g").await, ["1"]);
    client.execute("ALTER TABLE t CREATE TAG own AS OF VERSION $1", &[&"one"]).await.unwrap();
    assert_eq!(counted("t@own").await, ["1"]);
    client.execute("CREATE TABLE c CLONE t VERSION AS OF $1", &[&"one"]).await.unwrap();
    assert_eq!(counted("c").await, ["1"]);
    client.execute("ROLLBACK BRANCH b TO $1", &[&"main"]).await.unwrap();
    assert_eq!(counted("t@b").await, ["2"]);
    client.execute("RESET BRANCH b TO $1", &[&"one"]).await.unwrap();
    assert_eq!(counted("t@b").await, ["1"]);

    let sql = "WITH gone AS (DELETE FROM t AT (BRANCH => $1) WHERE k = $2 RETURNING k)
        SELECT count(*) FROM gone";
    let gone = client.query_one(sql, &[&"b", &1_i32]).await.unwrap();
    assert_eq!((gone.get::<_, i64>(0), counted("t@b").await), (1, vec!["0".to_owned()]));

    client.execute("BEGIN READ ONLY AS OF VERSION $1", &[&"one"]).await.unwrap();
    assert_eq!(counted("t").await, ["1"]);
    client.batch_execute("ROLLBACK; BEGIN").await.unwrap();
    client.execute("SET TRANSACTION AS OF VERSION $1", &[&"one"]).await.unwrap();
    assert_eq!(counted("t").await, ["1"]);
    client.batch_execute("ROLLBACK").await.unwrap();

    let columns = async |version: &str| {
        client.query("DESCRIBE t VERSION AS OF $1", &[&version]).await.unwrap().len()
    };
    assert_eq!((columns("one").await, columns("main").await), (1, 2));
    let commits = async |version: &str| {
        client.query("DESCRIBE HISTORY t VERSION AS OF $1", &[&version]).await.unwrap().len()
    };
    assert_eq!((commits("one").await, commits("main").await), (2, 4));
    let error = client.execute("CREATE TAG h AS OF VERSION $1", &[&"nowhere"]).await.unwrap_err();
    assert_eq!(error.code(), Some(&SqlState::UNDEFINED_OBJECT));
}
