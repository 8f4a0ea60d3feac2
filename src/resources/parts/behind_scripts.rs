//! Whether the scripts of a legacy node are done. It names what a script starts for a standby only when that
//! has ended, and what one stops no longer. A node that has lost its memory meanwhile (it lost power, and is
//! back within its dead time) reads in that word that nobody runs the groups, and would start them beside the
//! script.
//!
//! So the groups of a legacy node that nobody claims are not simply taken: it is asked to give them. It works
//! such a request off behind every script of its own. Spec: docs/protocol/resources.md, 8 and 9.6.
//!
//! | after our request | we |
//! |---|---|
//! | its offer, and all that follows | take the groups as in any standby |
//! | its offer, and nothing follows: it hangs in a standby of its own | take them: no script of it runs |
//! | its report names them | leave them there, and do not answer the offer that follows |
//! | its offer at a moment when we can take nothing, or words of it are lost | ask again |
//! | nothing for a minute | say so: a script runs or hangs there |
//! | nothing for an hour | take them, and ask the network before each start |
//!
//! Only an offer of just its own groups counts: what a person or a client asks of it there does not wait behind
//! its scripts.

use std::time::Duration;

use crate::clock::Monotonic;
use crate::resources::parts::standby::COMPLETION;

/// When people are told that it has not answered.
const SAID: Duration = Duration::from_secs(60);

/// What is known of the scripts of the legacy node beside us.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(in crate::resources) enum Scripts {
    /// Nothing.
    #[default]
    Unknown,
    /// It was asked for its own groups.
    Asked {
        /// When.
        at: Monotonic,
        /// People were told that it has not answered.
        said: bool,
    },
    /// It has answered: none ran then.
    Done,
    /// It has reported its groups, and its answer is still to come: it is not wanted any more.
    Late {
        /// So long.
        until: Monotonic,
    },
}

/// What may be done with groups of it that nobody claims.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::resources) enum Unclaimed {
    /// Taken: no script of it runs, or that is not believed any more.
    Take,
    /// Left: a script may start them.
    Leave,
    /// Left, and it is to be asked for them.
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

    /// It is asked for its own groups.
    pub(in crate::resources) const fn ask(&mut self, at: Monotonic) {
        *self = Self::Asked { at, said: false };
    }

    /// It offers its own groups. `possible`: the offer can be answered now. `true`: that is the late answer to our
    /// request, for what it has meanwhile said to hold.
    pub(in crate::resources) fn offered(&mut self, possible: bool, now: Monotonic) -> bool {
        let known = std::mem::take(self);
        match known {
            Self::Asked { .. } if possible => *self = Self::Done,
            Self::Late { until } if now < until => return true,
            Self::Unknown | Self::Asked { .. } | Self::Done | Self::Late { .. } => {}
        }
        false
    }

    /// It reports its own groups: those it runs, whatever it was asked for.
    pub(in crate::resources) fn reported(&mut self) {
        *self = match *self {
            Self::Asked { at, .. } => Self::Late {
                until: at + COMPLETION,
            },
            late @ Self::Late { .. } => late,
            Self::Unknown | Self::Done => Self::Unknown,
        };
    }

    /// Words of it are lost: its offer may be among them.
    pub(in crate::resources) const fn words_lost(&mut self) {
        if matches!(self, Self::Asked { .. }) {
            *self = Self::Unknown;
        }
    }

    /// Until when its groups are not taken although nobody claims them.
    pub(in crate::resources) fn until(self) -> Option<Monotonic> {
        match self {
            Self::Asked { at, .. } => Some(at + COMPLETION),
            Self::Unknown | Self::Done | Self::Late { .. } => None,
        }
    }

    /// When people are to be told that it has not answered.
    pub(in crate::resources) fn deadline(self) -> Option<Monotonic> {
        match self {
            Self::Asked { at, said: false } => Some(at + SAID),
            Self::Asked { .. } | Self::Unknown | Self::Done | Self::Late { .. } => None,
        }
    }

    /// Whether that is now. Once.
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
