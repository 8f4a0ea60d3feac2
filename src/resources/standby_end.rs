//! How a standby ends before its time: nobody answers, or the other node dies or begins anew.

use super::holding::HoldingSet;
use super::peers::Peer;
use super::standby::{COMPLETION, Standby};
use super::state::ResourceState;
use crate::notice::Notice;
use crate::protocol::name::NodeName;

impl ResourceState {
    /// How long an open standby is still waited for; `None`: none is open.
    pub(super) fn seconds_left(&self) -> Option<u64> {
        let left = self.sb_deadline?.since(self.now);
        (!left.is_zero()).then_some(left.as_secs())
    }

    /// What we offered stays here. Whoever does not answer may be releasing for a reason of its own:
    /// then its next report says what is left.
    pub(super) fn withdraw_offer(&mut self) {
        self.other_stable = self.doubt.is_none();
        self.enter(Standby::Not, None);
    }

    /// The other side died: the standby is over.
    pub(super) fn cancel_standby(&mut self) {
        self.offered = None;
        self.offer_answered = None;
        self.early_done = None;
        self.withdraw_stops();
        if self.standby == Standby::Not {
            return;
        }
        self.info("Cancelling pending standby operation");
        if self.standby == Standby::Given {
            // It may have begun to start them.
            self.doubt = self.doubt.with(self.sb_set.mirror());
        }
        if self.standby == Standby::Taking {
            // It has released them: what is started is ours, also when we are to stop and take nothing more.
            self.mine = self.mine.with(self.sb_set.mirror());
        }
        self.enter(Standby::Not, None);
        if self.mine == HoldingSet::ALL {
            self.other_stable = true;
        }
    }

    /// The other side began a new run: it remembers nothing of the standby.
    pub(super) fn interrupt_standby(&mut self) {
        self.offered = None;
        self.offer_answered = None;
        self.early_done = None;
        if let Standby::Asked(wish) = self.standby {
            self.failback_unanswered(wish);
        }
        match self.standby {
            Standby::Not => {}
            // The stops go on; the newcomer sees in our reports what is not released yet.
            Standby::Asked(_) | Standby::Giving | Standby::Given | Standby::Answered { .. } => {
                self.info("Cancelling pending standby operation");
                self.enter(Standby::Not, None);
            }
            // Nobody else runs them: they are ours now.
            Standby::Taking => {
                self.info("Cancelling pending standby operation");
                self.mine = self.mine.with(self.sb_set.mirror());
                self.enter(Standby::Not, None);
            }
        }
    }

    pub(super) fn standby_overdue(&mut self) {
        if !Self::take_due(&mut self.sb_deadline, self.now) {
            return;
        }
        match self.standby {
            // Our own scripts take their time; the other waits or dies.
            Standby::Giving | Standby::Taking => {
                self.sb_deadline = Some(self.after(COMPLETION));
            }
            Standby::Asked(wish) => {
                self.decide(
                    format!("keeps {}", self.sb_set),
                    "the other node does not answer the offer",
                );
                self.notice(Notice::NoStandbyReply {});
                self.say_who_hangs();
                self.withdraw_offer();
                self.failback_unanswered(wish);
            }
            Standby::Given if self.is_taking_still() => {
                self.sb_deadline = Some(self.after(COMPLETION));
            }
            Standby::Not | Standby::Given | Standby::Answered { .. } => {
                let given = self.standby == Standby::Given;
                self.notice(Notice::NoStandbyReply {});
                self.say_who_hangs();
                self.doubt = HoldingSet::NONE;
                self.other_stable = true;
                self.enter(Standby::Not, None);
                // Our last report said that we were giving: the taker would wait for the next for good.
                if given {
                    self.answer();
                }
            }
        }
    }

    /// Whether the taker is one of our nodes that lives and has not said since our `done` that it is
    /// settled. Its scripts may take longer than we wait for a legacy one: it says when they have ended,
    /// and its death or new run ends the standby too.
    fn is_taking_still(&self) -> bool {
        let settled = self.other_stable && {
            let reports = self.peers.values().map(|peer| peer.newest_report);
            reports.max() > self.given_at
        };
        let ours = |(name, peer): (&NodeName, &Peer)| peer.systole && !self.is_dead(name);
        !settled && self.peers.iter().any(ours)
    }

    /// A legacy node neither gives what it offered nor answers an offer: what may be the cause, and what
    /// helps. Its own stop would wait for the end of that standby; `heartbeat -r` does not.
    fn say_who_hangs(&mut self) {
        let legacy = self.peers.iter().find(|(_, peer)| !peer.systole);
        let Some(node) = legacy.map(|(name, _)| name.clone()) else {
            return;
        };
        let helps = format!("on {node}: touch /etc/ha.d/ha.cf && /usr/lib/heartbeat/heartbeat -r");
        self.warn(format!(
            "node {node} does not answer in a standby: it may be stuck in an earlier one, for up to an \
             hour, and stop nothing, take nothing and give nothing meanwhile. What frees it, {helps}"
        ));
        self.decide(
            format!("waits no longer for {node}"),
            format!("it may be stuck in an earlier standby; what frees it, {helps}"),
        );
    }
}
