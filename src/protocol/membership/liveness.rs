//! Silence: who is dead, which links are, and doubting ourselves first.
//! Spec: docs/protocol/membership.md,
//! 2, 5 and 7; docs/protocol/wire.md, 16.3.

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

/// Longest time by which a heartbeat may be later on its way than the one before it, and still
/// count as one that came within the dead time. Without it a beat that arrives exactly when the
/// silence ends loses against the verdict, so that deadtime = 5 x keepalive would bear only three
/// beats lost in a row. Costs as much failover time, so it stays well below a keepalive.
const MAX_ARRIVAL_SLACK: Duration = Duration::from_millis(10);
/// The slack is at most this part of the silence allowed.
const ARRIVAL_SLACK_PART: u32 = 50;

/// The slack that goes with a silence allowed.
pub(super) fn arrival_slack(limit: Duration) -> Duration {
    limit
        .checked_div(ARRIVAL_SLACK_PART)
        .unwrap_or_default()
        .min(MAX_ARRIVAL_SLACK)
}

/// How long a node may be silent at present. A node that was heard and has not sent a status yet may have
/// a longer dead time than ours: whoever calls it dead before it has noticed anything takes over what it
/// still runs.
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
/// A call that comes late has found datagrams waiting that it has not read yet. Silence may
/// therefore be judged only after a short time to read them. A node whose dead time is at most
/// twice as long as the stall gets a whole dead time again: nothing of it could be read meanwhile,
/// and how long it may be silent is its own affair, not ours. The delay granted is bounded, so that
/// a machine that is late all the time still declares a dead node dead.
#[derive(Debug, Clone, Default)]
pub(super) struct Stall {
    /// When the core asked to be called, at the latest.
    planned: Option<Monotonic>,
    /// Nobody is declared dead before.
    grace_until: Monotonic,
}

impl Stall {
    /// Notes when the core wants to be called again. What is due already counts from `now`: its
    /// lateness has been noticed.
    pub(super) fn plan(&mut self, deadline: Option<Monotonic>, now: Monotonic) {
        self.planned = deadline.map(|deadline| deadline.max(now));
    }

    /// Whether the core asked to be called by `now`, or has not said when.
    pub(super) fn is_due(&self, now: Monotonic) -> bool {
        self.planned.is_none_or(|planned| planned <= now)
    }

    /// Whether we were late just now, so that what looks late may be our own doing.
    pub(super) fn in_grace(&self, now: Monotonic) -> bool {
        now < self.grace_until
    }

    /// When silence that ends at `due` is judged. `limit` is the silence allowed.
    fn judged_at(&self, due: Monotonic, limit: Duration) -> Monotonic {
        due.max(self.grace_until.min(due + limit))
    }
}

impl Membership {
    /// Compares the clocks with what was planned. Our own lateness is found before anything is
    /// concluded from it.
    pub(super) fn watch_clocks(&mut self, now: Now, out: &mut Vec<Output>) {
        if now.unix_s < self.last_unix_s {
            // Every timeout is monotonic: the step itself is harmless.
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
        // Time to read what waits; after a longer stall, to hear one more beat as well.
        let grace = if late <= keepalive {
            keepalive / 2
        } else {
            keepalive.saturating_add(keepalive / 4)
        };
        self.stall.grace_until = self.stall.grace_until.max(now.instant + grace);
        let links_up = self.links_up;
        for node in self.nodes.iter_mut() {
            let limit = silence_allowed(node, links_up, initdead);
            if late >= limit / 2 {
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
            // The owner reacts before the next beat leaves: see `ResourceEvent::OwnHeartbeatLost`.
            self.last_beat = Some(now.instant);
            self.beats_held_at = Some(now.instant);
            out.push(Output::Resource(ResourceEvent::OwnHeartbeatLost { silent }));
        }
    }

    /// Everything due by `now`: own beats first, for others wait for them.
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
        out.extend(
            self.limiter
                .report(now.instant)
                .into_iter()
                .map(Output::Notice),
        );
    }

    /// Sends the beat that is due and plans the next from the planned time, not from now: beats
    /// that were missed are skipped, never made up for in a burst.
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
        self.emit_status(now, out);
    }

