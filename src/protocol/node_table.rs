//! The table of nodes, in configuration order, with everything that membership knows of each.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::gaps::Gaps;
use super::hearing::Ears;
use super::link::Link;
use super::membership::{Compared, MonitorsCompared};
use super::message::Message;
use super::name::{Generation, MediumName, NodeName, NodeUuid, Sequence};
use super::retransmit::Requests;
use super::sequence::{KnownRun, Window};
use super::status::NodeStatus;
use crate::clock::{Monotonic, Now};

/// Nodes in the table, ping nodes included; the legacy limit. Spec: docs/protocol/wire.md, 6.
pub const MAX_NODES: usize = 100;
/// Longest dead time that a node may announce, so that a broken peer can be declared dead.
pub const MAX_DEAD_TIME: Duration = Duration::from_secs(3600);
/// Weight of a node for which none was set.
const DEFAULT_WEIGHT: u32 = 100;
/// Most numbers remembered of a run that no status has announced yet: a starting node's first
/// status overtakes at most the few messages of its first second.
const MAX_AHEAD: usize = 64;

/// Longest site text, in bytes.
pub const MAX_SITE_BYTES: usize = 255;
/// Longest list of capability words, in bytes: a few dozen bytes in every heartbeat.
pub const MAX_CAPABILITY_BYTES: usize = 128;

/// Messages of a run that we do not know yet, kept until its first status: a node sends a handful
/// of messages at its start.
const MAX_EARLY: usize = 8;

/// Notices of clients that wait for missing messages of their node. Beyond this number the oldest
/// is delivered: more clients come and go during a gap only when something is wrong.
const MAX_HELD_NOTICES: usize = 64;

/// Memory for messages of one node that wait for a missing message or a status, in bytes; for the
/// notices and for the early messages each. A real one has a few hundred bytes. A compressed
/// datagram of a few hundred bytes can contain one of two megabytes, and this memory is locked.
const MAX_KEPT_BYTES: usize = 256 * 1024;

/// A message of a run that no status of its sender has begun yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Early {
    /// The run.
    pub generation: Generation,
    /// Its number.
    pub seq: Sequence,
    /// The medium that received it.
    pub medium: MediumName,
    /// The message.
    pub message: Message,
}

/// The kind of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NodeKind {
    /// Ourselves.
    Own,
    /// Another member.
    Peer,
    /// A ping node or ping group: never a member.
    Ping,
}

/// Messages that are missing and may only be late: a legacy node sends some after those that follow them. They count as lost,
/// for a log line, when they are asked for. Spec: docs/protocol/resources.md, 4.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Gap {
    /// How many, the number before the first and the one behind the last; `None`: there is none, or it was told.
    untold: Option<(u64, Sequence, Sequence)>,
    told: bool,
}

impl Gap {
    /// `count` messages between two numbers are missing.
    pub const fn add(&mut self, count: u64, before: Sequence, behind: Sequence) {
        self.untold = Some(match self.untold {
            None => (count, before, behind),
            Some((more, first, _)) => (more.saturating_add(count), first, behind),
        });
    }

    /// They are asked for: what is to be told now.
    pub fn is_asked_for(&mut self) -> Option<(u64, Sequence, Sequence)> {
        let untold = self.untold.take();
        self.told |= untold.is_some();
        untold
    }

    /// Nothing is missing any more. `true`: it was told.
    pub fn closes(&mut self) -> bool {
        std::mem::take(self).told
    }
}

