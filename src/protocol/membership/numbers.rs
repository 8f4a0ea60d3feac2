//! The number of a message: gaps, refills and acknowledgements.
//! Spec: docs/protocol/wire.md, 13.2, steps 3 to 6, and 15.2.

use std::time::Duration;

use smallvec::SmallVec;

use super::super::field::{self, kind};
use super::super::flow;
use super::super::message::Message;
use super::super::name::{NodeName, Sequence};
use super::super::node_table::{Node, NodeIndex, NodeKind};
use super::super::output::{Output, ResourceEvent};
use super::super::sequence::Arrival;
use super::Membership;
use super::receive::{Heard, Verdict};
use crate::clock::{Monotonic, Now};
use crate::notice::Notice;

/// Shortest time between two events about lost messages of one node: its answer to the first event
/// covers everything that was lost before.
const LOSS_TOLD_EVERY: Duration = Duration::from_secs(1);

impl Membership {
    /// Notes a number and judges it; asks for what is missing before it.
    pub(super) fn note_number(
        &mut self,
        heard: &Heard,
        now: Now,
        out: &mut Vec<Output>,
    ) -> Verdict {
        let max_delay = self.settings.timing.max_rexmit_delay;
        let Some(node) = self.nodes.get_mut(heard.index) else {
            return Verdict::Drop;
        };
        let before = node.window.last().unwrap_or_default();
        let (arrival, given_up) = node.window.arrive(heard.seq);
        let lost_for_good = !given_up.is_empty() || matches!(arrival, Arrival::TooFar { .. });
        for seq in given_up {
            node.requests.cancel(seq);
        }
        if lost_for_good {
            self.words_lost(heard.index, now, out);
        }
        let Some(node) = self.nodes.get_mut(heard.index) else {
            return Verdict::Drop;
        };
        match arrival {
            Arrival::InOrder => {
                let ack =
                    flow::ack_in_order(node.ack_trigger, heard.seq, node.window.first_missing());
                self.acknowledge(heard, ack, now, out);
                Verdict::Keep
            }
            Arrival::Duplicate => Verdict::Duplicate,
            Arrival::Gap { first, last } => {
                node.requests
                    .schedule(first, last, max_delay, now.instant, &mut self.rng);
                let count = heard.seq.0.saturating_sub(first.0);
                node.gap.add(count, before, heard.seq);
                Verdict::Keep
            }
            Arrival::TooFar { count } => {
                node.requests.clear();
                node.gap.add(count, before, heard.seq);
                self.tell_lost(heard.index, now, out);
                let node = heard.name.to_string();
                self.limited("lost a lot", now, out, || Notice::LostALot { node });
                Verdict::Keep
            }
            Arrival::Fills => {
                self.fill(heard, heard.seq, now, out);
                Verdict::Keep
            }
            Arrival::Old => Verdict::Drop,
        }
    }

    /// A node is back that counted as dead, and as such was not asked for anything. What it sent
    /// since the verdict is asked for now: a number that stays missing keeps us from acknowledging
    /// whatever comes after it.
    pub(super) fn ask_for_all_missing(&mut self, index: NodeIndex, now: Now) {
        let max_delay = self.settings.timing.max_rexmit_delay;
        if let Some(node) = self.nodes.get_mut(index) {
            for seq in node.window.missing() {
                node.requests
                    .schedule(seq, seq, max_delay, now.instant, &mut self.rng);
            }
        }
    }

    /// The messages that are missing of a node are lost: they are asked for.
    pub(super) fn tell_lost(&mut self, index: NodeIndex, now: Now, out: &mut Vec<Output>) {
        let Some(node) = self.nodes.get_mut(index) else {
            return;
        };
        let Some((count, last, seq)) = node.gap.is_asked_for() else {
            return;
        };
        let node = node.name.to_string();
        self.limited("lost packets", now, out, || Notice::LostPackets {
            count,
            node,
            last: last.0,
            seq: seq.0,
        });
    }

