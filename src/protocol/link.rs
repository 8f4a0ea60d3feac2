//! One link: a (node, medium) pair. Spec: docs/protocol/wire.md, 16.4.

use super::name::MediumName;
use crate::clock::Monotonic;

/// Whose messages arrive on a medium.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Receives {
    /// Those of another node: it works.
    Others,
    /// Only our own, which shows nothing about the way to another node.
    Itself,
    /// None.
    Nothing,
}

/// Whether a node is received over a medium.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    medium: MediumName,
    /// Last time the node was received over it; `None` while dead.
    heard: Option<Monotonic>,
    /// It was up once.
    was_up: bool,
    /// When it came up or died last.
    changed: Option<Monotonic>,
}

impl Link {
    /// A link over which nothing was received: dead.
    #[must_use]
    pub const fn new(medium: MediumName) -> Self {
        Self {
            medium,
            heard: None,
            was_up: false,
            changed: None,
        }
    }

    /// Its medium.
    #[must_use]
    pub const fn medium(&self) -> &MediumName {
        &self.medium
    }

    /// Whether it is up.
    #[must_use]
    pub const fn is_up(&self) -> bool {
        self.heard.is_some()
    }

    /// Whether it was up once since the start.
    #[must_use]
    pub const fn was_up(&self) -> bool {
        self.was_up
    }

    /// When it came up or died last; `None`: neither since the start.
    #[must_use]
    pub const fn changed(&self) -> Option<Monotonic> {
        self.changed
    }

    /// Last time the node was received over it, while up.
    #[must_use]
    pub const fn heard(&self) -> Option<Monotonic> {
        self.heard
    }

    /// Notes that the node was received; `true`: the link just came up.
    pub const fn refresh(&mut self, now: Monotonic) -> bool {
        let came_up = self.heard.is_none();
        if came_up {
            self.changed = Some(now);
        }
        self.heard = Some(now);
        self.was_up = true;
        came_up
    }

    /// Declares the link dead.
    pub const fn die(&mut self, now: Monotonic) {
        self.heard = None;
        self.changed = Some(now);
    }

    /// Counts its silence from `now` at the earliest.
    pub fn restart_silence(&mut self, now: Monotonic) {
        if let Some(heard) = &mut self.heard {
            *heard = now.max(*heard);
        }
    }
}
