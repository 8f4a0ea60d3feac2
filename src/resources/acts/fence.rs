//! A dead node that has to be fenced: whether it has to, and what waits for it. Spec: docs/protocol/resources.md, 10.1 and 10.3.
//!
//! The wait begins in the verdict and ends in the takeover; nothing between the two may start what
//! the node may run:
//!
//! | road to a start | held by |
//! |---|---|
//! | takeover of the node: at its death, at the end of the exchange at start, at a thaw | `Act::TakeOver` |
//! | own groups at the end of the exchange at start | `Act::Settle`, `Act::SettleAlone`, `Act::TakeOwn`, `Act::TakeOwnAlone` |
//! | any other job that begins meanwhile: a failed group tried again, a group that came by request | `Work::begin`: its starts wait for `Act::StartHeld` |
//!
//! A start in hand at the death goes on, as in legacy: it was agreed with the node.

use crate::protocol::fencing::{Serves, Standing};
use crate::protocol::message::Message;
use crate::protocol::name::NodeName;
use crate::resources::gate::Act;
use crate::resources::holding::HoldingSet;
use crate::resources::output::ResourceOutput;
use crate::resources::parts::peer::Peer;
use crate::resources::parts::run::Phase;
use crate::resources::parts::timers::Timer;
use crate::resources::state::ResourceState;

/// What has to be done with a dead node before its groups are taken over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::resources) enum Fate {
    /// It is fenced.
    Fenced,
    /// It should be fenced, and nothing is configured for it.
    Unprotected,
    /// It runs nothing, or there is nothing to take.
    Unneeded,
}

impl ResourceState {
    /// What has to be done with `node`, which was just declared dead. `heard`: it was received
    /// since its last death. `told`: see [`has_told_everything`](Self::has_told_everything).
    pub(in crate::resources) fn fate_of(&self, node: &NodeName, heard: bool, told: bool) -> Fate {
        let reached = self.unfenced.guards(node);
        // Legacy takes a node that has not reported yet, or that still starts, for one that holds
        // nothing.
        if heard && (told || !reached) && self.died_empty(node) {
            Fate::Unneeded
        } else if !reached {
            Fate::Unprotected
        } else if !heard && self.has_everything_of(node) && !self.unfenced.waits_for(node) {
            // An earlier process of this node took it over, or it held nothing then.
            Fate::Unneeded
        } else {
            Fate::Fenced
        }
    }

    /// Whether it is known what a node runs that was just declared dead. One that was not settled may
    /// have started its own since its report, one in which a standby ended badly runs what it does
    /// not hold, and a Systole node takes what no node owns.
    pub(in crate::resources) fn has_told_everything(&self, node: &NodeName) -> bool {
        let keys = self.groups.keys_of(HoldingSet::ALL);
        let runs = keys.iter().any(|key| self.other.runs(key));
        let hides = runs && self.other.may_hold().is_none();
        let free = self.unowned_of(HoldingSet::ALL);
        let takes = self.other.is_systole(node) && !self.groups.keys_of(free).is_empty();
        let told = |peer: &Peer| {
            let clear = peer.has_reported() && !peer.is_unsettled() && !hides && !takes;
            clear || peer.has_left()
        };
        self.other.peer(node).is_some_and(told)
    }

    /// Whether a dead node held nothing, as far as it has reported. The one record for several
    /// nodes tells nothing about one of them.
    fn died_empty(&self, node: &NodeName) -> bool {
        if self.nice() && self.other.is_pair() {
            self.other.may_hold().is_none()
        } else {
            self.other.peer(node).is_some_and(Peer::has_left)
        }
    }

    /// Whether nothing of the node is left to be taken.
    fn has_everything_of(&self, node: &NodeName) -> bool {
        if self.nice() {
            return self.duty.held() == HoldingSet::ALL;
        }
        let keys = self.groups.keys_owned_by(node);
        let own = self.groups.keys_owned_by(self.setup.local());
        let mut keys = keys.into_iter().chain(own).peekable();
        keys.peek().is_some() && keys.all(|key| self.groups.runs(&key))
    }

    /// The takeover of a dead node waits until the node is fenced.
    pub(in crate::resources) fn wait_for_fence(
        &mut self,
        node: &NodeName,
        [heard, told]: [bool; 2],
        message: Message,
    ) {
        let standing = self.standing(node, [heard, told]);
        self.unfenced.wait_for(node, Some(message));
        self.groups.starts_wait();
        self.other.settles();
        self.begins_alone();
        self.decide(
            format!("takes nothing of {node} before it is fenced"),
            "it is dead, it may run groups, and a device or its watchdog can reset it",
        );
        let node = node.clone();
        self.out.push(ResourceOutput::FenceDue { node, standing });
    }