/// All that is known of one node.
#[derive(Debug, Clone)]
pub struct Node {
    /// Name.
    pub name: NodeName,
    /// Its kind.
    pub kind: NodeKind,
    /// Uuid, once learnt; `None` while another node has the same.
    pub uuid: Option<NodeUuid>,
    /// Another node has this uuid as well: no message may be addressed to it.
    pub uuid_is_shared: bool,
    /// Status word.
    pub status: NodeStatus,
    /// Generation of its run; 0: nothing was received yet.
    pub generation: Generation,
    /// Anything was received since the start or since its last death.
    pub heard: bool,
    /// Numbers received and missing.
    pub window: Window,
    /// Number of the key that verified its newest message; `None`: nothing since the start or since
    /// its last death.
    pub key: Option<u8>,
    /// The run in which an earlier process of ours knew it, and a number: messages after that
    /// number are asked for.
    pub heard_before: Option<(Generation, Option<Sequence>)>,
    /// Highest number of this run received before its last death: a number not above it is a late
    /// copy.
    pub heard_to: Sequence,
    /// A run newer than the known one, and its numbers that were handled before its first status;
    /// at most [`MAX_AHEAD`].
    pub ahead: (Generation, BTreeSet<Sequence>),
    /// Requests for the missing ones.
    pub requests: Requests,
    /// The gap in its numbers, and what was said of it.
    pub gap: Gap,
    /// Messages that came before the status that begins their run.
    pub early: Vec<Early>,
    /// Join and leave notices after a missing message, in the order of their numbers.
    held_notices: BTreeMap<Sequence, Message>,
    /// When the owner of the core was last told that messages of it were lost for good.
    pub loss_told: Option<Monotonic>,
    /// More was lost since then.
    pub loss_untold: bool,
    /// Whether it receives us.
    pub ears: Ears,
    /// Number of the last status taken.
    pub status_seq: Sequence,
    /// When the last status was accepted; `None` after a restart, so that no gap is reported.
    pub last_status: Option<Monotonic>,
    /// How far apart its heartbeats were, or ours as we send them; `None` of a ping node.
    pub gaps: Option<Gaps>,
    /// Since when it has been silent.
    pub silent_since: Monotonic,
    /// When this process last went on after a stall that was long for the node's dead time.
    pub listened_to_since: Monotonic,
    /// How long it may be silent.
    pub dead_after: Duration,
    /// It has announced that to this process.
    pub dead_time_told: bool,
    /// The highest number of ours that it acknowledged.
    pub acked: Sequence,
    /// The number that we must acknowledge to it at the end of the batch.
    pub ack_due: Option<Sequence>,
    /// Which of its messages we acknowledge: `seq mod 10`.
    pub ack_trigger: u64,
    /// Capability words of its present run.
    pub capabilities: BTreeSet<String>,
    /// We have declared its present run dead, whether it was received again since or not.
    pub given_up: bool,
    /// How its haresources compares with ours.
    pub haresources: Compared,
    /// How its monitors compare with ours.
    pub monitors: MonitorsCompared,
    /// The report of its first status change waits: it joined by itself.
    pub withheld: bool,
    /// Quorum weight.
    pub weight: u32,
    /// Site.
    pub site: String,
    /// Links in the order of the media.
    pub links: Vec<Link>,
}

impl Node {
    /// Whether it is another node, and one with Systole's capabilities.
    #[must_use]
    pub fn is_systole_peer(&self) -> bool {
        self.kind == NodeKind::Peer && !self.capabilities.is_empty()
    }

    /// A node from which nothing was received yet.
    #[must_use]
    pub fn new(
        name: NodeName,
        kind: NodeKind,
        media: &[MediumName],
        dead_after: Duration,
        ack_trigger: u64,
        now: Monotonic,
    ) -> Self {
        let links = match kind {
            NodeKind::Own | NodeKind::Peer => media.iter().cloned().map(Link::new).collect(),
            NodeKind::Ping => vec![Link::new(MediumName::new(name.as_str()))],
        };
        Self {
            name,
            kind,
            uuid: None,
            uuid_is_shared: false,
            status: NodeStatus::Init,
            generation: Generation(0),
            heard: false,
            window: Window::default(),
            key: None,
            heard_before: None,
            heard_to: Sequence(0),
            ahead: (Generation(0), BTreeSet::new()),
            requests: Requests::default(),
            gap: Gap::default(),
            early: Vec::new(),
            held_notices: BTreeMap::new(),
            loss_told: None,
            loss_untold: false,
            ears: Ears::default(),
            status_seq: Sequence(0),
            last_status: None,
            gaps: (kind != NodeKind::Ping).then(Gaps::default),
            silent_since: now,
            listened_to_since: now,
            dead_after,
            dead_time_told: false,
            acked: Sequence(0),
            ack_due: None,
            ack_trigger,
            capabilities: BTreeSet::new(),
            given_up: false,
            haresources: Compared::default(),
            monitors: MonitorsCompared::default(),
            withheld: false,
            weight: DEFAULT_WEIGHT,
            site: String::new(),
            links,
        }
    }

