//! What is sent on a serial line, in which order and at what speed. Opens nothing and reads no clock.
//! Spec: docs/protocol/wire.md, 18.4.
//!
//! A line carries about a thousand bytes a second, a network card a million times as many, and both get every message. So a
//! line must choose. The [`Outbox`] sends in the order in which messages came, with these rules:
//!
//! | Message | Rule |
//! |---|---|
//! | newer status of this node | takes the place of the one that waits: only the newest counts. One that has waited for half a keepalive is next, but never twice in a row while others wait |
//! | the same number again | is not queued twice: the receiver asks for a missing message until it has it |
//! | without a number (acknowledgement, request to send again) | takes the place of an earlier one to the same node with the same beginning |
//! | any but a status | dropped when it has waited for the dead time, or when it would have to. The receiver asks for it again |
//! | from a client, and an old status that is sent again | gives way to the messages of the daemon; dropped if it alone takes longer than a quarter of the dead time |
//!
//! A message that is begun is finished, because a receiver loses both when one ends in the middle. Bytes are given out only as
//! fast as the line takes them: what waits in the kernel can be neither replaced nor dropped.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::{Buf as _, Bytes};

use super::field::{self, kind};
use super::message::Message;
use crate::clock::Monotonic;

/// Bits of a byte on the line: start bit, eight data bits, stop bit.
const BITS_PER_BYTE: u32 = 10;

/// How much may be in the kernel and on the wire. Longer than a timer is late, shorter than anything else counts here.
const LEAD: Duration = Duration::from_millis(100);

/// Longest piece that is written at once. Spec: docs/protocol/wire.md, 6.
pub const PIECE_BYTES: usize = 512;

/// How long a port may refuse every byte before what it holds is thrown away. Spec: docs/protocol/wire.md, 18.4.
const STUCK_AFTER: Duration = Duration::from_millis(500);

/// Pause before a port that took nothing is tried again.
const TRY_AGAIN: Duration = Duration::from_millis(20);

/// Room in the queue, however slow the line is: a handful of messages.
const LEAST_ROOM_BYTES: usize = 2048;

/// Ends what another program, or this one in an earlier life, has left unfinished on the line. For a receiver that waits for a
/// start it is two lines of noise.
const RESYNC: &[u8] = b"\n<<<\n";

/// The speed of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Speed {
    baud: u32,
}

impl Speed {
    /// `baud` bits per second.
    #[must_use]
    pub const fn new(baud: u32) -> Self {
        Self { baud }
    }

    /// Bits per second.
    #[must_use]
    pub const fn baud(self) -> u32 {
        self.baud
    }

    /// How long the line takes for so many bytes.
    #[must_use]
    pub fn time_for(self, bytes: usize) -> Duration {
        let bits = u64::try_from(bytes)
            .unwrap_or(u64::MAX)
            .saturating_mul(u64::from(BITS_PER_BYTE));
        let micros = bits.saturating_mul(1_000_000);
        Duration::from_micros(micros.div_ceil(u64::from(self.baud.max(1))))
    }

    /// How many bytes the line takes in that time.
    #[must_use]
    pub fn bytes_in(self, time: Duration) -> usize {
        let bits = time.as_millis().saturating_mul(u128::from(self.baud));
        let bytes = bits.checked_div(1000 * u128::from(BITS_PER_BYTE));
        usize::try_from(bytes.unwrap_or(0)).unwrap_or(usize::MAX)
    }
}

/// What the rules of an [`Outbox`] are made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LineSettings {
    /// Speed of the line.
    pub speed: Speed,
    /// Pause between two statuses of this node.
    pub keepalive: Duration,
    /// `deadtime` of this node.
    pub deadtime: Duration,
}

/// What a message is to the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Class {
    /// The newest status of this node.
    Status,
    /// Of the daemon.
    Daemon,
    /// Of a client, or a status that a newer one has followed.
    Low,
}

/// Two messages with equal keys say the same, or the later one says more.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Key {
    /// Generation and number.
    Number(u64, u64),
    /// Type, node and first number of a range.
    Unnumbered(String, String, u64),
}

