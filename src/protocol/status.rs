//! The status words of a node. Spec: docs/protocol/membership.md, 1.

use std::fmt;

/// The state of a node, as this node knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NodeStatus {
    /// Configured but nothing was received yet, or just started.
    Init,
    /// The daemon runs, communication is not yet established.
    Up,
    /// Full member.
    Active,
    /// Silent for too long. Set by the node that notices it, never sent.
    Dead,
    /// A ping node that answers.
    Ping,
}

impl NodeStatus {
    /// The word as it stands on the wire and in logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Init => "init",
            Self::Up => "up",
            Self::Active => "active",
            Self::Dead => "dead",
            Self::Ping => "ping",
        }
    }

    /// The status that a node reports of itself, in any case; `None` for every other text, also for
    /// `dead` and `ping`, which no node may report. Spec: docs/protocol/membership.md, 1 and 3.
    #[must_use]
    pub fn claimed(text: &str) -> Option<Self> {
        [Self::Init, Self::Up, Self::Active]
            .into_iter()
            .find(|status| text.eq_ignore_ascii_case(status.as_str()))
    }

    /// Whether the node counts as living: `up` or `active`. Spec: docs/protocol/membership.md, 3.
    #[must_use]
    pub const fn is_living(self) -> bool {
        match self {
            Self::Up | Self::Active => true,
            Self::Init | Self::Dead | Self::Ping => false,
        }
    }
}

impl fmt::Display for NodeStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
