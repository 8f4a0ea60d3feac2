//! A node of either program.

use systole::clock::{Monotonic, Now};
use systole::protocol::event::{Action, Event, OrderId};
use systole::protocol::group::GroupKey;
use systole::protocol::membership::NodeView;
use systole::protocol::name::NodeName;
use systole::protocol::status::NodeStatus;
use systole::resources::holding::HoldingSet;
use systole::resources::left_open::OpenStandby;

use super::legacy::LegacyNode;

/// A Systole node, or the model of a legacy node.
pub enum Daemon {
    Ours(Box<systole::node::Node>),
    Legacy(Box<LegacyNode>),
}

impl Daemon {
    pub fn handle(&mut self, event: Event, now: Now, out: &mut Vec<Action>) {
        match self {
            Self::Ours(node) => node.handle(event, now, out),
            Self::Legacy(node) => node.handle(event, now, out),
        }
    }
    pub fn start(&mut self, now: Now, out: &mut Vec<Action>) {
        match self {
            Self::Ours(node) => node.start(now, out),
            Self::Legacy(node) => node.start(now, out),
        }
    }
    pub fn next_deadline(&self) -> Option<Monotonic> {
        match self {
            Self::Ours(node) => node.next_deadline(),
            Self::Legacy(node) => node.next_deadline(),
        }
    }
    pub fn frozen(&self) -> bool {
        matches!(self, Self::Ours(node) if node.frozen())
    }
    pub fn is_cut_off(&self) -> bool {
        matches!(self, Self::Ours(node) if node.is_cut_off())
    }
    pub fn status(&self) -> NodeStatus {
        match self {
            Self::Ours(node) => node.status(),
            Self::Legacy(node) => node.status(),
        }
    }
    pub fn rscstatus(&self) -> Option<&'static str> {
        match self {
            Self::Ours(node) => node.rscstatus(),
            Self::Legacy(node) => node.rscstatus(),
        }
    }
    pub fn holding(&self) -> HoldingSet {
        match self {
            Self::Ours(node) => node.holding(),
            Self::Legacy(node) => node.holding(),
        }
    }
    pub fn open_standby(&self) -> Option<OpenStandby> {
        match self {
            Self::Ours(node) => node.duty().standby,
            Self::Legacy(_) => None,
        }
    }
    pub fn releases_everything(&self) -> bool {
        match self {
            Self::Ours(node) => node.releases_everything(),
            Self::Legacy(_) => false,
        }
    }
    pub fn unfenced(&self) -> Vec<NodeName> {
        match self {
            Self::Ours(node) => node.unfenced(),
            Self::Legacy(_) => Vec::new(),
        }
    }
    pub fn failback_due(&self) -> bool {
        matches!(self, Self::Ours(node) if node.failback_due())
    }
    pub fn start_stands(&self, order: Option<OrderId>) -> bool {
        match self {
            Self::Ours(node) => node.start_stands(order),
            Self::Legacy(_) => true,
        }
    }
    pub fn start_asks_network(&self, order: OrderId) -> bool {
        matches!(self, Self::Ours(node) if node.start_asks_network(order))
    }
    /// Whether its log names the group as held by a legacy node, if no host answers for the
    /// addresses.
    pub fn leaves_to_legacy(&self, key: &GroupKey) -> bool {
        matches!(self, Self::Ours(node) if node.held_by_legacy().any(|(held, _)| held == key))
    }
    /// Whether it is a legacy node that runs a group which it has given away, and does not know it.
    pub fn strays(&self, key: &GroupKey) -> bool {
        matches!(self, Self::Legacy(node) if node.strays(key))
    }
    /// Whether it is a legacy node whose script starts this group for a standby.
    pub fn takes(&self, key: &GroupKey) -> bool {
        matches!(self, Self::Legacy(node) if node.takes(key))
    }
    /// Whether it is a legacy node whose script stops this group for a standby.
    pub fn gives(&self, key: &GroupKey) -> bool {
        matches!(self, Self::Legacy(node) if node.gives(key))
    }
    pub fn nodes(&self) -> impl Iterator<Item = NodeView<'_>> {
        match self {
            Self::Ours(node) => node.membership().nodes(),
            Self::Legacy(node) => node.membership().nodes(),
        }
    }
}
