//! What the resource core does when this node is cut off: it lets go of everything, keeps quiet,
//! and begins again when it hears somebody. When it is cut off is decided in
//! [`policy::isolation`](crate::policy::isolation).
//!
//! Meanwhile the phase is `Shutdown`: nothing is acquired, taken or given.

use crate::protocol::message::Message;
use crate::protocol::name::NodeName;

/// Cut off from this node and from every ping node.
#[derive(Debug)]
pub(in crate::resources) struct CutOff {
    pub(in crate::resources) peer: NodeName,
    /// The message of its death, for the hook.
    pub(in crate::resources) message: Message,
    /// Everything is stopped.
    pub(in crate::resources) released: bool,
    /// A ping node answers again; the release goes on still.
    pub(in crate::resources) regained: bool,
}
