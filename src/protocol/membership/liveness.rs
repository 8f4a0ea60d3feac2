//! Silence: which nodes and links are dead, after a check whether this node itself was late.
//! Spec: docs/protocol/membership.md, 2, 5 and 7; docs/protocol/wire.md, 16.3.

use std::time::Duration;

use super::super::field::{self, kind};
use super::super::message::Message;
use super::super::name::{Generation, MediumName, NodeName, Sequence};
use super::super::node_table::{Node, NodeIndex, NodeKind};
use super::super::output::{Output, ResourceEvent, Treatment};
use super::super::status::NodeStatus;
use super::Membership;
use crate::clock::{Monotonic, Now};
use crate::notice::Notice;

/// Longest time by which a heartbeat may travel longer than the one before it and still count as
/// received within the dead time. Without it a heartbeat that arrives exactly at the end of the
/// silence comes too late, so that deadtime = 5 x keepalive would tolerate only three lost
/// heartbeats in a row. It makes a failover longer by as much, so it stays well below a keepalive.
const MAX_ARRIVAL_SLACK: Duration = Duration::from_millis(10);
/// The slack is at most this part of the silence allowed.
const ARRIVAL_SLACK_PART: u32 = 50;

/// The slack for an allowed silence.
pub(super) fn arrival_slack(limit: Duration) -> Duration {
    limit
        .checked_div(ARRIVAL_SLACK_PART)
        .unwrap_or_default()
        .min(MAX_ARRIVAL_SLACK)
}

/// How long a node may be silent at present. A node that was received and has not sent a status yet
/// may have a longer dead time than ours. If we declared it dead before it has noticed anything, we
/// would take over what it still runs.
fn silence_allowed(node: &Node, links_up: bool, initdead: Duration) -> Duration {
    let unknown = node.kind == NodeKind::Peer && node.heard && !node.dead_time_told;
    if links_up && !unknown {
        node.dead_after
    } else {
        initdead.max(node.dead_after)
    }
}

/// Notices when our own calls come late.
///
/// A call that comes late finds datagrams waiting that were not read yet. So silence may be judged
/// only after a short time to read them. A node whose dead time is at most twice as long as the
/// stall gets a whole dead time again: nothing of it could be read meanwhile, and its dead time is
/// its own, not ours. The granted delay is bounded, so that a machine that is late all the time
/// still declares a dead node dead.
#[derive(Debug, Clone, Default)]
pub(super) struct Stall {
    /// The latest time at which the core asked to be called.
    planned: Option<Monotonic>,
    /// No node is declared dead before this time.
    grace_until: Monotonic,
}

impl Stall {
    /// Notes when the core wants to be called again. Work that is already due counts from `now`:
    /// its lateness has been noticed.
    pub(super) fn plan(&mut self, deadline: Option<Monotonic>, now: Monotonic) {
        self.planned = deadline.map(|deadline| deadline.max(now));
    }

    /// Whether the core asked to be called by `now`, or has not said when.
    pub(super) fn is_due(&self, now: Monotonic) -> bool {
        self.planned.is_none_or(|planned| planned <= now)
    }

    /// Whether we were late just now, so that lateness of others may be our own.
    pub(super) fn in_grace(&self, now: Monotonic) -> bool {
        now < self.grace_until
    }

    /// When silence that ends at `due` is judged. `limit` is the silence allowed.
    fn judged_at(&self, due: Monotonic, limit: Duration) -> Monotonic {
        due.max(self.grace_until.min(due + limit))
    }
}

