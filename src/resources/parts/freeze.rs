//! Maintenance: while the node is frozen heartbeats, reports and the exchange at start go on, but
//! nothing is started or stopped, by itself or because another node asks.
//!
//! | While frozen | What happens |
//! |---|---|
//! | a node dies or leaves | its groups are not taken; at thaw they are, if it is still gone |
//! | another node offers or asks for groups | refused, it keeps what it has |
//! | `hb_standby` and clients here | refused |
//! | failback, a failed group's next attempt, groups that nobody runs | wait for the thaw |
//! | a node returns from a partition, nothing of it was taken | nothing: no side has to let go here |
//! | both may hold the same groups | the freeze is lifted: one of two owners has to let go |
//! | an ordered stop | ends the freeze: a person wants it, and what ran on would get a second owner |
//!
//! The freeze outlives a restart in place and a killed daemon, not a stop.

use crate::protocol::message::Message;
use crate::protocol::name::NodeName;

/// What waits for the thaw.
#[derive(Debug, Default)]
pub(in crate::resources) struct Waiting {
    /// Nodes that are gone, in the order of their going; with the message for the hook.
    pub(in crate::resources) gone: Vec<(NodeName, Option<Message>)>,
    /// Own groups that the start exchange gave us.
    pub(in crate::resources) local: bool,
}

/// Why the node cannot be frozen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FreezeRefused {
    /// It may be possible in a moment.
    #[error("not now: resources are in transition")]
    InTransition,
    /// A stop is under way.
    #[error("the node is being stopped")]
    Stopping,
    /// There is nothing to freeze.
    #[error("resources are not managed here")]
    NotManaged,
    /// The other node asks for its groups and takes them without an answer.
    #[error("auto_failback legacy: the other node would take groups unasked; set it to on or off")]
    LegacyModel,
}
