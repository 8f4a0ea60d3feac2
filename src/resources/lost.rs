//! What follows when words of another node were lost for good, and nothing would ever say them again.
//!
//! | lost | found by |
//! |---|---|
//! | a report | a question, `starting`: every node answers it with a full report |
//! | the giver's `done` | the taker's question: the giver says `done` again while the taker does not report the set |
//! | the taker's `done` | the giver's question: the taker reports that it holds the set, and is settled |
//! | nothing: the taker held us for dead in our release | it has reported that it holds the set before we were done, and says no more |
//!
//! A `done` is said again to one of our nodes only. A legacy taker that has heard the first would count
//! the second as the other side's, and end without what it has taken.

use std::time::Duration;

use super::peers::Peer;
use super::standby::Standby;
use super::state::{Phase, ResourceState};
use crate::protocol::name::NodeName;
use crate::protocol::question::Position;

/// How long the taker's `done` may be later than the report that shows the same: a legacy node sends
/// the report first.
const DONE_FOLLOWS: Duration = Duration::from_secs(1);

impl ResourceState {
    /// Messages of a living node were lost for good.
    pub(super) fn words_lost(&mut self, node: &NodeName) {
        self.lost_in_a_standby();
        self.lost_with_full_hands(node);
        self.lost_behind_scripts(node);
        let listens = matches!(self.phase, Phase::Starting | Phase::Waiting | Phase::Stable);
        if !self.nice() || !self.comm_up || !listens || self.is_dead(node) {
            return;
        }
        let Some(peer) = self.peers.get_mut(node).filter(|peer| !peer.left) else {
            return;
        };
        if peer.reported {
            peer.asked = 0;
        }
        peer.lost = true;
        self.decide(
            format!("asks {node} what it holds"),
            "messages of it are lost, whatever they said",
        );
        self.ask();
        if self.timers.ask_again.is_none() {
            self.ask_soon();
        }
    }

    /// The taker asks what we hold: it may have missed that we are done.
    pub(super) fn say_done_again(&mut self, taker: &NodeName) {
        let ours = self.peers.get(taker).is_some_and(|peer| peer.echoes);
        if self.standby == Standby::Given && ours {
            self.info(format!(
                "node {taker} asks: saying again that the set is released"
            ));
            self.say_done();
        }
    }

    /// The taker reports: when it holds the set and is settled it is done, and its word of that may be
    /// lost.
    pub(super) fn taken_by_report(&mut self, taker: &NodeName, report: Position) {
        let holds = self.peers.get(taker).map(|peer| peer.holds);
        let taken = self.standby == Standby::Given
            && self.other_stable
            && self.given_at.is_some_and(|given| report > given)
            && holds.is_some_and(|holds| holds.has(self.sb_set.mirror()));
        if taken && self.timers.taken.is_none() {
            self.timers.taken = Some(self.after(DONE_FOLLOWS));
        }
    }

    /// It has reported since we began to release that it holds the set: it has held us for dead meanwhile,
    /// and waits for no word of ours.
    pub(super) fn taken_before_we_were_done(&mut self) {
        let set = self.sb_set.mirror();
        let since = self.gives_since.take();
        let holds = |peer: &Peer| {
            since.is_some_and(|since| peer.newest_report > since) && peer.holds.has(set)
        };
        if self.peers.values().any(holds) {
            self.timers.taken = Some(self.after(DONE_FOLLOWS));
        }
    }

    /// Its `done` has not come.
    pub(super) fn taken_overdue(&mut self) {
        if Self::take_due(&mut self.timers.taken, self.now) && self.standby == Standby::Given {
            self.decide(
                format!("ends the standby of {}", self.sb_set),
                "the other node reports that it holds what was given",
            );
            self.given_and_taken();
        }
    }
}
