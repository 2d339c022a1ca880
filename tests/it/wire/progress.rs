//! pg_stat_progress_copy, asked by others while a COPY runs.

use std::time::Duration;

use bytes::Bytes;
use futures::{SinkExt, TryStreamExt};
use tokio_postgres::{Client, Row};

use super::server::TestServer;

async fn copies(client: &Client) -> Vec<Row> {
    let sql = "SELECT p.*, p.relid = 0 AS of_query, a.state, a.query FROM pg_stat_progress_copy p
               JOIN pg_stat_activity a USING (pid)";
    client.query(sql, &[]).await.unwrap()
}

/// Looks until there is a row that will do.
async fn until(client: &Client, what: &str, fits: impl Fn(&Row) -> bool) -> Row {
    for _ in 0..500 {
        if let Some(row) = copies(client).await.into_iter().find(&fits) {
            return row;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("{what} was never shown: {:?}", copies(client).await);
}

#[tokio::test]
async fn a_copy_from_stdin_is_shown_while_it_is_open() {
    let server = TestServer::start();
    let (client, other) = (server.connect().await, server.connect().await);
    client.batch_execute("CREATE TABLE c (a BIGINT, b TEXT)").await.unwrap();
    assert!(copies(&other).await.is_empty());
    let sink = client.copy_in("COPY c FROM STDIN").await.unwrap();
    let mut sink = std::pin::pin!(sink);
    let half: String = (0..20_000).map(|n| format!("{n}\tname {n}\n")).collect();
    sink.send(Bytes::from(half.clone())).await.unwrap();
    sink.flush().await.unwrap();
    let bytes = i64::try_from(half.len()).unwrap();
    // Whole batches of rows only, once they are taken: the rest waits for its batch to be complete.
    let half_is_there = |row: &Row| {
        let rows = row.get::<_, i64>("tuples_processed");
        row.get::<_, i64>("bytes_processed") == bytes && (8_192..=20_000).contains(&rows)
    };
    let row = until(&other, "half a COPY", half_is_there).await;
    let text = |name| row.get::<_, &str>(name);
    assert_eq!((text("command"), text("type"), text("state")), ("COPY FROM", "PIPE", "active"));
    assert_eq!((text("datname"), text("query")), ("main", "COPY c FROM STDIN"));
    assert_eq!((row.get::<_, i64>("bytes_total"), row.get::<_, i64>("tuples_excluded")), (0, 0));
    let named = "SELECT relid = 'c'::regclass AS is_c FROM pg_stat_progress_copy";
    assert!(other.query_one(named, &[]).await.unwrap().get::<_, bool>("is_c"));
    sink.send(Bytes::from("20000\tlast\n")).await.unwrap();
    assert_eq!(sink.finish().await.unwrap(), 20_001);
    assert!(copies(&other).await.is_empty(), "it is over");
}

#[tokio::test]
async fn a_copy_to_stdout_is_shown_until_the_client_has_it() {
    let server = TestServer::start();
    let (client, other) = (server.connect().await, server.connect().await);
    let sql = "COPY (SELECT n, repeat('x', 100) FROM generate_series(1, 300000) g(n)) TO STDOUT";
    let out = client.copy_out(sql).await.unwrap();
    let mut out = std::pin::pin!(out);
    let first = out.try_next().await.unwrap().expect("rows");
    let row = until(&other, "COPY TO", |row| row.get::<_, i64>("tuples_processed") > 0).await;
    let text = |name| row.get::<_, &str>(name);
    assert_eq!((text("command"), text("type")), ("COPY TO", "PIPE"));
    assert!(row.get::<_, i64>("bytes_processed") > 100, "{row:?}");
    assert!(row.get::<_, bool>("of_query"));
    let rest: Vec<Bytes> = out.try_collect().await.unwrap();
    assert_eq!(rest.len() + usize::from(!first.is_empty()), 300_000);
    assert!(copies(&other).await.is_empty());
}

#[tokio::test]
async fn a_copy_from_a_file_knows_its_size_and_can_be_cancelled() {
    let server = TestServer::start();
    let (client, other) = (server.connect().await, server.connect().await);
    client.batch_execute("CREATE TABLE c (a BIGINT, b TEXT)").await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rows.txt");
    let rows: String = (0..400_000).map(|n| format!("{n}\tname {n}\n")).collect();
    std::fs::write(&path, &rows).unwrap();
    let sql = format!("COPY c FROM '{}'", path.display());
    let total = i64::try_from(rows.len()).unwrap();
    let token = client.cancel_token();
    let watch = async {
        let row =
            until(&other, "COPY FROM a file", |row| row.get::<_, i64>("tuples_processed") > 0)
                .await;
        assert_eq!((row.get::<_, &str>("type"), row.get::<_, i64>("bytes_total")), ("FILE", total));
        assert!(row.get::<_, i64>("bytes_processed") <= total);
        token.cancel_query(tokio_postgres::NoTls).await.unwrap();
    };
    let (copied, ()) = tokio::join!(client.batch_execute(&sql), watch);
    if let Err(error) = copied {
        assert_eq!(error.code().map(|code| code.code()), Some("57014"), "{error:?}");
        client.batch_execute(&sql).await.unwrap();
    }
    let count = client.query_one("SELECT count(*) FROM c", &[]).await.unwrap();
    assert_eq!(count.get::<_, i64>(0), 400_000);
}
