//! Rows, statements and files that mean no good: a clear error, nothing changed, the server lives.

use std::io::{Read, Seek, SeekFrom, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::SinkExt;
use tokio_postgres::error::DbError;
use tokio_postgres::{Client, SimpleQueryMessage};

use super::process::{Program, asofdb, check, said};

const PATIENCE: Duration = Duration::from_secs(20);

/// Runs a piece of work against a server of its own; the folder is sound afterwards.
fn with_server(arguments: &[&str], work: impl AsyncFnOnce(&mut Program)) {
    let folder = tempfile::tempdir().expect("a folder");
    let mut server = Program::start(folder.path(), arguments);
    runtime().block_on(work(&mut server));
    server.terminate();
    assert!(server.wait(PATIENCE).expect("it ends").success());
    let output = check(folder.path());
    assert!(output.status.success(), "{}", said(&output));
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
}

async fn refused(client: &Client, sql: &str) -> DbError {
    let shown: String = sql.chars().take(80).collect();
    match tokio::time::timeout(PATIENCE, client.simple_query(sql)).await {
        Err(_) => panic!("{shown} still runs after {PATIENCE:?}"),
        Ok(Ok(rows)) => panic!("{shown} was not refused: {} messages", rows.len()),
        Ok(Err(error)) => match error.as_db_error() {
            Some(error) => error.clone(),
            None => panic!("{shown} ended the connection: {error:?}"),
        },
    }
}

async fn sqlstate(client: &Client, sql: &str) -> String {
    refused(client, sql).await.code().code().to_owned()
}

/// The only value of an answer.
async fn value(client: &Client, sql: &str) -> String {
    let answer = client.simple_query(sql).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    let row = answer.iter().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => row.get(0),
        _ => None,
    });
    row.unwrap_or("NULL").to_owned()
}

#[test]
fn a_malformed_row_of_copy_is_named_and_nothing_stays() {
    with_server(&[], async |server| {
        let client = server.connect().await;
        client.batch_execute("CREATE TABLE t (k int PRIMARY KEY, v text NOT NULL)").await.unwrap();
        // The good rows before it are enough for a segment.
        let good: String = (0..20_000).map(|k| format!("{k}\tx\n")).collect();
        for (bad, code) in [
            ("many\tx\n", "22P02"),
            ("20000\n", "22P04"),
            ("20000\tx\ty\n", "22P04"),
            ("20000\t\\N\n", "23502"),
            ("7\tx\n", "23505"),
            ("99999999999\tx\n", "22003"),
        ] {
            let error = copy(&client, &[good.as_bytes(), bad.as_bytes(), b"20001\tx\n"]).await;
            let error = error.expect_err(bad);
            let error = error.as_db_error().unwrap_or_else(|| panic!("{bad}: {error:?}"));
            assert_eq!(error.code().code(), code, "{bad}: {error:?}");
            if code.starts_with("22") {
                let place = error.where_().unwrap_or_default();
                assert!(place.contains("COPY t, line 20001"), "{bad}: {place:?}");
            }
            assert_eq!(value(&client, "SELECT count(*) FROM t").await, "0", "after {bad}");
        }
        let error = copy(&client, &[b"1\t\xff\n"]).await.expect_err("not UTF-8");
        assert_eq!(error.code().map(|c| c.code()), Some("22021"), "{error:?}");
        assert_eq!(copy(&client, &[good.as_bytes()]).await.expect("all of it is good"), 20_000);
    });
}

async fn copy(client: &Client, pieces: &[&[u8]]) -> Result<u64, tokio_postgres::Error> {
    let sink = client.copy_in("COPY t FROM STDIN").await?;
    futures::pin_mut!(sink);
    for piece in pieces {
        sink.send(Bytes::copy_from_slice(piece)).await?;
    }
    sink.finish().await
}

