//! Messages between actors that belong to no single one of them.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use actix::{Message, Recipient, WeakRecipient};
use bytes::Bytes;
use smallvec::SmallVec;

use crate::actors::backlog::Slot;
use crate::clients::control::{FencesReport, NodeReport};
use crate::node::MayPutBack;
use crate::node::ledger::{Ended, Given, Ledger};
use crate::node::resume::Duty;
use crate::policy::fencing::{FenceAnswer, FenceOrder, FenceTask};
use crate::protocol::auth::KeyRing;
use crate::protocol::client::ClusterView;
use crate::protocol::decisions::Decision;
use crate::protocol::event::{GroupOrder, GroupOutcome, OrderId, Origin, StopReason};
use crate::protocol::field::kind;
use crate::protocol::group::GroupKey;
use crate::protocol::haresources_mark::FileMarks;
use crate::protocol::links::OwnLinks;
use crate::protocol::message;
use crate::protocol::monitor::Ailment;
use crate::protocol::name::{Generation, MediumName, NodeName, Sequence};
use crate::protocol::output::Treatment;
use crate::protocol::status::NodeStatus;
use crate::resources::FreezeRefused;

/// What a medium receives at once; a single message, which is usual, costs no allocation.
pub type Messages = SmallVec<[message::Message; 1]>;

/// Verified messages received on `medium`: all that one wake-up found.
#[derive(Debug, Clone, Message)]
#[rtype(result = "()")]
pub struct Received {
    /// Medium that received them.
    pub medium: MediumName,
    /// The messages, authentic and well-formed, in the order they came.
    pub messages: Messages,
}

/// One message on its way out, encoded and signed once for all media.
#[derive(Debug, Clone)]
pub struct Outgoing {
    /// The message, complete but for authentication: ping nodes send their requests when it is our
    /// status.
    pub message: message::Message,
    /// The signed datagram.
    pub datagram: Bytes,
    /// The keys with which it was signed, for a medium that needs another form of it.
    pub keys: Arc<KeyRing>,
}

impl Outgoing {
    /// Whether it is a status of this node.
    #[must_use]
    pub fn is_heartbeat(&self) -> bool {
        self.message.kind() == Some(kind::STATUS)
    }
}

/// Send it. The network sets the pace: a medium that cannot keep up drops and counts.
#[derive(Debug, Clone, Message)]
#[rtype(result = "()")]
pub struct Transmit(pub Arc<Outgoing>);

/// A message cannot go out on a medium, however often it is sent again. Dropped where membership is busy: told again when
/// a node asks again.
#[derive(Debug, Clone, PartialEq, Eq, Message)]
#[rtype(result = "()")]
pub struct CannotGo {
    /// The medium.
    pub medium: MediumName,
    /// The run in which it was sent.
    pub generation: Generation,
    /// Its number.
    pub seq: Sequence,
}

/// An order of the core for one group. Answered by [`GroupDone`] with the same number. Given twice
/// it is carried out once, and answered twice if need be.
#[derive(Debug, Clone, PartialEq, Eq, Message)]
#[rtype(result = "()")]
pub struct GroupCommand {
    /// Number to answer with.
    pub order: OrderId,
    /// The group.
    pub group: GroupKey,
    /// What to do.
    pub what: GroupOrder,
    /// Before a start the network is probed for another host with the group's addresses.
    pub careful: bool,
}

impl GroupCommand {
    /// The orders in a ledger that have no outcome yet, in the order in which they were given.
    #[must_use]
    pub fn in_hand(ledger: &Ledger) -> Vec<Self> {
        let command = |(order, group, given): (OrderId, &GroupKey, Given)| Self {
            order,
            group: group.clone(),
            what: given.what,
            careful: given.careful,
        };
        ledger.in_hand().into_iter().map(command).collect()
    }

    /// The order as it stands in the ledger.
    #[must_use]
    pub const fn given(&self) -> Given {
        Given {
            what: self.what,
            careful: self.careful,
        }
    }
}

/// Asks whether an order to start a group still stands. No answer: membership is being restarted, or
/// has given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Message)]
#[rtype(result = "bool")]
pub struct MayStart(pub OrderId);

