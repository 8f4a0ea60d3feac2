//! A standby that is open when the process or its core ends, and how its successor goes on with it.
//! Spec: docs/protocol/resources.md, 7.
//!
//! A legacy node goes on when the other side begins a new generation: it waits up to an hour for
//! the next message of the standby, and does nothing else meanwhile. So beside a legacy node the
//! open standby is kept ([`OpenStandby`]), and the successor takes its place in it. A Systole node
//! ends its half as soon as it sees the new generation: beside it nothing is kept.
//!
//! | Part | Goes on as | And |
//! |---|---|---|
//! | gives | Giving | stops what is left, and sends `done` when the other node has reported |
//! | given | Given | waits for the taker's `done`; the taker may be starting what it was given |
//! | ready | Accepted | waits for the giver to show that it gives |
//! | awaits | Accepted | waits for the giver's `done`, which may come before communication is up; the giver may run what it gives |
//! | takes | Taking | starts what is left, and sends `done` when the other node has reported |
//!
//! Nothing is guessed: the state of the standby was written down before the message that belongs to
//! it was sent, and a giver's `done` is not sent twice. A legacy node in a standby reports that it
//! is settled, so that report proves nothing. When it dies, or is found in another run, the standby
//! is over.

use crate::protocol::name::NodeName;
use crate::protocol::question::Position;
use crate::resources::holding::HoldingSet;

/// What this node still has to do in a standby.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// It stops what it gives.
    Gives,
    /// It has sent that everything is stopped.
    Given,
    /// It has sent that it can take.
    Ready,
    /// The same, and the giver has shown that it gives.
    Awaits,
    /// It starts what it was given.
    Takes,
}

impl Part {
    const ALL: [(Self, &'static str); 5] = [
        (Self::Gives, "gives"),
        (Self::Given, "given"),
        (Self::Ready, "ready"),
        (Self::Awaits, "awaits"),
        (Self::Takes, "takes"),
    ];

    fn word(self) -> &'static str {
        let mut all = Self::ALL.into_iter();
        all.find(|(part, _)| *part == self)
            .map_or("", |(_, word)| word)
    }
}

/// An open standby with a legacy node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenStandby {
    /// What this node does in it.
    pub part: Part,
    /// The groups that it is about, from the view of the giver.
    pub set: HoldingSet,
    /// The other node.
    pub with: NodeName,
    /// A message of the other node's run: its `me`, when this node takes.
    pub heard: Position,
}

impl OpenStandby {
    /// The text for a successor: `PART SET NODE POSITION`.
    #[must_use]
    pub fn to_text(&self) -> String {
        let (part, heard) = (self.part.word(), self.heard.to_text());
        format!("{part} {} {} {heard}", self.set, self.with)
    }

    /// Whether this node needs what the other node sent while no process received: its `done` may
    /// be part of it.
    #[must_use]
    pub const fn asks_for_the_rest(&self) -> bool {
        matches!(self.part, Part::Ready | Part::Awaits)
    }

    /// Reads [`to_text`](Self::to_text). Words that a later version adds at the end are ignored.
    #[must_use]
    pub fn from_text(text: &str) -> Option<Self> {
        let mut words = text.split(' ');
        let part = words.next()?;
        let (part, _) = Part::ALL.into_iter().find(|(_, word)| *word == part)?;
        let set = HoldingSet::from_word(words.next()?).filter(|set| !set.is_none())?;
        let with = NodeName::new(words.next()?).ok()?;
        let heard = Position::from_text(words.next()?)?;
        Some(Self {
            part,
            set,
            with,
            heard,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_read_back() {
        for (part, word) in Part::ALL {
            let open = OpenStandby {
                part,
                set: HoldingSet::LOCAL,
                with: NodeName::new("node2").unwrap(),
                heard: Position::from_text("3ea.1f").unwrap(),
            };
            let text = open.to_text();
            assert_eq!(text, format!("{word} local node2 3ea.1f"));
            assert_eq!(OpenStandby::from_text(&text), Some(open.clone()));
            assert_eq!(OpenStandby::from_text(&format!("{text} more")), Some(open));
        }
        for bad in [
            "",
            "gives",
            "gives none node2 1.1",
            "gives local",
            "gives local node2",
            "g local node2 1.1",
            "gives local \t 1.1",
            "gives local node2 1",
        ] {
            assert_eq!(OpenStandby::from_text(bad), None, "{bad}");
        }
    }
}
