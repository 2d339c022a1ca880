//! What the protocol says about order, errors and ends, byte by byte.

use super::server::{Said, TestServer, bind, execute, message, parse, query, startup, sync};

fn error_codes(said: &[Said]) -> Vec<String> {
    said.iter().filter(|said| said.tag == b'E').map(|said| said.field(b'C')).collect()
}

fn tags(said: &[Said]) -> String {
    said.iter().map(|said| said.tag as char).collect()
}

#[test]
fn a_pipeline_answers_in_order_and_in_one_piece() {
    let server = TestServer::start();
    let mut raw = server.session();
    let twice = [
        parse("s", "SELECT 1"),
        bind("", "s"),
        execute("", 0),
        bind("", "s"),
        message(b'D', b"P\0"),
        execute("", 0),
        sync(),
    ];
    raw.send(&twice.concat());
    assert_eq!(raw.turn(), "12DC2TDCZI");
    raw.send(&[message(b'D', b"Ss\0"), message(b'C', b"Ss\0"), sync()].concat());
    assert_eq!(raw.turn(), "tT3ZI");
    raw.send(
        &[parse("", ""), bind("", ""), message(b'D', b"P\0"), execute("", 0), sync()].concat(),
    );
    assert_eq!(raw.turn(), "12nIZI", "the empty statement");
}

/// Whatever else a client has sent, what it waits for leaves: messages that ask for no answer hold none back.
#[test]
fn answers_are_not_held_back_by_what_comes_behind() {
    let server = TestServer::start();
    let mut raw = server.session();
    raw.send(&query("CREATE TABLE t (a int)"));
    raw.turn();
    raw.send(&[query("SELECT 1"), message(b'c', b"")].concat());
    assert_eq!(raw.turn(), "TDCZI");
    let begun = [parse("", "SELECT 1"), bind("", ""), execute("", 0)].concat();
    raw.send(&[begun.clone(), sync(), begun].concat());
    assert_eq!(raw.turn(), "12DCZI");
    raw.send(&sync());
    assert_eq!(raw.turn(), "12DCZI");
    let refused = [query("COPY nosuch FROM STDIN"), message(b'd', b"1\n"), message(b'c', b"")];
    raw.send(&refused.concat());
    assert_eq!(raw.turn(), "EZI");
}

#[test]
fn the_branch_is_told_when_it_changes() {
    let server = TestServer::start();
    let mut raw = server.session();
    for (sql, wanted) in [
        ("CREATE BRANCH dev", None),
        ("SET branch = 'dev'", Some("dev")),
        ("USE BRANCH dev", None),
        ("SET as_of = '1'", None),
        ("RESET branch", Some("main")),
        ("SET spark.wap.branch = 'dev'", Some("dev")),
        ("DISCARD ALL", Some("main")),
    ] {
        raw.send(&query(sql));
        let said = raw.until(b'Z');
        let told = said.iter().filter(|said| said.tag == b'S').map(|said| said.body.clone());
        let wanted = wanted.map(|branch| format!("asofdb.branch\0{branch}\0").into_bytes());
        assert_eq!(told.collect::<Vec<_>>(), Vec::from_iter(wanted), "{sql}");
    }
}

#[test]
fn an_error_skips_to_sync_and_is_told_once() {
    let server = TestServer::start();
    let mut raw = server.session();
    raw.send(
        &[
            parse("", "SELECT * FROM nowhere"),
            bind("", ""),
            execute("", 0),
            query("SELECT 1"),
            sync(),
            query("SELECT 2"),
        ]
        .concat(),
    );
    let said = raw.until(b'Z');
    assert_eq!((tags(&said).as_str(), error_codes(&said)), ("EZ", vec!["42P01".to_owned()]));
    assert_eq!(raw.turn(), "TDCZI");
}

