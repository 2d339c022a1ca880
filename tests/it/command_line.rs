//! The binary as people start it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

fn asofdb() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_asofdb"));
    command.env_remove("ASOFDB_DATA").env_remove("ASOFDB_LISTEN").env_remove("ASOFDB_MEMORY");
    command
}

fn sql(arguments: &[&str], input: &str) -> Output {
    let folder = tempfile::tempdir().unwrap();
    let mut child = asofdb()
        .arg("sql")
        .arg("--data")
        .arg(folder.path())
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

#[test]
fn rows_stand_behind_copy_in_a_script() {
    let script = "CREATE TABLE t (a int, b text);\nCOPY t FROM STDIN;\n1\tit's;\n2\t\\N\n\\.\n\
                  COPY t FROM STDIN (FORMAT csv);\n3,x\n\\.\nSELECT count(*) AS n FROM t;\nSELECT x;\n";
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), script).unwrap();
    let by_name = sql(&[file.path().to_str().unwrap()], "");
    let piped = sql(&[], script);
    for output in [by_name, piped] {
        let (out, err) = (text(&output.stdout), text(&output.stderr));
        assert_eq!(out, "CREATE TABLE\nCOPY 2\nCOPY 1\n n \n---\n 3\n(1 row)\n\n", "{err}");
        assert!(err.contains("LINE 10: SELECT x;"), "{err}");
    }
    let to_the_end = sql(&[], "CREATE TABLE t (a int);\nCOPY t FROM STDIN;\n1\n2\n");
    assert_eq!(text(&to_the_end.stdout), "CREATE TABLE\nCOPY 2\n");
    let parquet = "CREATE TABLE t (a int); COPY t FROM STDIN (FORMAT parquet);";
    let empty = sql(&["-c", parquet], "");
    assert!(text(&empty.stderr).contains("\"STDIN\" cannot be read as Parquet"));
}

#[test]
fn serve_says_where_and_ends_when_told() {
    let folder = tempfile::tempdir().unwrap();
    let mut child = asofdb()
        .args(["serve", "--listen", "127.0.0.1:0", "--memory", "1GiB", "--data"])
        .arg(folder.path())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    stdout.read_line(&mut line).unwrap();
    let address = line.strip_prefix("listening on ").unwrap().trim_end();
    let _idle = TcpStream::connect(address).unwrap();
    let began = Instant::now();
    let told = Command::new("kill").arg("-TERM").arg(child.id().to_string()).status().unwrap();
    assert!(told.success() && child.wait().unwrap().success());
    assert!(began.elapsed() < Duration::from_secs(5));
    let mut rest = String::new();
    stdout.read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "", "one line and no more");
}

#[test]
fn serving_beyond_this_machine_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let output = asofdb()
        .args(["serve", "--listen", "0.0.0.0:0", "--data"])
        .arg(folder.path())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = text(&output.stderr);
    assert!(
        said.contains("ERROR:  will not listen on 0.0.0.0:0") && said.contains("HINT:"),
        "{said}"
    );
}

#[test]
fn sql_prints_as_psql_does() {
    let wanted = " a  | bcd  \n----+------\n  1 | x\n 20 | yyyy\n(2 rows)\n\n";
    let query = "SELECT * FROM (VALUES (1, 'x'), (20, 'yyyy')) v(a, bcd) ORDER BY a";
    for (arguments, input) in [(&["-c", query][..], ""), (&[][..], query)] {
        let output = sql(arguments, input);
        assert_eq!((text(&output.stdout), output.status.code()), (wanted, Some(0)));
    }
    let output = sql(&["-c", "SELECT 1 AS a; SELECT * FROM nowhere; SELECT 2 AS b"], "");
    assert_eq!(text(&output.stdout), " a \n---\n 1\n(1 row)\n\n");
    assert!(text(&output.stderr).starts_with("ERROR:  "), "{}", text(&output.stderr));
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn copy_reads_and_writes_the_standard_streams() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("no such file.sql");
    let output = asofdb().arg("sql").arg(&file).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("no such file.sql"));
    let output = sql(&["-c", "COPY (SELECT 1, 'x') TO STDOUT"], "");
    assert_eq!(text(&output.stdout), "1\tx\n");
}
