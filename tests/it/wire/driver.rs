//! What tokio-postgres sees.

use std::time::Duration;

use futures::{SinkExt, StreamExt, TryStreamExt};
use tokio_postgres::error::SqlState;
use tokio_postgres::types::{FromSql, Type};
use tokio_postgres::{Client, NoTls, SimpleQueryMessage};

use super::server::TestServer;

/// One row with a value of every type, one of NULLs.
const ALL_TYPES: &str = r#"
    CREATE TABLE all_types (
        a_bool BOOLEAN, a_int2 SMALLINT, a_int4 INTEGER, a_int8 BIGINT, a_float4 REAL,
        a_float8 DOUBLE PRECISION, a_numeric NUMERIC(12, 3), a_text TEXT, a_varchar VARCHAR(20),
        a_char CHAR(5), a_bytea BYTEA, a_date DATE, a_time TIME, a_timestamp TIMESTAMP,
        a_timestamptz TIMESTAMPTZ, a_interval INTERVAL, a_uuid UUID, a_json JSON, a_jsonb JSONB,
        a_ints INTEGER[], a_texts TEXT[], a_byteas BYTEA[]);
    INSERT INTO all_types VALUES (
        true, -7, 70000, -9000000000, 1.5, -0.1, -123456.789, 'héllo', 'abc', 'ab', '\x00ff10',
        '2024-02-29', '12:34:56.789', '2024-01-02 03:04:05.678901',
        '2024-01-02 03:04:05.678901+00', '1 mon 2 days 03:04:05',
        '00112233-4455-6677-8899-aabbccddeeff', '{"a": [1, 2]}', '{"a": [1, 2]}',
        '{1,NULL,3}', '{a,"b c",NULL}', '{"\\x01","\\x02"}');
    INSERT INTO all_types (a_bool) VALUES (NULL)"#;

async fn with_all_types(server: &TestServer) -> Client {
    let client = server.connect().await;
    client.batch_execute(ALL_TYPES).await.unwrap();
    client
}

fn values(messages: &[SimpleQueryMessage], column: usize) -> Vec<String> {
    let row = |message: &SimpleQueryMessage| match message {
        SimpleQueryMessage::Row(row) => Some(row.get(column).unwrap_or("NULL").to_owned()),
        _ => None,
    };
    messages.iter().filter_map(row).collect()
}

#[tokio::test]
async fn simple_queries_answer_in_text() {
    let server = TestServer::start();
    let client = with_all_types(&server).await;
    let answer = client.simple_query("SELECT 1 AS a; SELECT 'x' AS b").await.unwrap();
    assert_eq!(values(&answer, 0), ["1", "x"]);
    let answer = client.simple_query("SELECT * FROM all_types").await.unwrap();
    assert_eq!(values(&answer, 6), ["-123456.789", "NULL"]);
    assert_eq!(values(&answer, 10), ["\\x00ff10", "NULL"]);
    assert_eq!(values(&answer, 14), ["2024-01-02 03:04:05.678901+00", "NULL"]);
    assert_eq!(values(&answer, 20), ["{a,\"b c\",NULL}", "NULL"]);
    let error = client.simple_query("SELECT * FROM nowhere").await.unwrap_err();
    assert_eq!(error.code(), Some(&SqlState::UNDEFINED_TABLE));
    assert!(
        client
            .simple_query(" -- nothing\n")
            .await
            .unwrap()
            .iter()
            .all(|message| { !matches!(message, SimpleQueryMessage::Row(_)) })
    );
}

/// The bytes of a value, whatever its type.
#[derive(Debug, PartialEq)]
struct Bytes(Vec<u8>);

