//! A bound on what the network makes us queue between two threads: the messages of one kind that
//! have not been handled yet, by their size in memory.
//!
//! A mailbox cannot have that bound: it also holds messages that must not be dropped.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::protocol::message::Message;

/// The sender's end. When the bound is reached, nothing passes until half of it is free again, so
/// that a loss is one gap and not many.
#[derive(Debug)]
pub struct Backlog {
    queued_bytes: Arc<AtomicUsize>,
    limit_bytes: usize,
    full: bool,
}

/// The answer of [`Backlog::admit`].
#[derive(Debug, PartialEq, Eq)]
pub enum Admission {
    /// The message may be sent, with the slot.
    Go(Slot),
    /// Refused, as are all later ones until there is room: the first loss since the last
    /// [`Admission::Go`].
    Full,
    /// One more message is lost.
    StillFull,
}

impl Backlog {
    /// Nothing is on its way.
    #[must_use]
    pub fn new(limit_bytes: usize) -> Self {
        Self {
            queued_bytes: Arc::default(),
            limit_bytes,
            full: false,
        }
    }

    /// Whether there is room for `message`. A single message always has room.
    pub fn admit(&mut self, message: &Message) -> Admission {
        let queued = self.queued_bytes.load(Ordering::Relaxed);
        let bytes = message.memory_bytes();
        if self.full && queued > self.limit_bytes / 2 {
            return Admission::StillFull;
        }
        if queued > 0 && queued.saturating_add(bytes) > self.limit_bytes {
            let first = !std::mem::replace(&mut self.full, true);
            return if first {
                Admission::Full
            } else {
                Admission::StillFull
            };
        }
        self.full = false;
        self.queued_bytes.fetch_add(bytes, Ordering::Relaxed);
        Admission::Go(Slot {
            _taken: Some(Arc::new(Taken {
                queued_bytes: Arc::clone(&self.queued_bytes),
                bytes,
            })),
        })
    }
}

/// Is sent with a message and counts it until the last copy is dropped, by whichever actor.
#[derive(Debug, Clone, Default)]
pub struct Slot {
    /// Only its end counts.
    _taken: Option<Arc<Taken>>,
}

/// Slots do not take part in a comparison of messages.
impl PartialEq for Slot {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Slot {}

/// The bytes that count.
#[derive(Debug)]
struct Taken {
    queued_bytes: Arc<AtomicUsize>,
    bytes: usize,
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.queued_bytes.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_backlog_opens_again_when_half_of_it_is_gone() {
        let message = Message::new("status").with("info", &"x".repeat(1000));
        let bytes = message.memory_bytes();
        assert!((1000..1500).contains(&bytes), "{bytes}");
        let mut backlog = Backlog::new(4 * bytes);
        let mut slots = Vec::new();
        for _ in 0..4 {
            let Admission::Go(slot) = backlog.admit(&message) else {
                panic!("there is room");
            };
            slots.push(slot);
        }
        assert_eq!(backlog.admit(&message), Admission::Full);
        assert_eq!(backlog.admit(&message), Admission::StillFull);
        let copy = slots[0].clone();
        drop(slots.split_off(3));
        assert_eq!(backlog.admit(&message), Admission::StillFull, "one is gone");
        slots.remove(0);
        assert_eq!(backlog.admit(&message), Admission::StillFull, "a copy");
        drop(copy);
        assert!(matches!(backlog.admit(&message), Admission::Go(_)), "half");
        drop(slots);
        assert_eq!(backlog.queued_bytes.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn a_message_larger_than_the_bound_passes_alone() {
        let small = Message::new("status");
        let large = small.clone().with("info", &"x".repeat(100_000));
        let mut backlog = Backlog::new(1000);
        let Admission::Go(slot) = backlog.admit(&large) else {
            panic!("nothing else is on its way");
        };
        assert_eq!(backlog.admit(&small), Admission::Full);
        drop(slot);
        assert!(matches!(backlog.admit(&small), Admission::Go(_)));
    }
}
