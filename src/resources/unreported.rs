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

use std::time::Duration;

use super::holding::HoldingSet;
use super::peers::{Hands, Peer};
use super::standby::{COMPLETION, Standby};
use super::state::ResourceState;
use crate::clock::Monotonic;
use crate::protocol::group::GroupKey;
use crate::protocol::message::Message;
use crate::protocol::name::NodeName;
use crate::protocol::question::Position;
use crate::protocol::status::NodeStatus;

/// How long its scripts may take until its word counts.
const STARTS: Duration = Duration::from_secs(60);

impl ResourceState {
    /// What a legacy node has in its hands by the standby that ends here.
    fn in_its_hands(&self) -> HoldingSet {
        match self.standby {
            Standby::Given => self.sb_set.mirror(),
            Standby::Answered { .. } => self.sb_set,
            Standby::Not | Standby::Asked(_) | Standby::Giving | Standby::Taking => {
                HoldingSet::NONE
            }
        }
    }

    /// We begin anew: what a legacy node has in its hands by the standby that ends here, it may start or
    /// still run.
    pub(super) fn leave_in_its_hands(&mut self) {
        let set = self.in_its_hands();
        let until = self.after(COMPLETION);
        let pair = self.is_pair() && !set.is_none();
        let Some((name, peer)) = self.peers.iter_mut().next() else {
            return;
        };
        if !pair || peer.systole || peer.is_gone() {
            return;
        }
        peer.hands = peer.hands.and(set, until);
        let name = name.clone();
        self.decide(
            format!("leaves {set} in the hands of {name}"),
            "we begin anew in a standby, and its scripts go on: it says when they are done",
        );
    }

    /// A node is declared dead: what it has in its hands then.
    pub(super) fn note_hands_at_death(&mut self, node: &NodeName) {
        let set = self.in_its_hands();
        let until = self.after(COMPLETION);
        let pair = self.is_pair();
        let Some(peer) = self.peers.get_mut(node) else {
            return;
        };
        peer.hands_at_death = match peer.hands {
            _ if peer.systole || !pair => Hands::default(),
            hands if set.is_none() => hands,
            hands => hands.and(set, until),
        };
    }