impl<'a> FromSql<'a> for Bytes {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn std::error::Error + Sync + Send>> {
        Ok(Bytes(raw.to_vec()))
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}

#[tokio::test]
async fn every_type_has_a_binary_form() {
    let server = TestServer::start();
    let client = with_all_types(&server).await;
    let statement = client.prepare("SELECT * FROM all_types").await.unwrap();
    let types: Vec<u32> = statement.columns().iter().map(|column| column.type_().oid()).collect();
    assert_eq!(
        types,
        [
            16, 21, 23, 20, 700, 701, 1700, 25, 1043, 1042, 17, 1082, 1083, 1114, 1184, 1186, 2950,
            114, 3802, 1007, 1009, 1001
        ]
    );
    let rows = client.query(&statement, &[]).await.unwrap();
    let row = &rows[0];
    assert!(row.get::<_, bool>(0));
    assert_eq!((row.get::<_, i16>(1), row.get::<_, i32>(2)), (-7, 70_000));
    assert_eq!(row.get::<_, i64>(3), -9_000_000_000);
    assert_eq!((row.get::<_, f32>(4), row.get::<_, f64>(5)), (1.5, -0.1));
    let numeric = [0, 3, 0, 1, 0x40, 0, 0, 3, 0, 12, 0x0d, 0x80, 0x1e, 0xd2];
    assert_eq!(row.get::<_, Bytes>(6).0, numeric);
    assert_eq!(row.get::<_, &str>(7), "héllo");
    assert_eq!(row.get::<_, &str>(8), "abc");
    assert_eq!(row.get::<_, &[u8]>(10), [0, 0xff, 0x10]);
    assert_eq!(row.get::<_, Bytes>(11).0, 8_825_i32.to_be_bytes());
    assert_eq!(row.get::<_, Bytes>(12).0, 45_296_789_000_i64.to_be_bytes());
    let us = 757_479_845_678_901_i64;
    assert_eq!(row.get::<_, Bytes>(13).0, us.to_be_bytes());
    assert_eq!(row.get::<_, Bytes>(14).0, us.to_be_bytes());
    let interval =
        [&11_045_000_000_i64.to_be_bytes()[..], &2_i32.to_be_bytes(), &1_i32.to_be_bytes()];
    assert_eq!(row.get::<_, Bytes>(15).0, interval.concat());
    assert_eq!(row.get::<_, Bytes>(16).0[..2], [0x00, 0x11]);
    assert_eq!(row.get::<_, Bytes>(18).0[..2], [1, b'{']);
    assert_eq!(row.get::<_, Vec<Option<i32>>>(19), [Some(1), None, Some(3)]);
    assert_eq!(row.get::<_, Vec<Option<String>>>(20)[1], Some("b c".to_owned()));
    assert_eq!(row.get::<_, Vec<Vec<u8>>>(21), [vec![1], vec![2]]);
    assert!((0..row.len()).all(|at| rows[1].get::<_, Option<Bytes>>(at).is_none()));
}

#[tokio::test]
async fn parameters_come_in_any_width_and_as_null() {
    let server = TestServer::start();
    let client = with_all_types(&server).await;
    let count = "SELECT count(*) FROM all_types WHERE a_int8 = $1";
    for (data_type, value) in [
        (Type::INT8, &-9_000_000_000_i64 as &(dyn tokio_postgres::types::ToSql + Sync)),
        (Type::INT2, &1_i16),
        (Type::INT4, &1_i32),
        (Type::INT8, &None::<i64>),
    ] {
        let statement =
            client.prepare_typed(count, std::slice::from_ref(&data_type)).await.unwrap();
        assert_eq!(statement.params(), [data_type]);
        let found: i64 = client.query_one(&statement, &[value]).await.unwrap().get(0);
        assert!(found <= 1);
    }
    let text = client.query_one("SELECT $1::text || 'y'", &[&"x"]).await.unwrap();
    assert_eq!(text.get::<_, &str>(0), "xy");
    let found =
        client.query("SELECT a_int4 FROM all_types WHERE a_text = $1", &[&"héllo"]).await.unwrap();
    assert_eq!(found.len(), 1);
}

#[tokio::test]
async fn portals_stop_after_max_rows_and_go_on() {
    let server = TestServer::start();
    let mut client = server.connect().await;
    let transaction = client.transaction().await.unwrap();
    let portal = transaction.bind("SELECT * FROM generate_series(1, 10000)", &[]).await.unwrap();
    let mut seen = 0_i64;
    loop {
        let rows = transaction.query_portal(&portal, 777).await.unwrap();
        let values = rows.iter().map(|row| row.get::<_, i64>(0));
        assert!(values.eq(seen + 1..=seen + rows.len() as i64), "in order, none twice");
        seen += rows.len() as i64;
        if rows.len() < 777 {
            break;
        }
    }
    assert_eq!(seen, 10_000);
    assert!(transaction.query_portal(&portal, 0).await.unwrap().is_empty());
    transaction.rollback().await.unwrap();
}

#[tokio::test]
async fn large_results_stream_whole() {
    let server = TestServer::start();
    let client = server.connect().await;
    let parameters: [i32; 0] = [];
    let rows =
        client.query_raw("SELECT * FROM generate_series(1, 300000)", parameters).await.unwrap();
    let sum = rows.try_fold(0, |sum, row| async move { Ok(sum + row.get::<_, i64>(0)) });
    assert_eq!(sum.await.unwrap(), 300_000 * 300_001 / 2);
}

#[tokio::test]
async fn a_cancel_request_ends_the_statement_and_not_the_session() {
    let server = TestServer::start();
    let client = server.connect().await;
    let token = client.cancel_token();
    let cancel = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        token.cancel_query(NoTls).await.unwrap();
    };
    let (answer, ()) = tokio::join!(client.simple_query("SELECT pg_sleep(60)"), cancel);
    assert_eq!(answer.unwrap_err().code(), Some(&SqlState::QUERY_CANCELED));
    let scan = client.simple_query("SELECT count(*) FROM generate_series(1, 100000000000)");
    let (answer, ()) = tokio::join!(scan, async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        client.cancel_token().cancel_query(NoTls).await.unwrap();
    });
    assert_eq!(answer.unwrap_err().code(), Some(&SqlState::QUERY_CANCELED));
    client.simple_query("SELECT 1").await.unwrap();
}

