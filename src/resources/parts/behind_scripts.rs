//! Whether the scripts of a legacy node have ended. A legacy node reports what a script starts for
//! a standby only when that script has ended, and does not report what a script still stops. If its
//! process has lost its state meanwhile (it lost power, and is back within its dead time), its
//! reports look as if no node ran the groups; a Systole node would start them beside the script.
//!
//! So groups of a legacy node that no node claims are not simply taken: the node is asked to give
//! them. It handles such a request after every script of its own. Spec: docs/protocol/resources.md,
//! 8 and 9.6.
//!
//! | after our request | we |
//! |---|---|
//! | its offer, and all that follows | take the groups as in any standby |
//! | its offer, and nothing follows: it hangs in a standby of its own | take them: no script of it runs |
//! | its report names them | leave them there, and do not answer the offer that follows |
//! | its offer at a moment when we can take nothing, or messages of it are lost | ask again |
//! | nothing for a minute | log that: a script runs or hangs there |
//! | nothing for an hour | take them, and probe the network before each start |
//!
//! Only an offer of just its own groups counts: what a person or a client asks of it there does not
//! wait for its scripts.

use std::time::Duration;

use crate::clock::Monotonic;
use crate::resources::parts::standby::COMPLETION;

/// When a log line tells that it has not answered.
const SAID: Duration = Duration::from_secs(60);

/// What is known about the scripts of the legacy node.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(in crate::resources) enum Scripts {
    /// Nothing.
    #[default]
    Unknown,
    /// It was asked for its own groups.
    Asked {
        /// When.
        at: Monotonic,
        /// Whether it was logged that the node has not answered.
        said: bool,
    },
    /// It has answered: no script ran then.
    Done,
    /// It has reported its groups. Its answer is still to come, and is not wanted any more.
    Late {
        /// The answer may come until then.
        until: Monotonic,
    },
}

/// What may be done with groups of the legacy node that no node claims.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::resources) enum Unclaimed {
    /// Taken: no script of the node runs, or the wait is over.
    Take,
    /// Left: a script may start them.
    Leave,
    /// Left, and the node is to be asked for them.
    Ask,
}

impl Scripts {
    pub(in crate::resources) fn unclaimed(self, now: Monotonic) -> Unclaimed {
        match self {
            Self::Done => Unclaimed::Take,
            Self::Asked { at, .. } if at + COMPLETION <= now => Unclaimed::Take,
            Self::Asked { .. } => Unclaimed::Leave,
            Self::Unknown | Self::Late { .. } => Unclaimed::Ask,
        }
    }

    /// The node is asked for its own groups.
    pub(in crate::resources) const fn ask(&mut self, at: Monotonic) {
        *self = Self::Asked { at, said: false };
    }

    /// The node offers its own groups. `possible`: the offer can be answered now. `true`: the offer
    /// is the late answer to our request, and the node has reported meanwhile that it holds the
    /// groups.
    pub(in crate::resources) fn offered(&mut self, possible: bool, now: Monotonic) -> bool {
        let known = std::mem::take(self);
        match known {
            Self::Asked { .. } if possible => *self = Self::Done,
            Self::Late { until } if now < until => return true,
            Self::Unknown | Self::Asked { .. } | Self::Done | Self::Late { .. } => {}
        }
        false
    }

    /// The node reports its own groups: it runs them, whatever it was asked for.
    pub(in crate::resources) fn reported(&mut self) {
        *self = match *self {
            Self::Asked { at, .. } => Self::Late {
                until: at + COMPLETION,
            },
            late @ Self::Late { .. } => late,
            Self::Unknown | Self::Done => Self::Unknown,
        };
    }

    /// Messages of the node are lost: its offer may be one of them.
    pub(in crate::resources) const fn words_lost(&mut self) {
        if matches!(self, Self::Asked { .. }) {
            *self = Self::Unknown;
        }
    }

    /// Until when its groups are not taken although no node claims them.
    pub(in crate::resources) fn until(self) -> Option<Monotonic> {
        match self {
            Self::Asked { at, .. } => Some(at + COMPLETION),
            Self::Unknown | Self::Done | Self::Late { .. } => None,
        }
    }

    /// When it is to be logged that the node has not answered.
    pub(in crate::resources) fn deadline(self) -> Option<Monotonic> {
        match self {
            Self::Asked { at, said: false } => Some(at + SAID),
            Self::Asked { .. } | Self::Unknown | Self::Done | Self::Late { .. } => None,
        }
    }

    /// Whether that is due now. `true` only once.
    pub(in crate::resources) fn is_overdue(&mut self, now: Monotonic) -> bool {
        let due = self.deadline().is_some_and(|at| at <= now);
        if due && let Self::Asked { said, .. } = self {
            *said = true;
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn t(seconds: u64) -> Monotonic {
        Monotonic::from_millis(seconds * 1000)
    }

    #[test]
    fn what_nobody_claims_is_asked_for_and_then_waited_for() {
        let mut scripts = Scripts::default();
        assert_eq!(scripts.unclaimed(t(0)), Unclaimed::Ask);
        scripts.ask(t(0));
        assert_eq!(scripts.unclaimed(t(3599)), Unclaimed::Leave);
        assert_eq!(scripts.unclaimed(t(3600)), Unclaimed::Take);
        assert!(!scripts.is_overdue(t(59)) && scripts.is_overdue(t(60)));
        assert!(!scripts.is_overdue(t(61)), "said once");
        assert!(!scripts.offered(true, t(70)));
        assert_eq!(scripts.unclaimed(t(71)), Unclaimed::Take);
    }

    #[test]
    fn its_offer_is_not_wanted_when_it_has_reported_the_groups() {
        let mut scripts = Scripts::default();
        scripts.ask(t(0));
        scripts.reported();
        assert!(scripts.offered(true, t(10)));
        assert!(!scripts.offered(true, t(11)), "once");
        scripts.ask(t(0));
        scripts.words_lost();
        assert_eq!(scripts, Scripts::Unknown);
        scripts.ask(t(0));
        assert!(!scripts.offered(false, t(1)), "it cannot be answered now");
        assert_eq!(scripts.unclaimed(t(1)), Unclaimed::Ask);
    }
}
