//! What happens outside the resource core. Spec: docs/protocol/resources.md, 3.

use super::holding::HoldingSet;
use crate::protocol::event::{GroupOutcome, OrderId, StopReason};
use crate::protocol::group::GroupKey;
use crate::protocol::message::Message;
use crate::protocol::name::NodeName;
use crate::protocol::output::ResourceEvent;

/// Something that happened outside the resource core.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ResourceInput {
    /// Time went by.
    Tick,
    /// The own status is `active` and was sent.
    CommUp,
    /// From membership.
    Membership(ResourceEvent),
    /// A local program asks that this node gives the set away.
    StandbyRequested(HoldingSet),
    /// The same, although haresources differ.
    ForcedStandbyRequested(HoldingSet),
    /// A group's actor finished an order.
    GroupDone {
        /// The order.
        order: OrderId,
        /// Its group.
        group: GroupKey,
        /// What came out.
        outcome: GroupOutcome,
    },
    /// The dead time of a node is over, and we are the one that is cut off.
    CutOff {
        /// The silent node.
        node: NodeName,
        /// The message of its death, for the hook.
        message: Message,
    },
    /// A ping node answers again, and who was silent still is.
    Regained,
    /// The node shall stop.
    StopRequested(StopReason),
    /// All respawned clients have ended.
    ClientsStopped,
    /// Nothing shall be started or stopped from now on.
    FreezeRequested,
    /// Go on as usual.
    ThawRequested,
}
