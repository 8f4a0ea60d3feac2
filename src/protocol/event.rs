//! What goes into a node's core and what comes out of it.

use crate::notice::Notice;
use crate::protocol::group::GroupKey;
use crate::protocol::message::Message;
use crate::protocol::name::{Generation, MediumName, NodeName};
use crate::protocol::output::Treatment;

/// Where a message that this node shall send came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// A script, through the FIFO.
    Fifo,
    /// A client, through the client socket.
    Client,
    /// The daemon itself.
    Daemon,
}

/// What a group's actor reports when an order is carried out.
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
    /// Nothing of the group runs.
    Stopped,
    /// A resource still runs after all attempts. The node must not say that it is released.
    StopFailed {
        /// The resource word that failed.
        resource: String,
    },
}

/// Number of one order to one group; orders of a node's life never share a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OrderId(pub u64);

/// Why the node stops.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StopReason {
    /// SIGTERM or `heartbeat -k`.
    Requested,
    /// A fatal local error.
    Fatal,
    /// Everything is released at once: the node hears nobody, and waits for nobody.
    Release,
}

/// Something that happened outside the core.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The time asked for by `next_deadline` has come (or any other time: harmless).
    Tick,
    /// All media are open: the node goes from `init` to `up`.
    MediaOpened,
    /// A verified message was heard on a medium.
    Received {
        /// Medium that heard it.
        medium: MediumName,
        /// The message, authentic and well-formed.
        message: Message,
    },
    /// A local program wants a message sent.
    Injected {
        /// Who asks.
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
        /// What came out.
        outcome: GroupOutcome,
    },
    /// The node shall stop: release, tell the others, end.
    StopRequested {
        /// Why.
        reason: StopReason,
    },
    /// All respawned clients have ended after [`Action::StopClients`].
    ClientsStopped,
    /// Nothing shall be started or stopped from now on; heartbeats go on. Refused in a line when
    /// [`Node::may_freeze`](crate::node::Node::may_freeze) says so.
    FreezeRequested,
    /// Go on as usual.
    ThawRequested,
}

/// What a group is told to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GroupOrder {
    /// Start what is not running, left to right.
    Start,
    /// Stop everything, right to left.
    Stop,
}

/// Something that the actors shall do, in the order given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Sign and send on every medium. Complete but for authentication.
    Transmit(Message),
    /// A line for people (and for the suites that match on it).
    Notice(Notice),
    /// A node's status word changed (own node included).
    NodeStatusChanged {
        /// Node or ping node.
        node: NodeName,
        /// New status word: `init`, `up`, `active`, `dead`, `ping`.
        status: String,
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
    /// A cluster message that clients may want to see.
    Deliver {
        /// The message, control fields included.
        message: Message,
        /// Which clients are interested.
        treatment: Treatment,
    },
    /// Nodes were added to or removed from the table.
    NodeListChanged,
    /// An order for a group. Answered by [`Event::GroupDone`].
    Group {
        /// Number to answer with.
        order: OrderId,
        /// The group.
        group: GroupKey,
        /// What to do.
        what: GroupOrder,
    },
    /// Run the notification script of the message's type, if there is one. Nothing waits for it.
    RunHook(Message),
    /// Take the service addresses of these groups away at once, leave the rest of them alone:
    /// another node may take them in a moment. Nothing answers.
    WithdrawAddresses(Vec<GroupKey>),
    /// Put them back, unless the group was stopped meanwhile. Nothing answers.
    RestoreAddresses(Vec<GroupKey>),
    /// Communication is up: open the client socket, start respawned clients.
    CommUp,
    /// Stop the respawned clients, last first. Answered by [`Event::ClientsStopped`].
    StopClients,
    /// The own heartbeat went round: the thread that beats works.
    OwnHeartbeat,
    /// The node now runs under this generation; make sure that the file on disk is ahead of it.
    GenerationTaken(Generation),
    /// The shutdown is complete: end the process.
    Exit,
    /// A resource cannot be stopped: restart the machine (behind the seam that tests redirect).
    RebootMachine {
        /// The resource word that still runs.
        resource: String,
    },
}
