//! Clients that mean no good, and bounds.

use std::io::Write;
use std::time::{Duration, Instant};

use asofdb::config::WireSettings;

use super::server::{Raw, Said, TestServer, message, query, startup};

fn codes(said: &[Said]) -> Vec<(String, String)> {
    said.iter().filter(|s| s.tag == b'E').map(|s| (s.field(b'V'), s.field(b'C'))).collect()
}

fn fatal(code: &str) -> Vec<(String, String)> {
    vec![("FATAL".to_owned(), code.to_owned())]
}

#[test]
fn garbage_ends_a_connection_with_a_word_and_hurts_nobody() {
    let server = TestServer::start();
    let mut healthy = server.session();
    for bytes in [
        &b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"[..],
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"\0\0\0\x07\0\0\0",
        b"\xff\xff\xff\xff\xff\xff\xff\xff",
    ] {
        let mut raw = server.socket();
        raw.send(bytes);
        assert_eq!(codes(&raw.rest()), fatal("08P01"), "{bytes:?}");
    }
    for bytes in [&b"\x16\x03\x01\x02\x00"[..], b"Q\0\0\0\0", b"Q\0\0\0\x03", b"Z\0\0\0\x04"] {
        let mut raw = server.session();
        raw.send(bytes);
        assert_eq!(codes(&raw.rest()), fatal("08P01"), "{bytes:?}");
    }
    healthy.send(&query("SELECT 1"));
    assert_eq!(healthy.turn(), "TDCZI");
}

#[test]
fn an_oversize_message_gets_its_error_although_it_is_still_being_sent() {
    let wire = WireSettings { message_bytes_max: 1 << 20, ..WireSettings::default() };
    let server = TestServer::with(wire);
    let mut raw = server.session();
    raw.send(&query(&format!("SELECT length('{}')", "x".repeat(1 << 19))));
    assert_eq!(raw.turn(), "TDCZI");
    let mut sender = raw.stream.try_clone().unwrap();
    let sending = std::thread::spawn(move || {
        let large = query(&"x".repeat(32 << 20));
        // The server reads it all, so that this does not end in a reset.
        sender.write_all(&large).and_then(|()| sender.shutdown(std::net::Shutdown::Write))
    });
    assert_eq!(codes(&raw.rest()), fatal("54000"));
    sending.join().unwrap().expect("all of it was taken");
}

#[test]
fn a_length_alone_takes_no_memory() {
    let server = TestServer::start();
    let mut clients: Vec<Raw> = (0..30).map(|_| server.session()).collect();
    let before = asofdb::memory::allocated_bytes();
    for client in &mut clients {
        client.send(&[b"Q".as_slice(), &(60_u32 << 20).to_be_bytes(), b"SELECT"].concat());
    }
    let mut other = server.session();
    other.send(&query("SELECT 1"));
    assert_eq!(other.turn(), "TDCZI");
    let grown = asofdb::memory::allocated_bytes().saturating_sub(before);
    assert!(grown < 200 << 20, "30 lengths of 60 MiB took {grown} bytes");
}

#[test]
fn unfinished_startups_keep_nobody_out() {
    let wire = WireSettings { startup_connections_max: 32, ..WireSettings::default() };
    let server = TestServer::with(wire);
    let idle: Vec<Raw> = (0..300)
        .map(|n: usize| {
            let mut raw = server.socket();
            raw.send(&startup(3 << 16, b"user\0")[..n % 9]);
            raw
        })
        .collect();
    let began = Instant::now();
    for _ in 0..20 {
        let mut healthy = server.session();
        healthy.send(&query("SELECT 1"));
        assert_eq!(healthy.turn(), "TDCZI");
    }
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    drop(idle);
}

#[test]
fn startup_has_a_deadline() {
    let wire =
        WireSettings { startup_timeout: Duration::from_millis(200), ..WireSettings::default() };
    let server = TestServer::with(wire);
    let mut slow = server.socket();
    slow.send(b"\0\0\0");
    let began = Instant::now();
    assert_eq!(codes(&slow.rest()), fatal("08P01"));
    assert!(began.elapsed() < Duration::from_secs(3));
}