#[test]
fn names_of_statements_and_portals_have_rules() {
    let server = TestServer::start();
    let mut raw = server.session();
    for (bytes, code) in [
        ([parse("a", "SELECT 1"), parse("a", "SELECT 2")].concat(), "42P05"),
        (bind("", "b"), "26000"),
        (execute("p", 0), "34000"),
        (message(b'D', b"Pp\0"), "34000"),
        (message(b'D', b"Sb\0"), "26000"),
        ([bind("p", "a"), bind("p", "a")].concat(), "42P03"),
        (parse("", "SELECT 1; SELECT 2"), "42601"),
        (message(b'B', b"\0a\0\0\0\0\x01\0\0\0\x01x\0\0"), "08P01"),
        (message(b'B', b"\0a\0\0\0\0\0\0\x02\0\0\0\0"), "08P01"),
        (message(b'B', b"\0a\0\0\x01\0\x09\0\0\0\0"), "08P01"),
        (message(b'B', b"\0a\0\0\0\0\x05"), "08P01"),
        (message(b'P', b"\0SELECT \xff\0\0\0"), "22021"),
        ([parse("", "SELECT 1"), query("SELECT 1"), sync(), bind("", "")].concat(), "26000"),
    ] {
        raw.send(&[bytes, sync()].concat());
        let mut said = raw.until(b'Z');
        while error_codes(&said).is_empty() {
            said = raw.until(b'Z');
        }
        assert_eq!(error_codes(&said), [code], "{said:?}");
    }
    raw.send(
        &[parse("e", "SELECT 1"), sync(), query("DEALLOCATE ALL"), bind("", "e"), sync()].concat(),
    );
    assert_eq!((raw.turn().as_str(), raw.turn().as_str()), ("1ZI", "CZI"));
    assert_eq!(
        error_codes(&raw.until(b'Z')),
        ["26000"],
        "SQL takes the protocol's statements away"
    );
    raw.send(&[parse("a", "SELECT 1"), bind("gone", "a"), sync()].concat());
    assert_eq!(raw.turn(), "12ZI");
    raw.send(&[execute("gone", 0), sync()].concat());
    assert_eq!(error_codes(&raw.until(b'Z')), ["34000"], "portals end with the transaction");
}

#[test]
fn portals_suspend_and_end() {
    let server = TestServer::start();
    let mut raw = server.session();
    raw.send(&query("BEGIN"));
    assert_eq!(raw.turn(), "CZT");
    let text = "SELECT * FROM generate_series(1, 5)";
    raw.send(
        &[
            parse("", text),
            bind("p", ""),
            execute("p", 2),
            execute("p", 2),
            execute("p", 2),
            execute("p", 0),
            sync(),
        ]
        .concat(),
    );
    assert_eq!(raw.turn(), "12DDsDDsDCCZT");
    raw.send(&[bind("p", ""), sync()].concat());
    assert_eq!(error_codes(&raw.until(b'Z')), ["42P03"]);
    raw.send(&query("SELECT 1"));
    let said = raw.until(b'Z');
    assert_eq!((error_codes(&said), said[1].body[0]), (vec!["25P02".to_owned()], b'E'));
    raw.send(&query("ROLLBACK"));
    assert_eq!(raw.turn(), "CZI");
    let all = [parse("", text), bind("", ""), execute("", -1), execute("", i32::MAX), sync()];
    raw.send(&all.concat());
    assert_eq!(raw.turn(), "12DDDDDCCZI");
}

#[test]
fn simple_queries_of_several_statements_stop_at_the_first_error() {
    let server = TestServer::start();
    let mut raw = server.session();
    raw.send(&query("SELECT 1; SELECT * FROM nowhere; SELECT 2"));
    assert_eq!(raw.turn(), "TDCEZI");
    raw.send(&query(""));
    assert_eq!(raw.turn(), "IZI");
    raw.send(&query("SET application_name = 'me'; BEGIN; BEGIN"));
    assert_eq!(raw.turn(), "CCNCSZT");
    raw.send(&message(b'F', b"\0\0\0\x01\0\0\0\0\0\0"));
    assert_eq!(error_codes(&raw.until(b'Z')), ["0A000"]);
    raw.send(&message(b'Q', b"no end"));
    assert_eq!(error_codes(&raw.until(b'Z')), ["08P01"], "the next frame is whole again");
    raw.send(&query("ROLLBACK"));
    assert_eq!(raw.turn(), "CSZI", "what stood before BEGIN is of the block, and undone with it");
}

#[test]
fn messages_may_be_cut_anywhere() {
    let server = TestServer::start();
    let stream =
        [parse("", "SELECT 1"), bind("", ""), execute("", 0), sync(), query("SELECT 2")].concat();
    let mut raw = server.session();
    for cut in 0..=stream.len() {
        raw.send(&stream[..cut]);
        // Long enough for the server to have seen the first half by itself now and then.
        std::thread::yield_now();
        raw.send(&stream[cut..]);
        assert_eq!((raw.turn().as_str(), raw.turn().as_str()), ("12DCZI", "TDCZI"), "cut at {cut}");
    }
}

