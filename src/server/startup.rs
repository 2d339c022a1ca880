//! What is said before a session begins: requests to encrypt, a cancel request, or who asks for what.
//!
//! Nothing here is kept beyond one bounded packet. Encryption is answered 'N': a client that insists
//! goes away, one that does not goes on in the clear on the same socket.

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::error::{Error, ErrorKind, Result};

const CANCEL_REQUEST: u32 = 80_877_102;
const SSL_REQUEST: u32 = 80_877_103;
const GSS_REQUEST: u32 = 80_877_104;
/// The newest minor version of protocol 3 spoken here.
const MINOR_MAX: u32 = 2;
/// A client asks for one kind of encryption after the other, then begins or goes away.
const ENCRYPTION_REQUESTS_MAX: usize = 2;
const KEY_BYTES_MAX: usize = 256;

/// What a client came for.
#[derive(Debug)]
pub(super) enum Opening {
    Session(Startup),
    Cancel {
        pid: i32,
        key: Bytes,
    },
    /// It went away without a word, as port scanners and health checks do.
    Nothing,
}

/// Who asks for what.
#[derive(Debug)]
pub(super) struct Startup {
    /// Of protocol 3: as asked for, at most the newest we know.
    pub(super) minor: u32,
    /// Whether the client asked for more than that.
    pub(super) asked_for_newer: bool,
    /// Options of the protocol that mean nothing here.
    pub(super) unknown_options: Vec<String>,
    pub(super) user: String,
    pub(super) database: String,
    pub(super) application_name: String,
    /// Settings: everything else that was said, and what stood in `options`.
    pub(super) parameters: Vec<(String, String)>,
}

impl Startup {
    /// The version as the protocol writes it.
    pub(super) fn version(&self) -> u32 {
        3 << 16 | self.minor
    }

    pub(super) fn key_bytes(&self) -> usize {
        if self.minor >= 2 { 32 } else { 4 }
    }
}

/// Reads until the client said what it came for; more than that may be left in `input`.
///
/// # Errors
/// Everything is fatal. `Io` where nobody is there to be told.
pub(super) async fn read(
    stream: &mut TcpStream,
    input: &mut BytesMut,
    bytes_max: usize,
) -> Result<Opening> {
    for _ in 0..=ENCRYPTION_REQUESTS_MAX {
        let Some(packet) = packet(stream, input, bytes_max).await? else {
            return Ok(Opening::Nothing);
        };
        match opening(packet)? {
            Some(opening) => return Ok(opening),
            None => stream.write_all(b"N").await.map_err(gone)?,
        }
    }
    Err(protocol("too many requests for encryption"))
}

fn gone(error: std::io::Error) -> Error {
    Error::new(ErrorKind::Io, "the client is gone").caused_by(error)
}

fn protocol(text: impl Into<String>) -> Error {
    Error::new(ErrorKind::Protocol, text)
}

async fn packet(
    stream: &mut TcpStream,
    input: &mut BytesMut,
    bytes_max: usize,
) -> Result<Option<Bytes>> {
    loop {
        if let Some(packet) = take_packet(input, bytes_max)? {
            return Ok(Some(packet));
        }
        if stream.read_buf(input).await.map_err(gone)? == 0 {
            return Ok(None);
        }
    }
}

/// The body of a whole packet: what follows its length.
fn take_packet(input: &mut BytesMut, bytes_max: usize) -> Result<Option<Bytes>> {
    let Some(length) = input.first_chunk::<4>() else { return Ok(None) };
    let length = u32::from_be_bytes(*length) as usize;
    if !(8..=bytes_max).contains(&length) {
        return Err(protocol(format!("invalid length of startup packet: {length}"))
            .hint("this port speaks the PostgreSQL protocol"));
    }
    if input.len() < length {
        return Ok(None);
    }
    let mut packet = input.split_to(length).freeze();
    packet.advance(4);
    Ok(Some(packet))
}

/// None for a request to encrypt.
fn opening(mut packet: Bytes) -> Result<Option<Opening>> {
    let code = packet.try_get_u32().map_err(|_| protocol("a startup packet without a version"))?;
    match (code, code >> 16) {
        (SSL_REQUEST | GSS_REQUEST, _) => match packet.is_empty() {
            true => Ok(None),
            false => Err(protocol("a request for encryption with something behind it")),
        },
        (CANCEL_REQUEST, _) => {
            let pid = packet.try_get_i32().map_err(|_| protocol("a cancel request without pid"))?;
            match packet.len() {
                4..=KEY_BYTES_MAX => Ok(Some(Opening::Cancel { pid, key: packet })),
                _ => Err(protocol("invalid length of a cancel key")),
            }
        }
        (_, 3) => startup(code & 0xffff, &packet).map(|startup| Some(Opening::Session(startup))),
        (_, major) => Err(Error::new(
            ErrorKind::NotSupported,
            format!("unsupported frontend protocol {major}.{}", code & 0xffff),
        )
        .hint("this server speaks 3.0 and 3.2")),
    }
}

fn startup(minor: u32, packet: &[u8]) -> Result<Startup> {
    let mut startup = Startup {
        minor: minor.min(MINOR_MAX),
        asked_for_newer: minor > MINOR_MAX,
        unknown_options: Vec::new(),
        user: String::new(),
        database: String::new(),
        application_name: String::new(),
        parameters: Vec::new(),
    };
    for (name, value) in pairs(packet)? {
        match name.as_str() {
            "user" => startup.user = value,
            "database" => startup.database = value,
            "application_name" => startup.application_name = value,
            "options" => startup.parameters.extend(options(&value)?),
            "replication" => refuse_replication(&value)?,
            name if name.starts_with("_pq_.") => startup.unknown_options.push(name.to_owned()),
            _ => startup.parameters.push((name, value)),
        }
    }
    if startup.user.is_empty() {
        return Err(Error::new(
            ErrorKind::InvalidAuthorization,
            "no PostgreSQL user name specified in startup packet",
        ));
    }
    if startup.database.is_empty() {
        startup.database = startup.user.clone();
    }
    Ok(startup)
}