#[tokio::test]
async fn copy_goes_in_and_out() {
    let server = TestServer::start();
    let client = server.connect().await;
    client.batch_execute("CREATE TABLE c (a BIGINT, b TEXT)").await.unwrap();
    let sink = client.copy_in("COPY c FROM STDIN").await.unwrap();
    let mut sink = std::pin::pin!(sink);
    for row in 0..20_000 {
        sink.send(bytes::Bytes::from(format!("{row}\tname {row}\n"))).await.unwrap();
    }
    assert_eq!(sink.finish().await.unwrap(), 20_000);
    let out = client.copy_out("COPY (SELECT a FROM c WHERE a < 3 ORDER BY a) TO STDOUT").await;
    let data: Vec<bytes::Bytes> = std::pin::pin!(out.unwrap()).try_collect().await.unwrap();
    assert_eq!(data.concat(), b"0\n1\n2\n");
    client.batch_execute("DROP TABLE c").await.unwrap();
}

#[tokio::test]
async fn a_copy_that_fails_leaves_the_session_whole() {
    let server = TestServer::start();
    let client = server.connect().await;
    client.batch_execute("CREATE TABLE d (a BIGINT, b TEXT)").await.unwrap();
    let sink = client.copy_in("COPY d FROM STDIN").await.unwrap();
    let mut sink = std::pin::pin!(sink);
    for _ in 0..5_000 {
        // The server may have answered already; what is sent then is ignored.
        let _ = sink.send(bytes::Bytes::from_static(b"no\tnumber\n")).await;
    }
    let error = sink.finish().await.unwrap_err();
    assert_eq!(error.code(), Some(&SqlState::INVALID_TEXT_REPRESENTATION));
    let sink = client.copy_in::<_, bytes::Bytes>("COPY d FROM STDIN").await.unwrap();
    drop(sink);
    let rows = client.query("SELECT * FROM d", &[]).await.unwrap();
    assert!(rows.is_empty());
}