/// Asks whether an address of a group that somebody has removed may be put back. `None`: membership is
/// being restarted.
#[derive(Debug, Clone, PartialEq, Eq, Message)]
#[rtype(result = "Option<MayPutBack>")]
pub struct AskPutBack(pub GroupKey);

/// Groups that run here and of which an address is gone: all of them.
#[derive(Debug, Clone, PartialEq, Eq, Message)]
#[rtype(result = "()")]
pub struct NoteAbsent(pub BTreeSet<GroupKey>);

/// What the guard of the service addresses has found now.
#[derive(Debug, Clone, PartialEq, Eq, Message)]
#[rtype(result = "()")]
pub struct NoteLinks {
    /// Of each group with an address, held or not: whether its interfaces here are up.
    pub links: OwnLinks,
    /// Groups that run here and of which somebody removes an address again and again.
    pub removed: BTreeSet<GroupKey>,
}

/// What the monitors of a group want now.
#[derive(Debug, Clone, PartialEq, Eq, Message)]
#[rtype(result = "()")]
pub struct NoteAilment {
    /// The group.
    pub group: GroupKey,
    /// What; `None`: nothing.
    pub wants: Option<Ailment>,
}

/// A person says that what failed in a group is repaired. Answered with whether there was anything to forget: it has
/// a monitor, or was stopped for good.
#[derive(Debug, Clone, PartialEq, Eq, Message)]
#[rtype(result = "bool")]
pub struct ClearFailures {
    /// The group.
    pub group: GroupKey,
    /// Whether it has a monitor.
    pub watched: bool,
}

/// From membership to the groups, in the order in which the core reported it.
#[derive(Debug, Clone, PartialEq, Eq, Message)]
#[rtype(result = "()")]
pub enum ToGroups {
    /// What a successor has to know of the node has changed. Comes before the orders and messages
    /// that follow from it.
    Duty(Duty),
    /// The status of another node has changed.
    Peer(PeerStatus),
    /// The service addresses of these groups are to be removed at once or put back; the rest of the
    /// groups stays as it is. Nothing answers.
    Addresses {
        /// The groups.
        groups: Vec<GroupKey>,
        /// `false`: put them back.
        withdraw: bool,
    },
    /// An order. Answered by [`GroupDone`].
    Order(GroupCommand),
}

/// From root to the groups: membership has given up, and this hears of outcomes from now on.
#[derive(Debug, Clone, Message)]
#[rtype(result = "()")]
pub struct OutcomesTo(pub WeakRecipient<GroupDone>);

/// Take a group's service addresses away without stopping it, or put them back. Nothing answers.
#[derive(Debug, Clone, Message)]
#[rtype(result = "()")]
pub struct MoveAddresses {
    /// The group.
    pub group: GroupKey,
    /// `false`: put them back.
    pub withdraw: bool,
}

/// Something that was found outside the core, for `systole why`.
#[derive(Debug, Clone, PartialEq, Eq, Message)]
#[rtype(result = "()")]
pub struct NoteDecision {
    /// What the node does, or does not do.
    pub what: String,
    /// Why.
    pub cause: String,
}

/// A group has carried out an order.
#[derive(Debug, Clone, PartialEq, Eq, Message)]
#[rtype(result = "()")]
pub struct GroupDone {
    /// The order.
    pub order: OrderId,
    /// Its group.
    pub group: GroupKey,
    /// The outcome.
    pub outcome: GroupOutcome,
    /// The end of the output of a script that failed, and which script: for people.
    pub said: Option<String>,
}

/// Reset a node, or learn how an earlier reset of it ends. Answered by [`NodeFenced`] with the same number, unless it is called off. While an
/// order is being carried out, the same order again changes nothing.
#[derive(Debug, Clone, PartialEq, Eq, Message)]
#[rtype(result = "()")]
pub struct FenceNode {
    /// Number to answer with.
    pub order: FenceOrder,
    /// The node.
    pub node: NodeName,
    /// Which of the two.
    pub task: FenceTask,
}

