//! Sending: control fields, numbers, the own status and what it announces.
//! Spec: docs/protocol/wire.md, 9.

use std::time::Duration;

use super::super::event::Origin;
use super::super::field::{self, kind};
use super::super::flow;
use super::super::links::LINKS;
use super::super::message::{Message, Value};
use super::super::name::{Generation, NodeUuid, Sequence};
use super::super::node_table::{Node, NodeKind};
use super::super::output::Output;
use super::super::partition::{Verdict, YIELD};
use super::super::status::NodeStatus;
use super::Membership;
use super::comm::Phase;
use crate::clock::{Monotonic, Now};
use crate::notice::Notice;

/// Added to the announced dead time at start. Spec: docs/protocol/membership.md, 2.
pub(super) const START_RAISE: Duration = Duration::from_millis(2000);
/// How long after the start.
const START_RAISE_FOR: Duration = Duration::from_secs(5);

/// What we add to our dead time when we announce it.
#[derive(Debug, Clone, Default)]
pub(super) struct AnnouncedDeadTime {
    raised: u32,
    extra: Duration,
    start_until: Option<Monotonic>,
}

impl AnnouncedDeadTime {
    pub(super) fn raise_for_start(&mut self, now: Monotonic) {
        self.start_until = Some(now + START_RAISE_FOR);
    }

    pub(super) fn raise(&mut self, extra: Duration) {
        self.raised = self.raised.saturating_add(1);
        self.extra = self.extra.max(extra);
    }

    pub(super) const fn lower(&mut self) {
        self.raised = self.raised.saturating_sub(1);
        if self.raised == 0 {
            self.extra = Duration::ZERO;
        }
    }

    pub(super) const fn start_until(&self) -> Option<Monotonic> {
        self.start_until
    }

    pub(super) const fn end_start(&mut self) {
        self.start_until = None;
    }

    /// For legacy nodes: soon after the start it is more than for Systole nodes.
    fn extra(&self) -> Duration {
        if self.start_until.is_some() {
            self.extra.max(START_RAISE)
        } else {
            self.extra
        }
    }

    /// For Systole nodes; `None`: the same as for legacy nodes.
    fn extra_for_ours(&self) -> Option<Duration> {
        (self.extra() > self.extra).then_some(self.extra)
    }
}

/// The type of a local program's message, if that program may not send it.
/// Spec: docs/protocol/client-api.md, 7.
pub(super) fn refused_from(origin: Origin, message: &Message) -> Option<String> {
    let Some(kind) = message.kind() else {
        return Some(String::new());
    };
    let refused = match origin {
        Origin::Daemon => false,
        Origin::Fifo => kind.is_empty() || kind::is_of_membership(kind),
        Origin::Client => kind.is_empty() || kind::is_of_daemons(kind),
    };
    refused.then(|| kind.chars().take(64).collect())
}

impl Membership {
    /// Completes, numbers, keeps and transmits a message; it is looped back when the call settles.
    pub(super) fn emit(&mut self, mut message: Message, now: Now, out: &mut Vec<Output>) {
        let sequenced = !message
            .kind()
            .is_some_and(|kind| kind.starts_with(kind::UNSEQUENCED_PREFIX));
        let asks = matches!(message.kind(), Some(kind::STARTING | kind::IP_REQUEST));
        if asks && !self.capability_text.is_empty() {
            message.set_text(field::SYSTOLE, &self.capability_text);
        }
        self.complete(&mut message, sequenced, now);
        if sequenced {
            if message.kind() != Some(kind::STATUS) {
                self.last_word = self.last_seq;
            }
            self.history
                .push(self.last_seq, message.clone(), now.instant);
            let kept = self.last_seq.0.saturating_sub(self.history.low().0);
            if self.flow_control && kept > flow::HISTORY_FILLING {
                self.limited("history filling", now, out, || Notice::HistoryFilling {
                    count: kept,
                });
            }
            if self.is_for_us(&message, true) {
                self.own.push_back(message.clone());
            }
        }
        out.push(Output::Transmit(message));
    }

    /// Adds the control fields in the legacy order. Fields that are present are overwritten in
    /// every type, so that no program can speak under another name. Spec: docs/protocol/wire.md, 9.
    fn complete(&mut self, message: &mut Message, sequenced: bool, now: Now) {
        if let Some(dest) = message.text(field::DEST) {
            if let Some(node) = self
                .nodes
                .find(dest)
                .and_then(|index| self.nodes.get(index))
            {
                let uuid = node.uuid.filter(|_| !node.uuid_is_shared);
                let uuid = uuid.unwrap_or(NodeUuid::NIL);
                message.set(field::DEST_UUID, Value::Binary(uuid.0.to_vec()));
            }
        } else if let Some(name) = uuid_field(message, field::DEST_UUID)
            .and_then(|uuid| self.nodes.find_uuid(&uuid))
            .and_then(|index| self.nodes.get(index))
            .map(|node| node.name.clone())
        {
            message.set_text(field::DEST, name.as_str());
        }
        message.set_text(field::SRC, self.settings.local.as_str());
        message.set(field::SRC_UUID, Value::Binary(self.uuid.0.to_vec()));
        if sequenced {
            self.last_seq = Sequence(self.last_seq.0.saturating_add(1));
            message.set_text(field::SEQ, &format!("{:x}", self.last_seq.0));
        } else {
            message.remove(field::SEQ);
        }
        message.set_text(field::HG, &format!("{:x}", self.generation.0));
        // With 0 every receiver would ignore the message.
        message.set_text(field::TS, &format!("{:x}", now.unix_s.max(1)));
        if sequenced {
            message.set_text(field::LD, &self.load);
        }
        let ttl = self
            .nodes
            .len()
            .saturating_add(usize::from(self.settings.hopfudge));
        message.set_text(field::TTL, &ttl.to_string());
    }

