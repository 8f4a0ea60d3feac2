//! Events from outside the resource core. Spec: docs/protocol/resources.md, 3.

use std::collections::BTreeSet;

use super::holding::HoldingSet;
use crate::protocol::event::{GroupOutcome, OrderId, StopReason};
use crate::protocol::group::GroupKey;
use crate::protocol::links::OwnLinks;
use crate::protocol::message::Message;
use crate::protocol::monitor::Ailment;
use crate::protocol::name::NodeName;
use crate::protocol::output::ResourceEvent;

/// An event from outside the resource core.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ResourceInput {
    /// Time has passed.
    Tick,
    /// The own status is `active` and was sent.
    CommUp,
    /// An event of membership.
    Membership(ResourceEvent),
    /// What the guard of the service addresses has found now.
    AddressesSeen {
        /// Of each group with an address: whether its interfaces here are up.
        links: OwnLinks,
        /// Groups that run here and of which somebody removes an address again and again.
        removed: BTreeSet<GroupKey>,
    },
    /// What the monitors of a group want now.
    MonitorsSay {
        /// The group.
        group: GroupKey,
        /// What; `None`: nothing.
        wants: Option<Ailment>,
    },
    /// A person says that what failed in a group is repaired.
    FailuresCleared(GroupKey),
    /// A local program asks this node to give the set away.
    StandbyRequested(HoldingSet),
    /// The same, although haresources differ.
    ForcedStandbyRequested(HoldingSet),
    /// A group's actor finished an order.
    GroupDone {
        /// The order.
        order: OrderId,
        /// Its group.
        group: GroupKey,
        /// The outcome.
        outcome: GroupOutcome,
    },
    /// The dead time of a node is over, and this node is the isolated one.
    CutOff {
        /// The silent node.
        node: NodeName,
        /// The message about its death, for the hook.
        message: Message,
    },
    /// A ping node answers again, and the silent node is still silent.
    Regained,
    /// A stop of the node is requested.
    StopRequested(StopReason),
    /// All respawned clients have ended.
    ClientsStopped,
    /// A freeze is requested: nothing is started or stopped from now on.
    FreezeRequested,
    /// The end of the freeze is requested.
    ThawRequested,
    /// A dead node whose takeover waited is fenced, or a person says that it is off.
    Fenced(NodeName),
}