#[test]
fn what_is_not_there_is_named() {
    with_server(&[], async |server| {
        let client = server.connect().await;
        client.batch_execute("CREATE TABLE t (k int, v text)").await.unwrap();
        for (sql, code, named) in [
            ("SELECT * FROM t FOR SYSTEM_VERSION AS OF 4711", "42704", "4711"),
            ("SELECT * FROM t FOR SYSTEM_VERSION AS OF 'nowhere'", "42704", "nowhere"),
            ("SELECT * FROM t@nowhere", "42704", "nowhere"),
            ("SELECT w FROM t", "42703", "\"w\""),
            ("SELECT * FROM u", "42P01", "\"u\""),
            ("INSERT INTO t (w) VALUES (1)", "42703", "\"w\""),
            ("INSERT INTO t VALUES ('many', 'x')", "22P02", "many"),
            ("SELECT 1 + true", "42883", "+"),
            ("SELECT 1 + 'x'::int", "22P02", "x"),
            ("SELECT no_such(1)", "42883", "no_such"),
            ("SELECT 1 / 0", "22012", "zero"),
            ("SELEC 1", "42601", "SELEC"),
            ("SELECT * FROM t WHERE k = ARRAY[1]", "42883", "="),
        ] {
            let error = refused(&client, sql).await;
            assert_eq!(error.code().code(), code, "{sql}: {error:?}");
            assert!(error.message().contains(named), "{sql}: {}", error.message());
        }
        assert_eq!(value(&client, "SELECT count(*) FROM t").await, "0");
    });
}

#[test]
fn statements_without_end_are_refused() {
    let nested = |open: &str, close: &str| {
        format!("SELECT {}1{}", open.repeat(10_000), close.repeat(10_000))
    };
    let chain = |word: &str| format!("SELECT 1{}", word.repeat(10_000));
    let deep = [
        nested("(", ")"),
        nested("(SELECT ", ")"),
        nested("abs(", ")"),
        nested("CASE WHEN true THEN ", " END"),
        nested("ARRAY[", "]"),
        nested("- ", ""),
        nested("NOT ", ""),
        nested("CAST(", " AS int)"),
        chain(" + 1"),
        chain(" OR 1 = 1"),
        chain(" || 'x'"),
        chain("::int"),
        chain(" UNION ALL SELECT 1"),
        format!("SELECT 1 FROM {}", "t JOIN ".repeat(10_000)),
        format!("SELECT 1 FROM {}t{}", "(".repeat(10_000), ")".repeat(10_000)),
        "(".repeat(10_000),
    ];
    with_server(&[], async |server| {
        let client = server.connect().await;
        for sql in &deep {
            let code = sqlstate(&client, sql).await;
            let shown = &sql[..40.min(sql.len())];
            assert!(["54001", "54000", "42601"].contains(&code.as_str()), "{shown}: {code}");
            assert_eq!(value(&client, "SELECT 1").await, "1");
        }
        let list: String = (0..10_000).map(|n| format!(", {n}")).collect();
        assert_eq!(value(&client, &format!("SELECT 1 WHERE 7 IN (-1{list})")).await, "1");
    });
}

/// Whether they are planned, refused or given up for want of time: no stack overflows.
#[test]
fn statements_at_the_bounds_leave_the_server_alive() {
    let nested = |open: &str, close: &str| {
        format!("SELECT {}n{} FROM t", open.repeat(120), close.repeat(120))
    };
    let chain = |word: &str, links: usize| format!("SELECT n{} FROM t", word.repeat(links));
    let above = |depth: usize| {
        let above = (1..depth).map(|n| format!(", a{n} AS (SELECT n FROM a{})", n - 1));
        let above: String = above.collect();
        format!("WITH a0 AS (SELECT n FROM t){above} SELECT n FROM a{}", depth - 1)
    };
    let bounds = [
        nested("(", ")"),
        nested("(SELECT ", ")"),
        nested("abs(", ")"),
        nested("CASE WHEN true THEN ", " END"),
        nested("- ", ""),
        chain(" + 1", 3900),
        chain(" + n - 1.5", 1900),
        chain(" || 'x'", 3900),
        chain(" > 1 OR n", 3900).replace(" FROM", " > 2 FROM"),
        chain("::int", 3900),
        chain(" UNION ALL SELECT 1", 3900).replace(" FROM t", ""),
        // Copied before it is planned, on another thread.
        format!("CREATE VIEW v AS {}", chain(" UNION ALL SELECT 1", 3900).replace(" FROM t", "")),
        above(1000),
        above(3000),
    ];
    with_server(&[], async |server| {
        let client = server.connect().await;
        client
            .batch_execute("CREATE TABLE t (n bigint); SET statement_timeout = '4s'")
            .await
            .unwrap();
        for sql in &bounds {
            let shown = &sql[..40];
            let answer = tokio::time::timeout(PATIENCE, client.simple_query(sql)).await;
            let answer = answer.unwrap_or_else(|_| panic!("{shown} still runs"));
            if let Err(error) = answer {
                assert!(error.as_db_error().is_some(), "{shown} ended the connection: {error:?}");
            }
            assert_eq!(value(&client, "SELECT 1").await, "1", "after {shown}");
        }
        assert_eq!(sqlstate(&client, &above(3000)).await, "54001");
    });
}