fn refuse_replication(value: &str) -> Result<()> {
    match value {
        "false" | "off" | "no" | "0" => Ok(()),
        _ => Err(Error::new(ErrorKind::NotSupported, "replication connections do not exist here")),
    }
}

/// Names and values, each with its end, then one more end.
fn pairs(packet: &[u8]) -> Result<Vec<(String, String)>> {
    let malformed = || protocol("invalid startup packet layout: expected terminator as last byte");
    let list = packet.strip_suffix(b"\0").ok_or_else(malformed)?;
    if list.is_empty() {
        return Ok(Vec::new());
    }
    let list = list.strip_suffix(b"\0").ok_or_else(malformed)?;
    let text = std::str::from_utf8(list).map_err(|error| {
        Error::new(ErrorKind::InvalidEncoding, format!("the startup packet is not UTF-8: {error}"))
    })?;
    let words: Vec<&str> = text.split('\0').collect();
    let (pairs, rest) = words.as_chunks::<2>();
    match rest.is_empty() && pairs.iter().all(|[name, _]| !name.is_empty()) {
        true => Ok(pairs.iter().map(|[k, v]| ((*k).to_owned(), (*v).to_owned())).collect()),
        false => Err(malformed()),
    }
}

/// `-c name=value` and `--name=value`, a backslash before a space that belongs to a value.
fn options(text: &str) -> Result<Vec<(String, String)>> {
    let mut settings = Vec::new();
    let mut words = option_words(text).into_iter();
    while let Some(word) = words.next() {
        let assignment = match (word.strip_prefix("--"), word.strip_prefix("-c")) {
            (Some(long), _) => Some(long.to_owned()),
            (None, Some("")) => words.next(),
            (None, short) => short.map(str::to_owned),
        };
        let pair = assignment.as_deref().and_then(|a| a.split_once('='));
        let Some((name, value)) = pair else {
            return Err(Error::new(
                ErrorKind::Syntax,
                format!("invalid command-line argument for server process: {word}"),
            )
            .hint("options are -c name=value or --name=value"));
        };
        settings.push((name.replace('-', "_"), value.to_owned()));
    }
    Ok(settings)
}

fn option_words(text: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '\\' => words.last_mut().expect("begun with one").extend(letters.next()),
            space if space.is_ascii_whitespace() => words.push(String::new()),
            letter => words.last_mut().expect("begun with one").push(letter),
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn open(code: u32, body: &[u8]) -> Result<Option<Opening>> {
        opening(Bytes::from([&code.to_be_bytes(), body].concat()))
    }

    fn session(code: u32, body: &[u8]) -> Startup {
        match open(code, body).unwrap() {
            Some(Opening::Session(startup)) => startup,
            other => panic!("not a session: {other:?}"),
        }
    }

    #[test]
    fn a_session_says_who_and_what() {
        let body = b"user\0ann\0options\0-c a=1 --b-c=x\\ y -cd=2\0DateStyle\0ISO\0\0";
        let startup = session(3 << 16, body);
        assert_eq!((startup.user.as_str(), startup.database.as_str()), ("ann", "ann"));
        let pairs: Vec<_> =
            startup.parameters.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        assert_eq!(pairs, [("a", "1"), ("b_c", "x y"), ("d", "2"), ("DateStyle", "ISO")]);
        assert_eq!((startup.version(), startup.key_bytes()), (3 << 16, 4));
    }

    #[test]
    fn newer_versions_and_options_are_negotiated() {
        let startup = session(3 << 16 | 9999, b"user\0a\0_pq_.x\0y\0\0");
        assert_eq!((startup.version(), startup.key_bytes()), (3 << 16 | 2, 32));
        assert!(startup.asked_for_newer && startup.unknown_options == ["_pq_.x"]);
        assert!(!session(3 << 16 | 2, b"user\0a\0\0").asked_for_newer);
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let kind = |code, body: &[u8]| open(code, body).unwrap_err().kind();
        assert_eq!(kind(2 << 16, b""), ErrorKind::NotSupported);
        assert_eq!(kind(3 << 16, b"\0"), ErrorKind::InvalidAuthorization);
        assert_eq!(kind(3 << 16, b"user\0a\0"), ErrorKind::Protocol);
        assert_eq!(kind(3 << 16, b"user\0\xff\0\0"), ErrorKind::InvalidEncoding);
        assert_eq!(kind(3 << 16, b"user\0a\0replication\0database\0\0"), ErrorKind::NotSupported);
        assert_eq!(kind(CANCEL_REQUEST, b"\0\0\0\x01abc"), ErrorKind::Protocol);
        assert_eq!(kind(SSL_REQUEST, b"x"), ErrorKind::Protocol);
        let mut http = BytesMut::from(&b"GET / HTTP/1.1\r\n"[..]);
        assert_eq!(take_packet(&mut http, 16_384).unwrap_err().kind(), ErrorKind::Protocol);
    }

    proptest! {
        #[test]
        fn garbage_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..80), code: bool) {
            let code = if code { 3 << 16 } else { CANCEL_REQUEST };
            let _ = open(code, &bytes);
            let _ = take_packet(&mut BytesMut::from(&bytes[..]), 64);
        }
    }
}