#[test]
fn one_session_too_many_is_told_so() {
    let wire = WireSettings { connections_max: 2, ..WireSettings::default() };
    let server = TestServer::with(wire);
    let (first, _second) = (server.session(), server.session());
    let hello = startup(3 << 16, b"user\0ann\0\0");
    let mut third = server.socket();
    third.send(&hello);
    assert_eq!(codes(&third.rest()), fatal("53300"));
    drop(first);
    let began = Instant::now();
    loop {
        let mut next = server.socket();
        next.send(&hello);
        if next.next().is_some_and(|said| said.tag == b'R') {
            break;
        }
        assert!(began.elapsed() < Duration::from_secs(5), "the place was not given back");
    }
}

#[test]
fn silence_inside_a_transaction_has_a_deadline() {
    let wire = WireSettings {
        idle_in_transaction_timeout: Duration::from_millis(200),
        ..WireSettings::default()
    };
    let server = TestServer::with(wire);
    let (mut open, mut idle) = (server.session(), server.session());
    open.send(&query("BEGIN"));
    assert_eq!(open.turn(), "CZT");
    assert_eq!(codes(&open.rest()), fatal("25P03"));
    idle.send(&query("SELECT 1"));
    assert_eq!(idle.turn(), "TDCZI");
}

#[test]
fn a_client_that_takes_nothing_is_dropped_and_its_result_is_not_kept() {
    let wire =
        WireSettings { write_stall_timeout: Duration::from_millis(300), ..WireSettings::default() };
    let server = TestServer::with(wire);
    let mut deaf = server.session();
    let before = asofdb::memory::allocated_bytes();
    deaf.send(&query("SELECT repeat('x', 1000) FROM generate_series(1, 100000000)"));
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(2) {
        let grown = asofdb::memory::allocated_bytes().saturating_sub(before);
        assert!(grown < 300 << 20, "{grown} bytes are kept for a client that does not read");
        std::thread::sleep(Duration::from_millis(50));
    }
    let mut healthy = server.session();
    healthy.send(&query("SELECT 1"));
    assert_eq!(healthy.turn(), "TDCZI");
    let mut bytes = vec![0; 1 << 16];
    let mut read = 0_u64;
    while let Ok(1..) = std::io::Read::read(&mut deaf.stream, &mut bytes) {
        read += 1;
        assert!(read < 10_000, "still being sent");
    }
}

#[test]
fn caps_on_statements_and_portals_hold() {
    let wire = WireSettings { statements_max: 3, portals_max: 2, ..WireSettings::default() };
    let server = TestServer::with(wire);
    let mut raw = server.session();
    let sync = message(b'S', b"");
    for name in ["a", "b", "c", "d"] {
        let parse = message(b'P', format!("{name}\0SELECT 1\0\0\0").as_bytes());
        raw.send(&[parse, sync.clone()].concat());
        assert_eq!(raw.turn(), if name == "d" { "EZI" } else { "1ZI" });
    }
    let bind = |name: &str| message(b'B', format!("{name}\0a\0\0\0\0\0\0\0").as_bytes());
    raw.send(&[bind("p"), bind("q"), bind("r"), sync].concat());
    assert_eq!(raw.turn(), "22EZI");
}

#[test]
fn stopping_ends_idle_sessions_at_once_and_running_ones_within_bounds() {
    let wire =
        WireSettings { shutdown_grace: Duration::from_millis(300), ..WireSettings::default() };
    let mut server = TestServer::with(wire);
    let (mut idle, mut busy) = (server.session(), server.session());
    busy.send(&query("SELECT pg_sleep(100)"));
    std::thread::sleep(Duration::from_millis(100));
    let address = server.address;
    let began = Instant::now();
    server.stop();
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    assert_eq!(codes(&idle.rest()), fatal("57P01"));
    assert_eq!(codes(&busy.rest()), fatal("57P01"));
    assert!(std::net::TcpStream::connect(address).is_err(), "nobody is let in");
}
