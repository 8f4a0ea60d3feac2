//! What other parts may read of membership.

use std::time::Duration;

use super::super::gaps::Sampled;
use super::super::name::{Generation, MediumName, NodeName, NodeUuid, Sequence};
use super::super::node_table::{Node, NodeKind};
use super::super::settings::Timing;
use super::super::status::NodeStatus;
use super::Membership;
use super::comm::Phase;
use crate::clock::Monotonic;

/// A node, as other parts may read it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeView<'a> {
    /// Name.
    pub name: &'a NodeName,
    /// Whether it is a ping node.
    pub ping: bool,
    /// Whether it is ourselves.
    pub own: bool,
    /// Status.
    pub status: NodeStatus,
    /// Generation; 0: nothing was received yet.
    pub generation: Generation,
    /// Whether anything was received since the start or since its last death.
    pub heard: bool,
    /// Uuid, once learnt.
    pub uuid: Option<NodeUuid>,
    /// Quorum weight, default 100.
    pub weight: u32,
    /// Site, default empty.
    pub site: &'a str,
    /// Numbers that are missing.
    pub missing: usize,
    /// While some are missing: the highest number received.
    pub gap_to: Option<Sequence>,
    /// Links: medium and whether it is up.
    pub links: Vec<(&'a MediumName, bool)>,
}

/// For how long another node or a ping node has been silent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Silence {
    /// Its name.
    pub node: NodeName,
    /// Whether it is a ping node.
    pub ping: bool,
    /// Status.
    pub status: NodeStatus,
    /// Time of its last status message in its present run; `None`: none yet.
    pub heard: Option<Monotonic>,
    /// When its silence comes close to a death, by the shorter of its dead time and ours, whether
    /// we were late or not; `None` where that cannot happen.
    pub due: Option<Monotonic>,
}

impl<'a> From<&'a Node> for NodeView<'a> {
    fn from(node: &'a Node) -> Self {
        Self {
            name: &node.name,
            ping: node.kind == NodeKind::Ping,
            own: node.kind == NodeKind::Own,
            status: node.status,
            generation: node.generation,
            heard: node.heard,
            uuid: node.uuid,
            weight: node.weight,
            site: &node.site,
            missing: node.window.missing_len(),
            gap_to: node.window.last().filter(|_| node.window.missing_len() > 0),
            links: node
                .links
                .iter()
                .map(|link| (link.medium(), link.is_up()))
                .collect(),
        }
    }
}

impl Membership {
    /// Our own name.
    #[must_use]
    pub const fn local(&self) -> &NodeName {
        &self.settings.local
    }

    /// The generation we run under.
    #[must_use]
    pub const fn generation(&self) -> Generation {
        self.generation
    }

    /// Our own status, as we report it.
    #[must_use]
    pub const fn status(&self) -> NodeStatus {
        self.status
    }

    /// Whether communication is up: we are `active`.
    #[must_use]
    pub const fn comm_up(&self) -> bool {
        matches!(self.phase, Phase::Up)
    }

    /// All nodes in table order, ourselves and ping nodes included.
    pub fn nodes(&self) -> impl Iterator<Item = NodeView<'_>> {
        self.nodes.iter().map(NodeView::from)
    }

    /// Interval of our own status message.
    #[must_use]
    pub const fn keepalive(&self) -> Duration {
        self.settings.timing.keepalive
    }

    /// The silences of all nodes except our own. `early`: how long before the end of the dead time
    /// a silence is due.
    #[must_use]
    pub fn silences(&self, early: Duration) -> Vec<Silence> {
        let others = self.nodes.iter().filter(|node| node.kind != NodeKind::Own);
        let silence = |node: &Node| Silence {
            node: node.name.clone(),
            ping: node.kind == NodeKind::Ping,
            status: node.status,
            heard: node.last_status,
            due: self.almost_dead(node, early),
        };
        others.map(silence).collect()
    }

    /// How far apart the heartbeats of a node were, over all media, in the last month; of ourselves as they leave.
    #[must_use]
    pub fn gaps(&self, name: &NodeName, now: Monotonic) -> Option<Sampled> {
        let index = self.nodes.find(name.as_str())?;
        self.nodes.get(index)?.gaps.as_ref()?.sampled(now)
    }

    /// The times in force.
    #[must_use]
    pub const fn timing(&self) -> &Timing {
        &self.settings.timing
    }

    /// One node.
    #[must_use]
    pub fn node(&self, name: &NodeName) -> Option<NodeView<'_>> {
        let index = self.nodes.find(name.as_str())?;
        self.nodes.get(index).map(NodeView::from)
    }

    /// Members that are `up` or `active`, ourselves included.
    #[cfg(test)]
    pub(crate) fn living_nodes(&self) -> usize {
        self.nodes.living()
    }

    /// Whether a node advertises a capability word in its present generation.
    #[cfg(test)]
    pub(crate) fn advertises(&self, node: &NodeName, word: &str) -> bool {
        *node == self.settings.local && self.capabilities.contains(word)
            || self
                .nodes
                .find(node.as_str())
                .and_then(|index| self.nodes.get(index))
                .is_some_and(|node| node.capabilities.contains(word))
    }

    /// Whether client traffic is held back.
    #[must_use]
    pub const fn clients_paused(&self) -> bool {
        self.clients_paused
    }

    /// Names removed by `delnode`.
    #[must_use]
    pub fn deleted_nodes(&self) -> &[NodeName] {
        &self.deleted
    }
}
