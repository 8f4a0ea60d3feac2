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

use super::holding::HoldingSet;
use super::standby::COMPLETION;
use super::state::ResourceState;
use crate::clock::Monotonic;
use crate::protocol::field::{self, kind};
use crate::protocol::message::Message;
use crate::protocol::name::NodeName;

/// When people are told that it has not answered.
const SAID: Duration = Duration::from_secs(60);

/// What is known of the scripts of the legacy node beside us.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scripts {
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

impl ResourceState {
    /// What of these groups, which nobody claims, may be taken now. `from` has just said that it does not hold
    /// them.
    pub(super) fn without_what_scripts_may_start(
        &mut self,
        from: &NodeName,
        set: HoldingSet,
    ) -> HoldingSet {
        if !self.is_legacy(from) || !set.has(HoldingSet::FOREIGN) {
            return set;
        }
        match self.beside_legacy.scripts {
            Scripts::Done => set,
            Scripts::Asked { at, .. } if at + COMPLETION <= self.now => set,
            Scripts::Asked { .. } => set.without(HoldingSet::FOREIGN),
            Scripts::Unknown | Scripts::Late { .. } => {
                let (at, said) = (self.now, false);
                self.beside_legacy.scripts = Scripts::Asked { at, said };
                self.decide(
                    format!("asks {from} to give its own resources"),
                    "nobody claims them, and it works that request off behind its scripts",
                );
                let request = Message::new(kind::HB_TAKEOVER)
                    .with(field::RSC_HOLD, HoldingSet::FOREIGN.word());
                self.send(request);
                set.without(HoldingSet::FOREIGN)
            }
        }
    }

    /// Until when its groups are not taken although nobody claims them.
    pub(super) fn scripts_until(&self) -> Option<Monotonic> {
        match self.beside_legacy.scripts {
            Scripts::Asked { at, .. } => Some(at + COMPLETION),
            Scripts::Unknown | Scripts::Done | Scripts::Late { .. } => None,
        }
    }

    /// A legacy node offers this set: whether that is the late answer to our request, for what it has meanwhile
    /// said to hold. `possible`: the offer can be answered now.
    pub(super) fn offers_what_it_took(
        &mut self,
        from: &NodeName,
        set: HoldingSet,
        possible: bool,
    ) -> bool {
        if set != HoldingSet::LOCAL || !self.is_legacy(from) {
            return false;
        }
        let known = std::mem::take(&mut self.beside_legacy.scripts);
        match known {
            Scripts::Asked { .. } if possible => self.beside_legacy.scripts = Scripts::Done,
            Scripts::Late { until } if self.now < until => {
                self.decide(
                    format!("does not take local of {from}"),
                    "its scripts have started them, and it was asked for them before",
                );
                return true;
            }
            Scripts::Unknown | Scripts::Asked { .. } | Scripts::Done | Scripts::Late { .. } => {}
        }
        false
    }

    /// A full report of a legacy node: what it names it runs, whatever it was asked for.
    pub(super) fn names_its_own(&mut self, from: &NodeName) {
        if !self.theirs.has(HoldingSet::LOCAL) || !self.is_legacy(from) {
            return;
        }
        self.beside_legacy.scripts = match self.beside_legacy.scripts {
            Scripts::Asked { at, .. } => Scripts::Late {
                until: at + COMPLETION,
            },
            late @ Scripts::Late { .. } => late,
            Scripts::Unknown | Scripts::Done => Scripts::Unknown,
        };
    }

    /// Words of it are lost: its offer may be among them.
    pub(super) fn lost_behind_scripts(&mut self, node: &NodeName) {
        let asked = matches!(self.beside_legacy.scripts, Scripts::Asked { .. });
        if asked && self.is_legacy(node) {
            self.beside_legacy.scripts = Scripts::Unknown;
        }
    }

    /// What was asked for is ours: by the standby that has followed, or by our own hand.
    pub(super) fn scripts_matter_no_more(&mut self) {
        let served = self.mine.has(HoldingSet::FOREIGN);
        if served {
            self.beside_legacy.scripts = Scripts::Unknown;
        }
    }

    pub(super) fn scripts_deadline(&self) -> Option<Monotonic> {
        match self.beside_legacy.scripts {
            Scripts::Asked { at, said: false } => Some(at + SAID),
            Scripts::Asked { .. } | Scripts::Unknown | Scripts::Done | Scripts::Late { .. } => None,
        }
    }

    pub(super) fn scripts_overdue(&mut self) {
        let due = self.scripts_deadline().is_some_and(|at| at <= self.now);
        let Scripts::Asked { said, .. } = &mut self.beside_legacy.scripts else {
            return;
        };
        if !due {
            return;
        }
        *said = true;
        let Some((node, _)) = self.other() else {
            return;
        };
        let keys = self.keys_of(HoldingSet::FOREIGN);
        self.warn(format!(
            "node {node} reports none of its own resources and has not answered our request for them for a \
             minute: a script runs there or hangs, and may start {}. They are not taken here meanwhile. End the \
             script there; where none runs, hb_standby local there brings them here",
            Self::named(&keys)
        ));
    }
}