impl Membership {
    /// Compares the clocks with the plan. Our own lateness must be found before anything is
    /// concluded from silence.
    pub(super) fn watch_clocks(&mut self, now: Now, out: &mut Vec<Output>) {
        if now.unix_s < self.last_unix_s {
            // Every timeout is monotonic: a step of the wall clock is harmless.
            self.limited("clock backwards", now, out, || Notice::ClockBackwards {});
        }
        self.last_unix_s = now.unix_s;
        let timing = &self.settings.timing;
        let (keepalive, deadtime, initdead) = (timing.keepalive, timing.deadtime, timing.initdead);
        let late = self
            .stall
            .planned
            .map_or(Duration::ZERO, |planned| now.instant.since(planned));
        if late <= keepalive / 4 {
            return;
        }
        if late > timing.warntime {
            out.push(Output::Notice(Notice::OwnDelay {
                late_ms: u64::try_from(late.as_millis()).unwrap_or(u64::MAX),
            }));
        }
        // Time to read what waits; after a longer stall, also to receive one more heartbeat.
        let grace = if late <= keepalive {
            keepalive / 2
        } else {
            keepalive.saturating_add(keepalive / 4)
        };
        self.stall.grace_until = self.stall.grace_until.max(now.instant + grace);
        let links_up = self.links_up;
        for node in self.nodes.iter_mut() {
            let limit = silence_allowed(node, links_up, initdead);
            if late >= node.dead_after / 2 {
                node.listened_to_since = now.instant;
            }
            if late >= limit / 2 {
                // Only what the verdict on the node does not count either.
                if node.kind == NodeKind::Peer
                    && let Some(gaps) = &mut node.gaps
                {
                    gaps.excuse(late);
                }
                node.silent_since = now.instant;
                for link in &mut node.links {
                    link.restart_silence(now.instant);
                }
            }
        }
        let silent = self
            .last_beat
            .map_or(Duration::ZERO, |last| now.instant.since(last));
        if self.next_beat.is_some() && silent >= deadtime {
            // The owner reacts before the next heartbeat is sent: see
            // `ResourceEvent::OwnHeartbeatLost`.
            self.last_beat = Some(now.instant);
            self.beats_held_at = Some(now.instant);
            out.push(Output::Resource(ResourceEvent::OwnHeartbeatLost { silent }));
        } else if late >= deadtime / 2 {
            let read_until = self.stall.grace_until;
            out.push(Output::Resource(ResourceEvent::StoodStill { read_until }));
        }
    }

    /// Applies everything due by `now`: own heartbeats first, because other nodes wait for them.
    pub(super) fn apply_due(&mut self, now: Now, out: &mut Vec<Output>) {
        if self.beats_held_at.take() != Some(now.instant) {
            if self
                .dead_time
                .start_until()
                .is_some_and(|until| until <= now.instant)
            {
                self.dead_time.end_start();
                self.emit_status(now, out);
            }
            self.beat(now, out);
        }
        self.request_missing(now, out);
        self.tell_losses(now, out);
        self.judge_silence(now, out);
        self.note_autojoin_wait(now);
        self.ask_again(now, out);
        self.judge_hearing(now, out);
        self.ask_for_farewell(now, out);
        out.extend(
            self.limiter
                .report(now.instant)
                .into_iter()
                .map(Output::Notice),
        );
    }

    /// Sends the heartbeat that is due and plans the next from the planned time, not from now.
    /// Missed heartbeats are skipped, never sent in a burst.
    fn beat(&mut self, now: Now, out: &mut Vec<Output>) {
        let Some(planned) = self.next_beat.filter(|planned| *planned <= now.instant) else {
            return;
        };
        let keepalive = self.settings.timing.keepalive.max(Duration::from_millis(1));
        let missed = now
            .instant
            .since(planned)
            .as_nanos()
            .checked_div(keepalive.as_nanos())
            .unwrap_or(0);
        let steps = u32::try_from(missed).unwrap_or(u32::MAX).saturating_add(1);
        let next = planned + keepalive.saturating_mul(steps);
        self.next_beat = Some(next.max(now.instant + Duration::from_nanos(1)));
        // The node that was followed may be gone; an hour may have passed.
        self.choose_key(now, out);
        self.emit_status(now, out);
    }

    /// Silence allowed for a node and its links at present, arrival slack included.
    fn limit(&self, node: &Node) -> Duration {
        let limit = silence_allowed(node, self.links_up, self.settings.timing.initdead);
        limit.saturating_add(arrival_slack(limit))
    }

    /// When a node is declared dead unless it is received. Never for ourselves.
    fn silence_deadline(&self, node: &Node) -> Option<Monotonic> {
        let opened = self.opened_at?;
        match (node.kind, node.status) {
            (NodeKind::Own, _) | (_, NodeStatus::Dead) => None,
            (
                NodeKind::Peer | NodeKind::Ping,
                NodeStatus::Init | NodeStatus::Up | NodeStatus::Active | NodeStatus::Ping,
            ) => {
                let limit = self.limit(node);
                let due = node.silent_since.max(opened) + limit;
                Some(self.stall.judged_at(due, limit))
            }
        }
    }