#[test]
fn a_statement_that_wants_all_memory_is_ended() {
    with_server(&["--memory", "256MB"], async |server| {
        let client = server.connect().await;
        for sql in [
            "SELECT array_agg(n) FROM generate_series(1, 100000000) g(n)",
            "SELECT string_agg(repeat('x', 1000), '') FROM generate_series(1, 10000000) g(n)",
            "SELECT count(*) FROM generate_series(1, 30000000) a(n)
             JOIN generate_series(1, 30000000) b(n) USING (n)",
            "SELECT max(r) FROM (SELECT sum(n) OVER (PARTITION BY n % 2 ORDER BY n) AS r
             FROM generate_series(1, 50000000) g(n)) x",
            "SELECT median(n) FROM generate_series(1, 100000000) g(n)",
        ] {
            assert_eq!(sqlstate(&client, sql).await, "53200", "{sql}");
            assert_eq!(value(&client, "SELECT 1").await, "1");
        }
        // What no pool counts and nothing could stop.
        for sql in [
            "SELECT length(repeat('x', 2000000000))",
            "SELECT max(length(repeat(repeat('x', 10000), n::int))) FROM generate_series(1, 10000) g(n)",
            "SELECT length(lpad('x', 2000000000, 'y'))",
            "SELECT array_length(array_repeat(1, 1000000000))",
            "SELECT length(ARRAY[a, a][1]) FROM (SELECT repeat('x', 60000000) AS a) b",
            "SELECT length(replace(repeat('a', 100000), 'a', repeat('b', 100000)))",
            "SELECT length(regexp_replace(repeat('a', 100000), 'a', repeat('b', 10000), 'g'))",
            "SELECT length(a || a) FROM (SELECT a || a AS a FROM (SELECT repeat('x', 60000000) AS a) b) c",
            "SELECT length(concat(a, a, a)) FROM (SELECT repeat('x', 60000000) AS a) b",
            "SELECT count(r) FROM (SELECT repeat('x', 60000000) AS r FROM generate_series(1, 8000)) x",
            "SELECT length(format('%1$s%1$s%1$s', repeat('x', 60000000)))",
            "SELECT length(format('%1000000000s', 'x'))",
            "SELECT array_length(array_resize(ARRAY[1], 1000000000))",
            "SELECT array_length(range(1, 1000000000))",
            "SELECT length(array_to_string(range(1, 1000000), repeat('x', 1000)))",
        ] {
            assert_eq!(sqlstate(&client, sql).await, "54000", "{sql}");
        }
        // More than memory holds, sorted on disk.
        let sorted =
            "SELECT count(*) FROM (SELECT a.n + b.n AS s FROM generate_series(1, 1000) a(n),
            generate_series(1, 1000) b(n) ORDER BY repeat('x', 200), s OFFSET 10) x";
        assert_eq!(value(&client, sorted).await, "999990");
        let peak = server.peak_mib();
        assert!(peak < 512, "{peak} MiB at the peak");
    });
}