    /// Whether it is a member: ourselves or a peer.
    #[must_use]
    pub const fn is_member(&self) -> bool {
        !matches!(self.kind, NodeKind::Ping)
    }

    /// What is known of its run, to judge a message.
    #[must_use]
    pub const fn known_run(&self) -> KnownRun {
        KnownRun {
            generation: self.generation,
            status_seq: self.status_seq,
            dead: matches!(self.status, NodeStatus::Dead),
        }
    }

    /// Forgets the numbers, as after a death. Spec: docs/protocol/wire.md, 13.3.
    pub fn forget_tracking(&mut self) {
        self.heard_to = self.heard_to.max(self.window.last().unwrap_or_default());
        self.window.clear();
        self.key = None;
        self.requests.clear();
        self.gap = Gap::default();
        // After a death or a new run, losses of the old run do not matter.
        self.loss_untold = false;
        self.ears = Ears::default();
        self.acked = Sequence(0);
        self.ack_due = None;
    }

    /// Forgets the last run and accepts a new one. Spec: docs/protocol/wire.md, 13.2.
    pub fn take_generation(&mut self, generation: Generation) {
        self.forget_tracking();
        self.heard_to = Sequence(0);
        self.generation = generation;
        self.status_seq = Sequence(0);
        self.last_status = None;
        // A new run of our own is no absence of ours: it may follow just such a gap.
        if self.kind != NodeKind::Own {
            self.cut_gap();
        }
        self.capabilities.clear();
        self.haresources.begins_run();
        self.given_up = false;
    }

    /// A heartbeat was accepted: samples the gap before it. Before the node is up it sends none regularly.
    pub fn sample_gap(&mut self, now: Now) {
        if self.status == NodeStatus::Init {
            self.cut_gap();
        }
        if let Some(gaps) = &mut self.gaps {
            gaps.heard(now);
        }
    }

    /// The gap that is open says nothing.
    pub const fn cut_gap(&mut self) {
        if let Some(gaps) = &mut self.gaps {
            gaps.cut();
        }
    }

    /// Whether an older message of this node is still missing.
    #[must_use]
    pub fn misses_before(&self, seq: Sequence) -> bool {
        self.window.first_missing().is_some_and(|first| first < seq)
    }

    /// Keeps a notice until the messages missing before it have come or were given up. Returns
    /// those that cannot wait any longer, the oldest first. Spec: docs/protocol/client-api.md, 9,
    /// barrier.
    pub fn hold_notice(&mut self, seq: Sequence, notice: Message) -> Vec<Message> {
        self.held_notices.insert(seq, notice);
        let mut bytes = total_bytes(self.held_notices.values());
        let mut released = Vec::new();
        while self.held_notices.len() > MAX_HELD_NOTICES || bytes > MAX_KEPT_BYTES {
            let Some((_, oldest)) = self.held_notices.pop_first() else {
                break;
            };
            bytes = bytes.saturating_sub(oldest.memory_bytes());
            released.push(oldest);
        }
        released
    }

