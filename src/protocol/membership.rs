//! Membership: which nodes and links are alive, and every rule between two nodes below the resource
//! handshake. Does no I/O and reads no clock.
//!
//! Every call first applies what is due, then its own event. Then it puts the messages that it sent
//! through its own pipeline in the order of their numbers, and finally checks whether communication
//! is up. So messages leave in sequence order, whatever a reaction sends.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::event::Origin;
use super::haresources_mark::FileMarks;
use super::history::History;
use super::keys::SigningKey;
use super::limiter::Limiter;
use super::message::Message;
use super::name::{Generation, MediumName, NodeName, NodeUuid, Sequence};
use super::node_table::{MAX_CAPABILITY_BYTES, Node, NodeIndex, NodeKind, NodeTable};
use super::output::Output;
use super::partition::Weight;
use super::status::NodeStatus;
use crate::clock::{Monotonic, Now};
use crate::notice::Notice;
use crate::protocol::settings::{Autojoin, NodeSettings};

mod comm;
mod dispatch;
mod farewell;
mod haresources;
mod hearing;
mod keys;
mod liveness;
mod monitors;
mod node_list;
mod numbers;
mod receive;
mod send;
mod status;

pub use haresources::Compared;
pub use hearing::Reception;
pub use monitors::MonitorsCompared;
#[cfg(test)]
mod tests;
mod uuids;
mod view;

use comm::Phase;
use farewell::Farewell;
use liveness::Stall;
use send::AnnouncedDeadTime;
pub use view::{NodeView, Silence};

/// Longest `ld` text, in bytes. Spec: docs/protocol/wire.md, 8.
const MAX_LOAD_BYTES: usize = 63;

/// Identity of this node in this run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Generation of this run, already safe on disk.
    pub generation: Generation,
    /// Our uuid.
    pub uuid: NodeUuid,
    /// Capability words that we advertise: letters, digits, `-`, `_`.
    pub capabilities: Vec<String>,
}

/// The membership core.
#[derive(Debug)]
pub struct Membership {
    settings: NodeSettings,
    generation: Generation,
    uuid: NodeUuid,
    /// Our uuid until another node turned out to have it too.
    former_uuid: Option<NodeUuid>,
    capabilities: BTreeSet<String>,
    /// The field `systole`; empty: left out.
    capability_text: String,
    rng: StdRng,
    nodes: NodeTable,
    /// Names removed by `delnode`; at most as many as a table holds.
    deleted: Vec<NodeName>,
    /// Our own status, as we report it.
    status: NodeStatus,
    phase: Phase,
    /// Every node was received or declared dead once; never undone.
    links_up: bool,
    /// Communication was up once in this process.
    was_up: bool,
    /// The groups ran on while the process or its core was restarted.
    goes_on: bool,
    /// With autojoin: new nodes had their time to send something.
    autojoin_waited: bool,
    /// A node list came before we asked for one.
    list_received: bool,
    /// Since when we can receive; silence counts from here.
    opened_at: Option<Monotonic>,
    next_beat: Option<Monotonic>,
    /// When our last status was sent.
    last_beat: Option<Monotonic>,
    dead_time: AnnouncedDeadTime,
    /// Our last number.
    last_seq: Sequence,
    /// That of our last message that is no status.
    last_word: Sequence,
    farewell: Option<Farewell>,
    /// Sent and not yet looped back; emptied before every call returns.
    own: VecDeque<Message>,
    /// Early messages whose run has begun now; emptied before every call returns.
    early: VecDeque<(MediumName, Message)>,
    history: History,
    /// Which key signs.
    signing: SigningKey,
    acknowledged: Sequence,
    /// No peer of an old release is present.
    flow_control: bool,
    /// Acknowledgements wait for the end of the batch.
    acks_held: bool,
    clients_paused: bool,
    load: String,
    limiter: Limiter,
    stall: Stall,
    /// What was logged about one-way links.
    said: hearing::Said,
    /// Mark of the owners in the haresources that is in force.
    haresources: String,
    /// Marks of the file as it is now.
    on_disk: FileMarks,
    /// Our strength in a split, which we send to a node that we declared dead; `None`: nothing is
    /// sent.
    weight: Option<Weight>,
    /// Whether our interfaces for the service addresses are up, as a heartbeat says it; `None`: nobody looks.
    links: Option<String>,
    /// Our heartbeats wait for the owner of this core in the call of this instant.
    beats_held_at: Option<Monotonic>,
    last_unix_s: u64,
}