impl Key {
    fn of(message: &Message) -> Self {
        let number = message.hex(field::SEQ).filter(|_| {
            let kind = message.kind().unwrap_or_default();
            !kind.starts_with(kind::UNSEQUENCED_PREFIX)
        });
        if let Some(number) = number {
            return Self::Number(message.hex(field::HG).unwrap_or_default(), number);
        }
        let text = |name| message.text(name).unwrap_or_default().to_owned();
        let first = message.dec(field::FIRST_SEQ).unwrap_or_default();
        Self::Unnumbered(text(field::T), text(field::DEST), first)
    }
}

#[derive(Debug)]
struct Entry {
    class: Class,
    key: Key,
    /// When it was queued; for a status, when the first of those that it replaces was.
    since: Monotonic,
    text: Bytes,
}

/// What became of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Queued {
    /// It waits, perhaps in the place of another.
    Waits,
    /// It waits already.
    Twice,
    /// Dropped: its turn would come too late.
    NoRoom,
    /// Dropped: it alone would hold the line for too long.
    TooLong,
}

/// What to do now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Write these bytes; then [`Outbox::wrote`] or [`Outbox::refused`].
    Write(Bytes),
    /// Nothing before that time.
    Wait(Monotonic),
    /// Nothing before another message comes.
    Idle,
}

/// What to do with a port that takes no byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// Try again then.
    Again(Monotonic),
    /// It is stuck: throw away what it holds.
    Flush,
}

/// The messages that wait for a serial line.
#[derive(Debug)]
pub struct Outbox {
    settings: LineSettings,
    waiting: VecDeque<Entry>,
    waiting_bytes: usize,
    /// The rest of the message that is being written.
    begun: Bytes,
    /// The message that was begun last is a status.
    last_was_status: bool,
    /// Generation and number of the newest status.
    newest_status: (u64, u64),
    /// When the line will have carried everything that was written.
    free_at: Monotonic,
    /// Since when the port takes nothing.
    refused_since: Option<Monotonic>,
    outdated: u64,
}

impl Outbox {
    /// An empty queue for a port that was opened a moment ago.
    #[must_use]
    pub fn new(settings: LineSettings) -> Self {
        Self {
            settings,
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            begun: Bytes::from_static(RESYNC),
            last_was_status: false,
            newest_status: (0, 0),
            free_at: Monotonic::ZERO,
            refused_since: None,
            outdated: 0,
        }
    }

    /// The port was opened anew or flushed: what was begun is lost, and what waits is still to be sent.
    pub fn begin_anew(&mut self) {
        self.begun = Bytes::from_static(RESYNC);
        self.free_at = Monotonic::ZERO;
        self.refused_since = None;
    }

    /// Nothing waits, and the line has carried what was written.
    #[must_use]
    pub fn is_drained(&self, now: Monotonic) -> bool {
        self.waiting.is_empty() && self.begun.is_empty() && self.free_at <= now
    }

    /// How many messages were dropped since the last call, because they waited for too long or gave way to others.
    pub fn take_outdated(&mut self) -> u64 {
        std::mem::take(&mut self.outdated)
    }

    /// Queues a message, whose text for the line is `text`.
    pub fn push(&mut self, message: &Message, text: Bytes, now: Monotonic) -> Queued {
        self.drop_outdated(now);
        let key = Key::of(message);
        let class = self.class_of(message, &key);
        if class == Class::Low && text.len() > self.longest() {
            return Queued::TooLong;
        }
        let status = |entry: &Entry| entry.class == Class::Status;
        let place = match class {
            Class::Status => self.waiting.iter().position(status),
            Class::Daemon | Class::Low => self.waiting.iter().position(|entry| entry.key == key),
        };
        if let Some(entry) = place.and_then(|place| self.waiting.get_mut(place)) {
            if class != Class::Status && matches!(key, Key::Number(..)) {
                return Queued::Twice;
            }
            self.waiting_bytes = self
                .waiting_bytes
                .saturating_sub(entry.text.len())
                .saturating_add(text.len());
            (entry.key, entry.text) = (key, text);
            return Queued::Waits;
        }
        if class != Class::Status && !self.make_room(text.len(), class) {
            return Queued::NoRoom;
        }
        self.waiting_bytes = self.waiting_bytes.saturating_add(text.len());
        self.waiting.push_back(Entry {
            class,
            key,
            since: now,
            text,
        });
        Queued::Waits
    }

