//! What is sent on a serial line, in which order and at what speed. Opens nothing and reads no clock.
//! Spec: docs/protocol/wire.md, 18.4.
//!
//! A line carries about a thousand bytes a second, a network card a million times as many, and both get every message. So a
//! line must choose. The [`Outbox`] knows four classes. Statuses and new messages of the daemon go first, in the order in which
//! they came; then repairs, then the rest.
//!
//! | Class | Messages | Rules |
//! |---|---|---|
//! | status | a new status of this node | when one has waited for a quarter of the dead time, the newest takes its place, and it is next, but never twice in a row while new messages wait. Not before: the receiver asks for whatever is left out or overtaken |
//! | new | of the daemon, with a new number; acknowledgements | a later acknowledgement takes the place of an earlier one. Dropped when it has waited for the dead time; the receiver asks for it then |
//! | repair | what was asked for again; requests to send again | each once in the queue, one request at a time, half a second of the line in all, dropped after a second: the receiver asks again, four times a second, until it has what it misses |
//! | low | of a client; an old status that was asked for | gives way to all others. Dropped if it alone takes longer than a quarter of the dead time |
//!
//! Without the third class two nodes that miss something keep a slow line busy with requests and answers for ever, lose more
//! by that, and nothing new gets through.
//!
//! A message that is begun is finished, because a receiver loses both when one ends in the middle. Bytes are given out only as
//! fast as the line takes them: what waits in the kernel can be neither replaced nor dropped.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::{Buf as _, Bytes};

use super::field::{self, kind};
use super::message::Message;
use crate::clock::Monotonic;

mod line;

pub use line::{LineSettings, Speed};

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

/// Room for repairs, as time of the line.
const REPAIR_ROOM: Duration = Duration::from_millis(500);

/// The same, however slow the line is: a message or two.
const LEAST_REPAIR_BYTES: usize = 512;

/// Repairs that are older are asked for again.
const REPAIR_AGE: Duration = Duration::from_secs(1);

/// Before each message: ends one that was cut off on the line, or that another program has left unfinished. A legacy node
/// would take the next message for the rest of it. A receiver that waits for a start skips these lines.
const RESYNC: &[u8] = b"\n<<<\n";

/// What a message is to the queue; the first goes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Class {
    /// A new status of this node.
    Status,
    /// Of the daemon.
    New,
    /// Sent again, or a request for that.
    Repair,
    /// Of a client, or an old status.
    Low,
}

