//! A server on a free port, and a client that speaks bytes.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use asofdb::config::{Settings, WireSettings};
use asofdb::server::Server;
use asofdb::session::Database;
use tokio_postgres::{Client, NoTls};

/// A server of one test. It stops when dropped.
pub(super) struct TestServer {
    server: Option<Server>,
    pub(super) address: SocketAddr,
    _folder: tempfile::TempDir,
}

impl TestServer {
    pub(super) fn start() -> Self {
        TestServer::with(WireSettings::default())
    }

    pub(super) fn with(wire: WireSettings) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let settings = Settings {
            data: folder.path().to_owned(),
            listen: "127.0.0.1:0".to_owned(),
            wire,
            ..Settings::default()
        };
        let database = Database::open(&settings.data, settings.clone()).expect("a database");
        let server = Server::start(database, settings).expect("a server");
        TestServer { address: server.address(), server: Some(server), _folder: folder }
    }

    pub(super) fn stop(&mut self) {
        if let Some(server) = self.server.take() {
            server.stop();
        }
    }

    pub(super) async fn connect(&self) -> Client {
        let config = format!("host=127.0.0.1 port={} user=ann dbname=main", self.address.port());
        let (client, connection) =
            tokio_postgres::connect(&config, NoTls).await.expect("a connection");
        tokio::spawn(connection);
        client
    }

    /// A socket on which start-up is not yet begun.
    pub(super) fn socket(&self) -> Raw {
        let stream = TcpStream::connect(self.address).expect("a socket");
        stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a timeout");
        stream.set_nodelay(true).expect("no delay");
        Raw { stream }
    }

    /// A socket past start-up.
    pub(super) fn session(&self) -> Raw {
        let mut raw = self.socket();
        raw.send(&startup(3 << 16, b"user\0ann\0database\0main\0\0"));
        raw.until(b'Z');
        raw
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        self.stop();
    }
}

/// A client that speaks bytes.
pub(super) struct Raw {
    pub(super) stream: TcpStream,
}

/// One message of the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Said {
    pub(super) tag: u8,
    pub(super) body: Vec<u8>,
}

impl Said {
    /// A field of an ErrorResponse.
    pub(super) fn field(&self, code: u8) -> String {
        let mut fields = self.body.split(|byte| *byte == 0);
        let found = fields.find(|field| field.first() == Some(&code)).unwrap_or_default();
        String::from_utf8_lossy(found.get(1..).unwrap_or_default()).into_owned()
    }
}

impl Raw {
    pub(super) fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).expect("the server takes bytes");
    }

    /// The next message; None at the end of the stream.
    pub(super) fn next(&mut self) -> Option<Said> {
        let mut header = [0; 5];
        let mut have = 0;
        while have < header.len() {
            match self.stream.read(&mut header[have..]).expect("no reset, no timeout") {
                0 if have == 0 => return None,
                0 => panic!("the stream ends inside a message"),
                read => have += read,
            }
        }
        let length = u32::from_be_bytes(header[1..].try_into().expect("four bytes"));
        let mut body = vec![0; length as usize - 4];
        self.stream.read_exact(&mut body).expect("a whole message");
        Some(Said { tag: header[0], body })
    }

    /// Messages up to and with the next of this type.
    pub(super) fn until(&mut self, tag: u8) -> Vec<Said> {
        let mut said = Vec::new();
        loop {
            let next = self.next().unwrap_or_else(|| panic!("the end, after {said:?}"));
            let found = next.tag == tag;
            said.push(next);
            if found {
                return said;
            }
        }
    }

    /// All messages to the end of the stream.
    pub(super) fn rest(&mut self) -> Vec<Said> {
        std::iter::from_fn(|| self.next()).collect()
    }

    /// The types of the messages up to ReadyForQuery, and its status.
    pub(super) fn turn(&mut self) -> String {
        let said = self.until(b'Z');
        let mut tags: String = said.iter().map(|said| said.tag as char).collect();
        tags.push(said.last().expect("ends with Z").body[0] as char);
        tags
    }
}

/// A message of a client.
pub(super) fn message(tag: u8, body: &[u8]) -> Vec<u8> {
    let length = (body.len() as u32 + 4).to_be_bytes();
    [&[tag], &length[..], body].concat()
}

pub(super) fn startup(version: u32, body: &[u8]) -> Vec<u8> {
    let length = (body.len() as u32 + 8).to_be_bytes();
    [&length[..], &version.to_be_bytes(), body].concat()
}

pub(super) fn query(text: &str) -> Vec<u8> {
    message(b'Q', format!("{text}\0").as_bytes())
}

pub(super) fn parse(name: &str, text: &str) -> Vec<u8> {
    message(b'P', format!("{name}\0{text}\0\0\0").as_bytes())
}

/// No parameters, text results.
pub(super) fn bind(portal: &str, statement: &str) -> Vec<u8> {
    message(b'B', format!("{portal}\0{statement}\0\0\0\0\0\0\0").as_bytes())
}

pub(super) fn execute(portal: &str, max_rows: i32) -> Vec<u8> {
    let mut body = format!("{portal}\0").into_bytes();
    body.extend_from_slice(&max_rows.to_be_bytes());
    message(b'E', &body)
}

pub(super) fn sync() -> Vec<u8> {
    message(b'S', b"")
}
