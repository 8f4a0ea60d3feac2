//! Monitors of resources: the rules for one, and what a group that fails wants of the core.

use std::time::Duration;

/// What happens when restarts do not help.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Then {
    /// The group goes to the other node, with its half.
    Move,
    /// It stays, and is tried again ever more rarely.
    Stay,
    /// It is stopped, and stays down until a person says otherwise.
    Stop,
}

impl Then {
    /// The word in `systole.toml`.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Move => "move",
            Self::Stay => "stay",
            Self::Stop => "stop",
        }
    }
}

/// When a resource counts as failed, and what follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MonitorRules {
    /// From one check to the next.
    pub interval: Duration,
    /// So many bad checks in a row are a failure.
    pub failures: u32,
    /// So many restarts are tried within `window`.
    pub restarts: u32,
    /// So long a failure counts.
    pub window: Duration,
    /// What follows after that.
    pub then: Then,
}

/// A window without a monitor of the group on this node.
pub const DEFAULT_WINDOW: Duration = Duration::from_secs(3600);

/// What a group wants of which a resource fails.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ailment {
    /// The resource word.
    pub resource: String,
    /// It is to be restarted, with what stands right of it.
    pub restart: bool,
    /// Restarts do not help: what is to follow.
    pub gives_up: Option<Then>,
}
