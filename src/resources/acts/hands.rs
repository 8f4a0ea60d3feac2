//! What a legacy node may still be starting, or may run, when a standby with it ends, and what its
//! scripts may start. The states are in `parts/hands.rs` and `parts/behind_scripts.rs`.

use crate::clock::Monotonic;
use crate::protocol::field::{self, kind};
use crate::protocol::message::Message;
use crate::protocol::name::NodeName;
use crate::resources::holding::HoldingSet;
use crate::resources::parts::behind_scripts::Unclaimed;
use crate::resources::parts::hands::STARTS;
use crate::resources::parts::standby::{COMPLETION, Standby};
use crate::resources::state::ResourceState;

impl ResourceState {
    /// Which of these sets, which no node claims, may be taken now. `from` has just reported that
    /// it does not hold them.
    pub(in crate::resources) fn without_what_scripts_may_start(
        &mut self,
        from: &NodeName,
        set: HoldingSet,
    ) -> HoldingSet {
        if !self.other.is_legacy(from) || !set.has(HoldingSet::FOREIGN) {
            return set;
        }
        match self.loose.scripts().unclaimed(self.now) {
            Unclaimed::Take => set,
            Unclaimed::Leave => set.without(HoldingSet::FOREIGN),
            Unclaimed::Ask => {
                self.loose.scripts_mut().ask(self.now);
                self.decide(
                    format!("asks {from} to give its own resources"),
                    "no node claims them, and it handles that request after its scripts",
                );
                let request = Message::new(kind::HB_TAKEOVER)
                    .with(field::RSC_HOLD, HoldingSet::FOREIGN.word());
                self.send(request);
                set.without(HoldingSet::FOREIGN)
            }
        }
    }

    /// A legacy node offers this set. Returns whether that is the late answer to our request, while
    /// the node has reported meanwhile that it holds the set. `possible`: the offer can be answered
    /// now.
    pub(in crate::resources) fn offers_what_it_took(
        &mut self,
        from: &NodeName,
        set: HoldingSet,
        possible: bool,
    ) -> bool {
        if set != HoldingSet::LOCAL || !self.other.is_legacy(from) {
            return false;
        }
        let late = self.loose.scripts_mut().offered(possible, self.now);
        if late {
            self.decide(
                format!("does not take local of {from}"),
                "its scripts have started them, and it was asked for them before",
            );
        }
        late
    }

    /// A full report of a legacy node arrives: the node runs what it names, whatever it was asked
    /// for.
    pub(in crate::resources) fn names_its_own(&mut self, from: &NodeName) {
        if !self.other.holds().has(HoldingSet::LOCAL) || !self.other.is_legacy(from) {
            return;
        }
        self.loose.scripts_mut().reported();
    }

    /// We begin anew in a standby. The legacy node may still start or run what the standby has
    /// given it.
    pub(in crate::resources) fn leave_in_its_hands(&mut self) {
        let set = self.standby.state().in_its_hands();
        let until = self.after(COMPLETION);
        let pair = self.other.is_pair() && !set.is_none();
        let Some((name, peer)) = self.other.nodes_mut().next() else {
            return;
        };
        if !pair || peer.is_systole() || peer.is_gone() {
            return;
        }
        peer.hands_mut().we_begin_anew(set, until);
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
        let left = peer.hands_mut().lives_on(soon);
        if left.is_none() {
            return;
        }
        self.decide(
            format!("leaves {left} in the hands of {node}"),
            "it was declared dead in a standby and lives, and its scripts have gone on",
        );
    }

    /// A node begins anew that may be starting what we gave it. A node that was dead no longer
    /// starts it.
    pub(in crate::resources) fn note_unreported(&mut self, node: &NodeName, was_dead: bool) {
        let state = self.standby.state();
        let given = matches!(state, Standby::Given { .. }) && !was_dead;
        let given = given.then(|| state.given());
        let until = self.after(STARTS);
        let Some(peer) = self.other.peer_mut(node) else {
            return;
        };
        let runs_on = !was_dead && !peer.is_systole();
        let hands = peer.hands_mut();
        hands.begins_anew(runs_on, given.unwrap_or_default(), until);
        if runs_on && given.is_some() {
            self.decide(
                format!("waits with what {node} was given"),
                format!("{node} began anew, and its scripts may be starting it"),
            );
        }
    }

    /// A node is declared dead: records what it may be starting or running at that moment.
    pub(in crate::resources) fn note_hands_at_death(&mut self, node: &NodeName) {
        let set = self.standby.state().in_its_hands();
        let until = self.after(COMPLETION);
        let pair = self.other.is_pair();
        if let Some(peer) = self.other.peer_mut(node) {
            let left = (pair && !peer.is_systole()).then_some(set);
            peer.hands_mut().is_declared_dead(left, until);
        }
    }

    /// Messages of a node are lost for good: the one which says that its scripts are done may be
    /// among them.
    pub(in crate::resources) fn lost_with_full_hands(&mut self, node: &NodeName) {
        let soon = self.after(STARTS);
        if let Some(peer) = self.other.peer_mut(node) {
            peer.hands_mut().words_lost(soon);
        }
    }

    /// Messages of the node are lost: its offer may be one of them.
    pub(in crate::resources) fn lost_behind_scripts(&mut self, node: &NodeName) {
        if self.other.is_legacy(node) {
            self.loose.scripts_mut().words_lost();
        }
    }

    pub(in crate::resources) fn unreported_deadline(&self) -> Option<Monotonic> {
        let until = self.other.peers().filter_map(|peer| peer.hands().until());
        until.min()
    }

    pub(in crate::resources) fn unreported_overdue(&mut self) {
        for peer in self.other.peers_mut() {
            peer.hands_mut().overdue(self.now);
        }
    }
}
