//! How far a stop has come.

use std::time::Duration;

use crate::clock::Monotonic;

/// Longest wait of a stop for the other side, and beyond initdead for communication; for our own scripts it waits without this bound.
/// Spec: docs/protocol/resources.md, 11, [D].
pub(in crate::resources) const OTHER_SETTLES: Duration = Duration::from_secs(30);

/// How long a living node may take for our last words after `shutdone`, and again after the clients ended. Legacy
/// waits for so long in any case.
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

    /// How far it has come.
    pub(in crate::resources) const fn state(&self) -> Stop {
        self.stop
    }

    /// It has come so far.
    pub(in crate::resources) const fn goes_on(&mut self, stop: Stop) {
        self.stop = stop;
    }

    /// Whether one was requested.
    pub(in crate::resources) fn requested(&self) -> bool {
        self.stop != Stop::No
    }

    /// The clients have ended.
    pub(in crate::resources) fn clients_stopped(&mut self, at: Monotonic) {
        if self.stop == Stop::Clients {
            self.stop = Stop::Ending { at };
        }
    }

    /// Every living node has our last words.
    pub(in crate::resources) fn hurries(&mut self, now: Monotonic) {
        if let Stop::Released { at } | Stop::Ending { at } = &mut self.stop {
            *at = now.min(*at);
        }
    }

    /// Everything was being released when the process or its core began anew.
    pub(in crate::resources) const fn keep_release(&mut self) {
        self.released_before = true;
    }

    pub(in crate::resources) const fn released_before(&self) -> bool {
        self.released_before
    }

    /// Others may run what we are releasing: addresses are taken away, and others told of it. Whether that is new.
    pub(in crate::resources) const fn tell_of_release(&mut self) -> bool {
        !std::mem::replace(&mut self.told_of_release, true)
    }

    /// A new run: nobody was told of anything.
    pub(in crate::resources) const fn forget(&mut self) {
        self.told_of_release = false;
    }
}
