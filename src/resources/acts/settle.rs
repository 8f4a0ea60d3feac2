//! The end of the exchange at start: this node settles, or waits for a node that may still run groups.

use crate::notice::Notice;
use crate::resources::gate::{Act, Obstacle};
use crate::resources::holding::HoldingSet;
use crate::resources::obstacles::Scope;
use crate::resources::parts::peer::Peer;
use crate::resources::parts::questions::{AGREEMENT, ASK_ON};
use crate::resources::parts::run::Phase;
use crate::resources::parts::timers::Timer;
use crate::resources::parts::work::Purpose;
use crate::resources::state::ResourceState;

impl ResourceState {
    /// The node that asked for groups by their keys is gone or begins anew: we may run those groups
    /// again, as far as we hold them. A node that begins anew and never reports asks for them
    /// again; beside any other node nothing is started before it reports.
    pub(in crate::resources) fn take_back_given(&mut self) {
        if self.groups.take_back_given() {
            self.looked_at = None;
        }
    }

    pub(in crate::resources) fn begin_waiting(&mut self) {
        self.run.enters(Phase::Waiting);
        self.timers.set(Timer::Own, self.after(AGREEMENT));
    }

    /// Starts own groups first, and then reports that this node is settled. Not while a release is
    /// under way: our report would hide what still runs, and a group that is still to be stopped
    /// must not be started.
    pub(in crate::resources) fn settle_start(&mut self) {
        if let Err(refusal) = self.gate(Act::Settle, &Scope::default()) {
            return self.settle_later(refusal.obstacle);
        }
        self.timers.clear(Timer::Own);
        self.timers.clear(Timer::AskAgain);
        if self.other.peers().any(Peer::owes_a_report) {
            // The wait for it is over. It may be deaf, and hear us at any time.
            self.timers.set(Timer::AskAgain, self.after(ASK_ON));
        }
        self.run.waits_no_more();
        self.acquire_local(false);
        self.take_what_was_released();
        self.run.enters(Phase::Stable);
        self.groups.the_moment_is_good(self.now);
        self.notice(Notice::LocalTransitionDone {});
        self.run.foreign_done();
        // They run on since an earlier process, as after `heartbeat -r`.
        let here = self.duty.holds(HoldingSet::LOCAL)
            && !self
                .groups
                .has_job(|purpose| *purpose == Purpose::AcquireLocal);
        if here || self.other.holds().has(HoldingSet::FOREIGN) {
            self.run.local_done();
        }
        self.answer();
        self.failback.settled_beside(self.other.is_settled());
        let whose = if here { "us" } else { "them" };
        self.acquisition_complete(&format!("T_RESOURCES({whose})"));
    }

    /// This node cannot settle yet.
    fn settle_later(&mut self, obstacle: Obstacle) {
        match obstacle {
            // This node settles with the takeover.
            Obstacle::NotAllFenced => {}
            Obstacle::ReleaseUnfinished => self.run.settles_behind_release(),
            Obstacle::AimedAt => {
                self.error("another node tries to reset this node: local resources wait");
                if let Some(until) = self.timers.at(Timer::AimedAt) {
                    self.timers.set(Timer::Own, until);
                }
            }
            Obstacle::SilentClaimant => self.wait_for_claimant(),
            Obstacle::LegacyUnsettled => self.wait_for_unsettled_legacy(),
            // A node that releases everything reports that it holds nothing, while its scripts
            // still run. It then leaves, dies or begins anew.
            _ => self.wait_to_settle(obstacle.text()),
        }
    }

    fn wait_to_settle(&mut self, cause: impl Into<String>) {
        self.decide("does not start the local resources", cause);
        self.timers.set(Timer::Own, self.after(AGREEMENT));
    }

    /// The last stop of a release has ended.
    pub(in crate::resources) fn settle_after_release(&mut self) {
        let open = matches!(self.run.phase(), Phase::Starting | Phase::Waiting);
        if self.run.takes_settling() && open {
            self.settle_start();
        }
    }

    /// A legacy node is not settled that ran before we did: it may be stopping everything.
    fn wait_for_unsettled_legacy(&mut self) {
        let Some(node) = self.other.unsettled_legacy().cloned() else {
            return;
        };
        // In case it has missed our report: see `on_report`.
        self.answer();
        self.ask();
        self.wait_to_settle(format!(
            "{node} ran before us and is not settled: if it is being stopped, it may still run them"
        ));
    }

    /// The ten seconds are over. They are the wait for a node that does not report. A node that has
    /// reported that it holds our groups, or may have taken them in a partition, is asked without
    /// end instead: it serves, and does not receive us. Any other Systole node is asked for a
    /// minute: the network may lose what the two say for so long, but it may also be configured to
    /// answer nobody.
    fn wait_for_claimant(&mut self) {
        let Some(node) = self.silent_claimant().cloned() else {
            return;
        };
        let said = self.run.waits_for_claimant();
        if !said {
            let claims = self.other.peer(&node).map(Peer::claims);
            let claims = claims.is_some_and(|set| set.has(HoldingSet::FOREIGN));
            let end = if claims {
                "or is dead"
            } else {
                "is dead, or a minute is over"
            };
            self.notice(Notice::OtherCrit {
                text: format!(
                    "node {node} lives, may run our resources and does not answer: they are not \
                     started before it does, {end}. Does it hear this node?"
                ),
            });
            self.decide(
                "does not start the local resources",
                format!("{node} may run them, and does not answer"),
            );
        }
        self.timers.set(Timer::Own, self.after(AGREEMENT));
    }
}