#[test]
fn bytes_that_are_not_text_are_refused() {
    with_server(&[], async |server| {
        let mut stream = TcpStream::connect(("127.0.0.1", server.port())).expect("a socket");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        let body = b"\0\x03\0\0user\0ann\0database\0main\0\0";
        stream.write_all(&(body.len() as u32 + 4).to_be_bytes()).unwrap();
        stream.write_all(body).unwrap();
        until_ready(&mut stream);
        for (text, code) in [(&b"SELECT '\xff'\0"[..], "22021"), (b"SELECT 1\0", "")] {
            stream.write_all(b"Q").unwrap();
            stream.write_all(&(text.len() as u32 + 4).to_be_bytes()).unwrap();
            stream.write_all(text).unwrap();
            let said = until_ready(&mut stream);
            let error = said.iter().find(|(tag, _)| *tag == b'E');
            let found = error.map_or(String::new(), |(_, body)| {
                let field = body.split(|b| *b == 0).find(|field| field.first() == Some(&b'C'));
                String::from_utf8_lossy(&field.expect("a code")[1..]).into_owned()
            });
            assert_eq!(found, code);
        }
    });
}

fn until_ready(stream: &mut TcpStream) -> Vec<(u8, Vec<u8>)> {
    let mut said = Vec::new();
    loop {
        let mut header = [0; 5];
        stream.read_exact(&mut header).expect("a message");
        let length = u32::from_be_bytes(header[1..].try_into().expect("four bytes"));
        let mut body = vec![0; length as usize - 4];
        stream.read_exact(&mut body).expect("a whole message");
        said.push((header[0], body));
        if header[0] == b'Z' {
            return said;
        }
    }
}

// ---------------------------------------------------------------- files

/// A folder with a table in a segment and one in the log.
fn two_tables(data: &Path) -> PathBuf {
    let mut server = Program::start(data, &[]);
    runtime().block_on(async {
        let client = server.connect().await;
        client
            .batch_execute(
                "CREATE TABLE big (k int PRIMARY KEY, v text); CREATE TABLE small (k int);
                 INSERT INTO big SELECT n, 'value ' || n FROM generate_series(1, 30000) g(n);
                 INSERT INTO small VALUES (1)",
            )
            .await
            .unwrap();
    });
    server.terminate();
    assert!(server.wait(PATIENCE).expect("it ends").success());
    let mut files = std::fs::read_dir(data.join("segments")).expect("a folder");
    let of_rows = |path: &PathBuf| path.extension().is_some_and(|e| e == "parquet");
    files.find_map(|e| Some(e.ok()?.path()).filter(of_rows)).expect("a segment")
}

/// The table is damaged, loudly; everything else goes on.
fn assert_only_big_is_damaged(data: &Path, file: &Path, damage: &str) {
    let name = file.file_name().and_then(|name| name.to_str()).expect("a name");
    let mut server = Program::start(data, &[]);
    runtime().block_on(async {
        let client = server.connect().await;
        let error = refused(&client, "SELECT count(v), sum(k) FROM big").await;
        assert_eq!(error.code().code(), "XX001", "{damage}: {error:?}");
        assert!(error.message().contains(name), "{damage}: {}", error.message());
        assert_eq!(value(&client, "SELECT k FROM small").await, "1", "{damage}");
        client
            .batch_execute("INSERT INTO small VALUES (2); DELETE FROM small WHERE k = 2")
            .await
            .unwrap();
    });
    server.kill();
    drop(server);
    let output = check(data);
    assert_eq!(output.status.code(), Some(1), "{damage}");
    assert!(said(&output).contains(name), "{damage}: {}", said(&output));
}

#[test]
fn a_damaged_segment_is_told_from_the_rest() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = two_tables(folder.path());
    let whole = std::fs::read(&path).expect("the segment");
    let length = whole.len() as u64;
    // In the rows, in the page index, in the footer, in its length.
    for at in [1_000, length / 3, length / 2, length * 9 / 10, length - 200, length - 6] {
        flip(&path, at);
        assert_only_big_is_damaged(folder.path(), &path, &format!("byte {at} of {length}"));
        std::fs::write(&path, &whole).expect("as it was");
    }
    for kept in [0, 3, length / 2, length - 1] {
        std::fs::write(&path, &whole[..kept as usize]).expect("cut");
        assert_only_big_is_damaged(folder.path(), &path, &format!("cut to {kept} of {length}"));
    }
    std::fs::remove_file(&path).expect("it is there");
    assert_only_big_is_damaged(folder.path(), &path, "removed");
    std::fs::write(&path, &whole).expect("as it was");
    let output = check(folder.path());
    assert!(output.status.success(), "{}", said(&output));
}

