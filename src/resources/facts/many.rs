//! Which of more than two nodes takes the groups of a node that is gone.
//! Spec: docs/protocol/resources.md, 13, [D] (a).

use crate::protocol::name::NodeName;
use crate::resources::parts::peer::Peer;
use crate::resources::state::ResourceState;

/// What takes the groups of a node that is gone, if not this node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::resources) enum Taker {
    /// Nodes that were active before this node: they have done it.
    ActiveNodes,
    /// A legacy node, with which nothing can be agreed.
    Legacy(NodeName),
    /// The first node that follows it in the order of the configuration.
    Next(NodeName),
    /// None that is known.
    Nobody,
}

impl ResourceState {
    /// What takes the groups of `node`. `None`: this node does, because it is one of two, or the
    /// first of several that follows `node` in the order of the configuration.
    pub(in crate::resources) fn who_takes_instead(&self, node: &NodeName) -> Option<Taker> {
        let local = self.setup.local();
        let alive =
            |name: &NodeName| name == local || self.other.peer(name).is_some_and(Peer::lives);
        let mut living = self
            .other
            .nodes()
            .filter(|(name, _)| *name != node && alive(name))
            .peekable();
        if !self.other.is_many() || living.peek().is_none() {
            return None;
        }
        if !self.run.comm_up() && self.other.is_active() {
            return Some(Taker::ActiveNodes);
        }
        if let Some((legacy, _)) = living.find(|(_, peer)| !peer.is_systole()) {
            return Some(Taker::Legacy(legacy.clone()));
        }
        let nodes = self.setup.nodes();
        let at = nodes.iter().position(|name| name == node).unwrap_or(0);
        let (before, after) = nodes.split_at(at);
        match after.iter().skip(1).chain(before).find(|name| alive(name)) {
            Some(next) if next == local => None,
            Some(next) => Some(Taker::Next(next.clone())),
            None => Some(Taker::Nobody),
        }
    }
}