/// The reason of an order is gone: its program is ended, and nothing answers. A device that has
/// already done it cannot take that back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Message)]
#[rtype(result = "()")]
pub struct CallOffFence {
    /// The order.
    pub order: FenceOrder,
}

/// The same for every order: no core is left that could call one off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Message)]
#[rtype(result = "()")]
pub struct CallOffAll;

/// What became of an order to reset a node.
#[derive(Debug, Clone, PartialEq, Eq, Message)]
#[rtype(result = "()")]
pub struct NodeFenced {
    /// The order.
    pub order: FenceOrder,
    /// The node.
    pub node: NodeName,
    /// The answer of a device.
    pub answer: FenceAnswer,
}

/// What is known of the fencing devices. Comes when it changes, and every few seconds, because the
/// receiver may have begun anew.
#[derive(Debug, Clone, PartialEq, Eq, Message)]
#[rtype(result = "()")]
pub struct FenceDevicesKnown {
    /// Other nodes for which there is a device. A device that has not said what it can reset counts
    /// for each, and a node that a device named once stays here.
    pub can_reset: BTreeSet<NodeName>,
    /// The longest time that a device took for a good answer; zero before the first.
    pub longest_answer: Duration,
}

/// Asks which dead nodes wait to be fenced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Message)]
#[rtype(result = "FencesReport")]
pub struct AskFences;

/// What becomes of a person's word that a node is off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Confirmed {
    /// The node counts as reset.
    Counts,
    /// Nothing waits for that.
    NotAwaited,
    /// There is no such node.
    Unknown,
}

/// A person says that a node is off.
#[derive(Debug, Clone, PartialEq, Eq, Message)]
#[rtype(result = "Confirmed")]
pub struct ConfirmFence {
    /// The node.
    pub node: NodeName,
    /// The person, for the log.
    pub by: String,
}

impl GroupDone {
    /// The message that tells how an order for `group` ended.
    #[must_use]
    pub fn of(group: GroupKey, ended: Ended) -> Self {
        let Ended {
            order,
            outcome,
            said,
        } = ended;
        Self {
            order,
            group,
            outcome,
            said,
        }
    }

    /// How the order ended, for the ledger.
    #[must_use]
    pub fn ended(&self) -> Ended {
        Ended {
            order: self.order,
            outcome: self.outcome.clone(),
            said: self.said.clone(),
        }
    }
}

/// Run the notification script of a message's type, if there is one. No other work waits for it.
#[derive(Debug, Clone, Message)]
#[rtype(result = "()")]
pub struct RunHook {
    /// Its text fields become the script's environment.
    pub message: message::Message,
    /// Our own status at this moment (`HA_OSTATUS`).
    pub own_status: NodeStatus,
    /// Its place among those that wait.
    pub slot: Slot,
}

/// A local program wants a message sent to the cluster.
#[derive(Debug, Clone, PartialEq, Eq, Message)]
#[rtype(result = "()")]
pub struct Injected {
    /// The sender.
    pub origin: Origin,
    /// Without control fields.
    pub message: message::Message,
}

/// All media are open; membership may begin to send on them.
#[derive(Debug, Clone, Message)]
#[rtype(result = "()")]
pub struct MediaOpened(pub Vec<Recipient<Transmit>>);

/// A stop of the node is requested.
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "()")]
pub struct StopRequested {
    /// Why.
    pub reason: StopReason,
}

/// All respawned clients have ended, after [`RootEvent::StopClients`].
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "()")]
pub struct ClientsStopped;

/// An actor began anew after a fault of its own, and what it had in hand is lost: membership sends
/// again what it has to know. All of it may be told twice.
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "()")]
pub enum TellAgain {
    /// Everything but what concerns groups.
    Root,
    /// What concerns groups. Orders are given again whose outcome membership does not know.
    Groups,
}

/// The authentication keys changed. Goes to membership and to every medium.
#[derive(Debug, Clone, Message)]
#[rtype(result = "()")]
pub struct UpdateKeys(pub Arc<KeyRing>);

