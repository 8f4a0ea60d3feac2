//! Finds messages in a stream of bytes and finds its way back after a broken one.
//! Spec: docs/protocol/wire.md, 18.4 (serial) and 20 (FIFO).
//!
//! Opens nothing: the stream's buffer goes in, messages and errors come out. Bytes leave the buffer
//! before anything can be wrong with them, so no error comes twice. `actors/codecs.rs` reads by it.
//!
//! | State | Line | Next state | Comes out |
//! |---|---|---|---|
//! | skipping | `>>>`; on a serial line also noise that ends so | classic | |
//! | skipping | `###` (FIFO) | netstring | |
//! | skipping | any other | skipping | |
//! | classic | `>>>` | classic, anew | error: no end marker |
//! | classic | starts with `<<<` | skipping | what was collected |
//! | classic | too long | skipping | error |
//! | classic | any other | classic | |
//! | netstring | body complete | trailer | the body |
//! | netstring | not a netstring, or a line `>>>` before its end | skipping | error |
//! | trailer | with or without one | skipping | |

use bytes::BytesMut;

use super::auth::{KeyRing, MAX_TOKEN_BYTES};
use super::codec::{self, DecodeError};
use super::message::Message;
use super::netstring::{self, netstring, split_body};
use super::text;
use super::wire::{MAX_MESSAGE_BYTES, Malformed};

/// Longest line of the FIFO, newline included. Spec: docs/protocol/wire.md, 6.
pub const MAX_FIFO_LINE_BYTES: usize = 511;

/// Room for a trailer: length, colon, the longest token, comma.
const MAX_TRAILER_BYTES: usize = MAX_TOKEN_BYTES + 8;

/// Start of the next classic message behind an unfinished netstring.
const START_AFTER_NEWLINE: &[u8] = b"\n>>>\n";

/// Position of the decoder in a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Skipping,
    Classic,
    Netstring,
    Trailer,
}

/// One line taken out of the stream.
enum Line {
    /// With its newline.
    Whole(BytesMut),
    /// Over the limit; its bytes were dropped.
    TooLong,
}

/// Decoder for one serial line or for the FIFO. It belongs to one buffer: the reader appends bytes, and only the decoder takes
/// bytes out. When it asks for more, less than one line is left in the buffer.
#[derive(Debug)]
pub struct StreamDecoder {
    /// Longest line, newline included.
    line_limit: usize,
    /// Whether `###` starts a message too.
    netstrings: bool,
    state: State,
    /// How many bytes at the front of the buffer are known to contain no newline; in a netstring, at how many places of the
    /// message no classic message starts.
    searched: usize,
    /// The beginning of the current line was over the limit and was dropped.
    overlong: bool,
    /// The message being collected, from its start marker on.
    message: Vec<u8>,
    /// Lines that were skipped between messages.
    noise: u64,
}

impl StreamDecoder {
    /// A decoder for a serial line: classic messages, lines of any length.
    #[must_use]
    pub fn serial() -> Self {
        Self::new(MAX_MESSAGE_BYTES, false)
    }

    /// A decoder for the FIFO: both forms, lines of at most [`MAX_FIFO_LINE_BYTES`].
    #[must_use]
    pub fn fifo() -> Self {
        Self::new(MAX_FIFO_LINE_BYTES, true)
    }

    fn new(line_limit: usize, netstrings: bool) -> Self {
        Self {
            line_limit,
            netstrings,
            state: State::Skipping,
            searched: 0,
            overlong: false,
            message: Vec::new(),
            noise: 0,
        }
    }

    /// How many lines between messages were skipped since the last call, and how many beginnings of messages before others.
    /// Empty lines and end markers do not count: they close what a sender may have left unfinished.
    pub const fn take_noise(&mut self) -> u64 {
        std::mem::replace(&mut self.noise, 0)
    }

    /// The next message, verified, or what is wrong with it; `None`: more bytes are needed.
    pub fn next_signed(
        &mut self,
        input: &mut BytesMut,
        keys: &KeyRing,
    ) -> Option<Result<Message, DecodeError>> {
        let frame = match self.next_frame(input)? {
            Ok(frame) => frame,
            Err(error) => return Some(Err(error.into())),
        };
        let decoded = codec::decode_datagram(&frame, keys);
        if decoded.is_err()
            && let Some(behind) =
                starts_behind(&frame).find_map(|behind| codec::decode_datagram(behind, keys).ok())
        {
            self.noise = self.noise.saturating_add(1);
            return Some(Ok(behind));
        }
        Some(decoded)
    }

    /// The next message, as it stands, or what is wrong with it; `None`: more bytes are needed.
    pub fn next_unsigned(&mut self, input: &mut BytesMut) -> Option<Result<Message, DecodeError>> {
        let frame = self.next_frame(input)?;
        Some(
            frame
                .map_err(Into::into)
                .and_then(|frame| codec::decode_unsigned(&frame)),
        )
    }

    fn next_frame(&mut self, input: &mut BytesMut) -> Option<Result<Vec<u8>, Malformed>> {
        loop {
            let found = match self.state {
                State::Skipping => {
                    let line = self.take_line(input)?;
                    self.skip(line);
                    None
                }
                State::Classic => {
                    let line = self.take_line(input)?;
                    self.collect(line)
                }
                State::Netstring => Some(self.collect_netstring(input)?),
                State::Trailer => {
                    self.drop_trailer(input)?;
                    None
                }
            };
            if found.is_some() {
                return found;
            }
        }
    }