#[tokio::test]
async fn databases_are_named_and_others_refused() {
    let server = TestServer::start();
    let port = server.address.port();
    for name in ["main", "postgres", "asofdb", "ann", "main@v1"] {
        let config = format!("host=127.0.0.1 port={port} user=ann dbname={name}");
        let connected = tokio_postgres::connect(&config, NoTls).await;
        drop(connected.expect(name));
    }
    let config = format!("host=127.0.0.1 port={port} user=ann dbname=other");
    let error = tokio_postgres::connect(&config, NoTls).await.err().unwrap();
    assert_eq!(error.code(), Some(&SqlState::INVALID_CATALOG_NAME));
    assert!(error.as_db_error().unwrap().hint().unwrap().contains("main"));
}

#[tokio::test]
async fn many_sessions_at_once_get_their_own_answers() {
    let server = TestServer::start();
    let clients = futures::future::join_all((0..40).map(|_| server.connect())).await;
    let answers = futures::stream::iter(clients.iter().enumerate())
        .map(|(at, client)| async move {
            for round in 0..20 {
                let text = format!("SELECT {at} * 1000 + {round}");
                let answer = client.simple_query(&text).await.unwrap();
                assert_eq!(values(&answer, 0), [(at * 1000 + round).to_string()]);
            }
        })
        .buffer_unordered(40);
    answers.collect::<Vec<()>>().await;
}

/// Drivers prepare under a name and ask for the columns first, whatever the statement is.
#[tokio::test]
async fn statements_that_are_no_query_tell_their_columns() {
    let server = TestServer::start();
    let client = server.connect().await;
    let set_up = [
        "CREATE TABLE t (k int PRIMARY KEY)",
        "INSERT INTO t VALUES (1)",
        "CREATE BRANCH b",
        "INSERT INTO t@b VALUES (2)",
        "SET asofdb.commit.\"wap.id\" = 'w'",
        "INSERT INTO t@b VALUES (3)",
        "RESET asofdb.commit.\"wap.id\"",
    ];
    for sql in set_up {
        client.batch_execute(sql).await.unwrap_or_else(|e| panic!("{sql}: {e:?}"));
    }
    let head: i64 = client.query_one("SELECT current_commit()", &[]).await.unwrap().get(0);
    let statements = [
        "SHOW TABLES".to_owned(),
        "SHOW SCHEMAS".to_owned(),
        "SHOW DATABASES".to_owned(),
        "DESCRIBE t".to_owned(),
        "DESCRIBE HISTORY t".to_owned(),
        "SHOW BRANCHES".to_owned(),
        "MERGE BRANCH b INTO main DRY RUN".to_owned(),
        "VACUUM t DRY RUN".to_owned(),
        "CALL system.ancestors_of('t')".to_owned(),
        "CALL system.fast_forward('t', 'main', 'b')".to_owned(),
        format!("CALL system.rollback_to_snapshot('t', {head})"),
        format!("CALL system.set_current_snapshot('t', {head})"),
        "CALL system.rollback_to_timestamp('t', now())".to_owned(),
        "CALL system.publish_changes('t', 'w')".to_owned(),
        "CALL system.rewrite_data_files('t')".to_owned(),
        "CALL system.expire_snapshots('t')".to_owned(),
        "CALL system.remove_orphan_files('t')".to_owned(),
    ];
    for sql in statements {
        let statement = client.prepare(&sql).await.unwrap_or_else(|e| panic!("{sql}: {e}"));
        let told: Vec<_> = statement.columns().iter().map(|column| column.name()).collect();
        assert!(!told.is_empty(), "{sql} tells no columns");
        let rows = client.query(&statement, &[]).await;
        let rows = rows.unwrap_or_else(|e| panic!("{sql}: {:?}", e.as_db_error()));
        assert!(rows.iter().all(|row| row.len() == told.len()), "{sql}: {told:?}");
    }
}