    /// What to do now.
    pub fn next(&mut self, now: Monotonic) -> Step {
        self.drop_outdated(now);
        if self.begun.is_empty() && self.waiting.is_empty() {
            return Step::Idle;
        }
        // As late as possible: a newer status may come yet.
        if self.free_at > now + LEAD / 2 {
            return Step::Wait(self.free_at - LEAD / 2);
        }
        if self.begun.is_empty() {
            self.begin(now);
        }
        let piece = self.settings.speed.bytes_in(LEAD).clamp(1, PIECE_BYTES);
        Step::Write(self.begun.slice(..piece.min(self.begun.len())))
    }

    /// The port took so many bytes of the last [`Step::Write`].
    pub fn wrote(&mut self, bytes: usize, now: Monotonic) {
        self.begun.advance(bytes.min(self.begun.len()));
        self.free_at = self.free_at.max(now) + self.settings.speed.time_for(bytes);
        self.refused_since = None;
    }

    /// The port took nothing of it, or still holds what it took long ago.
    pub fn refused(&mut self, now: Monotonic) -> Refused {
        let since = *self.refused_since.get_or_insert(now);
        if now.since(since) < STUCK_AFTER {
            return Refused::Again(now + TRY_AGAIN);
        }
        self.begin_anew();
        Refused::Flush
    }

    /// How much a port may hold before that counts as refusing.
    #[must_use]
    pub fn may_hold(&self) -> usize {
        self.settings
            .speed
            .bytes_in(LEAD.saturating_mul(2))
            .max(PIECE_BYTES)
    }

    fn class_of(&mut self, message: &Message, key: &Key) -> Class {
        match key {
            Key::Number(generation, number) if message.kind() == Some(kind::STATUS) => {
                if (*generation, *number) <= self.newest_status {
                    return Class::Low;
                }
                self.newest_status = (*generation, *number);
                Class::Status
            }
            _ if message.text_bytes(field::FROM_ID).is_some() => Class::Low,
            _ => Class::Daemon,
        }
    }

    /// Longest message that need not be sent.
    fn longest(&self) -> usize {
        self.settings.speed.bytes_in(self.settings.deadtime / 4)
    }

    /// Whether so many bytes more can wait: those of clients give way.
    fn make_room(&mut self, bytes: usize, class: Class) -> bool {
        let room = self.settings.speed.bytes_in(self.settings.deadtime);
        let room = room.max(LEAST_ROOM_BYTES);
        let fits = |waiting: usize| waiting.saturating_add(bytes) <= room;
        while !fits(self.waiting_bytes) {
            let low = |entry: &Entry| entry.class == Class::Low;
            let Some(place) = self.waiting.iter().rposition(low) else {
                return false;
            };
            if class == Class::Low {
                return false;
            }
            self.remove(place);
            self.outdated = self.outdated.saturating_add(1);
        }
        true
    }

    fn drop_outdated(&mut self, now: Monotonic) {
        let deadtime = self.settings.deadtime;
        let old = |entry: &Entry| entry.class != Class::Status && now.since(entry.since) > deadtime;
        while let Some(place) = self.waiting.iter().position(old) {
            self.remove(place);
            self.outdated = self.outdated.saturating_add(1);
        }
    }

    fn begin(&mut self, now: Monotonic) {
        let urgent = |entry: &Entry| {
            entry.class == Class::Status && now.since(entry.since) >= self.settings.keepalive / 2
        };
        let status = if self.last_was_status {
            None
        } else {
            self.waiting.iter().position(urgent)
        };
        if let Some(entry) = self.remove(status.unwrap_or(0)) {
            self.last_was_status = entry.class == Class::Status;
            self.begun = entry.text;
        }
    }

    fn remove(&mut self, place: usize) -> Option<Entry> {
        let entry = self.waiting.remove(place)?;
        self.waiting_bytes = self.waiting_bytes.saturating_sub(entry.text.len());
        Some(entry)
    }
}

/// Bytes of a status of a node with that name on a serial line, signed by the longest method, with a long load average and
/// the fields of our own. A status that names nodes which are not received is longer.
#[must_use]
pub fn status_bytes(node: &str) -> usize {
    const ALL_BUT_THE_NAME: usize = 260;
    node.len().saturating_add(ALL_BUT_THE_NAME)
}

#[cfg(test)]
#[path = "serial/tests.rs"]
mod tests;
