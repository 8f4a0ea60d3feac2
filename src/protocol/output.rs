//! Outputs of membership: things to do, and events for the resource core.
//!
//! The owner works outputs off first-in first-out and appends the results of its reactions at the
//! end. Then messages reach the wire in the order of their numbers and the resource core receives
//! events in the order in which they happened. Spec: docs/protocol/wire.md, 9.

use crate::clock::Monotonic;
use std::collections::BTreeSet;
use std::time::Duration;

use super::group::GroupKey;
use super::links::TheirLinks;
use super::message::Message;
use super::name::NodeName;
use super::partition::Weight;
use super::status::NodeStatus;
use crate::notice::Notice;

/// How a message was handled; clients choose by it. Spec: docs/protocol/client-api.md, 8.1.
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
    /// `query-cstatus`: for the client registry itself; no client receives it.
    Registry,
}

impl Treatment {
    /// Its bit in a client's message mask; `None` if no client receives it.
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

/// Something to do after a call into [`Membership`](super::membership::Membership).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// Send on every medium; complete except for authentication.
    Transmit(Message),
    /// Sign what follows with the key of this number.
    SignWith(u8),
    /// A log line.
    Notice(Notice),
    /// A node's status word changed, our own included.
    NodeStatusChanged {
        /// Node or ping node.
        node: NodeName,
        /// New word.
        status: NodeStatus,
    },
    /// A message that clients may want to see.
    Deliver {
        /// The message, control fields included; made here for deaths and links.
        message: Message,
        /// Which clients are interested.
        treatment: Treatment,
    },
    /// Our own heartbeat has passed through the core: the thread that sends heartbeats works.
    OwnHeartbeat,
    /// Communication is up; the own status is `active` and was sent. `first` is `false` after
    /// [`begin_new_generation`](super::membership::Membership::begin_new_generation): the client
    /// socket is open already, only the resource core starts anew (`starting`).
    CommUp {
        /// First time in this process.
        first: bool,
    },
    /// A decision of the node and its cause, for `systole why`.
    Decided {
        /// What.
        what: String,
        /// Why.
        cause: String,
    },
    /// For the resource core.
    Resource(ResourceEvent),
}

/// What the resource core must know. Every event is complete: the resource core asks no question
/// back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ResourceEvent {
    /// A node begins a new run. Comes before [`Self::NodeRestarted`], if there is one.
    Speaks {
        /// Which.
        node: NodeName,
        /// Its capability words; `None`: a legacy node.
        words: Option<String>,
    },
    /// A status of another node says whether its interfaces for the service addresses are up.
    LinksTold {
        /// Which node.
        node: NodeName,
        /// What it says; `None`: it knows nothing.
        links: Option<TheirLinks>,
    },
    /// The files of another node and of this one were compared.
    HaresourcesCompared {
        /// Which.
        node: NodeName,
        /// Groups whose lines differ; `None`: none does; `Some(None)`: it is not known which.
        differing: Option<Option<BTreeSet<GroupKey>>>,
    },
    /// An accepted message that membership does not handle itself: `starting`, `resource`,
    /// `ask_resources`, `hb_takeover`, `ip-request`, `ip-request-resp`, `shutdone`, `stonith` and
    /// every unknown type. Own messages come too, after they were transmitted.
    Message {
        /// Sender, checked.
        from: NodeName,
        /// Whether it is our own.
        own: bool,
        /// The message.
        message: Message,
    },
    /// An `ip-request-resp` of a node to itself: it takes a group without asking anybody. With reports
    /// of what runs where that is normal. Spec: docs/protocol/resources.md, 9.7.
    AnswersItself {
        /// Which node.
        node: NodeName,
        /// The message.
        message: Message,
    },
    /// A node was silent for its dead time and is declared dead. Spec: docs/protocol/membership.md,
    /// 5.
    NodeDead {
        /// The node.
        node: NodeName,
        /// Whether anything of it was received since the start or since its last death.
        heard: bool,
        /// Whether it is a ping node: no resources, only the hook.
        ping: bool,
        /// Whether it knows the rule by which one of two nodes yields after a partition.
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
    /// A node has a higher generation: everything known of its resources is obsolete. Status
    /// changes follow. Spec: docs/protocol/membership.md, 6.1.
    NodeRestarted {
        /// The node.
        node: NodeName,
        /// It had been declared dead before.
        was_dead: bool,
    },
    /// A node that we had declared dead is back with its old generation: both nodes may hold
    /// everything. Spec: docs/protocol/membership.md, 6.2.
    ReturnedAfterPartition {
        /// The node.
        node: NodeName,
        /// Whether it knows the rule by which one of two nodes yields.
        yields: bool,
    },
    /// A status of a living node says that it declared a run of ours dead. Comes with each such
    /// status message, and before a change of its status word.
    GivenUp {
        /// The node.
        node: NodeName,
        /// Its strength in the split.
        weight: Weight,
        /// Whether we had declared its present run dead, too.
        mutual: bool,
        /// Whether it was an earlier run: the node has not received the present one.
        earlier_run: bool,
    },
    /// Messages of a living node were lost for good: more were missing than can be asked for, or
    /// the node cannot send them again. Their content is unknown, so anything that is sent only
    /// once must be asked for or sent again. At most once a second for each node; a loss within
    /// that second is reported at its end. Spec: docs/protocol/wire.md, 13.2 and 14.
    WordsLost {
        /// Whose messages.
        node: NodeName,
    },
    /// Every living node has our last words: what [`bid_farewell`](super::membership::Membership::bid_farewell) waits for.
    LastWordsReceived,
    /// A link changed; only the hook needs this.
    LinkChanged {
        /// The `ifstat` message for the hook.
        message: Message,
    },
    /// Nothing of ours was sent for at least our own dead time: peers may have declared us dead.
    /// Comes before anything else of the call. No heartbeat is sent in that call, so that the owner
    /// can begin a new generation first; it must tick again at once. Spec:
    /// docs/protocol/membership.md, 6.3.
    OwnHeartbeatLost {
        /// How long nothing was sent.
        silent: Duration,
    },
    /// The daemon stood still for half of its dead time or more, and less than
    /// [`OwnHeartbeatLost`](Self::OwnHeartbeatLost) needs. What waits is read until then: it was
    /// sent meanwhile, and a later message that waits behind it may take it back. Spec:
    /// docs/protocol/membership.md, 7.
    StoodStill {
        /// When everything that waited has been read.
        read_until: Monotonic,
    },
    /// A `delnode` named us: leave the cluster. Spec: docs/protocol/membership.md, 8.3.
    Deleted,
}
