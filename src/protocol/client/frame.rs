//! Frames on the client socket. Spec: docs/protocol/client-api.md, 2 and 3.

use bytes::{Buf as _, Bytes, BytesMut};

use super::super::codec::{self, DecodeError, Form};
use super::super::compress;
use super::super::message::Message;
use super::super::wire::{EncodeError, MAX_MESSAGE_BYTES};
use super::super::{netstring, text};
use crate::protocol::wire::MessageFormat;

/// Bytes before the body: its length and the magic number, both native-endian.
pub const HEADER_BYTES: usize = 8;

/// Second word of every header.
pub const MAGIC: u32 = 0xabcd;

/// Longest body.
pub const MAX_BODY_BYTES: usize = 262_144;

/// Longest body of a client that has not signed on: a sign-on has some hundred bytes.
pub const MAX_STRANGER_BYTES: usize = 8 * 1024;

/// Why a stream cannot be read any further.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// The magic number is wrong.
    #[error("bad magic number {0:#x} in a frame")]
    Magic(u32),
    /// Negative or over the limit.
    #[error("bad length {0} of a frame")]
    Length(i32),
}

/// Takes the next whole body out of `input`; `None`: more bytes are needed.
///
/// # Errors
/// [`FrameError`]: the start of the next frame cannot be found.
pub fn take(input: &mut BytesMut, limit: usize) -> Result<Option<Bytes>, FrameError> {
    let Some((length, rest)) = input.split_first_chunk::<4>() else {
        return Ok(None);
    };
    let length = i32::from_ne_bytes(*length);
    let body = usize::try_from(length)
        .ok()
        .filter(|body| *body <= limit.min(MAX_BODY_BYTES))
        .ok_or(FrameError::Length(length))?;
    let Some((magic, _)) = rest.split_first_chunk::<4>() else {
        return Ok(None);
    };
    let magic = u32::from_ne_bytes(*magic);
    if magic != MAGIC {
        return Err(FrameError::Magic(magic));
    }
    let whole = body.saturating_add(HEADER_BYTES);
    if input.len() < whole {
        return Ok(None);
    }
    let mut frame = input.split_to(whole);
    frame.advance(HEADER_BYTES);
    Ok(Some(frame.freeze()))
}

/// Reads a body of either form, compressed or not.
///
/// # Errors
/// [`DecodeError`] with the reason.
pub fn decode(body: &[u8]) -> Result<Message, DecodeError> {
    // The NUL that the length includes stands after the end marker.
    let message = codec::decode_unsigned(body)?;
    Ok(compress::unwrap(message)?)
}

/// Makes a frame: classic text with a NUL, or a netstring without trailer.
///
/// # Errors
/// [`EncodeError`] when a field breaks a rule or the message is too large.
pub fn encode(message: &Message, format: MessageFormat) -> Result<Bytes, EncodeError> {
    let mut out = vec![0; HEADER_BYTES];
    let classic = format == MessageFormat::Classic && !message.needs_netstring();
    let mut form = if classic {
        Form::Classic
    } else {
        Form::Netstring
    };
    if form == Form::Classic {
        match text::emit(message, &mut out) {
            Ok(()) => out.push(0),
            // A byte that classic text cannot hold; every client reads both forms.
            Err(EncodeError::NotInClassic(_)) => {
                out.truncate(HEADER_BYTES);
                form = Form::Netstring;
            }
            Err(error) => return Err(error),
        }
    }
    if form == Form::Netstring {
        netstring::emit(message, &mut out)?;
    }
    let body = out.len().saturating_sub(HEADER_BYTES);
    let length = i32::try_from(body)
        .ok()
        .filter(|_| body <= MAX_MESSAGE_BYTES)
        .ok_or(EncodeError::TooLarge(body))?;
    let header = length.to_ne_bytes().into_iter().chain(MAGIC.to_ne_bytes());
    for (place, byte) in out.iter_mut().zip(header) {
        *place = byte;
    }
    Ok(out.into())
}
