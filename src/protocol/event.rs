//! What goes into a node's core and what comes out of it.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::notice::Notice;
use crate::protocol::fencing::{FenceAnswer, FenceOrder, FenceTask};
use crate::protocol::group::GroupKey;
use crate::protocol::keys::KeyNumbers;
use crate::protocol::links::OwnLinks;
use crate::protocol::message::Message;
use crate::protocol::monitor::Ailment;
use crate::protocol::name::{Generation, MediumName, NodeName};
use crate::protocol::output::Treatment;
use crate::protocol::status::NodeStatus;

/// Origin of a message that this node shall send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// A script, through the FIFO.
    Fifo,
    /// A client, through the client socket.
    Client,
    /// The daemon itself.
    Daemon,
}

/// The result that a group's actor reports for an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GroupOutcome {
    /// Every resource runs.
    Started,
    /// A start failed; everything that was started has been stopped again.
    StartFailed {
        /// The resource word that failed.
        resource: String,
        /// Its exit code, or 128 + signal.
        code: i32,
    },
    /// Another host has one of its addresses: nothing was started.
    AddressTaken {
        /// Which address, and where it is.
        claim: String,
    },
    /// No resource of the group runs.
    Stopped,
    /// A resource still runs after all attempts. The node must not report it as released.
    StopFailed {
        /// The resource word that failed.
        resource: String,
    },
}

/// Number of one order to one group. Each order in the life of a node has its own number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OrderId(pub u64);

/// Why the node stops.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StopReason {
    /// SIGTERM, `heartbeat -k`, or a `delnode` that names this node.
    Requested,
    /// Everything is released at once: the node receives no other node, and waits for none.
    Release,
}

/// Something that happened outside the core.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A tick is due, by `next_deadline`; at any other time it does no harm.
    Tick,
    /// The keys file was read again. Answered by [`Action::SignWith`], before anything else is sent.
    KeysRead(KeyNumbers),
    /// All media are open: the node goes from `init` to `up`.
    MediaOpened,
    /// A verified message was received on a medium.
    Received {
        /// The medium.
        medium: MediumName,
        /// The message, authentic and well-formed.
        message: Message,
    },
    /// What the guard of the service addresses has found now.
    AddressesSeen {
        /// Of each group with an address, held or not: whether its interfaces here are up.
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
    /// A local program wants a message sent.
    Injected {
        /// Where it comes from.
        origin: Origin,
        /// Without control fields.
        message: Message,
    },
    /// A group's actor finished an order.
    GroupDone {
        /// The order.
        order: OrderId,
        /// Its group.
        group: GroupKey,
        /// The result.
        outcome: GroupOutcome,
    },
    /// The node shall stop: release, tell the others, end.
    StopRequested {
        /// Why.
        reason: StopReason,
    },
    /// All respawned clients have ended after [`Action::StopClients`].
    ClientsStopped,
    /// From now on nothing shall be started or stopped; heartbeats go on. If
    /// [`Node::may_freeze`](crate::node::Node::may_freeze) forbids it, a log line says so.
    FreezeRequested,
    /// Go on as usual.
    ThawRequested,
    /// The answer to an order to reset a node.
    FenceAnswered {
        /// The order.
        order: FenceOrder,
        /// The answer.
        answer: FenceAnswer,
    },
    /// A person says that a node that waits to be fenced is off: its takeover goes on.
    FenceConfirmed {
        /// The node.
        node: NodeName,
        /// The person, for the log.
        by: String,
    },
    /// How long the slowest answer of a fencing device took so far.
    FenceAnswerTook(Duration),
}

/// What a group is told to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GroupOrder {
    /// Start what is not running, left to right.
    Start,
    /// Stop everything, right to left.
    Stop,
    /// Stop what its monitors found failed and what stands right of it, right to left, and start
    /// what does not run, left to right. The rest stays as it is. The outcome is
    /// [`GroupOutcome::Started`] also when something does not start again: the group is held as
    /// before, and its monitors tell ([`Event::MonitorsSay`]).
    Restart,
}

impl GroupOrder {
    /// Whether something of the group may be started by it.
    #[must_use]
    pub const fn starts(self) -> bool {
        matches!(self, Self::Start | Self::Restart)
    }

    /// What is wanted of the group after it.
    #[must_use]
    pub const fn leaves(self) -> Self {
        match self {
            Self::Start | Self::Restart => Self::Start,
            Self::Stop => Self::Stop,
        }
    }
}

/// Something that the actors shall do, in this order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Sign and send on every medium. Complete except for authentication.
    Transmit(Message),
    /// Sign what follows with the key of this number, on every medium.
    SignWith(u8),
    /// A log line, on which test suites may match.
    Notice(Notice),
    /// A node's status word changed (own node included).
    NodeStatusChanged {
        /// Node or ping node.
        node: NodeName,
        /// New status.
        status: NodeStatus,
    },
    /// A cluster message that clients may want to see.
    Deliver {
        /// The message, control fields included.
        message: Message,
        /// Which clients are interested.
        treatment: Treatment,
    },
    /// An order for a group. Answered by [`Event::GroupDone`].
    Group {
        /// Number to answer with.
        order: OrderId,
        /// The group.
        group: GroupKey,
        /// What to do.
        what: GroupOrder,
    },
    /// Run the notification script for the type of the message, if there is one. The core does not
    /// wait for it.
    RunHook(Message),
    /// Remove the service addresses of these groups at once, and leave the rest of the groups
    /// unchanged: another node may take the addresses in a moment. There is no answer.
    WithdrawAddresses(Vec<GroupKey>),
    /// Restore these addresses, unless the group was stopped meanwhile. There is no answer.
    RestoreAddresses(Vec<GroupKey>),
    /// Communication is up: open the client socket, start respawned clients.
    CommUp,
    /// Stop the respawned clients, last first. Answered by [`Event::ClientsStopped`].
    StopClients,
    /// This node's own heartbeat has passed through the core: the thread that sends heartbeats
    /// works.
    OwnHeartbeat,
    /// The node now runs under this generation; the file on disk must be ahead of it.
    GenerationTaken(Generation),
    /// Reset a node, or learn how an earlier reset of it ends. Answered by
    /// [`Event::FenceAnswered`].
    Fence {
        /// Number to answer with.
        order: FenceOrder,
        /// The node.
        node: NodeName,
        /// Which of the two.
        task: FenceTask,
    },
    /// The reason of an order is gone: end what carries it out. An answer that comes all the same
    /// is ignored.
    CallOffFence {
        /// The order.
        order: FenceOrder,
    },
    /// The shutdown is complete: end the process.
    Exit,
    /// A resource cannot be stopped: reboot the machine (tests redirect this).
    RebootMachine {
        /// The resource word that still runs.
        resource: String,
    },
}