impl Membership {
    /// The core before its start: it knows the configured nodes and has received nothing.
    #[must_use]
    pub fn new(settings: &NodeSettings, identity: Identity, seed: u64) -> Self {
        let capabilities: BTreeSet<String> = identity
            .capabilities
            .into_iter()
            .filter(|word| !word.is_empty())
            .collect();
        let capability_text = capabilities
            .iter()
            .map(String::as_str)
            .collect::<Vec<_>>()
            .join(".");
        debug_assert!(capability_text.len() <= MAX_CAPABILITY_BYTES);
        let on_disk = FileMarks::of(&settings.groups);
        let mut membership = Self {
            settings: settings.clone(),
            generation: identity.generation,
            uuid: identity.uuid,
            former_uuid: None,
            capabilities,
            capability_text,
            rng: StdRng::seed_from_u64(seed),
            nodes: NodeTable::default(),
            deleted: Vec::new(),
            status: NodeStatus::Init,
            phase: Phase::Stopped,
            links_up: false,
            was_up: false,
            goes_on: false,
            autojoin_waited: settings.autojoin == Autojoin::None,
            list_received: false,
            opened_at: None,
            next_beat: None,
            last_beat: None,
            dead_time: AnnouncedDeadTime::default(),
            last_seq: Sequence(0),
            last_word: Sequence(0),
            farewell: None,
            own: VecDeque::new(),
            early: VecDeque::new(),
            history: History::default(),
            signing: SigningKey::default(),
            acknowledged: Sequence(0),
            flow_control: true,
            acks_held: false,
            clients_paused: false,
            load: "n/a".to_owned(),
            limiter: Limiter::default(),
            stall: Stall::default(),
            said: hearing::Said::default(),
            haresources: on_disk.owners.clone(),
            on_disk,
            weight: None,
            links: None,
            beats_held_at: None,
            last_unix_s: 0,
        };
        // The order of the table is that of the configuration; our own node comes first when ha.cf
        // does not name it.
        if !settings.nodes.contains(&settings.local) {
            membership.add_node(&settings.local, NodeKind::Own, Monotonic::ZERO);
        }
        for name in &settings.nodes {
            let kind = if *name == settings.local {
                NodeKind::Own
            } else {
                NodeKind::Peer
            };
            membership.add_node(name, kind, Monotonic::ZERO);
        }
        for name in &settings.ping_nodes {
            membership.add_node(name, NodeKind::Ping, Monotonic::ZERO);
        }
        membership
    }

    /// The groups ran on while the process or its core was restarted: the start waits for no ping
    /// node. Call before [`start`](Self::start). Spec: docs/protocol/membership.md, 9.3.
    pub const fn go_on(&mut self) {
        self.goes_on = true;
    }

    /// Begins the run: `status init`, with a raised `dt`. Spec: docs/protocol/membership.md, 4.
    pub fn start(&mut self, now: Now, out: &mut Vec<Output>) {
        if self.phase != Phase::Stopped {
            return;
        }
        self.last_unix_s = now.unix_s;
        self.phase = Phase::Starting;
        self.dead_time.raise_for_start(now.instant);
        self.emit_status(now, out);
        self.settle(now, out);
    }

    /// All media are open: `init` becomes `up`, heartbeats begin, silence counts from here.
    pub fn media_opened(&mut self, now: Now, out: &mut Vec<Output>) {
        if self.phase != Phase::Starting {
            return;
        }
        self.opened_at = Some(now.instant);
        for node in self.nodes.iter_mut() {
            node.silent_since = now.instant;
            node.cut_gap();
        }
        self.phase = Phase::Waiting;
        self.set_status(NodeStatus::Up, now, out);
        // The first heartbeat repeats it at once, as legacy does: two copies of the news.
        self.next_beat = Some(now.instant);
        self.apply_due(now, out);
        self.settle(now, out);
    }

    /// Applies everything due by `now`.
    pub fn tick(&mut self, now: Now, out: &mut Vec<Output>) {
        self.enter(now, out);
        self.settle(now, out);
    }

