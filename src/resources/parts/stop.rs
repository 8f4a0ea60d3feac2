//! How far a stop has come.

use std::time::Duration;

use crate::clock::Monotonic;

/// Longest wait of a stop for the other side, and beyond initdead for communication; for our own scripts it waits without this bound.
/// Spec: docs/protocol/resources.md, 11, [D].
pub(in crate::resources) const OTHER_SETTLES: Duration = Duration::from_secs(30);

/// Pause after `shutdone`, and again after the clients ended: the peers still hear us.
pub(in crate::resources) const PAUSE: Duration = Duration::from_secs(1);

/// How often a stop that does not come to its end says so. Legacy ends here, with whatever still
/// runs; the other node starts that a second time. Spec: docs/protocol/membership.md, 2.
pub(in crate::resources) const SLOW: Duration = Duration::from_secs(3600);

/// How far a stop has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::resources) enum Stop {
    /// None asked.
    No,
    /// Asked, something is in the way.
    Wanted {
        /// When it was asked.
        asked: Monotonic,
        /// The same; from `comm up` on if that came later.
        since: Monotonic,
        /// Whether the delay was logged.
        logged: bool,
    },
    /// Groups are being stopped, for as long as that takes: a node that fell silent meanwhile
    /// would be taken over. What cannot be stopped reboots the machine.
    Releasing,
    /// Everything is released; clients are stopped then.
    Released {
        /// When the clients are stopped.
        at: Monotonic,
    },
    /// The clients are told to end.
    Clients,
    /// The clients are gone.
    Ending {
        /// When the process ends.
        at: Monotonic,
    },
    /// The process was told to end.
    Ended,
}
