//! The state of the cluster that clients may ask about.

use super::super::name::{Generation, NodeName, NodeUuid, Sequence};
use super::super::status::NodeStatus;

/// The state of membership at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ClusterView {
    /// In table order: members, then ping nodes.
    pub nodes: Vec<ClusterNode>,
    /// `none`, `local`, `foreign`, `all`, `transition`; `None`: not managed here.
    pub rscstatus: Option<&'static str>,
    /// Too many of our messages are not acknowledged: clients must wait. Spec:
    /// docs/protocol/client-api.md, 10.
    pub paused: bool,
}

/// One node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterNode {
    /// Name.
    pub name: NodeName,
    /// Whether it is a ping node or ping group.
    pub ping: bool,
    /// Whether it is ourselves.
    pub own: bool,
    /// Status.
    pub status: NodeStatus,
    /// Uuid, once learnt.
    pub uuid: Option<NodeUuid>,
    /// Quorum weight.
    pub weight: u32,
    /// Site.
    pub site: String,
    /// While messages of it are missing: its generation and the highest number received.
    pub gap_to: Option<(Generation, Sequence)>,
    /// Links and whether each is up, every name once.
    pub links: Vec<(String, bool)>,
}

impl ClusterView {
    /// A node by its name, in any case.
    #[must_use]
    pub fn node(&self, name: &str) -> Option<&ClusterNode> {
        self.nodes
            .iter()
            .find(|node| node.name.as_str().eq_ignore_ascii_case(name))
    }
}