/// Two messages with equal keys say the same, or the later one says more.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Key {
    /// Generation and number.
    Number(u64, u64),
    /// Type and node.
    Unnumbered(String, String),
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
        Self::Unnumbered(text(field::T), text(field::DEST))
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
    /// Dropped: it will be asked for again.
    AskedAgain,
    /// Dropped: its turn would come too late.
    NoRoom,
    /// Dropped: it alone would hold the line for too long, whenever it is sent.
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
    /// The highest generation and number so far.
    newest: (u64, u64),
    /// When the line will have carried everything that was written.
    free_at: Monotonic,
    /// Since when the port takes nothing.
    refused_since: Option<Monotonic>,
    /// Bytes given to the port since it was opened or flushed.
    given: usize,
    /// How many of them have left it, as far as was seen.
    left: usize,
    /// It was flushed, and nothing has left it since.
    stuck: bool,
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
            begun: Bytes::new(),
            last_was_status: false,
            newest: (0, 0),
            free_at: Monotonic::ZERO,
            refused_since: None,
            given: 0,
            left: 0,
            stuck: false,
            outdated: 0,
        }
    }

    /// The port was opened anew or flushed: what was begun is lost, and what waits is still to be sent.
    pub fn begin_anew(&mut self) {
        self.begun = Bytes::new();
        self.free_at = Monotonic::ZERO;
        self.refused_since = None;
        (self.given, self.left, self.stuck) = (0, 0, false);
    }

    /// Nothing waits, and the line has carried what was written.
    #[must_use]
    pub fn is_drained(&self, now: Monotonic) -> bool {
        self.waiting.is_empty() && self.begun.is_empty() && self.free_at <= now
    }

    /// The process ends: only what this node has to say itself goes out yet. What others asked for, and what clients wrote,
    /// would hold up the end.
    pub fn keep_last_words(&mut self) {
        self.waiting.retain(|entry| entry.class <= Class::New);
        let bytes = self.waiting.iter().map(|entry| entry.text.len());
        self.waiting_bytes = bytes.fold(0, usize::saturating_add);
    }

    /// How many messages were dropped since the last call, because they waited for too long or gave way to others. Repairs do
    /// not count.
    pub fn take_outdated(&mut self) -> u64 {
        std::mem::take(&mut self.outdated)
    }

    /// Queues a message, whose text for the line is `text`.
    pub fn push(&mut self, message: &Message, text: Bytes, now: Monotonic) -> Queued {
        self.drop_outdated(now);
        let key = Key::of(message);
        let class = self.class_of(message, &key);
        let longest = match class {
            Class::Status => usize::MAX,
            Class::New | Class::Repair => self.room(),
            Class::Low => self.settings.longest(),
        };
        if text.len() > longest {
            return Queued::TooLong;
        }
        let place = match class {
            Class::Status => self.late_status(now),
            Class::New | Class::Repair | Class::Low => {
                self.waiting.iter().position(|entry| entry.key == key)
            }
        };
        if let Some(place) = place.filter(|_| class == Class::Status) {
            self.keep_one_status(place);
        }
        if let Some(entry) = place.and_then(|place| self.waiting.get_mut(place)) {
            let replaces = match class {
                Class::Status => true,
                Class::New => matches!(key, Key::Unnumbered(..)),
                Class::Repair | Class::Low => false,
            };
            if !replaces {
                return Queued::Twice;
            }
            self.waiting_bytes = self
                .waiting_bytes
                .saturating_sub(entry.text.len())
                .saturating_add(text.len());
            (entry.key, entry.text) = (key, text);
            return Queued::Waits;
        }
        if !self.make_room(text.len(), class) {
            return if class == Class::Repair {
                Queued::AskedAgain
            } else {
                Queued::NoRoom
            };
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
        self.given = self.given.saturating_add(bytes);
    }

    /// Whether bytes have left the port since the last call, when it holds `held` bytes now. A port is never seen empty
    /// while messages wait: it gets the next bytes before the last ones have left.
    pub fn has_left(&mut self, held: usize) -> bool {
        let left = self.given.saturating_sub(held);
        let more = left > self.left;
        self.left = self.left.max(left);
        self.stuck &= !more;
        more
    }

    /// The port took nothing of it, or still holds what it took long ago.
    pub fn refused(&mut self, now: Monotonic) -> Refused {
        let since = *self.refused_since.get_or_insert(now);
        if now.since(since) < STUCK_AFTER {
            return Refused::Again(now + TRY_AGAIN);
        }
        self.begin_anew();
        self.stuck = true;
        Refused::Flush
    }

    /// Whether the port takes nothing.
    #[must_use]
    pub const fn is_stuck(&self) -> bool {
        self.stuck
    }

    /// How much a port may hold before that counts as refusing.
    #[must_use]
    pub fn may_hold(&self) -> usize {
        self.settings
            .speed
            .bytes_in(LEAD.saturating_mul(2))
            .max(PIECE_BYTES)
    }

    /// A status that has waited for too long.
    fn late_status(&self, now: Monotonic) -> Option<usize> {
        let patience = self.settings.deadtime / 4;
        self.waiting
            .iter()
            .position(|entry| entry.class == Class::Status && now.since(entry.since) >= patience)
    }

    /// Removes all statuses but that at `place`, which is the first.
    fn keep_one_status(&mut self, place: usize) {
        let status = |entry: &Entry| entry.class == Class::Status;
        while let Some(last) = self.waiting.iter().rposition(status) {
            if last <= place {
                return;
            }
            self.remove(last);
        }
    }

    fn class_of(&mut self, message: &Message, key: &Key) -> Class {
        let kind = message.kind().unwrap_or_default();
        let new = match key {
            Key::Unnumbered(..) => !matches!(kind, kind::NS_REXMIT | kind::NS_NAK_REXMIT),
            Key::Number(generation, number) => {
                let new = (*generation, *number) > self.newest;
                self.newest = self.newest.max((*generation, *number));
                new
            }
        };
        match (kind, new) {
            _ if message.text_bytes(field::FROM_ID).is_some() => Class::Low,
            (kind::STATUS, true) => Class::Status,
            (kind::STATUS, false) => Class::Low,
            (_, true) => Class::New,
            (_, false) => Class::Repair,
        }
    }

    /// How many bytes may wait.
    fn room(&self) -> usize {
        let of_time = self.settings.speed.bytes_in(self.settings.deadtime);
        of_time.max(LEAST_ROOM_BYTES)
    }

    /// Whether so many bytes more can wait: what is less urgent gives way, the newest of it first.
    fn make_room(&mut self, bytes: usize, class: Class) -> bool {
        if class == Class::Status {
            return true;
        }
        let speed = self.settings.speed;
        if class == Class::Repair {
            let of_repairs = self.waiting.iter().filter(|entry| entry.class == class);
            let waiting =
                of_repairs.fold(0_usize, |sum, entry| sum.saturating_add(entry.text.len()));
            let room = speed.bytes_in(REPAIR_ROOM).max(LEAST_REPAIR_BYTES);
            // One of any size.
            if waiting > 0 && waiting.saturating_add(bytes) > room {
                return false;
            }
        }
        while self.waiting_bytes.saturating_add(bytes) > self.room() {
            let least = self.waiting.iter().map(|entry| entry.class).max();
            let Some(least) = least.filter(|least| *least > class) else {
                return false;
            };
            let place = self.waiting.iter().rposition(|entry| entry.class == least);
            let Some(entry) = place.and_then(|place| self.remove(place)) else {
                return false;
            };
            self.count_dropped(&entry);
        }
        true
    }

    fn drop_outdated(&mut self, now: Monotonic) {
        let deadtime = self.settings.deadtime;
        let old = |entry: &Entry| match entry.class {
            Class::Status => false,
            Class::New | Class::Low => now.since(entry.since) > deadtime,
            Class::Repair => now.since(entry.since) > REPAIR_AGE,
        };
        while let Some(place) = self.waiting.iter().position(old) {
            if let Some(entry) = self.remove(place) {
                self.count_dropped(&entry);
            }
        }
    }

    fn count_dropped(&mut self, entry: &Entry) {
        if entry.class != Class::Repair {
            self.outdated = self.outdated.saturating_add(1);
        }
    }

    fn begin(&mut self, now: Monotonic) {
        let class = |wanted: Class| move |entry: &Entry| entry.class == wanted;
        let place = if self.last_was_status {
            None
        } else {
            self.late_status(now)
        };
        let first = |entry: &Entry| entry.class <= Class::New;
        let place = place
            .or_else(|| self.waiting.iter().position(first))
            .or_else(|| self.waiting.iter().position(class(Class::Repair)))
            .unwrap_or(0);
        if let Some(entry) = self.remove(place) {
            self.last_was_status = entry.class == Class::Status;
            self.begun = [RESYNC, &entry.text].concat().into();
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
    const ALL_BUT_THE_NAME: usize = 240;
    node.len().saturating_add(ALL_BUT_THE_NAME)
}

#[cfg(test)]
#[path = "serial/tests.rs"]
mod tests;