/// A folder without its log is never taken for a new one: its files stay for whoever restores it.
#[test]
fn a_folder_without_its_log_is_left_as_it_is() {
    let folder = tempfile::tempdir().expect("a folder");
    let segment = two_tables(folder.path());
    let log = folder.path().join("catalog.redb");
    let whole = std::fs::read(&log).expect("the log");
    for damage in ["missing", "empty"] {
        match damage {
            "missing" => std::fs::remove_file(&log).expect("it is there"),
            _ => std::fs::write(&log, []).expect("cut"),
        }
        for command in [&["check"][..], &["sql", "-c", "SELECT 1"], &["check"]] {
            let output =
                asofdb().args(command).arg("--data").arg(folder.path()).output().expect("runs");
            assert_eq!(output.status.code(), Some(1), "{damage}, {command:?}: {}", said(&output));
            assert!(said(&output).contains("catalog.redb"), "{damage}: {}", said(&output));
            assert!(segment.exists(), "{damage}, {command:?}");
        }
    }
    std::fs::write(&log, whole).expect("as it was");
    let output = check(folder.path());
    assert!(output.status.success(), "{}", said(&output));
}

fn flip(path: &Path, at: u64) {
    let mut file = std::fs::File::options().read(true).write(true).open(path).expect("it is there");
    let mut byte = [0];
    file.seek(SeekFrom::Start(at)).expect("within");
    file.read_exact(&mut byte).expect("within");
    file.seek(SeekFrom::Start(at)).expect("within");
    file.write_all(&[byte[0] ^ 0x10]).expect("written");
}

#[test]
fn a_folder_has_one_server() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut server = Program::start(folder.path(), &[]);
    for command in
        [&["serve", "--listen", "127.0.0.1:0"][..], &["check"], &["sql", "-c", "SELECT 1"]]
    {
        let output =
            asofdb().args(command).arg("--data").arg(folder.path()).output().expect("runs");
        assert_eq!(output.status.code(), Some(1), "{command:?}: {}", said(&output));
        assert!(said(&output).contains("in use"), "{command:?}: {}", said(&output));
    }
    assert!(server.is_running());
}

#[test]
fn told_to_end_it_ends_whatever_runs() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut server = Program::start(folder.path(), &[]);
    runtime().block_on(async {
        let client = server.connect().await;
        client.batch_execute("CREATE TABLE t (n int)").await.unwrap();
        let (open, copying) = (server.connect().await, server.connect().await);
        open.batch_execute("BEGIN; INSERT INTO t VALUES (1)").await.unwrap();
        let sink = copying.copy_in::<_, Bytes>("COPY t FROM STDIN").await.unwrap();
        let endless = "SELECT count(*) FROM generate_series(1, 1000000) a(n),
            generate_series(1, 1000000) b(n) WHERE a.n * b.n = 7";
        let query = tokio::spawn(async move { client.simple_query(endless).await.map(drop) });
        tokio::time::sleep(Duration::from_millis(200)).await;
        server.terminate();
        let began = Instant::now();
        let ended = query.await.expect("no panic").expect_err("it never ends by itself");
        let code = ended.code().map(|code| code.code().to_owned());
        assert!(code.is_none_or(|code| ["57P01", "57014"].contains(&code.as_str())), "{ended:?}");
        let status = server.wait(PATIENCE).expect("it ends");
        assert!(status.success() && began.elapsed() < Duration::from_secs(5), "{status}");
        drop((open, sink));
    });
    let output = check(folder.path());
    assert!(output.status.success(), "{}", said(&output));
}