    /// The time `early` before the end of the node's dead time or ours, whichever is shorter, once
    /// communication is up. Other nodes judge us by our dead time, a legacy node without slack.
    /// Counts from the last message received: our own lateness gives the node more time before it
    /// is declared dead, but gives us no more time before it takes our groups.
    pub(super) fn almost_dead(&self, node: &Node, early: Duration) -> Option<Monotonic> {
        if !self.links_up || node.status == NodeStatus::Dead {
            return None;
        }
        let limit = node.dead_after.min(self.settings.timing.deadtime);
        let heard = node.last_status.unwrap_or(node.silent_since);
        Some(heard + limit.saturating_sub(early))
    }

    /// When the node's links die unless it is received; own links never do. The link to a ping node
    /// lives until deadtime, longer than the node, as in legacy: there `ipfail` asks its partner
    /// when the link dies, and by then the partner has noticed the death too.
    fn link_deadline(&self, node: &Node, heard: Monotonic) -> Option<Monotonic> {
        let limit = match node.kind {
            NodeKind::Own => return None,
            NodeKind::Peer => self.limit(node),
            NodeKind::Ping => {
                let deadtime = self.settings.timing.deadtime;
                let deadtime = deadtime.saturating_add(arrival_slack(deadtime));
                self.limit(node).max(deadtime)
            }
        };
        Some(self.stall.judged_at(heard + limit, limit))
    }

    fn judge_silence(&mut self, now: Now, out: &mut Vec<Output>) {
        let dead: Vec<NodeIndex> = self
            .nodes
            .indexes()
            .filter(|index| {
                self.nodes
                    .get(*index)
                    .and_then(|node| self.silence_deadline(node))
                    .is_some_and(|deadline| deadline <= now.instant)
            })
            .collect();
        for index in dead {
            self.declare_dead(index, now, out);
        }
        let silent: Vec<(NodeIndex, MediumName)> = self
            .nodes
            .indexes()
            .filter_map(|index| Some((index, self.nodes.get(index)?)))
            .flat_map(|(index, node)| {
                node.links
                    .iter()
                    .filter(|link| {
                        link.heard()
                            .and_then(|heard| self.link_deadline(node, heard))
                            .is_some_and(|deadline| deadline <= now.instant)
                    })
                    .map(move |link| (index, link.medium().clone()))
            })
            .collect();
        for (index, medium) in silent {
            self.kill_link(index, &medium, now, out);
        }
    }

    /// Declares a node dead, in the order of docs/protocol/membership.md, 5.
    fn declare_dead(&mut self, index: NodeIndex, now: Now, out: &mut Vec<Output>) {
        let Some(node) = self.nodes.get_mut(index) else {
            return;
        };
        let (name, ping, heard) = (node.name.clone(), node.kind == NodeKind::Ping, node.heard);
        let generation = node.generation;
        node.given_up = node.kind == NodeKind::Peer && generation != Generation(0);
        node.status = NodeStatus::Dead;
        node.heard = false;
        super::dispatch::deliver(node.take_notices(), out);
        node.forget_tracking();
        let yields = self.yielding_peer().is_some_and(|peer| peer.name == name);
        out.push(Output::Notice(Notice::NodeDead {
            node: name.to_string(),
        }));
        if !ping {
            Self::tell_never_heard(&name, generation, out);
        }
        // Made here for clients and hooks: no control fields.
        let mut message = Message::new(kind::STATUS)
            .with(field::SEQ, "1")
            .with(field::TS, &format!("{:x}", now.unix_s))
            .with(field::SRC, name.as_str())
            .with(field::ST, NodeStatus::Dead.as_str());
        if ping {
            message = message.with(field::INFO, "ping");
        }
        out.push(Output::NodeStatusChanged {
            node: name.clone(),
            status: NodeStatus::Dead,
        });
        out.push(Output::Deliver {
            message: message.clone(),
            treatment: Treatment::Keep,
        });
        out.push(Output::Resource(ResourceEvent::NodeDead {
            node: name,
            heard,
            ping,
            yields,
            message,
        }));
    }

