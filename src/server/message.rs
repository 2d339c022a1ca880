//! What a client says, decoded from exactly one frame. A body that is too short, too long or not
//! UTF-8 where it must be is an error of this message alone: the next frame is whole again.

use bytes::{Buf, Bytes};

use super::frame::Frame;
use crate::error::{Error, ErrorKind, Result};

/// One message of a client after start-up.
#[derive(Debug)]
pub(super) enum Message {
    Query(String),
    /// Of the extended protocol: after an error in one the others are skipped, up to Sync.
    Step(Step),
    Flush,
    Sync,
    CopyData(Bytes),
    CopyDone,
    CopyFail(String),
    FunctionCall,
    Terminate,
    /// A frame of this type that could not be decoded.
    Malformed {
        tag: u8,
        error: Error,
    },
}

#[derive(Debug)]
pub(super) enum Step {
    Parse(Parse),
    Bind(Bind),
    Describe(Target),
    Close(Target),
    Execute {
        portal: String,
        /// At most so many rows; 0 means all.
        max_rows: usize,
    },
}

#[derive(Debug)]
pub(super) struct Parse {
    pub(super) name: String,
    pub(super) text: String,
    /// The OIDs of the first parameters; 0 leaves a type open.
    pub(super) types: Vec<u32>,
}

#[derive(Debug)]
pub(super) struct Bind {
    pub(super) portal: String,
    pub(super) statement: String,
    pub(super) formats: Vec<i16>,
    /// None is NULL.
    pub(super) parameters: Vec<Option<Bytes>>,
    pub(super) result_formats: Vec<i16>,
}

#[derive(Debug)]
pub(super) enum Target {
    Statement(String),
    Portal(String),
}

impl Message {
    pub(super) fn of(frame: Frame) -> Message {
        let tag = frame.tag;
        decode(frame).unwrap_or_else(|error| Message::Malformed { tag, error })
    }

    /// Whether the client waits for answers after this one.
    pub(super) fn is_flush_point(&self) -> bool {
        match self {
            Message::Query(_)
            | Message::Sync
            | Message::Flush
            | Message::FunctionCall
            | Message::Terminate => true,
            Message::Malformed { tag, .. } => matches!(tag, b'Q' | b'F' | b'S' | b'H' | b'X'),
            Message::Step(_) | Message::CopyData(_) | Message::CopyDone | Message::CopyFail(_) => {
                false
            }
        }
    }
}

impl Step {
    /// The type of the message.
    pub(super) fn tag(&self) -> u8 {
        match self {
            Step::Parse(_) => b'P',
            Step::Bind(_) => b'B',
            Step::Describe(_) => b'D',
            Step::Close(_) => b'C',
            Step::Execute { .. } => b'E',
        }
    }
}

fn decode(frame: Frame) -> Result<Message> {
    let mut body = Body(frame.body);
    let message = match frame.tag {
        b'Q' => Message::Query(body.string("the statement")?),
        b'P' | b'B' | b'D' | b'C' | b'E' => Message::Step(step(frame.tag, &mut body)?),
        b'H' => Message::Flush,
        b'S' => Message::Sync,
        b'd' => Message::CopyData(std::mem::take(&mut body.0)),
        b'c' => Message::CopyDone,
        b'f' => Message::CopyFail(body.string("the reason")?),
        b'F' => {
            body.0.clear();
            Message::FunctionCall
        }
        b'X' => Message::Terminate,
        tag => return Err(malformed(format!("invalid frontend message type 0x{tag:02x}"))),
    };
    match body.0.len() {
        0 => Ok(message),
        left => Err(malformed(format!("invalid message format: {left} bytes too many"))),
    }
}