    /// Silence allowed for a node and its links at present, arrival slack included.
    fn limit(&self, node: &Node) -> Duration {
        let limit = silence_allowed(node, self.links_up, self.settings.timing.initdead);
        limit.saturating_add(arrival_slack(limit))
    }

    /// When a node is declared dead unless it is heard. Ourselves: never by this.
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

    /// When a node is `early` before the end of its dead time or ours: others judge us by ours, and
    /// a legacy one without slack. Once communication is up. By what was heard last: our own lateness
    /// grants the node more time before it dies, and us none before it takes what we run.
    pub(super) fn almost_dead(&self, node: &Node, early: Duration) -> Option<Monotonic> {
        if !self.links_up || node.status == NodeStatus::Dead {
            return None;
        }
        let limit = node.dead_after.min(self.settings.timing.deadtime);
        let heard = node.last_status.unwrap_or(node.silent_since);
        Some(heard + limit.saturating_sub(early))
    }

    /// When the node's links die unless they are heard: own links never. The one to a ping node
    /// outlives it until deadtime, as in legacy, where `ipfail` asks its partner when the link
    /// dies: by then the partner has noticed the death too.
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
            self.kill_link(index, &medium, out);
        }
    }

    /// The order of actions of docs/protocol/membership.md, 5.
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

    /// Notes that a node was heard over a medium.
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
            let name = node.name.clone();
            out.push(Output::Notice(Notice::LinkUp {
                node: name.to_string(),
                medium: medium.to_string(),
            }));
            link_changed(name, medium, true, out);
        }
    }

    fn kill_link(&mut self, index: NodeIndex, medium: &MediumName, out: &mut Vec<Output>) {
        let Some(node) = self.nodes.get_mut(index) else {
            return;
        };
        for link in node.links.iter_mut().filter(|link| link.medium() == medium) {
            link.die();
        }
        let name = node.name.clone();
        out.push(Output::Notice(Notice::LinkDead {
            node: name.to_string(),
            medium: medium.to_string(),
        }));
        link_changed(name, medium, false, out);
    }

    /// Asks for what is missing. A node that says `init` is asked as soon as it says more; legacy
    /// gives up. Spec: docs/protocol/wire.md, 14.1.
    fn request_missing(&mut self, now: Now, out: &mut Vec<Output>) {
        let max_delay = self.settings.timing.max_rexmit_delay;
        let mut asks: Vec<(NodeName, Sequence)> = Vec::new();
        for node in self.nodes.iter_mut() {
            let due = node.requests.due(max_delay, now.instant);
            match node.status {
                NodeStatus::Up | NodeStatus::Active => {
                    asks.extend(due.into_iter().map(|seq| (node.name.clone(), seq)));
                }
                // Its next status says more, and is what may be missing: given up now, the number
                // stays missing for good, we acknowledge nothing behind it and its clients wait.
                NodeStatus::Init => {}
                NodeStatus::Dead | NodeStatus::Ping => {
                    due.into_iter().for_each(|seq| node.requests.cancel(seq));
                }
            }
        }
        for (node, seq) in asks {
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

/// Tells everybody about a link. Spec: docs/protocol/membership.md, 1.
fn link_changed(node: NodeName, medium: &MediumName, up: bool, out: &mut Vec<Output>) {
    let message = Message::new(kind::IF_STAT)
        .with(field::NODE, node.as_str())
        .with(field::IFNAME, medium.as_str())
        .with(field::ST, if up { "up" } else { "dead" });
    out.push(Output::LinkChanged {
        node,
        medium: medium.clone(),
        up,
    });
    out.push(Output::Deliver {
        message: message.clone(),
        treatment: Treatment::Keep,
    });
    out.push(Output::Resource(ResourceEvent::LinkChanged { message }));
}
