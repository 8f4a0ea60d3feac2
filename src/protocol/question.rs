//! Which message answers which question.
//!
//! A `starting` message asks the other node what it holds. A report does not say whether it was
//! sent before or after its sender received the question: an old report that was lost at first and
//! comes now looks like an answer. So a full report between two Systole nodes of a pair names the
//! newest `starting` of the other node that its sender had received, in the field `systole_heard`:
//! `GENERATION.SEQUENCE`, both in hex, or `0.0` for none. It is sent only to a peer that advertises
//! [`ECHO`]. In the same way an `ip-request-resp` names the newest `ip-request` of the node that it
//! answers, and the messages of the taker in a standby (`ask_resources`, `other` and `done`) name
//! the giver's `me`.

use super::field;
use super::message::Message;

/// Capability word of a node whose reports name the question that they answer.
pub const ECHO: &str = "echo";

/// Position of a message among those of its sender: by generation first, then by number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Position {
    generation: u64,
    sequence: u64,
}

impl Position {
    /// The position of a message; before all others when the message has none.
    #[must_use]
    pub fn of(message: &Message) -> Self {
        let number = |name| message.hex(name).unwrap_or(0);
        Self {
            generation: number(field::HG),
            sequence: number(field::SEQ),
        }
    }

    /// The sender's run.
    #[must_use]
    pub const fn generation(self) -> u64 {
        self.generation
    }

    /// The number within it.
    #[must_use]
    pub const fn sequence(self) -> u64 {
        self.sequence
    }

    /// The text in a message.
    #[must_use]
    pub fn to_text(self) -> String {
        format!("{:x}.{:x}", self.generation, self.sequence)
    }

    /// Reads a text made by [`to_text`](Self::to_text).
    #[must_use]
    pub fn from_text(text: &str) -> Option<Self> {
        let (generation, sequence) = text.split_once('.')?;
        let number = |digits| u64::from_str_radix(digits, 16).ok();
        Some(Self {
            generation: number(generation)?,
            sequence: number(sequence)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(generation: &str, sequence: &str) -> Position {
        let message = Message::new("starting")
            .with(field::HG, generation)
            .with(field::SEQ, sequence);
        Position::of(&message)
    }

    #[test]
    fn a_later_generation_comes_after_every_number() {
        assert!(at("1", "ff") < at("2", "1"));
        assert!(at("2", "1") < at("2", "a"));
        assert!(Position::of(&Message::new("starting")) < at("1", "1"));
    }

    #[test]
    fn text_is_read_back() {
        let position = at("3ea", "1f");
        assert_eq!(position.to_text(), "3ea.1f");
        assert_eq!(Position::from_text("3ea.1f"), Some(position));
        for bad in [
            "",
            ".",
            "1",
            "1.",
            ".1",
            "x.1",
            "1.1.1",
            "fffffffffffffffff.1",
        ] {
            assert_eq!(Position::from_text(bad), None, "{bad}");
        }
    }
}