    /// Applies everything due by `now`, then a verified message: a batch of one.
    pub fn received(
        &mut self,
        medium: &MediumName,
        message: Message,
        now: Now,
        out: &mut Vec<Output>,
    ) {
        self.begin_batch(now, out);
        self.received_in_batch(medium, message, now, out);
        self.end_batch(now, out);
    }

    /// Sends a message of the daemon itself or of the resource core.
    pub fn send(&mut self, message: Message, now: Now, out: &mut Vec<Output>) {
        self.enter(now, out);
        self.emit(message, now, out);
        self.settle(now, out);
    }

    /// Sends a message of a script or client. Types that only a daemon may send are refused with
    /// a line. Spec: docs/protocol/wire.md, 9; docs/protocol/client-api.md, 7.
    pub fn inject(&mut self, origin: Origin, message: Message, now: Now, out: &mut Vec<Output>) {
        self.enter(now, out);
        if let Some(refused) = send::refused_from(origin, &message) {
            let text = format!("message type {refused:?} from {origin:?} refused");
            self.limited("refused local message", now, out, || Notice::OtherWarn {
                text,
            });
        } else if !self.refuses_addition(&message, now, out) {
            self.emit(message, now, out);
        }
        self.settle(now, out);
    }

    /// Sends our status at once; the schedule is unchanged.
    pub fn send_status(&mut self, now: Now, out: &mut Vec<Output>) {
        self.enter(now, out);
        self.emit_status(now, out);
        self.settle(now, out);
    }

    /// Continues under a new generation: numbers from 1, `init`, `up`, `reqnodes`, then
    /// [`Output::CommUp`] with `first: false`. What is known of other nodes is kept. The generation
    /// must be safe on disk. Spec: docs/protocol/membership.md, 16.3.
    pub fn begin_new_generation(
        &mut self,
        generation: Generation,
        now: Now,
        out: &mut Vec<Output>,
    ) {
        self.restart_numbering(generation, now, out);
        self.settle(now, out);
    }

    /// Continues under a new generation; only the number changes. For peers that have all been
    /// declared dead: the first message that they receive from us then belongs to a new run. The
    /// generation must be safe on disk. Spec: docs/protocol/membership.md, 16.3.
    pub fn continue_under(&mut self, generation: Generation, now: Now, out: &mut Vec<Output>) {
        self.enter(now, out);
        self.renumber(generation, out);
        self.emit_status(now, out);
        self.settle(now, out);
    }

    /// Sets our strength in a split, which we send to a node that we declared dead. `None`: nothing
    /// is sent.
    pub const fn set_weight(&mut self, weight: Option<Weight>) {
        self.weight = weight;
    }

    /// Sets what our heartbeats say of our interfaces for the service addresses.
    pub fn set_links(&mut self, links: String) {
        self.links = Some(links);
    }

    /// How long each peer may be silent, as the peer announced it.
    pub fn dead_times(&self) -> impl Iterator<Item = (&NodeName, Duration)> {
        let known = |node: &&Node| node.kind == NodeKind::Peer && node.dead_time_told;
        self.nodes
            .iter()
            .filter(known)
            .map(|node| (&node.name, node.dead_after))
    }

    /// Dead times that an earlier core of this process knew. The longer time counts until the peer
    /// announces it again.
    pub fn keep_dead_times(&mut self, known: impl IntoIterator<Item = (NodeName, Duration)>) {
        for (name, time) in known {
            let of_it = |node: &&mut Node| node.kind == NodeKind::Peer && node.name == name;
            if let Some(node) = self.nodes.iter_mut().find(of_it) {
                node.dead_after = node.dead_after.max(time);
                node.dead_time_told = true;
            }
        }
    }

    /// An earlier process or core knew a node in this run. If the node now has another run, that is
    /// reported. With `heard`, a number of that run, messages that the node has sent since are
    /// asked for: one of them may have been sent while nothing received.
    pub fn goes_on_behind(&mut self, name: &NodeName, run: Generation, heard: Option<Sequence>) {
        let of_it = |node: &&mut Node| node.kind == NodeKind::Peer && node.name == *name;
        if let Some(node) = self.nodes.iter_mut().find(of_it) {
            node.heard_before = Some((run, heard));
        }
    }

