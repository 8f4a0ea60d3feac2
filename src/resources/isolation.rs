//! What the resource core does when this node is cut off: it lets go of everything, keeps quiet,
//! and begins again when it hears somebody. When it is cut off is decided in
//! [`policy::isolation`](crate::policy::isolation).
//!
//! Meanwhile the phase is `Shutdown`: nothing is acquired, taken or given.

use super::handshake::report;
use super::holding::HoldingSet;
use super::output::ResourceOutput;
use super::state::{Phase, ResourceState};
use crate::protocol::message::Message;
use crate::protocol::name::NodeName;
use crate::protocol::status::NodeStatus;

/// Cut off from this node and from every ping node.
#[derive(Debug)]
pub(super) struct CutOff {
    peer: NodeName,
    /// The message of its death, for the hook.
    message: Message,
    /// Everything is stopped.
    released: bool,
    /// A ping node answers again; the release goes on still.
    regained: bool,
}

impl ResourceState {
    /// Whether this node may let go of its resources by itself.
    #[must_use]
    pub fn may_be_cut_off(&self) -> bool {
        self.manage && !self.frozen && !self.stopping() && self.is_pair()
    }

    /// Whether everything is being released, for whatever reason: no address comes back.
    #[must_use]
    pub fn gives_everything_up(&self) -> bool {
        self.phase == Phase::Shutdown
    }

    /// Whether everything is released, or being released, because nobody is heard.
    #[must_use]
    pub const fn is_cut_off(&self) -> bool {
        self.isolated.is_some()
    }

    /// Whether a node has said that it goes: its silence is no surprise. One that still releases
    /// everything has not: after a partition it goes on when that is done.
    #[must_use]
    pub fn has_left(&self, node: &NodeName) -> bool {
        self.peers.get(node).is_some_and(|peer| peer.left)
    }

    /// The dead time of `node` is over, and this node is the one that is cut off.
    pub(super) fn cut_off_from(&mut self, node: &NodeName, message: Message) {
        // A release of everything is under way: when it is done this node keeps quiet all the same.
        let releases = self.phase == Phase::Shutdown;
        if releases && self.isolated.is_some() {
            let yields = self.peers.get(node).is_some_and(|peer| peer.yields);
            return self.node_dead(node, true, false, yields, message);
        }
        let peer = self.peers.entry(node.clone()).or_default();
        peer.status = Some(NodeStatus::Dead);
        peer.ends();
        self.take_back_given();
        self.cancel_standby();
        self.other_stable = true;
        let cause = format!("neither {node} nor a ping node is heard: this node is cut off");
        self.warn(format!("isolated: {cause}; resources are released"));
        self.decide(format!("releases {} and takes nothing", self.mine), cause);
        self.isolated = Some(CutOff {
            peer: node.clone(),
            message,
            released: false,
            regained: false,
        });
        if !releases {
            self.release_all("standby");
        }
    }

    /// A ping node has answered for a dead time, the peer has not been heard.
    pub(super) fn regained(&mut self) {
        let Some(mut cut_off) = self.isolated.take() else {
            return;
        };
        if !cut_off.released {
            cut_off.regained = true;
            self.isolated = Some(cut_off);
            return;
        }
        let peer = cut_off.peer;
        self.phase = Phase::Stable;
        self.warn(format!(
            "no longer isolated: a ping node answers, {peer} is still dead"
        ));
        self.decide(
            "takes everything",
            format!("a ping node answers again and {peer} is still dead"),
        );
        let yields = self.peers.get(&peer).is_some_and(|known| known.yields);
        self.node_dead(&peer, true, false, yields, cut_off.message);
    }

    /// Everything is released. `true`: because this node is cut off, nothing else follows.
    pub(super) fn released_when_cut_off(&mut self) -> bool {
        let Some(cut_off) = &mut self.isolated else {
            return false;
        };
        cut_off.released = true;
        let regained = cut_off.regained;
        // Whoever hears us all the same may take them.
        if self.nice() && self.comm_up {
            self.send(report(HoldingSet::NONE, true, None));
        }
        if regained {
            self.regained();
        }
        true
    }

    /// The peer is heard again: nothing runs here, so both begin anew. `false`: was not cut off.
    pub(super) fn heard_when_cut_off(&mut self, cause: &str) -> bool {
        let Some(cut_off) = self.isolated.take() else {
            return false;
        };
        self.warn(format!("no longer isolated: {cause}"));
        self.decide("begins anew", cause);
        self.comm_up = false;
        self.forget_verdicts();
        self.out.push(ResourceOutput::BeginNewGeneration);
        if cut_off.released {
            self.forget();
        }
        true
    }

    /// The node is to stop: nothing is left to wait for.
    pub(super) fn stop_when_cut_off(&mut self) {
        if self.isolated.take().is_some_and(|it| it.released) {
            self.phase = Phase::Stable;
        }
    }
}