    /// A node that held nothing was declared dead. If it lives, it takes everything over in a moment,
    /// and resets this node for that: while groups run here, this node goes first. Nothing waits for
    /// it. A legacy node gives no second chance: both would shoot in one moment.
    pub(in crate::resources) fn guard_against(&mut self, node: &NodeName, heard: bool) {
        let standing = self.standing(node, [heard, true]);
        let may_live = self
            .other
            .peer(node)
            .is_some_and(|peer| peer.is_systole() && !peer.has_left());
        let may_shoot = heard && may_live && self.nice() && self.other.is_pair();
        if may_shoot && standing.serves && self.unfenced.reaches(node) {
            let node = node.clone();
            self.out.push(ResourceOutput::FenceDue { node, standing });
        }
    }

    /// The taker of a standby died before all was stopped for it, and the takeover that would make it
    /// ours again has to wait. What still runs here and was not touched runs on, under our duty; what
    /// was stopped, or is being stopped, waits as everything else does: the node may have declared us
    /// dead and taken it. What else runs here and is not held is stopped as before.
    pub(in crate::resources) fn keep_what_was_not_given(&mut self, given: HoldingSet) {
        let ours = given.without(self.other.may_hold().mirror());
        self.duty.take(ours);
        for key in self.groups.keys_of(ours) {
            if !self.groups.runs_untouched(&key) {
                self.groups.start_when_settled(&key, self.now);
            }
        }
        let rest = self
            .groups
            .keys_of(HoldingSet::ALL.without(self.duty.held()));
        let rest = rest.into_iter().filter(|key| self.groups.runs(key));
        self.release_rest(rest.collect());
    }

    fn standing(&self, node: &NodeName, [heard, told]: [bool; 2]) -> Standing {
        let place = |name: &NodeName| self.setup.nodes().iter().position(|known| known == name);
        let settled = match self.run.phase() {
            Phase::Stable => true,
            Phase::Init | Phase::Starting | Phase::Waiting | Phase::Shutdown => !heard,
        };
        Standing {
            serves: self.groups.that_may_run().next().is_some(),
            other: match told {
                false => Serves::Unknown,
                true if self.other.may_hold().is_none() && self.nice() => Serves::Nothing,
                true => Serves::Something,
            },
            first: place(self.setup.local()) < place(node),
            settled,
            hasty: heard && !self.other.is_systole(node),
        }
    }

    /// No node is left to agree with, but one is not fenced yet: the exchange at start stays open,
    /// so that this node settles with the takeover, or with that node.
    fn begins_alone(&mut self) {
        if matches!(self.run.phase(), Phase::Starting | Phase::Waiting) && self.other.all_gone() {
            self.run.enters(Phase::Starting);
            self.timers.clear(Timer::Own);
        }
    }

    /// A node whose takeover waits is received again, or nothing is taken over any more. Returns
    /// whether it waited: then nothing of it was taken.
    pub(in crate::resources) fn need_not_be_fenced(&mut self, node: &NodeName) -> bool {
        let waited = self.unfenced.remove(node).is_some();
        if waited {
            self.starts_may_go_on();
            let node = node.clone();
            self.out.push(ResourceOutput::FenceDropped(node));
        }
        waited
    }

    /// The node is being stopped: it takes nothing over any more.
    pub(in crate::resources) fn fence_nobody(&mut self) {
        let guarded = |node: &&NodeName| self.unfenced.guards(node);
        let nodes: Vec<NodeName> = self.other.names().filter(guarded).cloned().collect();
        for node in nodes {
            if !self.need_not_be_fenced(&node) {
                // It may be reset as a precaution.
                self.out.push(ResourceOutput::FenceDropped(node));
            }
        }
    }

    pub(in crate::resources) fn starts_may_go_on(&mut self) {
        if self.may(Act::StartHeld) {
            self.groups.starts_go_on();
        }
    }

    /// What an earlier process of this node waited for. The node is declared dead anew before it is
    /// fenced. Call after [`finish`](Self::finish): what was in hand goes on.
    pub fn keep_unfenced(&mut self, nodes: &[NodeName]) {
        for node in nodes {
            if self.setup.nodes().contains(node) && self.unfenced.guards(node) {
                self.unfenced.wait_for(node, None);
                self.groups.starts_wait();
            }
        }
    }

    /// Dead nodes whose takeover waits until they are fenced.
    pub fn unfenced(&self) -> impl Iterator<Item = &NodeName> {
        self.unfenced.nodes()
    }
}