    fn take_line(&mut self, input: &mut BytesMut) -> Option<Line> {
        let unseen = input.get(self.searched..).unwrap_or_default();
        if let Some(at) = unseen.iter().position(|&b| b == b'\n') {
            let length = self.searched.saturating_add(at).saturating_add(1);
            let line = input.split_to(length);
            self.searched = 0;
            let overlong = std::mem::take(&mut self.overlong) || length > self.line_limit;
            return Some(if overlong {
                Line::TooLong
            } else {
                Line::Whole(line)
            });
        }
        self.searched = input.len();
        // With its newline the line would be over the limit. Noise without an end must not accumulate.
        if self.searched >= self.line_limit {
            input.clear();
            self.searched = 0;
            self.overlong = true;
        }
        None
    }

    fn skip(&mut self, line: Line) {
        let Line::Whole(line) = line else {
            self.noise = self.noise.saturating_add(1);
            return;
        };
        // Behind noise on a line that verifies its messages, the marker may stand at the end of a line.
        if line == text::START || (!self.netstrings && line.ends_with(text::START)) {
            self.state = State::Classic;
            self.noise = self.noise.saturating_add(u64::from(line != text::START));
            self.message = text::START.to_vec();
            return;
        }
        if self.netstrings && line == netstring::START {
            self.state = State::Netstring;
        } else {
            let silent = line == b"\n"[..] || line == text::END;
            self.noise = self.noise.saturating_add(u64::from(!silent));
            return;
        }
        self.message = line.to_vec();
    }

    fn collect(&mut self, line: Line) -> Option<Result<Vec<u8>, Malformed>> {
        match line {
            Line::TooLong => Some(Err(self.give_up(Malformed::LineTooLong(self.line_limit)))),
            // Two programs wrote at once, or a message was cut off: the new message counts.
            Line::Whole(line) if line == text::START => {
                self.message = line.to_vec();
                Some(Err(Malformed::NoEndMarker))
            }
            Line::Whole(line) => {
                self.message.extend_from_slice(&line);
                if self.message.len() > MAX_MESSAGE_BYTES {
                    let size = self.message.len();
                    return Some(Err(self.give_up(Malformed::TooLarge(size))));
                }
                if !line.starts_with(b"<<<") {
                    return None;
                }
                let whole = std::mem::take(&mut self.message);
                self.state = State::Skipping;
                // The last newline was lost with what followed it, and the next message begins behind it.
                if !self.netstrings && line.ends_with(text::START) {
                    self.state = State::Classic;
                    self.message = text::START.to_vec();
                }
                Some(Ok(whole))
            }
        }
    }

    fn give_up(&mut self, reason: Malformed) -> Malformed {
        self.state = State::Skipping;
        self.message = Vec::new();
        reason
    }

    fn collect_netstring(&mut self, input: &mut BytesMut) -> Option<Result<Vec<u8>, Malformed>> {
        let searched = std::mem::take(&mut self.searched);
        let mut collected = std::mem::take(&mut self.message);
        collected.extend_from_slice(&input.split());
        // A length that is never reached must not swallow the messages after it, so a netstring
        // ends at the latest where a classic message starts.
        let next = collected
            .windows(START_AFTER_NEWLINE.len())
            .skip(searched)
            .position(|window| window == START_AFTER_NEWLINE)
            .map(|at| at.saturating_add(searched));
        let end = next.map_or(collected.len(), |at| {
            at.saturating_add(START_AFTER_NEWLINE.len())
        });
        let (reason, resume) = match split_body(collected.get(..end).unwrap_or_default()) {
            Ok((body, _)) => {
                let length = body.len();
                input.extend_from_slice(collected.get(length..).unwrap_or_default());
                collected.truncate(length);
                self.state = State::Trailer;
                return Some(Ok(collected));
            }
            Err(reason @ (Malformed::CutOff | Malformed::NoEndMarker)) => match next {
                Some(newline) => (reason, newline.saturating_add(1)),
                None if collected.len() > MAX_MESSAGE_BYTES => {
                    (Malformed::TooLarge(collected.len()), collected.len())
                }
                None => {
                    // A start may be cut in two.
                    let uncut = collected.len().saturating_add(1);
                    self.searched = uncut.saturating_sub(START_AFTER_NEWLINE.len());
                    self.message = collected;
                    return None;
                }
            },
            Err(reason) => (reason, netstring::START.len()),
        };
        input.extend_from_slice(collected.get(resume..).unwrap_or_default());
        Some(Err(self.give_up(reason)))
    }

    /// Drops the trailer behind a netstring body, if one is there; `None`: cannot tell yet.
    fn drop_trailer(&mut self, input: &mut BytesMut) -> Option<()> {
        // No token holds a newline, so one that is cut off takes no line after it along.
        let one_line = |bytes: &[u8]| !bytes.contains(&b'\n');
        match (input.first()?, netstring(input)) {
            (b'0'..=b'9', Ok((token, rest))) if one_line(token) => {
                let length = input.len().saturating_sub(rest.len());
                if length <= MAX_TRAILER_BYTES {
                    drop(input.split_to(length));
                }
            }
            (b'0'..=b'9', Err(Malformed::CutOff))
                if input.len() < MAX_TRAILER_BYTES && one_line(input) =>
            {
                return None;
            }
            // No trailer: these bytes are the next line.
            _ => {}
        }
        self.state = State::Skipping;
        Some(())
    }
}

/// Where a message behind one that was cut off in the middle of a line may begin: the start marker is the end of that line
/// then. A value may end so too, and a few places are enough.
fn starts_behind(frame: &[u8]) -> impl Iterator<Item = &[u8]> {
    const PLACES: usize = 4;
    let starts = frame.windows(text::START.len()).enumerate().skip(1);
    let starts = starts.filter(|(_, window)| *window == text::START);
    starts.take(PLACES).filter_map(|(at, _)| frame.get(at..))
}

#[cfg(test)]
#[path = "frame/tests.rs"]
mod tests;