fn step(tag: u8, body: &mut Body) -> Result<Step> {
    Ok(match tag {
        b'P' => Step::Parse(Parse {
            name: body.string("a statement's name")?,
            text: body.string("the statement")?,
            types: body.list(Body::u32)?,
        }),
        b'B' => Step::Bind(Bind {
            portal: body.string("a portal's name")?,
            statement: body.string("a statement's name")?,
            formats: body.list(Body::i16)?,
            parameters: body.list(Body::value)?,
            result_formats: body.list(Body::i16)?,
        }),
        b'D' => Step::Describe(body.target()?),
        b'C' => Step::Close(body.target()?),
        _ => Step::Execute {
            portal: body.string("a portal's name")?,
            // Zero and, as in PostgreSQL, everything below it: no limit.
            max_rows: usize::try_from(body.u32()? as i32).unwrap_or(0),
        },
    })
}

fn malformed(text: impl Into<String>) -> Error {
    Error::new(ErrorKind::Protocol, text)
}

fn short(_: bytes::TryGetError) -> Error {
    malformed("invalid message format: bytes are missing")
}

/// What is left of a frame.
struct Body(Bytes);

impl Body {
    fn i16(&mut self) -> Result<i16> {
        self.0.try_get_i16().map_err(short)
    }

    fn u32(&mut self) -> Result<u32> {
        self.0.try_get_u32().map_err(short)
    }

    fn string(&mut self, what: &str) -> Result<String> {
        let end = memchr::memchr(0, &self.0)
            .ok_or_else(|| malformed("invalid message format: a string has no end"))?;
        let text = self.0.split_to(end);
        self.0.advance(1);
        std::str::from_utf8(&text).map(str::to_owned).map_err(|error| {
            Error::new(ErrorKind::InvalidEncoding, format!("{what} is not valid UTF-8: {error}"))
        })
    }

    /// A count of two bytes, then so many items. What is set aside for them is bounded by what the
    /// frame can hold, not by the count.
    fn list<T>(&mut self, item: impl Fn(&mut Self) -> Result<T>) -> Result<Vec<T>> {
        let count = usize::from(self.0.try_get_u16().map_err(short)?);
        let mut items = Vec::with_capacity(count.min(self.0.len() / 2));
        for _ in 0..count {
            items.push(item(self)?);
        }
        Ok(items)
    }

    fn value(&mut self) -> Result<Option<Bytes>> {
        match self.u32()? as i32 {
            -1 => Ok(None),
            length => match usize::try_from(length) {
                Ok(length) if length <= self.0.len() => Ok(Some(self.0.split_to(length))),
                _ => Err(malformed(format!("invalid message format: a value of {length} bytes"))),
            },
        }
    }