    /// A node that was declared dead lives, in the run that we knew: its scripts have gone on.
    pub(super) fn goes_on_after_its_death(&mut self, node: &NodeName) {
        let soon = self.after(STARTS);
        let Some(peer) = self.peers.get_mut(node) else {
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

    /// Words of a node are lost for good: the word that its scripts are done may be among them.
    pub(super) fn lost_with_full_hands(&mut self, node: &NodeName) {
        let soon = self.after(STARTS);
        if let Some(peer) = self.peers.get_mut(node)
            && let Some(until) = &mut peer.hands.until
        {
            *until = soon.min(*until);
        }
    }

    /// A legacy taker says that it is done: its report is waited for, and asked for when none comes.
    pub(super) fn expects_its_report(&mut self, taker: &NodeName, done: Position) {
        let set = self.sb_set.mirror();
        let pair = self.is_pair();
        let Some(peer) = self.peers.get_mut(taker).filter(|peer| !peer.systole) else {
            return;
        };
        let named = peer.newest_report > done && peer.holds.has(set);
        if !pair || named {
            return;
        }
        peer.has_taken = Some((set, done));
        peer.asked = 0;
        if self.timers.ask_again.is_none() {
            self.ask_soon();
        }
    }

    /// A full report: whether it names what its sender has in its hands, or has said that it has taken.
    pub(super) fn names_what_it_took(&mut self, node: &NodeName, set: HoldingSet, at: Position) {
        let Some(peer) = self.peers.get_mut(node) else {
            return;
        };
        if !peer.hands.unreported.is_none() {
            peer.hands.unreported = peer.hands.unreported.without(set);
            if peer.hands.unreported.is_none() {
                peer.hands = Hands::default();
            }
        }
        let Some((taken, _)) = peer.has_taken.filter(|(_, done)| *done < at) else {
            return;
        };
        peer.has_taken = None;
        let missing = taken.without(set);
        if missing.is_none() {
            return;
        }
        peer.hands = peer.hands.started(missing);
        self.say_that_it_stays(
            node,
            missing,
            "it says that it has started it, and does not report it",
        );
    }

    /// A node begins anew that may be starting what we gave it. One that was dead is no longer at it.
    pub(super) fn note_unreported(&mut self, node: &NodeName, was_dead: bool) {
        let given = self.standby == Standby::Given && !was_dead;
        let given = given.then(|| self.sb_set.mirror());
        let until = self.after(STARTS);
        let Some(peer) = self.peers.get_mut(node) else {
            return;
        };
        let taken = peer.has_taken.take().filter(|_| !was_dead);
        if let Some((set, _)) = taken {
            peer.hands = peer.hands.started(set);
        }
        let hands = &mut peer.hands;
        let tells = std::mem::take(&mut hands.tells) && !was_dead;
        let runs_there = !was_dead && !peer.systole && (tells || hands.until.is_none());
        if !runs_there {
            hands.unreported = HoldingSet::NONE;
        }
        hands.until = tells.then_some(until);
        if let Some(given) = given.filter(|_| !peer.systole) {
            hands.unreported = hands.unreported.with(given);
            hands.until = Some(until);
            self.decide(
                format!("waits with what {node} was given"),
                format!("{node} began anew, and its scripts may be starting it"),
            );
        }
    }

    /// A `done` that belongs to no standby: whether it tells the end of such a start.
    pub(super) fn started_unreported(
        &mut self,
        node: &NodeName,
        set: HoldingSet,
        message: &Message,
    ) -> bool {
        let answered = matches!(&self.standby, Standby::Answered { giver, .. } if giver == node);
        if answered && self.follows_answered_offer(node, set, message) {
            // It gives: by an offer that its new run has made.
            return false;
        }
        if let Some(peer) = self.peers.get_mut(node).filter(|peer| peer.hands.tells) {
            // In the run that began it: what it holds now, it also reports.
            peer.hands = Hands::default();
            return false;
        }
        let given = match self.standby {
            Standby::Not | Standby::Asked(_) | Standby::Answered { .. } => false,
            Standby::Giving | Standby::Given | Standby::Taking => true,
        };
        let Some(peer) = self.peers.get_mut(node).filter(|_| !given) else {
            return false;
        };
        let started = peer.hands.unreported.common(set.mirror());
        let is_it = peer.hands.until.is_some() && !started.is_none();
        if is_it {
            peer.hands.until = None;
            self.say_that_it_stays(
                node,
                started,
                "it began anew while it started it, and may not report it",
            );
        }
        is_it
    }

    /// A legacy node runs what we gave it, and forgets that. `set`: from its view.
    fn say_that_it_stays(&mut self, node: &NodeName, set: HoldingSet, why: &str) {
        let keys = self.keys_of(set.mirror());
        self.warn(format!(
            "node {node} runs what we gave it, and may never say so ({why}): {} stays there. hb_takeover \
             on this node brings it back",
            Self::named(&keys)
        ));
        self.decide(format!("leaves {} to {node}", set.mirror()), why);
    }

    /// Groups that a legacy node says it holds, when nothing is in transition.
    pub fn held_by_legacy(&self) -> impl Iterator<Item = (&GroupKey, &NodeName)> {
        let quiet = self.nice() && self.is_pair() && self.comm_up && self.is_stable();
        let legacy = |peer: &Peer| {
            !peer.systole
                && !peer.leaving
                && peer.reported
                && peer.status == Some(NodeStatus::Active)
        };
        let peers = self
            .peers
            .iter()
            .filter(move |(_, peer)| quiet && legacy(peer));
        let set = self.theirs.mirror().without(self.mine);
        peers.flat_map(move |(name, _)| {
            let groups = self.groups.iter();
            let held = groups.filter(move |group| set.has(self.side_of(group)));
            held.map(move |group| (&group.key, name))
        })
    }

    pub(super) fn unreported_deadline(&self) -> Option<Monotonic> {
        let until = self.peers.values().filter_map(|peer| peer.hands.until);
        until.min()
    }

    pub(super) fn unreported_overdue(&mut self) {
        for peer in self.peers.values_mut() {
            if Self::take_due(&mut peer.hands.until, self.now) {
                peer.hands = Hands::default();
            }
        }
    }
}
