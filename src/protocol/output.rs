//! What membership tells its owner: things to do, and events for the resource core.
//!
//! An owner works outputs off first-in first-out and appends what its reactions produce at the
//! end. Then messages reach the wire in the order of their numbers and the resource core sees
//! events in the order in which they happened. Spec: docs/protocol/wire.md, 9.

use std::collections::BTreeSet;
use std::time::Duration;

use super::group::GroupKey;
use super::message::Message;
use super::name::{MediumName, NodeName};
use super::partition::Weight;
use super::status::NodeStatus;
use crate::notice::Notice;

/// How a message was taken; clients choose by it. Spec: docs/protocol/client-api.md, 8.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Treatment {
    /// Ordinary messages, and status messages that change something. Every client.
    Keep,
    /// Status messages that repeat what is known, our own included. Debugging clients.
    NoChange,
    /// Refused as old, or for another node. Debugging clients.
    Drop,
    /// Second copies. Debugging clients.
    Duplicate,
    /// Requests to send again. Debugging clients.
    Protocol,
    /// `query-cstatus`: for the client registry itself, shown to nobody.
    Registry,
}

impl Treatment {
    /// Its bit in a client's message mask; `None` for what no client is shown.
    #[must_use]
    pub const fn mask_bit(self) -> Option<u64> {
        match self {
            Self::Keep => Some(0x01),
            Self::NoChange => Some(0x02),
            Self::Drop => Some(0x04),
            Self::Duplicate => Some(0x08),
            Self::Protocol => Some(0x20),
            Self::Registry => None,
        }
    }
}

/// Something that follows from a call into [`Membership`](super::membership::Membership).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// Send on every medium: complete but for authentication.
    Transmit(Message),
    /// A line for people.
    Notice(Notice),
    /// A node's status word changed, our own included.
    NodeStatusChanged {
        /// Node or ping node.
        node: NodeName,
        /// New word.
        status: NodeStatus,
    },
    /// A link changed.
    LinkChanged {
        /// Node the link leads to.
        node: NodeName,
        /// Medium.
        medium: MediumName,
        /// `true`: up.
        up: bool,
    },
    /// A message that clients may want to see.
    Deliver {
        /// The message, control fields included; made here for deaths and links.
        message: Message,
        /// Which clients are interested.
        treatment: Treatment,
    },
    /// Our own heartbeat went round: the thread that beats works.
    OwnHeartbeat,
    /// Communication is up; the own status is `active` and was sent. `first` is `false` after
    /// [`begin_new_generation`](super::membership::Membership::begin_new_generation): the client
    /// socket is open already, only the resource core starts anew (`starting`).
    CommUp {
        /// First time in this process.
        first: bool,
    },
    /// What the node does or does not do, and why: for `systole why`.
    Decided {
        /// What.
        what: String,
        /// Why.
        cause: String,
    },
    /// Nodes were added to or removed from the table.
    NodeListChanged,
    /// For the resource core.
    Resource(ResourceEvent),
}

/// What the resource core must know. Every event is complete: no question is asked back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ResourceEvent {
    /// A node begins a new run. Comes before [`Self::NodeRestarted`], when that comes.
    Speaks {
        /// Which.
        node: NodeName,
        /// Its capability words; `None`: a legacy node.
        words: Option<String>,
    },
    /// The files of another node and of this one were compared.
    HaresourcesCompared {
        /// Which.
        node: NodeName,
        /// Groups whose lines differ; `None`: none does; `Some(None)`: it is not known which.
        differing: Option<Option<BTreeSet<GroupKey>>>,
    },
    /// A message accepted for us that membership does not consume itself: `starting`,
    /// `resource`, `ask_resources`, `hb_takeover`, `ip-request`, `ip-request-resp`, `shutdone`,
    /// `stonith` and every unknown type. Own messages come too, after they were transmitted.
    Message {
        /// Sender, checked.
        from: NodeName,
        /// Whether it is our own.
        own: bool,
        /// The message.
        message: Message,
    },
    /// A node was silent for its dead time. Spec: docs/protocol/membership.md, 5.
    NodeDead {
        /// The node.
        node: NodeName,
        /// Whether anything of it was heard since start or since its last death.
        heard: bool,
        /// Whether it is a ping node: no resources, only the hook.
        ping: bool,
        /// Whether it knows which of the two yields after a partition.
        yields: bool,
        /// The synthetic status message for hooks.
        message: Message,
    },
    /// A status word changed, our own included. Not sent for a death, which is
    /// [`NodeDead`](Self::NodeDead).
    NodeStatusChanged {
        /// Node or ping node.
        node: NodeName,
        /// Word before.
        old: NodeStatus,
        /// Word now.
        new: NodeStatus,
        /// The status message, for hooks.
        message: Message,
    },
    /// A node came with a higher generation: everything known of its resources is void. Status
    /// changes follow. Spec: docs/protocol/membership.md, 6.1.
    NodeRestarted {
        /// The node.
        node: NodeName,
        /// It had been declared dead before.
        was_dead: bool,
    },
    /// A node that we had declared dead is back with the generation it had: both sides may hold
    /// everything. Spec: docs/protocol/membership.md, 6.2.
    ReturnedAfterPartition {
        /// The node.
        node: NodeName,
        /// Whether it knows which of the two yields.
        yields: bool,
    },
    /// A status of a living node shows that it declared a run of ours dead. Comes with each of
    /// its status messages, and before a change of its status word is told.
    GivenUp {
        /// The node.
        node: NodeName,
        /// Its weight.
        weight: Weight,
        /// Whether we had declared its present run dead, too.
        mutual: bool,
        /// Whether it was an earlier run: it has not heard the present one.
        earlier_run: bool,
    },
    /// Messages of a node that lives were lost for good: more were missing than can be asked for,
    /// or the node cannot send them again. What they said is unknown, so what was only said once
    /// must be asked for or said again. At most once a second for each node; a loss within that
    /// second is told at its end. Spec: docs/protocol/wire.md, 13.2 and 14.
    WordsLost {
        /// Whose messages.
        node: NodeName,
    },
    /// A link changed; only the hook is interested.
    LinkChanged {
        /// The `ifstat` message for the hook.
        message: Message,
    },
    /// Nothing of ours was sent for at least our own dead time: peers may have given us up. Comes
    /// before anything else of the call; no heartbeat goes out in that call, so that the owner
    /// can begin a new generation first; it must tick again at once.
    /// Spec: docs/protocol/membership.md, 6.3.
    OwnHeartbeatLost {
        /// How long nothing was sent.
        silent: Duration,
    },
    /// A `delnode` named us: leave the cluster. Spec: docs/protocol/membership.md, 8.3.
    Deleted,
}