    /// Announces a dead time that is `extra` longer, until it was lowered as often as raised.
    pub fn raise_dead_time(&mut self, extra: Duration, now: Now, out: &mut Vec<Output>) {
        self.dead_time.raise(extra);
        self.send_status(now, out);
    }

    /// Takes back one [`raise_dead_time`](Self::raise_dead_time).
    pub fn lower_dead_time(&mut self, now: Now, out: &mut Vec<Output>) {
        self.dead_time.lower();
        self.send_status(now, out);
    }

    /// A message that was sent under `generation` cannot go out on `medium`, or on none.
    pub fn cannot_go(
        &mut self,
        generation: Generation,
        seq: Sequence,
        medium: Option<&MediumName>,
    ) {
        if generation == self.generation {
            self.history.cannot_go(seq, medium);
        }
    }

    /// Sets the text of the field `ld`: the first line of `/proc/loadavg`.
    pub fn set_load(&mut self, line: &str) {
        let line = line.lines().next().unwrap_or_default();
        self.load.clear();
        self.load
            .extend(line.chars().filter(char::is_ascii).take(MAX_LOAD_BYTES));
    }

    /// Applies everything due by `now`. Then follow messages that were all received by then, and
    /// [`end_batch`](Self::end_batch), at the same instant.
    pub fn begin_batch(&mut self, now: Now, out: &mut Vec<Output>) {
        let due = self.may_be_due(now);
        self.enter(now, out);
        if due {
            self.settle(now, out);
        }
        self.acks_held = true;
    }

    /// A verified message of a batch.
    pub fn received_in_batch(
        &mut self,
        medium: &MediumName,
        message: Message,
        now: Now,
        out: &mut Vec<Output>,
    ) {
        self.take_message(medium, message, now, out);
        self.choose_key(now, out);
        self.come_to_rest(now, out);
    }

    /// Sends the last acknowledgement due to each node, and plans the next call.
    pub fn end_batch(&mut self, now: Now, out: &mut Vec<Output>) {
        self.send_acknowledgements(now, out);
        self.settle(now, out);
    }

    /// Applies what is due before anything else.
    fn enter(&mut self, now: Now, out: &mut Vec<Output>) {
        self.watch_clocks(now, out);
        if self.may_be_due(now) {
            self.apply_due(now, out);
        }
    }

    /// Whether anything can have become due since the last call.
    fn may_be_due(&self, now: Now) -> bool {
        self.stall.is_due(now.instant) || self.beats_held_at.is_some()
    }

    /// Works off everything that follows, then computes which node has which messages and when to
    /// be called again.
    fn settle(&mut self, now: Now, out: &mut Vec<Output>) {
        self.come_to_rest(now, out);
        self.update_flow(now, out);
        self.judge_farewell(out);
        self.stall.plan(self.next_deadline(), now.instant);
    }

    /// Loops own messages back, then checks whether communication is up, until neither has more to
    /// do.
    fn come_to_rest(&mut self, now: Now, out: &mut Vec<Output>) {
        loop {
            while let Some(message) = self.own.pop_front() {
                self.take_own(message, now, out);
            }
            if let Some((medium, message)) = self.early.pop_front() {
                self.take_message(&medium, message, now, out);
                continue;
            }
            self.check_comm(now, out);
            if self.own.is_empty() {
                break;
            }
        }
        self.release_notices(out);
    }

    /// Adds a node to the table; `None` when it is full or the name is known.
    fn add_node(&mut self, name: &NodeName, kind: NodeKind, now: Monotonic) -> Option<NodeIndex> {
        let dead_after = match kind {
            NodeKind::Own | NodeKind::Peer => self.settings.timing.deadtime,
            NodeKind::Ping => self.settings.timing.deadping,
        };
        let trigger = self.rng.random_range(0..10);
        let mut node = Node::new(
            name.clone(),
            kind,
            &self.settings.media,
            dead_after,
            trigger,
            now,
        );
        if kind == NodeKind::Own {
            node.uuid = Some(self.uuid);
            node.generation = self.generation;
        }
        self.nodes.add(node).ok()
    }

    /// Emits a line unless its kind came too often.
    fn limited(
        &mut self,
        kind: &'static str,
        now: Now,
        out: &mut Vec<Output>,
        line: impl FnOnce() -> Notice,
    ) {
        if self.limiter.pass(kind, now.instant) {
            out.push(Output::Notice(line()));
        }
    }
}
