//! A node of either program.

use crate::clock::{Monotonic, Now};
use crate::protocol::event::{Action, Event, OrderId};
use crate::protocol::group::GroupKey;
use crate::protocol::membership::NodeView;
use crate::protocol::name::NodeName;
use crate::protocol::status::NodeStatus;
use crate::resources::holding::HoldingSet;
use crate::resources::left_open::OpenStandby;

use super::legacy::LegacyNode;

/// A Systole node, or the model of a legacy node.
pub enum Daemon {
    /// This program.
    Ours(Box<crate::node::Node>),
    /// The model of the legacy program.
    Legacy(Box<LegacyNode>),
}

impl Daemon {
    pub(crate) fn handle(&mut self, event: Event, now: Now, out: &mut Vec<Action>) {
        match self {
            Self::Ours(node) => node.handle(event, now, out),
            Self::Legacy(node) => node.handle(event, now, out),
        }
    }
    pub(crate) fn start(&mut self, now: Now, out: &mut Vec<Action>) {
        match self {
            Self::Ours(node) => node.start(now, out),
            Self::Legacy(node) => node.start(now, out),
        }
    }
    pub(crate) fn next_deadline(&self) -> Option<Monotonic> {
        match self {
            Self::Ours(node) => node.next_deadline(),
            Self::Legacy(node) => node.next_deadline(),
        }
    }
    /// Whether people have frozen it.
    pub fn frozen(&self) -> bool {
        matches!(self, Self::Ours(node) if node.frozen())
    }
    /// Whether it is cut off from everything and has released its groups.
    pub fn is_cut_off(&self) -> bool {
        matches!(self, Self::Ours(node) if node.is_cut_off())
    }
    pub(crate) fn status(&self) -> NodeStatus {
        match self {
            Self::Ours(node) => node.status(),
            Self::Legacy(node) => node.status(),
        }
    }
    pub(crate) fn rscstatus(&self) -> Option<&'static str> {
        match self {
            Self::Ours(node) => node.rscstatus(),
            Self::Legacy(node) => node.rscstatus(),
        }
    }
    pub(crate) fn holding(&self) -> HoldingSet {
        match self {
            Self::Ours(node) => node.holding(),
            Self::Legacy(node) => node.holding(),
        }
    }
    pub(crate) fn open_standby(&self) -> Option<OpenStandby> {
        match self {
            Self::Ours(node) => node.duty().standby,
            Self::Legacy(_) => None,
        }
    }
    pub(crate) fn releases_everything(&self) -> bool {
        match self {
            Self::Ours(node) => node.releases_everything(),
            Self::Legacy(_) => false,
        }
    }
    pub(crate) fn unfenced(&self) -> Vec<NodeName> {
        match self {
            Self::Ours(node) => node.unfenced(),
            Self::Legacy(_) => Vec::new(),
        }
    }
    pub(crate) fn failback_due(&self) -> bool {
        matches!(self, Self::Ours(node) if node.failback_due())
    }
    pub(crate) fn start_stands(&self, order: Option<OrderId>) -> bool {
        match self {
            Self::Ours(node) => node.start_stands(order),
            Self::Legacy(_) => true,
        }
    }
    pub(crate) fn start_asks_network(&self, order: OrderId) -> bool {
        matches!(self, Self::Ours(node) if node.start_asks_network(order))
    }
    /// Whether its log names the group as held by a legacy node, if no host answers for the
    /// addresses.
    pub(crate) fn leaves_to_legacy(&self, key: &GroupKey) -> bool {
        matches!(self, Self::Ours(node) if node.held_by_legacy().any(|(held, _)| held == key))
    }
    /// Whether it is a legacy node that runs a group which it has given away, and does not know it.
    pub(crate) fn strays(&self, key: &GroupKey) -> bool {
        matches!(self, Self::Legacy(node) if node.strays(key))
    }
    /// Whether it is a legacy node whose script starts this group for a standby.
    pub(crate) fn takes(&self, key: &GroupKey) -> bool {
        matches!(self, Self::Legacy(node) if node.takes(key))
    }
    /// Whether it is a legacy node whose script stops this group for a standby.
    pub(crate) fn gives(&self, key: &GroupKey) -> bool {
        matches!(self, Self::Legacy(node) if node.gives(key))
    }
    /// The nodes that it knows, itself among them.
    pub fn nodes(&self) -> impl Iterator<Item = NodeView<'_>> {
        match self {
            Self::Ours(node) => node.membership().nodes(),
            Self::Legacy(node) => node.membership().nodes(),
        }
    }
}