#[test]
fn startup_may_be_cut_anywhere_and_encryption_is_declined() {
    let server = TestServer::start();
    let hello = startup(3 << 16, b"user\0ann\0database\0main\0\0");
    let requests = [&8_u32.to_be_bytes()[..], &80_877_104_u32.to_be_bytes()].concat();
    for cut in 0..hello.len() {
        let mut raw = server.socket();
        raw.send(&requests);
        let mut answer = [0];
        std::io::Read::read_exact(&mut raw.stream, &mut answer).unwrap();
        assert_eq!(&answer, b"N");
        raw.send(&hello[..cut]);
        raw.send(&hello[cut..]);
        let said = raw.until(b'Z');
        assert!(tags(&said).starts_with("RS") && tags(&said).ends_with("KZ"));
    }
}

#[test]
fn newer_protocols_are_negotiated() {
    let server = TestServer::start();
    for (asked, spoken, key_bytes) in
        [(0, None, 4), (2, None, 32), (9999, Some(2), 32), (1, None, 4)]
    {
        let mut raw = server.socket();
        raw.send(&startup(3 << 16 | asked, b"user\0ann\0\0"));
        let said = raw.until(b'Z');
        let negotiated = said.iter().find(|said| said.tag == b'v').map(|said| said.body[3]);
        assert_eq!(negotiated, spoken);
        let key = said.iter().find(|said| said.tag == b'K').unwrap();
        assert_eq!(key.body.len(), 4 + key_bytes);
    }
    let mut raw = server.socket();
    raw.send(&startup(2 << 16, b"user\0ann\0\0"));
    assert_eq!(error_codes(&raw.rest()), ["0A000"]);
}

#[test]
fn after_fatal_nothing_more_is_answered() {
    let server = TestServer::start();
    let mut raw = server.socket();
    let other = startup(3 << 16, b"user\0ann\0database\0other\0\0");
    raw.send(&[other, query("SELECT 1")].concat());
    let said = raw.rest();
    assert_eq!((tags(&said).as_str(), said[0].field(b'V').as_str()), ("E", "FATAL"));
    assert_eq!(said[0].field(b'C'), "3D000");
}

#[test]
fn copy_follows_the_rules_when_it_fails() {
    let server = TestServer::start();
    let mut raw = server.session();
    raw.send(&query("CREATE TABLE t (a BIGINT)"));
    assert_eq!(raw.turn(), "CZI");
    let data = |text: &str| message(b'd', text.as_bytes());
    let done = message(b'c', b"");
    raw.send(&[query("COPY t FROM STDIN"), data("1\n2"), data("\n"), done.clone()].concat());
    assert_eq!(raw.turn(), "GCZI");
    raw.send(&[query("COPY t FROM STDIN"), data("x\n"), data("3\n"), done.clone()].concat());
    assert_eq!(raw.turn(), "GEZI");
    raw.send(&[query("COPY t FROM STDIN"), data("3\n"), message(b'f', b"why not\0")].concat());
    let said = raw.until(b'Z');
    assert_eq!((tags(&said).as_str(), error_codes(&said)), ("GEZ", vec!["57014".to_owned()]));
    assert!(said[1].field(b'M').contains("why not"));
    raw.send(&[query("COPY t FROM STDIN"), query("SELECT 1")].concat());
    assert_eq!(error_codes(&raw.until(b'Z')), ["08P01"], "a query has no place in a copy");
    let start = [parse("", "COPY t FROM STDIN"), bind("", ""), execute("", 0), sync()].concat();
    raw.send(&[start.clone(), data("4\n"), sync(), data("5\n"), done.clone(), sync()].concat());
    assert_eq!(raw.turn(), "12GCZI", "Sync inside a copy is ignored");
    raw.send(&[start, data("x\n"), data("6\n"), done, sync()].concat());
    assert_eq!(raw.turn(), "12GEZI");
    raw.send(&query("SELECT count(*) FROM t"));
    let said = raw.until(b'Z');
    assert_eq!(said[1].body[6..], *b"4");
    raw.send(&query("COPY t TO STDOUT"));
    let turn = raw.turn();
    assert!(turn.starts_with("Hd") && turn.ends_with("cCZI"), "{turn}");
    raw.send(&query("DROP TABLE t"));
    assert_eq!(raw.turn(), "CZI");
}