    /// Notes that a node was received over a medium.
    pub(super) fn refresh_link(
        &mut self,
        index: NodeIndex,
        medium: &MediumName,
        now: Now,
        out: &mut Vec<Output>,
    ) {
        let Some(node) = self.nodes.get_mut(index) else {
            return;
        };
        let came_up = node
            .links
            .iter_mut()
            .find(|link| link.medium() == medium)
            .is_some_and(|link| link.refresh(now.instant));
        if came_up {
            out.push(Output::Notice(Notice::LinkUp {
                node: node.name.to_string(),
                medium: medium.to_string(),
            }));
            link_changed(&node.name, medium, true, out);
        }
    }

    fn kill_link(
        &mut self,
        index: NodeIndex,
        medium: &MediumName,
        now: Now,
        out: &mut Vec<Output>,
    ) {
        let Some(node) = self.nodes.get_mut(index) else {
            return;
        };
        for link in node.links.iter_mut().filter(|link| link.medium() == medium) {
            link.die(now.instant);
        }
        out.push(Output::Notice(Notice::LinkDead {
            node: node.name.to_string(),
            medium: medium.to_string(),
        }));
        link_changed(&node.name, medium, false, out);
    }

    /// Asks for missing messages. A node that reports `init` is asked as soon as it reports more;
    /// legacy gives up. Spec: docs/protocol/wire.md, 14.1.
    fn request_missing(&mut self, now: Now, out: &mut Vec<Output>) {
        let max_delay = self.settings.timing.max_rexmit_delay;
        let mut asks: Vec<(NodeIndex, NodeName, Sequence)> = Vec::new();
        for index in self.nodes.indexes() {
            let Some(node) = self.nodes.get_mut(index) else {
                continue;
            };
            let due = node.requests.due(max_delay, now.instant);
            match node.status {
                NodeStatus::Up | NodeStatus::Active => {
                    asks.extend(due.into_iter().map(|seq| (index, node.name.clone(), seq)));
                }
                // Its next status reports more, and may itself be missing. If it were given up now,
                // the number would stay missing for good: we would acknowledge nothing after it and
                // the node's clients would wait.
                NodeStatus::Init => {}
                NodeStatus::Dead | NodeStatus::Ping => {
                    due.into_iter().for_each(|seq| node.requests.cancel(seq));
                }
            }
        }
        for (index, node, seq) in asks {
            self.tell_lost(index, now, out);
            let number = seq.0.to_string();
            let message = Message::new(kind::NS_REXMIT)
                .with(field::DEST, node.as_str())
                .with(field::FIRST_SEQ, &number)
                .with(field::LAST_SEQ, &number);
            self.emit(message, now, out);
        }
    }

    /// Earliest instant at which [`tick`](Self::tick) would have something to do. `None` before
    /// the start.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Monotonic> {
        let own = [
            self.next_beat,
            self.dead_time.start_until(),
            self.ask_deadline(),
            self.comm_not_before(),
            self.limiter.next_deadline(),
            self.hearing_deadline(),
            self.farewell_deadline(),
        ];
        let nodes = self.nodes.iter().flat_map(|node| {
            let links = node
                .links
                .iter()
                .filter_map(|link| self.link_deadline(node, link.heard()?));
            self.silence_deadline(node)
                .into_iter()
                .chain(node.requests.next_deadline())
                .chain(Self::loss_deadline(node))
                .chain(links)
        });
        own.into_iter().flatten().chain(nodes).min()
    }
}

/// Reports a change of a link. Spec: docs/protocol/membership.md, 1.
fn link_changed(node: &NodeName, medium: &MediumName, up: bool, out: &mut Vec<Output>) {
    let message = Message::new(kind::IF_STAT)
        .with(field::NODE, node.as_str())
        .with(field::IFNAME, medium.as_str())
        .with(field::ST, if up { "up" } else { "dead" });
    out.push(Output::Deliver {
        message: message.clone(),
        treatment: Treatment::Keep,
    });
    out.push(Output::Resource(ResourceEvent::LinkChanged { message }));
}
