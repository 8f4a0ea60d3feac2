//! What follows from a step of the resource core, and how its parts say it.

use crate::protocol::event::Action;
use crate::protocol::message::Message;
use crate::protocol::partition::Weight;

/// Something that follows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ResourceOutput {
    /// Send to all nodes; it comes back as our own.
    Send(Message),
    /// Report when every living node has what was sent.
    BidFarewell,
    /// Send the own status at once.
    SendStatus,
    /// Do this.
    Act(Action),
    /// Peers may think that everything is released: begin a new run.
    BeginNewGeneration,
    /// A decision, for people.
    Decided {
        /// What is done, or is not.
        what: String,
        /// Why.
        cause: String,
    },
    /// Nobody is left who hears us: whoever comes back shall find us in a new run.
    ContinueUnderNewGeneration,
    /// What we put on the scales when we tell a node that it was given up; `None`: not to be told.
    Weight(Option<Weight>),
}
