//! Results of a step of the resource core, and how its parts record them.

use crate::protocol::event::Action;
use crate::protocol::fencing::Standing;
use crate::protocol::message::Message;
use crate::protocol::name::NodeName;
use crate::protocol::partition::Weight;

/// A result of a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ResourceOutput {
    /// Send to all nodes. The message comes back as our own.
    Send(Message),
    /// Report when every living node has what was sent.
    BidFarewell,
    /// Send the own status at once.
    SendStatus,
    /// Do this outside the core.
    Act(Action),
    /// Other nodes may believe that everything is released: begin a new run.
    BeginNewGeneration,
    /// A decision, for people.
    Decided {
        /// What is done, or is not.
        what: String,
        /// Why.
        cause: String,
    },
    /// No node is left that receives us: a node that comes back must find us in a new run.
    ContinueUnderNewGeneration,
    /// A dead node has to be fenced: its takeover waits for [`ResourceInput::Fenced`].
    ///
    /// [`ResourceInput::Fenced`]: crate::resources::input::ResourceInput::Fenced
    FenceDue {
        /// The node.
        node: NodeName,
        /// How we stand to it.
        standing: Standing,
    },
    /// That takeover waits no longer, and does not happen.
    FenceDropped(NodeName),
    /// Our weight, for nodes that we have declared dead; `None`: do not send one.
    Weight(Option<Weight>),
}
