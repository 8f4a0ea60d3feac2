//! What a legacy node runs and does not report. Its process can begin anew (`heartbeat -r`) while a
//! script of its own starts what it was given: the new process reports what it held before, and what
//! the script starts runs unreported. The script's end is told all the same, by the taker's `done`.
//!
//! | after its restart | we |
//! |---|---|
//! | no `done` for a minute | take it for not started, and ask the network before we take anything |
//! | `done` | leave it there until it gives it back or dies |
//!
//! What it has told stays told when it begins anew a second time: nobody can see whether that was
//! `heartbeat -r` again, which stops nothing.
//!
//! The same is open when we begin anew (we stood still, or let go of everything) in the middle of a standby
//! with a legacy node. It goes on with its scripts and answers our new run as if it were settled. It names
//! what it takes only when it has it, and no longer names what it gives and still stops. And the same when
//! we declared it dead in the middle of a standby, and it lives; then its `done` may be lost.
//!
//! | after our own restart, or its return in the same run | we |
//! |---|---|
//! | neither of those below, for an hour | take it for not started |
//! | the same, and its `done` may be lost | wait no longer than a minute, and ask the network before we take anything |
//! | `done` | ask what it holds, and take what it has released |
//! | a report that names it | leave it there |
//!
//! It ends a standby when it declares us dead, which we may not notice, and its script goes on. `done` says
//! that it has started what we gave; whether it knows that it holds it, only its report tells. None may
//! come by itself.
//!
//! | after its `done` | we |
//! |---|---|
//! | no report | ask for it |
//! | a report that names it | leave it there, and believe each further report |
//! | one that does not | leave it there until it gives it back or dies |

use crate::protocol::field::{self, kind};
use crate::protocol::message::Message;
use crate::protocol::name::NodeName;
use crate::resources::holding::HoldingSet;
use crate::resources::parts::behind_scripts::Scripts;
use crate::resources::parts::loose::STARTS;
use crate::resources::parts::standby::{COMPLETION, Standby};
use crate::resources::state::ResourceState;

impl ResourceState {
    /// What of these groups, which nobody claims, may be taken now. `from` has just said that it does not hold
    /// them.
    pub(in crate::resources) fn without_what_scripts_may_start(
        &mut self,
        from: &NodeName,
        set: HoldingSet,
    ) -> HoldingSet {
        if !self.other.is_legacy(from) || !set.has(HoldingSet::FOREIGN) {
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

    /// A legacy node offers this set: whether that is the late answer to our request, for what it has meanwhile
    /// said to hold. `possible`: the offer can be answered now.
    pub(in crate::resources) fn offers_what_it_took(
        &mut self,
        from: &NodeName,
        set: HoldingSet,
        possible: bool,
    ) -> bool {
        if set != HoldingSet::LOCAL || !self.other.is_legacy(from) {
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
    pub(in crate::resources) fn names_its_own(&mut self, from: &NodeName) {
        if !self.other.holds().has(HoldingSet::LOCAL) || !self.other.is_legacy(from) {
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

    /// We begin anew: what a legacy node has in its hands by the standby that ends here, it may start or
    /// still run.
    pub(in crate::resources) fn leave_in_its_hands(&mut self) {
        let set = self.in_its_hands();
        let until = self.after(COMPLETION);
        let pair = self.other.is_pair() && !set.is_none();
        let Some((name, peer)) = self.other.nodes_mut().next() else {
            return;
        };
        if !pair || peer.is_systole() || peer.is_gone() {
            return;
        }
        peer.hands = peer.hands.and(set, until);
        let name = name.clone();
        self.decide(
            format!("leaves {set} in the hands of {name}"),
            "we begin anew in a standby, and its scripts go on: it says when they are done",
        );
    }

    /// A node that was declared dead lives, in the run that we knew: its scripts have gone on.
    pub(in crate::resources) fn goes_on_after_its_death(&mut self, node: &NodeName) {
        let soon = self.after(STARTS);
        let Some(peer) = self.other.peer_mut(node) else {
            return;
        };
        let mut hands = std::mem::take(&mut peer.hands_at_death);
        if hands.unreported.is_none() {
            return;
        }
        // What it said meanwhile we have not heard.
        hands.until = hands.until.map(|_| soon);
        peer.hands = hands;
        self.decide(
            format!("leaves {} in the hands of {node}", hands.unreported),
            "it was declared dead in a standby and lives, and its scripts have gone on",
        );
    }

    /// A node begins anew that may be starting what we gave it. One that was dead is no longer at it.
    pub(in crate::resources) fn note_unreported(&mut self, node: &NodeName, was_dead: bool) {
        let given = self.standby == Standby::Given && !was_dead;
        let given = given.then(|| self.sb_set.mirror());
        let until = self.after(STARTS);
        let Some(peer) = self.other.peer_mut(node) else {
            return;
        };
        let taken = peer.has_taken.take().filter(|_| !was_dead);
        if let Some((set, _)) = taken {
            peer.hands = peer.hands.started(set);
        }
        let legacy = !peer.is_systole();
        let hands = &mut peer.hands;
        let tells = std::mem::take(&mut hands.tells) && !was_dead;
        let runs_there = !was_dead && legacy && (tells || hands.until.is_none());
        if !runs_there {
            hands.unreported = HoldingSet::NONE;
        }
        hands.until = tells.then_some(until);
        if let Some(given) = given.filter(|_| legacy) {
            hands.unreported = hands.unreported.with(given);
            hands.until = Some(until);
            self.decide(
                format!("waits with what {node} was given"),
                format!("{node} began anew, and its scripts may be starting it"),
            );
        }
    }
}