    /// The next notice below `limit` for which no earlier message is missing.
    pub fn next_notice(&mut self, limit: Sequence) -> Option<Message> {
        let first = *self.held_notices.first_key_value()?.0;
        let free = first < limit && !self.misses_before(first);
        free.then(|| self.held_notices.pop_first())
            .flatten()
            .map(|(_, notice)| notice)
    }

    /// All notices that wait: the missing messages will not come.
    pub fn take_notices(&mut self) -> impl Iterator<Item = Message> + use<> {
        std::mem::take(&mut self.held_notices).into_values()
    }

    /// Keeps a message of a run that we do not know yet; the oldest are dropped when there are too
    /// many or they are too large.
    pub fn keep_early(&mut self, early: Early) {
        let same = |kept: &Early| (kept.generation, kept.seq) == (early.generation, early.seq);
        if self.early.iter().any(same) {
            return;
        }
        self.early.push(early);
        let mut bytes = total_bytes(self.early.iter().map(|early| &early.message));
        while self.early.len() > MAX_EARLY || bytes > MAX_KEPT_BYTES {
            let oldest = self.early.remove(0);
            bytes = bytes.saturating_sub(oldest.message.memory_bytes());
        }
    }

    /// Notes a number of a run that no status has announced yet. `false`: there are too many, it
    /// was noted before, or its run is older than another that was noted.
    pub fn note_ahead(&mut self, generation: Generation, seq: Sequence) -> bool {
        if generation < self.ahead.0 {
            return false;
        }
        if generation > self.ahead.0 {
            self.ahead = (generation, BTreeSet::new());
        }
        self.ahead.1.len() < MAX_AHEAD && self.ahead.1.insert(seq)
    }

    /// Whether a message of the present run was handled before that run was known.
    #[must_use]
    pub fn was_ahead(&self, generation: Generation, seq: Sequence) -> bool {
        generation == self.generation && self.ahead.0 == generation && self.ahead.1.contains(&seq)
    }

    /// Stores the text of the field `systole`; refuses a text that is too long or no list of words.
    pub fn advertise(&mut self, text: Option<&str>) {
        let text = text.unwrap_or_default();
        let well_formed = text.len() <= MAX_CAPABILITY_BYTES
            && text
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b".-_".contains(&byte));
        // This happens twice per second and node: the set is not rebuilt while the text is the
        // same.
        let same = text
            .split('.')
            .filter(|word| !word.is_empty())
            .eq(self.capabilities.iter().map(String::as_str));
        if !same {
            self.capabilities.clear();
            if well_formed {
                self.capabilities.extend(
                    text.split('.')
                        .filter(|word| !word.is_empty())
                        .map(str::to_owned),
                );
            }
        }
    }
}

/// What messages take in memory together, in bytes.
fn total_bytes<'a>(messages: impl Iterator<Item = &'a Message>) -> usize {
    messages
        .map(Message::memory_bytes)
        .fold(0, usize::saturating_add)
}

/// Position of a node in the table. Valid until nodes are removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct NodeIndex(usize);

/// The sender of a message, found by name and uuid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sender {
    /// In the table.
    Known(NodeIndex),
    /// The name is in the table, and another node there has the uuid.
    Shares {
        /// The sender, by its name.
        index: NodeIndex,
        /// The node that has the uuid.
        holder: NodeIndex,
    },
    /// Neither uuid nor name is in the table.
    Unknown,
    /// The uuid belongs to a node of this name; the sender's name is not in the table.
    Renamed(NodeName),
}

/// The nodes in configuration order, ourselves and ping nodes included.
#[derive(Debug, Clone, Default)]
pub struct NodeTable {
    nodes: Vec<Node>,
}

