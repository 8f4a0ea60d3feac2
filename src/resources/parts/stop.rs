//! How far a stop has come.

use std::time::Duration;

use crate::clock::Monotonic;

/// Longest wait of a stop for the other side, and, added to initdead, for communication. For our
/// own scripts a stop waits without this limit.
/// Spec: docs/protocol/resources.md, 11, [D].
pub(in crate::resources) const OTHER_SETTLES: Duration = Duration::from_secs(30);

/// How long a living node may take to receive our last messages after `shutdone`, and again after the clients
/// ended. Legacy waits for so long in any case.
pub(in crate::resources) const PAUSE: Duration = Duration::from_secs(1);

/// Interval at which a stop that does not end is logged. Legacy ends here, with whatever still
/// runs; the other node then starts that a second time. Spec: docs/protocol/membership.md, 2.
pub(in crate::resources) const SLOW: Duration = Duration::from_secs(3600);

/// How far a stop has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::resources) enum Stop {
    /// No stop is requested.
    No,
    /// A stop is requested, and something is in the way.
    Wanted {
        /// When it was requested.
        asked: Monotonic,
        /// The same, or the time when communication came up if that was later.
        since: Monotonic,
        /// Whether the delay was logged.
        logged: bool,
    },
    /// Groups are being stopped, for as long as that takes: a node that fell silent meanwhile would
    /// be taken over. A group that cannot be stopped makes the machine reboot.
    Releasing,
    /// Everything is released; the clients are stopped at `at`.
    Released {
        /// When the clients are stopped at the latest.
        at: Monotonic,
    },
    /// The clients are told to end.
    Clients,
    /// The clients are gone.
    Ending {
        /// When the process ends at the latest.
        at: Monotonic,
    },
    /// The process was told to end.
    Ended,
}

/// A stop, and a release of everything.
#[derive(Debug)]
pub(in crate::resources) struct Stopping {
    stop: Stop,
    released_before: bool,
    told_of_release: bool,
}

impl Stopping {
    pub(in crate::resources) const fn new() -> Self {
        Self {
            stop: Stop::No,
            released_before: false,
            told_of_release: false,
        }
    }

    /// How far the stop has come.
    pub(in crate::resources) const fn state(&self) -> Stop {
        self.stop
    }

    /// The stop has come so far.
    pub(in crate::resources) const fn goes_on(&mut self, stop: Stop) {
        self.stop = stop;
    }

    /// Whether a stop was requested.
    pub(in crate::resources) fn requested(&self) -> bool {
        self.stop != Stop::No
    }

    /// The clients have ended.
    pub(in crate::resources) fn clients_stopped(&mut self, at: Monotonic) {
        if self.stop == Stop::Clients {
            self.stop = Stop::Ending { at };
        }
    }

    /// Every living node has our last messages: the pauses end.
    pub(in crate::resources) fn hurries(&mut self, now: Monotonic) {
        if let Stop::Released { at } | Stop::Ending { at } = &mut self.stop {
            *at = now.min(*at);
        }
    }

    /// Used if everything was being released when the process or its core began anew.
    pub(in crate::resources) const fn keep_release(&mut self) {
        self.released_before = true;
    }

    pub(in crate::resources) const fn released_before(&self) -> bool {
        self.released_before
    }

    /// Other nodes may run what we are releasing: addresses are removed, and the others are told.
    /// Returns whether that is new.
    pub(in crate::resources) const fn tell_of_release(&mut self) -> bool {
        !std::mem::replace(&mut self.told_of_release, true)
    }

    /// A new run begins: the others have been told nothing.
    pub(in crate::resources) const fn forget(&mut self) {
        self.told_of_release = false;
    }
}