    fn target(&mut self) -> Result<Target> {
        match self.0.try_get_u8().map_err(short)? {
            b'S' => Ok(Target::Statement(self.string("a statement's name")?)),
            b'P' => Ok(Target::Portal(self.string("a portal's name")?)),
            other => Err(malformed(format!("invalid message format: target 0x{other:02x}"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::super::frame;
    use super::*;
    use crate::config::WireSettings;

    fn framed(tag: u8, body: &[u8]) -> Vec<u8> {
        let length = (body.len() as u32 + 4).to_be_bytes();
        [&[tag], &length[..], body].concat()
    }

    /// Every message of a stream, until it loses its shape.
    fn messages(input: &mut BytesMut, bounds: &WireSettings) -> (Vec<String>, Option<ErrorKind>) {
        let mut seen = Vec::new();
        loop {
            match frame::take(input, bounds) {
                Ok(Some(frame)) => seen.push(format!("{:?}", Message::of(frame))),
                Ok(None) => return (seen, None),
                Err(error) => return (seen, Some(error.kind())),
            }
        }
    }

    fn kind_of(tag: u8, body: &[u8]) -> Option<ErrorKind> {
        match Message::of(Frame { tag, body: Bytes::copy_from_slice(body) }) {
            Message::Malformed { error, .. } => Some(error.kind()),
            _ => None,
        }
    }

    #[test]
    fn a_body_is_its_frame_and_nothing_else() {
        assert_eq!(kind_of(b'Q', b"SELECT 1\0"), None);
        assert_eq!(kind_of(b'Q', b"SELECT 1"), Some(ErrorKind::Protocol), "no end");
        assert_eq!(kind_of(b'Q', b"SELECT 1\0x"), Some(ErrorKind::Protocol), "a tail");
        assert_eq!(kind_of(b'Q', b"\xff\0"), Some(ErrorKind::InvalidEncoding));
        assert_eq!(kind_of(b'S', b"\0"), Some(ErrorKind::Protocol), "Sync has no body");
        assert_eq!(kind_of(b'B', b"\0\0\0\0\xff\xff"), Some(ErrorKind::Protocol), "65535 values");
        let long = [b"\0\0\0\0\0\x01".as_slice(), &[0x7f, 0xff, 0xff, 0xff, 1, 2]].concat();
        assert_eq!(kind_of(b'B', &long), Some(ErrorKind::Protocol), "a value of 2 GiB");
        let negative = [b"\0\0\0\0\0\x01".as_slice(), &[0xff, 0xff, 0xff, 0xfe]].concat();
        assert_eq!(kind_of(b'B', &negative), Some(ErrorKind::Protocol), "a value of -2 bytes");
        let all = Frame { tag: b'E', body: Bytes::from_static(b"\0\xff\xff\xff\xff") };
        assert!(matches!(Message::of(all), Message::Step(Step::Execute { max_rows: 0, .. })));
    }

    #[test]
    fn a_length_is_refused_before_its_bytes_come() {
        let bounds = WireSettings { message_bytes_max: 100, ..WireSettings::default() };
        let mut input = BytesMut::from(&b"Q\x40\0\0\0"[..]);
        assert_eq!(frame::take(&mut input, &bounds).unwrap_err().kind(), ErrorKind::LimitExceeded);
        let mut input = BytesMut::from(&b"Q\0\0\0\x03"[..]);
        assert_eq!(frame::take(&mut input, &bounds).unwrap_err().kind(), ErrorKind::Protocol);
        let mut input = BytesMut::from(&b"\x16"[..]);
        assert_eq!(frame::take(&mut input, &bounds).unwrap_err().kind(), ErrorKind::Protocol);
        assert!(frame::is_ready(&input, &bounds), "an error is ready to be met");
    }

    fn any_frame() -> impl Strategy<Value = Vec<u8>> {
        let tag = proptest::sample::select(b"QPBDCEHSdcfFX".to_vec());
        let body = prop_oneof![
            vec(any::<u8>(), 0..40),
            vec(proptest::sample::select(vec![0u8, 0, 0, 1, 2, 0xff, b'S', b'P']), 0..40),
            "[a-z]{0,8}\0[a-z]{0,8}\0".prop_map(String::into_bytes),
        ];
        (tag, body).prop_map(|(tag, body)| framed(tag, &body))
    }

    proptest! {
        #[test]
        fn garbage_never_panics(bytes in vec(any::<u8>(), 0..200)) {
            messages(&mut BytesMut::from(&bytes[..]), &WireSettings::default());
        }

        #[test]
        fn where_a_stream_is_cut_does_not_matter(
            frames in vec(any_frame(), 1..6), cut in any::<proptest::sample::Index>(),
        ) {
            let bounds = WireSettings::default();
            let stream = frames.concat();
            let whole = messages(&mut BytesMut::from(&stream[..]), &bounds);
            let cut = cut.index(stream.len() + 1);
            let mut input = BytesMut::from(&stream[..cut]);
            let (mut seen, _) = messages(&mut input, &bounds);
            input.extend_from_slice(&stream[cut..]);
            let (rest, end) = messages(&mut input, &bounds);
            seen.extend(rest);
            prop_assert_eq!(seen.len(), frames.len());
            prop_assert_eq!((seen, end), whole);
        }
    }
}
