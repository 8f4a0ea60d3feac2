//! The end of a run: the process goes on until every living node has our last words.
//! Spec: docs/protocol/resources.md, 11; docs/protocol/wire.md, 15.2.
//!
//! A word is any numbered message but a status. Every node acknowledges about every tenth number, and an acknowledgement stands for everything before it. So a few status messages in quick
//! succession bring one, and they show a node at once that a word before them was lost: it asks for it again.
//! Whoever asked for the farewell bounds the wait: a node that does not acknowledge keeps nobody here.
//!
//! A legacy node is given all of that time: it takes over by scripts meanwhile, and does not cope with a node that is
//! started again in the middle of them.

use std::time::Duration;

use super::super::node_table::NodeKind;
use super::super::output::{Output, ResourceEvent};
use super::super::status::NodeStatus;
use super::Membership;
use crate::clock::{Monotonic, Now};

/// Status messages that are sent for an acknowledgement: as many numbers as have one.
const ASKS: u32 = 10;
/// They follow each other in this part of a keepalive, ...
const PACE_PART: u32 = 100;
/// ... at least and at most in this time.
const PACE: [Duration; 2] = [Duration::from_millis(2), Duration::from_millis(10)];

/// A farewell that is not over.
#[derive(Debug, Clone, Copy)]
pub(super) struct Farewell {
    /// When the next status is sent for an acknowledgement.
    next: Option<Monotonic>,
    /// How many were sent. Nothing is concluded before the first: what clients say at their end comes
    /// a moment after they have ended.
    asked: u32,
}

impl Membership {
    /// Waits until every living node has our last words, and reports that once as
    /// [`ResourceEvent::LastWordsReceived`]: never beside a legacy node. Dead nodes are not waited for.
    pub fn bid_farewell(&mut self, now: Now, out: &mut Vec<Output>) {
        self.enter(now, out);
        self.farewell = Some(Farewell {
            next: Some(now.instant + self.farewell_pace()),
            asked: 0,
        });
        self.settle(now, out);
    }

    fn farewell_pace(&self) -> Duration {
        let [least, most] = PACE;
        (self.settings.timing.keepalive / PACE_PART).clamp(least, most)
    }

    /// When [`ask_for_farewell`](Self::ask_for_farewell) has something to do.
    pub(super) fn farewell_deadline(&self) -> Option<Monotonic> {
        self.farewell?.next
    }

    /// Sends the status that is due.
    pub(super) fn ask_for_farewell(&mut self, now: Now, out: &mut Vec<Output>) {
        let pace = self.farewell_pace();
        let due = |farewell: &&mut Farewell| farewell.next.is_some_and(|at| at <= now.instant);
        let Some(farewell) = self.farewell.as_mut().filter(due) else {
            return;
        };
        farewell.asked = farewell.asked.saturating_add(1);
        let last = farewell.asked >= ASKS;
        farewell.next = (!last).then(|| now.instant + pace);
        if self.only_ours_live() && !self.have_last_words() {
            self.emit_status(now, out);
        }
    }

    /// Whether every node that is not dead is ours and has acknowledged our last word.
    fn have_last_words(&self) -> bool {
        self.only_ours_live() && self.nodes.acknowledged_by_all(self.last_seq) >= self.last_word
    }

    fn only_ours_live(&self) -> bool {
        let mut nodes = self.nodes.iter();
        nodes.all(|node| {
            node.kind != NodeKind::Peer || node.status == NodeStatus::Dead || node.is_systole_peer()
        })
    }

    /// Reports the end of the farewell.
    pub(super) fn judge_farewell(&mut self, out: &mut Vec<Output>) {
        let asked = self.farewell.is_some_and(|farewell| farewell.asked > 0);
        if asked && self.have_last_words() {
            self.farewell = None;
            out.push(Output::Resource(ResourceEvent::LastWordsReceived));
        }
    }
}