    /// Messages of a node will never arrive. The owner of this core is told at once, or a second
    /// after it was told last: a peer can refuse hundreds of numbers at once.
    pub(super) fn words_lost(&mut self, index: NodeIndex, now: Now, out: &mut Vec<Output>) {
        let Some(node) = self
            .nodes
            .get_mut(index)
            .filter(|node| node.kind == NodeKind::Peer)
        else {
            return;
        };
        let told_lately = node
            .loss_told
            .is_some_and(|told| now.instant < told + LOSS_TOLD_EVERY);
        node.loss_untold = told_lately;
        if !told_lately {
            node.loss_told = Some(now.instant);
            out.push(Output::Resource(ResourceEvent::WordsLost {
                node: node.name.clone(),
            }));
        }
    }

    /// When to report a loss that was not reported yet.
    pub(super) fn loss_deadline(node: &Node) -> Option<Monotonic> {
        Some(node.loss_told.filter(|_| node.loss_untold)? + LOSS_TOLD_EVERY)
    }

    /// Reports the losses that are due.
    pub(super) fn tell_losses(&mut self, now: Now, out: &mut Vec<Output>) {
        let due: SmallVec<[NodeIndex; 2]> = self
            .nodes
            .indexes()
            .filter(|index| {
                self.nodes
                    .get(*index)
                    .and_then(Self::loss_deadline)
                    .is_some_and(|at| at <= now.instant)
            })
            .collect();
        for index in due {
            self.words_lost(index, now, out);
        }
    }

    /// A missing number arrived, or its sender refused it for good.
    pub(super) fn fill(
        &mut self,
        heard: &Heard,
        seq: Sequence,
        now: Now,
        out: &mut Vec<Output>,
    ) -> bool {
        let Some(node) = self.nodes.get_mut(heard.index) else {
            return false;
        };
        node.requests.cancel(seq);
        let Some(filled) = node.window.fill(seq) else {
            return false;
        };
        let trigger = node.ack_trigger;
        if filled.closed && node.gap.closes() {
            let node = heard.name.to_string();
            self.limited("gap closed", now, out, || Notice::NoPacketsMissing { node });
        }
        if filled.was_lowest {
            let ack = flow::ack_filled(trigger, seq, filled.complete_to);
            self.acknowledge(heard, ack, now, out);
        }
        true
    }

    fn acknowledge(
        &mut self,
        heard: &Heard,
        seq: Option<Sequence>,
        now: Now,
        out: &mut Vec<Output>,
    ) {
        let Some(seq) = seq.filter(|_| self.flow_control) else {
            return;
        };
        if self.acks_held {
            if let Some(node) = self.nodes.get_mut(heard.index) {
                // One acknowledgement covers all numbers before it.
                node.ack_due = node.ack_due.max(Some(seq));
            }
        } else {
            self.emit_ack(&heard.name, seq, now, out);
        }
    }

    fn emit_ack(&mut self, to: &NodeName, seq: Sequence, now: Now, out: &mut Vec<Output>) {
        let message = Message::new(kind::NS_ACKMSG)
            .with(field::DEST, to.as_str())
            .with(field::ACK_SEQ, &format!("{:x}", seq.0));
        self.emit(message, now, out);
    }

    /// Sends what is due at the end of a batch: of the messages received at once only the last one
    /// due must be acknowledged. Spec: docs/protocol/wire.md, 15.2.
    pub(super) fn send_acknowledgements(&mut self, now: Now, out: &mut Vec<Output>) {
        self.acks_held = false;
        let due = |node: &mut Node| Some((node.name.clone(), node.ack_due.take()?));
        let due: SmallVec<[_; 2]> = self.nodes.iter_mut().filter_map(due).collect();
        for (to, seq) in due {
            self.emit_ack(&to, seq, now, out);
        }
    }
}
