//! The codecs by which `tokio_util` reads and writes the byte streams. What a frame is, and how it is found again behind a
//! broken one, is decided in `protocol`.
//!
//! | Stream | Decoder: a good frame | a bad frame | Encoder |
//! |---|---|---|---|
//! | FIFO | [`FifoCodec`]: a message | is reported; the next one is found | - |
//! | serial line | [`SerialCodec`]: a message, verified | is reported; the next one is found | [`SerialCodec`]: signed text |
//! | client socket | [`ClientDecoder`]: a body | is reported; nothing else comes | [`ClientEncoder`]: a frame |
//!
//! A bad frame is an item and never an error, because `FramedRead` ends a stream at its first error: what stands behind it
//! would be lost, or read with the rest of the bad one. Errors are those of reading alone. A bad frame leaves the buffer
//! before it is reported, so it is reported once; what stays there is bounded, whatever the other end writes.

use std::io;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use tokio_util::codec::{Decoder, Encoder};

use super::messages::Outgoing;
use crate::protocol::auth::KeyRing;
use crate::protocol::client::frame::{self, FrameError, MAX_BODY_BYTES, MAX_STRANGER_BYTES};
use crate::protocol::codec::{DecodeError, encode_serial};
use crate::protocol::frame::StreamDecoder;
use crate::protocol::message::Message;
use crate::protocol::wire::{EncodeError, MessageFormat};

/// Room for the next read from the FIFO or a serial line; a message has some hundred bytes.
pub const STREAM_READ_BYTES: usize = 4096;

/// Room for the next read from a client.
pub const CLIENT_READ_BYTES: usize = 16 * 1024;

/// Why a message was not written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// It has no form on this stream. The stream goes on.
    #[error(transparent)]
    Message(#[from] EncodeError),
    /// The stream failed.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Reads the FIFO: messages of both forms, as they stand.
#[derive(Debug)]
pub struct FifoCodec {
    stream: StreamDecoder,
}

impl Default for FifoCodec {
    fn default() -> Self {
        Self {
            stream: StreamDecoder::fifo(),
        }
    }
}

impl Decoder for FifoCodec {
    type Item = Result<Message, DecodeError>;
    type Error = io::Error;

    fn decode(&mut self, input: &mut BytesMut) -> io::Result<Option<Self::Item>> {
        let item = self.stream.next_unsigned(input);
        Ok(or_room(item, input, STREAM_READ_BYTES))
    }

    /// What is unfinished at the end is nothing.
    fn decode_eof(&mut self, input: &mut BytesMut) -> io::Result<Option<Self::Item>> {
        self.decode(input)
    }
}

/// Reads and writes a serial line: classic messages, verified and signed.
#[derive(Debug)]
pub struct SerialCodec {
    stream: StreamDecoder,
    keys: Arc<KeyRing>,
}

impl SerialCodec {
    /// Verifies by `keys`.
    #[must_use]
    pub fn new(keys: Arc<KeyRing>) -> Self {
        Self {
            stream: StreamDecoder::serial(),
            keys,
        }
    }

    /// Verifies by these from now on.
    pub fn set_keys(&mut self, keys: Arc<KeyRing>) {
        self.keys = keys;
    }

    /// How many lines of noise were skipped since the last call.
    pub const fn take_noise(&mut self) -> u64 {
        self.stream.take_noise()
    }
}

impl Decoder for SerialCodec {
    type Item = Result<Message, DecodeError>;
    type Error = io::Error;

    fn decode(&mut self, input: &mut BytesMut) -> io::Result<Option<Self::Item>> {
        let item = self.stream.next_signed(input, &self.keys);
        Ok(or_room(item, input, STREAM_READ_BYTES))
    }

    /// What is unfinished at the end is nothing.
    fn decode_eof(&mut self, input: &mut BytesMut) -> io::Result<Option<Self::Item>> {
        self.decode(input)
    }
}

/// Signs as the message says.
impl Encoder<&Outgoing> for SerialCodec {
    type Error = WriteError;

    fn encode(&mut self, outgoing: &Outgoing, output: &mut BytesMut) -> Result<(), WriteError> {
        output.extend_from_slice(&encode_serial(&outgoing.message, &outgoing.keys)?);
        Ok(())
    }
}

/// Reads a client's frames, one body after another. A body that is no message is still a good frame: who takes it counts it
/// against the client.
#[derive(Debug)]
pub struct ClientDecoder {
    limit: usize,
    /// A header was bad. No way leads from it to the next frame.
    lost: bool,
}

impl Default for ClientDecoder {
    fn default() -> Self {
        Self {
            limit: MAX_STRANGER_BYTES,
            lost: false,
        }
    }
}

impl ClientDecoder {
    /// From the next frame on: whether the client has signed on, so that a body may have [`MAX_BODY_BYTES`] and not only
    /// [`MAX_STRANGER_BYTES`].
    pub const fn set_signed_on(&mut self, signed_on: bool) {
        self.limit = if signed_on {
            MAX_BODY_BYTES
        } else {
            MAX_STRANGER_BYTES
        };
    }
}

impl Decoder for ClientDecoder {
    type Item = Result<Bytes, FrameError>;
    type Error = io::Error;

    fn decode(&mut self, input: &mut BytesMut) -> io::Result<Option<Self::Item>> {
        let item = if self.lost {
            None
        } else {
            frame::take(input, self.limit).transpose()
        };
        self.lost |= matches!(item, Some(Err(_)));
        if self.lost {
            input.clear();
        }
        Ok(or_room(item, input, CLIENT_READ_BYTES))
    }

    /// What is unfinished at the end is nothing.
    fn decode_eof(&mut self, input: &mut BytesMut) -> io::Result<Option<Self::Item>> {
        self.decode(input)
    }
}

/// Writes frames for clients.
#[derive(Debug)]
pub struct ClientEncoder {
    format: MessageFormat,
}

impl ClientEncoder {
    /// Writes this form, or a netstring where a message has no other.
    #[must_use]
    pub const fn new(format: MessageFormat) -> Self {
        Self { format }
    }
}

impl Encoder<&Message> for ClientEncoder {
    type Error = WriteError;

    fn encode(&mut self, message: &Message, output: &mut BytesMut) -> Result<(), WriteError> {
        output.extend_from_slice(&frame::encode(message, self.format)?);
        Ok(())
    }
}

/// `item`; without one, room for the next read: `FramedRead` reads into the room that there is, which may be one byte.
fn or_room<T>(item: Option<T>, input: &mut BytesMut, room: usize) -> Option<T> {
    if item.is_none() {
        input.reserve(room);
    }
    item
}

#[cfg(test)]
mod tests;