    /// Transmits our status. Spec: docs/protocol/wire.md, 10.1.
    pub(super) fn emit_status(&mut self, now: Now, out: &mut Vec<Output>) {
        let with = |extra: Duration| {
            let dead_time = self.settings.timing.deadtime.saturating_add(extra);
            format!("{:x}", dead_time.as_millis())
        };
        let mut message = Message::new(kind::STATUS)
            .with(field::ST, self.status.as_str())
            .with(field::DT, &with(self.dead_time.extra()));
        if self.flow_control {
            message = message.with(field::PROTOCOL, "1");
        }
        if !self.capability_text.is_empty() {
            message = message.with(field::SYSTOLE, &self.capability_text);
            if let Some(extra) = self.dead_time.extra_for_ours() {
                message = message.with(field::OUR_DT, &with(extra));
            }
        }
        self.add_haresources(&mut message);
        self.add_monitors(&mut message);
        if !self.capability_text.is_empty()
            && self.opened_at.is_some()
            && let Some(names) = self.deaf_text()
        {
            message = message.with(field::DEAF, &names);
        }
        if !self.capability_text.is_empty()
            && let Some(links) = self.deaf_links_text()
        {
            message = message.with(field::DEAF_ON, &links);
        }
        if let Some(links) = self.links.as_ref().filter(|_| self.links_are_understood()) {
            message = message.with(field::LINKS, links);
        }
        if let Some(verdict) = self.open_verdict() {
            message = message.with(field::GONE, &verdict.to_text());
            if let Some(foreign) = verdict.weight.foreign {
                message = message.with(field::RUNS_FOREIGN, &foreign.to_string());
            }
        }
        self.last_beat = Some(now.instant);
        self.emit(message, now, out);
    }

    /// The peer, if it is the only one and knows the rule by which one of two nodes yields.
    pub(super) fn yielding_peer(&self) -> Option<&Node> {
        let mut peers = self.nodes.iter().filter(|node| node.kind == NodeKind::Peer);
        let only = peers.next().filter(|_| peers.next().is_none())?;
        let both = only.capabilities.contains(YIELD) && self.capabilities.contains(YIELD);
        both.then_some(only)
    }

    /// Whether the other node of a pair understands what we say of our interfaces.
    fn links_are_understood(&self) -> bool {
        let mut peers = self.nodes.iter().filter(|node| node.kind == NodeKind::Peer);
        let only = peers.next().filter(|_| peers.next().is_none());
        only.is_some_and(|peer| peer.capabilities.contains(LINKS))
    }

    /// The verdict for a peer that we declared dead in its present run.
    fn open_verdict(&self) -> Option<Verdict> {
        let peer = self.yielding_peer().filter(|peer| peer.given_up)?;
        Some(Verdict {
            generation: peer.generation,
            weight: self.weight?,
        })
    }

    /// Changes our status and sends it at once.
    pub(super) fn set_status(&mut self, status: NodeStatus, now: Now, out: &mut Vec<Output>) {
        self.status = status;
        out.push(Output::Notice(Notice::LocalStatus {
            status: status.to_string(),
        }));
        self.emit_status(now, out);
    }

    /// The part of [`begin_new_generation`](Membership::begin_new_generation) before settling.
    pub(super) fn restart_numbering(
        &mut self,
        generation: Generation,
        now: Now,
        out: &mut Vec<Output>,
    ) {
        self.last_seq = Sequence(0);
        self.last_word = Sequence(0);
        self.acknowledged = Sequence(0);
        self.renumber(generation, out);
        for node in self.nodes.iter_mut() {
            // A new run releases what the old one had taken: its verdicts are no longer valid.
            node.given_up = false;
        }
        self.status = NodeStatus::Init;
        match self.phase {
            Phase::Stopped => {}
            Phase::Starting => self.emit_status(now, out),
            Phase::Waiting | Phase::Asking { .. } | Phase::Up => {
                self.emit_status(now, out);
                self.set_status(NodeStatus::Up, now, out);
                self.phase = Phase::Waiting;
                self.list_received = false;
                // These two replace the heartbeats that were missed.
                self.next_beat = Some(now.instant + self.settings.timing.keepalive);
            }
        }
    }

    /// Uses the next generation, or `generation` if that is higher. Messages of the old generation
    /// are not sent again: peers would treat them as a replay.
    pub(super) fn renumber(&mut self, generation: Generation, out: &mut Vec<Output>) {
        // Never lower, never the same.
        let next = self.generation.0.saturating_add(1);
        self.generation = Generation(generation.0.max(next));
        self.history.clear();
        for node in self.nodes.iter_mut() {
            node.acked = Sequence(0);
            node.ears.renumbered();
            if node.kind == NodeKind::Own {
                node.take_generation(self.generation);
            }
        }
        out.push(Output::Notice(Notice::GenerationNow {
            generation: self.generation.0,
        }));
    }
}

/// A uuid field that is well-formed and not all zero.
pub(super) fn uuid_field(message: &Message, name: &str) -> Option<NodeUuid> {
    let bytes: [u8; 16] = message.binary(name)?.try_into().ok()?;
    let uuid = NodeUuid(bytes);
    (!uuid.is_nil()).then_some(uuid)
}
