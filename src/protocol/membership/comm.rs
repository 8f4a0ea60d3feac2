//! From the start to `active`. Spec: docs/protocol/membership.md, 4; docs/protocol/wire.md, 16.2.
//!
//! ```text
//! Stopped -start-> Starting -media opened-> Waiting -all received or dead-> Asking -repnodes-> Up
//!                                              ^          (or no node to ask)   '--------------^
//!                                              '---------- new generation ---------------------'
//! ```

use std::time::Duration;

use super::super::field::{self, kind};
use super::super::message::Message;
use super::super::name::NodeName;
use super::super::node_table::{Node, NodeKind};
use super::super::output::Output;
use super::super::status::NodeStatus;
use super::Membership;
use crate::clock::{Monotonic, Now};
use crate::notice::Notice;

/// Pause between two requests for the node list.
const ASK_EVERY: Duration = Duration::from_secs(1);

/// Progress of the start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Phase {
    /// Before [`Membership::start`].
    Stopped,
    /// `init`: media are being opened.
    Starting,
    /// `up`: until every node was received or is dead.
    Waiting,
    /// `up`: until a node list comes. Lasts as long as the node that was asked lives.
    Asking {
        /// The node asked last.
        node: NodeName,
        /// Since when it is asked.
        since: Monotonic,
        /// When to ask again.
        again: Monotonic,
    },
    /// `active`.
    Up,
}

impl Membership {
    /// Advances the start as far as possible.
    pub(super) fn check_comm(&mut self, now: Now, out: &mut Vec<Output>) {
        if self.phase == Phase::Waiting && self.all_heard_or_dead() {
            self.links_up = true;
            self.shorten_silence(now);
            match self.node_to_ask(None) {
                Some(node) if self.flow_control && !self.list_received => {
                    self.ask_for_list(node, now, out);
                }
                Some(_) | None => self.become_active(now, out),
            }
        }
        let asked = match &self.phase {
            Phase::Asking { node, .. } => node.clone(),
            Phase::Stopped | Phase::Starting | Phase::Waiting | Phase::Up => return,
        };
        if !self.flow_control || self.node_to_ask(Some(&asked)).is_none() {
            self.become_active(now, out);
        }
    }

    /// From here on each node's own dead time counts instead of initdead, and so does a stall that
    /// was short for the one and long for the other. A node that was received, but not yet with a
    /// status, has not been silent since the start.
    fn shorten_silence(&mut self, now: Now) {
        for node in self.nodes.iter_mut() {
            node.silent_since = node.silent_since.max(node.listened_to_since);
            if node.status != NodeStatus::Dead && node.last_status.is_none() {
                node.silent_since = now.instant;
            }
        }
    }

    fn all_heard_or_dead(&self) -> bool {
        if self.links_up {
            return true;
        }
        let awaited = |node: &&Node| self.awaits(node.kind);
        self.autojoin_waited
            && self
                .nodes
                .iter()
                .filter(awaited)
                .all(|node| node.heard || node.status == NodeStatus::Dead)
    }

    /// Whether a start waits for a node of this kind.
    ///
    /// | | peer | ping node |
    /// |---|---|---|
    /// | a start | yes | yes |
    /// | groups ran on meanwhile | yes | no: the peer may have taken them, and only it can tell |
    const fn awaits(&self, kind: NodeKind) -> bool {
        match kind {
            NodeKind::Own | NodeKind::Peer => true,
            NodeKind::Ping => !self.goes_on,
        }
    }

    /// With autojoin, communication is not up before the whole initdead has passed. The end of that
    /// time, while it lies ahead. Spec: docs/protocol/membership.md, 4.
    pub(super) fn comm_not_before(&self) -> Option<Monotonic> {
        let opened = self.opened_at.filter(|_| !self.autojoin_waited)?;
        Some(opened + self.settings.timing.initdead)
    }

    /// Notes that new nodes had their time.
    pub(super) fn note_autojoin_wait(&mut self, now: Now) {
        if self.comm_not_before().is_some_and(|at| at <= now.instant) {
            self.autojoin_waited = true;
        }
    }

    /// The first peer that is not dead, at or after `from` in table order, then before it.
    fn node_to_ask(&self, from: Option<&NodeName>) -> Option<NodeName> {
        let peers: Vec<_> = self
            .nodes
            .iter()
            .filter(|node| node.kind == NodeKind::Peer)
            .collect();
        let start = from
            .and_then(|name| peers.iter().position(|node| node.name == *name))
            .unwrap_or(0);
        peers
            .iter()
            .skip(start)
            .chain(peers.iter().take(start))
            .find(|node| node.status != NodeStatus::Dead)
            .map(|node| node.name.clone())
    }

    fn ask_for_list(&mut self, node: NodeName, now: Now, out: &mut Vec<Output>) {
        let message = Message::new(kind::REQ_NODES).with(field::DEST, node.as_str());
        let since = match &self.phase {
            Phase::Asking {
                node: asked, since, ..
            } if *asked == node => *since,
            Phase::Stopped
            | Phase::Starting
            | Phase::Waiting
            | Phase::Asking { .. }
            | Phase::Up => now.instant,
        };
        self.phase = Phase::Asking {
            node,
            since,
            again: now.instant + ASK_EVERY,
        };
        self.emit(message, now, out);
    }

    /// Asks again when a second has passed. Without an answer this goes on as long as the peer
    /// lives: a peer that does not receive us may hold everything, and we must not become active
    /// beside it.
    pub(super) fn ask_again(&mut self, now: Now, out: &mut Vec<Output>) {
        let asked = match &self.phase {
            Phase::Asking { node, again, .. } if *again <= now.instant => node.clone(),
            Phase::Asking { .. }
            | Phase::Stopped
            | Phase::Starting
            | Phase::Waiting
            | Phase::Up => return,
        };
        if let Some(node) = self.node_to_ask(Some(&asked)) {
            let text = format!("node {node} has not answered the request for the node list");
            self.limited("node list unanswered", now, out, || Notice::OtherDebug {
                text,
            });
            self.ask_for_list(node, now, out);
        }
    }

    /// When to ask again.
    pub(super) const fn ask_deadline(&self) -> Option<Monotonic> {
        match &self.phase {
            Phase::Asking { again, .. } => Some(*again),
            Phase::Stopped | Phase::Starting | Phase::Waiting | Phase::Up => None,
        }
    }

    /// A node list came, requested or not.
    pub(super) fn list_arrived(&mut self, now: Now, out: &mut Vec<Output>) {
        match self.phase {
            Phase::Asking { .. } => self.become_active(now, out),
            Phase::Starting | Phase::Waiting => self.list_received = true,
            Phase::Stopped | Phase::Up => {}
        }
    }

    fn become_active(&mut self, now: Now, out: &mut Vec<Output>) {
        self.phase = Phase::Up;
        out.push(Output::Notice(Notice::CommNowUp {}));
        self.set_status(NodeStatus::Active, now, out);
        out.push(Output::CommUp {
            first: !self.was_up,
        });
        self.was_up = true;
    }
}