impl NodeTable {
    /// Adds a node unless its name is known or the table is full.
    ///
    /// # Errors
    /// The node, when it was not added.
    pub fn add(&mut self, node: Node) -> Result<NodeIndex, Box<Node>> {
        if self.nodes.len() >= MAX_NODES || self.find(node.name.as_str()).is_some() {
            return Err(Box::new(node));
        }
        // Members stand in front of ping nodes, as in a node list.
        let at = match node.kind {
            NodeKind::Own | NodeKind::Peer => self
                .nodes
                .iter()
                .position(|other| !other.is_member())
                .unwrap_or(self.nodes.len()),
            NodeKind::Ping => self.nodes.len(),
        };
        self.nodes.insert(at, node);
        Ok(NodeIndex(at))
    }

    /// Removes a node. Every index is void after it.
    pub fn remove(&mut self, name: &NodeName) {
        self.nodes.retain(|node| node.name != *name);
    }

    /// The node at a position.
    #[must_use]
    pub fn get(&self, index: NodeIndex) -> Option<&Node> {
        self.nodes.get(index.0)
    }

    /// The node at a position.
    pub fn get_mut(&mut self, index: NodeIndex) -> Option<&mut Node> {
        self.nodes.get_mut(index.0)
    }

    /// The node of exactly that name, case included. Spec: docs/protocol/wire.md, 11.2.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<NodeIndex> {
        self.nodes
            .iter()
            .position(|node| node.name.as_str() == name)
            .map(NodeIndex)
    }

    /// The node of that uuid.
    #[must_use]
    pub fn find_uuid(&self, uuid: &NodeUuid) -> Option<NodeIndex> {
        self.nodes
            .iter()
            .position(|node| node.uuid.as_ref() == Some(uuid))
            .map(NodeIndex)
    }

    /// Finds the sender of a message. A configured name decides, whatever the uuid is: after
    /// copying a disk two machines have one uuid, and each must still receive the other. A known
    /// uuid under a name that is not configured renames no node. Spec: docs/protocol/wire.md, 11.2.
    #[must_use]
    pub fn sender(&self, name: &str, uuid: Option<&NodeUuid>) -> Sender {
        let holder = uuid.and_then(|uuid| self.find_uuid(uuid));
        match (self.find(name), holder) {
            (Some(index), Some(holder)) if index != holder => Sender::Shares { index, holder },
            (Some(index), _) => Sender::Known(index),
            (None, Some(holder)) => self
                .get(holder)
                .map_or(Sender::Unknown, |node| Sender::Renamed(node.name.clone())),
            (None, None) => Sender::Unknown,
        }
    }

    /// All nodes.
    pub fn iter(&self) -> impl Iterator<Item = &Node> {
        self.nodes.iter()
    }

    /// All nodes.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut Node> {
        self.nodes.iter_mut()
    }

    /// All positions.
    pub fn indexes(&self) -> impl Iterator<Item = NodeIndex> + use<> {
        (0..self.nodes.len()).map(NodeIndex)
    }

    /// How many nodes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// Members that are `up` or `active`, ourselves included in any status.
    #[must_use]
    pub fn living(&self) -> usize {
        self.nodes
            .iter()
            .filter(|node| {
                matches!(node.kind, NodeKind::Own) || (node.is_member() && node.status.is_living())
            })
            .count()
    }

    /// The highest number of ours that every member that is not dead has acknowledged. Spec:
    /// docs/protocol/wire.md, 15.3.
    #[must_use]
    pub fn acknowledged_by_all(&self, highest: Sequence) -> Sequence {
        self.nodes
            .iter()
            .filter(|node| matches!(node.kind, NodeKind::Peer) && node.status != NodeStatus::Dead)
            .map(|node| node.acked)
            .min()
            .unwrap_or(highest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> NodeName {
        NodeName::new(text).unwrap()
    }

    fn table() -> NodeTable {
        let mut table = NodeTable::default();
        for (text, kind) in [
            ("alpha", NodeKind::Own),
            ("router", NodeKind::Ping),
            ("beta", NodeKind::Peer),
        ] {
            let node = Node::new(
                name(text),
                kind,
                &[MediumName::new("eth0")],
                Duration::from_secs(5),
                0,
                Monotonic::ZERO,
            );
            table.add(node).unwrap();
        }
        table
    }

    #[test]
    fn members_come_before_ping_nodes() {
        let names: Vec<String> = table().iter().map(|node| node.name.to_string()).collect();
        assert_eq!(names, ["alpha", "beta", "router"]);
    }

    #[test]
    fn the_sender_is_found_by_a_configured_name_whatever_its_uuid() {
        let mut table = table();
        let uuid = NodeUuid([1; 16]);
        let other = NodeUuid([2; 16]);
        let beta = table.find("beta").unwrap();
        table.get_mut(beta).unwrap().uuid = Some(uuid);
        assert_eq!(table.sender("beta", Some(&uuid)), Sender::Known(beta));
        assert_eq!(table.sender("beta", None), Sender::Known(beta));
        assert_eq!(table.sender("beta", Some(&other)), Sender::Known(beta));
        assert_eq!(table.sender("gamma", None), Sender::Unknown);
        assert_eq!(table.sender("Beta", None), Sender::Unknown);
        assert_eq!(
            table.sender("gamma", Some(&uuid)),
            Sender::Renamed(name("beta"))
        );
        let index = table.find("alpha").unwrap();
        assert_eq!(
            table.sender("alpha", Some(&uuid)),
            Sender::Shares {
                index,
                holder: beta
            }
        );
    }

    #[test]
    fn the_table_is_bounded() {
        let mut table = table();
        let node = |number: usize| {
            Node::new(
                name(&format!("n{number}")),
                NodeKind::Peer,
                &[],
                Duration::from_secs(5),
                0,
                Monotonic::ZERO,
            )
        };
        for number in 3..MAX_NODES {
            table.add(node(number)).unwrap();
        }
        assert!(table.add(node(100)).is_err());
        assert_eq!(table.len(), MAX_NODES);
    }

    #[test]
    fn capability_words_are_checked() {
        let mut table = table();
        let beta = table.find("beta").unwrap();
        let node = table.get_mut(beta).unwrap();
        node.advertise(Some("yield.fast-start"));
        assert!(node.capabilities.contains("yield"));
        assert!(node.capabilities.contains("fast-start"));
        node.advertise(Some("yield.fast start"));
        assert!(node.capabilities.is_empty(), "refused as a whole");
        node.advertise(Some("a"));
        node.advertise(None);
        assert!(node.capabilities.is_empty());
        node.advertise(Some(&"a".repeat(MAX_CAPABILITY_BYTES + 1)));
        assert!(node.capabilities.is_empty());
    }

    #[test]
    fn kept_messages_are_bounded_in_bytes() {
        let mut table = table();
        let index = table.find("beta").unwrap();
        let node = table.get_mut(index).unwrap();
        let large = |bytes: usize| Message::new("status").with("info", &"x".repeat(bytes));
        for seq in 1..=5 {
            node.keep_early(Early {
                generation: Generation(9),
                seq: Sequence(seq),
                medium: MediumName::new("eth0"),
                message: large(MAX_KEPT_BYTES / 3),
            });
        }
        let kept: Vec<u64> = node.early.iter().map(|early| early.seq.0).collect();
        assert_eq!(kept, [4, 5], "the newest that fit");
        assert!(node.hold_notice(Sequence(10), large(10)).is_empty());
        assert!(
            node.hold_notice(Sequence(11), large(MAX_KEPT_BYTES / 2))
                .is_empty()
        );
        let released = node.hold_notice(Sequence(12), large(MAX_KEPT_BYTES / 2));
        assert_eq!(released.len(), 2, "the oldest are told at once");
        let released = node.hold_notice(Sequence(13), large(2 * MAX_KEPT_BYTES));
        assert_eq!(released.len(), 2, "one that is too large waits for nothing");
        assert_eq!(node.take_notices().count(), 0);
    }
}
