//! The other nodes: the guardian is told whether one of them waits for this node.

use std::collections::BTreeSet;

use actix::prelude::*;

use super::RootActor;
use crate::actors::messages::PeerStatus;
use crate::protocol::name::NodeName;
use crate::protocol::status::NodeStatus;

/// Nodes that could take over when this one falls silent.
#[derive(Debug, Default)]
pub(super) struct Peers {
    active: BTreeSet<NodeName>,
}

impl Peers {
    fn note(&mut self, PeerStatus { node, status }: &PeerStatus) {
        if *status == NodeStatus::Active {
            self.active.insert(node.clone());
        } else {
            self.active.remove(node);
        }
    }

    /// Whether another node is there to take over when this one falls silent.
    pub(super) fn has_successor(&self) -> bool {
        !self.active.is_empty()
    }
}

impl RootActor {
    /// The status of another node has changed.
    pub(super) fn peer_status(&mut self, status: &PeerStatus, ctx: &mut Context<Self>) {
        // Its scripts may use a file that was changed here as well.
        self.look_at_haresources(ctx);
        self.peers.note(status);
        self.tell_guardian_who_waits();
    }

    /// No node takes over from a node that is alone: its successor has all the time it needs.
    fn tell_guardian_who_waits(&self) {
        let patience = self.config.timing.others_wait();
        let waits = self.peers.has_successor().then_some(patience);
        self.guardian.others_wait(waits);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_active_node_takes_over() {
        let mut peers = Peers::default();
        let mut after = |node: &str, status| {
            let node = NodeName::new(node).unwrap();
            peers.note(&PeerStatus { node, status });
            peers.has_successor()
        };
        assert!(!after("b", NodeStatus::Up));
        assert!(after("b", NodeStatus::Active));
        assert!(after("c", NodeStatus::Active));
        assert!(after("b", NodeStatus::Dead));
        assert!(!after("c", NodeStatus::Up));
    }
}
