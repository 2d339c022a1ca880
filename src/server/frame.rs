//! Whole frames out of a stream of bytes: one type byte, a length that counts itself, a body.
//!
//! A length is compared with what its type may have before anything is kept for it; the buffer grows
//! only as bytes arrive. After an error the stream has lost its shape: the connection must end.

use bytes::{Buf, Bytes, BytesMut};

use crate::config::WireSettings;
use crate::error::{Error, ErrorKind, Result};

/// One message of a client, not looked into.
#[derive(Debug)]
pub(super) struct Frame {
    pub(super) tag: u8,
    pub(super) body: Bytes,
}

const HEADER_BYTES: usize = 5;
/// The length word counts itself.
const LENGTH_BYTES: usize = 4;

/// The next frame, once all of it has arrived.
///
/// # Errors
/// `Protocol` for a type or length that cannot be, `LimitExceeded` for a length over its bound.
pub(super) fn take(input: &mut BytesMut, bounds: &WireSettings) -> Result<Option<Frame>> {
    let Some((tag, body_bytes)) = peek(input, bounds)? else { return Ok(None) };
    if input.len() < HEADER_BYTES + body_bytes {
        return Ok(None);
    }
    input.advance(HEADER_BYTES);
    Ok(Some(Frame { tag, body: input.split_to(body_bytes).freeze() }))
}

/// Whether [`take`] would give a frame or an error.
pub(super) fn is_ready(input: &BytesMut, bounds: &WireSettings) -> bool {
    match peek(input, bounds) {
        Ok(Some((_, body_bytes))) => input.len() >= HEADER_BYTES + body_bytes,
        Ok(None) => false,
        Err(_) => true,
    }
}

/// The type and the length of the body, once the header has arrived.
fn peek(input: &BytesMut, bounds: &WireSettings) -> Result<Option<(u8, usize)>> {
    let Some((tag, rest)) = input.split_first() else { return Ok(None) };
    let bound = bound_of(*tag, bounds)?;
    let Some(length) = rest.first_chunk::<LENGTH_BYTES>() else { return Ok(None) };
    let length = u32::from_be_bytes(*length) as usize;
    let Some(body_bytes) = length.checked_sub(LENGTH_BYTES) else {
        return Err(Error::new(ErrorKind::Protocol, format!("invalid message length {length}")));
    };
    if body_bytes > bound {
        return Err(Error::new(
            ErrorKind::LimitExceeded,
            format!(
                "message '{}' has {body_bytes} bytes, at most {bound} are taken",
                tag.escape_ascii()
            ),
        )
        .hint("send it in smaller pieces: several statements, or COPY"));
    }
    Ok(Some((*tag, body_bytes)))
}

fn bound_of(tag: u8, bounds: &WireSettings) -> Result<usize> {
    match tag {
        b'Q' | b'P' | b'B' => Ok(bounds.message_bytes_max),
        b'd' => Ok(bounds.copy_data_bytes_max),
        b'D' | b'E' | b'C' | b'H' | b'S' | b'X' | b'c' | b'f' | b'F' => {
            Ok(bounds.control_message_bytes_max)
        }
        _ => Err(Error::new(
            ErrorKind::Protocol,
            format!("invalid frontend message type 0x{tag:02x}"),
        )),
    }
}