/// The machine's load average (the text of `/proc/loadavg`), for the own status message.
#[derive(Debug, Clone, Message)]
#[rtype(result = "()")]
pub struct LoadAverage(pub String);

/// The marks of our haresources as it is now, whether it is in force or not.
#[derive(Debug, Clone, Message)]
#[rtype(result = "()")]
pub struct HaresourcesOnDisk(pub FileMarks);

/// Names of the files that were changed long ago and are not in force; empty: there are none any more.
#[derive(Debug, Clone, Message)]
#[rtype(result = "()")]
pub struct FilesNotInForce(pub Vec<String>);

/// Messages to the registry of clients.
#[derive(Debug, Clone, PartialEq, Eq, Message)]
#[rtype(result = "()")]
pub enum ToClients {
    /// From root: communication is up, open the socket.
    Open,
    /// From membership: a cluster message that clients may want to see.
    Deliver {
        /// The message, control fields included.
        message: message::Message,
        /// Which clients are interested.
        treatment: Treatment,
        /// Its place among those that wait.
        slot: Slot,
    },
    /// From membership: such messages were dropped, because this thread is too slow for them.
    Missed,
}

/// What membership reports to the root actor, in the order in which the core reported it.
#[derive(Debug, Clone, PartialEq, Eq, Message)]
#[rtype(result = "()")]
pub enum RootEvent {
    /// The status of another node has changed.
    PeerStatus(PeerStatus),
    /// Communication is up: open the client socket, start respawned clients.
    CommUp,
    /// Stop the respawned clients, last first. Answered by [`ClientsStopped`].
    StopClients,
    /// The first own heartbeat of this process came back. The later ones are counted (`Beats`), and wake nobody.
    FirstHeartbeat,
    /// The node now runs under this generation; make sure that the file on disk is ahead of it.
    GenerationTaken(Generation),
    /// Reset a node.
    Fence(FenceNode),
    /// The reason of that is gone.
    CallOffFence(CallOffFence),
    /// The shutdown is complete: end the process.
    Exit,
    /// A resource cannot be stopped: restart the machine (in tests this is replaced).
    RebootMachine {
        /// The resource word that still runs.
        resource: String,
    },
}

/// The status of another node has changed; ping nodes are none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerStatus {
    /// The node.
    pub node: NodeName,
    /// Its new status.
    pub status: NodeStatus,
}

/// Asks membership whether it is known which groups must run here
/// ([`Node::is_settled`](crate::node::Node::is_settled)). The answer is the groups that a legacy node
/// reports that it holds, with that node; `None`: it is not known.
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "Option<Vec<(GroupKey, NodeName)>>")]
pub struct AskSettled;

/// Asks membership for its view of the node, for a person or a helper program.
#[derive(Debug, Clone, Copy)]
pub struct AskNode;

impl Message for AskNode {
    type Result = NodeReport;
}

/// Maintenance requests of an administrator's client to membership.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AskMaintenance {
    /// Start and stop nothing from now on.
    Freeze,
    /// Go on as usual.
    Thaw,
    /// The last decisions and their causes.
    Why,
}

impl Message for AskMaintenance {
    type Result = Result<Vec<Decision>, FreezeRefused>;
}

/// Messages to the client registry from a client that is part of the daemon.
#[derive(Debug, Clone, Message)]
#[rtype(result = "()")]
pub enum InsideSays {
    /// It wants a connection, as soon as no outside client has its name. Answered by
    /// [`InsideHears::Connected`]. An earlier connection ends.
    Connect(Recipient<InsideHears>),
    /// As over the client socket.
    Message(message::Message),
}

/// Messages to that client.
#[derive(Debug, Clone, PartialEq, Eq, Message)]
#[rtype(result = "()")]
pub enum InsideHears {
    /// It may sign on.
    Connected,
    /// As over the client socket.
    Message(message::Message),
    /// The connection is gone: an outside client of its name signed on, or the registry began anew.
    Closed,
}

/// Asks membership for the state of the cluster, for a client.
#[derive(Debug, Clone, Copy)]
pub struct AskCluster;

impl Message for AskCluster {
    type Result = ClusterView;
}
